package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// departure is a plan to send connections away: each at a place of its own in a
// window of time, with its own moment to come back. Drain and Shed make one; the
// loops carry it out, each for its own connections.
type departure struct {
	why    Reason
	window time.Duration
	slots  time.Duration // the moments to come back begin anew after this; 0: never
	ctx    context.Context
	cancel context.CancelCauseFunc

	total  atomic.Int64  // places
	passed atomic.Int64  // places that have come up
	sent   atomic.Int64  // connections that were still there then, and were sent away
	done   chan struct{} // closed when all have come up
}

// leaving is what a loop has to do of a departure. Loop-owned.
type leaving struct {
	*departure
	list   []leaver
	places []time.Duration // when each is sent away, from the beginning on
	from   int64           // nanoseconds on the real clock
	next   int
}

// leaver is a connection that may be sent away.
type leaver struct {
	heard int64 // nanoseconds on the real clock
	id    ID
}

// leavers lets one departure happen at a time.
type leavers struct {
	mu  sync.Mutex
	now *departure
}

var (
	// ErrLeaving says that connections are being sent away already.
	ErrLeaving = errors.New("engine: connections are being sent away already; wait until that is over, or end it")
	// ErrTakenOver says that a drain has taken over.
	ErrTakenOver = errors.New("engine: a drain has taken over")
)

// claim begins a departure, unless another is under way that it may not take over.
func (e *Engine) claim(ctx context.Context, d *departure) error {
	v := &e.leavers
	v.mu.Lock()
	defer v.mu.Unlock()
	if d.why != ReasonShutdown && (v.now != nil || e.draining.Load()) {
		return ErrLeaving
	}
	if v.now != nil {
		v.now.cancel(ErrTakenOver)
	}
	d.ctx, d.cancel = context.WithCancelCause(ctx)
	d.done = make(chan struct{})
	v.now = d
	return nil
}

// release ends a departure, finished or not.
func (e *Engine) release(d *departure) {
	d.cancel(nil)
	e.leavers.mu.Lock()
	defer e.leavers.mu.Unlock()
	if e.leavers.now == d {
		e.leavers.now = nil
	}
}

// listOpen lists the open connections of each loop, by walks, so that no loop stands
// still for it. With an error it has those of the loops that answered.
func (e *Engine) listOpen(ctx context.Context) ([][]leaver, error) {
	pages := make([][][]leaver, len(e.loops)) // a slice that grows would copy all at once
	answered, err := e.onLoops(ctx, e.loops, func(l *loop) *walk {
		mine := &pages[l.index]
		return l.walkConns(func(c *Conn) int {
			if !c.Open() {
				return costNothing
			}
			if n := len(*mine); n == 0 || len((*mine)[n-1]) == leaversPerPage {
				*mine = append(*mine, make([]leaver, 0, leaversPerPage))
			}
			page := &(*mine)[len(*mine)-1]
			*page = append(*page, leaver{c.heard(), c.ID()})
			return costLook
		})
	})
	lists := make([][]leaver, len(e.loops))
	for _, l := range e.loops {
		if answered[l] {
			lists[l.index] = slices.Concat(pages[l.index]...)
		}
	}
	return lists, err
}

const leaversPerPage = 1024

// depart gives each loop the list of whom it sends away, in this order.
func (e *Engine) depart(d *departure, lists [][]leaver) {
	counts := make([]int, len(lists))
	for i, list := range lists {
		counts[i] = len(list)
		d.total.Add(int64(len(list)))
	}
	if d.total.Load() == 0 {
		close(d.done)
	}
	places := drainPlaces(counts, d.window)
	for i, l := range e.loops {
		l.box.putTask(func(l *loop) {
			if d.ctx.Err() != nil { // taken over by a drain, whose list may be here already
				return
			}
			l.leave = &leaving{departure: d, list: lists[i], places: places[i], from: l.engine.clock()}
		})
		l.bell.ring()
	}
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

// remaining estimates the time until the last has been sent away, by the plan: what
// is behind it is caught up with at the plan's pace at best.
func (d *departure) remaining() time.Duration {
	total := d.total.Load()
	if total == 0 {
		return 0
	}
	return time.Duration(float64(d.window) * float64(total-d.passed.Load()) / float64(total))
}

// sendSomeAway sends away those whose time has come, for at most a slice.
// Loop-owned, once a turn.
func (l *loop) sendSomeAway() {
	v := l.leave
	if v == nil {
		return
	}
	if v.ctx.Err() != nil || v.next == len(v.list) {
		l.leave = nil
		return
	}
	now := l.engine.clock()
	for deadline := nanotime() + sliceNanos; v.next < len(v.list) && int64(v.places[v.next]) <= now-v.from; {
		if nanotime() > deadline || l.leave != v { // another was in the mailbox
			l.bell.ring()
			return
		}
		who, place := v.list[v.next], v.places[v.next]
		v.next++
		if c := l.find(who.id); c != nil && c.Open() {
			v.sent.Add(1)
			l.guarded(c, "drain", func() { l.sendAway(c, v.departure, place) })
		}
		if v.passed.Add(1) == v.total.Load() {
			close(v.done)
		}
	}
}

// sendAway closes one connection. What was read from it and held back is let
// through first, and what others have said by now is delivered: a message that
// was read whole reaches everybody who is sent away later.
func (l *loop) sendAway(c *Conn, d *departure, place time.Duration) {
	c.speakOut()
	l.readMail()
	if d.slots > 0 {
		place %= d.slots
	}
	c.end(d.why, d.why.Code(), fmt.Sprintf("%s; reconnect in %d ms", reasonTable[d.why].text, place.Milliseconds()))
}
