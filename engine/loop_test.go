package engine

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"

	"throng/protocol"
)

// TestExampleOnFakeClock is the classic example's whole behaviour with the
// clock in the test's hand: every message reaches everybody, sender included,
// and whoever has said nothing for ten seconds is closed, not a tick early and
// at most two ticks late.
func TestExampleOnFakeClock(t *testing.T) {
	cfg := DefaultConfig()
	cfg.IdleTimeout, cfg.IdleMessagesOnly, cfg.PingInterval = 10*time.Second, true, 0
	h := &rooms{closed: map[Reason]int{}}
	f := newFakeLoop(t, cfg, h)
	talker, listener := f.dial("/", 0), f.dial("/", 0)
	f.advance(5e9)
	talker.say([]byte("hello"))
	f.ring()
	for i, c := range []*fakeConn{talker, listener} {
		c.read(1 << 16)
		if got, _ := payloads(t, c.got); len(got) != 1 || string(got[0]) != "hello" {
			t.Fatalf("client %d got %q", i, got)
		}
	}
	listener.send(masked(protocol.OpPing, []byte("I am here"))) // counts as nothing here
	f.advance(4_900e6)
	expectClose(t, listener, 0)
	f.advance(200e6)
	expectClose(t, listener, 4408)
	expectClose(t, talker, 0)
	f.advance(4_800e6)
	expectClose(t, talker, 0)
	f.advance(300e6)
	expectClose(t, talker, 4408)
	f.advance(3e9) // nobody answers the Close frames
	if h.closed[ReasonIdle] != 2 || f.wheel.Len() != 0 || f.engine.topics.count.Load() != 0 {
		t.Fatalf("ends %v, %d timers, %d topics", h.closed, f.wheel.Len(), f.engine.topics.count.Load())
	}
}

func expectClose(t *testing.T, c *fakeConn, want uint16) {
	t.Helper()
	c.read(1 << 16)
	if _, code := payloads(t, c.got); code != want {
		t.Fatalf("at %d ms: close code %d, want %d", c.f.clock/1e6, code, want)
	}
}

// TestPingsKeepAlive: under the default a client that only answers pings stays.
func TestPingsKeepAlive(t *testing.T) {
	cfg := DefaultConfig()
	cfg.IdleTimeout, cfg.PingInterval = 60*time.Second, 25*time.Second
	f := newFakeLoop(t, cfg, &rooms{})
	answers, silent := f.dial("/", 0), f.dial("/", 0)
	for range 40 {
		f.advance(5e9)
		if bytes.Contains(answers.read(1<<16), pingFrame) {
			answers.send(masked(protocol.OpPong, nil))
		}
	}
	expectClose(t, answers, 0)
	expectClose(t, silent, 4408)
	if n := bytes.Count(silent.got, pingFrame); n != 2 {
		t.Fatalf("%d pings before the end of one that never answers, want 2 (25 s and 50 s)", n)
	}
}

// TestFrozenClockEvictsNobody: when nothing could run, what clients sent in
// that time is still unread, and nobody is evicted for it.
func TestFrozenClockEvictsNobody(t *testing.T) {
	cfg := DefaultConfig()
	cfg.IdleTimeout, cfg.PingInterval = 10*time.Second, 0
	f := newFakeLoop(t, cfg, &rooms{})
	c := f.dial("/", 0)
	f.advance(5e9)
	f.clock += 3600e9 // an hour in one step
	f.advance(4e9)
	expectClose(t, c, 0)
	f.advance(2e9)
	expectClose(t, c, 4408)
	if f.stats.clockJumps != 1 {
		t.Fatalf("%d clock jumps", f.stats.clockJumps)
	}
}

// TestFanOutModel plays a random game of publishing, reading, lagging, leaving
// and being reset, and checks that everybody got every message of the room from
// joining on, in order, whole, until the end or until being cut off.
func TestFanOutModel(t *testing.T) {
	r := newRand(t)
	for game := range 30 {
		t.Run(fmt.Sprint(game), func(t *testing.T) { playFanOut(t, r) })
	}
}

// player is a client of the game and what it must have seen.
type player struct {
	*fakeConn
	room int
	from uint64 // first message of the room it must see
}

