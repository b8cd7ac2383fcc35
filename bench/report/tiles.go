package report

import (
	"fmt"
	"strings"
)

// tiles are the headline figures of a run, at most eight.
func (r *Result) tiles() []tile {
	var t tiles
	if s := r.Storm; s != nil {
		t.add("all back", orNever(s.AllBack), grouped(s.Clients)+" clients")
		t.add("all served", orNever(s.AllServed), grouped(s.Attempts)+" attempts")
	}
	if e := r.Evicted; e != nil && e.Late != nil {
		t.add("evicted late, p99", timeText(e.Late.P99), fmt.Sprintf("%s connections, %s early", grouped(e.Clients), grouped(e.Early)))
	}
	if m := r.Memory; m != nil {
		t.add("memory a connection", bytesText(m.PSS), bytesText(m.Kernel)+" more in the kernel")
	}
	switch {
	case r.PerSecond > 0 && r.each() == "handshake":
		t.add("handshakes", rateText(r.PerSecond), "over "+spanText(r.Seconds))
	case r.PerSecond > 0:
		t.add("deliveries", rateText(r.PerSecond), amountText(float64(r.Deliveries))+" in "+spanText(r.Seconds))
	case r.Conns > 0:
		t.add("connections", grouped(r.Conns), "")
	}
	if s := r.Latency; s != nil {
		from := "of closed loop"
		if r.Raw != nil {
			from = "from the plan"
		}
		t.add("latency, median", timeText(s.P50), from)
		t.add("latency, p99", timeText(s.P99), "p99.9 "+timeText(s.P999))
		t.add("latency, worst", timeText(s.Max), "of "+amountText(float64(s.Count)))
	}
	if s := r.Connect; s != nil && (r.Latency == nil || r.PerSecond == 0) {
		t.add("connecting, p99", timeText(s.P99), "median "+timeText(s.P50))
	}
	if r.ConnectRate > 0 && r.Latency == nil {
		t.add("connected", rateText(r.ConnectRate), "")
	}
	if f := r.Fairness; f != nil {
		t.add("worst room, p99", timeText(f.WorstP99), "median room "+timeText(f.MedianP99))
	}
	if r.ServerEach > 0 {
		t.add("CPU a "+r.each(), timeText(r.ServerEach), "server "+coresText(r.ServerCPU))
	} else if r.ServerCPU > 0 {
		t.add("server CPU", coresText(r.ServerCPU), "")
	}
	if r.ClientCPU > 0 {
		more := ""
		if r.ClientBusy > 0 {
			more = "busiest process " + shareText(r.ClientBusy)
		}
		t.add("client CPU", coresText(r.ClientCPU), more)
	}
	if len(t) > tilesMax {
		t = t[:tilesMax]
	}
	return t
}

const tilesMax = 8

// orNever writes a time that is 0 when something did not happen.
func orNever(micros float64) string {
	if micros == 0 {
		return "never"
	}
	return timeText(micros)
}

type tiles []tile

// add splits the unit from the value, so that it can be set smaller.
func (t *tiles) add(name, text, more string) {
	value, unit, _ := strings.Cut(text, " ")
	if number, found := strings.CutSuffix(value, "/s"); found {
		value, unit = number, "/s"
	}
	// The last word of what stands below is often a unit: it does not go alone to the next line.
	if last := strings.LastIndexByte(more, ' '); last >= 0 {
		more = more[:last] + "\u00a0" + more[last+1:]
	}
	*t = append(*t, tile{name, value, unit, more})
}
