package engine

import (
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"throng/protocol"
)

// clumsy is a handler that panics now and then, whatever it is asked.
type clumsy struct {
	rooms
	chance *rand.Rand
}

func (h *clumsy) stumble() {
	if h.chance.IntN(20) == 0 {
		panic("clumsy")
	}
}

func (h *clumsy) OnUpgrade(c *Conn, r *protocol.Request) (string, error) {
	h.stumble()
	return h.rooms.OnUpgrade(c, r)
}

func (h *clumsy) OnOpen(c *Conn) {
	h.rooms.OnOpen(c)
	h.stumble()
}

func (h *clumsy) OnMessage(c *Conn, op protocol.Opcode, data []byte) {
	h.stumble()
	h.rooms.OnMessage(c, op, data)
}

func (h *clumsy) OnClose(*Conn, Reason) { h.stumble() }

func (h *clumsy) Describe(*Conn) string {
	h.stumble()
	return "somebody"
}

// come accepts a connection as the gate does, and gives it to the loop unless it is
// turned away or, as enrolling may, fails.
func (f *fakeLoop) come(from netip.AddrPort, fails bool) *fakeConn {
	g := f.engine.gate
	c := &Conn{fd: -1, accepted: stampNow(), remote: remoteOf(from)}
	if why := g.admit(c); why != ReasonNone {
		return nil
	}
	g.place(c, f.loop)
	if fails {
		g.unenrolled(c)
		return nil
	}
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		f.t.Fatal(err)
	}
	fc := &fakeConn{f: f, c: c, fd: ends[0], far: ends[1]}
	f.conns = append(f.conns, fc)
	f.arriving = c
	f.OnOpen(fc)
	return fc
}

// TestAccounts has connections come from balancers and from strangers, say by chance
// whatever may stand before a message, cut by chance, and end in every way there is,
// while handlers panic and limits and trusted networks change: what is counted of
// them is never below nothing, and when all are gone nothing is left of it.
func TestAccounts(t *testing.T) {
	r := newRand(t)
	for _, mode := range []ProxyMode{ProxyOff, ProxyOptional, ProxyRequired} {
		cfg := balanced(mode)
		cfg.AddressConnections, cfg.AddressHandshakes = 5, 3
		f := newFakeLoop(t, cfg, &clumsy{chance: r})
		left := map[*fakeConn][]byte{} // what each has not sent yet
		for range 20_000 {
			playAccounts(f, r, left)
			for fc := range left {
				if fc.fd < 0 {
					fc.hangUp()
					delete(left, fc)
				}
			}
			f.checkAccounts()
		}
		for fc := range left {
			fc.reset()
		}
		f.advance(int64(time.Minute))
		f.engine.addresses.forget(f.clock)
		present, absent := f.engine.addresses.size()
		if n := f.engine.gate.count.Load(); n != 0 || present+absent != 0 || f.turning != 0 || f.open != 0 || f.alive.Load() != 0 || f.partial != 0 || f.wheel.Len() != 0 {
			t.Errorf("mode %d: left are %d connections, %d and %d addresses, %d being turned away, %d open, %d alive, %d bytes, %d timers",
				mode, n, present, absent, f.turning, f.open, f.alive.Load(), f.partial, f.wheel.Len())
		}
		for _, why := range []Reason{ReasonEOF, ReasonReset, ReasonPanic, ReasonKicked, ReasonHandshakeTimeout} {
			if f.stats.ends[why] == 0 {
				t.Errorf("mode %d: nobody ended for %s: the game shows little", mode, why)
			}
		}
	}
}

// TestCloseDuringHandshakes closes an engine while clients come, some with half a
// request, some upgraded: each that was counted is taken back.
func TestCloseDuringHandshakes(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Listen, cfg.Logger = []string{"127.0.0.1:0"}, slog.New(slog.DiscardHandler)
	cfg.AddressConnections, cfg.AddressHandshakes = 300, 200
	e, err := New(cfg, &rooms{})
	if err != nil {
		t.Fatal(err)
	}
	e.Start()
	request := upgradeRequest("/")
	var comers sync.WaitGroup
	for range 4 {
		comers.Go(func() {
			for i := range 500 {
				nc, err := net.Dial("tcp", e.Addrs()[0].String())
				if err != nil {
					return
				}
				defer nc.Close()
				_, _ = nc.Write([]byte(request)[:len(request)*(i%3)/2])
			}
		})
	}
	for e.gate.accepts.Load() < 200 {
		time.Sleep(time.Millisecond)
	}
	e.Close()
	comers.Wait()
	present, _ := e.addresses.size()
	if n := e.gate.count.Load(); n != 0 || present != 0 {
		t.Errorf("%d connections are left, and %d addresses", n, present)
	}
	for _, l := range e.loops {
		if l.open != 0 || l.turning != 0 || l.alive.Load() != 0 {
			t.Errorf("loop %d: %d are open, %d being turned away, %d alive", l.index, l.open, l.turning, l.alive.Load())
		}
	}
}

