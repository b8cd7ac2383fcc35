package engine

import "golang.org/x/sys/unix"

// A connection is paused, that is, not read from, in three cases: it used up its
// frames for this turn and others wait, it published to a congested topic, or the
// handler holds it. What was read already is held (at most one read of 16 KiB beyond
// what paused it); everything else stays in the kernel, whose window makes the
// sender wait. So a flood is slowed to the pace at which the room can be
// served, and nothing is lost or grows.
//
//	           ┌── its turn came ◀── ready ◀─────── frames used up, Proceed
//	reading ◀──┤
//	           └── topic eased ◀──── waiting ◀───── topic congested
//
// All the reasons can hold at once. A connection stands in one queue at most; whoever
// comes out of it and is held by the handler stays paused, and Proceed puts it into
// ready.

// mustWait reports whether the connection published to a topic that cannot take
// more now.
func (c *Conn) mustWait() bool {
	return c.extra != nil && c.extra.waiting != nil && !c.loop.flushing
}

// onHold reports whether the handler wants nothing of the connection now.
func (c *Conn) onHold() bool { return c.extra != nil && c.extra.holds > 0 }

// stopped reports whether no more of what was read may be handed over now.
func (c *Conn) stopped() bool { return c.extra != nil && (c.onHold() || c.mustWait()) }

// AwaitEase makes the connection wait as Publish does: it is not read from while the
// topic is congested. It is for whoever takes a message in now, and publishes it
// later by Engine.PublishAt. Loop-owned.
func (c *Conn) AwaitEase(t *Topic) {
	if !t.Congested() || !c.Open() {
		return
	}
	if c.need().waiting = t; !c.loop.flushing {
		c.park()
	}
}

// Hold stops the connection's input until Proceed: OnMessage is not called for it,
// pings are not answered, and its socket is not read, so that the kernel makes its
// sender wait and not even an orderly end of TCP is noticed. It can be held more than
// once, and then needs as many calls of Proceed. A connection on hold is not idle,
// since its input waits for us. What is written to it goes out as ever.
//
// An end comes through: when the connection is closed by either side, kicked or
// drained, what was held is dropped with what the kernel had, and OnClose is called.
// Nobody has been told that it had arrived. Loop-owned.
func (c *Conn) Hold() {
	c.loop.assertInTurn()
	if !c.Open() {
		return
	}
	x := c.need()
	if x.holds++; x.holds == 1 {
		c.loop.holding++
		c.pause()
	}
}

// Proceed takes back one Hold. With the last one, input goes on where it stopped, with
// the loop's next turn. On a connection that is closing, or not on hold, it does nothing.
// Loop-owned.
func (c *Conn) Proceed() {
	c.loop.assertInTurn()
	if !c.onHold() {
		return
	}
	if c.extra.holds--; c.extra.holds == 0 {
		c.loop.holding--
		if c.Open() {
			c.park()
		}
	}
}

// unhold forgets every Hold of a connection that comes to its end.
func (c *Conn) unhold() {
	if c.onHold() {
		c.extra.holds = 0
		c.loop.holding--
	}
}

// hold keeps input for later.
func (c *Conn) hold(data []byte) {
	x := c.need()
	if x.held == nil {
		x.held = c.loop.pool.get(len(data))
	}
	if len(x.held)+len(data) > cap(x.held) {
		bigger := append(c.loop.pool.get(len(x.held)+len(data)), x.held...)
		c.loop.pool.put(x.held)
		x.held = bigger
	}
	x.held = append(x.held, data...)
}

// letGo gives the buffer of held input back.
func (c *Conn) letGo() {
	if c.extra != nil && c.extra.held != nil {
		c.loop.pool.put(c.extra.held)
		c.extra.held = nil
	}
}

