package chat

import "sync"

// errands runs what may wait, such as reading from the store, on a few goroutines that exist only while there is something to do. Any goroutine.
type errands struct {
	atOnce   int
	panicked func(where string, p any) // of an errand, which is given up
	mu       sync.Mutex
	queue    []func()
	running  int
	closed   bool
	idle     sync.WaitGroup
}

const (
	// errandsAtOnce is how many go to the store at the same time. It takes two reads at once; the others keep it from waiting for us.
	errandsAtOnce = 4
	// questionsAtOnce is how many are put to other nodes at the same time. They only wait, and half a second each when one of the nodes has just died: who
	// wants into a room then must not stand behind them.
	questionsAtOnce = 128
)

// run has f run soon, on a goroutine that may block. After close it does nothing.
func (e *errands) run(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	e.queue = append(e.queue, f)
	if e.running < e.atOnce {
		e.running++
		e.idle.Add(1)
		go e.work()
	}
}

func (e *errands) work() {
	defer e.idle.Done()
	for {
		e.mu.Lock()
		if len(e.queue) == 0 {
			e.running--
			e.queue = nil
			e.mu.Unlock()
			return
		}
		f := e.queue[0]
		e.queue[0] = nil
		e.queue = e.queue[1:]
		e.mu.Unlock()
		e.carryOut(f)
	}
}

func (e *errands) carryOut(f func()) {
	defer func() {
		if p := recover(); p != nil {
			e.panicked("errand", p)
		}
	}()
	f()
}

// close drops what has not begun and waits for what has.
func (e *errands) close() {
	e.mu.Lock()
	e.closed, e.queue = true, nil
	e.mu.Unlock()
	e.idle.Wait()
}
