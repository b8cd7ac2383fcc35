package protocol

import (
	"bytes"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
)

// permessage-deflate, RFC 7692, without context takeover: every message is a DEFLATE stream of its own, so an
// inflater or a compressor is needed only while one message goes through it. They come from pools and cost
// an idle connection nothing.

// Encoding is how a message's frame is made. A client's is fixed when it connects.
type Encoding uint8

// The encodings, from 0 to Encodings-1.
const (
	Plain         Encoding = iota // as it is
	Deflated                      // compressed with the window of 32 KiB that every client has who sets no limit
	DeflatedSmall                 // for a client that asked for a smaller window, whichever it was

	Encodings = 3
)

// smallWindowBytes is what server_max_window_bits=8 allows, the least that RFC 7692 section 7.1.2.1 knows: a
// distance that fits it fits all others, so one form serves every client that asked.
const smallWindowBytes = 1 << 8

// tail is what the sender has cut off. Section 7.2.2: append 00 00 ff ff, the rest of an empty stored block.
// The second block, stored, empty and final, is there for the inflater only: it ends the stream, so that the
// end of a message can be told from data that breaks off.
var tail = []byte{0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff}

// inflater is a decompressor and what it reads from. A bytes.Reader, because flate has a fast path for it
// and never reads beyond the end of a stream that is final.
type inflater struct {
	in bytes.Reader
	r  io.Reader
}

var inflaters = sync.Pool{New: func() any {
	z := &inflater{}
	z.r = flate.NewReader(&z.in)
	return z
}}

func (z *inflater) restart() { _ = z.r.(flate.Resetter).Reset(&z.in, nil) }

// inflate exchanges a compressed message for what it says. limit 0 is none.
func inflate(src *buffer, limit int) (*buffer, Violation) {
	// Section 7.2.3.6: an empty message is sent as one byte, 00. No byte at all comes to the same.
	if len(src.bytes()) == 0 {
		return src, 0
	}
	src = src.withRoom(len(tail))
	src.b = append(src.b, tail...)
	z := inflaters.Get().(*inflater)
	z.in.Reset(src.b)
	z.restart()
	out, v := z.all(lend(2*len(src.b)), limit)
	z.in.Reset(nil)
	inflaters.Put(z)
	src.giveBack()
	return out, v
}

// all reads to the end, into buffers that grow with what comes out, and never more than one byte over the
// limit: that byte tells a message that is too big from one that just fits.
func (z *inflater) all(out *buffer, limit int) (*buffer, Violation) {
	for {
		out = out.withRoom(1)
		room := out.b[len(out.b):cap(out.b)]
		if limit > 0 && len(room) > limit+1-len(out.b) {
			room = room[:limit+1-len(out.b)]
		}
		n, err := z.r.Read(room)
		out.b = out.b[:len(out.b)+n]
		switch {
		case limit > 0 && len(out.b) > limit:
			return out, InflateTooBig
		case err == nil:
		case err != io.EOF:
			return out, InflateCorrupt
		// Either our own final block was the end, or one of the sender's with nothing behind it but what we
		// appended.
		case z.in.Len() == 0 || z.in.Len() == len(tail):
			return out, 0
		// Section 7.2.3.4: a sender may use final blocks. What follows one is a stream that starts anew.
		default:
			z.restart()
		}
	}
}

// compressor is a flate.Writer and what it writes to.
type compressor struct {
	w   *flate.Writer
	out []byte
}

// Write makes a compressor the writer's destination.
func (c *compressor) Write(p []byte) (int, error) {
	c.out = append(c.out, p...)
	return len(p), nil
}

// deflateLevel: on chat messages the levels 1 to 6 take the same time, most of it for the Huffman codes, and
// from 128 to 4,000 bytes 5 makes them the smallest.
const deflateLevel = 5

// flate.Writer looks for repetitions from 128 bytes on. Shorter messages go through its stateless form, which
// always does and is faster there. No distance in them can exceed even the small window.
const statelessBytesMax = 127

const _ = uint(smallWindowBytes - statelessBytesMax)

var compressors = [Encodings]sync.Pool{
	Deflated: {New: func() any {
		c := &compressor{}
		c.w, _ = flate.NewWriter(c, deflateLevel) // fails on unknown levels only
		return c
	}},
	DeflatedSmall: {New: func() any {
		c := &compressor{}
		c.w, _ = flate.NewWriterWindow(c, smallWindowBytes) // fails on windows below 32 only
		return c
	}},
}

// compress leaves in c.out what section 7.2.1 wants: the DEFLATE stream, flushed to a byte border by an empty
// stored block, without that block's last four bytes. Writing to memory cannot fail.
func (c *compressor) compress(payload []byte) {
	if len(payload) <= statelessBytesMax {
		_ = flate.StatelessDeflate(c, payload, false, nil)
	} else {
		c.w.Reset(c)
		_, _ = c.w.Write(payload)
		_ = c.w.Flush()
	}
	c.out = c.out[:len(c.out)-4]
}

// AppendDeflated appends a server's whole message, compressed. If that would not make it smaller, dst is
// returned unchanged and the caller sends the plain frame, which section 6 allows message by message.
func AppendDeflated(dst []byte, op Opcode, payload []byte, enc Encoding) (out []byte, smaller bool) {
	if enc == Plain || len(payload) == 0 {
		return dst, false
	}
	c := compressors[enc].Get().(*compressor)
	c.compress(payload)
	if smaller = len(c.out) < len(payload); smaller {
		dst = append(AppendHeader(dst, op, true, len(c.out)), c.out...)
	}
	if cap(c.out) <= bufferBytesKept {
		c.out = c.out[:0]
		compressors[enc].Put(c)
	}
	return dst, smaller
}
