package engine

import "syscall"

// runPasses serves the lanes that want a pass, one after the other, for one
// slice in all. Loop-owned.
func (l *loop) runPasses() {
	deadline := nanotime() + sliceNanos
	for l.dirty.len() > 0 {
		ln := l.dirty.pop()
		ln.queued = false
		if !l.guardedSlice(ln, deadline) {
			ln.queued = true
			l.dirty.push(ln)
		}
		if nanotime() >= deadline {
			break
		}
	}
}

// guardedSlice runs a slice. A panic costs the subscriber it was serving; the
// pass goes on behind it.
func (l *loop) guardedSlice(ln *lane, deadline int64) (clean bool) {
	defer func() {
		if p := recover(); p != nil {
			l.panicked("pass", p)
			if slot := ln.next - 1; slot >= 0 && slot < len(ln.conns) {
				ln.subs[slot].cursor = ln.log.head() // so that its end does not stumble over it again
				ln.conns[slot].fail(ReasonPanic)
			}
		}
	}()
	return ln.slice(l, deadline)
}

// skipCost, writeCost and bytesCostShift weigh the steps of a pass, so that the
// clock is read about every ten microseconds and not at every step.
const (
	skipCost       = 1
	writeCost      = 1024
	bytesCostShift = 3
	clockCost      = 8 * writeCost
)

// slice goes on with the pass: ONE write per subscriber of everything it has
// not had. It reports whether the lane is clean, that is, whether everybody in
// good health has everything.
func (ln *lane) slice(l *loop, deadline int64) (clean bool) {
	for {
		if ln.next == 0 {
			ln.passHead, ln.redo, ln.started = ln.log.head(), false, nanotime()
			if ln.passHead == ln.passed {
				return true
			}
		}
		if !ln.walk(l, deadline) {
			return false
		}
		ln.next = 0
		if !ln.redo {
			ln.passed = ln.passHead
		}
		l.stats.passTime.observe(float64(nanotime()-ln.started) / 1e9)
		ln.settle(l)
		ln.weigh(l)
		if ln.passed == ln.log.head() {
			return true
		}
		if nanotime() >= deadline {
			return false
		}
	}
}

// walk visits subscribers from next on until the deadline, and reports whether
// it came to the end.
func (ln *lane) walk(l *loop, deadline int64) bool {
	head, cost := ln.log.head(), 0
	for ln.next < len(ln.subs) {
		s := &ln.subs[ln.next]
		ln.next++
		cost += skipCost
		if s.fd >= 0 && !s.trouble && s.cursor != head {
			b := ln.log.since(s.cursor)
			n, errno := rawWrite(s.fd, b)
			l.stats.writes++
			l.stats.bytesOut += uint64(n)
			if n == len(b) {
				l.countBatch(ln, s.cursor)
				s.cursor = head
			} else {
				ln.stumble(l, ln.next-1, n, errno)
			}
			cost += writeCost + n>>bytesCostShift
		}
		if cost >= clockCost {
			cost = 0
			if nanotime() >= deadline {
				return ln.next == len(ln.subs)
			}
		}
	}
	return true
}

// countBatch counts the messages of a write that took everything from a cursor
// to the head. Subscribers in good health stand at the same cursor, so the
// count is nearly always the one before. Loop-owned.
func (l *loop) countBatch(ln *lane, cursor uint64) {
	m := &l.batch
	if m.lane != ln || m.cursor != cursor || m.frames != ln.log.frames {
		m.lane, m.cursor, m.frames = ln, cursor, ln.log.frames
		m.count = ln.log.frames - ln.log.framesBefore(cursor)
	}
	l.stats.deliveries += m.count
	l.stats.batch.observe(float64(m.count))
}

// stumble deals with a subscriber that did not take everything. What was cut in
// the middle of a frame goes to gnet, so that whatever is sent next stands
// behind it; the rest waits in the log.
func (ln *lane) stumble(l *loop, slot, n int, errno syscall.Errno) {
	s, c := &ln.subs[slot], ln.conns[slot]
	if errno == 0 {
		end := ln.log.frameEnd(s.cursor, s.cursor+uint64(n))
		rest := ln.log.since(s.cursor + uint64(n))[:end-s.cursor-uint64(n)]
		l.stats.deliveries += ln.log.framesBefore(end) - ln.log.framesBefore(s.cursor)
		s.cursor = end
		if len(rest) > 0 {
			c.gnetWrite(rest)
		}
	}
	c.cannotWrite(errno)
}
