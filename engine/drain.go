package engine

import (
	"context"
	"time"
)

// Drain sends everybody away: from now on upgrades get 503 and Retry-After while
// the listener stays open, and connections are closed evenly over the window
// with 1001 and "restart; reconnect in N ms". N is each one's own place in the
// window, so that those who honour it come back no faster than they were sent
// away. It returns when nobody is left, which with nobody connected is at once,
// or when ctx ends, which stops it but lets nobody in again, or, with whoever is
// left, two seconds after the window and the close timeout are over. A Shed or
// another Drain that is under way is taken over. Progress, if not nil, is called
// once a second with how many are left, how many they were, and an estimate of the
// time until the last is told. Any goroutine but a loop's.
func (e *Engine) Drain(ctx context.Context, window time.Duration, progress func(left, total int, remaining time.Duration)) error {
	d := &departure{why: ReasonShutdown, window: window}
	e.draining.Store(true)
	if err := e.claim(ctx, d); err != nil {
		return err
	}
	defer e.release(d)
	total := e.left()
	lists, _ := e.listOpen(d.ctx) // a blocked loop's are left to the watchdog
	if d.ctx.Err() != nil {
		return context.Cause(d.ctx)
	}
	e.depart(d, lists)
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	deadline := time.Now().Add(window + e.limits.Load().CloseTimeout + 2*time.Second)
	for said := time.Now(); ; {
		left := e.left()
		if left == 0 || time.Now().After(deadline) {
			return nil
		}
		if progress != nil && time.Since(said) >= time.Second {
			said = time.Now()
			progress(left, total, d.remaining())
		}
		select {
		case <-d.ctx.Done():
			return context.Cause(d.ctx)
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
