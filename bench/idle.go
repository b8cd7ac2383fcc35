package bench

import (
	"context"
	"fmt"
	"time"
)

// Idle says how to measure what a connection that says nothing costs the server: the growth of its user memory
// between Base and Conns connections, each time after Settle.
type Idle struct {
	URL      string
	Base     int
	Conns    int
	Settle   time.Duration
	PID      int
	Progress func(string, ...any)
}

// Run opens the connections, holds them, and closes them.
func (cfg Idle) Run(ctx context.Context) (*Result, error) {
	if cfg.Base < 1 || cfg.Base >= cfg.Conns {
		return nil, fmt.Errorf("--base %d: want 1 to %d, fewer than the connections", cfg.Base, cfg.Conns-1)
	}
	if err := needDescriptors(cfg.Conns); err != nil {
		return nil, err
	}
	if cfg.Progress == nil {
		cfg.Progress = func(string, ...any) {}
	}
	t, err := newTarget(ctx, cfg.URL)
	if err != nil {
		return nil, err
	}
	l, err := newClient(t, cfg.Conns)
	if err != nil {
		return nil, err
	}
	defer l.watch(ctx)()
	first, _, err := cfg.hold(l, cfg.Base)
	if err != nil {
		return nil, err
	}
	second, took, err := cfg.hold(l, cfg.Conns)
	if err != nil {
		return nil, err
	}
	r := &Result{
		Scenario: "idle", URL: t.url.String(), Conns: cfg.Conns, Faults: Faults{Disconnected: l.reasons},
		BytesEach:   float64(second-first) / float64(cfg.Conns-cfg.Base),
		ConnectRate: float64(cfg.Conns-cfg.Base) / took.Seconds(),
	}
	r.note()
	return r, nil
}

// hold opens connections up to n, waits, and reads the server's memory.
func (cfg Idle) hold(l *client, n int) (pss int64, took time.Duration, err error) {
	began := l.clock()
	if err := l.dialTo(n, cfg.Progress); err != nil {
		return 0, 0, err
	}
	took = l.clock() - began
	cfg.Progress("%d open, waiting %s", l.open, cfg.Settle)
	if err := l.run(l.clock()+cfg.Settle, never); err != nil {
		return 0, 0, err
	}
	if l.stop.Load() {
		return 0, 0, errStopped
	}
	if cfg.PID > 0 {
		pss, err = pssBytes(cfg.PID)
	}
	return pss, took, err
}
