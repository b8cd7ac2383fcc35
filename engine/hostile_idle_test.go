package engine_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"throng/engine"
)

// TestIdle has clients that are silent in the sense of the configuration closed
// with 4408, never early, and as late as a tick and the loop's lag allow.
func TestIdle(t *testing.T) {
	const idle = 400 * time.Millisecond
	quiet := func(c *engine.Config) { c.IdleTimeout, c.PingInterval = idle, 0 }
	strict := func(c *engine.Config) { quiet(c); c.IdleMessagesOnly = true }
	for _, x := range []struct {
		name     string
		settings func(c *engine.Config)
		every    string // sent now and then, and no sign of life
	}{
		{"silence", quiet, ""},
		{"partial frames only", quiet, frame(0x00, "x")},
		{"partial frames only, messages count", strict, frame(0x00, "x")},
		{"pings only, messages count", strict, frame(0x89, "x")},
		{"pongs only, messages count", strict, frame(0x8a, "x")},
	} {
		t.Run(x.name, func(t *testing.T) {
			r := start(t, nil, x.settings)
			c := r.crowd()
			machine := watchMachine(t)
			r.costs(1, engine.ReasonIdle, "", func() {
				p := r.join()
				if x.every == frame(0x00, "x") {
					p.send(frame(0x01, "x"))
				}
				began := time.Now()
				until, over := time.Now().Add(2*idle), make(chan struct{})
				go func() { // until the server has enough
					defer close(over)
					for x.every != "" && time.Now().Before(until) {
						time.Sleep(idle / 8)
						if _, err := p.Conn.Write([]byte(x.every)); err != nil {
							return
						}
					}
				}()
				code, reason := p.closeFrame()
				if code != 4408 || reason != "idle" {
					t.Errorf("closed with %d %q, want 4408 idle", code, reason)
				}
				if took := time.Since(began); took < idle && x.every == "" {
					t.Errorf("closed after %v, the limit is %v", took, idle)
				}
				<-over
				_ = p.Close()
			})
			c.parts()
			lateness(t, r, machine)
		})
	}
}

// lateness holds the one eviction against 100 ms past the deadline and the lag
// of the loops and of the machine.
func lateness(t *testing.T, r *rig, machine func() float64) {
	t.Helper()
	m := metrics{}
	r.e.Metrics(m)
	late, lag := m["throng_idle_eviction_late_seconds"], m["throng_loop_lag_seconds"]
	if late.n != 1 || late.sum < 0 || late.sum > 0.1+lag.highest+machine() {
		t.Errorf("%d evictions were %g s late; the loops' lag was up to %g s, the machine's %g s", late.n, late.sum, lag.highest, machine())
	}
}

// watchMachine measures by how much a goroutine oversleeps here at most.
func watchMachine(t *testing.T) (seconds func() float64) {
	var most atomic.Int64
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			began := time.Now()
			time.Sleep(time.Millisecond)
			most.Store(max(most.Load(), int64(time.Since(began)-time.Millisecond)))
		}
	}()
	t.Cleanup(func() { close(stop); <-done })
	return func() float64 { return 2 * time.Duration(most.Load()).Seconds() } // the ticker sleeps twice on the way
}

// metrics keeps, of each histogram, how much was observed, the sum, and the
// bound of the highest bucket with something in it; of each counter the sum over
// its labels.
type metrics map[string]struct {
	n            uint64
	sum, highest float64
}

func (m metrics) Counter(name, _ string, v float64, labels ...string) {
	x := m[name]
	x.n += uint64(v)
	m[name] = x
}

func (m metrics) Gauge(name, _ string, v float64, _ ...string) {
	x := m[name]
	x.sum += v
	m[name] = x
}

func (m metrics) Histogram(name, _ string, bounds []float64, counts []uint64, sum float64, _ ...string) {
	x := m[name]
	x.sum += sum
	for i, n := range counts {
		if x.n += n; n > 0 {
			x.highest = bounds[min(i, len(bounds)-1)]
		}
	}
	m[name] = x
}

