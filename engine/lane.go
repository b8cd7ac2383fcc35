package engine

// lane is where the subscribers of one topic and outfit stand on one loop:
// a log of frames, and for each subscriber how far into it they are. Loop-owned.
//
//	subs   ┌────────┬────────┬────────┬────────┬────────┬────────┐
//	       │ cursor │ cursor │ cursor │ cursor │ cursor │ cursor │  16 bytes each,
//	       │ fd     │ fd     │ fd     │ fd  -1 │ fd     │ fd     │  four to a cache line
//	       └────────┴────────┴────────┴────────┴────────┴────────┘
//	conns      *        *        *        *        *        *       touched only in trouble
//	                             ▲ next: where the pass stands
//
// A pass walks subs in slices. Before next everybody in good health has at
// least passHead; behind it at least passed.
type lane struct {
	local   *local
	sibling *lane // the topic's next lane on this loop
	log     frameLog
	subs    []sub
	conns   []*Conn // parallel to subs
	pos     uint64  // position of the last message that has one and was given to the lane, or came before it

	next     int    // the slot the pass goes on with
	passHead uint64 // head when the pass began
	passed   uint64 // what everybody in good health has had
	started  int64  // nanoseconds, when the pass began
	outfit   outfit // what its frames are
	placed   bool   // pos is right although nothing with a position may have come yet
	redo     bool   // a slot moved across next: who is in it may have been left out
	queued   bool   // stands in loop.dirty

	lagging   int    // subscribers in trouble
	seen      uint64 // head at the last look at them
	seenCount uint64 // and the frames before it
	far       int    // of these, farther behind than half the log (at the last look)
	farNow    int    // the same, while they are looked at
	floor     uint64 // lowest cursor of a laggard (at the last look)
	look      uint64 // which look that was
	congested bool   // counted in topic.congested
}

// sub is one subscriber: all that a pass touches of a connection in good health.
type sub struct {
	cursor  uint64
	fd      int32 // -1: gone; the slot is reaped at the end of the turn
	trouble bool  // not for the pass: it lags, or gnet holds output for it
}

// append adds a frame to the log and asks for a pass.
func (ln *lane) append(l *loop, frame []byte) {
	ln.log.append(&l.pool, frame, l.now)
	l.enqueue(ln)
	ln.weigh(l)
}

// enqueue puts a lane among those that want a pass, which begins at the end of
// the callback or with the bell. Loop-owned.
func (l *loop) enqueue(ln *lane) {
	if !ln.queued {
		ln.queued = true
		l.dirty.push(ln)
	}
}

// add gives a connection a slot. It gets what is appended from now on.
func (ln *lane) add(c *Conn, trouble bool) (slot int) {
	ln.subs = append(ln.subs, sub{cursor: ln.log.head(), fd: c.fd, trouble: trouble})
	ln.conns = append(ln.conns, c)
	if trouble {
		ln.addLaggard()
	}
	return len(ln.subs) - 1
}

// addLaggard counts a subscriber that is in trouble from now on.
func (ln *lane) addLaggard() {
	if ln.lagging++; ln.lagging == 1 {
		ln.seen, ln.seenCount = ln.log.head(), ln.log.frames
	}
}

// remove fills a slot with the last one. Never during a slice.
func (ln *lane) remove(l *loop, slot int) {
	if ln.subs[slot].trouble {
		ln.lagging--
	}
	last := len(ln.subs) - 1
	if slot != last {
		ln.subs[slot], ln.conns[slot] = ln.subs[last], ln.conns[last]
		ln.conns[slot].seat(ln).slot = uint32(slot)
		if slot < ln.next && ln.next <= last {
			ln.redo = true
		}
	}
	ln.conns[last] = nil
	ln.subs, ln.conns = ln.subs[:last], ln.conns[:last]
	ln.next = min(ln.next, last)
	ln.shrink()
	if last == 0 {
		ln.retire(l)
		return
	}
	ln.settle(l)
	ln.weigh(l)
}

// shrink gives memory back when a crowd has left.
func (ln *lane) shrink() {
	if n := len(ln.subs); cap(ln.subs) > 64 && n < cap(ln.subs)/4 {
		ln.subs = append(make([]sub, 0, 2*n), ln.subs...)
		ln.conns = append(make([]*Conn, 0, 2*n), ln.conns...)
	}
}

// retire closes a lane that nobody stands in any more.
func (ln *lane) retire(l *loop) {
	ln.log.trim(&l.pool, ln.log.head())
	ln.passed, ln.passHead, ln.next, ln.redo = ln.log.head(), ln.log.head(), 0, false
	ln.setFar(0)
	ln.lagging = 0
	ln.weigh(l)
	h := ln.local
	for at := &h.lanes; *at != nil; at = &(*at).sibling {
		if *at == ln {
			*at = ln.sibling
			break
		}
	}
	if h.lanes == nil {
		h.topic.here[l.index] = nil
	}
}

// settle lets go of what everybody has had, which is what was passed unless
// somebody lags.
func (ln *lane) settle(l *loop) {
	if ln.lagging == 0 && ln.log.base != ln.passed {
		ln.log.trim(&l.pool, ln.passed)
	}
}

// weigh tells publishers whether to pause. They do while the pass is far behind
// what was said, or while more than half of the room cannot follow: then it is
// not a slow reader but too fast a speaker. One slow reader, or a few, never
// pause anybody for longer than until the next look at them; they are cut off
// by age or by the log. And they pause when so much was said since the last look
// at laggards that the next would come too late.
func (ln *lane) weigh(l *loop) {
	behind := ln.log.head() - ln.passed
	congested := behind > uint64(l.pauseBytes) || ln.far > 0 && ln.local.topic.cannotFollow() || ln.outruns(&l.engine.cfg)
	if ln.congested && behind > uint64(l.pauseBytes)/2 {
		congested = true
	}
	if congested == ln.congested {
		return
	}
	ln.congested = congested
	if congested {
		ln.local.topic.congested.Add(1)
		return
	}
	if ln.local.topic.congested.Add(-1) == 0 {
		l.engine.relaxed()
	}
}

// outruns reports whether so much was said since the last look at the laggards
// that the next would find them out of the log before it could find them far.
func (ln *lane) outruns(cfg *Config) bool {
	return ln.lagging > 0 && (over(outrunDivisor*int(ln.log.head()-ln.seen), cfg.LogBytes) ||
		over(outrunDivisor*int(ln.log.frames-ln.seenCount), cfg.LogMessages))
}

// laneQueue holds the lanes that want a pass, in turn.
type laneQueue struct {
	lanes []*lane
	first int
}

func (q *laneQueue) push(ln *lane) { q.lanes = append(q.lanes, ln) }

func (q *laneQueue) len() int { return len(q.lanes) - q.first }

func (q *laneQueue) peek() *lane { return q.lanes[q.first] }

func (q *laneQueue) pop() *lane {
	ln := q.lanes[q.first]
	q.lanes[q.first] = nil
	if q.first++; q.first == len(q.lanes) {
		q.lanes, q.first = q.lanes[:0], 0
	} else if q.first > 1024 && q.first > len(q.lanes)/2 {
		q.lanes = q.lanes[:copy(q.lanes, q.lanes[q.first:])]
		q.first = 0
	}
	return ln
}
