package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Result is what one run of a scenario gave. Fields that a scenario does not have are left out.
type Result struct {
	Scenario    string  `json:"scenario"`
	URL         string  `json:"url"`
	Conns       int     `json:"conns,omitempty"`
	Rooms       int     `json:"rooms,omitempty"`
	Senders     int     `json:"senders,omitempty"`
	InFlight    int     `json:"in_flight,omitempty"`
	Rate        float64 `json:"rate,omitempty"`
	Payload     int     `json:"payload,omitempty"`
	Seconds     float64 `json:"seconds,omitempty"`
	Sent        uint64  `json:"sent,omitempty"`
	Deliveries  uint64  `json:"deliveries,omitempty"` // within the measured time
	PerSecond   float64 `json:"per_second,omitempty"` // deliveries, or handshakes
	Latency     *Spread `json:"latency,omitempty"`    // from the planned instant
	Raw         *Spread `json:"latency_raw,omitempty"`
	LateMicros  float64 `json:"late_us,omitempty"` // by how much the loader was behind its plan, at worst
	ClientCPU   float64 `json:"client_cpu"`        // share of one core
	ServerCPU   float64 `json:"server_cpu,omitempty"`
	ServerEach  float64 `json:"server_us_each,omitempty"` // CPU per delivery, microseconds
	BytesEach   float64 `json:"bytes_each,omitempty"`     // user memory per connection
	ConnectRate float64 `json:"connect_per_second,omitempty"`
	Faults      Faults  `json:"faults"`
	// Pair is the small room's result, where one is measured beside a large one.
	Pair  *Result  `json:"pair,omitempty"`
	Notes []string `json:"notes,omitempty"`
}

// Spread is a distribution of times in microseconds.
type Spread struct {
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p999"`
	Max   float64 `json:"max"`
	Count int64   `json:"count"`
}

func spread(h *hdrhistogram.Histogram) *Spread {
	if h.TotalCount() == 0 {
		return nil
	}
	at := func(p float64) float64 { return float64(h.ValueAtPercentile(p)) / 1e3 }
	return &Spread{P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: float64(h.Max()) / 1e3, Count: h.TotalCount()}
}

// mark is what is known at an instant; the difference of two is what happened between.
type mark struct {
	at             time.Duration
	done           uint64 // deliveries or handshakes
	client, server time.Duration
}

func newMark(at time.Duration, done uint64, pid int) (m mark, err error) {
	m = mark{at: at, done: done, client: ownCPU()}
	if pid > 0 {
		m.server, err = cpuTime(pid)
	}
	return m, err
}

// between fills in rates and CPU.
func (r *Result) between(from, to mark) {
	r.Seconds = (to.at - from.at).Seconds()
	r.Deliveries = to.done - from.done
	r.PerSecond = float64(r.Deliveries) / r.Seconds
	r.ClientCPU = (to.client - from.client).Seconds() / r.Seconds
	server := (to.server - from.server).Seconds()
	r.ServerCPU = server / r.Seconds
	if r.Deliveries > 0 {
		r.ServerEach = server * 1e6 / float64(r.Deliveries)
	}
}

// boundByClient is the share of a core above which the client is what was measured.
const boundByClient = 0.95

func (l *load) result(from, to mark) *Result {
	l.check.faults.Lost = l.check.lost(l.conns, func(room, sender uint32) uint32 {
		return l.senders[int(room)+int(sender)*max(l.cfg.Rooms, 1)].seq
	})
	l.check.faults.Disconnected = l.reasons
	r := &Result{
		Scenario: "broadcast", URL: l.target.url.String(),
		Conns: l.cfg.Conns, Rooms: l.cfg.Rooms, Senders: l.cfg.Senders, InFlight: l.cfg.InFlight, Rate: l.cfg.Rate, Payload: l.cfg.Payload,
		Sent: l.sent, Latency: spread(l.latency), Faults: l.check.faults,
	}
	r.between(from, to)
	if l.cfg.Rate > 0 {
		r.Raw, r.LateMicros = spread(l.raw), float64(l.lateMax)/1e3
	}
	r.note()
	return r
}

// note adds the reasons to distrust the run.
func (r *Result) note() {
	if r.ClientCPU > boundByClient {
		r.Notes = append(r.Notes, fmt.Sprintf("bound by the client: it took %.0f %% of a core", r.ClientCPU*100))
	}
	if late := time.Duration(r.LateMicros * 1e3); late > 10*time.Millisecond {
		r.Notes = append(r.Notes, fmt.Sprintf("the loader sent up to %s behind its plan; latency counts from the plan", late.Round(time.Millisecond)))
	}
	if r.Faults.Any() {
		r.Notes = append(r.Notes, "faults: "+r.Faults.String())
	}
}

// String lists the faults there were, with their number.
func (f Faults) String() string {
	var parts []string
	add := func(n uint64, what string) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, what))
		}
	}
	add(f.Lost, "lost")
	add(f.Duplicated, "duplicated")
	add(f.Reordered, "reordered")
	add(f.Corrupt, "corrupt")
	add(f.Stray, "in the wrong room")
	for _, why := range slices.Sorted(maps.Keys(f.Disconnected)) {
		add(uint64(f.Disconnected[why]), "disconnected ("+why+")")
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// write prints the result for a reader, or as JSON.
func (r *Result) write(w io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(r)
	}
	var b strings.Builder
	line := func(name, format string, a ...any) {
		fmt.Fprintf(&b, "%-14s "+format+"\n", append([]any{name}, a...)...)
	}
	line(r.Scenario, "%s", r.URL)
	switch {
	case r.Rate > 0:
		line("connections", "%d, %d senders at %g messages/s each, %d bytes", r.Conns, r.Senders, r.Rate, r.Payload)
	case r.Senders > 0:
		line("connections", "%d, %d rooms, %d senders, %d in flight, %d bytes", r.Conns, max(r.Rooms, 1), r.Senders, r.InFlight, r.Payload)
	default:
		line("connections", "%d", r.Conns)
	}
	if r.PerSecond > 0 {
		line("per second", "%.0f over %.1f s", r.PerSecond, r.Seconds)
	}
	latency := func(name string, s *Spread) {
		if s != nil {
			line(name, "p50 %.2f, p90 %.2f, p99 %.2f, p99.9 %.2f, max %.2f ms", s.P50/1e3, s.P90/1e3, s.P99/1e3, s.P999/1e3, s.Max/1e3)
		}
	}
	latency("latency", r.Latency)
	latency("uncorrected", r.Raw)
	if r.BytesEach > 0 {
		line("memory", "%.0f bytes a connection", r.BytesEach)
	}
	if r.ConnectRate > 0 {
		line("connected", "%.0f a second", r.ConnectRate)
	}
	if r.ServerCPU > 0 {
		line("server CPU", "%.0f %%, %.2f microseconds each", r.ServerCPU*100, r.ServerEach)
	}
	line("client CPU", "%.0f %%", r.ClientCPU*100)
	line("faults", "%s", r.Faults)
	for _, n := range r.Notes {
		line("note", "%s", n)
	}
	if r.Pair != nil {
		line("the pair", "")
		if err := r.Pair.write(&prefixed{&b}, false); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// prefixed indents what is written through it, a whole text at a time.
type prefixed struct{ b *strings.Builder }

func (p *prefixed) Write(text []byte) (int, error) {
	for line := range strings.Lines(string(text)) {
		p.b.WriteString("  " + line)
	}
	return len(text), nil
}
