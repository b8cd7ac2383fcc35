package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// drainList is what a loop still has to send away.
type drainList struct {
	conns    []*Conn
	places   []time.Duration // when each is sent away, from the beginning on
	from     int64           // nanoseconds on the real clock
	next     int
	flushing bool // input that was held back is let through now
}

// Drain sends everybody away: from now on upgrades get 503 and Retry-After while
// the listener stays open, and connections are closed evenly over the window
// with 1001 and "restart; reconnect in N ms". N is each one's own place in the
// window, so that those who honour it come back no faster than they were sent
// away. It returns when nobody is left, which with nobody connected is at once,
// or when ctx ends, or, with whoever is left, two seconds after the
// window and the close timeout are over. Progress, if not nil, is called now and then with how many
// are left. Any goroutine.
func (e *Engine) Drain(ctx context.Context, window time.Duration, progress func(left int)) error {
	e.draining.Store(true)
	if err := e.startDrain(ctx, window); err != nil {
		return err
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

// drainAnswerTime is how long a loop may take to list whom it will send away. One
// that is blocked for longer is left to the watchdog.
const drainAnswerTime = 2 * time.Second

// startDrain has every loop list whom it will send away, and gives each of them
// a place in the window of its own.
func (e *Engine) startDrain(ctx context.Context, window time.Duration) error {
	type list struct{ loop, n int }
	lists := make(chan list, len(e.loops))
	for i, l := range e.loops {
		l.box.putTask(func(l *loop) { lists <- list{i, l.listForDrain()} })
		l.bell.ring()
	}
	counts, late := make([]int, len(e.loops)), time.After(drainAnswerTime)
answers:
	for range e.loops {
		select {
		case a := <-lists:
			counts[a.loop] = a.n
		case <-late:
			break answers
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	places, now := drainPlaces(counts, window), nanotime()
	for i, l := range e.loops {
		l.box.putTask(func(l *loop) { l.drain.places, l.drain.from = places[i], now })
		l.bell.ring()
	}
	return nil
}

// drainPlaces spreads as many places as there are connections evenly over the
// window and deals them out to the loops, so that each loop's stand as evenly.
func drainPlaces(counts []int, window time.Duration) [][]time.Duration {
	type share struct {
		at   float64
		loop int
	}
	var all []share
	for l, n := range counts {
		for i := range n {
			all = append(all, share{(float64(i) + 0.5) / float64(n), l})
		}
	}
	slices.SortStableFunc(all, func(a, b share) int { return cmp.Compare(a.at, b.at) })
	places := make([][]time.Duration, len(counts))
	for i, s := range all {
		place := time.Duration((float64(i) + 0.5) / float64(len(all)) * float64(window))
		places[s.loop] = append(places[s.loop], place)
	}
	return places
}

// listForDrain notes who is to be sent away. No upgrade succeeds from here on.
// Loop-owned.
func (l *loop) listForDrain() int {
	l.drain = drainList{}
	for _, c := range l.conns {
		if c != nil && c.state == stateOpen {
			l.drain.conns = append(l.drain.conns, c)
		}
	}
	return len(l.drain.conns)
}

// drainSome sends away those whose time has come, for at most a slice. Loop-owned,
// once a turn.
func (l *loop) drainSome() {
	d := &l.drain
	if d.next >= len(d.places) || d.next >= len(d.conns) {
		return
	}
	now := nanotime()
	for deadline := now + sliceNanos; d.next < min(len(d.places), len(d.conns)) && int64(d.places[d.next]) <= now-d.from; {
		if nanotime() > deadline {
			l.bell.ring()
			return
		}
		c, place := d.conns[d.next], d.places[d.next]
		d.conns[d.next] = nil
		d.next++
		l.guarded(c, "drain", func() { l.sendAway(c, place) })
	}
}

// sendAway closes one connection. What was read from it and held back is let
// through first, and what others have said by now is delivered: a message that
// was read whole reaches everybody who is sent away later.
func (l *loop) sendAway(c *Conn, place time.Duration) {
	c.speakOut()
	l.readMail()
	c.end(ReasonShutdown, ReasonShutdown.Code(), fmt.Sprintf("restart; reconnect in %d ms", place.Milliseconds()))
}
