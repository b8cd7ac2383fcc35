package envelope

import (
	"strconv"
)

// What the server says by itself. Those that carry what a member said take the record as its bytes, which Record.Parse has found good or AppendRecord
// has written, and put a few fields before it.

// AppendMessage writes a stored message: the room's message before it has the number prev, 0 if there is none.
func AppendMessage(dst []byte, room string, seq, prev uint64, record []byte) []byte {
	dst = appendString(append(dst, `{"type":"message","room":`...), room)
	return appendStored(append(dst, ','), &Stored{seq, prev, record})
}

// AppendEphemeral writes a message of a room that stores none.
func AppendEphemeral(dst []byte, room string, record []byte) []byte {
	dst = appendString(append(dst, `{"type":"message","room":`...), room)
	return append(append(dst, ','), record[1:]...)
}

// AppendSignal writes a signal. Nodes hand each other signals as records, so it has a time too.
func AppendSignal(dst []byte, room string, record []byte) []byte {
	dst = appendString(append(dst, `{"type":"signal","room":`...), room)
	return append(append(dst, ','), record[1:]...)
}

// Stored is a message of a room's history.
type Stored struct {
	Seq, Prev uint64
	Record    []byte
}

// appendStored writes what follows the brace, or the comma, before a message's number.
func appendStored(dst []byte, m *Stored) []byte {
	dst = strconv.AppendUint(append(dst, `"seq":`...), m.Seq, 10)
	dst = strconv.AppendUint(append(dst, `,"prev":`...), m.Prev, 10)
	return append(append(dst, ','), m.Record[1:]...)
}

// Person is somebody in a room.
type Person struct {
	User string // id
	Name string // what the user is called in this room
}

// Presence is what changed in who is in a room.
type Presence struct {
	Count        int
	Joined, Left []Person
	// Whole says that Members replaces what the client knew. Complete then says that nobody is missing from it.
	Whole    bool
	Members  []Person
	Complete bool
}

// AppendPresence writes a change of who is in a room.
func AppendPresence(dst []byte, room string, p *Presence) []byte {
	dst = appendString(append(dst, `{"type":"presence","room":`...), room)
	dst = appendInt(append(dst, `,"count":`...), p.Count)
	if len(p.Joined) > 0 {
		dst = appendPeople(append(dst, `,"joined":`...), p.Joined)
	}
	if len(p.Left) > 0 {
		dst = appendPeople(append(dst, `,"left":`...), p.Left)
	}
	if p.Whole {
		dst = appendPeople(append(dst, `,"members":`...), p.Members)
		dst = strconv.AppendBool(append(dst, `,"complete":`...), p.Complete)
	}
	return append(dst, '}')
}

func appendPeople(dst []byte, people []Person) []byte {
	dst = append(dst, '[')
	for i, p := range people {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(append(dst, `{"user":`...), p.User)
		dst = appendString(append(dst, `,"name":`...), p.Name)
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

// Gap says what a client will not get: the messages with From <= seq <= To.
type Gap struct {
	Epoch    string // the epoch from here on
	From, To uint64
	Oldest   uint64 // of what can still be had; 0: nothing
	Reset    bool   // the epoch is another than it was, and the numbers of the old one mean nothing any more
}

// AppendGap writes a gap, before what comes behind it.
func AppendGap(dst []byte, room string, g *Gap) []byte {
	dst = appendString(append(dst, `{"type":"gap","room":`...), room)
	dst = appendString(append(dst, `,"epoch":`...), g.Epoch)
	dst = strconv.AppendUint(append(dst, `,"from":`...), g.From, 10)
	dst = strconv.AppendUint(append(dst, `,"to":`...), g.To, 10)
	dst = strconv.AppendUint(append(dst, `,"oldest":`...), g.Oldest, 10)
	if g.Reset {
		dst = append(dst, `,"reset":true`...)
	}
	return append(dst, '}')
}

// AppendBye writes the last message before a Close frame, with the same code and reason.
func AppendBye(dst []byte, b *Bye) []byte {
	dst = appendInt(append(dst, `{"type":"bye","code":`...), int(b.Code))
	dst = appendString(append(dst, `,"reason":`...), b.Reason)
	dst = strconv.AppendBool(append(dst, `,"again":`...), b.Again)
	dst = appendMillis(append(dst, `,"in":`...), b.In)
	return append(dst, '}')
}

func appendInt(dst []byte, n int) []byte { return strconv.AppendInt(dst, int64(n), 10) }
