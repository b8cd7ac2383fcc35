package engine

import "time"

// meter counts events and knows how fast they come: as fast as in the window that is
// under way, and for the rest of its length as in the one before. Whoever owns it
// guards it.
type meter struct {
	count  uint64
	began  int64   // nanoseconds, of the window that is under way
	at     uint64  // count then
	before float64 // events a second in the window before, -1: there was none
}

const meterWindow = 10 * time.Second

func (m *meter) add(now int64) {
	if now-m.began >= int64(meterWindow) || m.count == 0 {
		m.roll(now)
	}
	m.count++
}

// roll begins a window.
func (m *meter) roll(now int64) {
	switch past := now - m.began; {
	case m.count == 0:
		m.before = -1
	case past < 2*int64(meterWindow):
		m.before = float64(m.count-m.at) / time.Duration(past).Seconds()
	default:
		m.before = 0
	}
	m.began, m.at = now, m.count
}

// rate returns the events a second.
func (m *meter) rate(now int64) float64 {
	if m.count == 0 {
		return 0
	}
	past := max(0, time.Duration(now-m.began))
	n := float64(m.count - m.at)
	switch {
	case past >= meterWindow:
		return n / past.Seconds()
	case m.before < 0:
		return n / max(past, time.Second).Seconds()
	}
	return (n + m.before*(meterWindow-past).Seconds()) / meterWindow.Seconds()
}

// recentMax knows the last of some values, and the largest of the last seconds.
type recentMax struct {
	count         uint64
	last          int64
	began         int64 // nanoseconds, of the span that is under way
	here, earlier int64 // the largest in it, and in the one before
}

const recentSpan = 5 * time.Second

func (m *recentMax) observe(now, v int64) {
	if now-m.began >= int64(recentSpan) {
		m.began, m.earlier, m.here = now, m.here, 0
	}
	m.count++
	m.last, m.here = v, max(m.here, v)
}

func (m *recentMax) max() int64 { return max(m.here, m.earlier) }
