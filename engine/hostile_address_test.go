package engine_test

import (
	"bufio"
	"errors"
	"io"
	"math"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"throng/engine"
)

// from connects with a loopback address of one's own: the whole of 127.0.0.0/8 is
// this machine.
func (r *rig) from(ip string) *peer {
	r.Helper()
	d := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
	nc, err := d.Dial("tcp4", r.addr)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = nc.Close() })
	return &peer{TB: r.TB, Conn: nc, in: bufio.NewReader(nc)}
}

// turnedAway demands 503, and returns after how many seconds to come back.
func (p *peer) turnedAway() (retryAfter string) {
	p.Helper()
	p.send(handshake())
	resp := p.answer("GET")
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		p.Errorf("status %d, headers %v; want 503 with Retry-After", resp.StatusCode, resp.Header)
	}
	p.ended()
	_ = p.Close()
	return resp.Header.Get("Retry-After")
}

const offender, neighbour = "127.0.0.2", "127.0.0.3"

// TestAddressConnections has an address with as many connections as it may have.
func TestAddressConnections(t *testing.T) {
	r := start(t, nil, func(c *engine.Config) { c.AddressConnections = 3 })
	c := r.crowd()
	var inside []*peer
	for range 3 {
		p := r.from(offender)
		p.upgrade()
		inside = append(inside, p)
	}
	waits := map[string]bool{}
	for range 20 {
		waits[r.from(offender).turnedAway()] = true
	}
	if len(waits) < 2 {
		t.Errorf("all 20 are to come back after %v seconds: together", waits)
	}
	r.from(neighbour).upgrade()
	if s := r.e.Stats(); s.Refusals["address_connections"] != 20 || len(s.Refusals) != 1 {
		t.Errorf("refusals are %v", s.Refusals)
	}
	inside[0].vanish()
	r.wait("the end of one", func(s engine.Stats) bool { return sum(s.Ends) == 1 })
	r.from(offender).upgrade()
	c.parts()
}

// TestAddressHandshakes has an address with as many unfinished requests as it may
// have; finishing one makes room, whatever becomes of it.
func TestAddressHandshakes(t *testing.T) {
	r := start(t, &script{}, func(c *engine.Config) { c.AddressHandshakes, c.HandshakeTimeout = 3, 2*patience })
	c := r.crowd()
	var under []*peer
	for range 3 {
		p := r.from(offender)
		p.send("GET / HTTP/1.1\r\n")
		under = append(under, p)
	}
	r.wait("three at work", func(s engine.Stats) bool { return s.Accepted == 2+3 })
	r.from(offender).turnedAway()
	r.from(neighbour).upgrade()

	under[0].send(strings.TrimPrefix(handshake(), "GET / HTTP/1.1\r\n"))
	if resp := under[0].answer("GET"); resp.StatusCode != 101 {
		t.Errorf("status %d", resp.StatusCode)
	}
	r.from(offender).upgrade()
	under[1].send("Host: a\r\n\r\n")
	under[1].answer("GET")
	r.from(offender).upgrade()
	under[2].vanish()
	r.wait("the end of one", func(s engine.Stats) bool { return s.Ends[engine.ReasonReset] == 1 })
	for range 2 {
		p := r.from(offender)
		p.send("GET / HTTP/1.1\r\n")
	}
	if s := r.e.Stats(); s.Refusals["address_handshakes"] != 1 || len(s.Refusals) != 1 {
		t.Errorf("refusals are %v", s.Refusals)
	}
	c.parts()
}

// TestAddressRate has an address connect more often than it may, although each of
// its connections is gone when the next comes.
func TestAddressRate(t *testing.T) {
	r := start(t, nil, func(c *engine.Config) { c.AddressRate, c.AddressBurst = 0.001, 4 })
	c := r.crowd()
	for range 4 {
		p := r.from(offender)
		p.upgrade()
		p.vanish()
	}
	r.from(offender).turnedAway()
	r.from(neighbour).upgrade()
	if s := r.e.Stats(); s.Refusals["address_rate"] != 1 || len(s.Refusals) != 1 {
		t.Errorf("refusals are %v", s.Refusals)
	}
	c.parts()
}

// TestTurnedAwayWithoutAWord has more of one address come at once than can be told
// to come back later, and none of them says anything: the others are reset.
func TestTurnedAwayWithoutAWord(t *testing.T) {
	r := start(t, nil, func(c *engine.Config) { c.AddressConnections = 3 })
	c := r.crowd()
	for range 3 {
		r.from(offender).upgrade()
	}
	var resets atomic.Int64
	var waiting sync.WaitGroup
	d := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(offender)}}
	for range 200 {
		waiting.Go(func() {
			nc, err := d.Dial("tcp4", r.addr)
			if err == nil {
				_ = nc.SetReadDeadline(time.Now().Add(patience))
				_, err = nc.Read(make([]byte, 1))
				_ = nc.Close()
			}
			if errors.Is(err, syscall.ECONNRESET) {
				resets.Add(1)
			}
		})
	}
	waiting.Wait()
	if n := resets.Load(); n < 100 {
		t.Errorf("of 200 only %d were reset", n)
	}
	c.parts()
}

