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

// TestJoinAt: what a position is where nobody stands, where somebody does, and where
// letters are on their way.
func TestJoinAt(t *testing.T) {
	f := newFakeLoop(t, quietConfig(), &rooms{})
	e := f.engine
	say := func(pos uint64) {
		what := everyForm(protocol.OpText, fmt.Append(nil, pos))
		e.PublishAt("tea", pos, &what)
	}
	asked := 0
	head := func(n uint64) func() uint64 {
		return func() uint64 { asked++; return n }
	}
	raw, enveloped := outfitOf(Raw, protocol.Plain), outfitOf(Enveloped, protocol.Plain)
	join := func(o outfit, at func() uint64, want uint64) *fakeConn {
		t.Helper()
		f.enter()
		defer f.exit()
		fc := f.member(o, 0)
		if _, pos := fc.c.JoinAt("tea", at); pos != want {
			t.Fatalf("joined at %d, want %d", pos, want)
		}
		return fc
	}
	say(6) // to nobody
	first := join(raw, head(6), 6)
	say(7)
	say(9)
	second := join(raw, head(9), 6) // 7 and 9 are on their way to both
	third := join(enveloped, head(9), 9)
	if asked != 2 {
		t.Fatalf("head was asked %d times, want 2: once a lane", asked)
	}
	f.ring()
	fourth := join(enveloped, head(0), 9)
	fifth := join(raw, head(0), 9)
	say(12)
	say(12) // once is enough
	f.ring()
	for i, want := range []string{"7 9 12", "7 9 12", "12", "12", "12"} {
		fc := []*fakeConn{first, second, third, fourth, fifth}[i]
		fc.read(1 << 16)
		got, _ := payloads(t, fc.got)
		if text := string(bytes.Join(got, []byte(" "))); text != want {
			t.Errorf("client %d got %s, want %s", i, text, want)
		}
	}
	f.enter()
	again, pos := first.c.JoinAt("tea", head(0))
	first.c.Close(1000, "")
	gone, none := first.c.JoinAt("tea", head(0))
	f.exit()
	if again != fifth.c.seat0.lane.local.topic || pos != 12 || gone != nil || none != 0 {
		t.Errorf("joined again: %v at %d; closed: %v at %d", again, pos, gone, none)
	}
}

// TestFormsAreMadeForThoseWhoWantThem: of a message each connection gets its form; one
// without content is passed over, one that nobody wants is not made.
func TestFormsAreMadeForThoseWhoWantThem(t *testing.T) {
	cfg := quietConfig()
	cfg.Compress = true
	f := newFakeLoop(t, cfg, &rooms{})
	f.enter()
	speaker := f.member(outfitOf(Raw, protocol.Plain), 0)
	topic := speaker.c.Join("tea")
	text := strings.Repeat("tea ", 100)
	what := Contents{Raw: {protocol.OpText, []byte(text)}, Enveloped: {protocol.OpText, []byte("{" + text + "}")}}
	speaker.c.PublishForms(topic, &what)
	for o, frame := range f.enc.frames {
		if made := len(frame) > 0; made != (outfit(o) == speaker.c.outfit) {
			t.Errorf("outfit %d: made %v", o, made)
		}
	}
	all := map[outfit]*fakeConn{}
	for o := range outfit(outfits) {
		all[o] = f.member(o, 0)
		all[o].c.Join("tea")
		if all[o].c.Form() != o.form() {
			t.Errorf("outfit %d is of form %d", o, all[o].c.Form())
		}
	}
	speaker.c.PublishForms(topic, &what)
	speaker.c.PublishForms(topic, &Contents{Enveloped: {protocol.OpBinary, []byte("hush")}})
	speaker.c.Publish(topic, protocol.OpText, []byte("all"))
	f.exit()
	f.ring()
	for o, fc := range all {
		fc.read(1 << 16)
		if deflated := fc.got[0]&0x40 != 0; deflated != (o.encoding() != protocol.Plain) {
			t.Errorf("outfit %d: deflated %v", o, deflated)
		}
		got, _ := payloads(t, inflated(t, fc.got))
		want := []string{text, "all"}
		if o.form() == Enveloped {
			want = []string{"{" + text + "}", "hush", "all"}
		}
		if len(got) != len(want) {
			t.Fatalf("outfit %d got %d messages, want %d", o, len(got), len(want))
		}
		for i := range want {
			if string(got[i]) != want[i] {
				t.Errorf("outfit %d: message %d is %.20q, want %.20q", o, i, got[i], want[i])
			}
		}
	}
}

// formal is a handler of people who want envelopes.
type formal struct{ keeper }

func (*formal) OnUpgrade(c *Conn, _ *protocol.Request) (string, error) {
	c.SetForm(Enveloped)
	return "", nil
}

