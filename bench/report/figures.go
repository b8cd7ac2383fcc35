package report

// figure is one number that two sides are compared by.
type figure struct {
	name   string
	unit   string // names how it is written, see unitText
	better int    // 1: more is better; -1: less is better; 0: neither, or it depends
	// of takes the figure from a run; 0 stands for a figure that the run does not have unless always is set.
	of     func(*Result) float64
	always func(*Result) bool
	// second takes the same from a sample, where samples have it; 0 stands for unknown, unless stalls is set: a second
	// without any is one that counts.
	second func(Sample) float64
	stalls bool
}

// unitText writes a value of a unit.
func unitText(unit string, v float64) string {
	switch unit {
	case "/s":
		return rateText(v)
	case "µs":
		return timeText(v)
	case "B":
		return bytesText(v)
	case "cores":
		return coresText(v)
	}
	return countText(v)
}

// from reads a figure out of a part that a run may not have.
func from[T any](part func(*Result) *T, of func(*T) float64) func(*Result) float64 {
	return func(r *Result) float64 {
		if p := part(r); p != nil {
			return of(p)
		}
		return 0
	}
}

func has[T any](part func(*Result) *T) func(*Result) bool {
	return func(r *Result) bool { return part(r) != nil }
}

// spreadFigures are the figures of a distribution of times.
func spreadFigures(name string, part func(*Result) *Spread) []figure {
	return []figure{
		{name: name + ", p50", unit: "µs", better: -1, of: from(part, func(s *Spread) float64 { return s.P50 })},
		{name: name + ", p99", unit: "µs", better: -1, of: from(part, func(s *Spread) float64 { return s.P99 })},
		{name: name + ", p99.9", unit: "µs", better: -1, of: from(part, func(s *Spread) float64 { return s.P999 })},
		{name: name + ", max", unit: "µs", better: -1, of: from(part, func(s *Spread) float64 { return s.Max })},
	}
}

// figures are all that runs can be compared by, in the order of the table.
func figures() []figure {
	latency := spreadFigures("latency", func(r *Result) *Spread { return r.Latency })
	latency[0].second = func(s Sample) float64 { return s.P50 }
	latency[1].second = func(s Sample) float64 { return s.P99 }
	all := []figure{{
		name: "per second", unit: "/s", better: 1, of: func(r *Result) float64 { return r.PerSecond },
		second: func(s Sample) float64 { return s.Deliveries }, stalls: true,
	}}
	all = append(all, latency...)
	all = append(all, costFigures()...)
	all = append(all, spreadFigures("connect", func(r *Result) *Spread { return r.Connect })...)
	all = append(all, figure{name: "connected per second", unit: "/s", better: 1, of: func(r *Result) float64 { return r.ConnectRate }})
	all = append(all, scenarioFigures()...)
	flooded := func(r *Result) *Result { return r.Flood }
	return append(all,
		figure{name: "flood, per second", unit: "/s", better: 1, of: from(flooded, func(r *Result) float64 { return r.PerSecond })},
		figure{name: "flood, latency, p99", unit: "µs", better: -1, of: from(flooded, func(r *Result) float64 {
			return from(func(r *Result) *Spread { return r.Latency }, func(s *Spread) float64 { return s.P99 })(r)
		})},
	)
}

func costFigures() []figure {
	memory := func(r *Result) *Memory { return r.Memory }
	return []figure{
		{
			name: "server CPU each", unit: "µs", better: -1, of: func(r *Result) float64 { return r.ServerEach },
			second: func(s Sample) float64 {
				if s.Deliveries <= 0 {
					return 0
				}
				return s.ServerCPU / s.Deliveries * 1e6
			},
		},
		{
			name: "server CPU", unit: "cores", of: func(r *Result) float64 { return r.ServerCPU },
			second: func(s Sample) float64 { return s.ServerCPU },
		},
		{
			name: "client CPU", unit: "cores", of: func(r *Result) float64 { return r.ClientCPU },
			second: func(s Sample) float64 { return s.ClientCPU },
		},
		{name: "memory each, PSS", unit: "B", better: -1, of: from(memory, func(m *Memory) float64 { return m.PSS })},
		{name: "memory each, RSS", unit: "B", better: -1, of: from(memory, func(m *Memory) float64 { return m.RSS })},
		{name: "memory each, kernel", unit: "B", better: -1, of: from(memory, func(m *Memory) float64 { return m.Kernel })},
		{name: "client memory each", unit: "B", of: func(r *Result) float64 { return r.ClientEach }},
	}
}

// scenarioFigures are those of parts that only one scenario has.
func scenarioFigures() []figure {
	storm := func(r *Result) *Storm { return r.Storm }
	slow := func(r *Result) *Slow { return r.Slow }
	drift := func(r *Result) *Drift { return r.Drift }
	evicted := func(r *Result) *Evicted { return r.Evicted }
	fairness := func(r *Result) *Fairness { return r.Fairness }
	all := []figure{
		{name: "worst room, p99", unit: "µs", better: -1, of: from(fairness, func(f *Fairness) float64 { return f.WorstP99 })},
		{name: "Jain's index", better: 1, of: from(fairness, func(f *Fairness) float64 { return f.Jain })},
		{name: "storm, all back", unit: "µs", better: -1, of: from(storm, func(s *Storm) float64 { return s.AllBack })},
		{name: "storm, all served", unit: "µs", better: -1, of: from(storm, func(s *Storm) float64 { return s.AllServed })},
		{name: "storm, attempts", better: -1, of: from(storm, func(s *Storm) float64 { return float64(s.Attempts) })},
		{name: "storm, peak CPU", unit: "cores", of: from(storm, func(s *Storm) float64 { return s.PeakCPU })},
		{name: "storm, peak memory", unit: "B", better: -1, of: from(storm, func(s *Storm) float64 { return float64(s.PeakMemory) })},
		{
			name: "churn per second", unit: "/s", better: 1,
			of: from(func(r *Result) *Churn { return r.Churn }, func(c *Churn) float64 { return c.PerSecond }),
		},
		{
			name: "kept from slow readers", better: -1, always: has(slow),
			of: from(slow, func(s *Slow) float64 { return float64(s.Skipped) }),
		},
		{name: "drift of memory an hour", unit: "B", better: -1, always: has(drift), of: from(drift, func(d *Drift) float64 { return d.RSS })},
		{name: "drift of descriptors an hour", better: -1, always: has(drift), of: from(drift, func(d *Drift) float64 { return d.FDs })},
		{name: "drift of p99 an hour", unit: "µs", better: -1, always: has(drift), of: from(drift, func(d *Drift) float64 { return d.P99 })},
		{name: "evicted early", better: -1, always: has(evicted), of: from(evicted, func(e *Evicted) float64 { return float64(e.Early) })},
	}
	late := from(evicted, func(e *Evicted) float64 {
		if e.Late == nil {
			return 0
		}
		return e.Late.P99
	})
	return append(all, figure{name: "evicted late, p99", unit: "µs", better: -1, of: late})
}