func playFanOut(t *testing.T, r *rand.Rand) {
	cfg := DefaultConfig()
	cfg.IdleTimeout, cfg.PingInterval, cfg.FramesPerTurn = 0, 0, 1+r.IntN(20)
	cfg.LogBytes, cfg.LogMessages = 64<<10, 1<<20
	cfg.WriteTimeout = time.Duration(1+r.IntN(20)) * time.Second
	var said [3]uint64
	f := newFakeLoop(t, cfg, &rooms{fault: func(c *Conn, data []byte) { // numbers each message as it is published
		room := c.Value().(*Topic).Name()[1] - '0'
		binary.BigEndian.PutUint64(data, said[room])
		said[room]++
	}})
	var players []*player
	join := func() {
		p := &player{room: r.IntN(len(said))}
		p.fakeConn = f.dial(fmt.Sprint("/", p.room), []int{0, 4096, 16384}[r.IntN(3)])
		p.from = said[p.room]
		players = append(players, p)
	}
	for range 5 {
		join()
	}
	for range 400 {
		p := players[r.IntN(len(players))]
		switch n := r.IntN(20); {
		case n < 8 && p.fd >= 0 && p.c.flags&flagPaused == 0:
			var burst []byte
			for range 1 + r.IntN(10) {
				burst = append(burst, masked(protocol.OpBinary, make([]byte, 8+r.IntN(2000)))...)
			}
			p.send(burst)
		case n < 14:
			p.read(1 + r.IntN(1<<16))
		case n < 16:
			f.ring()
		case n < 17 && len(players) < 40:
			join()
		case n < 18:
			f.advance(int64(r.IntN(300e6)))
		case n == 18 && len(players) > 10:
			p.reset()
		case n == 19 && r.IntN(10) == 0:
			p.fail = true
		}
		f.check()
	}
	settleFanOut(f, players)
	for i, p := range players {
		checkPlayer(t, i, p, said[p.room])
	}
	t.Logf("%d messages, %d writes, %d pauses; ends %v", f.stats.messages, f.stats.writes, f.stats.pauses, f.engine.Stats().Ends)
}

// settleFanOut lets everybody read until nothing moves any more.
func settleFanOut(f *fakeLoop, players []*player) {
	for range 100 {
		for _, p := range players {
			p.read(1 << 17)
		}
		f.advance(20e6)
	}
	f.check()
	for _, c := range f.loop.conns {
		if c != nil && c.lagging != nil && c.state == stateOpen {
			f.t.Errorf("a client that reads lags at the end")
		}
	}
	if f.pool.held > 0 && f.dirty.len() > 0 {
		f.t.Errorf("%d lanes want a pass at the end", f.dirty.len())
	}
}

func checkPlayer(t *testing.T, i int, p *player, said uint64) {
	t.Helper()
	got, _ := payloads(t, p.got)
	next := p.from
	for _, m := range got {
		if seq := binary.BigEndian.Uint64(m); seq != next {
			t.Fatalf("client %d: message %d, want %d (from %d)", i, seq, next, p.from)
		}
		next++
	}
	if p.c.state == stateOpen && next != said {
		t.Fatalf("client %d is open and has %d messages of %d", i, next-p.from, said-p.from)
	}
}

// check holds the loop's books against each other.
func (f *fakeLoop) check() {
	f.t.Helper()
	lagging, open := 0, 0
	for _, c := range f.loop.conns {
		if c == nil {
			continue
		}
		if c.lagging != nil {
			lagging++
			if f.lag.conns[c.lagging.index] != c {
				f.t.Fatal("a laggard does not stand where it says")
			}
		}
		if c.state == stateOpen {
			open++
		}
		c.eachSeat(func(s *seat) {
			at := s.lane.subs[s.slot]
			if s.lane.conns[s.slot] != c || at.fd != c.fd || at.trouble != (c.lagging != nil) {
				f.t.Fatalf("seat %+v does not fit its connection", at)
			}
			if at.cursor < s.lane.log.base || at.cursor > s.lane.log.head() {
				f.t.Fatalf("cursor %d outside of the log %d..%d", at.cursor, s.lane.log.base, s.lane.log.head())
			}
			if !at.trouble && at.cursor < s.lane.passed {
				f.t.Fatalf("cursor %d of one in good health before %d", at.cursor, s.lane.passed)
			}
		})
	}
	if lagging != len(f.lag.conns) || open != f.open {
		f.t.Fatalf("%d lag and %d are open; the loop says %d and %d", lagging, open, len(f.lag.conns), f.open)
	}
}

