package engine

import (
	"os"

	"golang.org/x/sys/unix"
)

// laggards are the connections that could not take all they were sent, or that have
// a replay first. Each stays at its cursor in the log and costs a record, not a copy
// of the data. gnet tells nobody that a socket takes bytes again, so laggards stand in
// an epoll of the loop's own, asked without waiting at each turn: the cost is by those
// that are ready, not by those that lag. Loop-owned.
type laggards struct {
	epfd   int
	conns  []*Conn
	events []unix.EpollEvent
	looks  uint64
	lanes  []*lane // with laggards, at the last look
	before []*lane // and at the one before
}

// readyAtOnce is how many laggards are served between two looks at the clock:
// each may take 128 KiB at once.
const readyAtOnce = 8

// lagRecord is what a connection has while it lags.
type lagRecord struct {
	index   int     // in laggards.conns
	rest    int64   // nanoseconds since when gnet holds output, 0: it holds none
	behind  int     // bytes not had, at the last look
	replay  *replay // what comes before its topics go on
	full    bool    // the socket did not take all; without a replay it is always so
	watched bool    // the descriptor stands in the epoll
}

func newLaggards() (laggards, error) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	return laggards{epfd: epfd, events: make([]unix.EpollEvent, readyAtOnce)}, os.NewSyscallError("epoll_create1", err)
}

// lag says that the connection could not take all: passes leave it alone until
// its socket takes bytes again.
func (c *Conn) lag() {
	if c.state == stateGone || c.failed() {
		return
	}
	c.stepAside()
	c.lagging.full = true
	if c.gc.OutboundBuffered() > 0 && c.lagging.rest == 0 {
		c.lagging.rest = c.loop.now
	}
	c.watch()
}

// stepAside puts the connection among the laggards, if it is not: passes leave it
// alone from now on.
func (c *Conn) stepAside() {
	if c.lagging != nil {
		return
	}
	l := c.loop
	c.lagging = &lagRecord{index: len(l.lag.conns)}
	l.lag.conns = append(l.lag.conns, c)
	c.eachSeat(func(s *seat) { s.setTrouble(true) })
	l.engine.urge(l)
}

// clogged reports whether the socket takes nothing now, as far as we know.
func (c *Conn) clogged() bool { return c.lagging != nil && c.lagging.full }

// watch asks to be told, once, when the socket takes bytes again.
func (c *Conn) watch() {
	op := unix.EPOLL_CTL_ADD
	if c.lagging.watched {
		op = unix.EPOLL_CTL_MOD
	}
	errno := rawEpollCtl(c.loop.lag.epfd, op, c.fd, unix.EPOLLOUT|unix.EPOLLONESHOT, uint32(c.timer))
	if errno != 0 {
		c.fail(ReasonSlow)
		return
	}
	c.lagging.watched = true
}

// recovered ends the lag of a connection.
func (c *Conn) recovered() {
	g, r := &c.loop.lag, c.lagging
	if r == nil {
		return
	}
	if r.watched && c.fd >= 0 {
		rawEpollCtl(g.epfd, unix.EPOLL_CTL_DEL, c.fd, 0, 0)
	}
	last := len(g.conns) - 1
	g.conns[r.index] = g.conns[last]
	g.conns[r.index].lagging.index = r.index
	g.conns[last] = nil
	g.conns = g.conns[:last]
	c.lagging = nil
	c.eachSeat(func(s *seat) {
		s.setTrouble(false)
		s.lane.settle(c.loop)
		s.lane.weigh(c.loop)
	})
}

// retryLaggards serves those whose sockets take bytes again, for at most a
// slice. Loop-owned.
func (l *loop) retryLaggards() {
	if len(l.lag.conns) == 0 {
		return
	}
	deadline := nanotime() + sliceNanos
	for {
		n := rawEpollPoll(l.lag.epfd, l.lag.events)
		for _, ev := range l.lag.events[:n] {
			if id := int(uint32(ev.Pad)); id < len(l.conns) {
				if c := l.conns[id]; c != nil && c.fd == ev.Fd && c.lagging != nil {
					l.guarded(c, "catch up", c.catchUp)
				}
			}
		}
		if n < len(l.lag.events) || nanotime() >= deadline {
			break
		}
	}
}

// catchUp writes to a laggard what it takes: first what gnet holds, then what is
// replayed to it, then lane by lane what it has not had.
func (c *Conn) catchUp() {
	if c.failed() {
		return
	}
	if c.gc.OutboundBuffered() > 0 {
		if err := c.gc.Flush(); err != nil || c.state == stateGone {
			return
		}
		c.stayPaused()
		if c.gc.OutboundBuffered() > 0 {
			c.watch()
			return
		}
	}
	c.lagging.rest, c.lagging.full = 0, false
	if c.lagging.replay != nil {
		c.flushPong()
		c.loop.queueReplay(c)
		return
	}
	done := true
	c.eachSeat(func(s *seat) {
		if done && !c.failed() && c.state != stateGone {
			done = c.loop.catchUpSeat(c, s)
		}
	})
	if done && !c.failed() && c.state != stateGone {
		c.recovered()
		c.flushPong()
	}
}

