package engine_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"throng/engine"
	"throng/protocol"
)

// TestFIN has peers that shut their side of TCP without a Close frame: what was
// said is heard by all, by themselves too if they still listen.
func TestFIN(t *testing.T) {
	r := start(t, nil)
	c := r.crowd()
	listener := r.join()
	for i := range 10 {
		last := fmt.Sprint("last words ", i)
		r.costs(1, engine.ReasonEOF, "", func() {
			p := r.join()
			p.say(last)
			_ = p.Conn.(*net.TCPConn).CloseWrite()
			listener.hears(last)
			_, _ = io.Copy(io.Discard, p.in)
			_ = p.Close()
		})
	}
	c.parts()
	t.Run("hears itself", func(t *testing.T) {
		r := start(t, nil, func(c *engine.Config) { c.Loops = 1 })
		r.costs(1, engine.ReasonEOF, "", func() {
			p := r.join()
			p.say("last words")
			_ = p.Conn.(*net.TCPConn).CloseWrite()
			p.gets(ws.OpText, "last words")
			p.ended()
			_ = p.Close()
		})
	})
	t.Run("in the handshake", func(t *testing.T) {
		r := start(t, nil)
		r.costs(1, engine.ReasonEOF, "", func() {
			p := r.dial(0)
			p.send(handshake()[:50])
			_ = p.Close()
		})
	})
}

// TestRST has peers reset the connection wherever they are.
func TestRST(t *testing.T) {
	opened, closed := new(atomic.Int64), new(atomic.Int64)
	r := start(t, &script{
		open:   func(*engine.Conn) { opened.Add(1) },
		closed: func(*engine.Conn, engine.Reason) { closed.Add(1) },
	}, smallBuffers)
	c := r.crowd()
	for _, x := range []struct {
		name string
		play func(p *peer)
	}{
		{"in the handshake", func(p *peer) { p.send(handshake()[:50]) }},
		{"after the upgrade", func(p *peer) { p.upgrade() }},
		{"in a header", func(p *peer) { p.upgrade(); p.send(frame(0x81, "hello")[:3]) }},
		{"in a message", func(p *peer) { p.upgrade(); p.send(frame(0x01, "hello"), frame(0x80, "hello")[:8]) }},
		{"while it lags", nil},
	} {
		t.Run(x.name, func(t *testing.T) {
			r := r.in(t)
			r.costs(5, engine.ReasonReset, "", func() {
				for range 5 {
					if x.play == nil {
						r.stuck().vanish()
						continue
					}
					p, before := r.dial(0), r.e.Stats().BytesIn
					x.play(p)
					r.wait("what it sent", func(s engine.Stats) bool { return s.BytesIn > before }) // an RST overtakes it
					time.Sleep(2 * time.Millisecond)
					p.vanish()
				}
			})
		})
	}
	c.parts()
	if !eventually(func() bool { return opened.Load() == closed.Load()+2 }) {
		t.Errorf("%d were opened, %d closed; two are open", opened.Load(), closed.Load())
	}
}

// sayGoodbye closes who says bye.
var sayGoodbye = &script{message: func(c *engine.Conn, text string) bool {
	if text == "bye" {
		c.Close(4000, "goodbye")
	}
	return text == "bye"
}}

// TestOurClose has the server close connections.
func TestOurClose(t *testing.T) {
	const timeout = 300 * time.Millisecond
	r := start(t, sayGoodbye, func(c *engine.Config) { c.CloseTimeout = timeout })
	c := r.crowd()
	t.Run("answered", func(t *testing.T) {
		r := r.in(t)
		r.costs(1, engine.ReasonApplication, "", func() {
			p := r.join()
			p.say("bye")
			if reason := p.sentAway(4000); reason != "goodbye" {
				t.Errorf("reason %q, want goodbye", reason)
			}
			_ = p.Close()
		})
	})
	t.Run("not answered", func(t *testing.T) {
		r := r.in(t)
		r.costs(1, engine.ReasonNoReply, "", func() {
			p := r.join()
			began := time.Now()
			p.say("bye")
			p.closeFrame()
			p.ended()
			if took := time.Since(began); took < timeout {
				t.Errorf("ended after %v, the peer has %v", took, timeout)
			}
		})
	})
	t.Run("not answered after an offence", func(t *testing.T) {
		r := r.in(t)
		r.costs(1, engine.ReasonProtocol, "", func() {
			p := r.join()
			p.send("\x81\x00")
			p.closeFrame()
			p.ended()
		})
	})
	c.parts()
}

