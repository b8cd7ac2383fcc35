package protocol

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"testing"

	"github.com/gobwas/ws"
)

// clientFrame is a client's frame, masked; first is FIN, RSV bits and opcode.
func clientFrame(first byte, payload []byte) []byte {
	key := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	b := AppendHeader(nil, 0, false, len(payload))
	b[0] = first
	b[1] |= bitMask
	b = append(b, key[:]...)
	at := len(b)
	b = append(b, payload...)
	ws.Cipher(b[at:], key, 0)
	return b
}

// one is the only event in a stream that is fed in pieces of n bytes.
func one(t *testing.T, d *Decoder, cfg *DecoderConfig, in []byte, n int) (ev Event) {
	t.Helper()
	found := false
	for len(in) > 0 {
		piece := in[:min(n, len(in))]
		in = in[len(piece):]
		for {
			e, rest, ok, err := d.Next(cfg, piece)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			if found {
				t.Fatalf("a second event: op %d, %d bytes", e.Op, len(e.Payload))
			}
			found, piece = true, rest
			ev = Event{Op: e.Op, Payload: bytes.Clone(e.Payload), Code: e.Code}
		}
	}
	if !found {
		t.Fatal("no event")
	}
	return ev
}

func TestWholeFrameIsAView(t *testing.T) {
	cfg := DefaultDecoderConfig()
	var d Decoder
	in := append(clientFrame(bitFin|1, []byte("Hello")), clientFrame(bitFin|9, []byte("ping"))...)
	ev, rest, ok, err := d.Next(&cfg, in)
	if !ok || err != nil || string(ev.Payload) != "Hello" || &ev.Payload[0] != &in[6] {
		t.Fatalf("%q, %v, %v: not a view of the input", ev.Payload, ok, err)
	}
	if cap(ev.Payload) != 5 {
		t.Error("appending to the payload would write over the next frame")
	}
	ev, rest, ok, err = d.Next(&cfg, rest)
	if !ok || err != nil || ev.Op != OpPing || string(ev.Payload) != "ping" || len(rest) != 0 {
		t.Fatalf("%+v, %v, %v", ev, ok, err)
	}
	if d.Pending() != 0 {
		t.Errorf("%d bytes lent for whole frames", d.Pending())
	}
}

func TestPendingAndRelease(t *testing.T) {
	cfg := DefaultDecoderConfig()
	var d Decoder
	frame := clientFrame(bitFin|1, []byte("Hello"))
	d.Next(&cfg, bytes.Clone(frame[:1]))
	if d.Pending() == 0 {
		t.Error("nothing pending after a byte of a header")
	}
	d.Next(&cfg, bytes.Clone(frame[1:9]))
	if got := d.Pending(); got == 0 || got > 512 {
		t.Errorf("%d bytes lent for 9", got)
	}
	ev, rest, ok, err := d.Next(&cfg, bytes.Clone(frame[9:]))
	if !ok || err != nil || string(ev.Payload) != "Hello" {
		t.Fatalf("%+v, %v, %v", ev, ok, err)
	}
	if _, _, ok, _ := d.Next(&cfg, rest); ok || d.Pending() != 0 {
		t.Errorf("%d bytes lent after the message", d.Pending())
	}
	d.Next(&cfg, bytes.Clone(frame[:9]))
	d.Release()
	if d.Pending() != 0 {
		t.Errorf("%d bytes lent after Release", d.Pending())
	}
	if _, _, ok, err := d.Next(&cfg, frame); ok || err != nil {
		t.Errorf("read on after Release: %v, %v", ok, err)
	}
}

func TestNothingAfterTheEnd(t *testing.T) {
	cfg := DefaultDecoderConfig()
	var d Decoder
	bad := append(clientFrame(1, []byte("Hel")), 0xf0)
	for range 3 {
		_, rest, ok, err := d.Next(&cfg, bad)
		if ok || err != error(ReservedBits) || rest != nil {
			t.Errorf("%v, %v, %d bytes left; want the violation again", ok, err, len(rest))
		}
		bad = clientFrame(bitFin|1, []byte("too late"))
	}
	var c Decoder
	ev, rest, ok, err := c.Next(&cfg, append(clientFrame(bitFin|8, []byte("\x03\xe8bye")), 0xf0))
	if !ok || err != nil || ev.Op != OpClose || ev.Code != 1000 || string(ev.Payload) != "bye" {
		t.Fatalf("%+v, %v, %v", ev, ok, err)
	}
	if _, rest, ok, err = c.Next(&cfg, rest); ok || err != nil || rest != nil {
		t.Errorf("after a Close: %v, %v, %d bytes left", ok, err, len(rest))
	}
}

