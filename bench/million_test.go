package bench

import (
	"strings"
	"testing"
	"time"
)

func TestMillionPlan(t *testing.T) {
	whole := Million{Conns: 1e6, PerRoom: 100, ConnectRate: 8000, Hold: time.Minute}
	for name, c := range map[string]struct {
		change      func(*Million)
		descriptors int
		want        millionPlan
		wrong       string
	}{
		"a million": {descriptors: 20000, want: millionPlan{servers: 53, workers: 53, rooms: 10000, say: 10 * time.Second, idle: 278 * time.Second}},
		"a hundred thousand": {
			func(m *Million) { m.Conns = 1e5 }, 20000, millionPlan{servers: 6, workers: 6, rooms: 1000, say: time.Second, idle: 100 * time.Second}, "",
		},
		"low limits":        {nil, 1024, millionPlan{servers: 2000, workers: 1954, rooms: 10000, say: 10 * time.Second, idle: 278 * time.Second}, ""},
		"too low a limit":   {nil, 600, millionPlan{}, "ulimit -n 612"},
		"servers given":     {func(m *Million) { m.Servers = 60 }, 20000, millionPlan{servers: 60, workers: 53, rooms: 10000, say: 10 * time.Second, idle: 278 * time.Second}, ""},
		"too few servers":   {func(m *Million) { m.Servers = 50 }, 20000, millionPlan{}, "want 53 servers"},
		"too many servers":  {func(m *Million) { m.Conns, m.Servers = 200, 3 }, 20000, millionPlan{}, "at most one for each of 2 rooms"},
		"uneven rooms":      {func(m *Million) { m.Conns = 150 }, 20000, millionPlan{}, "multiple of --per-room 100"},
		"limit given":       {func(m *Million) { m.Conns, m.IdleTimeout = 200, 70*time.Second }, 20000, millionPlan{servers: 1, workers: 1, rooms: 2, say: time.Second, idle: 70 * time.Second}, ""},
		"limit too short":   {func(m *Million) { m.IdleTimeout = 70 * time.Second }, 20000, millionPlan{}, "want more than 1m10s"},
		"rate of nothing":   {func(m *Million) { m.ConnectRate = 0 }, 20000, millionPlan{}, "--connect-rate"},
		"nothing to hold":   {func(m *Million) { m.Hold = 0 }, 20000, millionPlan{}, "--for"},
		"servers below one": {func(m *Million) { m.Servers = -1 }, 20000, millionPlan{}, "--servers"},
	} {
		m := whole
		if c.change != nil {
			c.change(&m)
		}
		p, err := m.plan(c.descriptors)
		if c.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%s: got %v, want %q in it", name, err, c.wrong)
			}
			continue
		}
		why := p.why
		p.why = ""
		if err != nil || p != c.want || why == "" {
			t.Errorf("%s: %+v %q, %v, want %+v", name, p, why, err, c.want)
		}
	}
}

func TestMillionTooSlow(t *testing.T) {
	m := Million{Conns: 1e6, PerRoom: 100, ConnectRate: 8000, Hold: time.Minute}
	p, err := m.plan(20000)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		open   int
		passed time.Duration
		advice string
	}{
		"at the beginning":        {1, 20 * time.Second, ""},
		"at its rate":             {500000, 62 * time.Second, ""},
		"a little behind":         {500000, 90 * time.Second, ""},
		"far behind":              {200000, 60 * time.Second, "--idle-timeout 9m"},
		"nothing came":            {10, 210 * time.Second, "--idle-timeout"},
		"all there, and too late": {1e6, 210 * time.Second, "--idle-timeout"},
	} {
		err := p.tooSlow(&m, c.open, c.passed)
		if (err == nil) != (c.advice == "") || err != nil && !strings.Contains(err.Error(), c.advice) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