// park pauses a connection and puts it into the queue it must wait in, if it is not
// in one and it is for us to let it out.
func (c *Conn) park() {
	c.pause()
	if c.flags&flagParked != 0 || c.onHold() && !c.mustWait() {
		return
	}
	c.flags |= flagParked
	l := c.loop
	if c.mustWait() {
		l.waiting = append(l.waiting, c)
		l.paused.Store(true)
		if c.extra.waiting.congested.Load() == 0 { // it eased in between, and may have told nobody
			l.looked, l.look = 0, len(l.waiting)
			l.bell.ring()
		}
		return
	}
	l.ready = append(l.ready, c)
	l.bell.ring()
}

// pause stops reading from the socket. gnet switches it on again whenever it
// holds or has flushed output, so this is said again after each.
func (c *Conn) pause() {
	c.flags |= flagPaused
	c.listenFor(0)
	c.loop.stats.pauses++
}

// readOn starts reading from the socket again.
func (c *Conn) readOn() {
	if c.flags&flagPaused != 0 {
		c.flags &^= flagPaused
		c.listenFor(unix.EPOLLIN | unix.EPOLLPRI)
	}
}

// listenFor tells gnet's epoll what to wait for, and for room for what gnet holds.
// With nothing to wait for that is left to the laggards' epoll, because gnet
// would switch reading on again.
func (c *Conn) listenFor(events uint32) {
	if c.fd < 0 {
		return
	}
	if events != 0 && c.gc.OutboundBuffered() > 0 {
		events |= unix.EPOLLOUT
	}
	rawEpollCtl(c.loop.epfd, unix.EPOLL_CTL_MOD, c.fd, events, 0)
}

// resumeReady goes on with those that were paused for the others' sake. Each
// has its share of frames; whoever needs more queues up behind the others.
func (l *loop) resumeReady() {
	if len(l.ready) == 0 {
		return
	}
	deadline := nanotime() + sliceNanos
	n := len(l.ready)
	i := 0
	for ; i < n && nanotime() < deadline; i++ {
		l.ready[i].resume()
	}
	l.ready = dropFirst(l.ready, i)
	if len(l.ready) > 0 {
		l.bell.ring()
	}
}

// resumeWaiting goes on with publishers whose topic has room again. They are
// looked at only after some topic eased, in the order in which they came; whoever
// must go on waiting keeps its place before those who have just spoken.
func (l *loop) resumeWaiting() {
	if eased := l.engine.eased.Load(); eased != l.eased {
		l.eased, l.looked, l.look = eased, 0, len(l.waiting)
	}
	if l.look == 0 {
		return
	}
	deadline := nanotime() + sliceNanos
	next := l.looked
	for ; l.look > 0 && nanotime() < deadline; l.look-- {
		c := l.waiting[next]
		next++
		if c.state == stateOpen && c.mustWait() && c.extra.waiting.congested.Load() > 0 {
			l.waiting[l.looked] = c
			l.looked++
			continue
		}
		c.resume() // which may put it at the end
	}
	left := l.looked + copy(l.waiting[l.looked:], l.waiting[next:])
	clear(l.waiting[left:])
	l.waiting = l.waiting[:left]
	if l.look > 0 {
		l.bell.ring()
	}
	l.paused.Store(len(l.waiting) > 0)
}

// resume feeds a connection what was held, and reads on if that was all.
func (c *Conn) resume() {
	c.flags &^= flagParked
	if c.Open() && c.mustWait() && c.extra.waiting.Congested() { // it stood in the other queue
		c.park()
		return
	}
	if c.extra != nil {
		c.extra.waiting = nil
	}
	if c.state != stateOpen || c.failed() || c.onHold() {
		return
	}
	if c.extra != nil && c.extra.held != nil {
		held := c.extra.held
		c.extra.held = nil
		c.loop.guarded(c, "decoder", func() {
			defer c.weighPartial(c.decoder.Pending())
			c.feed(held)
		})
		c.loop.pool.put(held)
	}
	if c.flags&flagParked == 0 && c.state == stateOpen && !c.failed() && !c.onHold() {
		c.readOn()
	}
}

// dropFirst takes the first n connections off a queue.
func dropFirst(q []*Conn, n int) []*Conn {
	if n == 0 {
		return q
	}
	left := copy(q, q[n:])
	clear(q[left:])
	return q[:left]
}
