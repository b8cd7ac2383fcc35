package engine

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// walk goes over something that a loop owns, by index, in slices: an operator who
// asks about a million connections must not stop them.
//
//	conns   ┌───┬───┬───┬───┬───┬───┬───┬───┬───┬╌╌╌┐
//	        │ * │   │ * │ * │   │ * │ * │   │ * │ * │
//	        └───┴───┴───┴───┴───┴───┴───┴───┴───┴╌╌╌┘
//	                          ▲ next            ▲ end: the length when it began
//
// A slice takes walkNanos; then the loop rings its own bell and sockets are served.
// Several walks take turns, a slice of one of them a turn. A connection keeps its
// index from accept to its end, so one that is there all the time is visited exactly
// once, one that comes or goes meanwhile at most once, and nothing is locked.
// Loop-owned.
type walk struct {
	ctx       context.Context
	next, end int
	visit     func(i int) (cost int)
	done      func(error)
}

// walkNanos is half of what other work of a loop takes at once: walks are the
// operator's, who can wait.
const walkNanos = 100_000

// The costs of visits, so that the clock is read about every five microseconds: of
// an empty place, of a connection that is looked at, and of one that is written to.
const (
	costNothing = 1
	costLook    = 64
	costWrite   = costClock
	costClock   = 1024
)

// walkConns makes a walk over a loop's connections. Loop-owned.
func (l *loop) walkConns(visit func(c *Conn) (cost int)) *walk {
	return &walk{end: len(l.conns), visit: func(i int) int {
		if c := l.conns[i]; c != nil {
			return visit(c)
		}
		return costNothing
	}}
}

// walkSome goes on with the walk whose turn it is, for at most a slice. Loop-owned,
// once a turn.
func (l *loop) walkSome() {
	if len(l.walks) == 0 {
		return
	}
	w := l.walks[0]
	copy(l.walks, l.walks[1:])
	l.walks[len(l.walks)-1] = nil
	l.walks = l.walks[:len(l.walks)-1]
	if err := context.Cause(w.ctx); err != nil {
		w.done(err)
	} else if l.guardedStroll(w, nanotime()+walkNanos) {
		w.done(nil)
	} else {
		l.walks = append(l.walks, w)
	}
	if len(l.walks) > 0 {
		l.bell.ring()
	}
}

// guardedStroll runs a slice of a walk and reports whether it came to the end. A
// panic costs the visit; the walk goes on behind it.
func (l *loop) guardedStroll(w *walk, deadline int64) (end bool) {
	defer func() {
		if p := recover(); p != nil {
			l.panicked("walk", p)
		}
	}()
	for cost := 0; w.next < w.end; {
		w.next++
		if cost += w.visit(w.next - 1); cost >= costClock {
			cost = 0
			if nanotime() >= deadline {
				return w.next == w.end
			}
		}
	}
	return true
}

// ErrStopped says that the engine was closed before it could answer.
var ErrStopped = errors.New("engine: stopped")

const (
	// blockedTime is how long a loop may be silent before its answer is not waited
	// for any more; it is left to the watchdog.
	blockedTime = 2 * time.Second
	// blockedLook is how often those who do not answer are looked at.
	blockedLook = 100 * time.Millisecond
)

// onLoops starts a walk on each of the loops and waits until all have come to their
// end, or one cannot. begin runs on the loop; what it and the visits write may
// be read once onLoops has returned, if answered says so for that loop. A context
// that ends, ends the walks. Any goroutine but a loop's.
func (e *Engine) onLoops(ctx context.Context, loops []*loop, begin func(l *loop) *walk) (answered map[*loop]bool, err error) {
	type answer struct {
		l   *loop
		err error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan answer, len(loops))
	for _, l := range loops {
		l.box.putTask(func(l *loop) {
			w := begin(l)
			w.ctx, w.done = ctx, func(err error) { answers <- answer{l, err} }
			l.walks = append(l.walks, w)
		})
		l.bell.ring()
	}
	answered, began := make(map[*loop]bool, len(loops)), nanotime()
	look := time.NewTicker(blockedLook)
	defer look.Stop()
	for len(answered) < len(loops) {
		select {
		case a := <-answers:
			if a.err != nil {
				return answered, a.err
			}
			answered[a.l] = true
		case <-look.C:
			if err := e.allBlocked(loops, answered, began); err != nil {
				return answered, err
			}
		case <-ctx.Done():
			return answered, context.Cause(ctx)
		case <-e.quit:
			return answered, ErrStopped
		}
	}
	return answered, nil
}

// allBlocked returns an error if of the loops that have not answered none can.
func (e *Engine) allBlocked(loops []*loop, answered map[*loop]bool, began int64) error {
	var err error
	for _, l := range loops {
		if answered[l] {
			continue
		}
		if nanotime()-max(l.lastTick.Load(), began) < int64(blockedTime) {
			return nil
		}
		err = fmt.Errorf("engine: loop %d is blocked and does not answer", l.index)
	}
	return err
}
