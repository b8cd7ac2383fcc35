package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// line is one thing that a run gave, in words.
type line struct{ Name, Said string }

// lines is a list of them that grows.
type lines []line

func (l *lines) add(name, format string, a ...any) {
	*l = append(*l, line{name, fmt.Sprintf(format, a...)})
}

// spread adds a distribution, if there is one.
func (l *lines) spread(name string, s *Spread, more string) {
	if s != nil {
		l.add(name, "p50 %s, p90 %s, p99 %s, p99.9 %s, max %s%s",
			timeText(s.P50), timeText(s.P90), timeText(s.P99), timeText(s.P999), timeText(s.Max), more)
	}
}

// lines puts into words what the run gave, except for its notes and its flooded room.
func (r *Result) lines() lines {
	var l lines
	l.add(r.Scenario, "%s", r.server())
	if load := r.load(); load != "" {
		l.add("load", "%s", load)
	}
	if r.Conns > 0 {
		l.add("connections", "%s", r.connections())
	}
	r.addRates(&l)
	from := ""
	if r.Raw != nil {
		from = ", from the plan"
	}
	l.spread("latency", r.Latency, from)
	l.spread("uncorrected", r.Raw, ", from sending: blind to what held the sender up")
	if r.LateMicros > 0 {
		l.add("behind plan", "%s at worst", timeText(r.LateMicros))
	}
	l.spread("connect", r.Connect, "")
	if r.ConnectRate > 0 {
		l.add("connected", "%s", rateText(r.ConnectRate))
	}
	r.addCosts(&l)
	r.addScenario(&l)
	l.add("faults", "%s", r.Faults)
	return l
}

// addresses are those of the servers; of a fleet, its size and its ends.
func (r *Result) addresses() string {
	const listed = 4
	if n := len(r.URL); n > listed {
		return fmt.Sprintf("%d servers, %s to %s", n, r.URL[0], r.URL[n-1])
	}
	return strings.Join(r.URL, " ")
}

// server is the name and the addresses of what was measured.
func (r *Result) server() string {
	addresses := r.addresses()
	switch {
	case r.Name == "":
		return addresses
	case addresses == "":
		return r.Name
	}
	return r.Name + " at " + addresses
}

// load says what was sent and what decided when; empty when nothing was.
func (r *Result) load() string {
	senders := ""
	if r.Senders > 0 {
		senders = " from " + of(r.Senders, "sender")
	}
	each := ""
	if r.Payload > 0 {
		each = fmt.Sprintf("; %s bytes each", grouped(r.Payload))
	}
	switch {
	case r.Rate > 0:
		return fmt.Sprintf("open loop: %s messages/s%s, however the server fares%s", countText(r.Rate), senders, each)
	case r.InFlight > 0:
		return fmt.Sprintf("closed loop: %s in flight%s, the next when one is back%s", of(r.InFlight, "message"), senders, each)
	}
	return ""
}

func (r *Result) connections() string {
	text := grouped(r.Conns)
	if r.Rooms > 0 {
		text += " in " + of(r.Rooms, "room")
	}
	if r.Workers > 1 {
		text += ", from " + grouped(r.Workers) + " processes"
	}
	return text
}

// each is what the rate of a scenario counts.
func (r *Result) each() string {
	if strings.HasPrefix(r.Scenario, "handshakes") {
		return "handshake"
	}
	return "delivery"
}

func (r *Result) addRates(l *lines) {
	if r.Sent > 0 {
		text := of(r.Sent, "message")
		if r.Acked > 0 {
			text += fmt.Sprintf(", %s acknowledged", grouped(r.Acked))
		}
		l.add("sent", "%s", text)
	}
	switch {
	case r.PerSecond > 0 && r.each() == "handshake":
		l.add("handshakes", "%s over %s", rateText(r.PerSecond), spanText(r.Seconds))
	case r.PerSecond > 0 || r.Deliveries > 0:
		l.add("deliveries", "%s, %s over %s", rateText(r.PerSecond), grouped(r.Deliveries), spanText(r.Seconds))
	case r.Seconds > 0:
		l.add("measured", "%s", spanText(r.Seconds))
	}
}

