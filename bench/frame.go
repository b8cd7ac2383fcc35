package bench

import (
	"encoding/binary"
	"errors"

	"github.com/gobwas/ws"
)

// The bench's own reading of a frame (RFC 6455, 5.2), for the loops that take millions of them a second:
//
//	byte 0            byte 1            then
//	FIN RSV RSV RSV   MASK  length      16 or 64 bits of length if it says 126 or 127,
//	opcode (4)              (7)         4 bytes of mask if MASK, the payload
//
// It is a view: nothing is copied or allocated. A fuzz test holds it against gobwas/ws, frame by frame.

type frame struct {
	head    byte // FIN, RSV and opcode, as on the wire
	masked  bool
	mask    uint32 // as on the wire, little endian
	payload []byte // still masked, if it was
}

const (
	bitFin        = 0x80
	bitsRsv       = 0x70
	bitControl    = 0x08
	opcodeMask    = 0x0f
	headText      = bitFin | byte(ws.OpText)
	headBinary    = bitFin | byte(ws.OpBinary)
	headClose     = bitFin | byte(ws.OpClose)
	headPing      = bitFin | byte(ws.OpPing)
	headPong      = bitFin | byte(ws.OpPong)
	frameBytesMax = 64 << 10 // the longest payload that the bench sends or takes
)

var (
	errFrameLength   = errors.New("frame longer than the bench takes (64 KiB)")
	errFrameProtocol = errors.New("frame against the protocol")
	errFrameFragment = errors.New("fragment of a message")
)

// nextFrame reads the frame at the start of b and how many bytes it takes: 0 when it is not all there yet.
func nextFrame(b []byte) (f frame, n int, err error) {
	if len(b) < 2 {
		return f, 0, nil
	}
	f.head, f.masked = b[0], b[1]&0x80 != 0
	length, at := int(b[1]&0x7f), 2
	if length > 125 {
		if length, at = longLength(b, length); at == 0 || length < 0 || length > frameBytesMax {
			return f, 0, lengthError(at)
		}
	}
	if f.masked {
		if len(b) < at+4 {
			return f, 0, nil
		}
		f.mask = binary.LittleEndian.Uint32(b[at:])
		at += 4
	}
	if len(b)-at < length {
		return f, 0, nil
	}
	f.payload = b[at : at+length : at+length]
	return f, at + length, nil
}

// longLength reads the extended length; at is 0 while it is not all there.
func longLength(b []byte, seven int) (length, at int) {
	switch {
	case seven == 126 && len(b) >= 4:
		return int(binary.BigEndian.Uint16(b[2:])), 4
	case seven == 127 && len(b) >= 10:
		return int(binary.BigEndian.Uint64(b[2:])), 10
	}
	return 0, 0
}

func lengthError(at int) error {
	if at == 0 {
		return nil
	}
	return errFrameLength
}

// check says what is wrong with a frame whose kind is not simply a whole text or binary message.
func (f frame) check(masked bool) error {
	op := ws.OpCode(f.head & opcodeMask)
	switch {
	case f.head&bitsRsv != 0, op.IsReserved(), f.masked != masked:
		return errFrameProtocol
	case op.IsControl() && (f.head&bitFin == 0 || len(f.payload) > ws.MaxControlFramePayloadSize):
		return errFrameProtocol
	case op == ws.OpContinuation, f.head&bitFin == 0:
		return errFrameFragment
	}
	return nil
}

// unmask makes the payload plain, in place.
func (f frame) unmask() {
	if f.masked {
		var key [4]byte
		binary.LittleEndian.PutUint32(key[:], f.mask)
		ws.Cipher(f.payload, key, 0)
	}
}

// appendHead appends a frame's header; with a mask key for what a client sends.
func appendHead(b []byte, head byte, length int, masked bool, mask uint32) []byte {
	var bit byte
	if masked {
		bit = 0x80
	}
	switch {
	case length <= 125:
		b = append(b, head, bit|byte(length))
	case length <= 0xffff:
		b = append(b, head, bit|126, byte(length>>8), byte(length))
	default:
		b = binary.BigEndian.AppendUint64(append(b, head, bit|127), uint64(length))
	}
	if masked {
		b = binary.LittleEndian.AppendUint32(b, mask)
	}
	return b
}

// appendMasked appends a client's frame.
func appendMasked(b []byte, head byte, payload []byte, mask uint32) []byte {
	b = appendHead(b, head, len(payload), true, mask)
	at := len(b)
	b = append(b, payload...)
	var key [4]byte
	binary.LittleEndian.PutUint32(key[:], mask)
	ws.Cipher(b[at:], key, 0)
	return b
}
