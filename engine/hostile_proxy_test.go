package engine_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"throng/chat"
	"throng/engine"
)

// v1 is a PROXY header of version 1 for a client.
func v1(client string) string {
	ip := netip.MustParseAddrPort(client)
	if ip.Addr().Is4() {
		return fmt.Sprintf("PROXY TCP4 %s 192.0.2.1 %d 443\r\n", ip.Addr(), ip.Port())
	}
	return fmt.Sprintf("PROXY TCP6 %s 2001:db8::1 %d 443\r\n", ip.Addr(), ip.Port())
}

// v2 is one of version 2, with whatever is to stand behind the addresses.
func v2(client, tlvs string) string {
	ip := netip.MustParseAddrPort(client)
	b := []byte{0x21, 0x11, 0, byte(12 + len(tlvs))}
	to := netip.MustParseAddr("192.0.2.1")
	if ip.Addr().Is6() {
		b[1], b[3], to = 0x21, byte(36+len(tlvs)), netip.MustParseAddr("2001:db8::1")
	}
	b = append(append(b, ip.Addr().AsSlice()...), to.AsSlice()...)
	b = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, ip.Port()), 443)
	return signature + string(b) + tlvs
}

const (
	signature = "\r\n\r\n\x00\r\nQUIT\n"
	local     = signature + "\x20\x00\x00\x00"
	unspec    = signature + "\x21\x00\x00\x00"
	one       = "203.0.113.7:4242"
	six       = "[2001:db8:9::7]:4242"
)

// behind turns PROXY headers on for the peers of this test, or for strangers.
func behind(mode engine.ProxyMode, trust string) func(*engine.Config) {
	return func(c *engine.Config) {
		c.Proxy, c.ProxyTrust = mode, []netip.Prefix{netip.MustParsePrefix(trust)}
	}
}

const (
	us        = "127.0.0.0/8"
	strangers = "10.0.0.0/8"
)

// doormen are engines with PROXY headers in every mode, for peers that are
// trusted and for others. seen gets the address of each who is let in.
func doormen(t *testing.T, settings ...func(*engine.Config)) (rigs map[string]*rig, seen chan netip.AddrPort) {
	seen = make(chan netip.AddrPort, 16)
	h := &script{open: func(c *engine.Conn) { seen <- c.RemoteAddr() }}
	rigs = map[string]*rig{"off": start(t, h, settings...)}
	for mode, m := range map[string]engine.ProxyMode{"optional": engine.ProxyOptional, "required": engine.ProxyRequired} {
		rigs[mode] = start(t, h, append(settings, behind(m, us))...)
		rigs[mode+", not trusted"] = start(t, h, append(settings, behind(m, strangers))...)
	}
	return rigs, seen
}

// TestProxyServed has connections that are let in, each as who it is.
func TestProxyServed(t *testing.T) {
	rigs, seen := doormen(t)
	const own = "" // the socket's address
	for _, x := range []struct{ name, mode, header, client string }{
		{"version 1", "required", v1(one), one},
		{"version 1, optional", "optional", v1(one), one},
		{"version 1 for IPv6", "required", v1(six), six},
		{"version 2", "required", v2(one, ""), one},
		{"version 2, optional", "optional", v2(one, ""), one},
		{"version 2 for IPv6", "required", v2(six, ""), six},
		{"version 2 with TLVs", "required", v2(one, "\x04\x00\x03abc\x05\x00\x01x"), one},
		{"LOCAL", "required", local, own},
		{"LOCAL, optional", "optional", local, own},
		{"UNKNOWN", "required", "PROXY UNKNOWN\r\n", own},
		{"UNKNOWN with addresses", "required", "PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", own},
		{"UNSPEC", "required", unspec, own},
		{"no header, optional", "optional", "", own},
		{"no header, optional, not trusted", "optional, not trusted", "", own},
		{"no header, off", "off", "", own},
	} {
		for _, packets := range []string{"one packet", "two packets", "a byte at a time"} {
			t.Run(x.name+", "+packets, func(t *testing.T) {
				p := rigs[x.mode].in(t).dial(0)
				switch packets {
				case "one packet":
					p.send(x.header, handshake(), frame(0x81, "hello"))
				case "two packets":
					p.send(x.header)
					time.Sleep(time.Millisecond)
					p.send(handshake(), frame(0x81, "hello"))
				default:
					for _, b := range []byte(x.header) {
						p.send(string([]byte{b}))
						time.Sleep(100 * time.Microsecond)
					}
					p.send(handshake(), frame(0x81, "hello"))
				}
				if resp := p.answer("GET"); resp.StatusCode != 101 {
					t.Fatalf("status %d", resp.StatusCode)
				}
				p.hears("hello")
				want := x.client
				if want == own {
					want = p.LocalAddr().String()
				}
				if got := <-seen; got.String() != want {
					t.Errorf("served as %s, want %s", got, want)
				}
				_ = p.Close()
			})
		}
	}
}

