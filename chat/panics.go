package chat

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
)

// A panic on a goroutine that serves no single client must not end the process, and everybody with it: what was being done is given up, counted, and logged
// with its stack.

// caught keeps a panic from going further. It is deferred. Any goroutine.
func (s *Server) caught(where string) {
	if p := recover(); p != nil {
		s.panicked(where, p)
	}
}

// guarded runs f. Any goroutine.
func (s *Server) guarded(where string, f func()) {
	defer s.caught(where)
	f()
}

// panicked takes note of a panic. Any goroutine; the panicking one.
func (s *Server) panicked(where string, p any) {
	s.stats.panics.Add(1)
	s.cfg.Logger.Error("panic in the rooms; what it was about is given up", slog.String("where", where), slog.String("panic", fmt.Sprint(p)), slog.String("stack", string(debug.Stack())))
}

// againIfPanicking has the next beat try again what a panic left undone in a room, and lets the panic go on. It is deferred. The room's lock is held.
func (r *room) againIfPanicking() {
	if p := recover(); p != nil {
		r.sure = false
		r.server.again(r)
		panic(p)
	}
}

// answersFor makes of a panic in the store's code an answer that was not had, so that it is asked again. It is deferred.
func (s *Server) answersFor(err *error) {
	if p := recover(); p != nil {
		s.panicked("store", p)
		*err = ErrUnavailable
	}
}

// askLast asks the store for the room's newest number. It may block, as may those that follow.
func (r *room) askLast(ctx context.Context) (seq uint64, err error) {
	defer r.server.answersFor(&err)
	return r.server.store.Last(ctx, r.policy.stream, r.name)
}

// askAfter asks the store for messages behind a number.
func (r *room) askAfter(ctx context.Context, after uint64, limit int) (messages []Stored, err error) {
	defer r.server.answersFor(&err)
	return r.server.store.Read(ctx, r.policy.stream, r.name, after, limit)
}

// askBefore asks the store for messages before a number, and whether there are more.
func (r *room) askBefore(ctx context.Context, before uint64, limit int) (messages []Stored, more bool, err error) {
	defer r.server.answersFor(&err)
	return r.server.store.ReadBefore(ctx, r.policy.stream, r.name, before, limit)
}
