package engine

import "sync"

// stats are a loop's counters: plain numbers, loop-owned, copied out once a tick
// for whoever asks.
type stats struct {
	accepted, upgrades     uint64
	messages, bytesIn      uint64
	deliveries, writes     uint64
	bytesOut               uint64
	pings, pongs, pingsOut uint64
	pauses, panics         uint64
	clockJumps, unanswered uint64
	slowBytes              uint64 // bytes that slow readers were behind when cut off

	ends     [reasonCount]uint64
	refusals labelCounts

	batch    histogram // messages a write
	passTime histogram // seconds
	lag      histogram // seconds from the ticker's request to the loop's tick
	idleLate histogram // seconds past the idle deadline
}

// histogram counts observations in the buckets of its kind. Loop-owned.
type histogram struct {
	counts [bucketsMax + 1]uint64
	sum    float64
	bounds *[bucketsMax]float64
}

const bucketsMax = 14

var (
	batchBounds   = [bucketsMax]float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192}
	secondsBounds = [bucketsMax]float64{1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1, 3, 10, 30}
)

func (h *histogram) observe(v float64) {
	b := h.bounds
	if b == nil {
		b = &secondsBounds
	}
	i := 0
	for i < bucketsMax && v > b[i] {
		i++
	}
	h.counts[i]++
	h.sum += v
}

func (h *histogram) add(o *histogram) {
	for i, n := range o.counts {
		h.counts[i] += n
	}
	h.sum += o.sum
	h.bounds = o.bounds
}

// labelCounts counts refused handshakes by label. The labels are a small fixed
// set; more than fit are counted as the last.
type labelCounts struct {
	labels [24]string
	counts [24]uint64
}

func (c *labelCounts) add(label string) { c.addN(label, 1) }

func (c *labelCounts) addN(label string, n uint64) {
	for i := range c.labels {
		if c.labels[i] == "" {
			c.labels[i] = label
		}
		if c.labels[i] == label || i == len(c.labels)-1 {
			c.counts[i] += n
			return
		}
	}
}

// sharedStats is the copy that other goroutines read.
type sharedStats struct {
	mu     sync.Mutex
	stats  stats
	gauges gauges
}

// gauges are a loop's state at a tick.
type gauges struct {
	open, lagging, paused        int
	poolBytes, wheelBytes, conns int
	lagBytes, partialBytes       int
	ticks                        uint64
	tickLag, tickLagMax          int64 // nanoseconds: of the last tick, and of the last seconds
}

// publishStats copies the counters out. Loop-owned, once a tick.
func (l *loop) publishStats() {
	g := gauges{
		open: l.open, lagging: len(l.lag.conns), paused: len(l.waiting) + len(l.ready) + l.holding,
		poolBytes: l.pool.held, wheelBytes: l.wheel.Bytes(), conns: l.wheel.Len(), partialBytes: l.partial,
		lagBytes: l.measure(), ticks: l.tickLag.count, tickLag: l.tickLag.last, tickLagMax: l.tickLag.max(),
	}
	l.lags.Store(g.lagging > 0)
	l.shared.mu.Lock()
	l.shared.stats, l.shared.gauges = l.stats, g
	l.shared.mu.Unlock()
}

// measure notes what the loop's logs and buffers hold, and returns the part of
// it that is output in gnet's hands. Loop-owned.
func (l *loop) measure() (output int) {
	for _, c := range l.lag.conns {
		if c.state != stateGone {
			output += c.gc.OutboundBuffered()
		}
	}
	l.held.Store(int64(l.pool.held + l.partial + output + cap(l.box.out.bytes)))
	return output
}

// Stats is a snapshot of an engine's counters, at most a tick old.
type Stats struct {
	Open, Lagging, Paused, Topics int
	Accepted, Upgrades            uint64
	Messages, Deliveries, Writes  uint64
	BytesIn, BytesOut             uint64
	Panics, AcceptErrors          uint64
	HeldBytes                     int64
	Ends                          map[Reason]uint64
	Refusals                      map[string]uint64
}

// Stats returns the counters. Any goroutine.
func (e *Engine) Stats() Stats {
	t, g, held := e.totals()
	s := Stats{
		Open: g.open, Lagging: g.lagging, Paused: g.paused, Topics: int(e.topics.count.Load()),
		Accepted: t.accepted, Upgrades: t.upgrades, Messages: t.messages, Deliveries: t.deliveries, Writes: t.writes,
		BytesIn: t.bytesIn, BytesOut: t.bytesOut, Panics: t.panics, AcceptErrors: e.gate.errors.count.Load(),
		HeldBytes: held, Ends: map[Reason]uint64{}, Refusals: map[string]uint64{},
	}
	for r, n := range t.ends {
		if n > 0 {
			s.Ends[Reason(r)] = n
		}
	}
	for i, label := range t.refusals.labels {
		if n := t.refusals.counts[i]; n > 0 {
			s.Refusals[label] = n
		}
	}
	return s
}