// A header can declare what it wants: memory is for bytes that have come.
func TestDeclaredLengthCostsNothing(t *testing.T) {
	for _, declared := range []uint64{1 << 20, 1 << 40, 1<<63 - 1} {
		var cfg DecoderConfig // no limits at all
		in := []byte{bitFin | byte(OpBinary), bitMask | length64}
		in = binary.BigEndian.AppendUint64(in, declared)
		in = append(in, 1, 2, 3, 4)
		in = append(in, make([]byte, 1000)...)
		var d Decoder
		if _, _, ok, err := d.Next(&cfg, in); ok || err != nil {
			t.Fatalf("%d: %v, %v", declared, ok, err)
		}
		if got := d.Pending(); got > 2048 {
			t.Errorf("%d declared, 1,000 sent: %d bytes lent", declared, got)
		}
		d.Release()
	}
}

// 16 MiB, whole and in small fragments, in reads of 16 KiB: nothing may be quadratic.
func TestLargeMessages(t *testing.T) {
	size := 16 << 20
	if !lendingExact {
		size = 2 << 20 // the race run is slow
	}
	cfg := DecoderConfig{MaxMessage: size}
	text := bytes.Repeat([]byte("large message. "), size/15+1)[:size]
	whole := clientFrame(bitFin|1, text)
	var pieces []byte
	first := byte(1)
	for rest := text; len(rest) > 0; rest = rest[min(64, len(rest)):] {
		if len(rest) <= 64 {
			first |= bitFin
		}
		pieces = append(pieces, clientFrame(first, rest[:min(64, len(rest))])...)
		first = 0
	}
	for name, in := range map[string][]byte{"whole": whole, "fragments": pieces} {
		var d Decoder
		if ev := one(t, &d, &cfg, in, 16<<10); !bytes.Equal(ev.Payload, text) {
			t.Errorf("%s: another message of %d bytes", name, len(ev.Payload))
		}
		if d.Pending() != 0 {
			t.Errorf("%s: %d bytes still lent", name, d.Pending())
		}
	}
	if lendingExact {
		runtime.GC() // the other tests count allocations
	}
}

// A steady stream of anything costs no allocation, whatever the pieces.
func TestDecoderAllocatesNothing(t *testing.T) {
	if !lendingExact {
		t.Skip("pools are not exact under the race detector")
	}
	cfg := DefaultDecoderConfig()
	text := bytes.Repeat([]byte("Hällo wörld! "), 100)
	long := bytes.Repeat([]byte("0123456789abcdef"), 4096)
	small := compressedForTest(text)
	fragmented := append(clientFrame(1, text[:701]), clientFrame(bitFin|9, []byte("ping"))...)
	fragmented = append(fragmented, clientFrame(bitFin|9, []byte("another ping"))...)
	fragmented = append(fragmented, clientFrame(bitFin, text[701:])...)
	squeezed := append(clientFrame(bitRSV1|1, small[:20]), clientFrame(bitFin, small[20:])...)
	bad := append(clientFrame(1, text), 0xf0)
	for name, in := range map[string][]byte{
		"whole": clientFrame(bitFin|1, text), "fragmented": fragmented, "64 KiB": clientFrame(bitFin|2, long),
		"compressed": squeezed, "a violation": bad, "close": clientFrame(bitFin|8, []byte("\x03\xe8bye")),
	} {
		for _, piece := range []int{len(in), 1000, 7} {
			buf := make([]byte, len(in))
			allocs := testing.AllocsPerRun(50, func() {
				copy(buf, in)
				var d Decoder
				d.EnableDeflate()
				for rest := buf; len(rest) > 0; {
					k := min(piece, len(rest))
					for part, ok := rest[:k], true; ok; {
						_, part, ok, _ = d.Next(&cfg, part)
					}
					rest = rest[k:]
				}
				if d.Pending() != 0 {
					t.Fatalf("%s: %d bytes still lent", name, d.Pending())
				}
			})
			if allocs != 0 {
				t.Errorf("%s in pieces of %d: %v allocations", name, piece, allocs)
			}
		}
	}
}
