package bench

import (
	"context"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"

	"throng/bench/report"
)

func TestScenarios(t *testing.T) {
	const short = 150 * time.Millisecond
	for _, batch := range []bool{false, true} {
		for name, cfg := range map[string]Load{
			"broadcast":       {Conns: 50, Senders: 10, InFlight: 10},
			"one sender":      {Conns: 50, Senders: 1, InFlight: 100, Options: Options{Payload: 1000}},
			"long messages":   {Conns: 5, Senders: 5, InFlight: 10, Options: Options{Payload: 60000}},
			"echo":            {Conns: 20, Rooms: 20, Senders: 20, InFlight: 20},
			"rooms":           {Conns: 60, Rooms: 6, Senders: 12, InFlight: 30, Scenario: "rooms"},
			"open":            {Conns: 50, Senders: 1, Rate: 100},
			"open, many":      {Conns: 20, Rooms: 2, Senders: 10, Rate: 20},
			"one to nobody":   {Conns: 1, Senders: 1, InFlight: 1},
			"tokens unevenly": {Conns: 9, Senders: 3, InFlight: 10},
			"envelope":        {Conns: 20, Senders: 2, Rate: 50, Options: Options{Prefix: "<", Suffix: ">", Payload: 40}},
			"text":            {Conns: 20, Senders: 4, InFlight: 8, Options: Options{Text: true, Payload: 60}},
			"two workers":     {Conns: 21, Senders: 3, Rate: 50, Options: Options{Workers: 2}},
			"three, closed":   {Conns: 40, Rooms: 4, Senders: 8, InFlight: 16, Options: Options{Workers: 3}, Scenario: "rooms"},
		} {
			t.Run(fmt.Sprintf("%s, batch %v", name, batch), func(t *testing.T) {
				t.Parallel()
				cfg.URL, cfg.For, cfg.PID, cfg.self = []string{ideal(t, batch)}, short, []int{os.Getpid()}, asSelf(t)
				if cfg.Payload == 0 {
					cfg.Payload = 32
				}
				r, err := cfg.Run(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				healthy(t, r, cfg)
			})
		}
	}
}

// healthy is what a run against a server without faults has to look like.
func healthy(t *testing.T, r *report.Result, cfg Load) {
	t.Helper()
	if r.Faults.Any() || r.PerSecond == 0 || r.Latency == nil || r.Latency.P99 == 0 || r.Workers != max(cfg.Workers, 1) {
		t.Errorf("%+v, faults %s", r, r.Faults)
	}
	members := cfg.Conns / max(cfg.Rooms, 1)
	if want := cfg.Rate * float64(cfg.Senders*members); want > 0 && r.PerSecond > want*3 { // less is a slow machine's right
		t.Errorf("%.0f deliveries a second, planned %.0f", r.PerSecond, want)
	}
	if cfg.Scenario == "rooms" && (r.Fairness == nil || r.Fairness.Jain == 0 || r.Fairness.WorstP99 < r.Fairness.BestP99) {
		t.Errorf("fairness %+v", r.Fairness)
	}
}

// TestTargets spreads a run over two servers: a room is at one of them, and without rooms each has a room of its own.
func TestTargets(t *testing.T) {
	for name, cfg := range map[string]Load{
		"rooms": {Conns: 20, Rooms: 4, Senders: 4, Rate: 50},
		"one":   {Conns: 20, Senders: 2, Rate: 50},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg.Options = to(ideal(t, false), ideal(t, false))
			cfg.For = 150 * time.Millisecond
			r, err := cfg.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if r.Faults.Any() || r.Deliveries == 0 {
				t.Errorf("%d deliveries, faults %s", r.Deliveries, r.Faults)
			}
		})
	}
}

func TestHandshakes(t *testing.T) {
	t.Parallel()
	o := to(ideal(t, false))
	o.PID = []int{os.Getpid()}
	r, err := Handshakes{Options: o, Concurrent: 20, For: 200 * time.Millisecond}.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if r.PerSecond == 0 || r.Faults.Any() || r.Connect == nil {
		t.Errorf("%.0f a second, faults %s", r.PerSecond, r.Faults)
	}
}

func TestIdle(t *testing.T) {
	t.Parallel()
	for _, workers := range []int{1, 2} {
		o := to(ideal(t, false))
		o.PID, o.Workers, o.self, o.ConnectRate = []int{os.Getpid()}, workers, asSelf(t), 1000
		r, err := Idle{Options: o, Base: 50, Conns: 100, Settle: 50 * time.Millisecond, For: 50 * time.Millisecond}.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if r.ConnectRate == 0 || r.ConnectRate > 1500 || r.Faults.Any() || r.Memory == nil || r.Connect == nil || r.Connect.Count != 100 {
			t.Errorf("%+v", r)
		}
	}
}

