package timeouts

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

const ms = int64(time.Millisecond)

// once is a due that removes whatever comes up, and writes down what that was.
type once struct{ ids []ID }

func (o *once) due(id ID, _ uint8, _ time.Duration) time.Duration {
	o.ids = append(o.ids, id)
	return 0
}

// TestDueTime has one timer in a wheel of 8 slots and a tick of 10 ms that is asked
// every millisecond: it comes up at the first tick at or after its deadline.
func TestDueTime(t *testing.T) {
	const minute = 60_000
	tests := []struct {
		name            string
		added, wait, at int64 // milliseconds
	}{
		{"within a tick", 0, 1, 10},
		{"just before a tick", 0, 9, 10},
		{"on a tick", 0, 10, 10},
		{"just after a tick", 0, 11, 20},
		{"rounded with the time it was added", 7, 5, 20},
		{"the last slot of the lap", 0, 80, 80},
		{"one past the lap", 0, 81, 90},
		{"laps away", 0, 1234, 1240},
		{"a minute away", 3, minute, minute + 10},
		{"no wait on a tick already seen", 20, 0, 30},
		{"no wait between ticks", 25, 0, 30},
		{"a negative wait", 25, -100, 30},
		{"added long before the wheel was told", -50, 60, 10},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := New(10*time.Millisecond, 8, 0)
			var o once
			w.Advance(max(0, test.added*ms), 0, o.due)
			w.Add(0, test.added*ms, time.Duration(test.wait*ms))
			now := max(0, test.added)
			for ; w.Len() > 0 && now < 2*minute; now++ {
				w.Advance(now*ms, 0, o.due)
			}
			if now-1 != test.at {
				t.Errorf("due at %d ms, want %d", now-1, test.at)
			}
		})
	}
}

// TestBoundary puts deadlines all around the ticks and looks at the two promises by
// themselves: never early, and at most one tick late.
func TestBoundary(t *testing.T) {
	const tick, step = 100, 7 // the steps of time fall anywhere between the ticks
	for _, slots := range []int{1, 2, 16} {
		w := New(tick, slots, -1000)
		deadlines := map[ID]int64{}
		now, visits := int64(-1000), 0
		due := func(id ID, _ uint8, _ time.Duration) time.Duration {
			visits++
			if now < deadlines[id] {
				t.Errorf("slots %d: %d ns early", slots, deadlines[id]-now)
			}
			if late := now - deadlines[id]; late >= tick+step {
				t.Errorf("slots %d: %d ns late", slots, late)
			}
			return 0
		}
		for wait := range int64(2000) {
			id := w.Add(0, now, time.Duration(wait))
			deadlines[id] = now + wait
			if wait%3 == 0 {
				now += step
			}
			w.Advance(now, 0, due)
		}
		for w.Len() > 0 {
			now += step
			w.Advance(now, 0, due)
		}
		if visits != 2000 {
			t.Errorf("slots %d: %d visits", slots, visits)
		}
	}
}

// TestLazy is the example of the picture.
func TestLazy(t *testing.T) {
	const second = time.Second
	w := New(second, 8, 0)
	type visit struct {
		at, silent time.Duration
	}
	var visits []visit
	var now time.Duration
	due := func(_ ID, class uint8, silent time.Duration) time.Duration {
		visits = append(visits, visit{now, silent})
		wait := time.Duration(class) * second / 2
		if silent >= wait {
			return 0
		}
		return wait
	}
	w.Advance(int64(10*second), 0, due)
	a := w.Add(5, int64(10*second), 5*second/2)
	w.Add(120, int64(10*second), 60*second)
	w.Touch(a, int64(12900*time.Millisecond))
	if slot := w.at(a).prev &^ slotBit; slot != 5 {
		t.Errorf("A is in slot %d", slot)
	}
	for now = 10 * second; w.Len() > 0; now += second {
		w.Advance(int64(now), 0, due)
	}
	want := []visit{{13 * second, second / 10}, {16 * second, 3100 * time.Millisecond}, {70 * second, 60 * second}}
	if !slices.Equal(visits, want) {
		t.Errorf("visits %v, want %v", visits, want)
	}
}