// addCosts adds memory and CPU.
func (r *Result) addCosts(l *lines) {
	if m := r.Memory; m != nil {
		l.add("memory", "%s PSS, %s RSS, %s kernel a connection, from %s to %s",
			bytesText(m.PSS), bytesText(m.RSS), bytesText(m.Kernel), grouped(m.From), grouped(m.To))
	}
	if r.ServerCPU > 0 {
		text := coresText(r.ServerCPU)
		if r.ServerEach > 0 {
			text += fmt.Sprintf(", %s a %s", timeText(r.ServerEach), r.each())
		}
		l.add("server CPU", "%s", text)
	}
	text := coresText(r.ClientCPU)
	if r.ClientBusy > 0 {
		text += fmt.Sprintf(", the busiest process took %s of its core", shareText(r.ClientBusy))
	}
	l.add("client CPU", "%s", text)
	if r.ClientEach > 0 {
		l.add("client memory", "%s a connection", bytesText(r.ClientEach))
	}
}

// addScenario adds what only one scenario has.
func (r *Result) addScenario(l *lines) {
	if f := r.Fairness; f != nil {
		l.add("fairness", "p99 of %s: best %s, median %s, worst %s (room %d); Jain's index %.4f",
			of(f.Rooms, "room"), timeText(f.BestP99), timeText(f.MedianP99), timeText(f.WorstP99), f.Worst, f.Jain)
	}
	if s := r.Storm; s != nil {
		r.addStorm(l, s)
	}
	if m := r.Memberships; m != nil {
		l.add("memberships", "%s in %s, %s; %s a membership, %s a room", grouped(m.Count), of(m.Rooms, "room"), rateText(m.JoinsPerSecond),
			bytesText(m.EachMembership), bytesText(m.EachRoom))
		for _, d := range []*Delivered{m.All, m.FewOnly} {
			if d != nil {
				l.spread("in "+of(d.Rooms, "room"), d.Latency, ", "+timeText(d.ServerEach)+" of CPU a delivery")
			}
		}
	}
	if s := r.Resume; s != nil {
		l.add("resume", "%s clients with %s missed each, all caught up after %s", grouped(s.Clients), grouped(s.Missed), timeText(s.AllCaughtUp))
		l.spread("caught up", s.CaughtUp, "")
		l.spread("live meanwhile", s.Live, ", longest silence "+timeText(s.Silence))
	}
	if c := r.Churn; c != nil {
		l.add("churn", "%s of %s wanted, %s connections came and went", rateText(c.PerSecond), rateText(c.Wanted), grouped(c.Cycles))
	}
	if s := r.Slow; s != nil {
		how := "that never read"
		if s.Rate > 0 {
			how = "at " + bytesText(float64(s.Rate)) + "/s"
		}
		l.add("slow readers", "%s %s, cut off: %s; %s kept from those still there without a word",
			grouped(s.Readers), how, reasons(s.CutOff), of(s.Skipped, "message"))
	}
	if d := r.Drift; d != nil {
		l.add("drift", "over %.2f h: memory %s/h, descriptors %s/h, p99 %s/h",
			d.Hours, signed(d.RSS, bytesText), signed(d.FDs, amountText), signed(d.P99, timeText))
	}
	if e := r.Evicted; e != nil {
		l.add("evicted", "%s connections, %s of them early; close codes: %s", grouped(e.Clients), grouped(e.Early), reasons(e.Codes))
		l.spread("eviction late", e.Late, "")
	}
}

func (r *Result) addStorm(l *lines, s *Storm) {
	after := func(what string, micros float64) string {
		if micros == 0 {
			return "not all " + what
		}
		return "all " + what + " after " + timeText(micros)
	}
	l.add("storm", "%s clients: %s, %s", grouped(s.Clients), after("back", s.AllBack), after("served", s.AllServed))
	l.spread("back", s.Back, "")
	l.spread("served", s.Served, "")
	l.add("attempts", "%s, refused: %s", grouped(s.Attempts), reasons(s.Refused))
	var peaks []string
	if s.PeakCPU > 0 {
		peaks = append(peaks, coresText(s.PeakCPU))
	}
	if s.PeakMemory > 0 {
		peaks = append(peaks, bytesText(float64(s.PeakMemory))+" of memory")
	}
	if len(peaks) > 0 {
		l.add("server's peak", "%s", strings.Join(peaks, ", "))
	}
}

// reasons writes counts by reason.
func reasons(counts map[string]int) string {
	var parts []string
	for _, why := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, grouped(counts[why])+" ("+why+")")
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

func signed(v float64, text func(float64) string) string {
	if v > 0 {
		return "+" + text(v)
	}
	return text(v)
}
