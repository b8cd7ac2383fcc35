package engine

import (
	"github.com/panjf2000/gnet/v2"

	"throng/protocol"
)

var _ gnet.EventHandler = (*loop)(nil)

// Handler is told what happens. Its methods run on the loop of the connection,
// which serves many others: they must not block. A panic in one costs the
// connection it was called for, nobody else.
type Handler interface {
	// OnOpen is called when the upgrade is complete.
	OnOpen(c *Conn)
	// OnMessage is called with each complete message. data is valid until the
	// return.
	OnMessage(c *Conn, op protocol.Opcode, data []byte)
	// OnClose is called once for each connection that was open, after its end.
	OnClose(c *Conn, why Reason)
}

// Upgrader is a Handler that wants a say in upgrades. It runs after the request
// was found valid and its Origin allowed. What it returns as err refuses the
// upgrade, with status 403 unless it is a *protocol.HandshakeError. A
// subprotocol that it returns must be among the offered ones.
type Upgrader interface {
	OnUpgrade(c *Conn, r *protocol.Request) (subprotocol string, err error)
}

// Requester is a Handler that answers plain HTTP requests on the public port.
// Without it they get 426. The request is valid until the return.
type Requester interface {
	OnRequest(r *protocol.Request) protocol.Response
}

// receive takes input in whatever state the connection is.
func (c *Conn) receive(data []byte) {
	switch c.state {
	case stateHead:
		c.receiveHead(data)
	case stateOpen:
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

// feed decodes input and hands over what is complete in it. Input that must
// wait, for the others' sake or a topic's, is held and the socket left unread.
func (c *Conn) feed(data []byte) {
	l, frames, lent := c.loop, 0, c.decoder.Pending()
	budget := l.engine.cfg.FramesPerTurn
	defer func() { c.weighPartial(lent) }()
	for c.state == stateOpen && !c.failed() {
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
		if frames++; c.mustWait() || frames == budget && !l.drain.flushing {
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
		c.end(ReasonMemory, ReasonMemory.Code(), reasonTable[ReasonMemory].text)
	}
}

// take acts on one event.
func (c *Conn) take(ev protocol.Event) {
	l := c.loop
	switch ev.Op {
	case protocol.OpText, protocol.OpBinary:
		l.wheel.Touch(c.timer, l.now)
		l.stats.messages++
		if r := l.engine.cfg.MessageRate; r > 0 && !c.need().messages.take(l.now, r, l.engine.cfg.MessageBurst) {
			c.end(ReasonRate, ReasonRate.Code(), reasonTable[ReasonRate].text)
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
		if r := l.engine.cfg.MessageRate; r > 0 && !c.need().messages.take(l.now, r, l.engine.cfg.MessageBurst) {
			c.end(ReasonFrameRate, ReasonFrameRate.Code(), reasonTable[ReasonFrameRate].text)
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
	cfg := &l.engine.cfg
	if cfg.PingRate > 0 && !c.need().pings.take(l.now, cfg.PingRate, cfg.PingBurst) {
		c.end(ReasonPingRate, ReasonPingRate.Code(), reasonTable[ReasonPingRate].text)
		return
	}
	if c.lagging != nil {
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
