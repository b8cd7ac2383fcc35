package chat

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// forgetful is a node whose store keeps five messages of a room, with Ann who speaks and Bob who was there for the first three.
func forgetful(t *testing.T) (r *rig, ann *talker, since string, seen uint64) {
	r = newRig(t, true, func(c *Config) {
		for i := range c.Policies {
			c.Policies[i].KeepMessages = 5
		}
	})
	r.store.set(func(f *fakeStore) { f.keep = 5 })
	ann, _ = r.talker("Ann", "")
	bob, _ := r.talker("Bob", "")
	in := bob.ok("join", `"room":"tea"`)
	r.publish(ann, 3)
	for range 3 {
		seen = bob.next("message").Seq
	}
	_ = bob.ws.Close()
	return r, ann, fmt.Sprintf(`"room":"tea","since":{"epoch":%q,"seq":%d}`, in.Epoch, seen), seen
}

// publish says so many things.
func (r *rig) publish(k *talker, n int) {
	r.t.Helper()
	for range n {
		k.ok("publish", `"room":"tea","text":"x"`)
	}
}

// forget makes the room's memory that of a node which was just started.
func (r *rig) forget(room string) {
	tea := r.server.rooms.find(room)
	tea.mu.Lock()
	defer tea.mu.Unlock()
	r.server.recentBytes.Add(-int64(tea.recent.forget()))
	tea.filled = false
}

// follows reads messages, each of which must say that the one before it is the last that was told.
func (k *talker) follows(n int, last uint64) uint64 {
	k.t.Helper()
	for range n {
		m := k.next("message")
		if m.Prev != last {
			k.t.Fatalf("got %+v behind %d", m, last)
		}
		last = m.Seq
	}
	return last
}

// Fewer messages are kept than are read at once into memory: who comes back is told of those that are gone, and not brought what is left as if it were all.
func TestGapBeforeMemory(t *testing.T) {
	r, ann, since, seen := forgetful(t)
	r.publish(ann, 20)
	r.forget("tea")
	bob, _ := r.talker("Bob", "")
	bob.ok("join", since)
	gap := bob.next("gap")
	if gap.From != seen+1 || gap.To+1 != gap.Oldest || gap.Reset {
		t.Errorf("the gap is %+v; seen was %d", gap, seen)
	}
	last := bob.follows(5, gap.To)
	r.publish(ann, 1)
	bob.follows(1, last)
	r.forget("tea")
	if h := bob.ok("history", `"room":"tea","after":0,"limit":2`); len(h.Messages) != 2 || h.Messages[0].Prev == 0 {
		t.Errorf("a history from the beginning, which is gone, does not tell: %+v", h.Messages)
	}
	h := bob.ok("history", fmt.Sprintf(`"room":"tea","after":%d`, seen))
	if len(h.Messages) < 5 || h.Messages[0].Prev <= seen {
		t.Errorf("a history behind what is gone does not tell: %+v", h.Messages)
	}
}

// A node that heard nothing for a while tells its members what it cannot fetch any more, and so it does to those who come back later.
func TestGapWhileDeaf(t *testing.T) {
	r, ann, since, seen := forgetful(t)
	eve, _ := r.talker("Eve", "")
	eve.ok("join", `"room":"tea"`)
	r.store.set(func(f *fakeStore) { f.mute = true })
	r.publish(ann, 20)
	r.store.set(func(f *fakeStore) { f.mute = false })
	r.server.Gapped("tea")
	gap := eve.next("gap")
	if gap.From != seen+1 || gap.To+1 != gap.Oldest {
		t.Errorf("Eve was told of %+v; seen was %d", gap, seen)
	}
	last := eve.follows(5, gap.To)
	bob, _ := r.talker("Bob", "")
	bob.ok("join", since)
	if again := bob.next("gap"); again.From != seen+1 || again.To < gap.To {
		t.Errorf("Bob was told of %+v; Eve of %+v", again, gap)
	}
	r.publish(ann, 1)
	eve.follows(1, last)
}

