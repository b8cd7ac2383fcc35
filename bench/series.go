package bench

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"throng/bench/report"
)

// series is a run over time: the ticks of all workers put together second by second, each with a look at the server.
type series struct {
	workers int
	open    map[second]*merging
	samples []timed
	every   int // samples that were put into one
	start   instant
	end     instant // of the measuring; 0: it is not known
	watch   *watch
	blind   error // why the server is not looked at any more
	last    look
	marks   [2]look
	marked  [2]bool
	storm   look // when the present storm began
	peak    struct {
		cpu float64
		rss int64
	}
	lost   int     // ticks that a worker did not send
	memory []int64 // of each worker, the most seen
}

// second is one of an epoch.
type second struct {
	epoch instant
	n     int
}

type merging struct {
	heard   int
	sample  report.Sample
	at      instant
	latency hist
}

// timed is a sample with its end.
type timed struct {
	at instant
	report.Sample
}

// samplesMax bounds what a run of days keeps: beyond it two samples become one.
const samplesMax = 3600

func (s *series) init(workers int, w *watch) {
	s.workers, s.watch, s.every = workers, w, 1
	s.open, s.memory = make(map[second]*merging), make([]int64, workers)
	s.last = s.lookNow()
}

// lookNow looks at the server, until that fails once.
func (s *series) lookNow() look {
	if s.watch == nil || s.blind != nil || len(s.watch.pids)+len(s.watch.metrics) == 0 {
		return look{at: time.Now()}
	}
	l, err := s.watch.look()
	if err != nil {
		s.blind = err
	}
	return l
}

func (s *series) measure(from instant) { s.start, s.marked = from, [2]bool{} }

func (s *series) from() { s.mark(0) }
func (s *series) to()   { s.mark(1) }

func (s *series) mark(i int) {
	if !s.marked[i] {
		s.marked[i], s.marks[i] = true, s.lookNow()
	}
}

// stormBegins and stormEnds look at the server by themselves: most storms are over in less than a second.
func (s *series) stormBegins() { s.storm = s.lookNow() }

func (s *series) stormEnds() {
	l := s.lookNow()
	if took := l.at.Sub(s.storm.at).Seconds(); !s.storm.at.IsZero() && took > 0 && s.blind == nil {
		s.peak.cpu, s.peak.rss = max(s.peak.cpu, (l.cpu-s.storm.cpu).Seconds()/took), max(s.peak.rss, l.rss)
	}
	s.storm = look{}
}

// add takes one worker's tick, and gives the sample when it was the last of its second.
func (s *series) add(worker int, t *tick) *timed {
	s.memory[worker] = max(s.memory[worker], t.Memory)
	key := second{t.Epoch, t.N}
	m := s.open[key]
	if m == nil {
		m = &merging{latency: newHist()}
		s.open[key] = m
	}
	took := max(t.Took.Seconds(), 1e-3)
	m.heard++
	m.at = max(m.at, t.At)
	m.sample.Seconds = max(m.sample.Seconds, took)
	m.sample.Open += t.Open
	m.sample.Sent += float64(t.Sent) / took
	m.sample.Deliveries += float64(t.Done) / took
	m.sample.ClientCPU += t.CPU.Seconds() / took
	m.latency.add(t.Latency)
	if m.heard < s.workers {
		return nil
	}
	delete(s.open, key)
	for old := range s.open {
		if old.epoch < key.epoch || old.epoch == key.epoch && old.n < key.n-2 {
			s.lost++
			delete(s.open, old)
		}
	}
	return s.complete(m)
}

