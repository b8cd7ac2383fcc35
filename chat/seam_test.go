package chat

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// once has something happen when the store has found its next answer of a kind, and nobody knows it yet.
func (f *fakeStore) once(op string, do func()) {
	var first sync.Once
	f.set(func(f *fakeStore) {
		f.answered = func(what string) {
			if what == op {
				first.Do(do)
			}
		}
	})
}

// A message that is lost on its way while a room is being opened is fetched when the room is open, and not with the one after it.
func TestGappedWhileOpening(t *testing.T) {
	r := newRig(t, true, nil)
	ann, _ := r.talker("Ann", "")
	ann.ok("publish", `"room":"tea","text":"long ago"`)
	bob, _ := r.talker("Bob", "")
	lost := make(chan uint64, 1)
	r.store.once("last", func() {
		r.store.set(func(f *fakeStore) { f.lose = 1 })
		lost <- ann.ok("publish", `"room":"tea","text":"lost"`).Seq
		r.store.set(func(f *fakeStore) { f.lose = 0 })
	})
	in := bob.ok("join", `"room":"tea"`)
	if in.Seq == <-lost { // it was fetched before Bob was in
		return
	}
	if m := bob.next("message"); m.Text != "lost" || m.Prev != in.Seq {
		t.Errorf("behind %d came %+v", in.Seq, m)
	}
}

// What is read of one numbering is not told as of the next.
func TestAnewWhileReading(t *testing.T) {
	for _, op := range []string{"read", "before"} {
		t.Run(op, func(t *testing.T) {
			r := newRig(t, true, nil)
			ann, _ := r.talker("Ann", "")
			ann.ok("publish", `"room":"tea","text":"before"`)
			ann.ok("join", `"room":"tea"`)
			r.store.set(func(f *fakeStore) { f.mute = true })
			r.publish(ann, 5)
			r.store.set(func(f *fakeStore) { f.mute = false })
			tea := r.server.rooms.find("tea")
			r.store.once(op, func() {
				r.store.set(func(f *fakeStore) { f.rooms["tea"], f.seq, f.epoch = nil, 0, "second" })
				r.server.Gapped("")
				for { // until the room has begun anew
					tea.mu.Lock()
					done := tea.state == roomOpen && tea.epoch == "second"
					tea.mu.Unlock()
					if done {
						return
					}
					time.Sleep(time.Millisecond)
				}
			})
			if op == "read" {
				r.server.Gapped("tea")
			} else {
				bob, _ := r.talker("Bob", "")
				bob.say("join", `"room":"tea","last":3`)
			}
			gap := ann.next("gap")
			if !gap.Reset || gap.To != 0 {
				t.Errorf("told of %+v", gap)
			}
			r.publish(ann, 2)
			ann.follows(2, 0)
			if h := ann.ok("history", `"room":"tea"`); len(h.Messages) != 2 || h.Epoch != "second" {
				t.Errorf("the history is %+v", h)
			}
		})
	}
}

// Who comes back right behind a message that is still on its way to its loop has had it, and is neither told to begin anew nor gets it again.
func TestSinceAheadOfLoop(t *testing.T) {
	var r *rig
	var arm atomic.Bool
	in, record := said{}, []byte(`{"v":1,"time":1,"user":"ann","name":"Ann","text":"just now"}`)
	r = newRig(t, true, func(c *Config) {
		c.Clock = func() time.Time {
			if arm.CompareAndSwap(true, false) { // on bob's loop, within its join
				r.server.Stored(1, "tea", in.Seq+7, in.Seq, record)
			}
			return time.Now()
		}
	})
	for range 6 { // on both loops
		k, _ := r.talker("Ann", "")
		in = k.ok("join", `"room":"tea"`)
	}
	bob, _ := r.talker("Bob", "")
	arm.Store(true)
	bob.ok("join", fmt.Sprintf(`"room":"tea","since":{"epoch":%q,"seq":%d}`, in.Epoch, in.Seq+7))
	r.server.Stored(1, "tea", in.Seq+9, in.Seq+7, record)
	if m := bob.until("message", "gap"); m.Type != "message" || m.Seq != in.Seq+9 {
		t.Errorf("behind a message that was seen came %+v", m)
	}
}

// until reads until a message of one of these types comes.
func (k *talker) until(kinds ...string) said {
	k.t.Helper()
	for {
		m := k.read()
		for _, kind := range kinds {
			if m.Type == kind {
				return m
			}
		}
	}
}

