package protocol

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// BenchmarkDecode reads buffers full of equal messages, as a loop lends them.
func BenchmarkDecode(b *testing.B) {
	cfg := DefaultDecoderConfig()
	for _, n := range []int{8, 64, 200, 1000, 65536} {
		for name, op := range map[string]Opcode{"text": OpText, "binary": OpBinary} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				in := clientFrame(bitFin|byte(op), bytes.Repeat([]byte{'x'}, n))
				buf := make([]byte, len(in))
				var d Decoder
				b.SetBytes(int64(n))
				b.ReportAllocs()
				for b.Loop() {
					copy(buf, in)
					if _, _, ok, _ := d.Next(&cfg, buf); !ok {
						b.Fatal("no message")
					}
				}
			})
		}
	}
}

// BenchmarkDecodePieces: a message that arrives in two reads, and one of 16 fragments.
func BenchmarkDecodePieces(b *testing.B) {
	cfg := DefaultDecoderConfig()
	whole := clientFrame(bitFin|1, bytes.Repeat([]byte{'x'}, 200))
	var fragments []byte
	for i := range 16 {
		first := [16]byte{0: 1, 15: bitFin}[i]
		fragments = append(fragments, clientFrame(first, []byte("0123456789abc"))...)
	}
	for name, in := range map[string][]byte{"two reads": whole, "16 fragments": fragments} {
		b.Run(name, func(b *testing.B) {
			buf := make([]byte, len(in))
			var d Decoder
			b.ReportAllocs()
			for b.Loop() {
				copy(buf, in)
				_, _, _, _ = d.Next(&cfg, buf[:len(buf)/2])
				if _, _, ok, _ := d.Next(&cfg, buf[len(buf)/2:]); !ok {
					b.Fatal("no message")
				}
			}
		})
	}
}

func BenchmarkUTF8Stream(b *testing.B) {
	for name, text := range map[string][]byte{
		"ascii": bytes.Repeat([]byte("Hello, world. "), 1000), "mixed": bytes.Repeat([]byte("Grüße aus Köln. "), 1000),
		"cjk": bytes.Repeat([]byte("大象在这里。"), 1000),
	} {
		for _, piece := range []int{64, 16 << 10} {
			b.Run(fmt.Sprintf("%s/%d", name, piece), func(b *testing.B) {
				b.SetBytes(int64(len(text)))
				for b.Loop() {
					var u utf8Stream
					for rest := text; len(rest) > 0; rest = rest[min(piece, len(rest)):] {
						if !u.write(rest[:min(piece, len(rest))]) {
							b.Fatal("not UTF-8")
						}
					}
				}
			})
		}
	}
}

func BenchmarkInflate(b *testing.B) {
	cfg := DefaultDecoderConfig()
	random := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{100, 1000, 65536} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			in := clientFrame(bitFin|bitRSV1|1, compressedForTest(bytes.Repeat(chatText(random, 100), n/100)))
			buf := make([]byte, len(in))
			var d Decoder
			d.EnableDeflate()
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				copy(buf, in)
				if _, _, ok, err := d.Next(&cfg, buf); !ok {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkInflateWorst: what 64 KiB of the dearest compressed data cost that we know of.
func BenchmarkInflateWorst(b *testing.B) {
	for name, in := range map[string][]byte{
		"final blocks": bytes.Repeat([]byte{3, 0}, 32<<10), "zeros": compressedForTest(make([]byte, 60_000_000)),
		"empty dynamic blocks": emptyDynamicBlocks(5700),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, v := inflated(in, 65536); v == InflateCorrupt {
					b.Fatal(v)
				}
			}
		})
	}
}

// emptyDynamicBlocks says nothing in blocks of 91 bits, each with tables of its own to be built.
func emptyDynamicBlocks(n int) (b []byte) {
	bit := 0
	put := func(v, width int) {
		for i := range width {
			if bit&7 == 0 {
				b = append(b, 0)
			}
			b[bit>>3] |= byte(v>>i&1) << (bit & 7)
			bit++
		}
	}
	for range n {
		put(2<<1, 3) // not final, dynamic
		put(0, 5+5)  // 257 literals, 1 distance
		put(14, 4)   // 18 lengths of lengths, two of them 1: for "18, zeros" and for "1"
		put(1<<(3*2)|1<<(3*17), 3*18)
		put(1|127<<1, 8) // 138 zeros
		put(1|106<<1, 8) // 117 zeros
		put(0, 3)        // length 1 for literal 255, the end of block, and a distance
		put(1, 1)        // the end of the block
	}
	put(0, 3) // the header of the stored block that the sender cuts
	return b
}

func BenchmarkAppendDeflated(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	dst := make([]byte, 0, 128<<10)
	for _, enc := range []Encoding{Deflated, DeflatedSmall} {
		for _, n := range []int{60, 127, 128, 200, 1000, 16384} {
			payload := chatText(random, n)
			b.Run(fmt.Sprintf("encoding %d/%d", enc, n), func(b *testing.B) {
				b.SetBytes(int64(n))
				b.ReportAllocs()
				for b.Loop() {
					AppendDeflated(dst, OpText, payload, enc)
				}
			})
		}
	}
}

func BenchmarkAppendFrame(b *testing.B) {
	dst := make([]byte, 0, 1024)
	payload := make([]byte, 200)
	for b.Loop() {
		AppendFrame(dst, OpText, payload)
	}
}