// TestInputAfterOurClose goes on sending after the server's Close frame: a
// bounded part of it is read, so that the frame is not overtaken by an RST.
func TestInputAfterOurClose(t *testing.T) {
	r := start(t, sayGoodbye, func(c *engine.Config) { c.CloseTimeout = time.Minute })
	var before uint64
	r.costs(1, engine.ReasonNoReply, "", func() {
		p := r.join()
		before = r.e.Stats().BytesIn
		p.say("bye")
		noise := []byte(strings.Repeat(frame(0x8a, "noise"), 1000))
		_ = p.SetWriteDeadline(time.Now().Add(patience))
		for sent := 0; ; sent += len(noise) {
			if _, err := p.Conn.Write(noise); err != nil {
				break
			}
			if sent > 64<<20 {
				t.Fatal("the server reads on and on")
			}
		}
		if code, _ := p.closeFrame(); code != 4000 {
			t.Errorf("closed with %d, want 4000", code)
		}
	})
	if read := r.e.Stats().BytesIn - before; read < 256<<10 || read > 320<<10 {
		t.Errorf("%d bytes were read after the Close frame, want 256 KiB and the last read", read)
	}
}

// TestPanic has handlers panic: each costs the connection it served and nobody
// else, and three on one path within a minute withdraw readiness.
func TestPanic(t *testing.T) {
	var armed atomic.Bool
	oops := func() {
		if armed.Load() {
			panic("injected")
		}
	}
	upgraded := func(p *peer) { p.upgrade(); p.sentAway(1011) }
	answered := func(request string) func(p *peer) {
		return func(p *peer) {
			p.send(request)
			if resp := p.answer("GET"); resp.StatusCode != 500 {
				p.Errorf("status %d, want 500", resp.StatusCode)
			}
			p.ended()
		}
	}
	for _, x := range []struct {
		name string
		h    *script
		why  engine.Reason
		play func(p *peer)
	}{
		{"OnMessage", &script{message: func(_ *engine.Conn, text string) bool {
			if text == "oops" {
				oops()
			}
			return false
		}}, engine.ReasonPanic, func(p *peer) { p.upgrade(); p.say("oops"); p.sentAway(1011) }},
		{"OnOpen", &script{open: func(*engine.Conn) { oops() }}, engine.ReasonPanic, upgraded},
		{"OnClose", &script{closed: func(*engine.Conn, engine.Reason) { oops() }}, engine.ReasonPeerClose, func(p *peer) {
			p.upgrade()
			p.send(frame(0x88, "\x03\xe8"))
			p.closeFrame()
			p.ended()
		}},
		{"OnUpgrade", &script{upgrade: func(*protocol.Request) error { oops(); return nil }}, engine.ReasonPanic, answered(handshake())},
		{"OnRequest", &script{request: func(*protocol.Request) protocol.Response {
			oops()
			return protocol.Response{}
		}}, engine.ReasonPanic, answered("GET / HTTP/1.1\r\nHost: a\r\n\r\n")},
	} {
		t.Run(x.name, func(t *testing.T) {
			armed.Store(false)
			r := start(t, x.h)
			c := r.crowd()
			armed.Store(true)
			for i := range 3 {
				if ok, why := r.e.Ready(); !ok {
					t.Errorf("not ready after %d panics: %s", i, why)
				}
				r.costs(1, x.why, "", func() {
					p := r.dial(0)
					x.play(p)
					_ = p.Close()
				})
			}
			r.wait("the count", func(s engine.Stats) bool { return s.Panics == 3 })
			if ok, _ := r.e.Ready(); ok {
				t.Error("still ready after three panics on one path")
			}
			c.parts()
			armed.Store(false)
			if log := r.log.String(); strings.Count(log, "injected") != 1 || !strings.Contains(log, "hostile_end_test.go") {
				t.Errorf("the stack was not logged once: %s", log)
			}
		})
	}
}

