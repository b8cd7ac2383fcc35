package envelope

import (
	"strconv"
	"time"
)

// Answers. Each begins with its type and the id of the request, as the client wrote it.

// Welcome is the first that a client reads.
type Welcome struct {
	User, Name string
	Guest      bool
	Session    string // of a guest, who is the same one with it later; "": none
	Node       string
	Server     string        // what it is and which version
	Heartbeat  time.Duration // silence after which the client should ask whether anybody is there
	Limits     Limits
	Expires    int64 // when the token ends, in milliseconds since 1970; 0: it does not
}

// Limits are what a client should know to stay within.
type Limits struct {
	Message int // bytes of a message from the client
	Rooms   int // of one connection
	Rate    int // messages a second; 0: no limit
}

// AppendWelcome writes the first message to a client.
func AppendWelcome(dst []byte, w *Welcome) []byte {
	dst = appendString(append(dst, `{"type":"welcome","protocol":"`+Protocol+`","user":`...), w.User)
	dst = appendString(append(dst, `,"name":`...), w.Name)
	dst = strconv.AppendBool(append(dst, `,"guest":`...), w.Guest)
	if w.Session != "" {
		dst = appendString(append(dst, `,"session":`...), w.Session)
	}
	dst = appendString(append(dst, `,"node":`...), w.Node)
	dst = appendString(append(dst, `,"server":`...), w.Server)
	dst = appendMillis(append(dst, `,"heartbeat":`...), w.Heartbeat)
	dst = appendInt(append(dst, `,"limits":{"message":`...), w.Limits.Message)
	dst = appendInt(append(dst, `,"rooms":`...), w.Limits.Rooms)
	dst = appendInt(append(dst, `,"rate":`...), w.Limits.Rate)
	dst = append(dst, '}')
	return append(appendExpires(dst, w.Expires), '}')
}

// appendOK begins the answer to a request that was carried out.
func appendOK(dst, id []byte) []byte {
	return append(append(dst, `{"type":"ok","id":`...), id...)
}

func appendOKRoom(dst, id []byte, room string) []byte {
	return appendString(append(appendOK(dst, id), `,"room":`...), room)
}

// AppendOK answers a Leave or a Signal.
func AppendOK(dst, id []byte, room string) []byte {
	return append(appendOKRoom(dst, id, room), '}')
}

// Joined is what somebody is told of a room on entering.
type Joined struct {
	Room     string
	Recorded bool
	Epoch    string // if recorded, with
	Seq      uint64 // the newest message: what is live comes behind it
	Name     string // what the user is called in this room
	Count    int    // members, this one included
	Replay   int    // if recorded: how many messages follow before what is live; below 0: not known
}

// AppendJoined answers a Join.
func AppendJoined(dst, id []byte, j *Joined) []byte {
	dst = appendOKRoom(dst, id, j.Room)
	dst = strconv.AppendBool(append(dst, `,"recorded":`...), j.Recorded)
	if j.Recorded {
		dst = appendString(append(dst, `,"epoch":`...), j.Epoch)
		dst = strconv.AppendUint(append(dst, `,"seq":`...), j.Seq, 10)
	}
	dst = appendString(append(dst, `,"name":`...), j.Name)
	dst = appendInt(append(dst, `,"count":`...), j.Count)
	if j.Recorded && j.Replay >= 0 {
		dst = appendInt(append(dst, `,"replay":`...), j.Replay)
	}
	return append(dst, '}')
}

// AppendPublished answers a Publish. seq 0 says that the room stores nothing; duplicate, that the message was there already, under this number.
func AppendPublished(dst, id []byte, room string, seq uint64, duplicate bool) []byte {
	dst = appendOKRoom(dst, id, room)
	if seq > 0 {
		dst = strconv.AppendUint(append(dst, `,"seq":`...), seq, 10)
	}
	dst = strconv.AppendBool(append(dst, `,"stored":`...), seq > 0)
	if duplicate {
		dst = append(dst, `,"duplicate":true`...)
	}
	return append(dst, '}')
}

// AppendHistory answers a History: messages in their order. A room that stores none has no epoch. more says that there are others beyond them, on the side that was asked for.
func AppendHistory(dst, id []byte, room, epoch string, messages []Stored, more bool) []byte {
	dst = appendOKRoom(dst, id, room)
	if epoch != "" {
		dst = appendString(append(dst, `,"epoch":`...), epoch)
	}
	dst = append(dst, `,"messages":[`...)
	for i := range messages {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendStored(append(dst, '{'), &messages[i])
	}
	dst = strconv.AppendBool(append(dst, `],"more":`...), more)
	return append(dst, '}')
}

// AppendMembers answers a Members. complete says that all count of them are listed.
func AppendMembers(dst, id []byte, room string, count int, members []Person, complete bool) []byte {
	dst = appendInt(append(appendOKRoom(dst, id, room), `,"count":`...), count)
	dst = appendPeople(append(dst, `,"members":`...), members)
	dst = strconv.AppendBool(append(dst, `,"complete":`...), complete)
	return append(dst, '}')
}

// AppendPong answers a Ping with the time, in milliseconds since 1970.
func AppendPong(dst, id []byte, now int64) []byte {
	return append(strconv.AppendInt(append(appendOK(dst, id), `,"time":`...), now, 10), '}')
}

// AppendAuthed answers an Auth. expires is when the token ends, in milliseconds since 1970; 0: it does not, or there is none.
func AppendAuthed(dst, id []byte, user, name string, expires int64) []byte {
	dst = appendString(append(appendOK(dst, id), `,"user":`...), user)
	dst = appendString(append(dst, `,"name":`...), name)
	return append(appendExpires(dst, expires), '}')
}

// AppendError answers a request that was refused. What is empty is left out: id if there was none, or if this is a warning that nobody asked for.
func AppendError(dst, id, room, key []byte, e *Error) []byte {
	dst = append(dst, `{"type":"error"`...)
	if len(id) > 0 {
		dst = append(append(dst, `,"id":`...), id...)
	}
	if len(room) > 0 {
		dst = appendText(append(dst, `,"room":`...), room)
	}
	dst = appendString(append(dst, `,"code":`...), e.Code.String())
	dst = appendString(append(dst, `,"message":`...), e.Message)
	dst = appendString(append(dst, `,"hint":`...), e.Code.Hint())
	if e.Retry > 0 {
		dst = appendMillis(append(dst, `,"retry":`...), e.Retry)
	}
	if len(key) > 0 {
		dst = appendText(append(dst, `,"key":`...), key)
	}
	return append(dst, '}')
}

// Bye is why a connection ends, in words for a program.
type Bye struct {
	Code   uint16 // of the Close frame that follows
	Reason string
	Again  bool          // whether to come back
	In     time.Duration // when
}

func appendExpires(dst []byte, at int64) []byte {
	if at == 0 {
		return dst
	}
	return strconv.AppendInt(append(dst, `,"expires":`...), at, 10)
}

// appendMillis writes a span of time in whole milliseconds, rounded up: who waits for less comes too early.
func appendMillis(dst []byte, d time.Duration) []byte {
	return strconv.AppendInt(dst, int64((d+time.Millisecond-1)/time.Millisecond), 10)
}