// TestOneAddressFloods has one address open connections as fast as it can, and
// leave them there without a word, or with half a request, or with a whole one,
// or open WebSockets and talk: two people chat on, and others get in.
func TestOneAddressFloods(t *testing.T) {
	for _, x := range []struct{ name, sent string }{
		{"connections", ""},
		{"half requests", "GET / HTTP/1.1\r\n"},
		{"handshakes", handshake()},
		{"messages", handshake() + strings.Repeat(frame(0x82, strings.Repeat("x", 100)), 1000)},
	} {
		for _, door := range []string{"at the gate", "behind a balancer"} {
			t.Run(x.name+", "+door, func(t *testing.T) {
				header, settings := "", func(c *engine.Config) {
					c.AddressConnections, c.AddressHandshakes, c.AddressRate, c.AddressBurst = 20, 10, 50, 50
					c.MessageRate, c.HandshakeTimeout = 1000, 500*time.Millisecond
				}
				r := start(t, nil, settings)
				if door == "behind a balancer" {
					header = v1(one)
					r = start(t, nil, settings, behind(engine.ProxyOptional, offender+"/32"))
				}
				c := r.crowd()
				over := make(chan struct{})
				var flood sync.WaitGroup
				for range 4 {
					flood.Go(func() { r.flood(header+x.sent, over) })
				}
				until := time.Now().Add(time.Second)
				for time.Now().Before(until) {
					p := r.from(neighbour)
					p.upgrade()
					p.say("passing by")
					p.hears("passing by")
					_ = p.Close()
					time.Sleep(50 * time.Millisecond)
				}
				close(over)
				flood.Wait()
				c.parts()
				if s := r.e.Stats(); s.Refusals["address_rate"]+s.Refusals["address_handshakes"]+s.Refusals["address_connections"] == 0 {
					t.Errorf("nobody was turned away: %v", s.Refusals)
				}
			})
		}
	}
}

// flood opens connections of the offender as fast as it can, each of which sends
// something, and keeps the last few.
func (r *rig) flood(sent string, over <-chan struct{}) {
	d := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(offender)}}
	kept := make([]net.Conn, 64)
	for i := 0; ; i++ {
		select {
		case <-over:
			for _, nc := range kept {
				if nc != nil {
					_ = nc.Close()
				}
			}
			return
		default:
		}
		nc, err := d.Dial("tcp4", r.addr)
		if err != nil {
			continue
		}
		_ = nc.SetDeadline(time.Now().Add(time.Second))
		_ = nc.(*net.TCPConn).SetLinger(0) // or its ports are used up
		_, _ = io.WriteString(nc, sent)
		if old := kept[i%len(kept)]; old != nil {
			_ = old.Close()
		}
		kept[i%len(kept)] = nc
	}
}

// TestHandshakeRate has more upgrades come than are let in a second: plain
// requests are answered all the same.
func TestHandshakeRate(t *testing.T) {
	r := start(t, &script{}, func(c *engine.Config) { c.HandshakeRate, c.HandshakeBurst = 0.001, 4 })
	c := r.crowd()
	r.join()
	r.join()
	r.costs(3, engine.ReasonHandshakeRate, "handshake_rate", func() {
		for _, ip := range []string{offender, neighbour, "127.0.0.1"} {
			r.from(ip).turnedAway()
		}
	})
	r.costs(1, engine.ReasonRequest, "", func() {
		p := r.dial(0)
		p.send("GET / HTTP/1.0\r\n\r\n")
		if resp := p.answer("GET"); resp.StatusCode != 200 {
			t.Errorf("status %d", resp.StatusCode)
		}
		p.ended()
		_ = p.Close()
	})
	c.parts()
}

// TestByteRate has a client send more bytes than it may, in messages of which it
// might send as many.
func TestByteRate(t *testing.T) {
	r := start(t, nil, func(c *engine.Config) { c.ByteRate, c.ByteBurst = 32<<10, 64<<10 })
	c := r.crowd()
	r.costs(1, engine.ReasonByteRate, "", func() {
		p := r.join()
		p.send(strings.Repeat(frame(0x81, strings.Repeat("x", 4000)), 200))
		if reason := p.sentAway(4429); reason != "too many bytes" {
			t.Errorf("the reason is %q", reason)
		}
		_ = p.Close()
	})
	if n := c.people[0].others.Load(); n > 100 {
		t.Errorf("%d messages of the flood were heard, want the burst", n)
	}
	c.parts()
}

