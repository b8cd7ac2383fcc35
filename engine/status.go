package engine

import (
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

// Status is how a node is doing, at a glance. What comes from the loops is at most a
// tick old.
type Status struct {
	Started  time.Time     `json:"started"`
	Uptime   time.Duration `json:"uptime_ns"`
	Ready    bool          `json:"ready"`
	Why      string        `json:"why,omitempty"` // it is not ready
	Draining bool          `json:"draining"`
	Leaving  *Leaving      `json:"leaving,omitempty"` // while people are sent away

	Open      int   `json:"open"`
	Accepted  int   `json:"accepted"` // connections from accept to their end, open or not
	Ceiling   int   `json:"ceiling"`
	Lagging   int   `json:"lagging"`
	Paused    int   `json:"paused"`
	Topics    int   `json:"topics"`
	HeldBytes int64 `json:"held_bytes"` // by logs and buffers
	HeldMax   int64 `json:"held_max"`   // what they may hold, 0: no limit

	Rates Rates        `json:"rates"`
	Loops []LoopStatus `json:"loops"`
	GC    GCStatus     `json:"gc"`
}

// Leaving is how far a Drain or a Shed has come.
type Leaving struct {
	Reason    Reason        `json:"reason"`
	Done      int           `json:"done"` // places that have come up
	Of        int           `json:"of"`
	Remaining time.Duration `json:"remaining_ns"` // estimated, until the last is told
}

// Rates are per second, over the last ten seconds or so.
type Rates struct {
	Over       time.Duration `json:"over_ns"` // how long really; 0: the node has just started
	Accepts    float64       `json:"accepts"`
	Upgrades   float64       `json:"upgrades"`
	Ends       float64       `json:"ends"`
	Messages   float64       `json:"messages"`
	Deliveries float64       `json:"deliveries"`
	BytesIn    float64       `json:"bytes_in"`
	BytesOut   float64       `json:"bytes_out"`
}

// LoopStatus is how one loop is doing.
type LoopStatus struct {
	Open     int           `json:"open"`
	Lagging  int           `json:"lagging"`
	Paused   int           `json:"paused"`
	Ticks    uint64        `json:"ticks"`
	LastTick time.Duration `json:"last_tick_ns"` // how long ago
	Lag      time.Duration `json:"lag_ns"`       // from when the last tick was asked for until it ran
	LagMax   time.Duration `json:"lag_max_ns"`   // the longest of the last five to ten seconds
	Blocked  bool          `json:"blocked"`
}

// GCStatus is what Go's garbage collector does.
type GCStatus struct {
	Cycles     int64         `json:"cycles"`
	Last       time.Time     `json:"last"`
	LastPause  time.Duration `json:"last_pause_ns"`
	PauseTotal time.Duration `json:"pause_total_ns"`
	HeapBytes  uint64        `json:"heap_bytes"`  // objects
	TotalBytes uint64        `json:"total_bytes"` // all that the runtime has from the system
}

// Status returns how the node is doing. Any goroutine.
func (e *Engine) Status() Status {
	t, g, held := e.totals()
	now := nanotime()
	s := Status{
		Started: e.started, Uptime: time.Since(e.started), Draining: e.draining.Load(), Leaving: e.leavingNow(),
		Open: g.open, Accepted: int(e.gate.count.Load()), Ceiling: e.Ceiling(), Lagging: g.lagging, Paused: g.paused,
		Topics: int(e.topics.count.Load()), HeldBytes: held, HeldMax: e.cfg.Memory,
		Rates: e.samples.rates(e.sample(&t, now)), GC: gcStatus(),
	}
	s.Ready, s.Why = e.Ready()
	for _, l := range e.loops {
		l.shared.mu.Lock()
		g := l.shared.gauges
		l.shared.mu.Unlock()
		s.Loops = append(s.Loops, LoopStatus{
			Open: g.open, Lagging: g.lagging, Paused: g.paused, Ticks: g.ticks, LastTick: time.Duration(now - l.lastTick.Load()),
			Lag: time.Duration(g.tickLag), LagMax: time.Duration(g.tickLagMax), Blocked: l.stalled.Load(),
		})
	}
	return s
}

func (e *Engine) leavingNow() *Leaving {
	e.leavers.mu.Lock()
	defer e.leavers.mu.Unlock()
	d := e.leavers.now
	if d == nil {
		return nil
	}
	total := int(d.total.Load())
	return &Leaving{Reason: d.why, Done: int(d.passed.Load()), Of: total, Remaining: d.remaining()}
}

func gcStatus() GCStatus {
	var gc debug.GCStats
	debug.ReadGCStats(&gc)
	s := GCStatus{Cycles: gc.NumGC, Last: gc.LastGC, PauseTotal: gc.PauseTotal}
	if len(gc.Pause) > 0 {
		s.LastPause = gc.Pause[0]
	}
	memory := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/total:bytes"}}
	metrics.Read(memory)
	s.HeapBytes, s.TotalBytes = memory[0].Value.Uint64(), memory[1].Value.Uint64()
	return s
}

// samples are the counters as they were each second for the last ten, for rates. The
// ticker takes them.
type samples struct {
	mu   sync.Mutex
	ring [sampleCount]sample
	n    int // ever taken
}

const (
	sampleCount = 10
	sampleEvery = time.Second
)

type sample struct {
	at                                      int64
	accepts, upgrades, ends                 uint64
	messages, deliveries, bytesIn, bytesOut uint64
}

// sample takes what rates are made of from the loops' totals.
func (e *Engine) sample(t *stats, now int64) sample {
	s := sample{
		at: now, accepts: e.gate.accepts.Load(), upgrades: t.upgrades,
		messages: t.messages, deliveries: t.deliveries, bytesIn: t.bytesIn, bytesOut: t.bytesOut,
	}
	for _, n := range t.ends {
		s.ends += n
	}
	return s
}

// look takes a sample if it is time for one.
func (v *samples) look(e *Engine, now int64) {
	if v.n > 0 && now-v.ring[(v.n-1)%sampleCount].at < int64(sampleEvery) {
		return
	}
	t, _, _ := e.totals()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.ring[v.n%sampleCount] = e.sample(&t, now)
	v.n++
}

// rates compares the counters with those of the oldest sample.
func (v *samples) rates(now sample) Rates {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.n == 0 {
		return Rates{}
	}
	old := v.ring[0]
	if v.n > sampleCount {
		old = v.ring[v.n%sampleCount]
	}
	over := time.Duration(now.at - old.at)
	if over <= 0 {
		return Rates{}
	}
	a := func(now, old uint64) float64 { return float64(now-old) / over.Seconds() }
	return Rates{
		Over: over, Accepts: a(now.accepts, old.accepts), Upgrades: a(now.upgrades, old.upgrades), Ends: a(now.ends, old.ends),
		Messages: a(now.messages, old.messages), Deliveries: a(now.deliveries, old.deliveries),
		BytesIn: a(now.bytesIn, old.bytesIn), BytesOut: a(now.bytesOut, old.bytesOut),
	}
}
