package engine

import (
	"fmt"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"
)

// pressure watches how much memory the process uses, against Limits.MemoryMark.
// What gives way first is what harms nobody: from seven eighths of the mark on
// compression is not negotiated, from the mark on upgrades are refused, and the
// node says that it is not ready. Who is connected notices neither.
//
// In use is what the Go runtime has of the system's memory, garbage included, less
// what it has given back. In a process that allocates little garbage can stay for
// minutes, so above the mark it is collected by request. With very many connections
// that costs a second of a processor; so as long as it does not help, because it is
// no garbage that fills the memory, each is twice as long after the one before.
type pressure struct {
	read  func() int64 // bytes in use; a test has its own
	at    int64        // nanoseconds of the last look
	freed int64        // nanoseconds of the last collection by request
	wait  int64        // nanoseconds from it to the next

	inUse   atomic.Int64
	level   atomic.Int32
	freeing atomic.Bool
}

const (
	pressureNone  = iota
	pressureTight // no compression
	pressureOver  // no upgrades
)

const (
	pressureEvery = 250 * time.Millisecond // between looks
	freeEvery     = 10 * time.Second       // between collections by request that help
	freeSeldom    = 5 * time.Minute        // and between those that do not, in the end
	// tightShare and easedShare of the mark, in sixteenths: where compression ends,
	// and below what upgrades are let in again, so that it does not flutter.
	tightShare = 14
	easedShare = 15
)

// look takes a sample if it is time. The ticker's.
func (p *pressure) look(e *Engine, now int64) {
	if now-p.at < int64(pressureEvery) && p.at != 0 {
		return
	}
	p.at = now
	used, mark := p.read(), e.limits.Load().MemoryMark
	p.inUse.Store(used)
	level := p.weigh(used, mark)
	p.level.Store(level)
	switch {
	case level < pressureOver:
		p.wait = int64(freeEvery)
	case now-p.freed >= p.wait && p.free(e):
		p.freed, p.wait = now, min(2*max(p.wait, int64(freeEvery)), int64(freeSeldom))
	}
}

// free collects garbage and gives memory back to the system, beside whatever else
// runs, unless that is under way already. The ticker's.
func (p *pressure) free(e *Engine) (begun bool) {
	if !p.freeing.CompareAndSwap(false, true) {
		return false
	}
	e.ticking.Go(func() {
		defer p.freeing.Store(false)
		debug.FreeOSMemory()
	})
	return true
}

// weigh says what level a use of memory is, after the level before.
func (p *pressure) weigh(used, mark int64) int32 {
	sixteenth := mark / 16
	switch {
	case mark == 0:
		return pressureNone
	case used >= mark, p.level.Load() == pressureOver && used >= easedShare*sixteenth:
		return pressureOver
	case used >= tightShare*sixteenth:
		return pressureTight
	}
	return pressureNone
}

// why says why the node is not ready, "" if it is.
func (p *pressure) why(mark int64) string {
	if p.level.Load() < pressureOver {
		return ""
	}
	return fmt.Sprintf("%d MiB of memory are in use; the mark is %d MiB", p.inUse.Load()>>20, mark>>20)
}

// memoryInUse returns a function that asks the runtime.
func memoryInUse() func() int64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	return func() int64 {
		metrics.Read(samples)
		return int64(samples[0].Value.Uint64() - samples[1].Value.Uint64())
	}
}
