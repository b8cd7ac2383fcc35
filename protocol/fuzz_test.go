package protocol_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"throng/protocol"
	"throng/protocol/cases"
)

// seedCases are short cases of every kind.
func seedCases() (some []cases.Case) {
	for i, c := range allCases() {
		if len(c.In) < 200 && i%5 == 0 {
			some = append(some, c)
		}
	}
	return some
}

// FuzzDecoder: a decoder cannot see where the pieces of a stream end.
func FuzzDecoder(f *testing.F) {
	for _, c := range seedCases() {
		f.Add(c.In, c.Deflate, uint64(len(c.In)))
	}
	f.Fuzz(func(t *testing.T, in []byte, deflate bool, seed uint64) {
		cfg := protocol.DecoderConfig{MaxMessage: 1000, MaxFrame: 600, MaxFragments: 4}
		random := rand.New(rand.NewPCG(seed, 0))
		run := func(next func(left int) int) heard {
			var d protocol.Decoder
			if deflate {
				d.EnableDeflate()
			}
			defer d.Release()
			h := feed(t, &d, &cfg, in, next)
			if n := d.Pending(); n > 8*len(in)+3*1024 {
				t.Errorf("%d bytes lent for %d", n, len(in))
			}
			return h
		}
		want := run(whole)
		same(t, "byte by byte", want, run(func(int) int { return 1 }))
		same(t, "random pieces", want, run(func(left int) int { return 1 + random.IntN(left) }))
		for _, ev := range want.events {
			if len(ev.Payload) > cfg.MaxMessage {
				t.Errorf("a message of %d bytes passed", len(ev.Payload))
			}
		}
	})
}

func same(t *testing.T, how string, want, got heard) {
	t.Helper()
	if len(got.events) != len(want.events) || got.failed != want.failed {
		t.Fatalf("%s: %d events, violation %v; whole: %d, %v", how, len(got.events), got.failed, len(want.events), want.failed)
	}
	for i, w := range want.events {
		if g := got.events[i]; g.Op != w.Op || g.Code != w.Code || !bytes.Equal(g.Payload, w.Payload) {
			t.Fatalf("%s: event %d: op %d, code %d, %q; whole: op %d, code %d, %q", how, i, g.Op, g.Code, g.Payload, w.Op, w.Code, w.Payload)
		}
	}
}

// FuzzDecoderAgainstGobwas: what gobwas/ws writes and reads back as a stream of messages, the decoder reads
// the same. Each byte of plan is a frame.
func FuzzDecoderAgainstGobwas(f *testing.F) {
	f.Add([]byte{1, 2, 3, 0x80, 0x41, 0xc2, 0xff, 0x19, 0x08}, []byte("Hello wörld, 大象 🐘"))
	f.Add([]byte("fragments and pings"), bytes.Repeat([]byte("0123456789"), 30))
	f.Fuzz(func(t *testing.T, plan, text []byte) {
		if len(plan) > 64 || len(text) > 1<<10 {
			return
		}
		in := streamOf(t, plan, text)
		want := byGobwas(t, in)
		cfg := protocol.DecoderConfig{}
		for _, n := range []int{len(in), 1, 7} {
			var d protocol.Decoder
			h := feed(t, &d, &cfg, in, func(int) int { return n })
			same(t, "against gobwas", want, h)
		}
	})
}

// streamOf writes a valid stream with gobwas/ws; the bits of each byte of plan choose what comes next.
func streamOf(t *testing.T, plan, text []byte) []byte {
	var out bytes.Buffer
	write := func(op ws.OpCode, fin bool, payload []byte) {
		frame := ws.MaskFrameWith(ws.NewFrame(op, fin, payload), [4]byte{byte(len(payload)), 2, 3, byte(op)})
		if err := ws.WriteFrame(&out, frame); err != nil {
			t.Fatal(err)
		}
	}
	open := false
	for _, step := range plan {
		part := bytes.Repeat(text, int(step>>5))
		switch kind := step & 7; {
		case kind == 7:
			write(ws.OpPing, true, part[:min(len(part), 125)])
		case kind == 6:
			write(ws.OpPong, true, part[:min(len(part), 125)])
		case open:
			open = kind&1 == 0
			write(ws.OpContinuation, !open, part)
		default:
			op := ws.OpBinary
			if bytes.Equal(part, bytes.ToValidUTF8(part, nil)) && kind&2 == 0 {
				op = ws.OpText
			}
			open = kind&1 == 0 && op == ws.OpBinary
			write(op, !open, part)
		}
	}
	if open {
		write(ws.OpContinuation, true, nil)
	}
	return out.Bytes()
}

func byGobwas(t *testing.T, in []byte) (h heard) {
	from := bytes.NewReader(in)
	hear := func(op ws.OpCode, r io.Reader) {
		payload, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		h.events = append(h.events, cases.Event{Op: byte(op), Payload: payload})
	}
	reader := wsutil.Reader{
		Source: from, State: ws.StateServerSide, CheckUTF8: true,
		OnIntermediate: func(header ws.Header, r io.Reader) error {
			hear(header.OpCode, r)
			return nil
		},
	}
	for {
		header, err := reader.NextFrame()
		if err == io.EOF {
			return h
		}
		if err != nil {
			t.Fatal(err)
		}
		hear(header.OpCode, &reader)
	}
}