// Everything that somebody missed is gone, and nothing is left.
func TestGapOfAll(t *testing.T) {
	r, ann, since, seen := forgetful(t)
	r.publish(ann, 2)
	r.store.set(func(f *fakeStore) { f.rooms["tea"] = nil })
	r.forget("tea")
	bob, _ := r.talker("Bob", "")
	in := bob.ok("join", since)
	if gap := bob.next("gap"); gap.From != seen+1 || gap.To != in.Seq {
		t.Errorf("told of %+v; seen was %d of %d", gap, seen, in.Seq)
	}
	r.publish(ann, 1)
	bob.follows(1, in.Seq)
}

// A message whose number follows the newest at once leaves no room for a gap.
func TestNoEmptyGap(t *testing.T) {
	r := newRig(t, true, nil)
	eve, _ := r.talker("Eve", "")
	eve.ok("join", `"room":"tea"`)
	tea := r.server.rooms.find("tea")
	tea.mu.Lock()
	tea.head, tea.sure = 7, false
	tea.take(8, 3, []byte(`{"v":1,"time":1,"user":"~a","name":"Ann","text":"x"}`))
	tea.mu.Unlock()
	if m := eve.next("message"); m.Seq != 8 || m.Prev != 7 {
		t.Errorf("got %+v", m)
	}
}

// Somebody who has seen more of a room than this node is not told that all begins anew while the store cannot be asked.
func TestAheadOfNode(t *testing.T) {
	began := time.Now()
	r := newRig(t, true, func(c *Config) {
		c.Clock = func() time.Time { return began.Add(20 * time.Since(began)) } // which runs ahead, so that nobody waits
	})
	ann, _ := r.talker("Ann", "")
	in := ann.ok("join", `"room":"tea"`)
	r.publish(ann, 1)
	seen := ann.next("message").Seq
	since := fmt.Sprintf(`"room":"tea","since":{"epoch":%q,"seq":%d}`, in.Epoch, seen+1)
	r.store.set(func(f *fakeStore) { f.down = true })
	bob, _ := r.talker("Bob", "")
	bob.refused("unavailable", "join", since)
	r.store.set(func(f *fakeStore) { f.down = false })
	for end := time.Now().Add(patience); bob.ask("join", since).Code == "unavailable"; { // until the store is asked again
		if time.Now().After(end) {
			t.Fatal("never let in")
		}
	}
	if gap := bob.next("gap"); !gap.Reset || gap.To != seen {
		t.Errorf("of a number that there is not: %+v", gap)
	}
}

// The store's word on the newest message was long on its way, and somebody has seen more since: that is fetched.
func TestAheadOfLateAnswer(t *testing.T) {
	began := time.Now()
	r := newRig(t, true, func(c *Config) { c.Clock = func() time.Time { return began.Add(50 * time.Since(began)) } })
	record := []byte(`{"v":1,"time":1,"user":"u","name":"n","text":"x"}`)
	late := make(chan struct{})
	r.store.set(func(f *fakeStore) { f.rooms["tea"], f.late = []kept{{3, record}}, late })
	bob, _ := r.talker("Bob", "")
	bob.say("join", `"room":"tea","since":{"epoch":"first","seq":7}`)
	time.Sleep(200 * time.Millisecond) // ten seconds of the clock
	r.store.set(func(f *fakeStore) { f.rooms["tea"] = append(f.rooms["tea"], kept{7, record}, kept{9, record}) })
	close(late)
	for end := time.Now().Add(patience); ; {
		m := bob.read()
		if m.Type == "error" && m.Code == "unavailable" && time.Now().Before(end) {
			bob.say("join", `"room":"tea","since":{"epoch":"first","seq":7}`)
			continue
		}
		if m.Type != "ok" || m.Seq != 9 {
			t.Fatalf("joined as %+v", m)
		}
		break
	}
	if m := bob.next("message"); m.Seq != 9 || m.Prev != 7 {
		t.Errorf("got %+v", m)
	}
}

