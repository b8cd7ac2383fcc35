package bench

import (
	"context"
	"fmt"
	"time"

	"throng/bench/report"
)

// Idle says how to measure what connections that say nothing cost: how fast they come, and by how much memory grows
// between Base and Conns of them, each time after Settle; then they are held for For.
type Idle struct {
	Options
	Base   int
	Conns  int
	Settle time.Duration
	For    time.Duration
}

// Run opens the connections, holds them, and closes them.
func (cfg Idle) Run(ctx context.Context) (*report.Result, error) {
	if cfg.Base < 1 || cfg.Base >= cfg.Conns {
		return nil, fmt.Errorf("--base %d: want 1 to %d, fewer than the connections", cfg.Base, cfg.Conns-1)
	}
	if cfg.Settle < 0 || cfg.For < 0 {
		return nil, fmt.Errorf("--settle %s, --for %s: want 0 or more", cfg.Settle, cfg.For)
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	c, err := newCrew(ctx, &cfg.Options, spec{Conns: cfg.Conns, Payload: cfg.Payload})
	if err != nil {
		return nil, err
	}
	defer c.close()
	if _, err := c.connect(ctx, cfg.Base); err != nil {
		return nil, err
	}
	first, err := c.settledLook(ctx, cfg.Settle)
	if err != nil {
		return nil, err
	}
	took, err := c.connect(ctx, cfg.Conns)
	if err != nil {
		return nil, err
	}
	second, err := c.settledLook(ctx, cfg.Settle)
	if err != nil {
		return nil, err
	}
	if err := c.hold(ctx, cfg.For); err != nil {
		return nil, err
	}
	r, _, err := c.finish(nil, 0)
	if err != nil {
		return nil, err
	}
	r.Scenario, r.ConnectRate = "idle", float64(cfg.Conns-cfg.Base)/took.Seconds()
	r.Memory = memoryBetween(first, second, cfg.Base, cfg.Conns)
	return r, nil
}

// memoryBetween is what one of the connections between two looks costs; nil when nobody told.
func memoryBetween(first, second look, from, to int) *report.Memory {
	each := func(a, b int64) float64 { return float64(b-a) / float64(to-from) }
	if second.rss == 0 {
		return nil
	}
	return &report.Memory{
		From: from, To: to,
		PSS: each(first.pss, second.pss), RSS: each(first.rss, second.rss), Kernel: each(first.slab+first.buffers, second.slab+second.buffers),
	}
}

// settledLook waits and looks at the server's memory.
func (c *crew) settledLook(ctx context.Context, settle time.Duration) (look, error) {
	if err := c.holdAs(ctx, "waiting", settle); err != nil {
		return look{}, err
	}
	return c.series.watch.lookPSS()
}

// hold keeps the connections for a time, or until it is ended by hand.
func (c *crew) hold(ctx context.Context, d time.Duration) error {
	c.series.measure(now())
	c.series.from()
	err := c.holdAs(ctx, "holding", d)
	c.series.to()
	if err == errStopped {
		c.byHand, err = true, nil
	}
	return err
}

func (c *crew) holdAs(ctx context.Context, phase string, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	c.phase, c.until = phase, now()+d
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c.alarms = append(c.alarms, alarm{c.until, func() { cancel(errHeld) }})
	_, err := c.await(ctx, "", nil)
	c.alarms = nil
	if err == errStopped && context.Cause(ctx) == errHeld {
		return nil
	}
	return err
}

var errHeld = fmt.Errorf("held as long as asked for")