// catchUpSeat writes what a laggard has not had of one lane, and reports
// whether it took all.
func (l *loop) catchUpSeat(c *Conn, s *seat) bool {
	ln := s.lane
	at := &ln.subs[s.slot]
	if at.cursor == ln.log.head() {
		return true
	}
	b := ln.log.since(at.cursor)
	n, errno := rawWrite(at.fd, b)
	l.stats.writes++
	l.stats.bytesOut += uint64(n)
	if n < len(b) {
		ln.stumble(l, int(s.slot), n, errno)
		return false
	}
	l.countBatch(ln, at.cursor)
	at.cursor = ln.log.head()
	return true
}

// lookAtLaggards applies the one rule on slow readers: who has an unsent byte
// older than the write timeout, or has fallen out of a topic's log, is cut off.
// Then each log lets go of what nobody waits for, and what is held after that is
// held against the budget. Loop-owned, once a retry tick.
func (l *loop) lookAtLaggards() {
	g := &l.lag
	if len(g.conns) == 0 && len(g.lanes) == 0 {
		return
	}
	g.looks++
	g.before, g.lanes = g.lanes, g.before[:0]
	for _, c := range g.conns {
		if !c.failed() && c.tooSlow() {
			l.stats.slowBytes += uint64(c.lagging.behind)
			c.fail(ReasonSlow)
		}
	}
	for _, ln := range g.before { // whose laggards may all be gone
		if ln.look != g.looks {
			ln.setFar(0)
			ln.settle(l)
			ln.weigh(l)
		}
	}
	clear(g.before)
	for _, ln := range g.lanes {
		if floor := min(ln.floor, ln.passed); floor > ln.log.base {
			ln.log.trim(&l.pool, floor)
		}
		ln.setFar(ln.farNow)
		ln.weigh(l)
	}
	l.enforceMemory()
}

// tooSlow judges one laggard and notes, for its lanes, how far behind it is.
func (c *Conn) tooSlow() bool {
	l, slow := c.loop, false
	cfg := &l.engine.cfg
	oldest := int64(0)
	c.lagging.behind = c.gc.OutboundBuffered()
	if c.lagging.rest > 0 {
		oldest = l.now - c.lagging.rest
	}
	c.eachSeat(func(s *seat) {
		ln := s.lane
		ln.seen, ln.seenCount = ln.log.head(), ln.log.frames
		if ln.subs[s.slot].cursor == ln.log.head() {
			ln.weigh(l)
			return
		}
		cursor := ln.subs[s.slot].cursor
		m := ln.log.markAt(cursor)
		bytes, frames := int(ln.log.head()-cursor), int(ln.log.frames-m.frames)
		oldest = max(oldest, l.now-m.nanos)
		c.lagging.behind += bytes
		if over(bytes, cfg.LogBytes) && ln.log.frames-ln.log.framesBefore(cursor) > 1 || over(frames, cfg.LogMessages+markEveryFrames) && cfg.LogMessages > 0 {
			slow = true
			return
		}
		ln.noteLaggard(l, cursor, over(2*bytes, cfg.LogBytes) || over(2*frames, cfg.LogMessages))
	})
	return slow || l.limits.WriteTimeout > 0 && oldest > int64(l.limits.WriteTimeout)
}

// over reports whether n exceeds a limit; 0 is no limit.
func over(n, limit int) bool { return limit > 0 && n > limit }

// noteLaggard records a laggard's cursor in this look.
func (ln *lane) noteLaggard(l *loop, cursor uint64, far bool) {
	if ln.look != l.lag.looks {
		ln.look, ln.floor, ln.farNow = l.lag.looks, cursor, 0
		l.lag.lanes = append(l.lag.lanes, ln)
	}
	ln.floor = min(ln.floor, cursor)
	if far {
		ln.farNow++
	}
}

// setFar notes how many of the lane's subscribers are far behind, in the lane's
// books and in its topic's.
func (ln *lane) setFar(n int) {
	ln.local.topic.far.Add(int32(n - ln.far))
	ln.far = n
}

// evictionsPerLook bounds how many laggards one look cuts off for memory's
// sake; what is held is measured again before the next.
const evictionsPerLook = 16

// enforceMemory keeps the node's logs and buffers within their share of memory:
// first by what waits to be used again, then by those farthest behind.
func (l *loop) enforceMemory() {
	if l.measure(); l.engine.overMemory() == 0 {
		return
	}
	l.pool.drop()
	l.measure()
	excess := l.engine.overMemory()
	for i := 0; excess > 0 && i < min(evictionsPerLook, len(l.lag.conns)); i++ {
		var worst *Conn
		for _, c := range l.lag.conns {
			if !c.failed() && (worst == nil || c.lagging.behind > worst.lagging.behind) {
				worst = c
			}
		}
		if worst == nil {
			return
		}
		excess -= int64(worst.lagging.behind) // at most: others may be as far behind in the same log
		l.stats.slowBytes += uint64(worst.lagging.behind)
		worst.fail(ReasonSlow)
	}
}
