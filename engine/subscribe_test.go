package engine

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"throng/protocol"
)

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
		speaker = f.crowd("lobby", sink(f.t))
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
