package chat

import (
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
	e := errands{atOnce: 1}
	done := make(chan struct{})
	e.run(func() { panic("a fault of ours") })
	e.run(func() { close(done) })
	<-done
	e.close()
}
