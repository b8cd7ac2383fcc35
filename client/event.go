package client

import "time"

// Event is one of [Message], [Signal], [Presence], [Gap], [Joined], [Left], [State] and [Notice].
type Event interface{ isEvent() }

// Message is what somebody said in a room, the client's own user included.
type Message struct {
	Room    string
	Seq     uint64    // its number in the room, which rises, not by one; 0 in a room that is not recorded
	Prev    uint64    // the number of the message before it in the room
	Time    time.Time // the server's, to the millisecond
	User    string    // who said it
	Name    string    // how they are called in the room
	Key     string    // the sender's; "" if it gave none
	Content Content
}

// Signal is something for the moment, like that somebody types. It is not stored. Its sender gets it as well, on all devices.
type Signal struct {
	Room       string
	User, Name string
	Content    Content
}

// Member is somebody in a room.
type Member struct {
	User string `json:"user"` // who it is
	Name string `json:"name"` // how they are called in the room
}

// Presence is who came and went in a room.
type Presence struct {
	Room         string
	Count        int      // how many are there now
	Joined, Left []Member // what changed
	Members      []Member // not nil: replaces all that was known
	Complete     bool     // Members are all of them; in a large room they are a sample
}

// Gap says that messages of a room are missing and cannot be had. What follows it stands in the room after them.
type Gap struct {
	Room     string
	Epoch    string
	From, To uint64 // numbers of what is missing, both included
	Oldest   uint64 // the oldest that can still be had; 0 if not known
	Reset    bool   // the room began anew: its numbers before mean nothing any more
}

// Joined says that the client is in a room, for the first time or again after a reconnect. What was missed follows it.
type Joined struct {
	Room     string
	Again    bool   // it was joined before, on another connection
	Epoch    string // with Seq what [Since] needs
	Seq      uint64 // the newest message's number
	Recorded bool   // the room stores what is said
	Name     string // how the client's user is called there
	Count    int    // how many are there
	Replay   int    // how many messages come now that were said before; -1 if not told
}

// Left says that the server does not let the client into a room any more, into which it had let it before.
type Left struct {
	Room string
	Err  error // an *Error
}

// Notice is an error that belongs to no request.
type Notice struct {
	Err *Error
}

// Phase is what a client is doing.
type Phase uint8

// The phases of a client.
const (
	Connecting Phase = iota // until the server's welcome
	Online                  // requests are sent
	Waiting                 // to connect, at State.Until
	Closed                  // for good, by Close or by State.Err
)

// String names the phase.
func (p Phase) String() string {
	return [...]string{"connecting", "online", "waiting", "closed"}[min(p, Closed)]
}

// State is how the client stands with the server. Of several in a row that nobody has taken only the newest is kept.
type State struct {
	Phase Phase
	Why   Why       // of Waiting
	Until time.Time // of Waiting
	Err   error     // of Waiting and Closed: what ended the connection; nil after Close
}

// Why is what a client waits for.
type Why string

// Why a client waits before it connects again.
const (
	Lost    Why = "lost"    // the connection, or the handshake, failed
	Restart Why = "restart" // the server gave out turns, which is no failure
	Fast    Why = "fast"    // too much was said too quickly
	Idle    Why = "idle"    // the server heard nothing for too long
)

func (Message) isEvent()  {}
func (Signal) isEvent()   {}
func (Presence) isEvent() {}
func (Gap) isEvent()      {}
func (Joined) isEvent()   {}
func (Left) isEvent()     {}
func (Notice) isEvent()   {}
func (State) isEvent()    {}
