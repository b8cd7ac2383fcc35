package envelope

import (
	"fmt"
	"time"
)

// Code says why a request was refused, in a word that programs can compare.
type Code uint8

// All codes of throng.v1.
const (
	BadRequest    Code = iota + 1 // not JSON, or not a request as the reference has it
	UnknownType                   // a type that this server does not know
	BadName                       // a room or a person cannot be called that
	Denied                        // not allowed to this user
	NotJoined                     // needs membership
	AlreadyJoined                 // a replay for somebody who is in the room
	TooManyRooms                  // one connection in as many rooms as it may
	Full                          // a room with as many members as it may have
	TooBig                        // more than the store or the room takes
	Rate                          // too many requests
	Unavailable                   // the store or the other nodes cannot be reached
	StoreFull                     // no place for another message
	Unauthorized                  // a token that is not good
	TokenExpiring                 // a warning: the token ends soon
	TokenExpired                  // the token has ended
	Conflict                      // a key that stands for another message
	Internal                      // a fault of the server

	codeEnd
)

// codes is indexed by Code. A hint says what to do, the same for every error of the code; what is particular to one stands in its message.
var codes = [codeEnd]struct{ name, hint string }{
	BadRequest:    {"bad_request", "Correct the request as the message says; sent again as it is, it fails again."},
	UnknownType:   {"unknown_type", "Use one of the types of throng.v1; a newer server may know more of them."},
	BadName:       {"name", "Choose 1 to 64 bytes of letters, digits and _ ~ : . - in any script; an inbox is @ and the id of a user."},
	Denied:        {"denied", "Do not try again as this user; ask whoever runs the server for the right to it, or sign in as somebody who has it."},
	NotJoined:     {"not_joined", "Join the room first."},
	AlreadyJoined: {"already_joined", "Ask history for older messages; to have them replayed, leave the room and join it with since."},
	TooManyRooms:  {"too_many_rooms", "Leave a room before joining another."},
	Full:          {"full", "Try again when somebody has left the room."},
	TooBig:        {"too_big", "Send less at once; limits.message of the welcome is the most that a message may take."},
	Rate:          {"rate", "Wait for as long as retry says, then send the same again, and more slowly from then on."},
	Unavailable:   {"unavailable", "Send the same again with the same key after retry; it will be stored once."},
	StoreFull:     {"store_full", "Nothing was stored; try again later with the same key, and tell whoever runs the server."},
	Unauthorized:  {"unauthorized", "Get another token, and send it with auth or connect with it."},
	TokenExpiring: {"token_expiring", "Send a fresh token with auth before the time is up; the connection then goes on."},
	TokenExpired:  {"token_expired", "Get a fresh token and connect again with it."},
	Conflict:      {"conflict", "Use a new key for a new message; the message that has this key is stored."},
	Internal:      {"internal", "The fault is the server's and has been logged; try again after a while, with the same key."},
}

// Codes lists all codes there are.
func Codes() []Code {
	all := make([]Code, 0, len(codes))
	for c := BadRequest; c < codeEnd; c++ {
		all = append(all, c)
	}
	return all
}

// String is the code as it stands in an error, and as the label of metrics.
func (c Code) String() string { return codes[c].name }

// Hint says what the client should do about it.
func (c Code) Hint() string { return codes[c].hint }

// Error is a refusal. It becomes the answer to a request by [AppendError].
type Error struct {
	Code    Code
	Message string        // what is wrong with this request, in a sentence
	Retry   time.Duration // when to try again; 0: not said
}

// Error says what is wrong, for logs.
func (e *Error) Error() string { return e.Code.String() + ": " + e.Message }

// Errorf makes a refusal.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// ErrBinary refuses a binary frame, which has no id to answer to.
var ErrBinary = &Error{Code: BadRequest, Message: "the message came in a binary frame; throng.v1 is JSON in text frames, and binary content goes base64 into data"}
