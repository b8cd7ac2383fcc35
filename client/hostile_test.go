package client

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"
)

// hostilities are what servers do that should not.
func hostilities() map[string]func(*peer) {
	welcomed := func(then func(p *peer)) func(*peer) {
		return func(p *peer) { p.welcome(); then(p) }
	}
	raw := func(bytes string) func(*peer) {
		return welcomed(func(p *peer) { p.write("%s", bytes) })
	}
	text := func(text string) func(*peer) { return welcomed(func(p *peer) { p.text(text) }) }
	huge := func(length uint64) string {
		return string(binary.BigEndian.AppendUint64([]byte{0x81, 127}, length))
	}
	return map[string]func(*peer){
		"no JSON":                   text("hello"),
		"half of JSON":              text(`{"type":`),
		"an array":                  text(`[1]`),
		"types that make no sense":  text(`{"type":7}`),
		"numbers out of range":      text(`{"type":"message","seq":-1}`),
		"deep":                      text(strings.Repeat("[", 100000)),
		"data that is not base64":   text(`{"type":"message","data":"%%%"}`),
		"not UTF-8":                 text("{\"type\":\"\xff\"}"),
		"a binary frame":            welcomed(func(p *peer) { p.frame(ws.Header{Fin: true, OpCode: ws.OpBinary}, []byte("{}")) }),
		"a frame of 2^62 bytes":     raw(huge(1 << 62)),
		"a frame of 2^63 bytes":     raw(huge(1 << 63)),
		"a frame over the limit":    raw(huge(frameBytesMax + 1)),
		"a frame without an end":    raw(huge(frameBytesMax) + "{"),
		"a masked frame":            raw("\x81\x82\x00\x00\x00\x00{}"),
		"reserved bits":             raw("\xc1\x02{}"),
		"a reserved opcode":         raw("\x83\x00"),
		"a long ping":               raw("\x89\x7e\x00\xff"),
		"a ping in parts":           raw("\x09\x00"),
		"a continuation of nothing": raw("\x80\x02{}"),
		"a message within another":  raw("\x01\x01{\x81\x02{}"),
		"parts over the limit": welcomed(func(p *peer) {
			p.frame(ws.Header{OpCode: ws.OpText}, make([]byte, frameBytesMax-10))
			p.frame(ws.Header{OpCode: ws.OpContinuation}, make([]byte, 11))
		}),
		"a Close frame of one byte":  raw("\x88\x01\x03"),
		"a Close frame of code 1005": raw("\x88\x02\x03\xed"),
		"another protocol": answers("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
			"Sec-WebSocket-Accept: AAAA\r\nSec-WebSocket-Protocol: throng.v1\r\n\r\n"),
		"no HTTP":                  answers("SSH-2.0-OpenSSH_9.6\r\n"),
		"a head without an end":    answers("HTTP/1.1 101 Switching Protocols\r\n" + strings.Repeat("X-A: b\r\n", 1<<16)),
		"a header without an end":  answers("HTTP/1.1 101 Switching Protocols\r\nX: " + strings.Repeat("x", 1<<20)),
		"an error without an end":  answers("HTTP/1.1 500 No\r\nX: " + strings.Repeat("x", 1<<20)),
		"no subprotocol":           plain,
		"silence before the head":  func(p *peer) { io.Copy(io.Discard, p.in) },
		"silence before a welcome": func(p *peer) { p.upgrade() },
		"something else first":     func(p *peer) { p.upgrade(); p.text(`{"type":"message"}`) },
		"errors instead": func(p *peer) {
			p.upgrade()
			p.say(object{"type": "error", "code": "internal"})
			p.cut()
		},
	}
}

// TestHostile: whatever a server does, the client ends that connection within its time and memory, and the next one serves.
func TestHostile(t *testing.T) {
	for name, script := range hostilities() {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				c := r.client(t)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				s := becomes(t, c, Waiting)
				runtime.ReadMemStats(&after)
				if s.Err == nil || time.Since(r.began) > time.Minute {
					t.Errorf("%v after %s", s.Err, time.Since(r.began))
				}
				if strings.Contains(name, "over the limit") && !errors.Is(s.Err, ErrTooLong) {
					t.Errorf("%v", s.Err)
				}
				if took := after.TotalAlloc - before.TotalAlloc; took > 200<<20 {
					t.Errorf("%d bytes allocated", took)
				}
				becomes(t, c, Online)
				if len(r.dialed()) != 2 {
					t.Errorf("%d connections", len(r.dialed()))
				}
			}, script, serves)
		})
	}
}

// plain answers the handshake without the subprotocol, as a server of raw text does.
func plain(p *peer) {
	line, err := p.in.ReadString('\n')
	key := ""
	for ; err == nil && line != "\r\n"; line, err = p.in.ReadString('\n') {
		if name, value, _ := strings.Cut(line, ": "); name == "Sec-WebSocket-Key" {
			key = strings.TrimSpace(value)
		}
	}
	p.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", acceptOf(key))
}