func (s *series) complete(m *merging) *timed {
	one := timed{at: m.at, Sample: m.sample}
	if n := len(s.samples); one.Seconds < tickMin.Seconds() && n > 0 {
		s.samples[n-1] = together(s.samples[n-1], one)
		return nil
	}
	if spread := report.SpreadOf(m.latency.Histogram); spread != nil {
		one.P50, one.P99, one.Max = spread.P50, spread.P99, spread.Max
	}
	l := s.lookNow()
	if took := l.at.Sub(s.last.at).Seconds(); took > 0 && s.blind == nil {
		one.ServerCPU = (l.cpu - s.last.cpu).Seconds() / took
		one.ServerRSS, one.ServerFDs = l.rss, l.fds
		one.Batch, one.GCCPU = s.last.batch(l), s.last.gcShare(l)
		one.GCPause = float64(l.gcPause) / 1e3
		s.peak.rss = max(s.peak.rss, l.rss)
	}
	s.last = l
	s.keep(one)
	return &one
}

// keep holds the samples' number down: when there are too many, two become one, and new ones are put together alike.
func (s *series) keep(one timed) {
	if n := len(s.samples); n > 0 && s.every > 1 && s.samples[n-1].Seconds < float64(s.every)*0.75 {
		s.samples[n-1] = together(s.samples[n-1], one)
		return
	}
	s.samples = append(s.samples, one)
	if len(s.samples) < samplesMax {
		return
	}
	s.every *= 2
	half := s.samples[:0]
	for pair := range slices.Chunk(s.samples, 2) {
		if len(pair) == 2 {
			pair[0] = together(pair[0], pair[1])
		}
		half = append(half, pair[0])
	}
	s.samples = half
}

// together makes one sample of two neighbours: rates by time, the worst of latencies, the later state.
func together(a, b timed) timed {
	whole := a.Seconds + b.Seconds
	rate := func(x, y float64) float64 { return (x*a.Seconds + y*b.Seconds) / whole }
	b.Sent, b.Deliveries = rate(a.Sent, b.Sent), rate(a.Deliveries, b.Deliveries)
	b.ClientCPU, b.ServerCPU = rate(a.ClientCPU, b.ClientCPU), rate(a.ServerCPU, b.ServerCPU)
	b.Batch, b.GCCPU, b.P50 = rate(a.Batch, b.Batch), rate(a.GCCPU, b.GCCPU), rate(a.P50, b.P50)
	if b.ServerRSS == 0 {
		b.ServerRSS, b.ServerFDs = a.ServerRSS, a.ServerFDs
	}
	b.P99, b.Max, b.GCPause = max(a.P99, b.P99), max(a.Max, b.Max), max(a.GCPause, b.GCPause)
	b.Seconds = whole
	return b
}

// list gives the samples up to the end of the measuring, by their time from its beginning.
func (s *series) list() []report.Sample {
	list := make([]report.Sample, 0, len(s.samples))
	for _, one := range s.samples {
		if s.end > 0 && one.at > s.end+tickMin {
			continue // of the time in which the last messages arrived
		}
		one.At = (one.at - s.start).Seconds()
		list = append(list, one.Sample)
	}
	slices.SortStableFunc(list, func(a, b report.Sample) int { return cmp.Compare(a.At, b.At) })
	return list
}

// ticked takes a worker's tick and shows the second when it is complete.
func (c *crew) ticked(worker int, t *tick) {
	one := c.series.add(worker, t)
	if one == nil {
		return
	}
	text := c.phase
	if left := c.until - now(); c.until > 0 && left > 0 {
		text += fmt.Sprintf(", %s left", left.Round(time.Second))
	}
	text += fmt.Sprintf(": %d open", one.Open)
	if one.Deliveries > 0 {
		what := "deliveries/s"
		if c.spec.Brief {
			what = "handshakes/s"
		}
		text += fmt.Sprintf(", %.0f %s", one.Deliveries, what)
	}
	if one.P99 > 0 {
		text += fmt.Sprintf(", p50 %.2f p99 %.2f ms", one.P50/1e3, one.P99/1e3)
	}
	text += fmt.Sprintf(", CPU client %.0f %%", one.ClientCPU*100)
	if one.ServerCPU > 0 {
		text += fmt.Sprintf(" server %.0f %%", one.ServerCPU*100)
	}
	c.say("%s", text)
}
