package client

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestBackoff: the bound doubles from one second to thirty, and the wait is any below it.
func TestBackoff(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.options.random = func() float64 { return 1 }
		c := r.client(t)
		time.Sleep(3 * time.Minute)
		c.Close()
		want := []time.Duration{0, 1, 3, 7, 15, 31, 61, 91, 121, 151}
		for i := range want {
			want[i] *= time.Second
		}
		if got := r.dialed(); !slices.Equal(got, want) {
			t.Errorf("came at %v; want %v", got, want)
		}
	})
	var o Options
	o.URL = "ws://h/"
	if err := o.settle(); err != nil {
		t.Fatal(err)
	}
	for failures := range 100 {
		low, high := o.backoff(failures), time.Duration(0)
		bound := min(30*time.Second, time.Second<<min(failures, 10))
		for range 200 {
			wait := o.backoff(failures)
			low, high = min(low, wait), max(high, wait)
		}
		if low < 0 || low > bound/4 || high < bound*3/4 || high > bound {
			t.Errorf("after %d failures from %s to %s; want from 0 to %s", failures, low, high, bound)
		}
	}
}

// TestStableEndsTheRow: a connection that stood for five seconds makes what was before forgotten.
func TestStableEndsTheRow(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.options.random = func() float64 { return 1 }
		c := r.client(t)
		time.Sleep(40 * time.Second)
		c.Close()
		s := time.Second
		if want, got := []time.Duration{0, 1 * s, 3 * s, 11 * s, 17 * s, 19 * s, 23 * s, 31 * s}, r.dialed(); !slices.Equal(got[:8], want) {
			t.Errorf("came at %v; want %v", got, want)
		}
	}, nil, nil,
		func(p *peer) { p.welcome(); time.Sleep(4 * time.Second); p.cut() },
		func(p *peer) { p.welcome(); time.Sleep(5 * time.Second); p.cut() })
}

// TestEndings: what the client does after each way to end a connection.
func TestEndings(t *testing.T) {
	closes := func(code int, reason string) func(*peer) {
		return func(p *peer) { p.welcome(); p.close(code, reason) }
	}
	byes := func(bye object) func(*peer) {
		return func(p *peer) { p.welcome(); p.say(object{"type": "bye"}, bye); p.cut() }
	}
	const s, ms = time.Second, time.Millisecond
	for name, test := range map[string]struct {
		script   func(*peer)
		phase    Phase
		why      Why
		from, to time.Duration
	}{
		"cut":                      {func(p *peer) { p.welcome(); p.cut() }, Waiting, Lost, 0, s},
		"refused":                  {nil, Waiting, Lost, 0, s},
		"1011":                     {closes(1011, "oops"), Waiting, Lost, 0, s},
		"idle":                     {closes(4408, "idle"), Waiting, Idle, 0, s},
		"fast":                     {closes(4429, "too fast"), Waiting, Fast, 2 * s, 3 * s},
		"restart":                  {closes(1001, "restart; reconnect in 7500 ms"), Waiting, Restart, 7500 * ms, 7500 * ms},
		"rebalance":                {closes(1001, "rebalance; reconnect in 20 ms"), Waiting, Restart, 20 * ms, 20 * ms},
		"a turn that never comes":  {closes(1001, "restart; reconnect in 999999999 ms"), Waiting, Restart, turnMax, turnMax},
		"no turn":                  {closes(1001, "restart; reconnect in 1234567890 ms"), Waiting, Lost, 0, s},
		"a turn of another code":   {closes(1000, "restart; reconnect in 7500 ms"), Waiting, Lost, 0, s},
		"unauthorized":             {closes(4401, "token"), Closed, "", 0, 0},
		"kicked":                   {closes(4403, "kicked"), Closed, "", 0, 0},
		"bye for now":              {byes(object{"code": 1001, "reason": "restart", "again": true, "in": 4000}), Waiting, Restart, 4 * s, 4 * s},
		"bye with a code in words": {byes(object{"code": "restart", "reason": "restart", "again": true, "in": 4000}), Waiting, Restart, 4 * s, 4 * s},
		"bye without a time":       {byes(object{"code": 4408, "reason": "idle", "again": true}), Waiting, Idle, 0, s},
		"bye for ever":             {byes(object{"code": 4403, "reason": "kicked", "again": false}), Closed, "", 0, 0},
		"401":                      {answers("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"), Closed, "", 0, 0},
		"403":                      {answers("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"), Closed, "", 0, 0},
		"503":                      {answers("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n"), Waiting, Lost, 5 * s, 6 * s},
		"404":                      {answers("HTTP/1.1 404 Not Found\r\n\r\n"), Waiting, Lost, 0, s},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				c := r.client(t)
				synctest.Wait()
				state := c.State()
				wait := time.Until(state.Until)
				if state.Phase != test.phase || state.Why != test.why {
					t.Fatalf("the client is %v, %s: %v", state.Phase, state.Why, state.Err)
				}
				if state.Err == nil {
					t.Error("and does not say why")
				}
				if state.Phase == Closed {
					if !errors.Is(c.Err(), state.Err) {
						t.Errorf("closed by %v, says %v", state.Err, c.Err())
					}
					return
				}
				if wait < test.from || wait > test.to {
					t.Errorf("waits %s; want %s to %s", wait, test.from, test.to)
				}
				time.Sleep(wait - time.Nanosecond)
				if n := len(r.dialed()); n != 1 {
					t.Errorf("came %d times before its turn", n)
				}
				time.Sleep(time.Nanosecond)
				synctest.Wait()
				if s := c.State(); len(r.dialed()) != 2 || s.Phase != Online {
					t.Errorf("came %d times, and is %v: %v", len(r.dialed()), s.Phase, s.Err)
				}
			}, test.script, serves)
		})
	}
}

