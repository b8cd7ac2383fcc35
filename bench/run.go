package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"throng/bench/report"
)

// Load says what to put on a broadcasting server, and what to do with the connections meanwhile. With InFlight it is a
// closed loop: that many messages circulate. With Rate it is an open loop: each sender's messages are planned at fixed
// instants.
type Load struct {
	Options
	Scenario string // broadcast, rooms, churn, slow
	Conns    int
	Rooms    int // 0: all that go to one server share the room of its URL
	Senders  int // spread evenly over rooms and receivers; senders receive too
	InFlight int
	Rate     float64 // messages a second of each sender
	Warmup   time.Duration
	For      time.Duration
	Churn    float64 // connections a second that leave and come back
	Slow     float64 // share of receivers that read slowly, 0 to 1
	SlowRead int     // bytes a second that such a one reads; 0: never
	Drift    bool    // say how things change over the run

	quiet time.Duration // with nothing arriving for so long, what is missing is lost; default 2 s
}

const quietDefault = 2 * time.Second

func (cfg *Load) check() error {
	groups := cfg.Rooms
	if groups == 0 {
		groups = max(len(cfg.URL), 1)
	}
	switch {
	case cfg.Conns < 1:
		return errors.New("--conns: want at least 1")
	case cfg.Senders < 1 || cfg.Senders > cfg.Conns:
		return fmt.Errorf("--senders %d: want 1 to %d, the number of connections", cfg.Senders, cfg.Conns)
	case cfg.Conns%groups != 0 || cfg.Senders%groups != 0:
		return fmt.Errorf("%d connections and %d senders do not divide into %d equal rooms", cfg.Conns, cfg.Senders, groups)
	case (cfg.InFlight > 0) == (cfg.Rate > 0):
		return errors.New("want messages in flight (closed loop) or a rate (open loop), one of them")
	case cfg.InFlight > 0 && cfg.InFlight < cfg.Senders:
		return fmt.Errorf("--in-flight %d: want at least one for each of %d senders", cfg.InFlight, cfg.Senders)
	case cfg.Conns*(cfg.Senders/groups) > 1<<28:
		return fmt.Errorf("%d receivers of %d senders: following every sequence would take more than 1 GiB", cfg.Conns, cfg.Senders/groups)
	case cfg.For <= 0:
		return errors.New("--for: want a time above 0")
	case cfg.Churn < 0 || cfg.SlowRead < 0 || cfg.Slow < 0 || cfg.Slow > 1:
		return errors.New("--churn, --slow-read and --slow-share: want nothing below 0, and at most all of the receivers")
	case (cfg.Churn > 0 || cfg.Slow > 0) && cfg.Senders == cfg.Conns:
		return fmt.Errorf("--senders %d: all of them talk; who comes and goes, or reads slowly, only listens", cfg.Senders)
	}
	return cfg.Options.check()
}

func (cfg *Load) spec() spec {
	return spec{
		Conns: cfg.Conns, Rooms: cfg.Rooms, Senders: cfg.Senders, InFlight: cfg.InFlight, Rate: cfg.Rate, Payload: cfg.Payload, Salt: rand.Uint64(),
		PerRoom: cfg.Scenario == "rooms", Returns: cfg.Churn > 0, Churn: cfg.Churn, SlowShare: cfg.Slow, SlowRead: cfg.SlowRead,
	}
}

// Run opens the connections, puts the load on, and judges what came. A run stopped by ctx once it measures still
// reports what it has.
func (cfg Load) Run(ctx context.Context) (*report.Result, error) {
	if cfg.quiet == 0 {
		cfg.quiet = quietDefault
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	c, err := newCrew(ctx, &cfg.Options, cfg.spec())
	if err != nil {
		return nil, err
	}
	defer c.close()
	took, err := c.connect(ctx, cfg.Conns)
	if err != nil {
		return nil, err
	}
	sent, err := c.talk(ctx, cfg.Warmup, cfg.For)
	if err != nil {
		return nil, err
	}
	r, all, err := c.finish(sent, cfg.quiet)
	if err != nil {
		return nil, err
	}
	r.Scenario, r.ConnectRate = cfg.Scenario, float64(cfg.Conns)/took.Seconds()
	if cfg.Scenario == "rooms" {
		r.Fairness = all.fairness(cfg.Rooms)
	}
	r.Slow = all.Slow
	if cfg.Churn > 0 {
		r.Churn = &report.Churn{Wanted: cfg.Churn, Cycles: all.Cycles, PerSecond: float64(all.Cycles) / r.Seconds}
		for why, n := range all.Refused {
			r.Faults.Disconnected["could not come back: "+why] += n
		}
	}
	if cfg.Drift {
		r.Drift = drift(r.Samples)
	}
	return r, nil
}

// drift is the trend of a run by least squares over its samples, the first tenth left out: there things settle.
func drift(samples []report.Sample) *report.Drift {
	var kept []report.Sample
	for _, s := range samples {
		if s.At > 0 {
			kept = append(kept, s)
		}
	}
	if kept = kept[len(kept)/10:]; len(kept) < 3 {
		return nil
	}
	perHour := func(of func(report.Sample) float64) float64 { return slope(kept, of) * time.Hour.Seconds() }
	return &report.Drift{
		Hours: (kept[len(kept)-1].At - kept[0].At) / time.Hour.Seconds(),
		RSS:   perHour(func(s report.Sample) float64 { return float64(s.ServerRSS) }),
		FDs:   perHour(func(s report.Sample) float64 { return float64(s.ServerFDs) }),
		P99:   perHour(func(s report.Sample) float64 { return s.P99 }),
	}
}

// slope is the rise of a line through the samples, by the second.
func slope(samples []report.Sample, of func(report.Sample) float64) float64 {
	var meanX, meanY, up, across float64
	first := of(samples[0]) // counted from, so that what stays the same gives exactly 0
	for _, s := range samples {
		meanX += s.At / float64(len(samples))
		meanY += (of(s) - first) / float64(len(samples))
	}
	for _, s := range samples {
		up += (s.At - meanX) * (of(s) - first - meanY)
		across += (s.At - meanX) * (s.At - meanX)
	}
	if across == 0 {
		return 0
	}
	return up / across
}
