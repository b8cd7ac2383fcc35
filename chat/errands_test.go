package chat

import (
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// So many errands run at once and no more, all are run, and in the order in which they came; behind the end nothing begins.
func TestErrands(t *testing.T) {
	e := errands{atOnce: 3}
	var running, most, began atomic.Int32
	let := make(chan struct{})
	var all sync.WaitGroup
	for range 20 {
		all.Add(1)
		e.run(func() {
			defer all.Done()
			began.Add(1)
			n := running.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			<-let
			running.Add(-1)
		})
	}
	for began.Load() < 3 {
		time.Sleep(time.Millisecond)
	}
	close(let)
	all.Wait()
	if most.Load() != 3 {
		t.Errorf("%d ran at once", most.Load())
	}
	one := errands{atOnce: 1}
	var order []int
	done := make(chan struct{})
	for i := range 100 {
		one.run(func() {
			if order = append(order, i); i == 99 {
				close(done)
			}
		})
	}
	<-done
	for i, n := range order {
		if i != n {
			t.Fatalf("errand %d was run as number %d", n, i)
		}
	}
	slow, begun, ended := make(chan struct{}), make(chan struct{}), false
	one.run(func() { close(begun); <-slow; ended = true })
	one.run(func() { t.Error("what had not begun was run") })
	<-begun
	time.AfterFunc(20*time.Millisecond, func() { close(slow) })
	one.close()
	if !ended {
		t.Error("the end did not wait for what had begun")
	}
	one.run(func() { t.Error("run behind the end") })
	e.close()
}

// Other nodes that do not answer hold nobody up who wants into a room.
func TestSilentNodes(t *testing.T) {
	r := newRig(t, true, nil)
	r.store.set(func(f *fakeStore) { f.shared, f.silent = true, true })
	ann, _ := r.talker("Ann", "")
	began := time.Now()
	const rooms = 40
	for range rooms {
		ann.ok("join", `"room":"r`+time.Now().Format("150405.000000000")+`"`)
	}
	if took := time.Since(began); took > rooms*askTime/errandsAtOnce/2 {
		t.Errorf("%d rooms were opened in %s", rooms, took)
	}
}

// An errand that panics is given up, and those behind it are run.
func TestErrandsSurvive(t *testing.T) {
	noted := make(chan any, 1)
	e := errands{atOnce: 1, panicked: func(_ string, p any) { noted <- p }}
	done := make(chan struct{})
	e.run(func() { panic("a fault of ours") })
	e.run(func() { close(done) })
	<-done
	e.close()
	if p := <-noted; p != "a fault of ours" {
		t.Errorf("noted %v", p)
	}
}

// A fault in the store's code, or in what is done once a second, is noted, and the room that it was about opens at the next try.
func TestPanicBesideTheLoops(t *testing.T) {
	noted := make(lines, 8)
	r := newRig(t, true, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(noted, nil)) })
	r.store.once("last", func() { panic("a fault of ours") })
	ann, _ := r.talker("Ann", "")
	ann.refused("unavailable", "join", `"room":"tea"`)
	ann.ok("join", `"room":"tea"`)
	r.server.guarded("beat", func() { panic("a fault of ours") })
	for range 2 {
		if line := <-noted; !strings.Contains(line, "a fault of ours") || !strings.Contains(line, "errands_test.go") {
			t.Errorf("noted %q", line)
		}
	}
	if n := r.server.stats.panics.Load(); n != 2 {
		t.Errorf("%d panics were counted", n)
	}
}

// lines takes what a log says.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}

// What a panic leaves undone in a room is tried again, and the room is not locked.
func TestPanicInARoom(t *testing.T) {
	noted := make(lines, 8)
	r := newTunedRig(t, true, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(noted, nil)) }, func(s *Server) { s.times.beat = time.Hour })
	room := r.server.rooms.get(r.server, "tea")
	r.server.guarded("room", func() {
		room.mu.Lock()
		defer room.mu.Unlock()
		defer room.againIfPanicking()
		panic("a fault of ours")
	})
	if line := <-noted; !strings.Contains(line, "a fault of ours") {
		t.Errorf("noted %q", line)
	}
	room.mu.Lock()
	defer room.mu.Unlock()
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	if !slices.Contains(r.server.retry, room) {
		t.Error("it is not tried again")
	}
}
