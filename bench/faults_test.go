package bench

import (
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"throng/bench/report"
)

// faulty is a server that broadcasts to everybody, whatever the room, and does to deliveries what a test wants.
type faulty struct {
	mu    sync.Mutex
	conns []net.Conn
	count []int // deliveries so far, by connection
	// deliver gets the n-th payload for connection c and returns what to write instead; nil closes.
	deliver func(c, n int, payload []byte) [][]byte
	greet   func(c int, conn net.Conn) // may be nil: what a new connection hears first
}

func (s *faulty) start(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: s}
	var done sync.WaitGroup
	done.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() {
		_ = server.Close()
		done.Wait()
	})
	return "ws://" + l.Addr().String() + "/"
}

func (s *faulty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, _, _, err := ws.UpgradeHTTP(r, w)
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	s.mu.Lock()
	s.conns, s.count = append(s.conns, c), append(s.count, 0)
	if s.greet != nil {
		s.greet(len(s.conns)-1, c)
	}
	s.mu.Unlock()
	for {
		b, op, err := wsutil.ReadClientData(c)
		if err != nil {
			return
		}
		s.mu.Lock()
		for i, to := range s.conns {
			out := s.deliver(i, s.count[i], b)
			s.count[i]++
			if out == nil {
				_ = to.Close()
			}
			for _, p := range out {
				_ = wsutil.WriteServerMessage(to, op, p)
			}
		}
		s.mu.Unlock()
	}
}

// The probe's connection is the first one that a server sees; the loader's are numbered from 1.
const victim = 3

// deliver is what becomes of the n-th payload for the victim.
type deliver = func(n int, b []byte) [][]byte

var faultCases = map[string]struct {
	make func() deliver
	want func(report.Faults) bool
}{
	"drop": {func() deliver {
		return func(n int, b []byte) [][]byte {
			if n == 5 || n == 6 {
				return [][]byte{}
			}
			return [][]byte{b}
		}
	}, func(f report.Faults) bool { return f.Lost == 2 && f.Duplicated+f.Reordered+f.Corrupt+f.Stray == 0 }},
	"drop the last": {func() deliver {
		return func(n int, b []byte) [][]byte {
			if n >= 10 {
				return [][]byte{}
			}
			return [][]byte{b}
		}
	}, func(f report.Faults) bool { return f.Lost > 0 && f.Duplicated+f.Reordered+f.Corrupt+f.Stray == 0 }},
	"duplicate": {func() deliver {
		return func(n int, b []byte) [][]byte {
			if n == 5 {
				return [][]byte{b, b, b}
			}
			return [][]byte{b}
		}
	}, func(f report.Faults) bool { return f.Duplicated == 2 && f.Lost+f.Reordered+f.Corrupt+f.Stray == 0 }},
	"reorder": {func() deliver {
		var held []byte
		return func(n int, b []byte) [][]byte {
			switch n {
			case 5:
				held = b
				return [][]byte{}
			case 7:
				return [][]byte{b, held}
			}
			return [][]byte{b}
		}
	}, func(f report.Faults) bool { return f.Reordered == 1 && f.Lost+f.Duplicated+f.Corrupt+f.Stray == 0 }},
	"corrupt": {func() deliver {
		return func(n int, b []byte) [][]byte {
			if n < 32 {
				b = append([]byte{}, b...)
				b[n%len(b)] ^= 4
			}
			return [][]byte{b}
		}
	}, func(f report.Faults) bool {
		return f.Corrupt >= 23 && f.Corrupt <= 32 && f.Lost >= 31 && f.Duplicated+f.Reordered+f.Stray == 0
	}},
	"cut": {func() deliver {
		return func(n int, b []byte) [][]byte {
			if n == 5 {
				b = b[:20]
			}
			return [][]byte{b}
		}
	}, func(f report.Faults) bool { return f.Corrupt == 1 && f.Lost == 1 }},
	"disconnect": {func() deliver {
		return func(n int, b []byte) [][]byte {
			if n == 5 {
				return nil
			}
			return [][]byte{b}
		}
	}, func(f report.Faults) bool {
		return len(f.Disconnected) == 1 && f.Duplicated+f.Reordered+f.Corrupt+f.Stray == 0
	}},
}

