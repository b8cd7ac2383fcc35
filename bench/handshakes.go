package bench

import (
	"context"
	"fmt"
	"time"

	"throng/bench/report"
)

// Handshakes says how to measure accepted handshakes: so many at a time connect, ask, take the answer, and go by a
// reset, over and over.
type Handshakes struct {
	Options
	Concurrent int
	Warmup     time.Duration
	For        time.Duration
}

// Run measures. Handshakes that the server refused are faults, by the reason it gave, and not counted.
func (cfg Handshakes) Run(ctx context.Context) (*report.Result, error) {
	if cfg.Concurrent < 1 {
		return nil, fmt.Errorf("--concurrent %d: want at least 1", cfg.Concurrent)
	}
	if err := checkWindow(cfg.Warmup, cfg.For); err != nil {
		return nil, err
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	c, err := newCrew(ctx, &cfg.Options, spec{Conns: cfg.Concurrent, Payload: cfg.Payload, Brief: true})
	if err != nil {
		return nil, err
	}
	defer c.close()
	if _, err := c.talk(ctx, cfg.Warmup, cfg.For); err != nil {
		return nil, err
	}
	r, _, err := c.finish(nil, quietDefault)
	if err != nil {
		return nil, err
	}
	r.Scenario, r.Deliveries = "handshakes", 0
	return r, nil
}