// playAccounts makes one move.
func playAccounts(f *fakeLoop, r *rand.Rand, left map[*fakeConn][]byte) {
	if move := r.IntN(100); move < 25 {
		peers := []string{"192.0.2.1", "192.0.2.2", "198.51.100.1", "203.0.113.7", "2001:db8::1"}
		if fc := f.come(netip.AddrPortFrom(netip.MustParseAddr(peers[r.IntN(len(peers))]), 7), r.IntN(10) == 0); fc != nil {
			left[fc] = sentence(f, r)
		}
		return
	} else if move < 27 {
		f.setLimits(func(lim *Limits) { playLimits(r, lim) })
		return
	} else if move < 30 {
		f.advance(int64(r.IntN(3)+1) * tickNanos * int64(1+r.IntN(20)))
		return
	}
	for fc, b := range left { // Go's order of a map is chance enough
		switch move := r.IntN(100); {
		case move < 80:
			n := min(len(b), 1+r.IntN(300))
			fc.send(b[:n])
			left[fc] = b[n:]
		case move < 85:
			fc.reset()
		case move < 90:
			f.enter()
			fc.closed(nil)
			f.exit()
		case move < 95:
			f.enter()
			fc.c.end(ReasonKicked, 4403, "kicked")
			f.exit()
		}
		f.ring()
		return
	}
}

// sentence is what a client sends: most of what it should, and sometimes what it
// should not.
func sentence(f *fakeLoop, r *rand.Rand) (b []byte) {
	headers := []string{"", "", "PROXY TCP4 203.0.113.8 192.0.2.1 1 1\r\n", "PROXY TCP4 203.0.113.9 192.0.2.1 1 1\r\n",
		"PROXY TCP6 2001:db8::9 2001:db8::1 1 1\r\n", "PROXY UNKNOWN\r\n", "PROXY TCP4 192.0.2.1 192.0.2.9 1 1\r\n", "PROXY TCP4 nonsense\r\n"}
	b = append(b, headers[r.IntN(len(headers))]...)
	if r.IntN(20) == 0 {
		b = append(b, headers[r.IntN(len(headers))]...)
	}
	switch r.IntN(10) {
	case 0:
		return append(b, "GET / HTTP/1.0\r\n\r\n"...)
	case 1:
		return append(b, "nonsense\r\n\r\n"...)
	case 2:
		return b // and then nothing
	}
	b = append(b, upgradeRequest([]string{"/a", "/b"}[r.IntN(2)])...)
	for range r.IntN(20) {
		b = append(b, masked(protocol.OpText, make([]byte, r.IntN(200)))...)
	}
	return b
}

// playLimits changes limits, turning some off and on.
func playLimits(r *rand.Rand, lim *Limits) {
	lim.ProxyTrust = []netip.Prefix{netip.MustParsePrefix([]string{"192.0.2.0/24", "198.51.100.0/24", "0.0.0.0/0", "::ffff:192.0.2.0/127"}[r.IntN(4)])}
	lim.AddressConnections, lim.AddressHandshakes = max(0, r.IntN(12)-3), max(0, r.IntN(6)-1)
	lim.AddressRate, lim.AddressBurst = float64(r.IntN(3)*r.IntN(100)), 0
	lim.HandshakeRate, lim.HandshakeBurst = float64(r.IntN(3)*100), 0
	lim.MaxConnections = 20 + r.IntN(100)
}

// checkAccounts holds the book of addresses against the connections that say they
// are in it.
func (f *fakeLoop) checkAccounts() {
	f.t.Helper()
	book := f.engine.addresses
	want := map[address]tally{}
	for _, c := range f.loop.conns {
		if c != nil && c.flags&flagInBook != 0 {
			t := want[book.of(c.remote)]
			if t.conns++; c.flags&flagInHead != 0 {
				t.heads++
			}
			want[book.of(c.remote)] = t
		}
	}
	for i := range book.shards {
		for a, got := range book.shards[i].present {
			if w := want[a]; got.conns != w.conns || got.heads != w.heads {
				f.t.Fatalf("%v has %d connections, %d without an upgrade; the book says %d and %d", netip.AddrFrom16(a), w.conns, w.heads, got.conns, got.heads)
			}
			delete(want, a)
		}
	}
	if len(want) > 0 {
		f.t.Fatalf("the book does not know of %v", want)
	}
}

// forget sweeps away all that an hour makes worthless.
func (b *addressBook) forget(now int64) {
	for range addressShards {
		b.sweep(now + int64(time.Hour))
	}
}
