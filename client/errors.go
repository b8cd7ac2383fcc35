package client

import (
	"errors"
	"fmt"
	"time"
)

// What the server answers to a request that it refuses, as [Error.Code].
const (
	CodeBadRequest    = "bad_request"    // it was not understood; also what the client refuses by itself
	CodeUnknownType   = "unknown_type"   // an older server
	CodeName          = "name"           // a bad name of a room or a user
	CodeDenied        = "denied"         // not allowed
	CodeNotJoined     = "not_joined"     // only members may
	CodeAlreadyJoined = "already_joined" // a replay was wanted of a room that is joined
	CodeTooManyRooms  = "too_many_rooms" // leave one first
	CodeFull          = "full"           // the room has as many members as it may
	CodeTooBig        = "too_big"        // the message is longer than the server takes
	CodeRate          = "rate"           // too much was said too quickly; publishes and joins are tried again
	CodeUnavailable   = "unavailable"    // the server cannot just now; publishes and joins are tried again
	CodeStoreFull     = "store_full"     // there is no space for messages
	CodeUnauthorized  = "unauthorized"   // a bad token
	CodeTokenExpiring = "token_expiring" // a warning; the client asks [Options.Token] for another
	CodeTokenExpired  = "token_expired"  // it was too late
	CodeConflict      = "conflict"       // the key was used before, for another content
	CodeInternal      = "internal"       // the server's fault
)

// Error is what the server says against a request, or, without one, against the connection.
type Error struct {
	Code    string        // one of the codes above, or one that a newer server has
	Message string        // what is wrong, for people
	Hint    string        // what to do about it
	Room    string        // the room that it is about; "" if none
	Key     string        // of the message that it is about; "" if none
	Retry   time.Duration // when to try again; 0 if not told
}

// Error says all that is known.
func (e *Error) Error() string {
	text := "throng: " + e.Code
	if e.Room != "" {
		text += " in " + e.Room
	}
	if e.Message != "" {
		text += ": " + e.Message
	}
	if e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	return text
}

// Is makes errors.Is(err, &Error{Code: CodeDenied}) true for every error of that code.
func (e *Error) Is(target error) bool {
	t, isError := target.(*Error)
	return isError && t.Code == e.Code && t.Message == ""
}

// temporary: the same request may succeed later, and the server asks for it.
func (e *Error) temporary() bool { return e.Code == CodeUnavailable || e.Code == CodeRate }

// temporary finds the answer in an error, if it is one that asks to try again.
func temporary(err error) (*Error, bool) {
	var e *Error
	found := errors.As(err, &e) && e.temporary()
	return e, found
}

// CloseError is how the server ended a connection: by a Close frame, by bye before it, or both.
type CloseError struct {
	Code   int    // of the Close frame, or of the bye before it; 0 if there is none
	Reason string // what the server said
}

// Error says what the server said.
func (e *CloseError) Error() string {
	return fmt.Sprintf("throng: the server closed the connection: %d %s", e.Code, e.Reason)
}

// What ends requests without an answer.
var (
	// ErrClosed: the client was closed, by Close or since the server does not want it. [Client.Err] says more.
	ErrClosed = errors.New("throng: the client is closed")
	// ErrQueueFull: as many messages wait for their acknowledgement as [Options.Pending] allows, or 16 MiB of them.
	ErrQueueFull = errors.New("throng: too many messages wait to be acknowledged")
	// ErrOffline: there is no connection just now, and what was asked makes no sense later.
	ErrOffline = errors.New("throng: not connected")
	// ErrBehind: nobody took events for ten seconds, and the queue is full, so the answer could not be read.
	ErrBehind = errors.New("throng: no events are taken, and the answer is behind them")
	// ErrTooLong: a request's answer is longer than [Options.FrameMax]. Ask for less.
	ErrTooLong = errors.New("throng: a frame is longer than allowed")
)

// Reasons for ending a connection that are the client's own.
var (
	errLost     = errors.New("throng: the connection was lost before the answer")
	errSilent   = errors.New("throng: nothing was heard for twice the heartbeat")
	errProtocol = errors.New("throng: the server does not answer with throng.v1")
	errHead     = errors.New("throng: the answer to the handshake has no end")
	errWelcome  = errors.New("throng: the first message is no welcome")
)