func TestJumpOverManyLaps(t *testing.T) {
	w := New(10, 8, 0)
	for wait := range 100 {
		w.Add(0, 0, time.Duration(wait*10))
	}
	var o once
	if w.Advance(905, 0, o.due) || len(o.ids) != 91 {
		t.Errorf("%d visits, want 91", len(o.ids))
	}
	if w.Advance(1<<50, 0, o.due) || len(o.ids) != 100 {
		t.Errorf("%d visits, want 100", len(o.ids))
	}
}

// TestJumpVisitsOnce has waits that are over long before the jump's end: they are
// due again at the next tick and not once for each tick missed.
func TestJumpVisitsOnce(t *testing.T) {
	w := New(10, 8, 0)
	w.Add(0, 0, 10)
	visits := 0
	due := func(ID, uint8, time.Duration) time.Duration { visits++; return 10 }
	w.Advance(1000, 0, due)
	w.Advance(1009, 0, due)
	if visits != 1 {
		t.Errorf("%d visits, want 1", visits)
	}
	w.Advance(1010, 0, due)
	if visits != 2 {
		t.Errorf("%d visits at the next tick, want 2", visits)
	}
}

func TestBudget(t *testing.T) {
	w := New(10, 8, 0)
	for range 10 {
		w.Add(0, 0, 25)
	}
	var o once
	for _, want := range []int{4, 8, 10} {
		more := w.Advance(30, 4, o.due)
		if len(o.ids) != want || more != (want < 10) {
			t.Errorf("%d visits, more %v; want %d", len(o.ids), more, want)
		}
		if want == 4 { // neither of these may be lost or come up twice
			late := w.Add(0, 30, 0)
			w.Touch(late, 31)
		}
	}
	if w.Len() != 1 {
		t.Errorf("%d timers left, want the one added during the walk", w.Len())
	}
	if w.Advance(40, 1, o.due) || w.Len() != 0 {
		t.Error("a budget just large enough left something")
	}
}

// TestDueChangesItsNeighbours removes, sets and adds timers in the slot being walked.
func TestDueChangesItsNeighbours(t *testing.T) {
	w := New(10, 8, 0)
	ids := make([]ID, 6)
	for i := range ids {
		ids[i] = w.Add(uint8(i), 0, 10)
	}
	var visited []ID
	due := func(id ID, _ uint8, _ time.Duration) time.Duration {
		visited = append(visited, id)
		if len(visited) > 1 {
			return 0
		}
		others := slices.DeleteFunc(slices.Clone(ids), func(x ID) bool { return x == id })
		w.Remove(others[0])
		w.Set(others[1], 9, 10, 5)
		w.Remove(id)
		if again := w.Add(7, 10, 100); again != id {
			t.Errorf("Add gave %d, want the id just freed, %d", again, id)
		}
		w.Set(others[2], 9, 10, 1000)
		return 0 // to be ignored: the id is another timer's now
	}
	w.Advance(10, 0, due)
	if len(visited) != 3 {
		t.Errorf("visited %v, want three timers", visited)
	}
	if w.Len() != 3 || w.Class(visited[0]) != 7 {
		t.Errorf("%d timers, class %d", w.Len(), w.Class(visited[0]))
	}
	if err := w.check(); err != nil {
		t.Error(err)
	}
}

// TestDuePanics recovers as an event loop would: the timer comes up again, the others
// of its slot were not lost.
func TestDuePanics(t *testing.T) {
	w := New(10, 8, 0)
	w.Add(0, 0, 10)
	w.Add(0, 0, 10)
	func() {
		defer func() { _ = recover() }()
		w.Advance(10, 0, func(ID, uint8, time.Duration) time.Duration { panic("a handler") })
	}()
	if err := w.check(); err != nil {
		t.Fatal(err)
	}
	var o once
	w.Advance(10, 0, o.due)
	w.Advance(20, 0, o.due)
	slices.Sort(o.ids)
	if !slices.Equal(o.ids, []ID{1, 2}) {
		t.Errorf("visited %v, want both", o.ids)
	}
}

