package bench

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// smallMillion is a million of 600 on two servers.
func smallMillion(t *testing.T) Million {
	t.Helper()
	return Million{
		Conns: 600, PerRoom: 20, Servers: 2, ConnectRate: 2000, Hold: time.Second, IdleTimeout: 6 * time.Second, workers: 2,
		Server: asFleet(t), Self: asSelf(t), Progress: func(line string) { t.Log(line) },
	}
}

// TestMillion goes the whole way, with servers and workers in processes of their own.
func TestMillion(t *testing.T) {
	r, err := smallMillion(t).Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if r.Scenario != "million" || r.Conns != 600 || r.Rooms != 30 || len(r.URL) != 2 || r.ConnectRate <= 0 || r.Connect == nil || r.Connect.Count != 600 {
		t.Errorf("%+v", r)
	}
	if r.Sent < 30 || r.Deliveries != 20*r.Sent || r.Faults.Any() || r.Latency == nil {
		t.Errorf("sent %d, delivered %d, %s", r.Sent, r.Deliveries, r.Faults)
	}
	if m := r.Memory; m == nil || m.From != 0 || m.To != 600 || m.PSS == 0 {
		t.Errorf("memory %+v", m)
	}
	e := r.Evicted
	if e == nil || e.Clients != 600 || e.Early != 0 || e.Codes[`4408 "idle"`] != 600 || e.Late == nil || e.Late.Count != 600 {
		t.Errorf("evicted %+v", e)
	}
	last := len(r.Samples) - 1
	if last < 3 || r.Samples[last].At < 5 || r.Samples[last].ServerRSS == 0 || !slices.ContainsFunc(settings(r), func(s string) bool { return s == "idle-timeout" }) {
		t.Errorf("%d samples, %v", len(r.Samples), settings(r))
	}
}

func settings(r *Result) (names []string) {
	for _, s := range r.Settings {
		names = append(names, s.Name)
	}
	return names
}

// TestMillionByHand: what was measured until somebody ends the run is reported, and nothing stays behind.
func TestMillionByHand(t *testing.T) {
	for phase, has := range map[string]func(*Result) bool{
		"holding":                  func(r *Result) bool { return r.ConnectRate > 0 && r.Memory == nil },
		"waiting for the eviction": func(r *Result) bool { return r.Memory != nil && r.Deliveries > 0 && r.Evicted != nil },
	} {
		ctx, cancel := context.WithCancel(t.Context())
		m := smallMillion(t)
		m.IdleTimeout = time.Minute
		m.Progress = func(line string) {
			if strings.HasPrefix(line, phase) {
				cancel()
			}
		}
		r, err := m.Run(ctx)
		cancel()
		if err != nil || r == nil || !has(r) || !slices.Contains(r.Notes, "ended while "+phase) {
			t.Errorf("%s: %+v, %v", phase, r, err)
		}
	}
}

func TestMillionThatGoesWrong(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Million)
		wrong  string
	}{
		"connecting too slowly": {func(m *Million) { m.ConnectRate, m.IdleTimeout = 60, 5*time.Second }, "--idle-timeout"},
		"evicting too early": {func(m *Million) {
			m.Server = slices.Clone(m.Server)
			m.Server[len(m.Server)-1], m.Hold = "1s", 3*time.Second
		}, "before their time"},
		"servers that do not start": {func(m *Million) { m.Server = []string{"sh", "-c", "echo no such flag >&2; exit 1"} }, "no such flag"},
	} {
		m := smallMillion(t)
		c.change(&m)
		if r, err := m.Run(t.Context()); err == nil || !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s: got %v, %+v", name, err, r)
		}
	}
}

func TestFleetArgs(t *testing.T) {
	for _, wrong := range []string{"throng serve", "throng serve ADDR", "throng serve TIMEOUT"} {
		if _, err := fleetArgs(wrong, ""); err == nil {
			t.Errorf("%q was taken", wrong)
		}
	}
	argv, err := fleetArgs("", "--log-level error")
	if err != nil || argv[len(argv)-1] != "error" || !slices.Contains(argv, "ADDR") || !slices.Contains(argv, "TIMEOUT") {
		t.Errorf("%q, %v", argv, err)
	}
}

// TestEvictions: lateness counts from the last sign of life, and only silence makes an eviction.
func TestEvictions(t *testing.T) {
	w := &worker{spec: spec{Idle: time.Hour}, conns: make([]conn, 5)}
	w.evictions.setUp(w)
	for i := range w.conns {
		w.conns[i] = conn{index: uint32(i), state: connOpen}
		w.evictions.said(&w.conns[i])
	}
	e := &w.evictions
	e.heard[0] -= time.Hour + 5*time.Second
	e.heard[1] -= time.Hour - time.Minute
	e.heard[2] -= 2 * time.Hour
	w.conns[3].state = connAsked
	e.ended(&w.conns[0], reasonIdle)
	e.ended(&w.conns[1], reasonIdle)
	e.ended(&w.conns[2], "connection reset by peer")
	e.ended(&w.conns[3], "refused")
	all := evictedOutcome{Late: newHist(), Codes: make(map[string]int)}
	all.add(e.outcome())
	all.add(nil)
	r := all.report()
	if r.Clients != 3 || r.Early != 1 || r.Late.Count != 1 || r.Late.Max < 5e6 || !maps.Equal(r.Codes, map[string]int{`4408 "idle"`: 2, "connection reset by peer": 1}) {
		t.Errorf("%+v, late %+v", r, r.Late)
	}
	none := worker{conns: make([]conn, 1)}
	none.evictions.setUp(&none)
	none.evictions.said(&none.conns[0])
	none.evictions.ended(&none.conns[0], reasonIdle)
	if none.evictions.heard != nil || none.evictions.codes != nil {
		t.Error("followed without being asked")
	}
}
