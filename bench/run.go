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
	case cfg.Conns*(cfg.Senders/groups) > 1<<28:
		return fmt.Errorf("%d receivers of %d senders: following every sequence would take more than 1 GiB", cfg.Conns, cfg.Senders/groups)
	case !countable(cfg.Churn):
		return fmt.Errorf("--churn %g: want 0 or more", cfg.Churn)
	case cfg.SlowRead < 0 || cfg.Slow < 0 || cfg.Slow > 1:
		return errors.New("--slow-read and --slow-share: want nothing below 0, and at most all of the receivers")
	case cfg.Slow > 0 && int(cfg.Slow*float64(cfg.Conns)) == 0:
		return fmt.Errorf("--slow-share %g%%: of %d connections that is nobody", cfg.Slow*100, cfg.Conns)
	case (cfg.Churn > 0 || cfg.Slow > 0) && cfg.Senders == cfg.Conns:
		return fmt.Errorf("--senders %d: all of them talk; who comes and goes, or reads slowly, only listens", cfg.Senders)
	}
	return firstError(cfg.checkLoop(), checkWindow(cfg.Warmup, cfg.For), cfg.Options.check())
}

// checkLoop is for what decides when something is sent.
func (cfg *Load) checkLoop() error {
	switch {
	case (cfg.InFlight != 0) == (cfg.Rate != 0):
		return errors.New("want messages in flight (closed loop) or a rate (open loop), one of them")
	case cfg.Rate != 0 && (!countable(cfg.Rate) || cfg.Rate*float64(cfg.Senders) > float64(time.Second)):
		return fmt.Errorf("--rate %g: want more than 0, and at most a message a nanosecond of all senders", cfg.Rate)
	case cfg.InFlight != 0 && cfg.InFlight < cfg.Senders:
		return fmt.Errorf("--in-flight %d: want at least one for each of %d senders", cfg.InFlight, cfg.Senders)
	case cfg.InFlight/cfg.Senders > outBytesMax/max(cfg.Payload, 1):
		return fmt.Errorf("--in-flight %d: a connection holds %d MiB unsent at most: want fewer, or more --senders", cfg.InFlight, outBytesMax>>20)
	}
	return nil
}

// measuredMin is the shortest time that gives a rate.
const measuredMin = 10 * time.Millisecond

func checkWindow(warmup, measured time.Duration) error {
	if warmup < 0 || measured < measuredMin {
		return fmt.Errorf("--warmup %s, --for %s: want 0 or more, and %s or more", warmup, measured, measuredMin)
	}
	return nil
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
	if r.Slow = all.Slow; r.Slow != nil {
		cfg.noteUnfelt(r)
	}
	if cfg.Churn > 0 {
		r.Churn = &report.Churn{Wanted: cfg.Churn, Cycles: all.Cycles, PerSecond: float64(all.Cycles) / r.Seconds}
		for why, n := range all.Refused {
			r.Faults.Disconnected["could not come back: "+why] += n
		}
	}
	if cfg.Drift {
		r.Scenario = "soak " + cfg.Scenario
		r.Drift = drift(r.Samples)
		if r.Drift != nil && r.Drift.Hours < driftHoursMin {
			r.Notes = append(r.Notes, fmt.Sprintf("the drift by the hour is reckoned from %.0f s", r.Drift.Hours*time.Hour.Seconds()))
		}
	}
	return r, nil
}

// noteUnfelt says that the slow readers may have been none: what they leave unread has to be more than the kernel keeps
// for a socket before a server feels it.
func (cfg *Load) noteUnfelt(r *report.Result) {
	const kernelKeeps = 256 << 10
	rooms := uint64(max(cfg.Rooms, len(cfg.URL), 1))
	each := int64(r.Sent/rooms) * int64(cfg.Payload+len(cfg.Prefix)+len(cfg.Suffix))
	unread := each - int64(float64(cfg.SlowRead)*(cfg.Warmup.Seconds()+r.Seconds))
	if len(r.Slow.CutOff) == 0 && unread < kernelKeeps {
		r.Notes = append(r.Notes, fmt.Sprintf("each slow reader was sent %d bytes and left at most %d unread, which its socket's buffers hold: "+
			"the server may not have felt it; send more, or read more slowly", each, max(unread, 0)))
	}
}

// driftHoursMin is how long a run has to be for its drift to be more than the warming up.
const driftHoursMin = 0.25

// drift is the trend of a run by least squares over its samples, the first tenth left out: there things settle.
func drift(samples []report.Sample) *report.Drift {
	var kept []report.Sample
	for _, s := range samples {
		if s.Measured() {
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
