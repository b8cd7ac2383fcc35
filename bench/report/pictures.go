package report

import (
	"cmp"
	"math"
	"slices"
)

// The pictures of a page: which plots a result has something to show in.

// named is a result's part with the name of its curve.
type named[T any] struct {
	name string
	of   T
}

// percentilePlot shows distributions by HDR's percentile axis, times on a log axis.
func percentilePlot(title, about string, spreads []named[*Spread]) *plot {
	var all []data
	var count int64
	for _, s := range spreads {
		if s.of == nil {
			continue
		}
		count = max(count, s.of.Count)
		d := data{name: s.name, said: "p99 " + timeText(s.of.P99)}
		for _, p := range s.of.points() {
			d.points = append(d.points, xy{p.Percentile, p.Value})
		}
		// The greatest value stands where its curve ends, not at the end of a longer one.
		if n := len(d.points); n > 0 && d.points[n-1].x >= 100 && s.of.Count > 0 {
			d.points[n-1].x = 100 - 100/float64(s.of.Count)
		}
		all = append(all, d)
	}
	least, most := bounds(all, func(v float64) bool { return v > 0 })
	p := newPlot(title, about, percentiles(count), logarithmic(least, most), all)
	if p != nil && len(p.Curves) == 2 {
		p.Curves[1].Class += " dashed"
	}
	return p
}

// points is the curve, or what stands for it in a document without one.
func (s *Spread) points() []Point {
	if len(s.Curve) > 0 {
		return s.Curve
	}
	return []Point{{50, s.P50}, {90, s.P90}, {99, s.P99}, {99.9, s.P999}, {100, s.Max}}
}

// arrivalPlot shows which share of something has happened by which time.
func arrivalPlot(title, about string, spreads []named[*Spread]) *plot {
	var all []data
	most := 0.0
	for _, s := range spreads {
		if s.of == nil {
			continue
		}
		d := data{name: s.name, said: "all after " + timeText(s.of.Max)}
		for _, p := range s.of.points() {
			d.points = append(d.points, xy{p.Value, p.Percentile})
			most = max(most, p.Value)
		}
		all = append(all, d)
	}
	x := linear(0, most, 10, func(v float64) string { return roundText(v, timeSteps) })
	y := linear(0, 100, 10, func(v float64) string { return roundText(v, amountSteps) + " %" })
	return newPlot(title, about, x, y, all)
}

// track is one value of every sample.
type track struct {
	name string
	of   func(Sample) float64
	// blank tells that 0 is not a value but unknown.
	blank bool
}

// axis makes an axis for values, and writes one of them.
type axis struct {
	scale func(least, most float64) scale
	text  func(float64) string
	// filled: it begins at 0, so that the area under a curve says something.
	filled bool
}

func plainAxis(base float64, mark, text func(float64) string) axis {
	return axis{func(least, most float64) scale { return linear(least, most, base, mark) }, text, true}
}

var (
	rateAxis  = plainAxis(10, func(v float64) string { return roundText(v, amountSteps) + "/s" }, rateText)
	countAxis = plainAxis(10, func(v float64) string { return roundText(v, amountSteps) }, amountText)
	bytesAxis = plainAxis(1024, func(v float64) string { return roundText(v, byteSteps) }, bytesText)
	coreAxis  = plainAxis(10, func(v float64) string { return roundText(v, amountSteps) }, coresText)
	shareAxis = plainAxis(10, func(v float64) string { return roundText(v*100, amountSteps) + " %" },
		func(v float64) string { return digits(rounded(v*100)) + " %" })
	timeAxis = axis{logarithmic, timeText, false}
)

// timePlot shows values of one or more lists of samples over the run's time.
func timePlot(title, about string, y axis, lists []named[[]Sample], tracks ...track) *plot {
	var all []data
	from, to := math.Inf(1), math.Inf(-1)
	for _, list := range lists {
		for _, s := range list.of {
			if finite(s.At) && finite(s.Seconds) {
				from, to = min(from, s.At-max(s.Seconds, 0)), max(to, s.At)
			}
		}
		for _, t := range tracks {
			d := t.data(list.of, y.text)
			d.name = cmp.Or(list.name, t.name)
			all = append(all, d)
		}
	}
	least, most := bounds(all, func(v float64) bool { return v != 0 })
	if math.IsInf(least, 1) {
		return nil
	}
	p := newPlot(title, about, elapsed(from, to), y.scale(least, most), all)
	if share := -from / (to - from); p != nil && share > shadeMin && to > 0 {
		p.Warmup = percent(share)
	}
	if y.filled {
		p.fill()
	}
	return p
}

// shadeMin is the share of the time below which the warm-up is too short to be seen.
const shadeMin = 0.005

// steady are the samples without stubs: a rate over a few milliseconds, where the run was cut into phases, says nothing.
func (r *Result) steady() []Sample {
	if len(r.Samples) == 0 {
		return nil
	}
	lengths := make([]float64, len(r.Samples))
	for i, s := range r.Samples {
		lengths[i] = s.Seconds
	}
	slices.Sort(lengths)
	least := lengths[len(lengths)/2] / 4
	return slices.DeleteFunc(slices.Clone(r.Samples), func(s Sample) bool { return s.Seconds < least })
}

// gapFactor is how many intervals apart two samples are when something is missing between them.
const gapFactor = 2.5