// TestMemoryMark lowers the mark below what is in use: who is connected notices
// nothing, who comes is told to come back, and is let in when there is room.
func TestMemoryMark(t *testing.T) {
	r := start(t, &script{})
	c := r.crowd()
	lim := r.e.Limits()
	lim.MemoryMark = 1 << 20
	if err := r.e.SetLimits(lim); err != nil {
		t.Fatal(err)
	}
	if !eventually(func() bool { ok, _ := r.e.Ready(); return !ok }) {
		t.Fatal("the node says that it is ready")
	}
	if _, why := r.e.Ready(); !strings.Contains(why, "the mark is 1 MiB") {
		t.Errorf("it is not ready because %q", why)
	}
	r.costs(1, engine.ReasonMemoryMark, "memory_mark", func() { r.dial(0).turnedAway() })
	p := r.dial(0)
	p.send("GET / HTTP/1.0\r\n\r\n")
	if resp := p.answer("GET"); resp.StatusCode != 200 {
		t.Errorf("a plain request: status %d", resp.StatusCode)
	}
	m := metrics{}
	r.e.Metrics(m)
	if in, mark, level := m["throng_memory_in_use_bytes"], m["throng_memory_mark_bytes"], m["throng_memory_pressure"]; in.sum < 1<<20 || mark.sum != 1<<20 || level.sum != 2 {
		t.Errorf("gauges are %g in use, %g for the mark, %g for the pressure", in.sum, mark.sum, level.sum)
	}
	c.chats()
	lim.MemoryMark = 1 << 40
	if err := r.e.SetLimits(lim); err != nil {
		t.Fatal(err)
	}
	if !eventually(func() bool { ok, _ := r.e.Ready(); return ok }) {
		t.Fatal("it is not ready again")
	}
	r.join()
	c.parts()
}

// TestSetLimits changes limits under those who are connected, and under those who
// come.
func TestSetLimits(t *testing.T) {
	r := start(t, nil)
	c := r.crowd()
	set := func(change func(lim *engine.Limits)) error {
		lim := r.e.Limits()
		change(&lim)
		return r.e.SetLimits(lim)
	}
	p := r.join()
	if err := set(func(lim *engine.Limits) { lim.MessageRate, lim.AddressConnections = 1500, 1 }); err != nil {
		t.Fatal(err)
	}
	if lim := r.e.Limits(); lim.MessageBurst != 7500 {
		t.Errorf("the burst of 1500 a second is %d", lim.MessageBurst)
	}
	r.costs(1, engine.ReasonRate, "", func() {
		p.send(strings.Repeat(frame(0x81, "spam"), 20_000))
		p.sentAway(4429)
		_ = p.Close()
	})
	r.from(offender).upgrade()
	r.from(offender).turnedAway()

	before := r.e.Limits()
	for name, change := range map[string]func(lim *engine.Limits){
		"more connections than descriptors": func(lim *engine.Limits) { lim.MaxConnections = 1 << 40 },
		"rate below 0":                      func(lim *engine.Limits) { lim.ByteRate = -1 },
		"rate that is no number":            func(lim *engine.Limits) { lim.AddressRate = math.NaN() },
		"rate without end":                  func(lim *engine.Limits) { lim.MessageRate = math.Inf(1) },
		"burst that never comes again":      func(lim *engine.Limits) { lim.HandshakeRate, lim.HandshakeBurst = 1e-9, 1000 },
		"burst below 0":                     func(lim *engine.Limits) { lim.HandshakeBurst = -1 },
		"limit below 0":                     func(lim *engine.Limits) { lim.AddressHandshakes = -1 },
		"timeout below 0":                   func(lim *engine.Limits) { lim.IdleTimeout = -1 },
		"network that is none":              func(lim *engine.Limits) { lim.ProxyTrust = []netip.Prefix{{}} },
	} {
		err := set(func(lim *engine.Limits) { lim.MessageRate = 1; change(lim) })
		if lim := r.e.Limits(); err == nil || lim.MessageRate != before.MessageRate {
			t.Errorf("%s: error %v, the message rate is %g", name, err, lim.MessageRate)
		}
	}
	if err := set(func(lim *engine.Limits) { lim.MaxConnections = 3 }); err != nil || r.e.Ceiling() != 3 {
		t.Errorf("error %v, the ceiling is %d", err, r.e.Ceiling())
	}
	r.from(neighbour).turnedAway()
	c.parts()
}