// TestIdleNamesTheClosed: who is sent away while it only holds is a fault, by the reason given, and stops nobody.
func TestIdleNamesTheClosed(t *testing.T) {
	t.Parallel()
	s := &faulty{greet: func(n int, c net.Conn) {
		if n == victim {
			_ = ws.WriteFrame(c, ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusGoingAway, "enough")))
		}
	}}
	o := to(s.start(t))
	o.PID = []int{os.Getpid()}
	r, err := Idle{Options: o, Base: 10, Conns: 20, Settle: 300 * time.Millisecond}.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Faults.Disconnected) != 1 || r.Faults.Disconnected[`closed with 1001 "enough"`] != 1 {
		t.Errorf("faults %s", r.Faults)
	}
}

func TestStorm(t *testing.T) {
	t.Parallel()
	for _, workers := range []int{1, 2} {
		o := to(ideal(t, false))
		o.Workers, o.self = workers, asSelf(t)
		r, err := Storm{Options: o, Conns: 60, Rounds: 2}.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s := r.Storm
		if s.Clients != 60 || s.Back.Count != 120 || s.Served.Count != 120 || s.Attempts < 120 || s.AllServed < s.AllBack || r.Faults.Any() {
			t.Errorf("%+v back %+v served %+v, faults %s", s, s.Back, s.Served, r.Faults)
		}
	}
}

func TestChurn(t *testing.T) {
	t.Parallel()
	for _, workers := range []int{1, 2} {
		o := to(ideal(t, false))
		o.Workers, o.self = workers, asSelf(t)
		r, err := Load{Options: o, Scenario: "churn", Conns: 40, Senders: 2, Rate: 50, Churn: 100, For: time.Second}.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if r.Churn.Cycles == 0 || r.Churn.PerSecond > 150 || r.Faults.Any() || r.Deliveries == 0 {
			t.Errorf("%+v, faults %s", r.Churn, r.Faults)
		}
	}
}

func TestSlow(t *testing.T) {
	t.Parallel()
	for name, rate := range map[string]int{"never": 0, "slowly": 2000} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := to(ideal(t, true))
			o.Payload = 8000
			r, err := Load{Options: o, Scenario: "slow", Conns: 20, Senders: 2, Rate: 100, Slow: 0.2, SlowRead: rate, For: time.Second, quiet: 300 * time.Millisecond}.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if r.Slow == nil || r.Slow.Readers < 2 || r.Slow.Readers > 4 || r.Faults.Any() || r.Deliveries == 0 {
				t.Errorf("%+v, faults %s", r.Slow, r.Faults)
			}
		})
	}
}