func (t track) data(samples []Sample, text func(float64) string) data {
	d := data{name: t.name}
	var measured []float64
	anything := false
	for i, s := range samples {
		v := t.of(s)
		anything = anything || v != 0
		if t.blank && v == 0 {
			v = math.NaN()
		}
		if i > 0 && s.At-samples[i-1].At > gapFactor*s.Seconds {
			d.points = append(d.points, xy{s.At, math.NaN()})
		}
		d.points = append(d.points, xy{s.At, v})
		if s.Measured() && finite(v) {
			measured = append(measured, v)
		}
	}
	if !anything {
		d.points = nil
	}
	if len(measured) > 0 {
		slices.Sort(measured)
		d.said = "median " + text(measured[len(measured)/2])
	}
	return d
}

// pictures are the plots of one result.
func (r *Result) pictures() []*plot {
	var list []*plot
	add := func(p *plot) {
		if p != nil {
			list = append(list, p)
		}
	}
	latency := percentilePlot("Latency by percentile",
		"Latency at each percentile, with a log axis of time and the tail stretched: each nine has the same width.",
		[]named[*Spread]{{"from the plan", r.Latency}, {"uncorrected, from sending", r.Raw}})
	if latency != nil {
		latency.Wide = true
		if r.Raw == nil {
			latency.Curves[0].Name = "latency"
		}
	}
	add(latency)
	if s := r.Storm; s != nil {
		add(arrivalPlot("The storm: who is back when", "Share of the clients that are back, and that are served, by the time since the drop.",
			[]named[*Spread]{{"connected again", s.Back}, {"served again", s.Served}}))
	}
	if e := r.Evicted; e != nil {
		add(arrivalPlot("Evictions: how late", "Share of the evicted connections that had ended, by the time after the limit.",
			[]named[*Spread]{{"ended", e.Late}}))
	}
	for _, p := range r.overTime() {
		add(p)
	}
	add(percentilePlot("Connecting by percentile", "Time from connect to the accepted upgrade at each percentile.",
		[]named[*Spread]{{"connect", r.Connect}}))
	return list
}

// overTime are the plots of the result's samples; some of them can be nil.
func (r *Result) overTime() []*plot {
	lists := []named[[]Sample]{{"", r.steady()}}
	var all []*plot
	add := func(title, about string, y axis, tracks ...track) {
		all = append(all, timePlot(title, about, y, lists, tracks...))
	}
	if r.each() == "handshake" {
		add("Handshakes", "Accepted handshakes a second over time.", rateAxis, deliveriesTrack)
	} else {
		add("Deliveries", "Deliveries a second over time.", rateAxis, deliveriesTrack)
	}
	add("Latency", "Median, 99th percentile and greatest latency of each interval over time, on a log axis.", timeAxis,
		track{"max", func(s Sample) float64 { return s.Max }, true},
		p99Track,
		track{"p50", func(s Sample) float64 { return s.P50 }, true})
	add("CPU, in cores", "Cores that the server and the client took over time.", coreAxis,
		serverTrack,
		track{"client", func(s Sample) float64 { return s.ClientCPU }, false})
	add("Memory of the server", "Resident memory of the server over time.", bytesAxis,
		track{"resident", func(s Sample) float64 { return float64(s.ServerRSS) }, true})
	add("Messages sent", "Messages sent a second over time.", rateAxis,
		track{"sent", func(s Sample) float64 { return s.Sent }, false})
	add("Connections", "Open connections over time.", countAxis,
		track{"open", func(s Sample) float64 { return float64(s.Open) }, false})
	add("Batches", "Deliveries a write of the server over time.", countAxis,
		track{"deliveries a write", func(s Sample) float64 { return s.Batch }, true})
	add("Descriptors of the server", "Open descriptors of the server over time.", countAxis,
		track{"open", func(s Sample) float64 { return float64(s.ServerFDs) }, true})
	add("Collector's share of CPU", "Share of the server's CPU that went to its garbage collector over time.", shareAxis,
		track{"garbage collector", func(s Sample) float64 { return s.GCCPU }, true})
	add("Collector's pauses", "Longest known pause for the server's garbage collector over time, on a log axis.", timeAxis,
		track{"longest", func(s Sample) float64 { return s.GCPause }, true})
	return all
}

var (
	deliveriesTrack = track{"deliveries", func(s Sample) float64 { return s.Deliveries }, false}
	p99Track        = track{"p99", func(s Sample) float64 { return s.P99 }, true}
	serverTrack     = track{"server", func(s Sample) float64 { return s.ServerCPU }, false}
)

// overlays are the plots that hold several runs against each other.
func overlays(runs []*Result, names []string) []*plot {
	var latency, raw, connect []named[*Spread]
	var samples []named[[]Sample]
	for i, r := range runs {
		latency, raw = append(latency, named[*Spread]{names[i], r.Latency}), append(raw, named[*Spread]{names[i], r.Raw})
		connect = append(connect, named[*Spread]{names[i], r.Connect})
		samples = append(samples, named[[]Sample]{names[i], r.steady()})
	}
	all := []*plot{
		percentilePlot("Latency by percentile", "Latency of each run at each percentile, with a log axis of time and the tail stretched.", latency),
		percentilePlot("Uncorrected latency by percentile", "Latency of each run from the instant of sending: blind to what held the sender up.", raw),
		timePlot("Deliveries", "Deliveries a second of each run over time.", rateAxis, samples, deliveriesTrack),
		timePlot("p99 of latency", "99th percentile of latency of each run and interval over time, on a log axis.", timeAxis, samples, p99Track),
		timePlot("CPU of the server, in cores", "Cores that the server took in each run over time.", coreAxis, samples, serverTrack),
		percentilePlot("Connecting by percentile", "Time from connect to the accepted upgrade of each run at each percentile.", connect),
	}
	all = slices.DeleteFunc(all, func(p *plot) bool { return p == nil })
	if len(all) > 0 {
		all[0].Wide = true
	}
	return all
}
