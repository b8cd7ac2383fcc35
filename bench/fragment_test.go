package bench

import (
	"bytes"
	"io"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// ourMessages reads a stream as a worker does, in pieces of the given size, until it ends or something is wrong. It also
// gives how much of a frame was left that had only begun.
func ourMessages(b []byte, piece int) (messages [][]byte, begun int, err error) {
	w, c := &worker{}, &conn{}
	var left []byte
	for len(b) > 0 {
		n := min(piece, len(b))
		left, b = append(left, b[:n]...), b[n:]
		for {
			f, n, err := nextFrame(left)
			if err != nil {
				return messages, 0, err
			}
			if n == 0 {
				break
			}
			err = f.check(false)
			part := c.more != nil && c.more.head != 0
			switch {
			case err == errFrameFragment, err == nil && part && f.head&bitControl == 0:
				_, p, err := w.assemble(c, f)
				if err != nil {
					return messages, 0, err
				}
				if p != nil {
					messages = append(messages, bytes.Clone(p))
				}
			case err != nil:
				return messages, 0, err
			case f.head == headText || f.head == headBinary:
				messages = append(messages, bytes.Clone(f.payload))
			}
			left = left[n:]
		}
	}
	return messages, len(left), nil
}

// theirMessages reads it with gobwas/ws.
func theirMessages(b []byte) (messages [][]byte, wrong bool) {
	r := wsutil.Reader{Source: bytes.NewReader(b), State: ws.StateClientSide, MaxFrameSize: frameBytesMax}
	r.OnIntermediate = func(_ ws.Header, p io.Reader) error { _, err := io.Copy(io.Discard, p); return err }
	for {
		h, err := r.NextFrame()
		if err != nil {
			return messages, err != io.EOF && err != io.ErrUnexpectedEOF
		}
		p, err := io.ReadAll(&r)
		if err != nil {
			return messages, err != io.EOF && err != io.ErrUnexpectedEOF
		}
		if !h.OpCode.IsControl() {
			if len(p) > frameBytesMax {
				return messages, true
			}
			messages = append(messages, p)
		}
	}
}

// FuzzFragments holds what a worker makes of fragmented messages against gobwas/ws, at any borders.
func FuzzFragments(f *testing.F) {
	frame := func(b []byte, head byte, p string) []byte {
		return append(appendHead(b, head, len(p), false, 0), p...)
	}
	one := frame(frame(frame(nil, 0x01, "a"), headPing, "?"), 0x80, "b")
	f.Add(one, 1)
	f.Add(frame(frame(one, headBinary, "whole"), 0x02, "begun"), 3)
	f.Add(frame(nil, 0x80, "no beginning"), 100)
	f.Add(frame(frame(nil, 0x02, "a"), headBinary, "another"), 7)
	f.Add(frame(frame(frame(nil, 0x02, ""), 0x00, ""), 0x80, ""), 2)
	f.Fuzz(func(t *testing.T, b []byte, piece int) {
		ours, begun, err := ourMessages(b, max(1, piece))
		theirs, wrong := theirMessages(b)
		if len(ours) != len(theirs) || !bytes.Equal(bytes.Join(ours, []byte{0}), bytes.Join(theirs, []byte{0})) {
			t.Fatalf("%d messages, gobwas/ws has %d: %q, %q (%v)", len(ours), len(theirs), ours, theirs, err)
		}
		// They judge a frame by its whole head, we its length at once and the rest when it is all there.
		if wrong != (err != nil) && err != errFrameLength && (err != nil || begun == 0) {
			t.Fatalf("we say %v, gobwas/ws %v", err, wrong)
		}
	})
}
