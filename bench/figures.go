package bench

import (
	"context"
	"time"
)

// figure is one thing measured, on one or more servers.
type figure struct {
	name    string
	servers []string
	run     func(context.Context, *numbers, place) (*Result, error)
}

// row is one line of the table: a value of a figure's result, the bare server's beside throng's, and the target.
type row struct {
	figure, title, unit string
	bare                string // which bare server is the measure; "": none
	value               func(*Result) float64
	goal                goal
	floor               float64 // what the bare server must reach itself, in the row's unit; 0: nothing
}

// goal is what throng has to reach: a ratio to the bare server, or a value; at least or at most.
type goal struct {
	bound  float64
	atMost bool
	ratio  bool
}

const (
	mega  = 1e6
	milli = 1e3 // microseconds in a millisecond
)

func perSecondMega(r *Result) float64 { return r.PerSecond / mega }
func perSecondKilo(r *Result) float64 { return r.PerSecond / 1e3 }

// rows is the table, in its order. The targets are those that the server was set.
var rows = []row{
	{figure: "in-flight-10", title: "10 in flight, one write per delivery", unit: "M/s", bare: barePlain, value: perSecondMega, floor: 0.42},
	{figure: "in-flight-10", title: "10 in flight", unit: "M/s", bare: bareBatch, value: perSecondMega, goal: goal{0.92, false, true}, floor: 3.6},
	{figure: "in-flight-400", title: "400 in flight, one write per delivery", unit: "M/s", bare: barePlain, value: perSecondMega, floor: 0.42},
	{figure: "in-flight-400", title: "400 in flight", unit: "M/s", bare: bareBatch, value: perSecondMega, goal: goal{0.9, false, true}, floor: 20},
	{figure: "open", title: "10,000 receivers, median", unit: "ms", bare: barePlain, value: func(r *Result) float64 { return r.percentile(func(s *Spread) float64 { return s.P50 }) / milli }, goal: goal{1.2, true, true}},
	{figure: "open", title: "10,000 receivers, p99", unit: "ms", bare: barePlain, value: func(r *Result) float64 { return r.percentile(func(s *Spread) float64 { return s.P99 }) / milli }, goal: goal{1.3, true, true}},
	{figure: "open", title: "10,000 receivers, CPU a delivery", unit: "us", bare: barePlain, value: func(r *Result) float64 { return r.ServerEach }, goal: goal{1.2, true, true}},
	{figure: "echo", title: "echo", unit: "k/s", bare: barePlain, value: perSecondKilo, goal: goal{0.85, false, true}},
	{figure: "handshakes", title: "handshakes", unit: "k/s", bare: barePlain, value: perSecondKilo, goal: goal{0.7, false, true}},
	{figure: "idle", title: "idle connection", unit: "bytes", bare: barePlain, value: func(r *Result) float64 { return r.BytesEach }, goal: goal{800, true, false}},
	{figure: "fairness", title: "pair beside a flood, p99", unit: "ms", value: func(r *Result) float64 { return r.Pair.percentile(func(s *Spread) float64 { return s.P99 }) / milli }, goal: goal{5, true, false}},
	{figure: "fairness", title: "the flood meanwhile", unit: "M/s", value: perSecondMega},
}

func (r *Result) percentile(of func(*Spread) float64) float64 {
	if r == nil || r.Latency == nil {
		return 0
	}
	return of(r.Latency)
}

// figures lists what can be measured, with the sizes that the targets were set for.
func figures(short bool) []figure {
	window, settleFor := 4*time.Second, 10*time.Second
	if short {
		window, settleFor = 2*time.Second, 2*time.Second
	}
	all := []string{barePlain, bareBatch, throng}
	two := []string{barePlain, throng}
	fixed := func(scenario string, atMost time.Duration, flags ...string) func(context.Context, *numbers, place) (*Result, error) {
		return func(ctx context.Context, n *numbers, p place) (*Result, error) {
			return n.loader(ctx, p, atMost, scenario, flags...)
		}
	}
	return []figure{
		{"in-flight-10", all, fixed("broadcast", window, "--in-flight", "10", "--conns", "1000", "--for", window.String())},
		{"in-flight-400", all, fixed("broadcast", window, "--in-flight", "400", "--conns", "1000", "--for", window.String())},
		{"open", two, fixed("open", 2*window, "--conns", "10000", "--rate", "10", "--for", (2 * window).String())},
		{"echo", two, fixed("echo", window, "--conns", "100", "--for", window.String())},
		{"handshakes", two, fixed("handshakes", window, "--for", window.String())},
		{"idle", two, fixed("idle", 2*settleFor, "--base", "10000", "--conns", "19000", "--settle", settleFor.String())},
		{"fairness", []string{throng}, func(ctx context.Context, n *numbers, p place) (*Result, error) {
			cfg := Fairness{
				URL: p.url, Conns: 15000, Senders: 10, Window: floodWindow, Payload: 32, For: 5 * window / 2, PID: p.pid, Nice: pairNice,
				Self: n.self, CPU: n.launcher.cpu(1), Progress: plainInto(p.progress),
			}
			if cfg.For > settleFor {
				cfg.For = settleFor
			}
			return cfg.Run(ctx, n.launcher)
		}},
	}
}

const (
	floodWindow = 100
	pairNice    = -5
)
