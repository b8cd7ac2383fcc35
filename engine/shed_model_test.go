package engine

import (
	"context"
	"errors"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"
)

var rebalance = regexp.MustCompile(`rebalance; reconnect in (\d+) ms$`)

// TestShedModel sheds some of a crowd with the clock in the test's hand: those longest
// silent go, the longest silent first, evenly, and come back as evenly.
func TestShedModel(t *testing.T) {
	r := newRand(t)
	for range 8 {
		f := newBenchLoop(t, &rooms{})
		var all []*fakeConn
		for range 5 + r.IntN(60) {
			all = append(all, f.dial("/", 0))
		}
		f.advance(100e9)
		for _, i := range r.Perm(len(all)) {
			f.wheel.Touch(all[i].c.timer, f.clock-int64(r.IntN(50))*1e9-int64(i))
		}
		n, over := r.IntN(len(all)+3), time.Duration(1+r.IntN(30))*time.Second
		byIdle := slices.Clone(all)
		slices.SortFunc(byIdle, func(a, b *fakeConn) int { return int(b.c.idle() - a.c.idle()) })
		due := byIdle[:min(n, len(all))]
		sent, err, ended := 0, error(nil), make(chan struct{})
		go func() {
			defer close(ended)
			sent, err = f.engine.Shed(context.Background(), n, over, nil)
		}()
		f.ask(func() { eventuallyLeaving(f, len(due) > 0) })
		playShed(t, f, due, over)
		f.ask(func() { <-ended })
		if err != nil || sent != len(due) {
			t.Fatalf("%d of %d were sent away, error %v", sent, len(due), err)
		}
		for _, c := range byIdle[len(due):] {
			if c.c.state != stateOpen {
				t.Fatal("one of those who were to stay was sent away")
			}
		}
	}
}

// eventuallyLeaving waits until the loop knows whom to send away. It runs beside the
// loop.
func eventuallyLeaving(f *fakeLoop, some bool) {
	for some {
		known := make(chan bool, 1)
		f.box.putTask(func(l *loop) { known <- l.leave != nil })
		f.bell.ring()
		if <-known {
			return
		}
	}
}

// playShed lets the time pass and looks who goes when.
func playShed(t *testing.T, f *fakeLoop, due []*fakeConn, over time.Duration) {
	t.Helper()
	began, gone := f.clock, 0
	var back []time.Duration // when they come back
	for elapsed := time.Duration(0); elapsed < over+2*tickNanos; elapsed = time.Duration(f.clock - began) {
		f.advance(tickNanos)
		for gone < len(due) && due[gone].c.reason == ReasonShed {
			due[gone].read(1 << 16)
			m := rebalance.FindSubmatch(due[gone].got)
			if m == nil {
				t.Fatalf("%q was said", due[gone].got)
			}
			ms, _ := strconv.Atoi(string(m[1]))
			if ms >= int(shedSlots/time.Millisecond) {
				t.Fatalf("it is told to come back after %d ms", ms)
			}
			back = append(back, time.Duration(f.clock-began)+time.Duration(ms)*time.Millisecond)
			gone++
		}
		for _, c := range due[gone:] {
			if c.c.reason == ReasonShed {
				t.Fatal("one who was heard later was sent away before one heard earlier")
			}
		}
		want := float64(len(due)) * min(1, float64(f.clock-began)/float64(over))
		if slack := 1.5 + 2*tickNanos*float64(len(due))/float64(over); float64(gone) < want-slack || float64(gone) > want+slack {
			t.Fatalf("%d of %d are gone at %v of %v", gone, len(due), time.Duration(f.clock-began), over)
		}
	}
	slices.Sort(back)
	for i := range back { // in no stretch of time more than were sent away in one as long, and a few
		j := i
		for j < len(back) && back[j]-back[i] < time.Second {
			j++
		}
		if paced := float64(len(due)) / over.Seconds(); float64(j-i) > 1.2*paced+4 {
			t.Fatalf("%d come back within a second, %f were sent away", j-i, paced)
		}
	}
}

