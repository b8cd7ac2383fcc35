package bench

import (
	"cmp"
	"slices"
	"strconv"
	"time"
)

// figure is one thing measured, on one or more servers.
type figure struct {
	name     string
	bare     []string // the forms of the yardstick that it is measured on, besides the others
	onlyOurs bool     // not of the peers
	on       []string // the only contenders that it is measured on; none: all
	conns    int      // that the server has to hold
	atMost   time.Duration
	scenario []string // of this program, with its flags
}

// asks: whether the figure is measured on a contender. Peers of a figure that is onlyOurs are nobody here.
func (f figure) asks(name string) bool {
	if len(f.on) > 0 {
		return slices.Contains(f.on, name)
	}
	if name == barePlain || name == bareBatch {
		return slices.Contains(f.bare, name)
	}
	return name == throng || !f.onlyOurs
}

// row is one line of the table: a value of a figure's result, the bare server's beside throng's, and the target.
type row struct {
	figure, title, unit string
	bare                string // which bare server is the measure; "": none
	on                  string // who is measured; "": throng
	value               func(*Result) float64
	goal                goal
	floor               float64 // what the bare server must reach itself, in the row's unit; 0: nothing
}

// subject is who is measured.
func (r row) subject() string { return cmp.Or(r.on, throng) }

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
func millisP50(r *Result) float64 {
	return percentile(r, func(s *Spread) float64 { return s.P50 }) / milli
}
func millisP99(r *Result) float64 {
	return percentile(r, func(s *Spread) float64 { return s.P99 }) / milli
}

func percentile(r *Result, of func(*Spread) float64) float64 {
	if r == nil || r.Latency == nil {
		return 0
	}
	return of(r.Latency)
}

func bytesEach(r *Result) float64 {
	if r.Memory == nil {
		return 0
	}
	return r.Memory.PSS
}

func floodMega(r *Result) float64 {
	if r.Flood == nil {
		return 0
	}
	return perSecondMega(r.Flood)
}

func millisAllServed(r *Result) float64 {
	if r.Storm == nil {
		return 0
	}
	return r.Storm.AllServed / milli
}

// rows is the table, in its order. The targets are those that the server was set.
var rows = []row{
	{figure: "in-flight-10", title: "10 in flight, one write per delivery", unit: "M/s", bare: barePlain, value: perSecondMega, floor: 0.42},
	{figure: "in-flight-10", title: "10 in flight", unit: "M/s", bare: bareBatch, value: perSecondMega, goal: goal{0.92, false, true}, floor: 3.6},
	{figure: "in-flight-400", title: "400 in flight, one write per delivery", unit: "M/s", bare: barePlain, value: perSecondMega, floor: 0.42},
	{figure: "in-flight-400", title: "400 in flight", unit: "M/s", bare: bareBatch, value: perSecondMega, goal: goal{0.9, false, true}, floor: 20},
	{figure: "open", title: "10,000 receivers, median", unit: "ms", bare: barePlain, value: millisP50, goal: goal{1.2, true, true}},
	{figure: "open", title: "10,000 receivers, p99", unit: "ms", bare: barePlain, value: millisP99, goal: goal{1.3, true, true}},
	{figure: "open", title: "10,000 receivers, CPU a delivery", unit: "us", bare: barePlain, value: func(r *Result) float64 { return r.ServerEach }, goal: goal{1.2, true, true}},
	{figure: "echo", title: "echo", unit: "k/s", bare: barePlain, value: perSecondKilo, goal: goal{0.85, false, true}},
	{figure: "handshakes", title: "handshakes", unit: "k/s", bare: barePlain, value: perSecondKilo, goal: goal{0.7, false, true}},
	{figure: "idle", title: "idle connection", unit: "bytes", bare: barePlain, value: bytesEach, goal: goal{800, true, false}},
	{figure: "storm", title: "storm, all served", unit: "ms", bare: bareBatch, value: millisAllServed, goal: goal{1.5, true, true}},
	{figure: "fairness", title: "pair beside a flood, p99", unit: "ms", value: millisP99, goal: goal{5, true, false}},
	{figure: "fairness", title: "the flood meanwhile", unit: "M/s", value: floodMega},
}

// The sizes that the targets were set for.
const (
	broadcastConns = 1000
	openConns      = 10000
	idleConns      = 19000
	stormConns     = 15000
	floodConns     = 15000
)

// figures lists what can be measured.
func figures(short bool) []figure {
	window, settle := 4*time.Second, 10*time.Second
	if short {
		window, settle = 2*time.Second, 2*time.Second
	}
	both, plain := []string{barePlain, bareBatch}, []string{barePlain}
	pair := min(5*window/2, 10*time.Second)
	timed := func(d time.Duration, scenario ...string) []string { return append(scenario, "--for", d.String()) }
	return []figure{
		{name: "in-flight-10", bare: both, conns: broadcastConns, atMost: window,
			scenario: timed(window, "broadcast", "--in-flight", "10", "--conns", strconv.Itoa(broadcastConns))},
		{name: "in-flight-400", bare: both, conns: broadcastConns, atMost: window,
			scenario: timed(window, "broadcast", "--in-flight", "400", "--conns", strconv.Itoa(broadcastConns))},
		{name: "open", bare: plain, conns: openConns, atMost: 2 * window,
			scenario: timed(2*window, "broadcast", "--rate", "10", "--senders", "1", "--conns", strconv.Itoa(openConns))},
		{name: "echo", bare: plain, conns: 100, atMost: window,
			scenario: timed(window, "rooms", "--rooms", "100", "--members", "1", "--in-flight", "1")},
		{name: "handshakes", bare: plain, conns: 100, atMost: window, scenario: timed(window, "handshakes")},
		{name: "idle", bare: plain, conns: idleConns, atMost: 2 * settle,
			scenario: []string{"idle", "--base", "10000", "--conns", strconv.Itoa(idleConns), "--settle", settle.String(), "--for", "0s"}},
		{name: "storm", bare: []string{bareBatch}, conns: stormConns, atMost: 3 * window, scenario: []string{"storm", "--rate", "20", "--conns", strconv.Itoa(stormConns)}},
		{name: "fairness", onlyOurs: true, conns: floodConns, atMost: pair,
			scenario: timed(pair, "rooms", "--rooms", "1", "--members", "2", "--room-senders", "2", "--rate", "200", "--flood", strconv.Itoa(floodConns))},
	}
}

// chosen are the figures of these names; without names, all.
func chosen(all []figure, names []string) []figure {
	return slices.DeleteFunc(all, func(f figure) bool { return len(names) > 0 && !slices.Contains(names, f.name) })
}
