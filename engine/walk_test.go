package engine

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// ask runs what waits for loops, while the test goes on being the poller, and lets
// time pass, so that nobody takes the loop for a blocked one.
func (f *fakeLoop) ask(question func()) {
	f.t.Helper()
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		question()
	}()
	for {
		select {
		case <-answered:
			return
		default:
			f.lastTick.Store(nanotime())
			f.ring()
			time.Sleep(10 * time.Microsecond)
		}
	}
}

// vanish ends a connection that crowd made.
func (f *fakeLoop) vanish(c *Conn) {
	f.enter()
	c.eachSeat(func(s *seat) { s.lane.subs[s.slot].fd = -1 })
	f.open--
	c.reason, c.state, c.fd = ReasonEOF, stateGone, -1
	f.doom(c)
	f.exit()
}

// TestWalkVisitsEachOnce: while connections come and go between the slices, each that
// is there all the time is visited exactly once, and no other twice.
func TestWalkVisitsEachOnce(t *testing.T) {
	r := newRand(t)
	for range 20 {
		f := newBenchLoop(t, &rooms{})
		var here []*Conn
		come := func() { f.enter(); here = append(here, f.crowd("room", -1)); f.exit() }
		for range 100 + r.IntN(2000) {
			come()
		}
		stayed, visits := map[*Conn]bool{}, map[*Conn]int{}
		for _, c := range here {
			stayed[c] = true
		}
		w := f.walkConns(func(c *Conn) int { visits[c]++; return costLook })
		slices := 0
		for done := false; !done; slices++ {
			f.enter()
			done = f.guardedStroll(w, 0)
			f.exit()
			for range r.IntN(40) {
				if r.IntN(2) == 0 {
					come()
					continue
				}
				i := r.IntN(len(here))
				delete(stayed, here[i])
				f.vanish(here[i])
				here[i] = here[len(here)-1]
				here = here[:len(here)-1]
			}
		}
		if slices < 100/(costClock/costLook) {
			t.Fatalf("it took %d slices", slices)
		}
		for c, n := range visits {
			if n > 1 {
				t.Fatalf("%s was visited %d times", c.ID(), n)
			}
		}
		for c := range stayed {
			if visits[c] != 1 {
				t.Fatalf("%s was there all the time and visited %d times", c.ID(), visits[c])
			}
		}
	}
}

// TestWalksTakeTurns: a walk that costs much does not hold up one that costs little,
// one that is cancelled ends, and a panic costs a visit.
func TestWalksTakeTurns(t *testing.T) {
	f := newBenchLoop(t, &rooms{})
	f.enter()
	for range 1000 {
		f.crowd("room", -1)
	}
	f.exit()
	ctx, cancel := context.WithCancel(context.Background())
	var order []string
	begin := func(name string, ctx context.Context, visit func(c *Conn) int) {
		w := f.walkConns(visit)
		w.ctx, w.done = ctx, func(err error) {
			if err != nil {
				name += ": " + err.Error()
			}
			order = append(order, name)
		}
		f.walks = append(f.walks, w)
	}
	slow := func(*Conn) int { time.Sleep(2 * walkNanos); return costWrite }
	visited := 0
	begin("cancelled", ctx, slow)
	begin("slow", context.Background(), func(c *Conn) int {
		if c.timer > 100 {
			return costNothing
		}
		return slow(c)
	})
	begin("quick", context.Background(), func(c *Conn) int {
		if visited++; visited == 7 {
			panic("injected")
		}
		return costLook
	})
	f.bell.ring()
	f.enter()
	f.turn()
	f.exit()
	cancel()
	f.ring()
	if want := []string{"cancelled: context canceled", "quick", "slow"}; !slices.Equal(order, want) {
		t.Errorf("they ended in the order %q, want %q", order, want)
	}
	if visited != 1000 || f.stats.panics != 1 {
		t.Errorf("%d visits and %d panics, want 1000 and 1", visited, f.stats.panics)
	}
}

// TestWalkIsAwaitedByTheCaller: a context ends the wait for a loop that does nothing,
// and a loop that is blocked is named.
func TestWalkIsAwaitedByTheCaller(t *testing.T) {
	f := newBenchLoop(t, &rooms{})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if _, err := f.engine.Connections(ctx, Query{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want that of the context", err)
	}
	if _, err := f.engine.Connections(context.Background(), Query{}); err == nil || err.Error() != "engine: loop 0 is blocked and does not answer" {
		t.Errorf("error %v, want that the loop is blocked", err)
	}
	f.ring() // the walks find that nobody waits
	if len(f.walks) != 0 {
		t.Errorf("%d walks go on", len(f.walks))
	}
}

// TestTop holds the bounded heap, and the merging of several, against sorting
// everything.
func TestTop(t *testing.T) {
	r := newRand(t)
	for range 200 {
		k := 1 + r.IntN(50)
		a, b, c := newTop[rank](k), newTop[rank](k), newTop[rank](k)
		tops := []*top[rank]{&a, &b, &c}
		var all []rank
		for i := range r.IntN(500) {
			x := rank{uint64(r.IntN(40)), ID(i)}
			all = append(all, x)
			if at := tops[r.IntN(len(tops))].offer(x); at != nil {
				*at = x
			}
		}
		slices.SortFunc(all, func(a, b rank) int { return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.id, b.id)) })
		got := first(k, tops...)
		if len(got) != min(k, len(all)) {
			t.Fatalf("%d of %d are there, want %d", len(got), len(all), k)
		}
		for i := range got {
			if got[i].rank != all[i] || *got[i].value != all[i] {
				t.Fatalf("at place %d stands %v with the value %v, want %v", i, got[i].rank, *got[i].value, all[i])
			}
		}
	}
}

// TestID: what is written is read again, and names the same connection.
func TestID(t *testing.T) {
	for range 1000 {
		id := ID(rand.Uint64())
		if back, err := ParseID(id.String()); err != nil || back != id {
			t.Fatalf("%s is read as %s, error %v", id, back, err)
		}
	}
	for _, bad := range []string{"", "1", "1-2", "1-2-3-4", "-1-2-3", "1024-1-1", "1-2-zzzzzzz", "1-99999999999-1", "a-1-1", "1--1"} {
		if id, err := ParseID(bad); err == nil {
			t.Errorf("%q is read as %s", bad, id)
		}
	}
	f := newBenchLoop(t, &rooms{})
	a := f.dial("/", 0)
	id := a.c.ID()
	if f.find(id) != a.c {
		t.Fatalf("%s is not found", id)
	}
	a.reset()
	if b := f.dial("/", 0); b.c.timer != id.slot() || f.find(id) != nil || f.find(b.c.ID()) != b.c {
		t.Errorf("%s, in the place of %s, is taken for it", b.c.ID(), id)
	}
}
