package report

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Samples of what runs give, made up from one seed, for tests and for looking at pages.

var sampleMachine = Machine{CPU: "AMD EPYC 7B13", Cores: 2, Memory: 8 << 30, Kernel: "6.1.0", TCP: "cubic", Go: "go1.26.8"}

// sampleSpread is of so many times around a middle in microseconds, with a long tail.
func sampleSpread(seed uint64, count int, middle, tail float64) *Spread {
	source := rand.New(rand.NewPCG(seed, 1))
	h := hdrhistogram.New(1, int64(time.Minute), 3)
	for range count {
		v := middle * math.Exp(source.NormFloat64()*0.35)
		if source.Float64() < 0.004 {
			v += source.ExpFloat64() * tail
		}
		if err := h.RecordValue(int64(v * 1e3)); err != nil {
			panic(err)
		}
	}
	return SpreadOf(h)
}

// sampleSeries is the samples of a run of so many seconds after a second of connecting and one of warming up.
func sampleSeries(seed uint64, conns, seconds int, deliveries float64) []Sample {
	source := rand.New(rand.NewPCG(seed, 2))
	var list []Sample
	for at := -2; at <= seconds; at++ {
		wave := 1 + 0.04*math.Sin(float64(at)/4) + 0.02*source.NormFloat64()
		s := Sample{At: float64(at), Seconds: 1, Open: conns, ServerRSS: int64(48<<20 + conns*700 + at*20000), ServerFDs: conns + 24}
		if at < -1 {
			s.Open = conns / 2
			s.ServerCPU, s.ClientCPU = 0.4, 0.5
			list = append(list, s)
			continue
		}
		s.Deliveries, s.Sent = deliveries*wave, deliveries*wave/float64(conns)
		s.ServerCPU, s.ClientCPU = 0.96*wave, 0.71*wave
		s.P50, s.P99, s.Max = 810*wave, 2400*wave*wave, 4100+9000*source.ExpFloat64()
		s.Batch = 3.4 * wave
		s.GCCPU, s.GCPause = 0.008+0.004*source.Float64(), 180+60*source.Float64()
		list = append(list, s)
	}
	return list
}

// sampleBroadcast is an open loop with nothing wrong.
func sampleBroadcast(seed uint64) *Result {
	r := &Result{
		Format: Format, Scenario: "broadcast", Name: "throng", Began: time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC),
		URL:      []string{"ws://127.0.0.1:8080/rooms/bench"},
		Settings: []Setting{{"conns", "10000"}, {"senders", "10"}, {"rate", "10"}, {"payload", "128"}, {"for", "30s"}, {"warmup", "1s"}},
		Machine:  sampleMachine, Workers: 1, Conns: 10000, Senders: 10, Rate: 100, Payload: 128, Seconds: 30,
		Sent: 3000, Deliveries: 30_000_000, PerSecond: 1_000_000,
		Latency: sampleSpread(seed, 20_000, 820, 6000), Raw: sampleSpread(seed+100, 20_000, 790, 1500),
		Connect: sampleSpread(seed+200, 10_000, 310, 900), ConnectRate: 12_400, LateMicros: 412,
		ClientCPU: 0.71, ClientBusy: 0.71, ClientEach: 812, ServerCPU: 0.96, ServerEach: 0.96,
		Samples: sampleSeries(seed, 10000, 30, 1_000_000),
	}
	return r
}

// sampleClosed is a closed loop with faults, notes and hostile text.
func sampleClosed() *Result {
	r := sampleBroadcast(7)
	r.Name, r.URL = `<script>alert("x")</script>`, []string{`ws://evil/"><img src=x onerror=alert(1)>`}
	r.Rate, r.InFlight, r.Raw, r.LateMicros = 0, 400, nil, 0
	r.Faults = Faults{Lost: 1234, Duplicated: 2, Reordered: 17, Disconnected: map[string]int{"1008 slow \x1b[31mconsumer": 3}, Stalled: 1}
	r.Notes = []string{"bound by the client: it took 98 % of a core", "the clock stepped by 1.2 s\nwhile measuring", "</script><script>alert(2)</script>"}
	return r
}

// sampleStorm has all the parts that single scenarios have.
func sampleStorm() *Result {
	r := sampleBroadcast(11)
	r.Scenario, r.Rooms, r.Workers = "storm", 1000, 2
	r.Memory = &Memory{From: 10_000, To: 19_000, PSS: 691, RSS: 702, Kernel: 4300}
	r.Fairness = &Fairness{Rooms: 1000, BestP99: 1100, MedianP99: 2400, WorstP99: 5300, Worst: 17, Jain: 0.9987}
	r.Storm = &Storm{
		Clients: 15_000, Back: sampleSpread(12, 15_000, 900_000, 100_000), Served: sampleSpread(13, 15_000, 1_100_000, 200_000),
		AllBack: 2_610_000, AllServed: 3_020_000, Attempts: 15_312, Refused: map[string]int{"503": 300, "reset": 12}, PeakCPU: 1.93, PeakMemory: 312 << 20,
	}
	r.Churn = &Churn{PerSecond: 98.2, Wanted: 100, Cycles: 982}
	r.Slow = &Slow{Readers: 1000, Rate: 1024, CutOff: map[string]int{"1013 too slow": 990}, Skipped: 12}
	r.Drift = &Drift{Hours: 1.5, RSS: 1.2 * (1 << 20), FDs: 0, P99: -12}
	r.Evicted = &Evicted{Clients: 15_000, Late: sampleSpread(14, 15_000, 40_000, 30_000), Early: 2, Codes: map[string]int{"4008": 14_998, "1006": 2}}
	flood := sampleBroadcast(15)
	flood.Scenario = "flood"
	r.Flood = flood
	return r
}

// sampleLong is half an hour, so that plots have to be thinned out.
func sampleLong() *Result {
	r := sampleBroadcast(21)
	r.Samples = sampleSeries(22, 10000, 1800, 1_000_000)
	r.Seconds = 1800
	r.Samples[1400].Max = 2_300_000
	r.Samples = slices.Delete(r.Samples, 600, 620)
	return r
}

// samplePages are pages worth looking at.
func samplePages() map[string][]*Result {
	second, third := sampleBroadcast(2), sampleBroadcast(3)
	second.Name, third.Faults.Lost = "another", 3
	return map[string][]*Result{
		"broadcast": {sampleBroadcast(1)},
		"closed":    {sampleClosed()},
		"storm":     {sampleStorm()},
		"long":      {sampleLong()},
		"rounds":    {sampleBroadcast(1), second, third},
	}
}