func TestFaultsAreNamed(t *testing.T) {
	for name, c := range faultCases {
		for kind, o := range map[string]Options{
			"one worker":        {Payload: 32},
			"two workers":       {Payload: 32, Workers: 2, self: asSelf(t)},
			"text":              {Payload: 60, Text: true, Prefix: "<", Suffix: ">"},
			"two workers, text": {Payload: 60, Text: true, Workers: 2, self: asSelf(t)},
		} {
			t.Run(name+", "+kind, func(t *testing.T) {
				t.Parallel()
				server := &faulty{}
				deliver := c.make()
				server.deliver = func(to, n int, b []byte) [][]byte {
					if to == victim {
						return deliver(n, b)
					}
					return [][]byte{b}
				}
				o.URL = []string{server.start(t)}
				cfg := Load{Options: o, Conns: 5, Senders: 1, Rate: 400, For: 200 * time.Millisecond, quiet: time.Second}
				r, err := cfg.Run(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if !c.want(r.Faults) || len(r.Notes) == 0 {
					t.Errorf("named: %s; notes %q", r.Faults, r.Notes)
				}
			})
		}
	}
}

func TestStrayIsNamed(t *testing.T) {
	t.Parallel()
	s := &faulty{deliver: func(_, _ int, b []byte) [][]byte { return [][]byte{b} }}
	cfg := Load{Options: to(s.start(t)), Conns: 4, Rooms: 2, Senders: 2, Rate: 50, For: 100 * time.Millisecond, quiet: time.Second}
	r, err := cfg.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if r.Faults.Stray == 0 || r.Faults.Lost+r.Faults.Corrupt+r.Faults.Duplicated > 0 {
		t.Errorf("named: %s", r.Faults)
	}
}

// TestDelayShows holds one connection's messages back for a tenth of a second: no fault, and no secret.
func TestDelayShows(t *testing.T) {
	t.Parallel()
	var held [][]byte
	s := &faulty{deliver: func(conn, n int, b []byte) [][]byte {
		if conn != victim || n < 5 || n > 45 {
			return [][]byte{b}
		}
		if held = append(held, b); n < 45 {
			return [][]byte{}
		}
		return held
	}}
	r, err := Load{Options: to(s.start(t)), Conns: 5, Senders: 1, Rate: 400, For: 300 * time.Millisecond}.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if r.Faults.Any() || r.Latency.Max < 95e3 {
		t.Errorf("at most %.0f us, faults %s", r.Latency.Max, r.Faults)
	}
}

// TestStallIsNamed gives one connection nothing for a while and then all of it: nothing is lost, and yet it was.
func TestStallIsNamed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		comesBack bool
		workers   int
	}{"for a while": {true, 1}, "to the end": {false, 1}, "two workers": {true, 2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			comesBack := c.comesBack
			const rate, from, to = 100, 220, 380
			var held [][]byte
			s := &faulty{deliver: func(conn, n int, b []byte) [][]byte {
				switch {
				case conn != victim || n < from:
					return [][]byte{b}
				case n < to || !comesBack:
					held = append(held, b)
					return [][]byte{}
				}
				all := append(held, b)
				held = nil
				return all
			}}
			cfg := Load{Conns: 5, Senders: 1, Rate: rate, For: 4500 * time.Millisecond, quiet: time.Second}
			cfg.URL, cfg.Payload, cfg.Workers, cfg.self = []string{s.start(t)}, 32, c.workers, asSelf(t)
			r, err := cfg.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if r.Faults.Stalled != 1 || comesBack != (r.Faults.Lost == 0) {
				t.Errorf("named: %s", r.Faults)
			}
		})
	}
}

// TestLatencyFromThePlan stalls the server once for a known time, in which the plan goes on. The message under way
// waits it all, the others what is left of it: a client that waits for answers would have seen one slow message.
func TestLatencyFromThePlan(t *testing.T) {
	t.Parallel()
	const stall, rate, window = 400 * time.Millisecond, 200, time.Second
	s := &faulty{deliver: func(to, n int, b []byte) [][]byte {
		if to == 1 && n == 60 {
			time.Sleep(stall)
		}
		return [][]byte{b}
	}}
	r, err := Load{Options: to(s.start(t)), Conns: 3, Senders: 1, Rate: rate, For: window}.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// 200 messages, 80 of them planned within the stall: 20 of those wait at least 300 ms, a tenth of all. A slow
	// machine makes it more, never less.
	l := r.Latency
	if l.P90 < 200e3 || l.Max < 395e3 || r.Faults.Any() {
		t.Errorf("p90 %.0f, max %.0f us, faults %s", l.P90, l.Max, r.Faults)
	}
	if l.Count < 3*rate*9/10 {
		t.Errorf("%d latencies, want one for each of about %d deliveries", l.Count, 3*rate)
	}
}

// TestLatencyOfALateSender holds the loader itself up: the plan does not wait for it, and it owns up.
func TestLatencyOfALateSender(t *testing.T) {
	t.Parallel()
	const heldUp = 200 * time.Millisecond
	cfg := Load{Options: to(ideal(t, false)), Conns: 2, Senders: 1, Rate: 100, For: 1500 * time.Millisecond}
	cfg.held = func(second int) {
		if second == 0 { // its end
			time.Sleep(heldUp)
		}
	}
	r, err := cfg.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if r.Latency.P90 < 40e3 || r.Raw.P90 > 0.6*r.Latency.P90 || r.LateMicros < 180e3 || len(r.Notes) == 0 {
		t.Errorf("p90 from the plan %.0f, from sending %.0f, late %.0f us, notes %q", r.Latency.P90, r.Raw.P90, r.LateMicros, r.Notes)
	}
}
