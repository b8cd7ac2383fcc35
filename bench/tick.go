package bench

import "time"

// ticking says when a worker tells what goes on: at the whole seconds of an epoch.
type ticking struct {
	epoch instant
	n     int // of the second under way
	on    bool
	last  struct {
		at   instant
		sent uint64
		done uint64
		cpu  time.Duration
	}
}

const (
	tickEvery = time.Second
	tickMin   = tickEvery / 4 // what is shorter says little: clocks of CPU time are coarse
)

// begin counts from another instant on, before which it counts down.
func (k *ticking) begin(epoch instant) {
	k.epoch, k.on = epoch, true
	k.n = secondOf(now() - epoch)
	if k.last.at == 0 {
		k.last.at, k.last.cpu = now(), ownCPU()
	}
}

// secondOf rounds down, also below 0.
func secondOf(d time.Duration) int {
	n := int(d / tickEvery)
	if d < 0 && d%tickEvery != 0 {
		n--
	}
	return n
}

func (k *ticking) next() instant {
	if !k.on {
		return forever
	}
	return k.epoch + time.Duration(k.n+1)*tickEvery
}

// tick tells what happened since the last one.
func (w *worker) tick(t instant) {
	k := &w.ticking
	if w.held != nil {
		w.held(k.n)
	}
	w.lookForStalled()
	cpu := ownCPU()
	m := &tick{Epoch: k.epoch, N: k.n, At: t, Took: t - k.last.at, Open: w.open, CPU: cpu - k.last.cpu, Memory: ownMemory() - w.base}
	m.Sent, m.Done = w.sent-k.last.sent, w.done()-k.last.done
	k.last.at, k.last.sent, k.last.done, k.last.cpu = t, w.sent, w.done(), cpu
	m.Latency = w.outside
	m.Latency.add(w.inside)
	w.latency.add(w.inside)
	w.box.put(message{Is: isTick, Tick: m}) // encoded here: what it points to goes on
	w.inside.Reset()
	w.outside.Reset()
	k.n = max(k.n+1, secondOf(t-k.epoch))
}
