package main

import (
	"sync"
	"time"

	"throng/admin"
)

// progress is how far a drain or a shed is, for everybody who asks.
type progress struct {
	mu    sync.Mutex
	p     admin.Progress
	until time.Time // when it should be done
}

// newProgress begins one of so many connections, which is to take so long.
func newProgress(state string, total int, estimate time.Duration) *progress {
	return &progress{p: admin.Progress{State: state, Total: total, Left: total}, until: time.Now().Add(estimate)}
}

// moved says how many are left, and how long that should take.
func (g *progress) moved(left, total int, estimate time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.p.State, g.p.Left, g.p.Total, g.until = admin.Moving, left, total, time.Now().Add(estimate)
}

// ended says that it is over, with an error if it was cut short.
func (g *progress) ended(left int, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.p.State, g.p.Left, g.until = admin.Done, left, time.Time{}
	if err != nil {
		g.p.State, g.p.Error = admin.Stopped, withoutPackage(err)
	}
}

// look is an admin.Look.
func (g *progress) look() admin.Progress {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.p
	p.Estimate = admin.Seconds(max(0, time.Until(g.until)))
	return p
}

// joined is look for those who came when it was on already.
func (g *progress) joined() admin.Progress {
	p := g.look()
	p.Joined = true
	return p
}

// on reports whether there is one that is not over.
func (g *progress) on() bool { return g != nil && !g.look().Over() }
