package engine

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"throng/protocol"
)

// panicBook counts panics by their place in the code.
type panicBook struct {
	mu     sync.Mutex
	places map[string][]time.Time
	why    string
}

// note records a panic and reports whether it is the first of its place. Three
// in a minute withdraw readiness: something is wrong with this build.
func (b *panicBook) note(where string) (first bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.places == nil {
		b.places = map[string][]time.Time{}
	}
	recent := b.places[where]
	first = len(recent) == 0
	recent = append(recent, time.Now())
	if len(recent) > panicsTolerated+1 {
		recent = recent[1:]
	}
	if len(recent) > panicsTolerated && recent[len(recent)-1].Sub(recent[0]) < time.Minute && b.why == "" {
		b.why = "repeated panics in " + where
	}
	b.places[where] = recent
	return first
}

func (b *panicBook) withdraw(why string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.why = why
}

func (b *panicBook) reason() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.why
}

// guarded runs f for a connection. A panic costs that connection and nobody
// else.
func (l *loop) guarded(c *Conn, where string, f func()) {
	outer := l.where
	l.where = where
	defer func() {
		if p := recover(); p != nil {
			l.panicked(l.where, p)
			l.forfeit(c)
			if c.state == stateHead {
				c.sayError(errPanic, ReasonPanic)
			} else {
				c.fail(ReasonPanic)
			}
		}
		l.where = outer
	}()
	f()
}

// forfeit takes the decoder from a connection, since whatever it held may be the
// cause of a panic.
func (l *loop) forfeit(c *Conn) {
	defer func() {
		_ = recover() // it may not even know what it held
		c.decoder = protocol.Decoder{}
	}()
	l.partial -= c.decoder.Pending()
}

// panicked counts a panic and logs its stack, once per place in the code.
func (l *loop) panicked(where string, p any) {
	l.stats.panics++
	if l.engine.panics.note(where) {
		l.engine.cfg.Logger.Error("panic; what it was serving is given up",
			slog.String("in", where), slog.String("panic", fmt.Sprint(p)), slog.String("stack", string(debug.Stack())))
	}
}
