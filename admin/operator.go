package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// Operator is the server as its operators see it: what the API reads from and hands on to. Its methods are called from any
// goroutine and never on a loop's. An error that is a *Refusal is told as it is; any other is a fault of the server's.
type Operator interface {
	// Status says how the server is.
	Status(context.Context) Status
	// Connections is one page of the connections that a query matches. It must not stop a loop.
	Connections(context.Context, ConnectionsQuery) (ConnectionsPage, error)
	// Rooms is the first of the rooms that a query matches.
	Rooms(context.Context, RoomsQuery) (RoomsPage, error)
	// Closes is the newest of the ends that are remembered and that a query matches.
	Closes(ClosesQuery) (ClosesPage, error)
	// Kick closes connections, or counts those that it would close.
	Kick(context.Context, Caller, Kick) (Kicked, error)
	// Say sends a system message, which goes as a text message to whoever it is for.
	Say(context.Context, Caller, Say) (Said, error)
	// Drain begins to stop the server, as SIGTERM does, and returns how to see how far it is. While a drain is on it
	// begins none, and returns how to see that one.
	Drain(Caller, Drain) (Look, error)
	// Shed begins to send some connections away, and returns how to see how far it is.
	Shed(Caller, Shed) (Look, error)
	// StopShed ends a shed; it reports whether one was on.
	StopShed(Caller) bool
	// Reload reads the settings anew. All of those that can change while the server runs change, or none.
	Reload(Caller) (Reloaded, error)
}

// Look tells how far something is that takes a while.
type Look func() Progress

// Caller is who asks for a change, as it stands in the log: a user of this machine, or a key and the address that it came from.
type Caller string

// Refusal is an error that says what to do, and the HTTP status that it is told with.
type Refusal struct {
	Status  int
	Text    string
	Details []string // one line each, where one line does not say it
}

// Error is the text.
func (r *Refusal) Error() string { return r.Text }

// Refuse makes a refusal of a request that makes no sense.
func Refuse(format string, args ...any) *Refusal {
	return &Refusal{Status: http.StatusBadRequest, Text: fmt.Sprintf(format, args...)}
}

// refusalOf is the refusal that an error is; the message of one that is none is not made for strangers.
func refusalOf(err error) (r *Refusal, expected bool) {
	if errors.As(err, &r) {
		return r, true
	}
	if tooLong := (*http.MaxBytesError)(nil); errors.As(err, &tooLong) {
		return &Refusal{Status: http.StatusRequestEntityTooLarge, Text: fmt.Sprintf("the body is longer than %d bytes", tooLong.Limit)}, true
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return &Refusal{Status: http.StatusServiceUnavailable, Text: "the server did not answer in time; try again, or see /readyz for what is wrong"}, true
	}
	return &Refusal{Status: http.StatusInternalServerError, Text: err.Error()}, false
}
