package engine

import (
	"errors"
	"io"
	"syscall"

	"golang.org/x/sys/unix"

	"throng/protocol"
	"throng/timeouts"
)

// A connection ends in one of two ways.
//
// Politely (end): what it has not had of its topics is written, then a Close
// frame; our side of TCP is shut when the socket has taken all and the peer has
// answered; TCP ends with the peer's FIN or when the close timeout is up. A
// close(2) with unread input would send an RST, which can overtake the frame.
//
// At once (fail): the connection is doomed, and reaped at the end of the turn,
// because whoever found it may be walking the list that it stands in.

// end ends an open connection politely. A code of 0 sends an empty Close frame.
func (c *Conn) end(why Reason, code uint16, text string) {
	if c.state != stateOpen || c.failed() {
		return
	}
	l := c.loop
	last := protocol.AppendClose(make([]byte, 0, closeFrameMax), code, text) // panics on a code that must not be sent
	c.reason, c.state = why, stateClosing
	l.open--
	c.see(code)
	c.greet()
	c.flushSeats()
	c.leaveAll()
	c.stopReplay()
	c.letGo()
	c.unhold()
	c.readOn()
	if c.failed() || c.state == stateGone { // while flushing
		return
	}
	c.write(append(c.lastMessage(code, text), last...))
	if c.state == stateGone {
		return
	}
	l.rearm(c, classClosing, 0)
}

// lastMessage is what the handler says before a Close frame, framed; nil if that is nothing.
func (c *Conn) lastMessage(code uint16, text string) []byte {
	h := c.loop.engine.farewell
	if h == nil || c.reason == ReasonPeerClose || c.reason == ReasonPanic {
		return nil
	}
	op, data := h.OnFarewell(c, code, text)
	if op == 0 {
		return nil
	}
	return protocol.AppendFrame(nil, op, data)
}

// endFor ends an open connection politely with what the reason itself says.
func (c *Conn) endFor(why Reason) { c.end(why, why.Code(), reasonTable[why].text) }

// closeFrameMax is the longest Close frame: a header of 2 bytes and 125 of payload.
const closeFrameMax = 127

// flushSeats writes what was published and not yet written, as far as the
// socket takes it at once: nothing to a laggard, nor to one who is to have something
// else first.
func (c *Conn) flushSeats() {
	if c.lagging != nil {
		return
	}
	c.eachSeat(func(s *seat) {
		if !c.failed() && c.state != stateGone && c.lagging == nil {
			c.loop.catchUpSeat(c, s)
		}
	})
}

// lastWords lets through what a peer that has closed TCP said before and was held
// back, and writes what it may still listen for.
func (c *Conn) lastWords() {
	c.speakOut()
	c.flushSeats()
}

// speakOut lets input through that was held back for the others' sake or a topic's.
// What the handler holds it does not want to have.
func (c *Conn) speakOut() {
	if c.extra != nil && c.extra.held != nil && c.state == stateOpen {
		c.loop.flushing = true
		defer func() { c.loop.flushing = false }()
		c.resume()
	}
}

// fail ends a connection at the end of the turn: politely if the reason has a
// code and the peer can still be told, else at once.
func (c *Conn) fail(why Reason) {
	if c.state == stateGone || c.failed() {
		return
	}
	if c.state != stateClosing {
		c.reason = why
	}
	c.loop.doom(c)
}

// failed reports whether the connection ends with this turn.
func (c *Conn) failed() bool { return c.flags&flagDoomed != 0 }

// doom puts a connection among those to be ended.
func (l *loop) doom(c *Conn) {
	if c.flags&flagDoomed == 0 {
		c.flags |= flagDoomed
		l.doomed = append(l.doomed, c)
	}
}

// reap ends the doomed. Nothing is being walked now.
func (l *loop) reap() {
	for i := 0; i < len(l.doomed); i++ { // ending one can doom others
		c := l.doomed[i]
		l.doomed[i] = nil
		l.guarded(c, "close", func() { l.reapOne(c) })
	}
	l.doomed = l.doomed[:0]
}

func (l *loop) reapOne(c *Conn) {
	if c.state == stateOpen && c.reason.Code() != 0 {
		c.flags &^= flagDoomed
		c.endFor(c.reason)
		return
	}
	if c.state != stateGone {
		if c.reason == ReasonSlow || c.reason == ReasonWriteTimeout {
			_ = c.gc.SetLinger(0) // an RST: the kernel drops what the peer would not read
		}
		_ = c.gc.EventLoop().Close(c.gc) // calls OnClose, which finds c doomed already
	}
	l.remember(c)
	l.conns[c.timer] = nil
	l.wheel.Remove(c.timer)
	c.timer = timeouts.None
	l.stats.ends[c.reason]++
	l.engine.gate.release(l)
	l.engine.uncountAddress(c, l.entered)
	if c.flags&flagTurned != 0 {
		l.turning--
	}
	if c.flags&flagCounted != 0 {
		l.alive.Add(-1)
	}
	c.leaveAll()
	c.recovered()
	c.letGo()
	c.unhold()
	l.partial -= c.decoder.Pending()
	c.decoder.Release()
	if c.flags&flagAnnounced != 0 {
		l.where = "OnClose"
		l.engine.handler.OnClose(c, c.reason)
	}
	l.engine.logEnd(c)
}

// peerClosed answers the peer's Close frame (RFC 6455 section 5.5.1), or takes
// it as the answer to ours, and shuts our side.
func (c *Conn) peerClosed(code uint16) {
	c.flags |= flagPeerDone
	c.end(ReasonPeerClose, code, "")
	if c.state == stateClosing {
		c.finish()
	}
}

// finish shuts our side of TCP as soon as the socket has taken everything; the
// server closes first (RFC 6455 section 7.1.1).
func (c *Conn) finish() {
	if c.flags&flagFinished != 0 || c.failed() || c.gc.OutboundBuffered() > 0 {
		return
	}
	c.flags |= flagFinished
	_ = unix.Shutdown(int(c.fd), unix.SHUT_WR)
}

// receiveLast throws input away while the connection closes, looking only for
// the peer's Close frame.
func (c *Conn) receiveLast(data []byte) {
	x := c.need()
	limit := closingReadBytesMax
	if c.flags&flagTurned != 0 {
		limit = readBytes // a flood of those who were not let in costs a read each
	}
	if x.read += len(data); x.read > limit {
		c.giveUp()
		return
	}
	for c.flags&(flagPeerDone|flagRefused) == 0 {
		ev, rest, ok, err := c.decoder.Next(&c.loop.engine.cfg.Decoder, data)
		if err != nil || ev.Op == protocol.OpClose {
			c.flags |= flagPeerDone
			c.finish()
			return
		}
		if !ok {
			return
		}
		data = rest
	}
}

// giveUp ends TCP although the peer has not done its part of the closing.
func (c *Conn) giveUp() {
	if c.flags&flagPeerDone == 0 {
		c.loop.stats.unanswered++
		if c.reason == ReasonApplication {
			c.reason = ReasonNoReply
		}
	}
	c.loop.doom(c)
}

// reasonOfClose names an end that came from below.
func (c *Conn) reasonOfClose(err error) Reason {
	switch {
	case c.state == stateHead && c.flags&flagHalfDone == 0:
		return ReasonProbe
	case errors.Is(err, syscall.ETIMEDOUT):
		return ReasonWriteTimeout
	case err == nil || errors.Is(err, io.EOF):
		return ReasonEOF
	default:
		return ReasonReset
	}
}