// A room begins anew, and nothing is said. Who joins then, where members have been standing from before, gets what there is behind its own place.
func TestJoinAfterAnew(t *testing.T) {
	r := newRig(t, true, nil)
	var members []*talker
	for range 6 { // on both loops
		k, _ := r.talker("Ann", "")
		k.ok("join", `"room":"tea"`)
		members = append(members, k)
	}
	r.publish(members[0], 5)
	newest := uint64(0)
	r.store.set(func(f *fakeStore) {
		f.rooms["tea"] = f.rooms["tea"][:4]
		newest, f.epoch = f.rooms["tea"][3].seq, "second"
	})
	r.server.Gapped("")
	for _, k := range members {
		k.until("gap")
	}
	for range 4 {
		bob, _ := r.talker("Bob", "")
		if in := bob.ok("join", `"room":"tea","last":2`); in.Seq != newest || in.Epoch != "second" {
			t.Errorf("joined at %d of %s; the newest is %d", in.Seq, in.Epoch, newest)
		}
		bob.next("message")
		if m := bob.next("message"); m.Seq != newest {
			t.Errorf("the newest of the past is %+v", m)
		}
	}
}

// A raw client that came while the store was away hears what is said from the moment at which it is back.
func TestRawThroughAnAbsence(t *testing.T) {
	r := newTunedRig(t, true, nil, func(s *Server) { s.times.beat = time.Hour })
	ann, _ := r.talker("Ann", "")
	r.store.set(func(f *fakeStore) { f.down = true })
	old := r.raw("tea")
	tea := r.server.rooms.find("tea")
	tea.waitFor(t, roomClosed)
	r.store.set(func(f *fakeStore) { f.down = false })
	ann.ok("publish", `"room":"tea","text":"one"`)
	r.server.beatOnce()
	tea.waitFor(t, roomOpen)
	ann.ok("publish", `"room":"tea","text":"two"`)
	hears(t, old, websocket.TextMessage, "one")
	hears(t, old, websocket.TextMessage, "two")
}

// waitFor waits until the room is in a state.
func (r *room) waitFor(t *testing.T, state roomState) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		r.mu.Lock()
		is := r.state
		r.mu.Unlock()
		if is == state {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the room is in state %d; want %d", is, state)
		}
	}
}

// Who leaves a room gets nothing more of its past, and who comes back gets it once.
func TestLeaveEndsReplay(t *testing.T) {
	r := newRig(t, true, nil)
	ann, _ := r.talker("Ann", "")
	r.publish(ann, 1)
	first := ann.ok("join", `"room":"tea"`)
	r.publish(ann, 600) // more than is kept in memory
	bob, _ := r.talker("Bob", "")
	again := make(chan struct{})
	r.store.once("read", func() { <-again })
	since := fmt.Sprintf(`"room":"tea","since":{"epoch":%q,"seq":%d}`, first.Epoch, first.Seq)
	bob.ok("join", since)
	bob.ok("leave", `"room":"tea"`)
	bob.ok("join", since)
	close(again)
	bob.next("presence")
	last := bob.follows(600, first.Seq)
	r.publish(ann, 1)
	bob.follows(1, last)
}

// What arrived of one numbering and waits for something is not told as of the next.
func TestAnewWhileWaiting(t *testing.T) {
	r := newRig(t, true, nil)
	ann, _ := r.talker("Ann", "")
	ann.ok("join", `"room":"tea"`)
	r.publish(ann, 5)
	last := ann.follows(5, 0)
	r.store.once("read", func() {
		r.server.Stored(1, "tea", last+9, last+5, []byte(`{"v":1,"time":1,"user":"u","name":"n","text":"of before"}`))
		r.store.set(func(f *fakeStore) {
			f.rooms["tea"], f.seq, f.epoch = f.rooms["tea"][:2], f.rooms["tea"][1].seq, "second"
		})
		r.server.Gapped("")
	})
	r.server.Gapped("tea")
	gap := ann.next("gap")
	if !gap.Reset || gap.Epoch != "second" {
		t.Errorf("told of %+v", gap)
	}
	r.publish(ann, 2)
	ann.follows(2, gap.To)
}

// A replay that is under way when the numbering begins anew says what of the old one cannot be had, before the new one is told.
func TestAnewWhileReplaying(t *testing.T) {
	r := newRig(t, true, nil)
	ann, _ := r.talker("Ann", "")
	r.publish(ann, 1)
	in := ann.ok("join", `"room":"tea"`)
	r.publish(ann, 600) // more than is kept in memory
	bob, _ := r.talker("Bob", "")
	r.store.once("read", func() {
		r.store.set(func(f *fakeStore) {
			f.rooms["tea"], f.seq, f.epoch = f.rooms["tea"][:2], f.rooms["tea"][1].seq, "second"
		})
		r.server.Gapped("")
	})
	back := bob.ok("join", fmt.Sprintf(`"room":"tea","since":{"epoch":%q,"seq":%d}`, in.Epoch, in.Seq))
	if gap := bob.next("gap"); gap.From != in.Seq+1 || gap.To != back.Seq || gap.Epoch != in.Epoch {
		t.Errorf("of what cannot be had any more: %+v", gap)
	}
	gap := bob.next("gap")
	if !gap.Reset || gap.Epoch != "second" {
		t.Errorf("of the beginning: %+v", gap)
	}
	r.publish(ann, 2)
	bob.follows(2, gap.To)
}
