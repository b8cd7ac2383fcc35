package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"throng/bench/report"
)

// Storm says how to drop everybody at once and see them come back: Conns receivers, and one sender for each server
// that stays and talks, so that who is back is served.
type Storm struct {
	Options
	Conns  int
	Rounds int
	Rate   float64       // messages a second of each that talks; 0: stormRate, or what the deliveries allow
	Settle time.Duration // before each round
}

const (
	stormRate          = 20
	stormDeliveriesMax = 100_000 // a second, of all servers: they are to serve who comes back, not to be flooded
	stormGiveUp        = time.Minute
)

func (cfg *Storm) rate() float64 {
	if cfg.Rate > 0 {
		return cfg.Rate
	}
	return min(stormRate, stormDeliveriesMax/float64(cfg.Conns))
}

// Run connects, drops, waits, and reports.
func (cfg Storm) Run(ctx context.Context) (*report.Result, error) {
	if cfg.Conns < 1 || cfg.Rounds < 1 {
		return nil, errors.New("--conns and --rounds: want at least 1")
	}
	if !countable(cfg.Rate) || cfg.Settle < 0 {
		return nil, errors.New("--rate and --settle: want 0 or more")
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	targets := max(len(cfg.URL), 1)
	if cfg.Conns%targets != 0 {
		return nil, fmt.Errorf("%d connections do not divide over %d servers", cfg.Conns, targets)
	}
	c, err := newCrew(ctx, &cfg.Options, spec{
		Conns: cfg.Conns + targets, Senders: targets, Rate: cfg.rate(), Payload: cfg.Payload, Salt: rand.Uint64(), Returns: true,
	})
	if err != nil {
		return nil, err
	}
	defer c.close()
	took, err := c.connect(ctx, c.spec.Conns)
	if err != nil {
		return nil, err
	}
	r, all, err := cfg.rounds(ctx, c)
	if err != nil {
		return nil, err
	}
	r.Scenario, r.ConnectRate, r.Conns = "storm", float64(c.spec.Conns)/took.Seconds(), cfg.Conns
	// What was delivered meanwhile says how fast there was talk, and not what the server can do.
	r.Deliveries, r.PerSecond, r.ServerEach = 0, 0, 0
	s := all.Storm
	r.Storm = &report.Storm{
		Clients: s.Clients, Back: report.SpreadOf(s.Back.Histogram), Served: report.SpreadOf(s.Served.Histogram),
		AllBack: float64(s.AllBack) / 1e3, AllServed: float64(s.AllServed) / 1e3, Attempts: s.Attempts, Refused: clonedCounts(all.Refused),
		PeakCPU: c.series.peak.cpu, PeakMemory: c.series.peak.rss,
	}
	if s.Away > 0 {
		r.Storm.AllBack = 0
	}
	if s.Away+s.Hungry > 0 {
		r.Storm.AllServed = 0
		when := fmt.Sprintf("after %s", stormGiveUp)
		if c.byHand {
			when = "when it was ended"
		}
		r.Notes = append(r.Notes, fmt.Sprintf("%s %d of %d were not back and %d not served", when, s.Away, s.Clients, s.Hungry))
	}
	return r, nil
}

func (cfg Storm) rounds(ctx context.Context, c *crew) (*report.Result, *outcome, error) {
	start := now() + settle
	c.tell(command{Do: doStart, At: start})
	c.say(progressSending, c.spec.Conns)
	asked := false // to stop
	for round := 0; round < cfg.Rounds && !c.byHand; round++ {
		if err := c.holdAs(ctx, "settling", settle+cfg.Settle); err != nil {
			if round == 0 || err != errStopped {
				return nil, nil, err
			}
			c.byHand = true
			break
		}
		at := now() + settle
		if round == 0 {
			c.series.measure(at)
			c.series.from()
		}
		c.alarms = append(c.alarms, alarm{at, c.series.stormBegins})
		c.phase, c.until = fmt.Sprintf("storm %d of %d", round+1, cfg.Rounds), 0
		c.tell(command{Do: doStorm, At: at, Give: stormGiveUp})
		_, err := c.await(ctx, isStormed, func() {
			c.byHand, asked = true, true
			c.tell(command{Do: doStop, At: now()})
		})
		if err != nil {
			return nil, nil, err
		}
		c.alarms = nil
		c.series.stormEnds()
	}
	if !asked {
		c.tell(command{Do: doStop, At: now()})
	}
	sent, err := c.stopped(context.Background(), 0)
	if err != nil {
		return nil, nil, err
	}
	return c.finish(sent, quietDefault)
}