// TestPanicsCostOneConnection injects a panic into the handler, into the
// decoder's caller and into a pass.
func TestPanicsCostOneConnection(t *testing.T) {
	for _, where := range []string{"handler", "decoder", "pass"} {
		t.Run(where, func(t *testing.T) {
			h := &rooms{closed: map[Reason]int{}}
			f := newFakeLoop(t, DefaultConfig(), h)
			victim, other := f.dial("/", 0), f.dial("/", 0)
			switch where {
			case "handler":
				h.fault = func(c *Conn, data []byte) {
					if string(data) == "boom" {
						panic("injected")
					}
				}
				victim.say([]byte("boom"))
			case "pass":
				s := victim.c.seat0
				s.lane.subs[s.slot].cursor = 1 << 40 // beyond the log: slicing it panics
				other.say([]byte("hello"))
			case "decoder":
				*(*uintptr)(unsafe.Pointer(&victim.c.decoder)) = 8 // a pointer to nowhere
				victim.say([]byte("hello"))
			}
			f.ring()
			f.advance(3e9)
			h.fault = nil
			if f.stats.panics == 0 {
				t.Fatal("no panic was counted")
			}
			other.got = nil
			other.say([]byte("still here"))
			f.ring()
			other.read(1 << 16)
			if got, _ := payloads(t, other.got); len(got) == 0 || string(got[len(got)-1]) != "still here" {
				t.Fatalf("the bystander got %q", got)
			}
			if victim.c.state != stateGone {
				t.Fatal("the victim is still there")
			}
		})
	}
}

// TestHotPathAllocatesNothing: from the sender's bytes to the sockets of all.
func TestHotPathAllocatesNothing(t *testing.T) {
	cfg := DefaultConfig()
	cfg.IdleTimeout, cfg.PingInterval = 0, 0
	f := newFakeLoop(t, cfg, &rooms{})
	sender, receiver := f.dial("/", 0), f.dial("/", 0)
	frame, text := []byte(nil), bytes.Repeat([]byte("x"), 100)
	buf := make([]byte, 1<<16)
	turn := func() {
		frame = append(frame[:0], 0x81, 0x80|100, 0, 0, 0, 0)
		frame = append(frame, text...)
		sender.send(frame)
		f.enter()
		f.turn()
		f.exit()
		for _, c := range []*fakeConn{sender, receiver} {
			readAll(c.far, buf)
		}
	}
	turn()
	if n := testing.AllocsPerRun(1000, turn); n != 0 {
		t.Fatalf("%v allocations a message", n)
	}
}

// TestPartialMessagesCountAsMemory: unfinished messages are bounded for the
// whole node, not only each.
func TestPartialMessagesCountAsMemory(t *testing.T) {
	cfg := DefaultConfig()
	cfg.IdleTimeout, cfg.PingInterval, cfg.Memory = 0, 0, 200<<10
	h := &rooms{closed: map[Reason]int{}}
	f := newFakeLoop(t, cfg, h)
	half := masked(protocol.OpText, bytes.Repeat([]byte("x"), 60<<10))[:40<<10]
	var hoarders []*fakeConn
	for range 20 {
		c := f.dial("/", 0)
		c.send(bytes.Clone(half[:16<<10]))
		c.send(bytes.Clone(half[16<<10:]))
		hoarders = append(hoarders, c)
		f.advance(tickNanos)
	}
	f.advance(3e9)
	if f.partial > 500<<10 || h.closed[ReasonMemory] == 0 {
		t.Fatalf("%d bytes are lent; ends %v", f.partial, h.closed)
	}
	expectClose(t, hoarders[len(hoarders)-1], ReasonMemory.Code())
	for _, c := range hoarders {
		c.reset()
	}
	if f.partial != 0 {
		t.Fatalf("%d bytes are still counted as lent", f.partial)
	}
}

// TestSendAll: several messages, one write.
func TestSendAll(t *testing.T) {
	f := newFakeLoop(t, quietConfig(), &rooms{})
	one := f.dial("/", 0)
	writes, deliveries := f.stats.writes, f.stats.deliveries
	f.enter()
	if err := one.c.SendAll(protocol.OpText, []byte("onetwothree"), []int{3, 6, 6, 11}); err != nil {
		t.Fatal(err)
	}
	if err := one.c.SendAll(protocol.OpText, nil, nil); err != nil {
		t.Fatal(err)
	}
	f.exit()
	one.read(1 << 16)
	if got, _ := payloads(t, one.got); fmt.Sprintf("%s", got) != "[one two  three]" {
		t.Fatalf("got %q", got)
	}
	if w, d := f.stats.writes-writes, f.stats.deliveries-deliveries; w != 1 || d != 4 {
		t.Fatalf("%d writes of %d messages", w, d)
	}
	f.enter()
	one.c.Close(1000, "")
	if err := one.c.SendAll(protocol.OpText, []byte("x"), []int{1}); err != ErrClosed {
		t.Fatal(err)
	}
	f.exit()
}
