package chat

import (
	"context"
	"errors"
	"time"
)

// Store is what rooms that are recorded stand on, and how nodes speak to each other. Package broker is one; main joins the two. Its methods may be
// called from any goroutine; those with a context may take their time, the others never wait.
type Store interface {
	// Publish has a record stored, numbered and handed to every node that watches the room. done is called once, on a goroutine of the store's, and
	// must not wait. A record with an id that the store has seen of late is not stored again; the receipt is the first one's. The record may be
	// reused after the return.
	Publish(stream int, room, id string, record []byte, done func(Receipt, error))
	// Watch asks for what happens in a room: its stored messages, unless stream is -1, and what other nodes cast. Unwatch ends that.
	Watch(stream int, room string) error
	Unwatch(stream int, room string)

	Last(ctx context.Context, stream int, room string) (seq uint64, err error) // 0: the room has none
	// Read returns messages behind after, oldest first.
	Read(ctx context.Context, stream int, room string, after uint64, limit int) ([]Stored, error)
	// ReadBefore returns the newest messages before before (0: of all), oldest first, and whether there are older ones.
	ReadBefore(ctx context.Context, stream int, room string, before uint64, limit int) (messages []Stored, more bool, err error)
	// Epoch names a stream's numbering: with another one, the numbers of before mean nothing.
	Epoch(stream int) string

	// Cast hands data to all nodes that watch a room, or, for the room "", to all nodes. It may be lost.
	Cast(room string, data []byte) error
	// Ask calls answer with what other nodes know of a room, until all have answered or the context ends.
	Ask(ctx context.Context, room string, data []byte, answer func(node string, reply []byte)) error
	// Shared reports whether there may be other nodes at all.
	Shared() bool
	// Ready reports whether messages can be stored now, and why not.
	Ready() (ok bool, why string)
}

// Receipt is the store's word on a message.
type Receipt struct {
	Seq       uint64
	Duplicate bool
}

// Stored is a message as the store has it.
type Stored struct {
	Seq    uint64
	Last   uint64 // the number of the room's message that stands before it in the store now; 0: none does any more, or ever did
	Record []byte
}

// What a store refuses with. Anything else is a fault.
var (
	ErrUnavailable = errors.New("the store cannot be reached")
	ErrStoreFull   = errors.New("the store is full")
	ErrTooBig      = errors.New("the message is more than the store takes")
)

const (
	// storeTime is how long a question to the store may take.
	storeTime = 5 * time.Second
	// askTime is how long other nodes are waited for.
	askTime = 500 * time.Millisecond
	// pageMessages is how many messages are read from the store at once.
	pageMessages = 256
)

// What is asked of rooms and cannot be.
var (
	ErrName        = errors.New("chat: bad name")
	ErrNotRecorded = errors.New("chat: the room is not recorded")
)
