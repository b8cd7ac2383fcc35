package engine

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"
	"time"

	"throng/protocol"
)

// keeper is a handler that notes what it is told, and may do something about it.
type keeper struct {
	open    func(c *Conn)
	message func(c *Conn, text string)
	heard   []string
	closed  []Reason
}

func (k *keeper) OnOpen(c *Conn) {
	if k.open != nil {
		k.open(c)
	}
}

func (k *keeper) OnMessage(c *Conn, _ protocol.Opcode, data []byte) {
	k.heard = append(k.heard, string(data))
	if k.message != nil {
		k.message(c, string(data))
	}
}

func (k *keeper) OnClose(_ *Conn, why Reason) { k.closed = append(k.closed, why) }

func (k *keeper) expect(t *testing.T, want ...string) {
	t.Helper()
	if len(k.heard) != len(want) {
		t.Fatalf("heard %q, want %q", k.heard, want)
	}
	for i := range want {
		if k.heard[i] != want[i] {
			t.Fatalf("heard %q, want %q", k.heard, want)
		}
	}
}

// do runs f as a callback.
func (f *fakeLoop) do(what func()) {
	f.enter()
	what()
	f.exit()
	f.ring()
}

// words are masked messages, end to end.
func words(texts ...string) (b []byte) {
	for _, text := range texts {
		b = append(b, masked(protocol.OpText, []byte(text))...)
	}
	return b
}

// TestHold: nothing that follows is handed over until Proceed was called as often as
// Hold, and then it comes in order; a connection on hold is not idle.
func TestHold(t *testing.T) {
	k := &keeper{message: func(c *Conn, text string) {
		if text == "hold" {
			c.Hold()
		}
	}}
	cfg := quietConfig()
	cfg.IdleTimeout = time.Second
	f := newFakeLoop(t, cfg, k)
	c := f.dial("/", 0)
	c.send(append(words("hold", "one"), masked(protocol.OpPing, []byte("?"))...))
	c.send(words("hold", "two", "three")) // gnet may read once more
	k.expect(t, "hold")
	f.do(c.c.Hold)
	f.do(c.c.Proceed)
	k.expect(t, "hold")
	if len(c.read(100)) > 0 || f.stats.pings > 0 || f.holding != 1 {
		t.Fatalf("answered %q, %d on hold", c.got, f.holding)
	}
	f.advance(5e9)
	expectClose(t, c, 0)
	f.do(c.c.Proceed)
	k.expect(t, "hold", "one", "hold")
	if c.read(100); !bytes.Equal(c.got, protocol.AppendFrame(nil, protocol.OpPong, []byte("?"))) {
		t.Fatalf("answered %q", c.got)
	}
	f.do(c.c.Proceed)
	k.expect(t, "hold", "one", "hold", "two", "three")
	f.do(c.c.Proceed) // one too many
	if c.c.flags&(flagPaused|flagParked) != 0 || f.holding != 0 || c.c.extra.held != nil {
		t.Fatalf("flags %b, %d on hold", c.c.flags, f.holding)
	}
	f.advance(3e9)
	expectClose(t, c, 4408)
}

// TestHoldInOnOpen: what comes with the request waits too.
func TestHoldInOnOpen(t *testing.T) {
	k := &keeper{open: (*Conn).Hold}
	f := newFakeLoop(t, quietConfig(), k)
	c := f.dialRaw()
	c.send(append([]byte(upgradeRequest("/")), words("early")...))
	c.send(words("late"))
	f.ring()
	k.expect(t)
	f.do(c.c.Proceed)
	k.expect(t, "early", "late")
}

// TestProceedAtOnce: a Hold that is over before its callback is changes nothing but the
// turn.
func TestProceedAtOnce(t *testing.T) {
	k := &keeper{message: func(c *Conn, _ string) { c.Hold(); c.Proceed() }}
	f := newFakeLoop(t, quietConfig(), k)
	c := f.dial("/", 0)
	c.send(words("one", "two", "three"))
	f.ring()
	c.send(words("four"))
	f.ring()
	k.expect(t, "one", "two", "three", "four")
	if c.c.flags&(flagPaused|flagParked) != 0 {
		t.Fatalf("flags %b", c.c.flags)
	}
}

// TestEndsComeThroughAHold: however a connection on hold ends, its handler is told, is
// given nothing more of its input, and may call Proceed afterwards.
func TestEndsComeThroughAHold(t *testing.T) {
	for name, end := range map[string]struct {
		by  func(f *fakeLoop, c *fakeConn)
		why Reason
	}{
		"eof":   {func(f *fakeLoop, c *fakeConn) { f.do(func() { c.closed(io.EOF) }) }, ReasonEOF},
		"reset": {func(f *fakeLoop, c *fakeConn) { c.reset() }, ReasonReset},
		"close": {func(f *fakeLoop, c *fakeConn) { f.do(func() { c.c.Close(1000, "") }) }, ReasonNoReply},
		"drain": {func(f *fakeLoop, c *fakeConn) { f.do(func() { f.sendAway(c.c, &departure{why: ReasonShutdown}, 0) }) }, ReasonShutdown},
		"answer": {func(f *fakeLoop, c *fakeConn) {
			f.do(func() { c.c.Close(1000, "") })
			c.send(masked(protocol.OpClose, nil))
		}, ReasonApplication},
	} {
		t.Run(name, func(t *testing.T) {
			k := &keeper{message: func(c *Conn, _ string) { c.Hold() }}
			f := newFakeLoop(t, quietConfig(), k)
			c := f.dial("/", 0)
			c.send(words("one", "two"))
			end.by(f, c)
			if f.holding != 0 {
				t.Errorf("%d on hold", f.holding)
			}
			f.do(c.c.Proceed)
			f.advance(3e9)
			if c.fd >= 0 && name == "answer" { // it is for the client to end TCP now
				f.do(func() { c.closed(io.EOF) })
			}
			f.do(c.c.Proceed)
			k.expect(t, "one")
			if len(k.closed) != 1 || k.closed[0] != end.why || len(f.ready)+len(f.waiting) != 0 {
				t.Errorf("ended for %v, want %v; %d and %d are queued", k.closed, end.why, len(f.ready), len(f.waiting))
			}
			if f.do(func() { c.c.Hold() }); f.holding != 0 {
				t.Error("somebody gone is on hold")
			}
		})
	}
}