// A room whose numbering begins anew goes on, also when something was just being fetched, and says from where.
func TestAnewWhileMending(t *testing.T) {
	r := newRig(t, true, nil)
	ann, _ := r.talker("Ann", "")
	ann.ok("join", `"room":"tea"`)
	r.publish(ann, 10)
	for range 10 {
		ann.next("message")
	}
	var newest uint64
	r.server.Gapped("tea") // it is being looked at
	r.store.set(func(f *fakeStore) {
		f.rooms["tea"] = f.rooms["tea"][:4]
		newest, f.epoch = f.rooms["tea"][3].seq, "second"
	})
	r.server.Gapped("")
	if gap := ann.next("gap"); !gap.Reset || gap.Epoch != "second" || gap.To != newest {
		t.Errorf("told of %+v; the newest is %d", gap, newest)
	}
	r.publish(ann, 3)
	ann.follows(3, newest)
}

// Keys that differ in spaces differ.
func TestPublishID(t *testing.T) {
	seen := map[string]string{}
	for _, key := range []string{"k", "k ", " k", "k.", "k. ", "k k"} {
		id := strings.TrimSpace(publishID("tea", "ann", key)) // as a header of NATS carries it
		if before, twice := seen[id]; twice {
			t.Errorf("%q and %q are one", before, key)
		}
		seen[id] = key
	}
}

// The room has come further than the connection's loop, which is busy: somebody who has seen all of it is told nothing a second time, and not that all
// begins anew.
func TestAheadOfLoop(t *testing.T) {
	r := newRig(t, true, nil)
	eve, _ := r.talker("Eve", "")
	in := eve.ok("join", `"room":"tea"`)
	go func() { // she reads, so that nothing waits for her
		for {
			if _, _, err := eve.ws.NextReader(); err != nil {
				return
			}
		}
	}()
	tea := r.server.rooms.find("tea")
	record := []byte(`{"v":1,"time":1,"user":"u","name":"n","text":"x"}`)
	bob, _ := r.talker("Bob", "")
	seq := uint64(0)
	for range 100 {
		for range 200 {
			r.server.Stored(tea.policy.stream, "tea", seq+1, seq, record)
			seq++
		}
		bob.ok("join", fmt.Sprintf(`"room":"tea","since":{"epoch":%q,"seq":%d}`, in.Epoch, seq))
		for range 3 {
			r.server.Stored(tea.policy.stream, "tea", seq+1, seq, record)
			seq++
		}
		bob.follows(3, seq-3)
		bob.ok("leave", `"room":"tea"`)
	}
}

// When the numbering begins anew, numbers are below those that members have seen: they hear the messages all the same.
func TestAnewFromTheStart(t *testing.T) {
	r := newRig(t, true, nil)
	ann, _ := r.talker("Ann", "")
	ann.ok("join", `"room":"tea"`)
	old := r.raw("tea")
	r.publish(ann, 10)
	for range 10 {
		ann.next("message")
		hears(t, old, websocket.TextMessage, "x")
	}
	r.store.set(func(f *fakeStore) { f.rooms, f.seq, f.epoch = map[string][]kept{}, 0, "second" })
	r.server.Gapped("")
	if gap := ann.next("gap"); !gap.Reset || gap.To != 0 {
		t.Errorf("told of %+v", gap)
	}
	r.publish(ann, 3)
	last := ann.follows(3, 0)
	for range 3 {
		hears(t, old, websocket.TextMessage, "x")
	}
	bob, _ := r.talker("Bob", "")
	if in := bob.ok("join", `"room":"tea"`); in.Seq != last || in.Epoch != "second" {
		t.Errorf("joined as %+v; the newest is %d", in, last)
	}
	r.publish(ann, 1)
	bob.follows(1, last)
}
