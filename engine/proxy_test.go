package engine

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"throng/protocol"
)

// balanced is a configuration that takes PROXY headers from the network that the
// connections of a fake loop come from.
func balanced(mode ProxyMode) Config {
	cfg := DefaultConfig()
	cfg.Proxy, cfg.ProxyTrust = mode, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	cfg.IdleTimeout, cfg.PingInterval = 0, 0
	return cfg
}

// arrive opens a connection as the gate does.
func (f *fakeLoop) arrive() *fakeConn {
	fc := f.dialRaw()
	if f.engine.cfg.Proxy != ProxyOff {
		fc.c.flags |= flagDoorstep
	}
	return fc
}

// TestProxySplit cuts a header, a request and a message behind it at every place,
// and at three places by chance: who the client is and what it said cannot depend
// on it, nor can the end of those that are closed.
func TestProxySplit(t *testing.T) {
	const header1 = "PROXY TCP6 2001:db8::7 2001:db8::1 56324 443\r\n"
	const header2 = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x10\xcb\x00\x71\x07\xc0\x00\x02\x01\x10\x92\x01\xbb\x04\x00\x01z"
	const local = "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
	request := upgradeRequest("/") + string(masked(protocol.OpText, []byte("hello")))
	for _, x := range []struct {
		name, sent, remote string
		ends               Reason
	}{
		{"version 1", header1 + request, "[2001:db8::7]:56324", ReasonNone},
		{"version 2", header2 + request, "203.0.113.7:4242", ReasonNone},
		{"LOCAL", local + request, "192.0.2.1:7", ReasonNone},
		{"none", request, "192.0.2.1:7", ReasonNone},
		{"twice", header1 + header2 + request, "", ReasonProxy},
		{"malformed", "PROXY TCP4 1.2.3.4 1.2.3.4 01 1\r\n" + request, "", ReasonProxy},
	} {
		t.Run(x.name, func(t *testing.T) {
			f := newFakeLoop(t, balanced(ProxyOptional), &rooms{})
			try := func(cuts ...int) {
				t.Helper()
				fc := f.arrive()
				from := 0
				for _, to := range append(cuts, len(x.sent)) {
					if to > from && fc.fd >= 0 {
						fc.send([]byte(x.sent[from:to]))
						from = to
					}
				}
				f.ring()
				got := fc.read(1 << 16)
				if x.ends != ReasonNone {
					if fc.c.reason != x.ends || len(got) > 0 || fc.fd >= 0 {
						t.Fatalf("cut at %d: ended for %s, got %q; want %s and not a word", cuts, fc.c.reason, got, x.ends)
					}
					return
				}
				if !bytes.HasPrefix(got, []byte("HTTP/1.1 101")) || !bytes.HasSuffix(got, []byte("\x81\x05hello")) {
					t.Fatalf("cut at %d: got %q", cuts, got)
				}
				if r := fc.c.RemoteAddr().String(); r != x.remote {
					t.Fatalf("cut at %d: served as %s, want %s", cuts, r, x.remote)
				}
				fc.reset()
			}
			for at := range x.sent {
				try(at)
			}
			seed := uint64(time.Now().UnixNano())
			chance := rand.New(rand.NewPCG(seed, 0))
			for range 200 {
				a, b, c := chance.IntN(len(x.sent)), chance.IntN(len(x.sent)), chance.IntN(len(x.sent))
				try(min(a, b, c), a+b+c-min(a, b, c)-max(a, b, c), max(a, b, c))
			}
			if f.partial != 0 || f.wheel.Len() != 0 {
				t.Errorf("seed %d: %d bytes and %d timers are left", seed, f.partial, f.wheel.Len())
			}
		})
	}
}

// TestProxyAddressCounts has balancers bring clients: each client's address is
// limited, the balancer's own never is, and what is refused is told.
func TestProxyAddressCounts(t *testing.T) {
	cfg := balanced(ProxyRequired)
	cfg.AddressConnections = 2
	f := newFakeLoop(t, cfg, &rooms{})
	join := func(header string) *fakeConn {
		fc := f.arrive()
		fc.send([]byte(header + upgradeRequest("/")))
		return fc
	}
	status := func(fc *fakeConn) string {
		got := fc.read(1 << 16)
		return string(got[:min(len(got), len("HTTP/1.1 101"))])
	}
	const yes, no = "HTTP/1.1 101", "HTTP/1.1 503"
	client, other := "PROXY TCP4 203.0.113.7 192.0.2.1 1 1\r\n", "PROXY TCP4 203.0.113.8 192.0.2.1 1 1\r\n"
	home, neighbour := "PROXY TCP6 2001:db8:1:1::%d 2001:db8::1 1 1\r\n", "PROXY TCP6 2001:db8:1:2::7 2001:db8::1 1 1\r\n"
	first := join(client)
	for i, x := range []struct {
		header, status string
	}{
		{"", yes}, {client, yes}, {client, no}, {other, yes},
		{string(bytes.Replace([]byte(home), []byte("%d"), []byte("1"), 1)), yes},
		{string(bytes.Replace([]byte(home), []byte("%d"), []byte("2"), 1)), yes},
		{string(bytes.Replace([]byte(home), []byte("%d"), []byte("3"), 1)), no},
		{neighbour, yes},
		{"PROXY UNKNOWN\r\n", yes}, {"PROXY UNKNOWN\r\n", yes}, {"PROXY UNKNOWN\r\n", yes},
		{"PROXY TCP4 192.0.2.1 192.0.2.9 1 1\r\n", yes}, {"PROXY TCP4 192.0.2.1 192.0.2.9 1 1\r\n", yes}, {"PROXY TCP4 192.0.2.1 192.0.2.9 1 1\r\n", yes},
	} {
		fc := first
		if x.header != "" {
			fc = join(x.header)
		}
		if got := status(fc); got != x.status {
			t.Errorf("connection %d, %q: %q, want %q", i, x.header, got, x.status)
		}
	}
	first.reset()
	if got := status(join(client)); got != yes {
		t.Errorf("after one of two has left: %q", got)
	}
	for _, fc := range f.conns {
		fc.reset()
	}
	if present, absent := f.engine.addresses.size(); present+absent != 0 {
		t.Errorf("%d addresses are left, and %d without connections", present, absent)
	}
}
