package protocol

import (
	"encoding/binary"
	"sync"
	"unicode/utf8"
	"unsafe"

	"github.com/gobwas/ws"
)

// partial is what a Decoder borrows while a header, a frame or a message is incomplete. Control frames may
// stand between the fragments of a message, so a frame and a message are kept apart: any of the three parts
// below can be in use while the others are not.
type partial struct {
	// The header of the next frame, as far as it has arrived.
	header    [headerBytesMax]byte
	headerLen uint8

	// The frame whose payload is arriving.
	inFrame bool
	frame   frameHeader
	got     int64      // payload bytes that have arrived
	control *buffer    // the payload, if it is a control frame
	reason  utf8Stream // the check of a Close frame's reason

	// The message that has begun: op is 0 when there is none.
	op        Opcode
	deflated  bool
	fragments int
	size      int64 // the sum of the lengths its frames have declared
	data      *buffer
	text      utf8Stream
}

var partials = sync.Pool{New: func() any { return new(partial) }}

// giveBack returns the loan with everything that was borrowed after it.
func (p *partial) giveBack() {
	p.control.giveBack()
	p.data.giveBack()
	*p = partial{}
	partials.Put(p)
}

// idle: nothing is incomplete, and the loan lives on only for the payload that was handed out.
func (p *partial) idle() bool { return p.headerLen == 0 && !p.inFrame && p.op == 0 }

// bytes is the size of the loan.
func (p *partial) bytes() int {
	return int(unsafe.Sizeof(*p)) + cap(p.control.bytes()) + cap(p.data.bytes())
}

// await starts a frame whose payload has not arrived in one piece.
func (p *partial) await(h *frameHeader) {
	p.inFrame, p.frame, p.got = true, *h, 0
	if h.op.isControl() {
		p.control.giveBack() // that of an earlier control frame amid the same message
		p.control = nil
		return
	}
	p.begin(h)
}

// begin notes a data frame's header in its message, and the message if this is its first frame.
func (p *partial) begin(h *frameHeader) {
	if h.op != OpContinuation {
		p.op, p.deflated = h.op, h.rsv1
	}
	p.fragments++
	p.size += h.n
}

// addData takes the next bytes of a message, already unmasked.
func (p *partial) addData(chunk []byte) Violation {
	// Section 8.1: text that is not UTF-8 fails the connection. The check is on the text as a whole, so a
	// character may lie in two fragments; compressed text has to be inflated first.
	if p.op == OpText && !p.deflated && !p.text.write(chunk) {
		return BadUTF8
	}
	p.data = p.data.withRoom(len(chunk))
	p.data.b = append(p.data.b, chunk...)
	return 0
}

// addControl takes the next bytes of a control frame's payload, already unmasked.
func (p *partial) addControl(chunk []byte) Violation {
	p.control = p.control.withRoom(int(p.frame.n) - len(p.control.bytes()))
	had := len(p.control.b)
	p.control.b = append(p.control.b, chunk...)
	if body := p.control.b; p.frame.op == OpClose && len(body) >= 2 {
		if had < 2 && !mayBeSent(binary.BigEndian.Uint16(body)) {
			return BadCloseCode
		}
		if !p.reason.write(body[max(had, 2):]) {
			return BadCloseReason
		}
	}
	return 0
}

// take moves the frame's share of in into the loan and returns the rest; done says that the frame is whole.
func (p *partial) take(in []byte) (rest []byte, done bool, v Violation) {
	k := int(min(p.frame.n-p.got, int64(len(in))))
	chunk := in[:k]
	ws.Cipher(chunk, p.frame.mask, int(p.got&3))
	p.got += int64(k)
	done = p.got == p.frame.n
	p.inFrame = !done
	if p.frame.op.isControl() {
		return in[k:], done, p.addControl(chunk)
	}
	return in[k:], done, p.addData(chunk)
}

// finish ends the message: what it says is in the buffer from then on.
func (p *partial) finish(limit int, ev *Event) (v Violation) {
	if p.deflated {
		if p.data, v = inflate(p.data, limit); v != 0 {
			return v
		}
		if p.op == OpText && !utf8.Valid(p.data.bytes()) {
			return BadUTF8
		}
	} else if !p.text.atBorder() {
		return BadUTF8
	}
	ev.Op, ev.Payload = p.op, p.data.bytes()
	p.op = 0
	return 0
}
