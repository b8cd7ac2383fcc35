package engine

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"throng/protocol"
)

// past is a source of the messages of a list, which may ask for patience in between.
type past struct {
	c     *Conn
	texts []string
	naps  int // how often it says ReplayWait before the next message
	wakes int // of these, how often it calls Continue before it says so
	asked int
	done  bool
}

func (p *past) Next() (protocol.Opcode, []byte, ReplayState) {
	p.asked++
	if p.naps > 0 {
		if p.naps--; p.wakes > 0 {
			p.wakes--
			p.c.Continue()
		}
		return 0, nil, ReplayWait
	}
	if len(p.texts) == 0 {
		p.done = true
		return 0, nil, ReplayDone
	}
	text := p.texts[0]
	p.texts = p.texts[1:]
	return protocol.OpText, []byte(text), ReplayMore
}

// expect demands that the client has got these texts so far, and drops them.
func (fc *fakeConn) expect(want ...string) {
	fc.f.t.Helper()
	fc.read(1 << 20)
	messages, _ := payloads(fc.f.t, fc.got)
	var got []string
	for _, m := range messages {
		got = append(got, string(m))
	}
	if fc.got = nil; !slices.Equal(got, want) {
		fc.f.t.Fatalf("got %.300q, want %.300q", got, want)
	}
}

// TestReplayComesFirst: what is said while something is replayed comes behind it,
// replays come one after the other, and what is sent directly comes when it is sent.
func TestReplayComesFirst(t *testing.T) {
	f := newFakeLoop(t, quietConfig(), &rooms{})
	speaker, c := f.dial("/", 0), f.dial("/", 0)
	first := &past{c: c.c, texts: []string{"1", "2"}, naps: 1}
	f.do(func() {
		c.c.Continue() // of nothing
		c.c.Replay(first)
		c.c.Replay(&past{texts: []string{"3"}, naps: 2, wakes: 2, c: c.c})
	})
	speaker.say([]byte("live"))
	f.ring()
	_ = c.c.loop.engine.Publish("/", protocol.OpText, []byte("more"))
	f.ring()
	c.expect()
	c.send(masked(protocol.OpPing, []byte("?")))
	if got := c.read(100); !bytes.Equal(got, protocol.AppendFrame(nil, protocol.OpPong, []byte("?"))) {
		t.Fatalf("a ping is answered with %q", got)
	}
	c.got = nil
	f.do(func() { _ = c.c.Send(protocol.OpText, []byte("aside")) })
	c.expect("aside")
	f.do(c.c.Continue)
	c.expect("1", "2", "3", "live", "more")
	if c.c.lagging != nil || len(f.lag.conns) > 0 || c.c.seat0.lane.log.buf != nil {
		t.Fatal("it still counts as a laggard")
	}
	f.do(c.c.Continue)
	speaker.say([]byte("live"))
	c.expect("live")
	speaker.expect("live", "more", "live")
}

// endless is a source that never ends.
type endless struct {
	text  []byte
	asked int
}

func (e *endless) Next() (protocol.Opcode, []byte, ReplayState) {
	e.asked++
	return protocol.OpText, e.text, ReplayMore
}

// TestReplayGoesByTheSocket: a source is asked for what the socket takes and one chunk
// more, and a turn of the loop is bounded.
func TestReplayGoesByTheSocket(t *testing.T) {
	f := newFakeLoop(t, quietConfig(), &rooms{})
	c := f.dial("/", 0)
	e := &endless{text: make([]byte, 1000)}
	frame := protocol.FrameSize(len(e.text))
	f.do(func() {
		for !c.c.clogged() {
			_ = c.c.Send(protocol.OpText, e.text)
		}
		c.c.Replay(e)
	})
	if e.asked > 0 {
		t.Fatal("a source is asked although the socket takes nothing")
	}
	c.read(1 << 22)
	for range 100 {
		f.bell.ring()
		f.ring()
	}
	asked := e.asked
	if room := len(c.out); room == 0 || room > replayChunkBytes+frame || !c.c.clogged() {
		t.Fatalf("gnet holds %d bytes", room)
	}
	c.read(1 << 22)
	if n := len(c.got) + len(c.out); n < asked*frame || n%frame != 0 {
		t.Fatalf("asked for %d messages; %d bytes are there", asked, n)
	}
	f.bell.ring()
	f.ring()
	if e.asked <= asked {
		t.Fatal("it does not go on when the socket takes bytes")
	}
}

// dawdler is a source that takes its time over each message.
type dawdler struct{ endless }

func (d *dawdler) Next() (protocol.Opcode, []byte, ReplayState) {
	for began := nanotime(); nanotime() < began+sliceNanos; {
	}
	return d.endless.Next()
}