func TestFlood(t *testing.T) {
	t.Parallel()
	o := to(ideal(t, true))
	o.self = asSelf(t)
	f := RoomsFlags{Rooms: 2, Members: 3, RoomSenders: 1, Rate: 50, Flood: 30, FloodSenders: 2, FloodWindow: 3}
	cfg, err := f.rooms(o, Window{For: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	r, err := cfg.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if r.Fairness == nil || r.Faults.Any() || r.Flood == nil || r.Flood.Deliveries == 0 || r.Flood.Faults.Any() || r.Flood.Conns != 30 {
		t.Errorf("%+v, flood %+v", r, r.Flood)
	}
}

// TestStoppedRunReports ends runs of an hour by hand.
func TestStoppedRunReports(t *testing.T) {
	t.Parallel()
	for _, workers := range []int{1, 2} {
		ctx, cancel := context.WithCancel(t.Context())
		cfg := Load{Options: to(ideal(t, false)), Conns: 10, Senders: 2, InFlight: 2, For: time.Hour}
		cfg.Workers, cfg.self = workers, asSelf(t)
		cfg.Progress = func(text string) {
			if strings.HasSuffix(text, "sending") {
				time.AfterFunc(500*time.Millisecond, cancel)
			}
		}
		r, err := cfg.Run(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if r.Seconds < 0.1 || r.Seconds > 5 || r.Deliveries == 0 || r.Faults.Any() || !strings.Contains(strings.Join(r.Notes, ";"), "by hand") {
			t.Errorf("%.2f s, %d deliveries, faults %s, notes %q", r.Seconds, r.Deliveries, r.Faults, r.Notes)
		}
	}
}

// TestWorkerThatDies kills one of two worker processes while they measure. It is not parallel: it has to find its own.
func TestWorkerThatDies(t *testing.T) {
	cfg := Load{Options: to(ideal(t, false)), Conns: 10, Senders: 2, InFlight: 2, For: time.Hour}
	cfg.Workers, cfg.self = 2, asSelf(t)
	var killed atomic.Bool
	cfg.Progress = func(text string) {
		if strings.HasPrefix(text, "measuring") && !killed.Swap(true) {
			_ = unix.Kill(workersOf(t)[0], unix.SIGKILL)
		}
	}
	_, err := cfg.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "of 2 is gone") || !strings.Contains(err.Error(), "killed") {
		t.Errorf("got %v", err)
	}
}

// TestSamples: a run of some seconds has a sample for each, and they add up.
func TestSamples(t *testing.T) {
	t.Parallel()
	cfg := Load{Options: to(ideal(t, false)), Conns: 10, Senders: 1, Rate: 100, Warmup: 100 * time.Millisecond, For: 2500 * time.Millisecond, Drift: true}
	cfg.Workers, cfg.self, cfg.PID = 2, asSelf(t), []int{os.Getpid()}
	r, err := cfg.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var deliveries float64
	inside := 0
	for _, s := range r.Samples {
		if s.At > 0.01 && s.At < 2.6 {
			deliveries += s.Deliveries * s.Seconds
			inside++
		}
	}
	if first := r.Samples[0]; first.Measured() || first.Deliveries > 1500 {
		t.Errorf("the first sample is of the time before, and takes it for longer than it was: %+v", first)
	}
	if inside < 3 || deliveries < 1250 || deliveries > 3200 || r.Samples[len(r.Samples)-1].ServerRSS == 0 {
		t.Errorf("%d samples with %.0f deliveries, of %d: %+v", inside, deliveries, r.Deliveries, r.Samples)
	}
}

func TestSeriesIsBounded(t *testing.T) {
	s := series{}
	s.init(1, nil)
	for i := range 5 * samplesMax {
		s.add(0, &tick{N: i, At: instant(i+1) * instant(time.Second), Took: time.Second, Done: 7})
	}
	var seconds, done float64
	for _, one := range s.list() {
		seconds += one.Seconds
		done += one.Deliveries * one.Seconds
	}
	if len(s.samples) > samplesMax || len(s.samples) < samplesMax/2-1 || int(seconds) != 5*samplesMax || int(done+0.5) != 7*5*samplesMax {
		t.Errorf("%d samples of %.0f s with %.0f deliveries", len(s.samples), seconds, done)
	}
}

func TestClearErrors(t *testing.T) {
	t.Parallel()
	url := ideal(t, false)
	good := Load{Options: to(url), Conns: 10, Senders: 1, InFlight: 1, For: time.Second}
	for want, spoil := range map[string]func(*Load){
		"start the server first":   func(c *Load) { c.URL = []string{"ws://127.0.0.1:1/"} },
		"want ws://HOST:PORT":      func(c *Load) { c.URL = []string{"http://127.0.0.1:80/"} },
		"ulimit -n":                func(c *Load) { c.Conns, c.Workers = 1<<22, 1 },
		"--senders 11":             func(c *Load) { c.Senders = 11 },
		"--payload 27":             func(c *Load) { c.Payload = 27 },
		"want 46 to":               func(c *Load) { c.Text = true },
		"one of them":              func(c *Load) { c.Rate = 1 },
		"--in-flight 1":            func(c *Load) { c.Senders = 2 },
		"do not divide":            func(c *Load) { c.Rooms = 3 },
		"--for 0s":                 func(c *Load) { c.For = 0 },
		"--warmup -1s":             func(c *Load) { c.Warmup = -time.Second },
		"--rate +Inf":              func(c *Load) { c.InFlight, c.Rate = 0, math.Inf(1) },
		"--rate NaN":               func(c *Load) { c.InFlight, c.Rate = 0, math.NaN() },
		"--rate 1e+300":            func(c *Load) { c.InFlight, c.Rate = 0, 1e300 },
		"--in-flight 1000000000":   func(c *Load) { c.InFlight = 1e9 },
		"--connect-rate NaN":       func(c *Load) { c.ConnectRate = math.NaN() },
		"--churn NaN":              func(c *Load) { c.Churn = math.NaN() },
		"that is nobody":           func(c *Load) { c.Slow = 0.01 },
		"--workers 300":            func(c *Load) { c.Workers, c.Conns = 300, 1000 },
		"--nice 99":                func(c *Load) { c.Nice = 99 },
		"to begin with /":          func(c *Load) { c.Path = "rooms/a" },
		"speaks no TLS":            func(c *Load) { c.URL = []string{"wss://127.0.0.1:1/"} },
		"connect from 192.0.2.1":   func(c *Load) { c.Source = []string{"192.0.2.1"} },
		"following every sequence": func(c *Load) { c.Conns, c.Senders, c.InFlight = 18000, 18000, 18000 },
		"--workers 11":             func(c *Load) { c.Workers = 11 },
		"--source \"x\"":           func(c *Load) { c.Source = []string{"x"} },
		"want no space":            func(c *Load) { c.Path = "/a b" },
		"subprotocol":              func(c *Load) { c.Subprotocol = "chat" },
	} {
		cfg := good
		spoil(&cfg)
		if _, err := cfg.Run(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want something with %q", err, want)
		}
	}
	if _, err := Ideal(IdealConfig{Listen: strings.TrimSuffix(strings.TrimPrefix(url, "ws://"), "/")}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second server on one port: %v", err)
	}
	if _, err := Ideal(IdealConfig{Listen: "localhost"}); err == nil {
		t.Error("an address without a port was taken")
	}
}

// workersOf finds the worker processes that this one has started.
func workersOf(t *testing.T) (pids []int) {
	t.Helper()
	names, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		words, _ := os.ReadFile(name)
		stat, _ := os.ReadFile(filepath.Join(filepath.Dir(name), "stat"))
		_, rest, _ := strings.Cut(string(stat), ") ")
		var state string
		var parent int
		_, _ = fmt.Sscan(rest, &state, &parent)
		if parent == os.Getpid() && strings.HasSuffix(string(words), "\x00worker\x00") {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			pids = append(pids, pid)
		}
	}
	return pids
}
