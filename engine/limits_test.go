package engine

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"throng/protocol"
)

// setLimits changes the limits of a fake loop's engine.
func (f *fakeLoop) setLimits(change func(lim *Limits)) {
	f.t.Helper()
	f.engine.gate.limit = 1 << 20
	lim := f.engine.Limits()
	change(&lim)
	if err := f.engine.SetLimits(lim); err != nil {
		f.t.Fatal(err)
	}
	f.ring()
}

// TestTimeoutsChange brings the idle limit nearer, and then farther, under
// connections whose timers stand elsewhere: it counts from when each was last
// heard, and nobody is evicted early.
func TestTimeoutsChange(t *testing.T) {
	cfg := DefaultConfig()
	cfg.IdleTimeout, cfg.PingInterval = 0, 0
	h := &rooms{closed: map[Reason]int{}}
	f := newFakeLoop(t, cfg, h)
	quiet, lively := f.dial("/a", 0), f.dial("/b", 0)
	f.advance(int64(time.Minute))
	lively.say([]byte("here"))
	f.setLimits(func(lim *Limits) { lim.IdleTimeout = 2 * time.Minute })
	f.advance(int64(time.Minute) - 2*tickNanos)
	if len(h.closed) > 0 {
		t.Fatalf("after less than two minutes: %v", h.closed)
	}
	f.advance(4 * tickNanos)
	if quiet.c.state != stateClosing || lively.c.state != stateOpen {
		t.Fatalf("after two minutes the silent one is in state %d, the other in %d", quiet.c.state, lively.c.state)
	}
	f.setLimits(func(lim *Limits) { lim.IdleTimeout = time.Hour })
	f.advance(int64(58 * time.Minute))
	if lively.c.state != stateOpen {
		t.Error("the other is closed before the hour is over")
	}
	f.setLimits(func(lim *Limits) { lim.IdleTimeout = time.Second }) // which is over
	f.advance(3 * tickNanos)
	if lively.c.state == stateOpen {
		t.Error("the other is open, and was silent for longer than allowed")
	}
}

// TestTimeoutsChangeWithinATurn changes a timeout after a turn has begun with the last
// ones, and before it reads its mail: the timers are placed by what is in force.
func TestTimeoutsChangeWithinATurn(t *testing.T) {
	cfg := DefaultConfig()
	cfg.IdleTimeout, cfg.PingInterval = 0, 0
	f := newFakeLoop(t, cfg, &rooms{})
	f.engine.gate.limit = 1 << 20
	quiet := f.dial("/", 0)
	f.enter()
	lim := f.engine.Limits()
	lim.IdleTimeout = time.Second
	if err := f.engine.SetLimits(lim); err != nil {
		t.Fatal(err)
	}
	f.turn()
	f.exit()
	f.advance(int64(2 * time.Second))
	if quiet.c.reason != ReasonIdle {
		t.Errorf("after two silent seconds it ended for %s, want idle", quiet.c.reason)
	}
}

// TestLimitsCostNothing has rates, bytes and pings counted: a message allocates
// nothing for it.
func TestLimitsCostNothing(t *testing.T) {
	cfg := DefaultConfig()
	cfg.MessageRate, cfg.ByteRate, cfg.AddressConnections = 1e9, 1e12, 10
	f := newFakeLoop(t, cfg, &rooms{})
	fc := f.dial("/", 0)
	frame, buf := masked(protocol.OpText, []byte("hello")), make([]byte, 1<<16)
	turn := func() {
		fc.send(frame)
		readAll(fc.far, buf)
	}
	turn()
	if n := testing.AllocsPerRun(1000, turn); n != 0 {
		t.Errorf("%g allocations a message", n)
	}
}

// TestTrustedNetworks holds the forms in which a network can be given.
func TestTrustedNetworks(t *testing.T) {
	lim := liveLimits{Limits: Limits{ProxyTrust: []netip.Prefix{
		netip.MustParsePrefix("10.1.2.3/16"), netip.MustParsePrefix("::ffff:192.0.2.0/120"), netip.MustParsePrefix("2001:db8::/32")}}}
	if err := lim.check(); err != nil {
		t.Fatal(err)
	}
	for ip, want := range map[string]bool{
		"10.1.255.255": true, "10.2.0.1": false, "::ffff:10.1.0.1": true, "192.0.2.9": true, "192.0.3.1": false,
		"2001:db8:1::1": true, "2001:db9::1": false, "::1": false,
	} {
		if got := lim.trusts(remoteOf(netip.AddrPortFrom(netip.MustParseAddr(ip), 1))); got != want {
			t.Errorf("%s is trusted: %v, want %v", ip, got, want)
		}
	}
}