// TestProxyOffence has connections that are closed for what stands before the
// request, at once and without an answer.
func TestProxyOffence(t *testing.T) {
	rigs, _ := doormen(t, func(c *engine.Config) { c.HandshakeTimeout = patience })
	long := v2(one, "\x04\x00\x00")
	for _, x := range []struct{ name, mode, sent string }{
		{"none, but required", "required", handshake()},
		{"none, but required, not trusted", "required, not trusted", handshake()},
		{"health check without one, but required", "required", "OPTIONS / HTTP/1.0\r\n\r\n"},
		{"version 1, not trusted", "optional, not trusted", v1(one) + handshake()},
		{"version 2, not trusted", "optional, not trusted", v2(one, "") + handshake()},
		{"LOCAL, not trusted", "optional, not trusted", local + handshake()},
		{"required, not trusted", "required, not trusted", v1(one) + handshake()},
		{"start of version 1, not trusted", "optional, not trusted", "PROXY "},
		{"start of version 2, not trusted", "optional, not trusted", signature},
		{"two of version 1", "required", v1(one) + v1(one) + handshake()},
		{"two of version 2", "optional", v2(one, "") + v2(one, "") + handshake()},
		{"two of both", "optional", v2(one, "") + v1(one)},
		{"second after LOCAL", "required", local + v1(one)},
		{"start of a second", "required", v1(one) + signature},
		{"malformed second", "required", v1(one) + "PROXY TCP9"},
		{"malformed address", "required", "PROXY TCP4 1.2.3 192.0.2.1 1 2\r\n"},
		{"malformed family", "optional", "PROXY TCP5 "},
		{"malformed command", "required", signature + "\x2f\x11\x00\x0c"},
		{"truncated addresses", "required", signature + "\x21\x11\x00\x04abcd"},
		{"oversized version 1", "required", "PROXY UNKNOWN " + strings.Repeat("a", 200)},
		{"oversized version 2", "required", signature + "\x21\x11\xff\xff"},
		{"TLV beyond the end", "required", long[:len(long)-1] + "\x09"},
	} {
		t.Run(x.name, func(t *testing.T) {
			r := rigs[x.mode].in(t)
			c := r.e.Stats().Open
			r.costs(1, engine.ReasonProxy, "", func() {
				p := r.dial(0)
				p.send(x.sent)
				p.closedWithoutAWord()
				_ = p.Close()
			})
			if s := r.e.Stats(); s.Open != c {
				t.Errorf("%d are open, there were %d", s.Open, c)
			}
		})
	}
	log := rigs["optional, not trusted"].log.String()
	if !strings.Contains(log, "not trusted") || !strings.Contains(log, "remote=127.0.0.1:") || strings.Count(log, "\n") > 5 {
		t.Errorf("the log says %q; want one line about a peer that is not trusted, with its address", log)
	}
}

// closedWithoutAWord demands the end of TCP, in order or not, and not a byte
// before.
func (p *peer) closedWithoutAWord() {
	p.Helper()
	_ = p.SetReadDeadline(time.Now().Add(patience))
	if n, err := p.in.Read(make([]byte, 1)); n > 0 || err == nil || strings.Contains(err.Error(), "timeout") {
		p.Fatalf("expected the end; got %d bytes, error %v", n, err)
	}
}

