package bench

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain makes the test binary its own loader and yardstick, as the program is; and lets no test leave a goroutine
// or a descriptor behind.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "as-bench" {
		if err := asBench(os.Args[2], os.Args[3:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	before := descriptors()
	code := m.Run()
	deadline := time.Now().Add(2 * time.Second)
	for runtime.NumGoroutine() > 2 && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	if n := runtime.NumGoroutine(); n > 2 && code == 0 && flag.Lookup("test.fuzz").Value.String() == "" {
		b := make([]byte, 64<<10)
		fmt.Fprintf(os.Stderr, "%d goroutines are left:\n%s\n", n, b[:runtime.Stack(b, true)])
		code = 1
	}
	// One eventfd is the runtime's, for its own poller.
	if n := descriptors(); n > before+1 && code == 0 {
		fmt.Fprintf(os.Stderr, "%d descriptors are left, %d before\n", n, before)
		code = 1
	}
	os.Exit(code)
}

func asBench(scenario string, args []string) error {
	var ideal IdealCmd
	var closed BroadcastCmd
	var open OpenCmd
	f := flag.NewFlagSet(scenario, flag.ContinueOnError)
	f.StringVar(&ideal.Listen, "listen", "", "")
	f.BoolVar(&ideal.Batch, "batch", false, "")
	f.StringVar(&open.URL, "url", "", "")
	f.IntVar(&open.Conns, "conns", 0, "")
	f.IntVar(&open.Senders, "senders", 0, "")
	f.IntVar(&closed.InFlight, "in-flight", 0, "")
	f.Float64Var(&open.Rate, "rate", 0, "")
	f.IntVar(&open.Payload, "payload", 32, "")
	f.DurationVar(&open.For, "for", 0, "")
	f.DurationVar(&open.Warmup, "warmup", 0, "")
	f.IntVar(&open.PID, "pid", 0, "")
	f.IntVar(&open.Nice, "nice", 0, "")
	f.BoolVar(&open.JSON, "json", false, "")
	if err := f.Parse(args); err != nil {
		return err
	}
	switch scenario {
	case "ideal":
		return ideal.Run()
	case "open":
		return open.Run()
	}
	closed.URL, closed.Conns, closed.Senders, closed.Payload, closed.For = open.URL, open.Conns, open.Senders, open.Payload, open.For
	closed.Output = open.Output
	return closed.Run()
}

func ideal(t *testing.T, batch bool) string {
	t.Helper()
	s, err := Ideal(IdealConfig{Listen: "127.0.0.1:0", Batch: batch})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return "ws://" + s.Addr() + "/"
}

// descriptors counts what is open and is no file of the runtime's own.
func descriptors() (sockets int) {
	names, _ := os.ReadDir("/proc/self/fd")
	for _, n := range names {
		to, _ := os.Readlink("/proc/self/fd/" + n.Name())
		if strings.HasPrefix(to, "socket:") || strings.Contains(to, "timerfd") || strings.Contains(to, "eventfd") {
			sockets++
		}
	}
	return sockets
}

func TestScenarios(t *testing.T) {
	const short = 150 * time.Millisecond
	for _, batch := range []bool{false, true} {
		for name, cfg := range map[string]Load{
			"broadcast":       {Conns: 50, Senders: 10, InFlight: 10},
			"one sender":      {Conns: 50, Senders: 1, InFlight: 100, Payload: 1000},
			"long messages":   {Conns: 5, Senders: 5, InFlight: 10, Payload: 60000},
			"echo":            {Conns: 20, Rooms: 20, Senders: 20, InFlight: 20},
			"rooms":           {Conns: 60, Rooms: 6, Senders: 12, InFlight: 30},
			"open":            {Conns: 50, Senders: 1, Rate: 100},
			"open, many":      {Conns: 20, Rooms: 2, Senders: 10, Rate: 20},
			"one to nobody":   {Conns: 1, Senders: 1, InFlight: 1},
			"tokens unevenly": {Conns: 9, Senders: 3, InFlight: 10},
		} {
			t.Run(fmt.Sprintf("%s, batch %v", name, batch), func(t *testing.T) {
				t.Parallel()
				cfg.URL, cfg.For, cfg.PID = ideal(t, batch), short, os.Getpid()
				if cfg.Payload == 0 {
					cfg.Payload = 32
				}
				r, err := cfg.Run(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if r.Faults.Any() || r.PerSecond == 0 || r.Latency == nil || r.Latency.P99 == 0 {
					t.Errorf("%+v, faults %s", r, r.Faults)
				}
				if want := cfg.Rate * float64(cfg.Senders) * float64(cfg.Conns/max(cfg.Rooms, 1)); want > 0 && r.PerSecond > want*3 { // less is a slow machine's right
					t.Errorf("%.0f deliveries a second, planned %.0f", r.PerSecond, want)
				}
			})
		}
	}
}

func TestHandshakes(t *testing.T) {
	t.Parallel()
	r, err := Handshakes{URL: ideal(t, false), Concurrent: 20, For: 200 * time.Millisecond, PID: os.Getpid()}.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if r.PerSecond == 0 || r.Faults.Any() {
		t.Errorf("%.0f a second, faults %s", r.PerSecond, r.Faults)
	}
}

func TestIdle(t *testing.T) {
	t.Parallel()
	r, err := Idle{URL: ideal(t, false), Base: 50, Conns: 100, Settle: 50 * time.Millisecond, PID: os.Getpid()}.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if r.ConnectRate == 0 || r.Faults.Any() {
		t.Errorf("%+v", r)
	}
}

func TestStoppedRunReports(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cfg := Load{URL: ideal(t, false), Conns: 10, Senders: 2, InFlight: 2, Payload: 32, For: time.Hour}
	cfg.Progress = func(format string, _ ...any) {
		if format == progressSending {
			time.AfterFunc(300*time.Millisecond, cancel)
		}
	}
	r, err := cfg.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if r.Seconds < 0.2 || r.Seconds > 5 || r.Deliveries == 0 || r.Faults.Any() {
		t.Errorf("%.2f s, %d deliveries, faults %s", r.Seconds, r.Deliveries, r.Faults)
	}
}

func TestClearErrors(t *testing.T) {
	t.Parallel()
	url := ideal(t, false)
	good := Load{URL: url, Conns: 10, Senders: 1, InFlight: 1, Payload: 32, For: time.Second}
	for want, spoil := range map[string]func(*Load){
		"start the server first":   func(c *Load) { c.URL = "ws://127.0.0.1:1/" },
		"want ws://HOST:PORT":      func(c *Load) { c.URL = "http://127.0.0.1:80/" },
		"ulimit -n":                func(c *Load) { c.Conns = 1 << 22 },
		"--senders 11":             func(c *Load) { c.Senders = 11 },
		"--payload 27":             func(c *Load) { c.Payload = 27 },
		"one of them":              func(c *Load) { c.Rate = 1 },
		"--in-flight 1":            func(c *Load) { c.Senders = 2 },
		"do not divide":            func(c *Load) { c.Rooms = 3 },
		"--for":                    func(c *Load) { c.For = 0 },
		"following every sequence": func(c *Load) { c.Conns, c.Senders, c.InFlight = 18000, 18000, 18000 },
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
