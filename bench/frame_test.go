package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/gobwas/ws"
)

// FuzzFrame holds the bench's scan against gobwas/ws over any bytes, frame by frame, until one of them ends.
func FuzzFrame(f *testing.F) {
	for _, length := range []int{0, 1, 125, 126, 127, 65535, 65536} {
		f.Add(append(appendHead(nil, headBinary, length, false, 0), make([]byte, length)...))
		f.Add(appendMasked(nil, headText, make([]byte, length), 0x01020304))
	}
	f.Add([]byte{0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{0x82, 127, 0, 0, 0, 1, 0, 0, 0, 0, 9})
	f.Add([]byte{0x02, 1, 'a', 0x80, 1, 'b', 0xf2, 0, 0x89, 0x80, 1, 2, 3, 4, 0x83, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		for rest := b; len(rest) > 0; {
			ours, n, err := nextFrame(rest)
			r := bytes.NewReader(rest)
			head, theirErr := ws.ReadHeader(r)
			switch {
			case errors.Is(theirErr, ws.ErrHeaderLengthMSB), theirErr == nil && head.Length > frameBytesMax:
				if err == nil {
					t.Fatalf("a frame of %d bytes taken from %x", head.Length, rest[:2])
				}
				return
			case theirErr != nil, int64(r.Len()) < head.Length:
				if n != 0 || err != nil {
					t.Fatalf("an incomplete frame gave %d bytes, %v", n, err)
				}
				return
			}
			payload := make([]byte, head.Length)
			_, _ = io.ReadFull(r, payload)
			if err != nil || n != len(rest)-r.Len() || !bytes.Equal(ours.payload, payload) || ours.masked != head.Masked {
				t.Fatalf("got %d bytes, payload of %d, masked %v, %v; want %d, %d, %v", n, len(ours.payload), ours.masked, err, len(rest)-r.Len(), len(payload), head.Masked)
			}
			compareCheck(t, ours, head)
			next := rest[n:]
			if ours.unmask(); head.Masked {
				ws.Cipher(payload, head.Mask, 0)
			}
			if !bytes.Equal(ours.payload, payload) {
				t.Fatal("unmasked to something else")
			}
			rest = next
		}
	})
}

// compareCheck holds what we make of a header against theirs, whole messages only.
func compareCheck(t *testing.T, ours frame, head ws.Header) {
	t.Helper()
	state := ws.StateClientSide
	if head.Masked {
		state = ws.StateServerSide
	}
	want := ws.CheckHeader(head, state)
	got := ours.check(head.Masked)
	fragment := head.OpCode == ws.OpContinuation || !head.Fin && !head.OpCode.IsControl()
	if errors.Is(got, errFrameFragment) && fragment {
		return
	}
	if (got == nil) != (want == nil) {
		t.Fatalf("head %x, %d bytes: we say %v, gobwas/ws %v", ours.head, head.Length, got, want)
	}
}

func TestFrameAppendsAsTheyDo(t *testing.T) {
	for _, length := range []int{0, 1, 16, 125, 126, 65535, 65536} {
		payload := bytes.Repeat([]byte{7}, length)
		want, err := ws.CompileFrame(ws.MaskFrameWith(ws.NewBinaryFrame(payload), [4]byte{1, 2, 3, 4}))
		if err != nil {
			t.Fatal(err)
		}
		if got := appendMasked(nil, headBinary, payload, 0x04030201); !bytes.Equal(got, want) {
			t.Errorf("%d bytes: frames differ", length)
		}
	}
}

// TestFramesInPieces feeds a stream at any borders and wants the same frames.
func TestFramesInPieces(t *testing.T) {
	var stream []byte
	var want [][]byte
	for i := range 200 {
		payload := bytes.Repeat([]byte{byte(i)}, i*i%300)
		want = append(want, payload)
		stream = append(appendHead(stream, headBinary, len(payload), false, 0), payload...)
	}
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 0))
		var left []byte
		var got [][]byte
		for rest := stream; len(rest) > 0; {
			n := 1 + rng.IntN(min(len(rest), 1+rng.IntN(500)))
			left, rest = append(left, rest[:n]...), rest[n:]
			for {
				f, n, err := nextFrame(left)
				if err != nil {
					t.Fatal(err)
				}
				if n == 0 {
					break
				}
				got = append(got, bytes.Clone(f.payload))
				left = left[n:]
			}
		}
		if len(got) != len(want) || !bytes.Equal(bytes.Join(got, nil), bytes.Join(want, nil)) {
			t.Fatalf("seed %d: %d frames, want %d", seed, len(got), len(want))
		}
	}
}

func TestReceiveAllocatesNothing(t *testing.T) {
	l, c := receiver(32, 1)
	var seq uint32
	var b, body []byte
	if n := testing.AllocsPerRun(100, func() {
		b = b[:0]
		for range 100 {
			body = l.check.appendPayload(body[:0], stamp{seq: seq})
			b = append(appendHead(b, headBinary, len(body), false, 0), body...)
			seq++
		}
		if rest, err := l.receive(c, b); err != nil || len(rest) > 0 {
			t.Fatal(err, len(rest))
		}
	}); n > 0 {
		t.Errorf("%v allocations per read", n)
	}
	if l.check.faults.Any() || l.check.delivered != uint64(seq) {
		t.Errorf("%d of %d delivered, faults %s", l.check.delivered, seq, l.check.faults)
	}
}

// receiver is a worker with one connection that hears so many senders, in a closed loop.
func receiver(payload, senders int) (*worker, *conn) {
	w := &worker{}
	w.spec.Senders = senders
	w.check = newChecker(payload, 1)
	w.rooms = make([]room, 1)
	w.inside, w.outside, w.raw = newHist(), newHist(), newHist()
	return w, &conn{sender: -1, next: make([]uint32, senders)}
}

// BenchmarkReceive is what a worker does with frames once they are in its buffer.
func BenchmarkReceive(b *testing.B) {
	for _, payload := range []int{32, 128} {
		b.Run(fmt.Sprintf("%d bytes", payload), func(b *testing.B) {
			frames := (64 << 10) / (payload + 4)
			w, c := receiver(payload, frames)
			var wire, body []byte
			for i := range frames {
				body = w.check.appendPayload(body[:0], stamp{sender: uint32(i)})
				wire = append(appendHead(wire, headBinary, len(body), false, 0), body...)
			}
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			b.ReportAllocs()
			before := threadCPU()
			for b.Loop() {
				clear(c.next)
				if _, err := w.receive(c, wire); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*frames), "ns/frame")
			b.ReportMetric(float64((threadCPU()-before).Nanoseconds())/float64(b.N*frames), "cpu-ns/frame") // of a machine that is not ours alone
		})
	}
}
