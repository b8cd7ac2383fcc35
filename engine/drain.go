package engine

import (
	"context"
	"fmt"
	"time"
)

// drainList is what a loop still has to send away.
type drainList struct {
	conns    []*Conn
	next     int
	from     int64 // nanoseconds on the real clock
	window   time.Duration
	flushing bool // input that was held back is let through now
}

// Drain sends everybody away: from now on upgrades get 503 and Retry-After while
// the listener stays open, and connections are closed evenly over the window
// with 1001 and "restart; reconnect in N ms". N is each one's own place in the
// window, so that those who honour it come back no faster than they were sent
// away. It returns when nobody is left, which with nobody connected is at once,
// or when ctx ends. Progress, if not nil, is called now and then with how many
// are left. Any goroutine.
func (e *Engine) Drain(ctx context.Context, window time.Duration, progress func(left int)) error {
	e.draining.Store(true)
	for _, l := range e.loops {
		l.box.putTask(func(l *loop) { l.startDrain(window) })
		l.bell.ring()
	}
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	deadline := time.Now().Add(window + e.cfg.CloseTimeout + 2*time.Second)
	for said := time.Now(); ; {
		left := e.left()
		if left == 0 || time.Now().After(deadline) {
			return nil
		}
		if progress != nil && time.Since(said) >= time.Second {
			said = time.Now()
			progress(left)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-poll.C:
		}
	}
}

// left counts the connections that are open or still saying goodbye.
func (e *Engine) left() (n int) {
	for _, l := range e.loops {
		n += int(l.alive.Load())
	}
	return n
}

// startDrain notes who is to be sent away, which begins with the next tick. No
// upgrade succeeds from here on. Loop-owned.
func (l *loop) startDrain(window time.Duration) {
	l.drain.conns, l.drain.next = nil, 0
	for _, c := range l.conns {
		if c != nil && c.state == stateOpen {
			l.drain.conns = append(l.drain.conns, c)
		}
	}
	l.drain.from, l.drain.window = nanotime(), window
}

// place is where in the window somebody is sent away: the loops take turns.
func (d *drainList) place(i, loop, loops int) time.Duration {
	return time.Duration(float64(d.window) * (float64(i*loops+loop) + 0.5) / float64(len(d.conns)*loops))
}

// drainSome sends away those whose time has come. Loop-owned, once a tick.
func (l *loop) drainSome() {
	d := &l.drain
	n := len(d.conns)
	if d.next == n {
		return
	}
	elapsed := time.Duration(nanotime() - d.from)
	for ; d.next < n; d.next++ {
		place := d.place(d.next, l.index, len(l.engine.loops))
		if place > elapsed {
			return
		}
		c := d.conns[d.next]
		d.conns[d.next] = nil
		l.guarded(c, "drain", func() { l.sendAway(c, place) })
	}
	if d.next == n {
		d.conns, d.next = nil, 0
	}
}

// sendAway closes one connection. What was read from it and held back is let
// through first, and what others have said by now is delivered: a message that
// was read whole reaches everybody who is sent away later.
func (l *loop) sendAway(c *Conn, place time.Duration) {
	if c.extra != nil && c.extra.held != nil && c.state == stateOpen {
		l.drain.flushing = true
		c.resume()
		l.drain.flushing = false
	}
	l.readMail()
	c.end(ReasonShutdown, ReasonShutdown.Code(), fmt.Sprintf("restart; reconnect in %d ms", place.Milliseconds()))
}
