package engine

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"throng/protocol"
)

var seedFlag = flag.Uint64("seed", 0, "seed of the model checks; 0: a new one each run")

// newRand returns a source of chance whose seed is printed if the test fails.
func newRand(t testing.TB) *rand.Rand {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("repeat with -seed=%d", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 0))
}

// logModel is a frameLog as plainly as can be: all frames ever, in a slice.
type logModel struct {
	frames [][]byte
	ends   []uint64 // position behind each frame
	times  []int64
}

func (m *logModel) append(frame []byte, now int64) {
	end := uint64(len(frame))
	if n := len(m.ends); n > 0 {
		end += m.ends[n-1]
	}
	m.frames, m.ends, m.times = append(m.frames, bytes.Clone(frame)), append(m.ends, end), append(m.times, now)
}

// border returns a random border of frames at or behind a position, and the
// count of frames before it.
func (m *logModel) border(r *rand.Rand, from uint64) (at uint64, frames uint64) {
	first := 0
	for first < len(m.ends) && m.ends[first] < from {
		first++
	}
	if from == 0 && r.IntN(8) == 0 {
		return 0, 0
	}
	i := first + r.IntN(len(m.ends)-first)
	return m.ends[i], uint64(i + 1)
}

// since returns the stream from a border on.
func (m *logModel) since(frames uint64) []byte { return bytes.Join(m.frames[frames:], nil) }

func TestFrameLogAgainstSlice(t *testing.T) {
	r := newRand(t)
	for range 20 {
		var g frameLog
		var m logModel
		var pool bufferPool
		now, base := int64(0), uint64(0)
		for step := range 2000 {
			now += int64(r.IntN(20e6))
			if r.IntN(10) > 0 || len(m.frames) == 0 {
				payload := make([]byte, []int{70000, 700, 126, 125, 60, 3, 0}[min(r.IntN(60), 6)])
				frame := protocol.AppendFrame(nil, protocol.OpText, payload)
				g.append(&pool, frame, now)
				m.append(frame, now)
			} else {
				at, _ := m.border(r, base)
				base = max(base, at)
				g.trim(&pool, base)
			}
			checkLog(t, r, &g, &m, base, step)
		}
		g.trim(&pool, g.head())
		if g.buf != nil || len(g.marks) != 0 {
			t.Fatalf("an empty log holds %d bytes and %d marks", cap(g.buf), len(g.marks))
		}
	}
}

func checkLog(t *testing.T, r *rand.Rand, g *frameLog, m *logModel, base uint64, step int) {
	t.Helper()
	at, frames := m.border(r, base)
	if got := g.head(); got != m.ends[len(m.ends)-1] {
		t.Fatalf("step %d: head %d, want %d", step, got, m.ends[len(m.ends)-1])
	}
	if got := g.framesBefore(at); got != frames {
		t.Fatalf("step %d: %d frames before %d, want %d (base %d)", step, got, at, frames, base)
	}
	if step%50 == 0 && !bytes.Equal(g.since(at), m.since(frames)) {
		t.Fatalf("step %d: the stream from %d differs", step, at)
	}
	if at == g.head() {
		return
	}
	if mk := g.markAt(at); mk.at > at || mk.nanos > m.times[frames] || m.times[frames]-mk.nanos >= markEveryNanos+20e6 {
		t.Fatalf("step %d: mark %+v for position %d appended at %d", step, mk, at, m.times[frames])
	}
	inside := at + 1 + uint64(r.IntN(len(m.frames[frames])))
	if end := g.frameEnd(at, inside); end != m.ends[frames] {
		t.Fatalf("step %d: the frame with the byte before %d ends at %d, want %d", step, inside, end, m.ends[frames])
	}
}

func TestBufferPoolCounts(t *testing.T) {
	r := newRand(t)
	var p bufferPool
	var out [][]byte
	held := func() (n int) {
		for _, class := range p.free {
			for _, b := range class {
				n += cap(b)
			}
		}
		for _, b := range out {
			n += cap(b)
		}
		return n
	}
	for range 5000 {
		if r.IntN(2) == 0 {
			n := 1 << r.IntN(22)
			b := p.get(n)
			if len(b) != 0 || cap(b) < n {
				t.Fatalf("asked for %d bytes, got %d of %d", n, len(b), cap(b))
			}
			out = append(out, b)
		} else if len(out) > 0 {
			i := r.IntN(len(out))
			p.put(out[i])
			out[i] = out[len(out)-1]
			out = out[:len(out)-1]
		}
		if p.held != held() {
			t.Fatalf("held is %d, counted %d", p.held, held())
		}
	}
	p.put(nil)
}

func TestBucket(t *testing.T) {
	var b bucket
	now := int64(1)
	for i := range 5 {
		if !b.take(now, 10, 5) {
			t.Fatalf("token %d of a full bucket was refused", i)
		}
	}
	if b.take(now, 10, 5) {
		t.Fatal("an empty bucket gave a token")
	}
	if b.take(now+99e6, 10, 5) {
		t.Fatal("a token before its time")
	}
	if !b.take(now+101e6, 10, 5) {
		t.Fatal("no token in its time")
	}
	given := 0
	for range 1000 { // far more calls than tokens: refused ones must not eat the refill
		now += 10e6
		if b.take(now+101e6, 10, 5) {
			given++
		}
	}
	if given < 95 || given > 105 {
		t.Fatalf("%d tokens in 10 s at 10 a second", given)
	}
}

func TestLaneQueueKeepsOrder(t *testing.T) {
	r := newRand(t)
	var q laneQueue
	var model []*lane
	for range 20000 {
		if r.IntN(2) == 0 || len(model) == 0 {
			ln := &lane{}
			q.push(ln)
			model = append(model, ln)
		} else {
			if q.pop() != model[0] {
				t.Fatal("out of order")
			}
			model = model[1:]
		}
		if q.len() != len(model) {
			t.Fatalf("%d queued, want %d", q.len(), len(model))
		}
	}
}
