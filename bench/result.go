package bench

import (
	"cmp"
	"maps"
	"slices"

	"github.com/HdrHistogram/hdrhistogram-go"

	"throng/bench/report"
)

// The document's types have their place in bench/report.
type (
	Result  = report.Result
	Faults  = report.Faults
	Spread  = report.Spread
	Machine = report.Machine
)

// mergeOutcomes makes one outcome of all workers'. Marks are not merged: each worker measured by itself.
func mergeOutcomes(from []*outcome) *outcome {
	all := &outcome{Latency: newHist(), Raw: newHist(), Connect: newHist(), Refused: make(map[string]int)}
	all.Faults.Disconnected = make(map[string]int)
	for _, o := range from {
		all.Latency.add(o.Latency)
		all.Raw.add(o.Raw)
		all.Connect.add(o.Connect)
		all.Sent += o.Sent
		all.Cycles += o.To.Cycles - o.From.Cycles
		all.LateMax = max(all.LateMax, o.LateMax)
		all.Foreign += o.Foreign
		all.Acks += o.Acks
		addFaults(&all.Faults, o.Faults)
		addCounts(all.Refused, o.Refused)
		all.Rooms = append(all.Rooms, o.Rooms...)
		all.Storm = all.Storm.add(o.Storm)
		if o.Slow != nil {
			if all.Slow == nil {
				all.Slow = &report.Slow{Rate: o.Slow.Rate, CutOff: make(map[string]int)}
			}
			all.Slow.Readers += o.Slow.Readers
			all.Slow.Skipped += o.Slow.Skipped
			addCounts(all.Slow.CutOff, o.Slow.CutOff)
		}
	}
	return all
}

func addFaults(to *report.Faults, f report.Faults) {
	to.Lost += f.Lost
	to.Duplicated += f.Duplicated
	to.Reordered += f.Reordered
	to.Corrupt += f.Corrupt
	to.Stray += f.Stray
	to.Stalled += f.Stalled
	addCounts(to.Disconnected, f.Disconnected)
}

func addCounts(to, from map[string]int) {
	for what, n := range from {
		to[what] += n
	}
}

// result begins the document with what every scenario has. What was counted and for how long each worker knows by
// itself, and so rates are added up.
func (c *crew) result(from []*outcome, all *outcome) *report.Result {
	s := &c.spec
	r := &report.Result{
		Format: report.Format, Began: c.began, Name: c.opts.Name, URL: c.opts.URL, Settings: c.opts.settings, Machine: machine(), Workers: len(c.members),
		Conns: s.Conns, Rooms: s.Rooms, Senders: s.Senders, InFlight: s.InFlight, Rate: s.Rate * float64(s.Senders), Payload: s.Payload,
		Sent: all.Sent, Acked: all.Acks, Latency: report.SpreadOf(all.Latency.Histogram), Connect: report.SpreadOf(all.Connect.Histogram), Faults: all.Faults,
	}
	if s.Senders == 0 {
		r.Payload = 0
	}
	if s.Rate > 0 {
		r.Raw, r.LateMicros = report.SpreadOf(all.Raw.Histogram), float64(all.LateMax)/1e3
	}
	for _, o := range from {
		if took := (o.To.At - o.From.At).Seconds(); took > 0 {
			r.Seconds = max(r.Seconds, took)
			r.Deliveries += o.To.Done - o.From.Done
			r.PerSecond += float64(o.To.Done-o.From.Done) / took
			r.ClientCPU += (o.To.CPU - o.From.CPU).Seconds() / took
			r.ClientBusy = max(r.ClientBusy, (o.To.Thread-o.From.Thread).Seconds()/took)
		}
	}
	c.server(r)
	for _, bytes := range c.series.memory {
		if s.Conns >= eachFromConns {
			r.ClientEach += float64(bytes) / float64(s.Conns)
		}
	}
	r.Samples = c.series.list()
	c.distrust(r, all)
	return r
}

// server fills in what the server took while it was measured.
func (c *crew) server(r *report.Result) {
	from, to := c.series.marks[0], c.series.marks[1]
	took := to.at.Sub(from.at).Seconds()
	if !c.series.marked[1] || took <= 0 || to.cpu <= from.cpu {
		return
	}
	r.ServerCPU = (to.cpu - from.cpu).Seconds() / took
	if r.Deliveries > 0 {
		r.ServerEach = (to.cpu - from.cpu).Seconds() * 1e6 / float64(r.Deliveries)
	}
}

// fairness holds the rooms against each other; a room that several workers have members of is put together first.
func (o *outcome) fairness(rooms int) *report.Fairness {
	done, latency := make([]float64, rooms), make([]hist, rooms)
	for _, one := range o.Rooms {
		done[one.Room] += float64(one.Done)
		if len(one.Latency) == 0 {
			continue
		}
		if h, err := hdrhistogram.Decode(one.Latency); err == nil {
			if latency[one.Room].Histogram == nil {
				latency[one.Room] = hist{h}
			} else {
				latency[one.Room].Merge(h)
			}
		}
	}
	type of struct {
		room int
		p99  float64
	}
	var all []of
	var sum, squares float64
	for i, h := range latency {
		sum += done[i]
		squares += done[i] * done[i]
		if h.Histogram != nil {
			all = append(all, of{i, float64(h.ValueAtPercentile(99)) / 1e3})
		}
	}
	f := &report.Fairness{Rooms: rooms}
	if squares > 0 {
		f.Jain = sum * sum / (float64(rooms) * squares)
	}
	if len(all) > 0 {
		slices.SortFunc(all, func(a, b of) int { return cmp.Compare(a.p99, b.p99) })
		worst := all[len(all)-1]
		f.BestP99, f.MedianP99, f.WorstP99, f.Worst = all[0].p99, all[len(all)/2].p99, worst.p99, worst.room
	}
	return f
}

func (s *stormOutcome) add(o *stormOutcome) *stormOutcome {
	if o == nil {
		return s
	}
	if s == nil {
		s = &stormOutcome{Back: newHist(), Served: newHist()}
	}
	s.Clients += o.Clients
	s.Away += o.Away
	s.Hungry += o.Hungry
	s.Attempts += o.Attempts
	s.Back.add(o.Back)
	s.Served.add(o.Served)
	s.AllBack, s.AllServed = max(s.AllBack, o.AllBack), max(s.AllServed, o.AllServed)
	return s
}

func clonedCounts(m map[string]int) map[string]int {
	if len(m) == 0 {
		return nil
	}
	return maps.Clone(m)
}
