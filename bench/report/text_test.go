package report

import (
	"strings"
	"testing"
)

func textOf(t *testing.T, r *Result) string {
	t.Helper()
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func expectText(t *testing.T, r *Result, want string) {
	t.Helper()
	if got := textOf(t, r); got != want[1:] {
		t.Errorf("got\n%s\nwant%s", got, want)
	}
}

func times(p50 float64) *Spread {
	return &Spread{P50: p50, P90: p50 * 2, P99: p50 * 10, P999: p50 * 100, Max: p50 * 1000, Count: 1000}
}

func TestTextOpenLoop(t *testing.T) {
	expectText(t, &Result{
		Scenario: "broadcast", Name: "throng", URL: []string{"ws://h/a", "ws://h/b"}, Workers: 2, Conns: 15000, Senders: 10, Rate: 1000, Payload: 128,
		Seconds: 30, Sent: 30000, Deliveries: 450_000_000, PerSecond: 15e6, Latency: times(812), Raw: times(0.5), LateMicros: 12_345,
		Connect: times(310), ConnectRate: 12_400, ClientCPU: 1.2, ClientBusy: 0.61, ClientEach: 812, ServerCPU: 0.97, ServerEach: 2.314,
	}, `
broadcast      throng at ws://h/a ws://h/b
load           open loop: 1,000 messages/s from 10 senders, however the server fares; 128 bytes each
connections    15,000, from 2 processes
sent           30,000 messages
deliveries     15.0 M/s, 450,000,000 over 30.0 s
latency        p50 812 µs, p90 1.62 ms, p99 8.12 ms, p99.9 81.2 ms, max 812 ms, from the plan
uncorrected    p50 0.5 µs, p90 1.00 µs, p99 5.00 µs, p99.9 50.0 µs, max 500 µs, from sending: blind to what held the sender up
behind plan    12.3 ms at worst
connect        p50 310 µs, p90 620 µs, p99 3.10 ms, p99.9 31.0 ms, max 310 ms
connected      12.4 k/s
server CPU     0.97 cores, 2.31 µs a delivery
client CPU     1.20 cores, the busiest process took 61 % of its core
client memory  812 B a connection
faults         none
`)
}

func TestTextClosedLoopWithFaults(t *testing.T) {
	expectText(t, &Result{
		Scenario: "broadcast", URL: []string{"ws://h/"}, Conns: 1, Rooms: 1, Senders: 1, InFlight: 1, Seconds: 1, Sent: 10, Deliveries: 9, PerSecond: 9,
		Latency: times(1000), ClientCPU: 0.98,
		Faults: Faults{Lost: 1, Duplicated: 1200, Reordered: 3, Corrupt: 4, Stray: 5, Disconnected: map[string]int{"reset": 7, "1008 \x1b[2J": 6, "x": 0}, Stalled: 8},
		Notes:  []string{"bound by the client", "two\nlines\n"},
	}, `
broadcast      ws://h/
load           closed loop: 1 message in flight from 1 sender, the next when one is back
connections    1 in 1 room
sent           10 messages
deliveries     9.00/s, 9 over 1.00 s
latency        p50 1.00 ms, p90 2.00 ms, p99 10.0 ms, p99.9 100 ms, max 1.00 s
client CPU     0.98 cores
faults         1 lost, 1,200 duplicated, 3 reordered, 4 corrupt, 5 in the wrong room, 6 disconnected (1008 �[2J), 7 disconnected (reset), 8 stalled
note           bound by the client
note           two
               lines
`)
}

func TestTextOfSingleScenarios(t *testing.T) {
	expectText(t, &Result{
		Scenario: "rooms", URL: []string{"ws://h/"}, Conns: 20, Rooms: 2,
		Memory:   &Memory{From: 10, To: 20, PSS: 691, RSS: 1024, Kernel: 4300},
		Fairness: &Fairness{Rooms: 2, BestP99: 1100, MedianP99: 2400, WorstP99: 5300, Worst: 1, Jain: 0.99871},
		Storm: &Storm{
			Clients: 15_000, Back: times(900), AllBack: 2_610_000, AllServed: 3_020_000, Attempts: 15_312,
			Refused: map[string]int{"503": 300, "reset": 12}, PeakCPU: 1.93, PeakMemory: 312 << 20,
		},
		Churn:   &Churn{PerSecond: 98.2, Wanted: 100, Cycles: 982},
		Slow:    &Slow{Readers: 3, CutOff: map[string]int{"too slow": 2}, Skipped: 1},
		Drift:   &Drift{Hours: 2, RSS: 1 << 20, FDs: -1, P99: 0},
		Evicted: &Evicted{Clients: 10, Late: times(5), Early: 2, Codes: map[string]int{"4008": 10}},
		Flood:   &Result{Scenario: "flood", URL: []string{"ws://h/"}, Faults: Faults{Lost: 2}, Notes: []string{"late"}},
	}, `
rooms          ws://h/
connections    20 in 2 rooms
memory         691 B PSS, 1.00 KiB RSS, 4.20 KiB kernel a connection, from 10 to 20
client CPU     0.00 cores
fairness       p99 of 2 rooms: best 1.10 ms, median 2.40 ms, worst 5.30 ms (room 1); Jain's index 0.9987
storm          15,000 clients: all back after 2.61 s, all served after 3.02 s
back           p50 900 µs, p90 1.80 ms, p99 9.00 ms, p99.9 90.0 ms, max 900 ms
attempts       15,312, refused: 300 (503), 12 (reset)
server's peak  1.93 cores, 312 MiB of memory
churn          98.2/s of 100/s wanted, 982 connections came and went
slow readers   3 that never read, cut off: 2 (too slow); 1 message kept from those still there without a word
drift          over 2.00 h: memory +1.00 MiB/h, descriptors -1.00/h, p99 0 µs/h
evicted        10 connections, 2 of them early; close codes: 10 (4008)
eviction late  p50 5.00 µs, p90 10.0 µs, p99 50.0 µs, p99.9 500 µs, max 5.00 ms
faults         none
the flooded room
  flood          ws://h/
  client CPU     0.00 cores
  faults         2 lost
  note           late
`)
}

func TestTextOfHandshakes(t *testing.T) {
	expectText(t, &Result{Scenario: "handshakes", URL: []string{"ws://h/"}, PerSecond: 9_996, Seconds: 5400, ServerCPU: 1, ServerEach: 100, ClientCPU: 0.5}, `
handshakes     ws://h/
handshakes     10.0 k/s over 90.0 min
server CPU     1.00 cores, 100 µs a handshake
client CPU     0.50 cores
faults         none
`)
}

func TestUnits(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{timeText(0), "0 µs"}, {timeText(0.034), "0.034 µs"}, {timeText(999.4), "999 µs"}, {timeText(999.7), "1.00 ms"},
		{timeText(-1500), "-1.50 ms"}, {timeText(1.5e9), "1,500 s"},
		{bytesText(1023), "1,020 B"}, {bytesText(1024), "1.00 KiB"}, {bytesText(3 << 30), "3.00 GiB"},
		{amountText(12), "12.0"}, {rateText(3_620_000), "3.62 M/s"}, {rateText(420_000), "420 k/s"}, {rateText(2.5e9), "2.50 G/s"},
		{grouped(-1234567), "-1,234,567"}, {grouped(uint64(999)), "999"}, {spanText(299), "299 s"}, {spanText(3 * 3600), "3.00 h"},
		{Machine{CPU: "x", Cores: 2, Memory: 8 << 30, Kernel: "6.1", TCP: "cubic", Go: "go1.26"}.String(), "x, 2 cores, 8.00 GiB, Linux 6.1, TCP cubic, go1.26"},
		{Machine{CPU: "x"}.String(), "x"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestFaultsAny(t *testing.T) {
	for _, f := range []Faults{{Lost: 1}, {Duplicated: 1}, {Reordered: 1}, {Corrupt: 1}, {Stray: 1}, {Stalled: 1}, {Disconnected: map[string]int{"reset": 1}}} {
		if !f.Any() || f.String() == "none" {
			t.Errorf("%+v is no fault", f)
		}
	}
	if f := (Faults{Disconnected: map[string]int{"reset": 0}}); f.Any() || f.String() != "none" {
		t.Errorf("nothing happened, and it is called %q", f)
	}
}
