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
	Settle time.Duration // before each round
}

const (
	stormRate   = 20 // messages a second of the one that talks
	stormGiveUp = time.Minute
)

// Run connects, drops, waits, and reports.
func (cfg Storm) Run(ctx context.Context) (*report.Result, error) {
	if cfg.Conns < 1 || cfg.Rounds < 1 {
		return nil, errors.New("--conns and --rounds: want at least 1")
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	targets := max(len(cfg.URL), 1)
	if cfg.Conns%targets != 0 {
		return nil, fmt.Errorf("%d connections do not divide over %d servers", cfg.Conns, targets)
	}
	c, err := newCrew(ctx, &cfg.Options, spec{
		Conns: cfg.Conns + targets, Senders: targets, Rate: stormRate, Payload: cfg.Payload, Salt: rand.Uint64(), Returns: true,
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
	s := all.Storm
	r.Storm = &report.Storm{
		Clients: s.Clients, Back: report.SpreadOf(s.Back.Histogram), Served: report.SpreadOf(s.Served.Histogram),
		AllBack: float64(s.AllBack) / 1e3, AllServed: float64(s.AllServed) / 1e3, Attempts: s.Attempts, Refused: clonedCounts(all.Refused),
		PeakCPU: c.series.peak.cpu, PeakMemory: c.series.peak.rss,
	}
	if s.Away+s.Hungry > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("after %s %d of %d were not back and %d not served", stormGiveUp, s.Away, s.Clients, s.Hungry))
	}
	return r, nil
}

func (cfg Storm) rounds(ctx context.Context, c *crew) (*report.Result, *outcome, error) {
	start := now() + settle
	c.tell(command{Do: doStart, At: start})
	c.say(progressSending, c.spec.Conns)
	asked := false // to stop
	for round := 0; round < cfg.Rounds && !c.early; round++ {
		if err := c.holdAs(ctx, "settling", settle+cfg.Settle); err != nil {
			if round == 0 || err != errStopped {
				return nil, nil, err
			}
			c.early = true
			break
		}
		at := now() + settle
		if round == 0 {
			c.series.measure(at)
			c.series.from()
		}
		c.phase, c.until = fmt.Sprintf("storm %d of %d", round+1, cfg.Rounds), 0
		c.tell(command{Do: doStorm, At: at, Give: stormGiveUp})
		_, err := c.await(ctx, isStormed, func() {
			c.early, asked = true, true
			c.tell(command{Do: doStop, At: now()})
		})
		if err != nil {
			return nil, nil, err
		}
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