// TestAwaitEase: whoever is made to wait outside of OnMessage is not read from until the
// topic has eased.
func TestAwaitEase(t *testing.T) {
	k := &keeper{}
	f := newFakeLoop(t, quietConfig(), k)
	c := f.dial("/", 0)
	var tea *Topic
	f.do(func() { tea = c.c.Join("tea"); c.c.AwaitEase(tea) })
	if c.c.flags&flagPaused != 0 || tea.Congested() {
		t.Fatal("paused for a topic that is at ease")
	}
	f.congest(tea, true)
	f.do(func() { c.c.AwaitEase(tea); c.c.AwaitEase(tea) })
	c.send(words("one"))
	f.ring()
	k.expect(t)
	f.do(func() { c.c.Hold(); c.c.Proceed() })
	k.expect(t)
	f.congest(tea, false)
	f.ring()
	k.expect(t, "one")
	if c.c.flags&(flagPaused|flagParked) != 0 {
		t.Fatalf("flags %b", c.c.flags)
	}
}

// TestHoldModel plays a random game of speaking, holding, going on, congestion and small
// shares of a turn, in all orders: everything that was sent is handed over in its order,
// nothing while its speaker is on hold or waits, and at the end everybody is read from.
func TestHoldModel(t *testing.T) {
	r := newRand(t)
	for range 40 {
		cfg := quietConfig()
		cfg.FramesPerTurn, cfg.IdleTimeout = 1+r.IntN(6), 10*time.Second
		holds, heard, sent := map[*Conn]int{}, map[*Conn]uint64{}, map[*Conn]uint64{}
		waits := map[*Conn]bool{}
		var tea *Topic
		k := &keeper{message: func(c *Conn, text string) {
			if n := binary.BigEndian.Uint64([]byte(text)); n != heard[c] || holds[c] > 0 || waits[c] {
				t.Fatalf("message %d, want %d; held %d times; waits: %v", n, heard[c], holds[c], waits[c])
			}
			heard[c]++
			switch r.IntN(4) {
			case 0:
				c.Hold()
				holds[c]++
			case 1:
				c.AwaitEase(tea)
				waits[c] = tea.Congested()
			case 2:
				c.Publish(tea, protocol.OpText, nil)
				waits[c] = tea.Congested()
			}
		}}
		f := newFakeLoop(t, cfg, k)
		speakers := []*fakeConn{f.dial("/", 0), f.dial("/", 0), f.dial("/", 0)}
		f.do(func() { tea = speakers[0].c.Join("tea") })
		congested := false
		congest := func(on bool) {
			if on != congested {
				congested = on
				clear(waits)
				f.congest(tea, on)
			}
		}
		proceed := func(c *Conn) {
			if holds[c] > 0 {
				holds[c]--
			}
			f.do(c.Proceed)
		}
		for range 500 {
			s := speakers[r.IntN(len(speakers))]
			switch r.IntN(9) {
			case 0, 1:
				if !s.c.Open() { // it was silent for too long
					continue
				}
				var burst []byte
				for range r.IntN(8) {
					burst = append(burst, masked(protocol.OpBinary, binary.BigEndian.AppendUint64(nil, sent[s.c]))...)
					sent[s.c]++
				}
				s.send(burst)
			case 2, 3:
				proceed(s.c)
			case 4:
				congest(r.IntN(2) == 0)
			case 5:
				f.do(func() { s.c.Hold(); holds[s.c]++ })
			case 6:
				f.ring()
			case 8: // from one queue into the other
				f.do(func() {
					s.c.Hold()
					s.c.Proceed()
					s.c.AwaitEase(tea)
					waits[s.c] = tea.Congested()
				})
			case 7:
				f.advance(int64(r.IntN(int(time.Second))))
			}
			speakers[0].read(1 << 16)
			for _, s := range speakers {
				if c := s.c; c.Open() && holds[c] > 0 && c.flags&flagPaused == 0 {
					t.Fatal("somebody on hold is read from")
				}
			}
		}
		for f.holding > 0 || len(f.ready)+len(f.waiting) > 0 {
			congest(false)
			for _, s := range speakers {
				proceed(s.c)
			}
			f.ring()
		}
		for i, s := range speakers {
			if c := s.c; c.Open() && (heard[c] != sent[c] || c.flags&(flagPaused|flagParked) != 0) || !c.Open() && heard[c] < sent[c] {
				t.Fatalf("speaker %d was heard %d times of %d; flags %b, reason %v", i, heard[c], sent[c], c.flags, c.reason)
			}
		}
	}
}