// TestProxyNeedsTrust: an engine that reads PROXY headers does not start, nor go
// on, without a network that may send them.
func TestProxyNeedsTrust(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Listen, cfg.Proxy = []string{"127.0.0.1:0"}, ProxyRequired
	if e, err := New(cfg, &rooms{}); err == nil || !strings.Contains(err.Error(), "trusted") {
		t.Errorf("engine %v, error %v", e, err)
	}
	f := newFakeLoop(t, balanced(ProxyOptional), &rooms{})
	f.engine.gate.limit = 1 << 20
	if err := f.engine.SetLimits(Limits{}); err == nil || len(f.engine.Limits().ProxyTrust) != 1 {
		t.Errorf("error %v, trusted are %v", err, f.engine.Limits().ProxyTrust)
	}
}

// TestPressure walks the use of memory up and down past the mark.
func TestPressure(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Compress, cfg.MemoryMark = true, 1600
	f := newFakeLoop(t, cfg, &rooms{})
	used, now := int64(0), int64(0)
	f.engine.pressure.read = func() int64 { return used }
	deflated := func() bool {
		fc := f.dialRaw()
		fc.send([]byte(strings.Replace(upgradeRequest("/"), "\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n", 1)))
		head := fc.read(1 << 16)
		if f.engine.pressure.level.Load() == pressureOver {
			if !bytes.HasPrefix(head, []byte("HTTP/1.1 503")) {
				t.Errorf("with %d in use: %q", used, head)
			}
			return false
		}
		return bytes.Contains(head, []byte("permessage-deflate"))
	}
	for _, x := range []struct {
		used  int64
		level int32
	}{
		{100, pressureNone}, {1399, pressureNone}, {1400, pressureTight}, {1599, pressureTight}, {1600, pressureOver},
		{1500, pressureOver}, {1499, pressureTight}, {1599, pressureTight}, {9999, pressureOver}, {100, pressureNone},
	} {
		used = x.used
		now += int64(pressureEvery)
		f.engine.pressure.look(f.engine, now)
		if level := f.engine.pressure.level.Load(); level != x.level {
			t.Errorf("with %d of %d in use the level is %d, want %d", used, cfg.MemoryMark, level, x.level)
		}
		if got := deflated(); got != (x.level == pressureNone) {
			t.Errorf("with %d in use compression is negotiated: %v", used, got)
		}
	}
	f.engine.ticking.Wait()
}

// TestPressureCollects: garbage that fills the memory is collected at once, and as long
// as it is something else that does, more and more seldom.
func TestPressureCollects(t *testing.T) {
	cfg := DefaultConfig()
	cfg.MemoryMark = 1600
	f := newFakeLoop(t, cfg, &rooms{})
	p := &f.engine.pressure
	used := int64(0)
	p.read = func() int64 { return used }
	now := int64(time.Hour)
	collected := func(d time.Duration) (at []time.Duration) {
		for end, began := now+int64(d), now; now < end; now += int64(pressureEvery) {
			before := p.freed
			p.look(f.engine, now)
			f.engine.ticking.Wait()
			if p.freed != before {
				at = append(at, time.Duration(now-began))
			}
		}
		return at
	}
	if at := collected(time.Minute); len(at) > 0 {
		t.Errorf("without need it was collected after %v", at)
	}
	used = 9999
	want := []time.Duration{0, 20 * time.Second, time.Minute, 140 * time.Second, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute}
	if at := collected(18 * time.Minute); !slices.Equal(at, want) {
		t.Errorf("it was collected after %v, want %v", at, want)
	}
	used = 0
	collected(time.Minute)
	used = 9999
	if at := collected(time.Second); len(at) != 1 {
		t.Errorf("the next time it was collected after %v", at)
	}
}

// TestTurnedOnLoop has more upgrades refused at once than a loop tells: each is
// ended and counted, and there is room for telling again when the told have gone.
func TestTurnedOnLoop(t *testing.T) {
	cfg := DefaultConfig()
	cfg.HandshakeRate, cfg.HandshakeBurst = 1e-9, 1
	f := newFakeLoop(t, cfg, &rooms{})
	f.dial("/", 0)
	told := 0
	for range turnedOnLoop + 10 {
		fc := f.dialRaw()
		fc.send([]byte(upgradeRequest("/")))
		if bytes.HasPrefix(fc.read(1<<16), []byte("HTTP/1.1 503")) {
			told++
		} else if fc.fd >= 0 {
			t.Fatal("a connection that was not told is not closed")
		}
	}
	if told != turnedOnLoop || f.turning != turnedOnLoop {
		t.Errorf("%d were told, %d are being told; want %d", told, f.turning, turnedOnLoop)
	}
	f.advance(int64(cfg.CloseTimeout) + 4*tickNanos)
	if f.turning != 0 {
		t.Errorf("%d are being told, and all have gone", f.turning)
	}
	if s := f.engine.Stats(); s.Ends[ReasonHandshakeRate] != turnedOnLoop+10 || s.Refusals["handshake_rate"] != turnedOnLoop+10 {
		t.Errorf("ends %v, refusals %v", s.Ends, s.Refusals)
	}
}