// TestProxyOff has a header where none is read: it is a malformed request.
func TestProxyOff(t *testing.T) {
	r := start(t, nil)
	for _, sent := range []string{v1(one) + handshake(), v2(one, "") + handshake()} {
		r.costs(1, engine.ReasonBadRequest, "bad_request", func() {
			p := r.dial(0)
			p.send(sent)
			if resp := p.answer("GET"); resp.StatusCode != 400 {
				t.Errorf("status %d, want 400", resp.StatusCode)
			}
			p.ended()
			_ = p.Close()
		})
	}
}

// TestProxyProbe has balancers that look whether anybody is there.
func TestProxyProbe(t *testing.T) {
	rigs, _ := doormen(t)
	for _, x := range []struct{ name, mode, sent string }{
		{"nothing, required", "required", ""},
		{"nothing, required, not trusted", "required, not trusted", ""},
		{"nothing, optional", "optional", ""},
		{"nothing, optional, not trusted", "optional, not trusted", ""},
		{"LOCAL", "required", local},
		{"version 1", "required", v1(one)},
	} {
		for _, end := range []string{"closed", "reset"} {
			t.Run(x.name+", "+end, func(t *testing.T) {
				r := rigs[x.mode].in(t)
				r.costs(1, engine.ReasonProbe, "", func() {
					p := r.dial(0)
					p.send(x.sent)
					if end == "reset" {
						time.Sleep(5 * time.Millisecond) // a reset takes what was not read with it
						p.vanish()
					}
					_ = p.Close()
				})
			})
		}
	}
}

// TestProxyTimeout has connections that stop somewhere before the request is
// complete: the time counts from accept, and nothing extends it.
func TestProxyTimeout(t *testing.T) {
	rigs, _ := doormen(t, func(c *engine.Config) { c.HandshakeTimeout = 200 * time.Millisecond })
	for _, x := range []struct{ name, mode, sent string }{
		{"nothing", "required", ""},
		{"half of version 1", "required", "PROXY TCP4 203.0"},
		{"half of version 2", "optional", signature + "\x21"},
		{"a header alone", "required", v1(one)},
		{"a header and half a request", "required", v2(one, "") + "GET / HT"},
		{"half of what may be a second", "required", v2(one, "") + "\r\n"},
	} {
		t.Run(x.name, func(t *testing.T) {
			r := rigs[x.mode].in(t)
			r.costs(1, engine.ReasonHandshakeTimeout, "", func() {
				p := r.dial(0)
				p.send(x.sent)
				p.closedWithoutAWord()
				_ = p.Close()
			})
		})
	}
}

// TestProxyHealth has balancers ask for health behind their headers, as HAProxy
// does with send-proxy and check-send-proxy.
func TestProxyHealth(t *testing.T) {
	server, err := chat.New(chat.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, server, behind(engine.ProxyRequired, us))
	for _, ready := range []bool{true, false} {
		if !ready {
			r.e.NotReady()
		}
		for _, header := range []string{local, "PROXY UNKNOWN\r\n", v1("127.0.0.1:1"), v2(one, "")} {
			for request, status := range map[string]map[bool]int{
				"OPTIONS / HTTP/1.0\r\n\r\n":                    {true: 204, false: 503},
				"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n":         {true: 204, false: 503},
				"GET /readyz HTTP/1.0\r\n\r\n":                  {true: 200, false: 503},
				"HEAD /readyz HTTP/1.1\r\nHost: a\r\n\r\n":      {true: 200, false: 503},
				"OPTIONS /healthz HTTP/1.0\r\n\r\n":             {true: 200, false: 200},
				"OPTIONS /nothing/here HTTP/1.0\r\n\r\n":        {true: 404, false: 404},
				"GET /healthz HTTP/1.1\r\nHost: a.b:80\r\n\r\n": {true: 200, false: 200},
			} {
				p := r.dial(0)
				p.send(header, request)
				method, _, _ := strings.Cut(request, " ")
				if resp := p.answer(method); resp.StatusCode != status[ready] {
					t.Errorf("%q %q, ready %v: status %d, want %d", header, request, ready, resp.StatusCode, status[ready])
				}
				p.ended()
				_ = p.Close()
			}
		}
	}
}
