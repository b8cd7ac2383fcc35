package engine

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"throng/protocol"
)

// bench is a room as whoever uses JoinAt keeps it: where it stands, under a lock
// under which it is published to as well.
type bench struct {
	name string
	mu   sync.Mutex
	head uint64
	said [Forms][]uint64 // positions of all that was said, for each form
}

func (b *bench) at() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.head
}

// say publishes the next message, whose text in each form is its position, or in one
// form only.
func (b *bench) say(e *Engine, r *rand.Rand, compressible bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.head += 1 + uint64(r.IntN(3))
	var what Contents
	only := r.IntN(6)
	for f := range what {
		if only < Forms && only != f {
			continue
		}
		text := fmt.Appendf(nil, "%d %d ", f, b.head)
		if compressible {
			text = append(text, bytes.Repeat([]byte("again "), 60)...)
		}
		what[f] = Content{protocol.OpText, text}
		b.said[f] = append(b.said[f], b.head)
	}
	e.PublishAt(b.name, b.head, &what)
}

// sitter is somebody in a bench, and what they must have seen of it.
type sitter struct {
	*fakeConn
	bench *bench
	topic *Topic
	from  uint64
}

// check holds what a sitter got against what was said after it came: all of that, or
// the beginning of it.
func (s *sitter) check(all bool) error {
	messages, _ := payloads(s.f.t, inflated(s.f.t, s.got))
	f := s.c.Form()
	s.bench.mu.Lock()
	want := s.bench.said[f]
	s.bench.mu.Unlock()
	first, _ := slices.BinarySearch(want, s.from+1)
	want = want[first:]
	for i, m := range messages {
		var form, pos uint64
		if n, err := fmt.Sscanf(string(m), "%d %d ", &form, &pos); n != 2 || err != nil || Form(form) != f {
			return fmt.Errorf("message %d is %.20q, which is none of form %d", i, m, f)
		}
		if i >= len(want) || pos != want[i] {
			return fmt.Errorf("%s, form %d: joined at %d; message %d is %d, want %v", s.bench.name, f, s.from, i, pos, want[min(i, len(want)):min(i+3, len(want))])
		}
	}
	if all && len(messages) != len(want) {
		return fmt.Errorf("%s, form %d: joined at %d; got %d messages of %d", s.bench.name, f, s.from, len(messages), len(want))
	}
	return nil
}

// inflated makes plain frames of what a client got.
func inflated(t testing.TB, b []byte) (plain []byte) {
	for len(b) > 0 {
		n := protocol.FrameLen(b)
		if n == 0 || n > len(b) {
			return append(plain, b...)
		}
		if b[0]&0x40 == 0 {
			plain = append(plain, b[:n]...)
		} else {
			plain = protocol.AppendFrame(plain, protocol.Opcode(b[0]&0x0f), inflatedPayload(t, b[:n]))
		}
		b = b[n:]
	}
	return plain
}

func inflatedPayload(t testing.TB, frame []byte) []byte {
	head := 2
	switch frame[1] {
	case 126:
		head = 4
	case 127:
		head = 10
	}
	z := flate.NewReader(io.MultiReader(bytes.NewReader(frame[head:]), strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff")))
	text, err := io.ReadAll(z)
	if err != nil {
		t.Error(err)
	}
	return text
}

// TestJoinersSeeEveryPosition has several goroutines publish to a few rooms, while on
// several loops people of all outfits come and go, so that topics end and begin again
// and letters are under way to loops that nobody is left on: whoever joins sees each
// message above the position it was told, once, in order, and none below it.
func TestJoinersSeeEveryPosition(t *testing.T) {
	r := newRand(t)
	for range 6 {
		if !playPositions(t, r) {
			break // once is long enough under the race detector
		}
	}
}

func playPositions(t *testing.T, r *rand.Rand) (again bool) {
	cfg := quietConfig()
	cfg.Loops, cfg.Compress, cfg.WriteTimeout = 3, true, 0
	cfg.LogBytes, cfg.LogMessages = 0, 0
	loops := newFakeLoops(t, cfg, &rooms{})
	benches := []*bench{{name: "a"}, {name: "b"}}
	var publishers, sitters sync.WaitGroup
	var quiet atomic.Bool
	for range 2 {
		r := rand.New(rand.NewPCG(r.Uint64(), 1))
		publishers.Go(func() {
			for range 4000 {
				benches[r.IntN(len(benches))].say(loops[0].engine, r, r.IntN(8) == 0)
				if r.IntN(20) == 0 {
					runtime.Gosched()
				}
			}
		})
	}
	for _, f := range loops {
		r := rand.New(rand.NewPCG(r.Uint64(), 2))
		sitters.Go(func() { sitOn(t, f, r, benches, &quiet) })
	}
	publishers.Wait()
	quiet.Store(true)
	sitters.Wait()
	if n := loops[0].engine.topics.count.Load(); n != 0 {
		t.Fatalf("%d topics are left", n)
	}
	return !loops[0].asserts() && !t.Failed()
}

// sitOn runs a loop with a few people who come and go until it is quiet, and then
// until everybody has everything.
func sitOn(t *testing.T, f *fakeLoop, r *rand.Rand, benches []*bench, quiet *atomic.Bool) {
	var here []*sitter
	leave := func(i int, all bool) {
		s := here[i]
		s.read(1 << 22)
		if err := s.check(all); err != nil {
			t.Error(err)
		}
		f.enter()
		s.c.Leave(s.topic)
		f.exit()
		s.reset()
		s.hangUp()
		here = slices.Delete(here, i, i+1)
	}
	for joined := 0; !quiet.Load() && !t.Failed(); {
		switch n := r.IntN(10); {
		case n < 2 && len(here) < 4:
			f.enter()
			s := &sitter{bench: benches[r.IntN(len(benches))], fakeConn: f.member(outfit(r.IntN(outfits)), []int{0, 4096}[r.IntN(2)])}
			s.topic, s.from = s.c.JoinAt(s.bench.name, s.bench.at)
			f.exit()
			here = append(here, s)
			joined++
		case n < 4 && len(here) > 0:
			leave(r.IntN(len(here)), false)
		case n < 6 && len(here) > 0:
			here[r.IntN(len(here))].read(1 + r.IntN(1<<16))
			f.bell.ring()
		case n < 9:
			f.ring()
		default:
			runtime.Gosched()
		}
		f.conns = f.conns[:0] // they hang up by themselves, or at the end
		for _, s := range here {
			f.conns = append(f.conns, s.fakeConn)
		}
		if len(here) == 0 && r.IntN(3) == 0 {
			f.ring()
		}
	}
	for range 50 {
		for _, s := range here {
			s.read(1 << 22)
		}
		f.bell.ring()
		f.ring()
	}
	f.check()
	for len(here) > 0 {
		leave(len(here)-1, true)
	}
}
