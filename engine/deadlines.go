package engine

import (
	"time"

	"throng/timeouts"
)

// The classes of timer. A class and the silence since the last touch decide
// what a visit of the wheel does, so that a visit to a lively connection
// touches nothing of it.
const (
	classHead    uint8 = iota // waiting for the request: a fixed deadline
	classOpen                 // pings and the idle limit
	classClosing              // looked at every tick until the close timeout
)

// never is how far away a deadline is that is off: seen again twice a year.
const never = 180 * 24 * time.Hour

// arm gives a connection its timer.
func (l *loop) arm(c *Conn, class uint8, wait time.Duration) {
	if wait == 0 {
		wait = never
	}
	c.timer = l.wheel.Add(class, l.now, wait)
	for int(c.timer) >= len(l.conns) {
		l.conns = append(l.conns, nil)
	}
	l.conns[c.timer] = c
}

// rearm moves a connection's timer to another class, from now on. A wait of 0
// is the next tick.
func (l *loop) rearm(c *Conn, class uint8, wait time.Duration) {
	l.wheel.Set(c.timer, class, l.now, max(wait, tickNanos))
}

// openWait is the silence after which an open connection is looked at next:
// the next ping, or the idle limit.
func (l *loop) openWait(silent time.Duration) time.Duration {
	lim := l.limits
	wait := never
	if p := lim.PingInterval; p > 0 {
		wait = (silent/p + 1) * p
	}
	if lim.IdleTimeout > 0 {
		wait = min(wait, lim.IdleTimeout)
	}
	return wait
}

// expire is called by the wheel for each timer whose time has come.
func (l *loop) expire(id timeouts.ID, class uint8, silent time.Duration) time.Duration {
	lim := l.limits
	if class == classOpen {
		if first := l.openWait(0); silent < first {
			return first // it spoke since: the connection itself is not touched
		}
	}
	c := l.conns[id]
	switch class {
	case classHead:
		l.expireHead(c)
		return never
	case classClosing:
		return l.expireClosing(c, silent)
	}
	if c.flags&flagPaused != 0 { // its input waits for us, not we for it
		l.wheel.Touch(id, l.now)
		return l.openWait(0)
	}
	if lim.IdleTimeout > 0 && silent >= lim.IdleTimeout {
		l.stats.idleLate.observe((silent - lim.IdleTimeout).Seconds())
		c.evictIdle()
		return tickNanos
	}
	if lim.PingInterval > 0 && silent >= lim.PingInterval && !c.clogged() {
		l.stats.pingsOut++
		c.write(pingFrame)
	}
	return l.openWait(silent)
}

// retimeStale places the timers of open connections anew, for at most a slice,
// after the timeouts were changed: one may have come nearer. Loop-owned, once a
// turn.
func (l *loop) retimeStale() {
	if l.stale == 0 {
		return
	}
	l.stale = min(l.stale, len(l.conns))
	for deadline := nanotime() + sliceNanos; l.stale > 0; {
		l.stale--
		if c := l.conns[l.stale]; c != nil && c.state == stateOpen {
			touched := l.wheel.Touched(c.timer)
			l.wheel.Set(c.timer, classOpen, touched, l.openWait(time.Duration(l.now-touched)))
		}
		if l.stale%wheelBudget == 0 && nanotime() >= deadline {
			break
		}
	}
	if l.stale > 0 {
		l.bell.ring()
	}
}

// pingFrame is a server's ping without payload.
var pingFrame = []byte{0x89, 0x00}

// evictIdle closes a silent connection with 4408. A socket that takes no more
// bytes cannot be told: it gets an RST.
func (c *Conn) evictIdle() {
	if c.clogged() {
		_ = c.gc.SetLinger(0)
		c.reason = ReasonIdle
		c.loop.open--
		c.state = stateClosing
		c.loop.doom(c)
		return
	}
	c.endFor(ReasonIdle)
}

// expireHead ends a connection whose request did not arrive in time, without a
// word.
func (l *loop) expireHead(c *Conn) {
	c.reason = ReasonHandshakeTimeout
	l.doom(c)
}

// expireClosing shuts our side once the socket has taken all, and ends TCP when
// the close timeout is up.
func (l *loop) expireClosing(c *Conn, silent time.Duration) time.Duration {
	if c.flags&(flagPeerDone|flagRefused) != 0 {
		c.finish()
	}
	if limit := l.limits.CloseTimeout; limit == 0 || silent < limit {
		return silent + tickNanos
	}
	c.giveUp()
	return tickNanos
}

// wheelBudget is how many timers are visited between two looks at the clock.
const wheelBudget = 32

// tick looks at everything that goes by time. asked is when the ticker asked
// for it. Loop-owned.
func (l *loop) tick(asked int64) {
	real := l.engine.clock()
	l.stats.lag.observe(float64(real-asked) / 1e9)
	l.tickLag.observe(real, real-asked)
	l.leaveOut(real - l.ticked - 2*tickNanos)
	l.now = real - l.skew
	l.ticked = real
	l.engine.ticked.Store(real)
	l.lastTick.Store(nanotime())
	if l.wheelTurn() {
		l.tickDue.CompareAndSwap(0, asked) // more timers are due: go on after the sockets
		l.bell.ring()
	}
	l.lookAtLaggards()
	l.lookAtDoors()
	l.publishStats()
}

// wheelTurn visits timers for at most a slice, and reports whether more are due.
func (l *loop) wheelTurn() (more bool) {
	deadline := nanotime() + sliceNanos
	for l.guardedAdvance() {
		if nanotime() >= deadline {
			return true
		}
	}
	return false
}

func (l *loop) guardedAdvance() (more bool) {
	defer func() {
		if p := recover(); p != nil {
			l.panicked("wheel", p)
			more = true
		}
	}()
	return l.wheel.Advance(l.now, wheelBudget, l.due)
}
