package engine

import (
	"bytes"
	"io"
	"testing"
	"time"

	"throng/protocol"
)

// congest makes a topic congested, or eases it, as a lane elsewhere would.
func (f *fakeLoop) congest(t *Topic, on bool) {
	if on {
		t.congested.Add(1)
	} else if t.congested.Add(-1) == 0 {
		f.engine.relaxed()
	}
}

// quietConfig is the default without anything that goes by time.
func quietConfig() Config {
	cfg := DefaultConfig()
	cfg.IdleTimeout, cfg.PingInterval = 0, 0
	return cfg
}

// TestWaitingPublishersTakeTurns: publishers that wait for a congested topic go
// on in the order in which they came, whoever has more to say behind the others.
func TestWaitingPublishersTakeTurns(t *testing.T) {
	var said []byte
	f := newFakeLoop(t, quietConfig(), &rooms{})
	h := f.engine.handler.(*rooms)
	var room *Topic
	h.fault = func(c *Conn, data []byte) {
		said = append(said, data[0])
		room = c.Value().(*Topic)
		f.congest(room, true) // each message is one too many
	}
	speakers := []*fakeConn{f.dial("/", 0), f.dial("/", 0), f.dial("/", 0)}
	for i, s := range speakers {
		s.send(bytes.Repeat(masked(protocol.OpText, []byte{'a' + byte(i)}), 3))
	}
	for range 20 {
		f.ring()
		for room.congested.Load() > 0 {
			f.congest(room, false)
		}
	}
	f.ring()
	if got := string(said); got != "abcabcabc" {
		t.Fatalf("they spoke in the order %s", got)
	}
	for _, s := range speakers {
		if s.c.flags&(flagPaused|flagParked) != 0 || s.c.mustWait() {
			t.Fatal("somebody is still paused")
		}
	}
}

// TestLastWordsOfAPausedSpeaker: what was read and held back is said although its
// speaker has closed TCP meanwhile.
func TestLastWordsOfAPausedSpeaker(t *testing.T) {
	f := newFakeLoop(t, quietConfig(), &rooms{})
	speaker, listener := f.dial("/", 0), f.dial("/", 0)
	room := speaker.c.Value().(*Topic)
	f.congest(room, true)
	speaker.send(append(masked(protocol.OpText, []byte("one")), masked(protocol.OpText, []byte("two"))...))
	if !speaker.c.mustWait() || len(speaker.c.extra.held) == 0 {
		t.Fatal("the speaker does not wait")
	}
	f.enter()
	speaker.closed(io.EOF)
	f.exit()
	f.congest(room, false)
	f.ring()
	listener.read(1 << 16)
	if got, _ := payloads(t, listener.got); len(got) != 2 || string(got[1]) != "two" {
		t.Fatalf("the listener got %q", got)
	}
}

// TestRecoveredLaggardLeavesNoLog: a log is given back as soon as its last
// laggard has caught up, whether or not anybody speaks again.
func TestRecoveredLaggardLeavesNoLog(t *testing.T) {
	f := newFakeLoop(t, quietConfig(), &rooms{})
	speaker, slow := f.dial("/", 0), f.dial("/", 4096)
	for slow.c.lagging == nil {
		speaker.say(make([]byte, 4000))
		f.ring()
		speaker.read(1 << 16)
	}
	for range 100 {
		slow.read(1 << 16)
		f.bell.ring()
		f.ring()
		f.clock += int64(time.Millisecond)
	}
	speaker.read(1 << 16)
	f.bell.ring()
	f.ring()
	if ln := slow.c.seat0.lane; slow.c.lagging != nil || ln.log.buf != nil {
		t.Fatalf("lagging %v, the log holds %d bytes", slow.c.lagging != nil, len(ln.log.buf)-ln.log.start)
	}
}

// TestClosedWhileFeedingOwesNothing: memory of a message that is cut off by our
// own Close in the same read is counted once, and given back.
func TestClosedWhileFeedingOwesNothing(t *testing.T) {
	f := newFakeLoop(t, quietConfig(), &rooms{})
	for range 20 {
		c := f.dial("/", 0)
		pings := bytes.Repeat(masked(protocol.OpPing, nil), 60) // the burst is 50
		c.send(append(pings, masked(protocol.OpText, make([]byte, 50<<10))[:15<<10]...))
		expectClose(t, c, ReasonPingRate.Code())
		c.reset()
	}
	if f.partial != 0 {
		t.Fatalf("%d bytes are counted as lent to nobody", f.partial)
	}
}

// hello greets everybody who comes.
type hello struct{ rooms }

func (*hello) OnOpen(c *Conn) { _ = c.Send(protocol.OpText, []byte("hello")) }

// TestSendWhileOpening: what OnOpen sends stands behind the 101.
func TestSendWhileOpening(t *testing.T) {
	f := newFakeLoop(t, quietConfig(), &hello{})
	ends := f.dialRaw()
	ends.send([]byte(upgradeRequest("/")))
	got := ends.read(1 << 16)
	head, rest, ok := bytes.Cut(got, []byte("\r\n\r\n"))
	if !ok || !bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")) || string(rest) != "\x81\x05hello" {
		t.Fatalf("got %q", got)
	}
}
