package bench

import (
	"context"
	"time"

	"throng/bench/report"
)

// IdleCmd measures connections that say nothing.
type IdleCmd struct {
	Conns   int           `group:"Load" help:"Connections in the end." default:"19000"`
	Base    int           `group:"Load" help:"Connections at the first look at the server's memory." default:"10000"`
	Settle  time.Duration `group:"Load" help:"Time to wait before each look." default:"10s"`
	For     time.Duration `group:"Load" help:"How long to hold them after the second." default:"0s"`
	Options `embed:""`
}

// Run measures and prints.
func (c *IdleCmd) Run() error {
	return c.Options.run(c, func(ctx context.Context) (*report.Result, error) {
		return Idle{Options: c.Options, Base: c.Base, Conns: c.Conns, Settle: c.Settle, For: c.For}.Run(ctx)
	})
}

// HandshakesCmd measures accepted handshakes.
type HandshakesCmd struct {
	Concurrent int `group:"Load" help:"Handshakes under way at a time." default:"100"`
	Window     `embed:""`
	Options    `embed:""`
}

// Run measures and prints.
func (c *HandshakesCmd) Run() error {
	return c.Options.run(c, func(ctx context.Context) (*report.Result, error) {
		return Handshakes{Options: c.Options, Concurrent: c.Concurrent, For: c.For, Warmup: c.Warmup}.Run(ctx)
	})
}

// StormCmd measures everybody coming back.
type StormCmd struct {
	Conns   int           `group:"Load" help:"Connections that drop and come back." default:"15000"`
	Rounds  int           `group:"Load" help:"How often." default:"1"`
	Rate    float64       `group:"Load" help:"Messages a second to those who are there; 0: 20, or fewer, so that they are 100,000 deliveries a second at most. Who is back is served with the next." default:"0"`
	Settle  time.Duration `group:"Load" help:"Time to wait before each." default:"1s"`
	Options `embed:""`
}

// Run measures and prints.
func (c *StormCmd) Run() error {
	return c.Options.run(c, func(ctx context.Context) (*report.Result, error) {
		return Storm{Options: c.Options, Conns: c.Conns, Rounds: c.Rounds, Rate: c.Rate, Settle: c.Settle}.Run(ctx)
	})
}