// totals adds the loops' copies up, and what the gate refused.
func (e *Engine) totals() (t stats, g gauges, held int64) {
	for _, l := range e.loops {
		l.shared.mu.Lock()
		t.add(&l.shared.stats)
		s := l.shared.gauges
		l.shared.mu.Unlock()
		g.open += s.open
		g.lagging += s.lagging
		g.paused += s.paused
		g.conns += s.conns
		g.poolBytes += s.poolBytes
		g.wheelBytes += s.wheelBytes
		g.lagBytes += s.lagBytes
		g.partialBytes += s.partialBytes
		held += l.held.Load()
	}
	for _, why := range gateReasons {
		t.refusals.addN(why.String(), e.gate.refused[why].Load())
	}
	return t, g, held
}

func (s *stats) add(o *stats) {
	s.accepted += o.accepted
	s.upgrades += o.upgrades
	s.messages += o.messages
	s.bytesIn += o.bytesIn
	s.deliveries += o.deliveries
	s.writes += o.writes
	s.bytesOut += o.bytesOut
	s.pings += o.pings
	s.pongs += o.pongs
	s.pingsOut += o.pingsOut
	s.pauses += o.pauses
	s.panics += o.panics
	s.clockJumps += o.clockJumps
	s.unanswered += o.unanswered
	s.slowBytes += o.slowBytes
	for r, n := range o.ends {
		s.ends[r] += n
	}
	for i, label := range o.refusals.labels {
		if label != "" {
			s.refusals.addN(label, o.refusals.counts[i])
		}
	}
	s.batch.add(&o.batch)
	s.passTime.add(&o.passTime)
	s.lag.add(&o.lag)
	s.idleLate.add(&o.idleLate)
}

// MetricsVisitor takes metrics one by one; labels are pairs of name and value.
// It is a literal so that the package that serves metrics can declare the same
// type without either importing the other.
type MetricsVisitor = interface {
	Counter(name, help string, value float64, labels ...string)
	Gauge(name, help string, value float64, labels ...string)
	Histogram(name, help string, bounds []float64, counts []uint64, sum float64, labels ...string)
}

// Metrics visits every metric of the engine, at most a tick old. Any goroutine.
func (e *Engine) Metrics(v MetricsVisitor) {
	t, g, held := e.totals()
	v.Gauge("throng_connections", "Connections that are open.", float64(g.open))
	v.Gauge("throng_connections_accepted_now", "Connections from accept to their end, open or not.", float64(e.gate.count.Load()))
	v.Gauge("throng_connections_ceiling", "Connections that are let in at once.", float64(e.Ceiling()))
	v.Gauge("throng_lagging_connections", "Connections that could not take all they were sent, or have a replay first.", float64(g.lagging))
	v.Gauge("throng_paused_connections", "Connections that are not read from for the moment.", float64(g.paused))
	v.Gauge("throng_topics", "Topics with subscribers.", float64(e.topics.count.Load()))
	v.Counter("throng_accepts_total", "Connections accepted.", float64(e.gate.accepts.Load()))
	v.Counter("throng_accept_errors_total", "Accepts that failed and were tried again.", float64(e.gate.errors.count.Load()))
	v.Counter("throng_enrol_failures_total", "Connections that ended before a loop had them.", float64(e.gate.enrolFailed.Load()))
	v.Counter("throng_upgrades_total", "Upgrades to WebSocket.", float64(t.upgrades))
	for i, label := range t.refusals.labels {
		if label != "" {
			v.Counter("throng_handshake_failed_total", "Requests refused, by reason.", float64(t.refusals.counts[i]), "reason", label)
		}
	}
	for _, why := range []Reason{ReasonHandshakeTimeout, ReasonProxy} { // which get no answer
		v.Counter("throng_handshake_failed_total", "Requests refused, by reason.", float64(t.ends[why]), "reason", why.String())
	}
	for r := ReasonNone + 1; r < reasonCount; r++ {
		if name := r.metric(); name != "" {
			v.Counter(name, reasonHelp[name], float64(t.ends[r]), "reason", r.String())
		}
	}
	e.trafficMetrics(v, &t)
	e.limitMetrics(v)
	v.Gauge("throng_memory_bytes", "Memory held, by part.", float64(g.poolBytes), "part", "logs_and_input")
	v.Gauge("throng_memory_bytes", "Memory held, by part.", float64(g.partialBytes), "part", "partial_messages")
	v.Gauge("throng_memory_bytes", "Memory held, by part.", float64(g.lagBytes), "part", "output")
	v.Gauge("throng_memory_bytes", "Memory held, by part.", float64(g.wheelBytes), "part", "wheel")
	v.Gauge("throng_memory_bytes", "Memory held, by part.", float64(g.conns*connBytes), "part", "connections")
	v.Gauge("throng_output_bytes", "Bytes that logs and buffers hold together.", float64(held))
	v.Gauge("throng_output_bytes_limit", "Bytes that logs and buffers may hold together, 0 for no limit.", float64(e.cfg.Memory))
}

