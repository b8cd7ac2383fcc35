package protocol

import (
	"bytes"
	stdflate "compress/flate"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

// compressedForTest is a message's compressed payload, by another implementation than the one under test.
func compressedForTest(p []byte) []byte {
	var b bytes.Buffer
	w, _ := stdflate.NewWriter(&b, stdflate.BestCompression)
	_, _ = w.Write(p)
	_ = w.Flush()
	return b.Bytes()[:b.Len()-4]
}

// inflatedForTest is what a compressed payload says, by another implementation.
func inflatedForTest(t *testing.T, p []byte) []byte {
	t.Helper()
	all, err := io.ReadAll(stdflate.NewReader(io.MultiReader(bytes.NewReader(p), bytes.NewReader(tail))))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// chatText is text as people and programs write it: words that come again at every distance.
func chatText(random *rand.Rand, n int) []byte {
	words := strings.Fields("the quick brown fox jumps over a lazy dog while seven wizards examine boxes of golden jam " +
		`{"room":"lobby","seq":12345,"from":"alice","text": at noon tomorrow grüße 大象 🐘 `)
	var b []byte
	for len(b) < n {
		b = append(append(b, words[random.IntN(len(words))]...), ' ')
	}
	return b[:n]
}

func TestAppendDeflated(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	for _, enc := range []Encoding{Deflated, DeflatedSmall} {
		for _, n := range []int{0, 1, 13, 32, 33, 100, 127, 128, 129, 255, 256, 257, 1000, 5000, 65536, 150_000} {
			for kind, payload := range map[string][]byte{
				"text": chatText(random, n), "one byte": bytes.Repeat([]byte{'x'}, n), "random": randomBytes(random, n),
				"period 255": period(random, 255, n), "period 256": period(random, 256, n), "period 257": period(random, 257, n),
			} {
				name := fmt.Sprintf("encoding %d, %s of %d (seed %d)", enc, kind, n, seed)
				out, smaller := AppendDeflated([]byte("log"), OpText, payload, enc)
				if !smaller {
					if string(out) != "log" {
						t.Errorf("%s: left %d bytes behind", name, len(out)-3)
					}
					if n >= 256 && kind != "random" && !strings.HasPrefix(kind, "period") {
						t.Errorf("%s: not smaller", name)
					}
					continue
				}
				checkDeflated(t, name, out[3:], payload, enc)
			}
		}
	}
}

// Short messages are searched for repetitions too: random bytes get smaller only by that.
func TestAppendDeflatedShort(t *testing.T) {
	payload := period(rand.New(rand.NewPCG(1, 2)), 40, 120)
	for _, enc := range []Encoding{Deflated, DeflatedSmall} {
		frame, smaller := AppendDeflated(nil, OpText, payload, enc)
		if !smaller || len(frame) > 70 {
			t.Errorf("encoding %d: 40 random bytes three times take %d bytes", enc, len(frame))
		}
	}
}

func checkDeflated(t *testing.T, name string, frame, payload []byte, enc Encoding) {
	t.Helper()
	if FrameLen(frame) != len(frame) || frame[0] != bitFin|bitRSV1|byte(OpText) {
		t.Fatalf("%s: header % x of %d bytes", name, frame[:2], len(frame))
	}
	if len(frame) >= FrameSize(len(payload)) {
		t.Errorf("%s: %d bytes, plain %d", name, len(frame), FrameSize(len(payload)))
	}
	body := frame[len(frame)-bodyLen(frame):]
	if got := inflatedForTest(t, body); !bytes.Equal(got, payload) {
		t.Errorf("%s: inflates to %d other bytes", name, len(got))
	}
	limit := 1 << 15
	if enc == DeflatedSmall {
		limit = 1 << 8
	}
	if far := farthest(t, body); far > limit {
		t.Errorf("%s: looks back %d bytes, the window has %d", name, far, limit)
	}
}

func bodyLen(frame []byte) int {
	n, _, _ := declaredLength(frame)
	return int(n)
}

func randomBytes(random *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

// period is random bytes that come again after so many: what a window of one byte less cannot see.
func period(random *rand.Rand, every, n int) []byte {
	b := randomBytes(random, n)
	for i := every; i < n; i++ {
		b[i] = b[i-every]
	}
	return b
}

func TestAppendDeflatedPlain(t *testing.T) {
	out, smaller := AppendDeflated([]byte("log"), OpText, bytes.Repeat([]byte{'x'}, 1000), Plain)
	if smaller || string(out) != "log" {
		t.Errorf("%v, %d bytes", smaller, len(out))
	}
}

// inflated is inflate on plain bytes.
func inflated(p []byte, limit int) ([]byte, Violation) {
	src := (*buffer)(nil).withRoom(len(p))
	src.b = append(src.b, p...)
	out, v := inflate(src, limit)
	defer out.giveBack()
	return bytes.Clone(out.bytes()), v
}

// The limit holds to the byte, and a bomb costs no more memory than the limit.
func TestInflateStopsAtTheLimit(t *testing.T) {
	for _, n := range []int{1, 2, 1000, 65536} {
		small := compressedForTest(bytes.Repeat([]byte{'x'}, n))
		if got, v := inflated(small, n); v != 0 || len(got) != n {
			t.Errorf("%d within %d: %d bytes, %v", n, n, len(got), v)
		}
		if n > 1 {
			if got, v := inflated(small, n-1); v != InflateTooBig || len(got) != n {
				t.Errorf("%d within %d: %d bytes, %v", n, n-1, len(got), v)
			}
		}
		if got, v := inflated(small, 0); v != 0 || len(got) != n {
			t.Errorf("%d without limit: %d bytes, %v", n, len(got), v)
		}
	}
	bomb := compressedForTest(make([]byte, 4<<20))
	if got, v := inflated(bomb, 10_000); v != InflateTooBig || len(got) != 10_001 {
		t.Errorf("a bomb of %d: %d bytes, %v", len(bomb), len(got), v)
	}
}

// A message of nothing but final blocks makes the inflater start again for every few bytes.
func TestManyFinalBlocks(t *testing.T) {
	const blocks = 30_000
	if got, v := inflated(bytes.Repeat([]byte{0x03, 0x00}, blocks), 65536); v != 0 || len(got) != 0 {
		t.Errorf("%d bytes, %v", len(got), v)
	}
}

func TestDeflateAllocatesNothing(t *testing.T) {
	if !lendingExact {
		t.Skip("pools are not exact under the race detector")
	}
	random := rand.New(rand.NewPCG(1, 2))
	dst := make([]byte, 0, 128<<10)
	for _, enc := range []Encoding{Deflated, DeflatedSmall} {
		for _, n := range []int{20, 100, 1000, 65536} {
			payload := chatText(random, n)
			if allocs := testing.AllocsPerRun(30, func() { AppendDeflated(dst, OpText, payload, enc) }); allocs != 0 {
				t.Errorf("encoding %d, %d bytes: %v allocations", enc, n, allocs)
			}
		}
	}
	payload := chatText(random, 1000)
	if allocs := testing.AllocsPerRun(100, func() {
		AppendFrame(dst, OpText, payload)
		AppendClose(dst, 1001, "restart; reconnect in 100 ms")
	}); allocs != 0 {
		t.Errorf("plain frames: %v allocations", allocs)
	}
}

func FuzzDeflateRoundTrip(f *testing.F) {
	f.Add([]byte("Hello, Hello, Hello"), uint8(1), uint16(9))
	f.Add(bytes.Repeat([]byte("abc"), 100), uint8(2), uint16(1))
	f.Fuzz(func(t *testing.T, payload []byte, enc uint8, times uint16) {
		whole := bytes.Repeat(payload, 1+int(times)%64)
		frame, smaller := AppendDeflated(nil, OpBinary, whole, Encoding(enc%Encodings))
		if !smaller {
			return
		}
		body := frame[len(frame)-bodyLen(frame):]
		if got := inflatedForTest(t, body); !bytes.Equal(got, whole) {
			t.Errorf("%d bytes became %d", len(whole), len(got))
		}
		if got, v := inflated(body, len(whole)); v != 0 || !bytes.Equal(got, whole) {
			t.Errorf("%d bytes became %d, %v", len(whole), len(got), v)
		}
		if Encoding(enc%Encodings) == DeflatedSmall && farthest(t, body) > smallWindowBytes {
			t.Errorf("looks back %d bytes", farthest(t, body))
		}
	})
}
