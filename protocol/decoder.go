package protocol

import (
	"unicode/utf8"
	"unsafe"

	"github.com/gobwas/ws"
)

// Decoder turns the bytes of one client, in whatever pieces they arrive, into messages and control frames:
//
//	in:   a piece of the stream, lent by the caller, unmasked in place
//	        |
//	        |  a whole frame that is alone its message: a view of in, nothing is kept
//	        |  anything incomplete: copied into a loan from shared pools, until it is whole
//	        v
//	out:  one Event a call
//
// Every rule is applied as soon as the byte that breaks it is there: a header is judged from its first byte
// on, a length before the payload, text as it arrives. The zero value is ready; a Decoder with nothing
// incomplete owns no memory but itself. It is used by one goroutine at a time.
type Decoder struct {
	partial  *partial
	deflate  bool
	over     bool // a Close or a violation: nothing is read any more
	violated Violation
}

const decoderBytesMax = 16

const _ = uint(decoderBytesMax - unsafe.Sizeof(Decoder{})) // there is one in every connection

// Event is a whole message or a control frame.
type Event struct {
	// Op is OpText or OpBinary for a message; OpPing, OpPong or OpClose.
	Op Opcode
	// Payload is the message, the ping's or pong's data, or the reason of a Close. It is valid until the
	// next call of Next or Release and as long as the caller leaves the memory of its input alone.
	Payload []byte
	// Code is the code of a Close, 0 if it has none.
	Code uint16
}

// EnableDeflate accepts compressed messages, once permessage-deflate without context takeover by the client
// has been negotiated. It is called before the first byte.
func (d *Decoder) EnableDeflate() { d.deflate = true }

// Next takes the next event from in, which it changes (payloads are unmasked in place), and returns what
// follows it in rest. If ok is false all of in has been consumed and the next event needs more bytes. Call it
// until then, with an empty rest too: that call ends the loan of the last payload. After a Close or an error,
// which is always a Violation, there is nothing more: further input is swallowed, the error returned again.
func (d *Decoder) Next(cfg *DecoderConfig, in []byte) (ev Event, rest []byte, ok bool, err error) {
	if d.partial != nil && (d.over || d.partial.idle()) {
		d.giveBack()
	}
	var v Violation
	for len(in) > 0 && !d.over {
		in, ok, v = d.step(cfg, in, &ev)
		if v != 0 {
			d.giveBack()
			d.over, d.violated = true, v
			break
		}
		if ok {
			return ev, in, true, nil
		}
	}
	if d.violated != 0 {
		return Event{}, nil, false, d.violated
	}
	return Event{}, nil, false, nil
}

// Pending is the number of bytes lent for an incomplete frame or message: 0 when there is none.
func (d *Decoder) Pending() int {
	if d.partial == nil {
		return 0
	}
	return d.partial.bytes()
}

// Release gives everything back, at the end of the connection. The Decoder reads nothing afterwards.
func (d *Decoder) Release() {
	d.giveBack()
	d.over = true
}

func (d *Decoder) giveBack() {
	if d.partial != nil {
		d.partial.giveBack()
		d.partial = nil
	}
}

func (d *Decoder) borrow() *partial {
	if d.partial == nil {
		d.partial = partials.Get().(*partial)
	}
	return d.partial
}

// step reads one frame, or what there is of it. ok says that ev was filled.
func (d *Decoder) step(cfg *DecoderConfig, in []byte, ev *Event) (rest []byte, ok bool, v Violation) {
	if d.partial == nil || !d.partial.inFrame {
		var h frameHeader
		in, ok, v = d.header(cfg, in, &h)
		if !ok {
			return nil, false, v
		}
		if h.n <= int64(len(in)) {
			payload := in[:h.n:h.n]
			ws.Cipher(payload, h.mask, 0)
			ok, v = d.wholeFrame(cfg, &h, payload, ev)
			return in[h.n:], ok, v
		}
		d.borrow().await(&h)
	}
	p := d.partial
	rest, done, v := p.take(in)
	switch {
	case v != 0 || !done:
		return nil, false, v
	case p.frame.op.isControl():
		return rest, true, d.control(p.frame.op, p.control.b, ev)
	case p.frame.fin:
		return rest, true, p.finish(cfg.MaxMessage, ev)
	}
	return rest, false, 0
}

// wholeFrame handles a frame whose payload has arrived in one piece.
func (d *Decoder) wholeFrame(cfg *DecoderConfig, h *frameHeader, payload []byte, ev *Event) (ok bool, v Violation) {
	if h.op.isControl() {
		return true, d.control(h.op, payload, ev)
	}
	// Section 5.4: an unfragmented message is one frame with FIN set and an opcode other than 0.
	if h.fin && h.op != OpContinuation && !h.rsv1 {
		if h.op == OpText && !utf8.Valid(payload) {
			return false, BadUTF8
		}
		ev.Op, ev.Payload = h.op, payload
		return true, 0
	}
	p := d.borrow()
	p.begin(h)
	if v = p.addData(payload); v != 0 || !h.fin {
		return false, v
	}
	return true, p.finish(cfg.MaxMessage, ev)
}

