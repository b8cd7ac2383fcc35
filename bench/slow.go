package bench

import (
	"maps"
	"time"

	"throng/bench/report"
)

// slow are receivers that read a few bytes a second, or never. They have a checker of their own: what they miss says
// something of the server's ways with slow readers, and nothing of what the others get.
type slow struct {
	check   checker
	readers []uint32 // connections
	cutOff  map[string]int
	next    instant // turn to read
	buf     []byte
	hurry   bool // at the end they read all there is
	skipped uint64
}

const (
	slowBufferBytes = 4096 // of the socket, so that the server feels it soon
	slowReadEvery   = 100 * time.Millisecond
)

func (k *slow) setUp(w *worker) {
	s := &w.spec
	k.cutOff = make(map[string]int)
	if s.SlowShare == 0 {
		return
	}
	k.check = newChecker(w.check.size, s.Salt)
	for i := range w.conns {
		c, at := &w.conns[i], float64(s.Lo+i)
		if c.sender < 0 && int((at+1)*s.SlowShare) > int(at*s.SlowShare) {
			c.slow = true
			k.readers = append(k.readers, c.index)
		}
	}
	k.buf = make([]byte, frameBytesMax+readBytes)
}

func (k *slow) at(w *worker) instant {
	if len(k.readers) == 0 || w.spec.SlowRead == 0 || k.hurry {
		return forever
	}
	return k.next
}

// slowDue lets each slow reader have its share.
func (w *worker) slowDue(t instant) {
	k := &w.slow
	if k.at(w) > t {
		return
	}
	k.next = t + slowReadEvery
	n := max(1, int(int64(w.spec.SlowRead)*int64(slowReadEvery)/int64(time.Second)))
	for _, index := range k.readers {
		if c := &w.conns[index]; c.state == connOpen {
			have := 0
			if c.more != nil {
				have = len(c.more.left)
			}
			w.readable(c, k.buf[:min(have+n, len(k.buf))])
		}
	}
}

// judge lets the slow ones read what is there for them, and counts what they were not told of.
func (k *slow) judge(w *worker, quiet time.Duration, sent func(room, sender uint32) uint32) {
	if len(k.readers) == 0 {
		return
	}
	k.hurry = true
	for _, index := range k.readers {
		for c := &w.conns[index]; c.state == connOpen && w.readable(c, w.buf); {
		}
	}
	slowOnes := func(c *conn) bool { return c.slow }
	w.drain(&k.check, quiet, func() uint64 { return k.check.outstanding(w.conns, slowOnes, sent) })
	k.skipped = k.check.outstanding(w.conns, slowOnes, sent)
	f, all := &k.check.faults, &w.check.faults
	all.Corrupt += f.Corrupt
	all.Stray += f.Stray
	all.Duplicated += f.Duplicated
	all.Reordered += f.Reordered
	w.check.foreign += k.check.foreign
}

func (k *slow) outcome(w *worker) *report.Slow {
	if len(k.readers) == 0 {
		return nil
	}
	return &report.Slow{Readers: len(k.readers), Rate: w.spec.SlowRead, CutOff: maps.Clone(k.cutOff), Skipped: k.skipped}
}