// TestBoundedWorkOfReplays: with sockets that take everything, replays take turns, and
// leave the loop after a slice.
func TestBoundedWorkOfReplays(t *testing.T) {
	f := newFakeLoop(t, quietConfig(), &rooms{})
	var sources []*endless
	var all []*fakeConn
	f.enter()
	for range 3 {
		c := f.member(outfitOf(Raw, protocol.Plain), 0)
		c.c.fd = sink(f.t)
		e := &endless{text: make([]byte, 100)}
		c.c.Replay(e)
		sources, all = append(sources, e), append(all, c)
	}
	f.exit()
	asked := func() bool { return !slices.ContainsFunc(sources, func(e *endless) bool { return e.asked == 0 }) }
	for turns := 0; !asked(); turns++ { // each would be for ever if it were not bounded
		f.enter()
		f.turn()
		f.exit()
		if turns > 1000 {
			t.Fatal("somebody's turn does not come")
		}
	}
	for _, c := range all {
		c.c.fd = int32(c.fd)
	}
}

// TestSlowSource: a source that uses up the slice is asked once a turn.
func TestSlowSource(t *testing.T) {
	f := newFakeLoop(t, quietConfig(), &rooms{})
	c := f.dial("/", 0)
	d := &dawdler{endless{text: make([]byte, 100)}}
	for turn := range 3 {
		f.enter()
		if turn == 0 {
			c.c.Replay(d)
		}
		f.turn()
		f.exit()
		if d.asked > turn+1 {
			t.Fatalf("asked %d times in %d turns", d.asked, turn+1)
		}
	}
}

// TestCloseDuringReplay: the source is not asked any more, nothing of a topic is written
// with a hole before it, and the Close frame stands behind what has been asked for.
func TestCloseDuringReplay(t *testing.T) {
	for _, full := range []bool{false, true} {
		h := &rooms{closed: map[Reason]int{}}
		f := newFakeLoop(t, quietConfig(), h)
		speaker, c := f.dial("/", 0), f.dial("/", 4096)
		p := &past{c: c.c, texts: []string{"1", "2"}}
		e := &endless{text: make([]byte, 500)}
		f.do(func() {
			c.c.Replay(p)
			if full {
				c.c.Replay(e)
			} else {
				c.c.Replay(&past{naps: 1})
			}
		})
		speaker.say([]byte("live"))
		f.ring()
		f.do(func() { c.c.Close(1000, "enough") })
		asked := e.asked
		if !full && c.c.lagging != nil {
			t.Fatal("who has had everything counts as a laggard")
		}
		f.do(c.c.Continue)
		f.do(func() { c.c.Replay(p) })
		for range 20 {
			c.read(1 << 16)
			f.bell.ring()
			f.ring()
		}
		got, code := payloads(t, c.got)
		if code != 1000 || len(got) != 2+asked || string(got[1]) != "2" || e.asked != asked || p.asked != 3 {
			t.Fatalf("%d messages and code %d; asked %d times and %d after the end", len(got), code, asked, e.asked-asked)
		}
		f.advance(3e9)
		if h.closed[ReasonNoReply] != 1 || len(f.lag.conns) > 0 {
			t.Fatalf("ends %v, %d laggards", h.closed, len(f.lag.conns))
		}
	}
}

// closer is a source that closes its connection.
type closer struct{ c *Conn }

func (s *closer) Next() (protocol.Opcode, []byte, ReplayState) {
	s.c.Close(4000, "")
	return protocol.OpText, []byte("too late"), ReplayMore
}

// breaker is a source that panics.
type breaker struct{}

func (breaker) Next() (protocol.Opcode, []byte, ReplayState) { panic("injected") }

// TestSourceThatFails: a source that closes its connection, or panics, costs that one.
func TestSourceThatFails(t *testing.T) {
	f := newFakeLoop(t, quietConfig(), &rooms{})
	speaker, c, d := f.dial("/", 0), f.dial("/", 0), f.dial("/", 0)
	f.do(func() {
		c.c.Replay(&closer{c.c})
		d.c.Replay(breaker{})
	})
	expectClose(t, c, 4000)
	expectClose(t, d, 1011)
	c.expect()
	speaker.say([]byte("still here"))
	speaker.expect("still here")
}

// TestWaitingReplay: a connection whose source waits is pinged, and when it is silent
// told so; one that has too much waiting in its topics for too long is slow.
func TestWaitingReplay(t *testing.T) {
	cfg := DefaultConfig()
	cfg.PingInterval, cfg.IdleTimeout, cfg.WriteTimeout = 2*time.Second, 5*time.Second, 3*time.Second
	h := &rooms{closed: map[Reason]int{}}
	f := newFakeLoop(t, cfg, h)
	c := f.dial("/", 0)
	f.do(func() { c.c.Replay(&past{naps: 1}) })
	f.advance(4_900e6)
	if n := bytes.Count(c.read(100), pingFrame); n != 2 {
		t.Fatalf("%d pings", n)
	}
	f.advance(300e6)
	expectClose(t, c, 4408)
	speaker, slow := f.dial("/", 0), f.dial("/", 0)
	f.do(func() { slow.c.Replay(&past{naps: 1}) })
	speaker.say([]byte("live"))
	f.advance(2_900e6)
	if slow.c.failed() || slow.c.state != stateOpen {
		t.Fatal("cut off too early")
	}
	f.advance(300e6)
	if h.closed[ReasonSlow] != 1 {
		t.Fatalf("ends %v", h.closed)
	}
}