// TestIdlest holds the choice among several loops against sorting all of them.
func TestIdlest(t *testing.T) {
	r := newRand(t)
	for range 200 {
		lists, all := make([][]leaver, 1+r.IntN(4)), []int64(nil)
		for i := range lists {
			for range r.IntN(50) {
				x := leaver{heard: r.Int64N(1e9), id: ID(rand.Uint64())}
				lists[i], all = append(lists[i], x), append(all, x.heard)
			}
		}
		n := r.IntN(len(all) + 5)
		slices.Sort(all)
		var got []int64
		for _, list := range idlest(lists, n) {
			if !slices.IsSortedFunc(list, func(a, b leaver) int { return int(a.heard - b.heard) }) {
				t.Fatal("a loop does not begin with the longest silent")
			}
			for _, x := range list {
				got = append(got, x.heard)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, all[:min(n, len(all))]) {
			t.Fatalf("%d of %d: %v of %v", n, len(all), got, all)
		}
	}
}

// TestShedCounts: a share and a number that is to be left.
func TestShedCounts(t *testing.T) {
	for _, x := range []struct{ got, want int }{
		{ShedShare(100, 0.2), 20}, {ShedShare(101, 0.2), 21}, {ShedShare(7, 0), 0}, {ShedShare(7, 3), 7}, {ShedShare(7, -1), 0}, {ShedShare(0, 0.5), 0},
		{ShedTo(100, 40), 60}, {ShedTo(40, 100), 0}, {ShedTo(40, -1), 40},
	} {
		if x.got != x.want {
			t.Errorf("got %d, want %d", x.got, x.want)
		}
	}
}

// TestDrainTakesOver has a drain begin while a shed has made its list and not yet given
// it to the loop: what the loop carries out is the drain.
func TestDrainTakesOver(t *testing.T) {
	f := newBenchLoop(t, &rooms{})
	fc := f.dial("/", 0)
	list := [][]leaver{{{id: fc.c.ID()}}}
	shed, drain := &departure{why: ReasonShed, window: time.Hour}, &departure{why: ReasonShutdown}
	for _, d := range []*departure{shed, drain} {
		if err := f.engine.claim(context.Background(), d); err != nil {
			t.Fatal(err)
		}
		defer f.engine.release(d)
	}
	f.engine.depart(drain, list)
	f.engine.depart(shed, list)
	f.ring()
	f.advance(2 * tickNanos)
	if fc.c.reason != ReasonShutdown {
		t.Errorf("the connection ended for %s, want shutdown", fc.c.reason)
	}
}

// TestShedStops: cancelled, it sends nobody else away; and whoever has left by the time
// of its place is not replaced.
func TestShedStops(t *testing.T) {
	f := newBenchLoop(t, &rooms{})
	var all []*fakeConn
	for range 20 {
		all = append(all, f.dial("/", 0))
	}
	for i, c := range all {
		f.wheel.Touch(c.c.timer, f.clock-int64(20-i)*1e6)
	}
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() {
		sent, err := f.engine.Shed(ctx, 20, 20*time.Second, nil)
		if sent != 8 {
			err = errors.Join(err, errors.New("sent "+strconv.Itoa(sent)))
		}
		result <- err
	}()
	f.ask(func() { eventuallyLeaving(f, true) })
	all[3].reset()
	all[5].reset()
	f.advance(10e9)
	if s := f.engine.Status(); s.Leaving == nil || s.Leaving.Done != 10 || s.Leaving.Of != 20 || s.Leaving.Remaining != 10*time.Second || s.Leaving.Reason != ReasonShed {
		t.Errorf("the status is %+v", s.Leaving)
	}
	cancel()
	f.ask(func() {
		if err := <-result; !errors.Is(err, context.Canceled) || err.Error() != "context canceled" {
			t.Error(err)
		}
	})
	f.advance(20e9)
	shed := 0
	for _, c := range all {
		if c.c.reason == ReasonShed {
			shed++
		}
	}
	if shed != 8 || f.leave != nil || f.engine.Status().Leaving != nil {
		t.Errorf("%d were sent away, want 8; left to do: %+v", shed, f.leave)
	}
}
