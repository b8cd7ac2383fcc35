package engine

import (
	"throng/protocol"
)

// receive takes input in whatever state the connection is.
func (c *Conn) receive(data []byte) {
	defer c.weighPartial(c.decoder.Pending())
	switch c.state {
	case stateHead:
		if c.flags&flagDoorstep != 0 {
			c.receiveProxy(data)
			return
		}
		c.receiveHead(data)
	case stateOpen:
		if c.tooManyBytes(len(data)) {
			c.endFor(ReasonByteRate)
			return
		}
		if c.flags&flagPaused != 0 {
			c.hold(data)
			c.pause()
			return
		}
		c.feed(data)
	case stateClosing:
		c.receiveLast(data)
	}
}

// tooManyBytes holds what was read against the rate of bytes.
func (c *Conn) tooManyBytes(n int) bool {
	l := c.loop
	r, burst := l.limits.ByteRate, l.limits.ByteBurst
	return r > 0 && !c.need().bytes.takeN(n, l.now, r, burst)
}

// feed decodes input and hands over what is complete in it. Input that must
// wait, for the others' sake or a topic's, is held and the socket left unread.
func (c *Conn) feed(data []byte) {
	l, frames := c.loop, 0
	budget := l.engine.cfg.FramesPerTurn
	for c.state == stateOpen && !c.failed() && !c.stopped() {
		ev, rest, ok, err := c.decoder.Next(&l.engine.cfg.Decoder, data)
		if err != nil {
			c.violate(err)
			return
		}
		if !ok {
			return
		}
		data = rest
		c.take(ev)
		if frames++; frames == budget && !l.flushing {
			break
		}
	}
	switch {
	case c.failed() || c.state == stateGone:
	case c.state == stateClosing: // by the handler: what follows may answer our Close frame
		c.receiveLast(data)
	case len(data) > 0:
		c.hold(data)
		c.park()
	case c.mustWait():
		c.park()
	}
}

// partialSmall is what a connection may hold of an unfinished message even when
// the node is over its memory: a chat line in two pieces still arrives.
const partialSmall = 4 << 10

// weighPartial counts what an unfinished message takes, and ends a connection
// whose share is large while the node holds more than it may.
func (c *Conn) weighPartial(before int) {
	after := c.decoder.Pending()
	c.loop.partial += after - before
	if after > max(before, partialSmall) && c.loop.engine.overMemory() > 0 {
		c.endFor(ReasonMemory)
	}
}

// take acts on one event.
func (c *Conn) take(ev protocol.Event) {
	l := c.loop
	switch ev.Op {
	case protocol.OpText, protocol.OpBinary:
		l.wheel.Touch(c.timer, l.now)
		l.stats.messages++
		if r := l.limits.MessageRate; r > 0 && !c.need().messages.take(l.now, r, l.limits.MessageBurst) {
			c.endFor(ReasonRate)
			return
		}
		l.where = "handler"
		l.engine.handler.OnMessage(c, ev.Op, ev.Payload)
		l.where = "decoder"
	case protocol.OpPing:
		c.alive()
		c.answerPing(ev.Payload)
	case protocol.OpPong:
		c.alive()
		l.stats.pongs++
		if r := l.limits.MessageRate; r > 0 && !c.need().messages.take(l.now, r, l.limits.MessageBurst) {
			c.endFor(ReasonFrameRate)
		}
	case protocol.OpClose:
		c.peerClosed(ev.Code)
	}
}

// alive notes a control frame as a sign of life, where those count.
func (c *Conn) alive() {
	if !c.loop.engine.cfg.IdleMessagesOnly {
		c.loop.wheel.Touch(c.timer, c.loop.now)
	}
}

// answerPing sends a pong with the ping's payload (RFC 6455 section 5.5.3).
// While output is pending only the newest ping is kept for an answer.
func (c *Conn) answerPing(payload []byte) {
	l := c.loop
	l.stats.pings++
	if r := l.limits.PingRate; r > 0 && !c.need().pings.take(l.now, r, l.limits.PingBurst) {
		c.endFor(ReasonPingRate)
		return
	}
	if c.clogged() {
		x := c.need()
		x.pong, x.hasPong = append(x.pong[:0], payload...), true
		return
	}
	l.scratch = protocol.AppendFrame(l.scratch[:0], protocol.OpPong, payload)
	c.write(l.scratch)
}

// flushPong sends the pong that waited for pending output.
func (c *Conn) flushPong() {
	if c.extra == nil || !c.extra.hasPong || c.state != stateOpen {
		return
	}
	c.extra.hasPong = false
	c.loop.scratch = protocol.AppendFrame(c.loop.scratch[:0], protocol.OpPong, c.extra.pong)
	c.write(c.loop.scratch)
}

// violate ends a connection that broke a rule of the frame layer. Nothing that
// it sends is looked at any more, so no answer to our Close frame is waited for
// (RFC 6455 section 7.1.7).
func (c *Conn) violate(err error) {
	r := reasonOfViolation(err)
	c.flags |= flagPeerDone
	c.end(r, r.Code(), err.Error())
	if c.state == stateClosing {
		c.finish()
	}
}