func TestProgrammerErrors(t *testing.T) {
	tests := []struct {
		want string
		do   func(w *Wheel, freed ID)
	}{
		{"a tick of 0s", func(*Wheel, ID) { New(0, 8, 0) }},
		{"a tick of -1ns", func(*Wheel, ID) { New(-1, 8, 0) }},
		{"0 slots", func(*Wheel, ID) { New(1, 0, 0) }},
		{"12 slots", func(*Wheel, ID) { New(1, 12, 0) }},
		{"Remove of timer 1, which is free", func(w *Wheel, freed ID) { w.Remove(freed) }},
		{"Remove of timer 7, which is free", func(w *Wheel, _ ID) { w.Remove(7) }},
		{"Set of timer 1, which is free", func(w *Wheel, freed ID) { w.Set(freed, 0, 0, 0) }},
		{"Set of timer 0, which is free", func(w *Wheel, _ ID) { w.Set(None, 0, 0, 0) }},
		{"Advance called from due", func(w *Wheel, _ ID) {
			w.Add(0, 0, 1)
			w.Advance(1, 0, func(ID, uint8, time.Duration) time.Duration {
				w.Advance(2, 0, nil)
				return 0
			})
		}},
	}
	for _, test := range tests {
		t.Run(test.want, func(t *testing.T) {
			w := New(1, 8, 0)
			freed := w.Add(0, 0, 1)
			w.Remove(freed)
			defer func() {
				if said, _ := recover().(string); !strings.Contains(said, test.want) {
					t.Errorf("panic %q, want %q", said, test.want)
				}
			}()
			test.do(w, freed)
		})
	}
}

func TestRemoveNone(t *testing.T) {
	w := New(1, 8, 0)
	w.Remove(None)
	if w.Len() != 0 {
		t.Errorf("Len is %d", w.Len())
	}
}

// TestForEver has the longest wait and the far ends of the clock.
func TestForEver(t *testing.T) {
	for _, epoch := range []int64{math.MinInt64, 0, 1 << 60} {
		w := New(1, 8, epoch)
		w.Add(0, epoch+5, math.MaxInt64)
		w.Add(0, math.MaxInt64, math.MaxInt64)
		var o once
		w.Advance(epoch+1<<40, 0, o.due)
		w.Advance(math.MaxInt64-1, 0, o.due)
		w.Advance(math.MinInt64, 0, o.due)
		if w.Len() != 2 {
			t.Errorf("epoch %d: for ever has ended", epoch)
		}
	}
}

// TestIDs: small, dense, reused, and never two at a time.
func TestIDs(t *testing.T) {
	const n = 3*pageLen + 5
	w := New(1, 8, 0)
	for want := ID(1); want <= n; want++ {
		if id := w.Add(0, 0, 1); id != want {
			t.Fatalf("Add gave %d, want %d", id, want)
		}
	}
	held := w.Bytes()
	for _, id := range []ID{9, pageLen, n} {
		w.Remove(id)
	}
	for _, want := range []ID{n, pageLen, 9, n + 1} {
		if id := w.Add(0, 0, 1); id != want {
			t.Errorf("Add gave %d, want %d", id, want)
		}
	}
	if w.Bytes() != held || w.Len() != n+1 {
		t.Errorf("Len %d, Bytes %d, were %d", w.Len(), w.Bytes(), held)
	}
}

func TestBytesPerTimer(t *testing.T) {
	w := New(time.Second, 128, 0)
	for range 100_000 {
		w.Add(0, 0, time.Minute)
	}
	if each := float64(w.Bytes()) / 100_000; each > 25 {
		t.Errorf("%.1f bytes a timer", each)
	}
}

func TestNoAllocations(t *testing.T) {
	w := New(10, 64, 0)
	ids := make([]ID, 2000)
	for i := range ids {
		ids[i] = w.Add(0, 0, time.Duration(i))
	}
	now, visits := int64(0), 0
	due := func(ID, uint8, time.Duration) time.Duration { visits++; return 500 }
	tests := map[string]func(){
		"Touch":      func() { w.Touch(ids[1000], now) },
		"Set":        func() { w.Set(ids[1000], 1, now, 100) },
		"Add Remove": func() { w.Remove(w.Add(0, now, 100)) },
		"Advance":    func() { now += 10; w.Advance(now, 0, due) },
		"budget":     func() { now += 10; w.Advance(now, 7, due) },
	}
	for name, do := range tests {
		if n := testing.AllocsPerRun(200, do); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
	if visits == 0 {
		t.Error("nobody was due")
	}
}