// TestTurnsWithoutEnd: a server that sends away whoever comes does not make the client come without pause.
func TestTurnsWithoutEnd(t *testing.T) {
	var scripts []func(*peer)
	for range 1000 {
		scripts = append(scripts, func(p *peer) { p.welcome(); p.close(1001, "restart; reconnect in 1 ms") })
	}
	inBubble(t, func(t *testing.T, r *rig) {
		c := r.client(t)
		time.Sleep(time.Minute)
		c.Close()
		if n := len(r.dialed()); n < 4 || n > 60 {
			t.Errorf("came %d times in a minute", n)
		}
	}, scripts...)
}

// TestHeartbeat: a ping when nothing was heard, and the end of the connection when nothing is still.
func TestHeartbeat(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		c := r.online(t)
		time.Sleep(10 * time.Minute)
		if s := c.State(); s.Phase != Online || len(r.dialed()) != 1 {
			t.Errorf("%v after %d connections", s, len(r.dialed()))
		}
		c.Close()
	}, func(p *peer) {
		p.welcome(object{"heartbeat": 5000})
		for {
			began := time.Now()
			q := p.expect("ping")
			if wait := time.Since(began); wait > 5001*time.Millisecond || wait < 4999*time.Millisecond {
				p.t.Errorf("a ping after %s", wait)
			}
			p.ok(q, object{"time": 1})
		}
	})
}

func TestSilence(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		c := r.online(t)
		s := becomes(t, c, Waiting)
		if !errors.Is(s.Err, errSilent) || time.Since(r.began) != 10*time.Second {
			t.Errorf("after %s: %v", time.Since(r.began), s.Err)
		}
		c.Close()
	}, func(p *peer) {
		p.welcome(object{"heartbeat": 5000})
		p.expect("ping")
	})
}

// TestOneWay: a client that hears a lot and says nothing says something now and then, since a server may count only that as life.
func TestOneWay(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		c := r.online(t)
		<-c.Done()
	}, func(p *peer) {
		p.welcome(object{"heartbeat": 5000})
		for range 20 {
			time.Sleep(400 * time.Millisecond)
			p.say(object{"type": "news"})
		}
		p.expect("ping")
		p.close(4403, "enough")
	})
}