// TestSetForm: a form that OnUpgrade chose stays with whatever encoding is negotiated;
// later it is a mistake, which costs the connection.
func TestSetForm(t *testing.T) {
	cfg := quietConfig()
	cfg.Compress = true
	for offer, want := range map[string]protocol.Encoding{
		"": protocol.Plain,
		"Sec-WebSocket-Extensions: permessage-deflate\r\n":                           protocol.Deflated,
		"Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9\r\n": protocol.DeflatedSmall,
	} {
		f := newFakeLoop(t, cfg, &formal{})
		c := f.dialRaw()
		c.send([]byte(strings.Replace(upgradeRequest("/"), "\r\n", "\r\n"+offer, 1)))
		if c.c.outfit != outfitOf(Enveloped, want) || c.c.Form() != Enveloped {
			t.Errorf("%q: outfit %d", offer, c.c.outfit)
		}
		c.read(1 << 16)
		c.got = nil
		f.do(func() { f.guarded(c.c, "test", func() { c.c.SetForm(Raw) }) })
		expectClose(t, c, 1011)
	}
}

// TestFormWantedLate: somebody who joins between the encoding of a message and its place
// in the order gets it, although nobody wanted that form before.
func TestFormWantedLate(t *testing.T) {
	f := newFakeLoop(t, quietConfig(), &rooms{})
	f.enter()
	topic := f.member(outfitOf(Raw, protocol.Plain), 0).c.Join("tea")
	what := everyForm(protocol.OpText, []byte("hello"))
	topic.encode(&f.enc, &what)
	late := f.member(outfitOf(Enveloped, protocol.Deflated), 0)
	late.c.Join("tea")
	topic.publish(f.loop, 0, &what, &f.enc)
	f.exit()
	f.ring()
	late.read(1 << 16)
	if got, _ := payloads(t, late.got); len(got) != 1 || string(got[0]) != "hello" {
		t.Fatalf("got %q", got)
	}
}

// TestPublishFormsAllocatesNothing: a message in both forms, with a position, from any
// goroutine to the sockets of all.
func TestPublishFormsAllocatesNothing(t *testing.T) {
	cfg := quietConfig()
	cfg.Compress = true
	f := newFakeLoop(t, cfg, &rooms{})
	if f.asserts() {
		t.Skip("sync.Pool drops what it is given under the race detector")
	}
	var speaker *Conn
	var topic *Topic
	f.enter()
	for o := range outfit(outfits) {
		speaker = f.crowd("lobby", f.sink())
		speaker.leaveAll()
		speaker.outfit = o
		topic, _ = speaker.JoinAt("tea", func() uint64 { return 0 })
	}
	f.exit()
	text := bytes.Repeat([]byte("tea "), 100)
	pos := uint64(0)
	turn := func() {
		pos++
		what := Contents{Raw: {protocol.OpText, text}, Enveloped: {protocol.OpText, text}}
		f.engine.PublishAt("tea", pos, &what)
		f.ring()
		f.enter()
		speaker.PublishForms(topic, &what)
		f.exit()
		f.ring()
	}
	turn()
	if n := testing.AllocsPerRun(200, turn); n != 0 {
		t.Fatalf("%v allocations a message", n)
	}
	if speaker.seat0.lane.pos != pos || f.stats.deliveries < 2*outfits*pos {
		t.Fatalf("%d deliveries of %d messages", f.stats.deliveries, 2*pos)
	}
}

// TestTopicBytes: a topic of two subscribers on two loops, of which there may be very
// many, takes a kibibyte.
func TestTopicBytes(t *testing.T) {
	cfg := quietConfig()
	cfg.Loops = 2
	loops := newFakeLoops(t, cfg, &rooms{})
	const topics = 20_000
	conns := make([]*Conn, 2*topics)
	for i := range conns {
		conns[i] = &Conn{loop: loops[i%2].loop, fd: -1, state: stateOpen}
	}
	names := make([]string, topics)
	for i := range names {
		names[i] = fmt.Sprint("topic ", i)
	}
	runtime.GC()
	before := heapBytes()
	for i, c := range conns {
		c.loop.enter()
		c.JoinAt(names[i/2], func() uint64 { return 1 })
		c.loop.exit()
	}
	runtime.GC()
	each := float64(heapBytes()-before) / topics
	t.Logf("%.0f bytes a topic of two", each)
	if each > 1024 {
		t.Errorf("%.0f bytes a topic of two; at most 1024", each)
	}
	runtime.KeepAlive(conns)
	for _, c := range conns {
		c.loop.enter()
		c.leaveAll()
		c.loop.exit()
	}
}

// asserts reports whether loop-owned methods are asserted to be called in turn, which is
// where the race detector is.
func (f *fakeLoop) asserts() (yes bool) {
	defer func() { yes = recover() != nil }()
	f.assertInTurn()
	return false
}

func heapBytes() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
