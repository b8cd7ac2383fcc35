package engine

import (
	"errors"

	"throng/protocol"
)

// receiveHead collects a request head and, once whole, answers it. A head that
// arrives in one piece, as they nearly all do, is parsed where it lies.
func (c *Conn) receiveHead(data []byte) {
	l, from := c.loop, 0
	if c.extra != nil && c.extra.held != nil {
		from = len(c.extra.held)
		c.hold(data)
		data = c.extra.held
	}
	c.flags |= flagHalfDone
	end, err := protocol.ScanHead(data, from, l.engine.cfg.Head)
	if err == nil && end == 0 {
		if from == 0 {
			c.hold(data)
		}
		return
	}
	if from > 0 { // the rest behind the head is fed from the buffer before it goes back
		defer l.pool.put(c.extra.held)
		c.extra.held = nil
	}
	if err == nil {
		err = c.answer(data[:end])
	}
	if err != nil {
		c.refuse(err)
	} else if c.state == stateOpen && end < len(data) {
		l.where = "decoder"
		c.feed(data[end:])
	}
}

// answer parses a whole head and upgrades the connection, or answers a plain
// request. An error refuses it.
func (c *Conn) answer(head []byte) error {
	l := c.loop
	r, e := &l.request, l.engine
	if err := r.Parse(head, e.cfg.Head); err != nil {
		return err
	}
	if !r.WantsUpgrade() {
		l.where = "OnRequest"
		resp := e.plain(r)
		l.scratch = protocol.AppendResponse(l.scratch[:0], &resp, r)
		c.sayLast(ReasonRequest)
		return nil
	}
	if err := r.CheckUpgrade(); err != nil {
		return err
	}
	if !l.limits.Origins.Allows(r.Origin, r.Host) {
		return protocol.ErrOrigin
	}
	if e.draining.Load() {
		return errDraining
	}
	if why := c.mayUpgrade(); why != ReasonNone {
		c.turnAway(why)
		return nil
	}
	subprotocol := ""
	if e.upgrader != nil {
		l.where = "OnUpgrade"
		var err error
		if subprotocol, err = e.upgrader.OnUpgrade(c, r); err != nil {
			return err
		}
	}
	c.upgrade(r, subprotocol)
	return nil
}

// upgrade opens the connection and sends the 101, in this order: who has the 101
// is in the topics that OnOpen joins, and gets what anybody says from then on.
func (c *Conn) upgrade(r *protocol.Request, subprotocol string) {
	l := c.loop
	var deflate protocol.DeflateParams
	if l.engine.cfg.Compress && l.engine.pressure.level.Load() == pressureNone {
		deflate = r.NegotiateDeflate()
	}
	if deflate.Enabled {
		c.decoder.EnableDeflate()
		c.outfit = outfitOf(c.Form(), protocol.Deflated)
		if deflate.WindowBits < 15 {
			c.outfit = outfitOf(c.Form(), protocol.DeflatedSmall)
		}
	}
	l.greeting = protocol.AppendSwitching(l.greeting[:0], r, subprotocol, deflate)
	c.state = stateOpen
	c.handshakeOver()
	l.open++
	l.stats.upgrades++
	l.alive.Add(1)
	c.flags |= flagCounted
	l.rearm(c, classOpen, l.openWait(0))
	l.greets = c
	defer c.greet()
	c.flags |= flagAnnounced
	l.where = "OnOpen"
	l.engine.handler.OnOpen(c)
}

// greet sends the 101, unless it was sent. Whatever else is written goes behind it.
func (c *Conn) greet() {
	if l := c.loop; l.greets == c {
		l.greets = nil
		c.write(l.greeting)
	}
}

var (
	errDraining = protocol.Unavailable(protocol.LabelDraining, "this server is about to stop; try again", 1)
	errPanic    = &protocol.HandshakeError{Status: 500, Label: ReasonPanic.String(), Text: "something is wrong with this server; it has been logged"}
	errNotPlain = &protocol.HandshakeError{Status: 426, Label: protocol.LabelBadRequest, Text: "this is a WebSocket server; ask for an upgrade"}
)

// refuse answers a request with the error that the handshake met.
func (c *Conn) refuse(err error) {
	var he *protocol.HandshakeError
	if !errors.As(err, &he) {
		he = &protocol.HandshakeError{Status: 403, Label: ReasonRefused.String(), Text: err.Error()}
	}
	c.loop.stats.refusals.add(he.Label)
	c.loop.engine.logRefusal(c, he)
	c.sayError(he, reasonOfRefusal(he))
}

// sayError sends the response to a request that failed, as the last.
func (c *Conn) sayError(he *protocol.HandshakeError, why Reason) {
	resp := he.Response()
	c.loop.scratch = protocol.AppendResponse(c.loop.scratch[:0], &resp, nil)
	c.sayLast(why)
}

// sayLast sends the response in the loop's scratch and ends the connection
// behind it.
func (c *Conn) sayLast(why Reason) {
	if c.state != stateHead || c.failed() {
		return
	}
	c.reason, c.state = why, stateClosing
	c.handshakeOver()
	c.flags |= flagRefused | flagPeerDone
	c.write(c.loop.scratch)
	if c.state == stateGone || c.failed() {
		return
	}
	c.loop.rearm(c, classClosing, 0)
	c.finish()
}

// plain asks the handler for the answer to a plain request.
func (e *Engine) plain(r *protocol.Request) protocol.Response {
	if e.requester != nil {
		return e.requester.OnRequest(r)
	}
	return errNotPlain.Response()
}