// TestDrain sends everybody away; who comes meanwhile is told to come back.
func TestDrain(t *testing.T) {
	r := start(t, nil)
	var peers []*peer
	for range 4 {
		peers = append(peers, r.join())
	}
	r.wait("everybody", func(s engine.Stats) bool { return s.Open == len(peers) })
	over := make(chan error, 1)
	go func() { over <- r.e.Drain(context.Background(), time.Second, nil) }()
	if !eventually(func() bool { ok, _ := r.e.Ready(); return !ok }) {
		t.Error("it is still ready")
	}
	late := r.dial(0)
	late.send(handshake())
	if resp := late.answer("GET"); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("status %d, headers %v; want 503 with Retry-After", resp.StatusCode, resp.Header)
	}
	late.ended()
	_ = late.Close()
	for _, p := range peers {
		reason := p.sentAway(1001)
		if !strings.HasPrefix(reason, "restart; reconnect in ") {
			t.Errorf("reason %q, want a restart and when to come back", reason)
		}
		_ = p.Close()
	}
	if err := <-over; err != nil {
		t.Error(err)
	}
	r.wait("the end of all", func(s engine.Stats) bool { return sum(s.Ends) == 5 })
	if s := r.e.Stats(); s.Ends[engine.ReasonShutdown] != 4 || s.Ends[engine.ReasonDraining] != 1 || s.Refusals["draining"] != 1 {
		t.Errorf("ends are %v, refusals %v", s.Ends, s.Refusals)
	}
}

// TestLogs has clients choose what might be logged: at debug level it is quoted,
// cut and limited; above it there is nothing. The level is changed under way.
func TestLogs(t *testing.T) {
	log, level := new(logged), new(slog.LevelVar)
	r := start(t, nil, func(c *engine.Config) {
		c.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: level}))
	})
	r.costs(1, engine.ReasonBadRequest, "bad_request", func() {
		p := r.dial(0)
		p.send("nonsense\r\n\r\n")
		p.answer("GET")
		_ = p.Close()
	})
	if s := log.String(); s != "" {
		t.Errorf("above debug level it says %s", s)
	}
	level.Set(slog.LevelDebug)
	evil := `https://evil" level=ERROR msg=owned ` + strings.Repeat("x", 300)
	r.costs(300, engine.ReasonOrigin, "origin", func() {
		for range 300 {
			p := r.dial(0)
			p.send(handshake("Origin: " + evil))
			p.answer("GET")
			_ = p.Close()
		}
	})
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	classes := map[string]int{}
	for _, line := range lines {
		if !strings.HasPrefix(line, "time=") || strings.Contains(line, ` level=ERROR msg=owned`) && !strings.Contains(line, `origin="https://evil\" level=ERROR msg=owned `) {
			t.Fatalf("a client wrote into the log: %s", line)
		}
		if strings.Contains(line, strings.Repeat("x", 129)) {
			t.Fatalf("a value was not cut: %s", line)
		}
		_, rest, _ := strings.Cut(line, "msg=")
		classes[rest[:12]]++
	}
	m := metrics{}
	r.e.Metrics(m)
	if n := uint64(len(lines)); n+m["throng_logs_suppressed_total"].n != 600 {
		t.Errorf("%d lines and %d left out, want 600 together", n, m["throng_logs_suppressed_total"].n)
	}
	t.Logf("lines: %v", classes)
}