// limitMetrics shows how near limits are that are not of one loop.
func (e *Engine) limitMetrics(v MetricsVisitor) {
	present, absent := e.addresses.size()
	v.Gauge("throng_addresses", "Addresses that limits by address look at.", float64(present), "state", "connected")
	v.Gauge("throng_addresses", "Addresses that limits by address look at.", float64(absent), "state", "remembered")
	v.Gauge("throng_memory_in_use_bytes", "Memory of the process, garbage included.", float64(e.pressure.inUse.Load()))
	v.Gauge("throng_memory_mark_bytes", "Memory in use from which upgrades are refused, 0 for no mark.", float64(e.limits.Load().MemoryMark))
	v.Gauge("throng_memory_pressure", "What gave way to memory in use: 0 nothing, 1 compression, 2 upgrades too.", float64(e.pressure.level.Load()))
}

func (e *Engine) trafficMetrics(v MetricsVisitor, t *stats) {
	v.Counter("throng_messages_total", "Messages received.", float64(t.messages))
	v.Counter("throng_received_bytes_total", "Bytes received.", float64(t.bytesIn))
	v.Counter("throng_sent_bytes_total", "Bytes taken by sockets.", float64(t.bytesOut))
	v.Counter("throng_deliveries_total", "Messages written to receivers.", float64(t.deliveries))
	v.Counter("throng_writes_total", "Writes to sockets.", float64(t.writes))
	v.Counter("throng_pings_received_total", "Pings received.", float64(t.pings))
	v.Counter("throng_pongs_received_total", "Pongs received.", float64(t.pongs))
	v.Counter("throng_pings_sent_total", "Pings sent.", float64(t.pingsOut))
	v.Counter("throng_pauses_total", "Times that reading from a connection was paused.", float64(t.pauses))
	v.Counter("throng_panics_total", "Panics, each at the cost of one connection.", float64(t.panics))
	v.Counter("throng_clock_jumps_total", "Times that deadlines were moved because nothing could run.", float64(t.clockJumps))
	v.Counter("throng_loop_stalls_total", "Times that a loop was found blocked.", float64(e.stalls.Load()))
	v.Counter("throng_closes_unanswered_total", "Close frames that the peer did not answer in time.", float64(t.unanswered))
	v.Counter("throng_slow_bytes_total", "Bytes that slow readers were behind when cut off.", float64(t.slowBytes))
	v.Counter("throng_logs_suppressed_total", "Lines not logged because there were too many of their class.", float64(e.endLines.suppressed.Load()), "class", "end")
	v.Counter("throng_logs_suppressed_total", "Lines not logged because there were too many of their class.", float64(e.refusalLines.suppressed.Load()), "class", "refusal")
	v.Counter("throng_gnet_warnings_total", "Warnings by the network library.", float64(e.gnetLog.warnings.Load()))
	v.Histogram("throng_batch_messages", "Messages a write.", batchBounds[:], t.batch.counts[:], t.batch.sum)
	v.Histogram("throng_pass_seconds", "Time of a pass over a topic's subscribers on a loop.", secondsBounds[:], t.passTime.counts[:], t.passTime.sum)
	v.Histogram("throng_loop_lag_seconds", "Time from when a tick was asked for until the loop ran it.", secondsBounds[:], t.lag.counts[:], t.lag.sum)
	v.Histogram("throng_idle_eviction_late_seconds", "Time past the idle deadline at which connections were evicted.", secondsBounds[:], t.idleLate.counts[:], t.idleLate.sum)
}

// metric names the counter that an end is counted in, "" for those that are
// counted as refusals.
func (r Reason) metric() string {
	switch {
	case r == ReasonProbe:
		return "throng_probes_total"
	case r == ReasonRequest:
		return "throng_requests_total"
	case r.handshake():
		return ""
	case r.evicted():
		return "throng_evicted_total"
	case r >= ReasonProtocol && r <= ReasonMemory:
		return "throng_offences_total"
	}
	return "throng_closed_total"
}

var reasonHelp = map[string]string{
	"throng_probes_total":   "Connections closed without a byte.",
	"throng_requests_total": "Plain requests answered.",
	"throng_evicted_total":  "Connections ended for what the peer did not do in time, by reason.",
	"throng_offences_total": "Connections ended for breaking a rule, by reason.",
	"throng_closed_total":   "Connections ended otherwise, by reason.",
}