// TestStrange: what is odd and allowed does no harm.
func TestStrange(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		c := r.online(t, "tea")
		sees(t, c, "bad_request news m2 m3")
		if len(r.dialed()) != 1 {
			t.Errorf("%d connections", len(r.dialed()))
		}
	}, func(p *peer) {
		p.welcome()
		p.joins(1)
		p.text(`{"type":"of the future","room":"tea","more":[1,2]}`)
		p.text(`{"type":"ok","id":"a word"}`)
		p.text(`{"type":"ok","id":999}`)
		p.text(`{"type":"ok","id":-1.5}`)
		p.text(`{"type":"error","code":"bad_request"}`)
		p.text(`{"type":"error","id":999,"code":"news"}`)
		p.text(`{"type":"message","room":"milk","seq":7}`)
		p.text(`{}`)
		p.frame(ws.Header{Fin: true, OpCode: ws.OpPong}, []byte("nobody asked"))

		// A message in parts, with a ping between them.
		message := []byte(`{"type":"message","room":"tea","seq":2,"prev":1,"text":"m2"}`)
		p.frame(ws.Header{OpCode: ws.OpText}, message[:10])
		p.frame(ws.Header{OpCode: ws.OpContinuation}, nil)
		p.frame(ws.Header{Fin: true, OpCode: ws.OpPing}, []byte("are you there"))
		f, err := p.frameIn()
		if err != nil || f.Header.OpCode != ws.OpPong || string(f.Payload) != "are you there" {
			p.t.Errorf("%v %q, %v", f.Header, f.Payload, err)
		}
		p.frame(ws.Header{OpCode: ws.OpContinuation}, message[10:20])
		p.frame(ws.Header{Fin: true, OpCode: ws.OpContinuation}, message[20:])
		p.message("tea", 3, 2)
	})
}

// TestLongAnswer: an answer that is too long ends its request, which would bring the same again.
func TestLongAnswer(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.options.FrameMax = 1000
		c := r.online(t)
		if _, err := c.History(soon(t), "tea", HistoryQuery{}); !errors.Is(err, ErrTooLong) {
			t.Errorf("%v", err)
		}
		becomes(t, c, Waiting)
		becomes(t, c, Online)
	}, func(p *peer) {
		p.welcome()
		p.ok(p.expect("history"), object{"epoch": strings.Repeat("e", 1000)})
	}, serves)
}

// TestBackpressure: who takes no events is not read to, but for the answers that somebody waits for.
func TestBackpressure(t *testing.T) {
	var said atomic.Int64
	inBubble(t, func(t *testing.T, r *rig) {
		r.options.Events = 10
		c := r.online(t, "tea")
		synctest.Wait()
		if n := said.Load(); n < 8 || n > 12 {
			t.Errorf("%d messages were read for a queue of 10", n)
		}
		time.Sleep(10 * time.Minute) // a reader that does not want to hear does not judge the silence
		if c.State().Phase != Online {
			t.Fatalf("the client is %v", c.State())
		}
		if _, err := c.Ping(soon(t)); err != nil {
			t.Errorf("the answer did not come: %v", err)
		}
		sees(t, c, "m2 m3 m4 m5 m6 m7 m8 m9 m10 m11 m12 m13 m14 m15 m16 m17 m18 m19 m20")
	}, func(p *peer) {
		p.welcome()
		p.joins(1)
		pings := make(chan object, 100)
		go func() {
			defer close(pings)
			for {
				pings <- p.expect("ping")
			}
		}()
		for n := 2; n <= 20; n++ {
			p.message("tea", n, n-1)
			said.Store(int64(n))
		}
		for q := range pings {
			p.ok(q, object{"time": 1})
		}
	})
}

// TestBehind: the only goroutine that takes events waits for an answer that stands behind more of them than there may be.
func TestBehind(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.options.Events = 10
		r.options.Heartbeat = time.Hour
		c := r.online(t, "tea")
		began := time.Now()
		if _, err := c.Ping(context.Background()); !errors.Is(err, ErrBehind) || time.Since(began) != behindAfter {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		if _, err := c.Publish(context.Background(), "tea", Text("a")); !errors.Is(err, ErrBehind) {
			t.Errorf("%v", err)
		}
		for n := range 200 {
			if n == 0 {
				events(t, c, 1)
				continue
			}
			events(t, c, 1)
		}
		if _, err := c.Ping(context.Background()); err != nil {
			t.Errorf("%v", err)
		}
	}, func(p *peer) {
		p.welcome()
		p.joins(1)
		q := p.expect("ping")
		go func() {
			p.expect("publish")
			p.ok(p.expect("ping"), object{"time": 1})
		}()
		for n := 2; n <= 201; n++ {
			p.message("tea", n, n-1)
		}
		p.ok(q, object{"time": 1})
		time.Sleep(time.Minute)
		p.cut()
	})
}

// TestNobodyTakesEvents: a client that only publishes goes on however often it has to come back.
func TestNobodyTakesEvents(t *testing.T) {
	var scripts []func(*peer)
	for n := range 100 {
		scripts = append(scripts, func(p *peer) { p.welcome(); p.acknowledges(nil, n); p.cut() })
	}
	inBubble(t, func(t *testing.T, r *rig) {
		r.options.Events = 5
		c := r.client(t)
		for n := range scripts {
			if _, err := c.Publish(context.Background(), "tea", Text(fmt.Sprint(n))); err != nil {
				t.Fatal(err)
			}
		}
		if n := c.queue.length(); n != 1 {
			t.Errorf("%d events", n)
		}
	}, scripts...)
}

// TestManyTakers: each event goes to one of them.
func TestManyTakers(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		c := r.online(t, "tea")
		got := make(chan string, 1000)
		done := make(chan struct{})
		for range 5 {
			go func() {
				for e := range c.Events(context.Background()) {
					if m, isMessage := e.(Message); isMessage {
						got <- m.Content.String()
					}
				}
				done <- struct{}{}
			}()
		}
		seen := map[string]bool{}
		for range 100 {
			seen[<-got] = true
		}
		c.Close()
		for range 5 {
			<-done
		}
		if len(seen) != 100 || len(got) != 0 {
			t.Errorf("%d messages, %d more", len(seen), len(got))
		}
	}, func(p *peer) {
		p.welcome()
		p.joins(0)
		for n := range 100 {
			p.message("tea", n+1, n)
		}
	})
}