// control makes the event of a control frame. Section 5.4: it may stand between the fragments of a message
// and is handled at once; the message goes on after it.
func (d *Decoder) control(op Opcode, payload []byte, ev *Event) (v Violation) {
	ev.Op, ev.Payload = op, payload
	if op == OpClose {
		ev.Code, ev.Payload, v = parseClose(payload)
		// Section 5.5.1: nothing is sent after a Close, so nothing is read after it.
		d.over = true
	}
	return v
}

// header reads the next frame's header from in, or from what was kept of it and in. ok says that it is whole.
func (d *Decoder) header(cfg *DecoderConfig, in []byte, h *frameHeader) (rest []byte, ok bool, v Violation) {
	if d.partial == nil || d.partial.headerLen == 0 {
		ok, v = d.judge(cfg, in, h)
		if ok {
			return in[h.size:], true, 0
		}
		if v == 0 {
			p := d.borrow()
			p.headerLen = uint8(copy(p.header[:], in))
		}
		return nil, false, v
	}
	p := d.partial
	had := int(p.headerLen)
	have := had + copy(p.header[had:], in)
	ok, v = d.judge(cfg, p.header[:have], h)
	if !ok {
		p.headerLen = uint8(have)
		return nil, false, v
	}
	p.headerLen = 0
	return in[h.size-had:], true, 0
}

// judge reads the header at the start of b, byte by byte in effect: what is wrong with a byte is found in it
// even if the next one has not arrived. ok says that the header is whole.
func (d *Decoder) judge(cfg *DecoderConfig, b []byte, h *frameHeader) (ok bool, v Violation) {
	if v = d.judgeFirst(cfg, b[0]); v != 0 || len(b) < 2 {
		return false, v
	}
	h.op, h.fin, h.rsv1 = Opcode(b[0]&bitsOp), b[0]&bitFin != 0, b[0]&bitRSV1 != 0
	least, most, width := declaredLength(b)
	switch {
	// Section 5.1: a server must close the connection on a frame that is not masked.
	case b[1]&bitMask == 0:
		return false, Unmasked
	// Section 5.5: the payload of a control frame has 125 bytes or fewer.
	case h.op.isControl() && b[1]&bitsLen > controlBytesMax:
		return false, ControlTooLong
	// Section 5.5.1: the body of a Close starts with two bytes of code.
	case h.op == OpClose && least == 1:
		return false, BadCloseLength
	// Section 5.2: the shortest form must be used, and the top bit of the 64 is 0.
	case width == 2 && most < length16, width == 8 && (most <= 0xffff || least > maxInt63):
		return false, BadLength
	}
	if !h.op.isControl() {
		if v = d.judgeSize(cfg, least, h.rsv1); v != 0 {
			return false, v
		}
	}
	h.n, h.size = int64(least), 2+width+len(h.mask)
	if len(b) < h.size {
		return false, 0
	}
	h.mask = [4]byte(b[2+width:])
	return true, 0
}

// judgeFirst judges the byte that holds FIN, the reserved bits and the opcode.
func (d *Decoder) judgeFirst(cfg *DecoderConfig, b byte) Violation {
	op, fin, rsv := Opcode(b&bitsOp), b&bitFin != 0, b&bitsRSV
	// Section 5.2: a reserved bit must be 0 unless an extension gives it a meaning. RFC 7692 section 6: RSV1
	// says on the first frame of a message that it is compressed, and is 0 on all others.
	if rsv != 0 && !(rsv == bitRSV1 && d.deflate && (op == OpText || op == OpBinary)) {
		return ReservedBits
	}
	message := d.partial != nil && d.partial.op != 0
	switch {
	// Section 5.2: an unknown opcode fails the connection.
	case op.isReserved():
		return ReservedOpcode
	// Section 5.5: control frames must not be fragmented.
	case op.isControl() && !fin:
		return ControlFragmented
	case op.isControl():
		return 0
	// Section 5.4: the fragments of a message are continuation frames, not interleaved with those of
	// another; so a continuation needs a message that has begun, and all else one that has not.
	case message != (op == OpContinuation):
		return BadFragmentation
	// Section 10.4: limits protect against endless messages; empty fragments have no size to be limited by.
	case message && cfg.MaxFragments > 0 && d.partial.fragments >= cfg.MaxFragments:
		return TooManyFragments
	}
	return 0
}

// judgeSize holds a data frame's length against the limits before a byte of its payload is there: section
// 10.4, for the frame and for what the message becomes with it.
func (d *Decoder) judgeSize(cfg *DecoderConfig, n uint64, rsv1 bool) Violation {
	if p := d.partial; p != nil && p.op != 0 {
		return cfg.judgeLength(n, p.size, p.deflated)
	}
	return cfg.judgeLength(n, 0, rsv1)
}
