package engine

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"throng/protocol"
)

// TestReplayModel plays a random game: people join a room at its position, fetch what
// they missed by one or two replays with pauses in between, read or do not, ping, are
// sent things directly, speak, leave and are cut off, while others speak. Everybody
// has every message from the one they asked for on, once, in order, whole.
func TestReplayModel(t *testing.T) {
	r := newRand(t)
	for range 40 {
		playReplay(t, r)
	}
}

// latecomer is a client of that game.
type latecomer struct {
	*fakeConn
	since   uint64 // it has asked for what comes after this
	sources []*past
	sent    uint64 // what it was sent directly
	room    *Topic
}

const latecomersRoom = "tea"

func playReplay(t *testing.T, r *rand.Rand) {
	cfg := quietConfig()
	cfg.LogBytes, cfg.LogMessages, cfg.WriteTimeout = 256<<10, 1<<20, time.Duration(1+r.IntN(20))*time.Second
	f := newFakeLoop(t, cfg, &keeper{})
	var said []string
	head := func() uint64 { return uint64(len(said)) }
	say := func() {
		text := fmt.Append(nil, len(said)+1, " ")
		text = append(text, make([]byte, r.IntN(2000))...)
		said = append(said, string(text))
		what := everyForm(protocol.OpText, text)
		f.engine.PublishAt(latecomersRoom, head(), &what)
	}
	var all []*latecomer
	join := func() {
		p := &latecomer{}
		f.do(func() {
			p.fakeConn = f.member(outfit(r.IntN(outfits)), []int{0, 4096, 16384}[r.IntN(3)])
			var pos uint64
			p.room, pos = p.c.JoinAt(latecomersRoom, head)
			p.since = uint64(r.IntN(int(pos) + 1))
			from := p.since
			for from < pos {
				to := from + 1 + uint64(r.IntN(int(pos-from)))
				s := &past{c: p.c, texts: said[from:to:to], naps: r.IntN(3)}
				s.wakes = r.IntN(s.naps + 1)
				p.c.Replay(s)
				p.sources = append(p.sources, s)
				from = to
			}
		})
		all = append(all, p)
	}
	for range 600 {
		if len(all) == 0 || r.IntN(20) == 0 && len(all) < 20 {
			join()
		}
		p := all[r.IntN(len(all))]
		switch r.IntN(10) {
		case 0, 1, 2:
			say()
		case 3, 4:
			p.read(1 + r.IntN(1<<16))
			f.bell.ring()
		case 5:
			if p.c.Open() {
				p.send(masked(protocol.OpPing, []byte("?")))
			}
		case 6:
			if len(p.out) < 64<<10 {
				f.do(func() {
					if p.c.Send(protocol.OpBinary, binary.BigEndian.AppendUint64(nil, p.sent)) == nil {
						p.sent++
					}
				})
			}
		case 7:
			f.do(p.c.Continue)
		case 8:
			f.advance(int64(r.IntN(200e6)))
		case 9:
			switch r.IntN(20) {
			case 0:
				p.reset()
			case 1:
				f.do(func() { p.c.Close(1000, "") })
			}
		}
		f.check()
	}
	for range 200 {
		for _, p := range all {
			p.read(1 << 20)
			f.do(p.c.Continue)
		}
		f.bell.ring()
		f.ring()
	}
	f.check()
	for i, p := range all {
		p.compare(t, i, said)
	}
}

// compare holds what a latecomer got against what was said and sent.
func (p *latecomer) compare(t *testing.T, i int, said []string) {
	t.Helper()
	messages, _ := payloads(t, p.got)
	want, sent := said[p.since:], uint64(0)
	for k, m := range messages {
		if len(m) == 8 && binary.BigEndian.Uint64(m) == sent && sent < p.sent { // what was said has a digit first
			sent++
			continue
		}
		if len(want) == 0 || string(m) != want[0] {
			t.Fatalf("client %d, since %d of %d: message %d is %.20q, want %.20q", i, p.since, len(said), k, m, slices.Concat(want, []string{"none"})[0])
		}
		want = want[1:]
	}
	if p.c.state == stateOpen && (len(want) > 0 || sent != p.sent || p.c.lagging != nil) {
		t.Fatalf("client %d is open and has not had %d messages and %d sent to it; lagging %v", i, len(want), p.sent-sent, p.c.lagging != nil)
	}
}