// TestAlive has clients that must not be evicted: those who give the sign of
// life that counts, some of them at the last moment.
func TestAlive(t *testing.T) {
	const idle = 400 * time.Millisecond
	for _, x := range []struct {
		name   string
		strict bool
		every  string
	}{
		{"messages", true, frame(0x81, "x")},
		{"pings", false, frame(0x89, "x")},
		{"pongs", false, frame(0x8a, "x")},
	} {
		t.Run(x.name, func(t *testing.T) {
			r := start(t, nil, func(c *engine.Config) {
				c.IdleTimeout, c.PingInterval, c.IdleMessagesOnly = idle, 0, x.strict
			})
			p := r.join()
			for range 4 {
				time.Sleep(idle * 2 / 5)
				p.send(x.every)
			}
			if s := r.e.Stats(); len(s.Ends) > 0 {
				t.Errorf("ends are %v, want none", s.Ends)
			}
		})
	}
	t.Run("answers to the server's pings", func(t *testing.T) {
		r := start(t, nil, func(c *engine.Config) { c.IdleTimeout, c.PingInterval = idle, idle/5 })
		p := r.join()
		for began := time.Now(); time.Since(began) < 2*idle; {
			p.gets(ws.OpPing, "")
			p.send(frame(0x8a, ""))
		}
	})
}

// TestIdleStuck has an idle client whose socket takes no Close frame: an RST.
func TestIdleStuck(t *testing.T) {
	r := start(t, nil, smallBuffers, func(c *engine.Config) { c.IdleTimeout, c.PingInterval, c.WriteTimeout = time.Second, 0, 0 })
	r.costs(1, engine.ReasonIdle, "", func() {
		p := r.stuck()
		r.wait("its end", func(s engine.Stats) bool { return sum(s.Ends) == 1 })
		p.wasReset()
	})
}

// TestPause has one client's handler hold the only loop for longer than all the
// others' idle limit. What they sent in time is read first: nobody is evicted,
// not even those who had nothing to say but had time left.
func TestPause(t *testing.T) {
	const idle, pause = time.Second, 1500 * time.Millisecond
	held := make(chan struct{})
	r := start(t, &script{message: func(_ *engine.Conn, text string) bool {
		if text == "hold" {
			close(held)
			time.Sleep(pause)
		}
		return text == "hold"
	}}, func(c *engine.Config) { c.Loops, c.IdleTimeout, c.PingInterval = 1, idle, 0 })
	holder := r.join()
	var peers []*peer
	for range 20 {
		peers = append(peers, r.join())
	}
	for _, p := range peers {
		p.say("here")
		p.hears("here")
	}
	holder.say("hold")
	<-held
	time.Sleep(idle / 4)
	const talkers = 10
	for _, p := range peers[:talkers] { // within their limit, but nobody reads it now
		p.say("still here")
	}
	r.wait("the end of the pause", func(s engine.Stats) bool { return s.Messages >= uint64(len(peers)+1+talkers) })
	if s := r.e.Stats(); len(s.Ends) > 0 {
		t.Fatalf("ends right after the pause are %v, want none", s.Ends)
	}
	for _, p := range peers { // at once, and again in time
		p.say("and now")
		p.hears("and now")
	}
	m := metrics{}
	r.e.Metrics(m)
	if m["throng_clock_jumps_total"].n == 0 {
		t.Error("the pause was not noticed")
	}
}

// TestBlockedLoop blocks a loop for longer than the watchdog waits.
func TestBlockedLoop(t *testing.T) {
	release := make(chan struct{})
	r := start(t, &script{message: func(_ *engine.Conn, text string) bool {
		if text == "hold" {
			<-release
		}
		return false
	}})
	p := r.join()
	p.say("before")
	p.hears("before")
	if ok, why := r.e.Ready(); !ok {
		t.Fatalf("not ready before: %s", why)
	}
	p.say("hold")
	if !eventually(func() bool { ok, why := r.e.Ready(); return !ok && strings.Contains(why, "blocked") }) {
		t.Error("readiness does not say that a loop is blocked")
	}
	close(release)
	p.hears("hold")
	if !eventually(func() bool { ok, _ := r.e.Ready(); return ok }) {
		t.Error("it is not ready again afterwards")
	}
	m := metrics{}
	r.e.Metrics(m)
	log := r.log.String()
	if n := m["throng_loop_stalls_total"].n; n != 1 || strings.Count(log, "blocked") != 1 || !strings.Contains(log, "hostile_idle_test.go") {
		t.Errorf("%d stalls; logged without the stack, or not once: %s", n, log)
	}
}
