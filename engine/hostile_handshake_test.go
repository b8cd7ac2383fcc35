package engine_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"

	"throng/engine"
	"throng/protocol"
)

// request is a handshake with one line exchanged for others, or for nothing.
func request(line string, instead ...string) string {
	with := ""
	if len(instead) > 0 {
		with = strings.Join(instead, "\r\n") + "\r\n"
	}
	whole := handshake()
	if !strings.Contains(whole, line) {
		panic("no such line: " + line)
	}
	return strings.Replace(whole, line+"\r\n", with, 1)
}

const (
	start1  = "GET / HTTP/1.1"
	host    = "Host: server.example.com"
	upgrade = "Upgrade: websocket"
	connect = "Connection: Upgrade"
	key     = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
	version = "Sec-WebSocket-Version: 13"
)

// TestHandshakeRefused has every request that is no valid upgrade answered with
// its status, counted under its label, while two others chat.
func TestHandshakeRefused(t *testing.T) {
	bad, large := engine.ReasonBadRequest, engine.ReasonHeadTooLarge
	hello := new(bytes.Buffer)
	_ = tls.Client(halfConn{w: hello}, &tls.Config{ServerName: "server.example.com"}).Handshake()
	r := start(t, nil)
	c := r.crowd()
	for _, x := range []struct {
		name    string
		request string
		status  int
		why     engine.Reason
		header  string // "name: value" that the answer must have
	}{
		{"another method", request(start1, "POST / HTTP/1.1"), 405, bad, "Allow: GET"},
		{"method in lower case", request(start1, "get / HTTP/1.1"), 405, bad, "Allow: GET"},
		{"HTTP 0.9", "GET /\r\n", 505, bad, ""},
		{"HTTP 1.0", request(start1, "GET / HTTP/1.0"), 505, bad, ""},
		{"HTTP 2", request(start1, "GET / HTTP/2.0"), 505, bad, ""},
		{"HTTP 2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, bad, ""},
		{"no host", request(host), 400, bad, ""},
		{"two hosts", request(host, host, host), 400, bad, ""},
		{"no upgrade", request(upgrade), 400, bad, ""},
		{"upgrade to something else", request(upgrade, "Upgrade: h2c"), 400, bad, ""},
		{"no connection", request(connect), 400, bad, ""},
		{"connection without upgrade", request(connect, "Connection: keep-alive"), 400, bad, ""},
		{"no key", request(key), 400, bad, ""},
		{"two keys", request(key, key, key), 400, bad, ""},
		{"key of 24 letters that is not 16 bytes", request(key, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZTEy"), 400, bad, ""},
		{"key that is not base64", request(key, "Sec-WebSocket-Key: ????????????????????????"), 400, bad, ""},
		{"no version", request(version), 400, bad, ""},
		{"two versions", request(version, version, version), 400, bad, ""},
		{"unknown version", request(version, "Sec-WebSocket-Version: 8"), 426, engine.ReasonBadVersion, "Sec-WebSocket-Version: 13"},
		{"space before the colon", request(host, "Host : server.example.com"), 400, bad, ""},
		{"NUL in a value", request(host, host, "X-A: a\x00b"), 400, bad, ""},
		{"bare CR in a value", request(host, host, "X-A: a\rb"), 400, bad, ""},
		{"bare LF", strings.Replace(handshake(), "\r\n", "\n", 1), 400, bad, ""},
		{"folded line", request(host, host, "X-A: a", " b"), 400, bad, ""},
		{"body by length", request(host, host, "Content-Length: 6"), 400, bad, ""},
		{"body by chunks", request(host, host, "Transfer-Encoding: chunked"), 400, bad, ""},
		{"two origins", request(host, host, "Origin: http://a.example", "Origin: http://a.example"), 400, bad, ""},
		{"bad subprotocol list", request(host, host, "Sec-WebSocket-Protocol: a b"), 400, bad, ""},
		{"bad extension list", request(host, host, "Sec-WebSocket-Extensions: ;"), 400, bad, ""},
		{"garbage", "\x00\x01\x02\x03", 400, bad, ""},
		{"TLS", hello.String(), 400, bad, ""},
		{"head too large", request(host, host, "X-A: "+strings.Repeat("a", 8<<10)), 431, large, ""},
		{"endless head", handshake()[:100] + strings.Repeat("a", 16<<10), 431, large, ""},
		{"too many headers", request(host, append(lines(60), host)...), 431, large, ""},
		{"long URI", request(start1, "GET /"+strings.Repeat("a", 4<<10)+" HTTP/1.1"), 414, large, ""},
		{"foreign origin", request(host, host, "Origin: https://evil.example"), 403, engine.ReasonOrigin, ""},
		{"origin of another port", request(host, host, "Origin: http://server.example.com:8080"), 403, engine.ReasonOrigin, ""},
		{"null origin", request(host, host, "Origin: null"), 403, engine.ReasonOrigin, ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			r := r.in(t)
			r.costs(1, x.why, x.why.String(), func() {
				p := r.dial(0)
				p.send(x.request)
				resp := p.answer("GET")
				if resp.StatusCode != x.status {
					t.Errorf("status %d, want %d", resp.StatusCode, x.status)
				}
				if name, value, _ := strings.Cut(x.header, ": "); resp.Header.Get(name) != value {
					t.Errorf("headers %v, want %s", resp.Header, x.header)
				}
				if !resp.Close {
					t.Error("the answer does not say that the connection ends")
				}
				p.ended()
				_ = p.Close()
			})
		})
	}
	c.parts()
	if log := r.log.String(); log != "" {
		t.Errorf("refused requests were logged at the normal level: %s", log)
	}
}

// halfConn is the end of a connection on which nothing ever comes.
type halfConn struct {
	net.Conn
	w io.Writer
}

func (h halfConn) Write(b []byte) (int, error)      { return h.w.Write(b) }
func (h halfConn) Read([]byte) (int, error)         { return 0, io.EOF }
func (h halfConn) SetDeadline(time.Time) error      { return nil }
func (h halfConn) SetWriteDeadline(time.Time) error { return nil }

func lines(n int) (all []string) {
	for range n {
		all = append(all, "X-A: a")
	}
	return all
}

// TestHandshakeAccepted has the valid upgrades that servers are known to refuse.
func TestHandshakeAccepted(t *testing.T) {
	r := start(t, nil, func(c *engine.Config) { c.Compress = true })
	deflate := func(offer string) string { return "Sec-WebSocket-Extensions: permessage-deflate" + offer }
	for _, x := range []struct {
		name       string
		request    string
		extensions string
	}{
		{"no origin", handshake(), ""},
		{"same origin", handshake("Origin: http://server.example.com"), ""},
		{"same origin by TLS", handshake("Origin: https://server.example.com"), ""},
		{"list headers on several lines", request(connect, "Connection: keep-alive", "Connection: Upgrade", "Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: b"), ""},
		{"lists in one line", request(upgrade, "Upgrade: h2c, WebSocket"), ""},
		{"any case", strings.NewReplacer("Upgrade", "uPGRADE", "Sec-", "sEC-", "Host", "HOST").Replace(handshake()), ""},
		{"deflate", handshake(deflate("")), "permessage-deflate; server_no_context_takeover; client_no_context_takeover"},
		{"unknown extension", handshake("Sec-WebSocket-Extensions: x-brotli"), ""},
		{"unknown parameter", handshake(deflate("; level=9")), ""},
		{"doubled parameter", handshake(deflate("; server_max_window_bits=10; server_max_window_bits=10")), ""},
		{"bad parameter", handshake(deflate("; server_max_window_bits=7")), ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			p := r.in(t).dial(0)
			p.send(x.request)
			resp := p.answer("GET")
			if got := resp.Header.Get("Sec-WebSocket-Extensions"); resp.StatusCode != 101 || got != x.extensions {
				t.Fatalf("status %d with extensions %q, want 101 with %q", resp.StatusCode, got, x.extensions)
			}
			p.say("hello")
			p.hears("hello")
		})
	}
	t.Run("frames in the packet of the request", func(t *testing.T) {
		p := r.in(t).dial(0)
		p.send(handshake(), frame(0x81, "early"), frame(0x89, "ping"))
		p.answer("GET")
		op, text, err := p.next() // the pong answers at once, the message takes its turn
		if op == ws.OpPong {
			op, text, err = p.next()
		}
		if err != nil || op != ws.OpText || text != "early" {
			t.Fatalf("got opcode %d, %q, error %v", op, text, err)
		}
	})
	t.Run("a byte at a time", func(t *testing.T) {
		p := r.in(t).dial(0)
		for _, b := range []byte(handshake()) {
			p.send(string(b))
		}
		p.answer("GET")
		p.say("hello")
		p.hears("hello")
	})
	t.Run("listed null origin", func(t *testing.T) {
		r := start(t, nil, func(c *engine.Config) { c.Origins, _ = protocol.ParseOrigins([]string{"null"}) })
		r.join("Origin: null")
	})
}

// TestHandshakeTimeout has those who do not finish their request closed without
// an answer, whatever they have sent by then, and not before their time.
func TestHandshakeTimeout(t *testing.T) {
	const timeout = 300 * time.Millisecond
	r := start(t, nil, func(c *engine.Config) { c.HandshakeTimeout = timeout })
	c := r.crowd()
	for _, x := range []struct {
		name  string
		first string // sent at once
		then  string // sent a byte at a time
	}{
		{"silence", "", ""},
		{"half a request", handshake()[:60], ""},
		{"all but the last byte", handshake()[:len(handshake())-1], ""},
		{"a byte now and then", "", handshake()},
	} {
		t.Run(x.name, func(t *testing.T) {
			r := r.in(t)
			r.costs(1, engine.ReasonHandshakeTimeout, "", func() {
				began := time.Now()
				p := r.dial(0)
				p.send(x.first)
				trickled := make(chan struct{})
				go func() {
					defer close(trickled)
					for i := range len(x.then) {
						if _, err := io.WriteString(p.Conn, x.then[i:i+1]); err != nil {
							return
						}
						time.Sleep(timeout / 20)
					}
				}()
				_ = p.SetReadDeadline(began.Add(patience))
				rest, err := io.ReadAll(p.in)
				if len(rest) > 0 || err != nil && !errors.Is(err, unix.ECONNRESET) {
					t.Errorf("got %q and %v; want no answer", rest, err)
				}
				if took := time.Since(began); took < timeout {
					t.Errorf("closed after %v, before the timeout of %v", took, timeout)
				}
				_ = p.Close()
				<-trickled
			})
		})
	}
	c.parts()
}

// TestHandshakeHalfOpen holds thousands of unfinished handshakes open while two
// people chat. THRONG_LONG makes it ten thousand, or what descriptors allow.
func TestHandshakeHalfOpen(t *testing.T) {
	n, timeout := 2000, 2*time.Second
	if long() {
		n, timeout = 10_000, 15*time.Second
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	n = min(n, int(limit.Max-1000)/2) // both ends are this process's
	r := start(t, nil, func(c *engine.Config) { c.HandshakeTimeout = timeout })
	c := r.crowd()
	r.costs(uint64(n), engine.ReasonHandshakeTimeout, "", func() {
		for i := range n {
			r.dial(0).send(handshake()[:1+i%(len(handshake())-1)])
		}
		c.chats()
	})
	c.parts()
}

// TestProbe has connections closed without a byte: a balancer's check.
func TestProbe(t *testing.T) {
	r := start(t, nil)
	c := r.crowd()
	t.Run("closed", func(t *testing.T) {
		r := r.in(t)
		r.costs(20, engine.ReasonProbe, "", func() {
			for range 20 {
				_ = r.dial(0).Close()
			}
		})
	})
	t.Run("reset", func(t *testing.T) { // some end before a loop has them
		r := r.in(t)
		before := r.e.Stats()
		for range 20 {
			r.dial(0).vanish()
		}
		r.join().say("the last in the queue")
		r.wait("the probes", func(s engine.Stats) bool { return s.Open >= before.Open+1 })
		after := r.e.Stats()
		if n := sum(after.Ends) - sum(before.Ends); after.Ends[engine.ReasonProbe]-before.Ends[engine.ReasonProbe] != n {
			t.Errorf("ends are %v, before %v; want probes only", after.Ends, before.Ends)
		}
	})
	c.parts()
	if s := r.e.Stats(); s.AcceptErrors != 0 || len(s.Refusals) != 0 || r.log.String() != "" {
		t.Errorf("probes were taken for errors: %+v, log %q", s, r.log)
	}
}

// TestPlainRequest has requests that ask for no upgrade.
func TestPlainRequest(t *testing.T) {
	for _, x := range []struct {
		name    string
		handler engine.Handler
		status  int
	}{
		{"answered by the handler", &script{}, 200},
		{"without a handler for it", broadcast{}, 426},
	} {
		t.Run(x.name, func(t *testing.T) {
			r := start(t, x.handler)
			r.costs(1, engine.ReasonRequest, "", func() {
				p := r.dial(0)
				p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
				if resp := p.answer("GET"); resp.StatusCode != x.status {
					t.Errorf("status %d, want %d", resp.StatusCode, x.status)
				}
				p.ended()
				_ = p.Close()
			})
		})
	}
}

// TestUpgradeRefused has the handler refuse upgrades.
func TestUpgradeRefused(t *testing.T) {
	for _, x := range []struct {
		name   string
		err    error
		status int
		label  string
	}{
		{"for a reason of its own", errors.New("not you"), 403, "refused"},
		{"with a status and a label", &protocol.HandshakeError{Status: 400, Label: "name", Text: "no such room"}, 400, "name"},
	} {
		t.Run(x.name, func(t *testing.T) {
			r := start(t, &script{upgrade: func(*protocol.Request) error { return x.err }})
			r.costs(1, engine.ReasonRefused, x.label, func() {
				p := r.dial(0)
				p.send(handshake())
				if resp := p.answer("GET"); resp.StatusCode != x.status {
					t.Errorf("status %d, want %d", resp.StatusCode, x.status)
				}
				p.ended()
				_ = p.Close()
			})
		})
	}
}

// TestCeiling has one more client than connections are allowed: it is told, and
// gets in when somebody has left.
func TestCeiling(t *testing.T) {
	r := start(t, nil, func(c *engine.Config) { c.MaxConnections = 3 })
	c := r.crowd()
	third := r.join()
	for range 3 {
		p := r.dial(0)
		p.send(handshake())
		if resp := p.answer("GET"); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
			t.Errorf("status %d, headers %v; want 503 with Retry-After", resp.StatusCode, resp.Header)
		}
		p.ended()
		_ = p.Close()
	}
	if s := r.e.Stats(); s.Refusals[engine.ReasonCeiling.String()] != 3 || sum(s.Refusals) != 3 || len(s.Ends) != 0 {
		t.Errorf("refusals are %v, ends %v; want 3 for the ceiling alone", s.Refusals, s.Ends)
	}
	_ = third.Close()
	r.wait("room for one", func(s engine.Stats) bool { return s.Open == 2 })
	r.join()
	c.parts()
}

// TestDescriptorsUsedUp takes every descriptor away: who is connected chats on,
// who comes waits in the queue and is let in when there are descriptors again.
func TestDescriptorsUsedUp(t *testing.T) {
	r := start(t, nil)
	c := r.crowd()
	p := r.dial(0) // the client's end; the server's is what there is no descriptor for
	_ = p.Close()
	r.wait("the probe", func(s engine.Stats) bool { return s.Ends[engine.ReasonProbe] == 1 })
	restore := exhaust(t)
	late := r.dial(0)
	late.send(handshake())
	if !eventually(func() bool { return r.e.Stats().AcceptErrors > 0 }) {
		t.Error("no accept failed")
	}
	c.chats()
	began, failures := time.Now(), r.e.Stats().AcceptErrors
	time.Sleep(300 * time.Millisecond)
	// Each loop begins with pauses of 5, 10, 20 ms and so on.
	if n := r.e.Stats().AcceptErrors - failures; n > uint64(10*runtime.GOMAXPROCS(0)) {
		t.Errorf("%d failed accepts in %v: accepting spins", n, time.Since(began))
	}
	restore()
	late.answer("GET")
	late.say("hello")
	late.hears("hello")
	c.parts()
	if n := strings.Count(r.log.String(), "accept failed"); n < 1 || n > 1+int(time.Since(began)/time.Second+1) {
		t.Errorf("failed accepts were logged %d times, want about once a second: %s", n, r.log)
	}
}

// exhaust leaves this process a single free descriptor until restore is called.
func exhaust(t *testing.T) (restore func()) {
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	now := unix.Rlimit{Cur: uint64(len(filesNow()) + 64), Max: was.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &now); err != nil {
		t.Fatal(err)
	}
	var taken []int
	for {
		fd, err := unix.Open("/dev/null", unix.O_CLOEXEC, 0)
		if err != nil {
			break
		}
		taken = append(taken, fd)
	}
	free := func() {
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &was)
		for _, fd := range taken {
			_ = unix.Close(fd)
		}
		taken = nil
	}
	t.Cleanup(free)
	if len(taken) == 0 {
		t.Fatal("no descriptor could be opened at all")
	}
	_ = unix.Close(taken[0])
	taken = taken[1:]
	return free
}
