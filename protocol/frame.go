package protocol

import "encoding/binary"

// A frame on the wire, RFC 6455 section 5.2. All numbers are big-endian.
//
//	byte 0    FIN RSV1 RSV2 RSV3 opcode(4)
//	byte 1    MASK length(7)          0..125: the length itself
//	2 or 8    the length, if the seven bits said 126 (two bytes follow) or 127 (eight)
//	4         the masking key, if MASK is set: always from a client, never from a server
//	length    the payload; from a client, byte i is xored with key[i%4]
//
// A client's "Hi" under the key 1 2 3 4 is 81 82 01 02 03 04 49 6b; a server's is 81 02 48 69.
const (
	bitFin   = 0x80
	bitRSV1  = 0x40
	bitsRSV  = 0x70
	bitsOp   = 0x0f
	bitMask  = 0x80
	bitsLen  = 0x7f
	length16 = 126
	length64 = 127

	controlBytesMax = 125
	headerBytesMax  = 2 + 8 + 4
)

// Opcode says what a frame is.
type Opcode byte

// The opcodes that RFC 6455 section 5.2 defines; all others are reserved.
const (
	OpContinuation Opcode = 0
	OpText         Opcode = 1
	OpBinary       Opcode = 2
	OpClose        Opcode = 8
	OpPing         Opcode = 9
	OpPong         Opcode = 10
)

// isControl: section 5.5, the top bit of the four tells control frames from data.
func (o Opcode) isControl() bool { return o&0x08 != 0 }

func (o Opcode) isReserved() bool { return o > OpPong || o > OpBinary && o < OpClose }

// frameHeader is a client's frame header once it is whole.
type frameHeader struct {
	n    int64 // payload bytes to come
	size int   // bytes of the header itself
	mask [4]byte
	op   Opcode
	fin  bool
	rsv1 bool
}

// declaredLength reads the length from a header that holds at least its first two bytes. While the long
// forms are still arriving, least and most are what the length can become; once it is whole they are equal.
// width is the number of bytes after the first two: 0, 2 or 8.
func declaredLength(b []byte) (least, most uint64, width int) {
	switch n := b[1] & bitsLen; n {
	default:
		return uint64(n), uint64(n), 0
	case length16:
		width = 2
	case length64:
		width = 8
	}
	for i := 2; i < 2+width; i++ {
		lo, hi := byte(0), byte(0xff)
		if i < len(b) {
			lo, hi = b[i], b[i]
		}
		least, most = least<<8|uint64(lo), most<<8|uint64(hi)
	}
	return least, most, width
}

// FrameSize is the number of bytes of a server's frame with n payload bytes.
func FrameSize(n int) int {
	switch {
	case n <= controlBytesMax:
		return 2 + n
	case n <= 0xffff:
		return 2 + 2 + n
	default:
		return 2 + 8 + n
	}
}

// AppendHeader appends the header of a server's whole message of n bytes, or of a control frame. rsv1 marks
// a compressed message (RFC 7692 section 6).
func AppendHeader(dst []byte, op Opcode, rsv1 bool, n int) []byte {
	first := bitFin | byte(op)
	if rsv1 {
		first |= bitRSV1
	}
	// Section 5.1: a server must not mask any frames.
	// Section 5.2: the shortest form that holds the length must be used.
	switch {
	case n <= controlBytesMax:
		return append(dst, first, byte(n))
	case n <= 0xffff:
		return append(dst, first, length16, byte(n>>8), byte(n))
	default:
		return binary.BigEndian.AppendUint64(append(dst, first, length64), uint64(n))
	}
}

// AppendFrame appends a server's whole message, or a control frame.
func AppendFrame(dst []byte, op Opcode, payload []byte) []byte {
	return append(AppendHeader(dst, op, false, len(payload)), payload...)
}

// FrameLen is the whole length, header included, of the server's frame at the start of b, so that a log of
// frames can be walked. It is 0 while b does not hold the whole header.
func FrameLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	n, _, width := declaredLength(b)
	if len(b) < 2+width {
		return 0
	}
	return 2 + width + int(n)
}
