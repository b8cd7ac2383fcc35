package engine_test

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"throng/engine"
)

// TestPingFlood sends pings beyond the rate: as many pongs as the burst allows,
// then 1008.
func TestPingFlood(t *testing.T) {
	r := start(t, nil, func(c *engine.Config) { c.PingRate, c.PingBurst = 0.001, 50 })
	c := r.crowd()
	r.costs(1, engine.ReasonPingRate, "", func() {
		p := r.join()
		p.send(strings.Repeat(frame(0x89, "x"), 51))
		pongs := 0
		for {
			op, payload, err := p.next()
			if err != nil {
				t.Fatal(err)
			}
			if op == ws.OpClose {
				if code, _ := ws.ParseCloseFrameData([]byte(payload)); code != 1008 {
					t.Errorf("closed with %d, want 1008", code)
				}
				break
			}
			if op == ws.OpPong {
				pongs++
			}
		}
		if pongs != 50 {
			t.Errorf("%d pongs, want 50", pongs)
		}
		_ = p.Close()
	})
	c.parts()
}

// TestOnePongForManyPings has a client that does not read send pings: while
// output is pending only the newest waits for its pong.
func TestOnePongForManyPings(t *testing.T) {
	r := start(t, nil, smallBuffers)
	p := r.stuck()
	p.send(frame(0x89, "first"), frame(0x89, "second"), frame(0x89, "third"))
	r.wait("the pings", func(s engine.Stats) bool {
		return s.BytesIn == uint64(len(handshake())+3*len(frame(0x89, ""))+len("firstsecondthird"))
	})
	p.send(frame(0x81, "over"))
	pongs := []string{}
	for over := false; !over || len(pongs) == 0; {
		op, payload, err := p.next()
		if err != nil {
			t.Fatal(err)
		}
		if op == ws.OpPong {
			pongs = append(pongs, payload)
		}
		over = over || op == ws.OpText
	}
	if fmt.Sprint(pongs) != "[third]" {
		t.Errorf("pongs are %v, want the newest alone", pongs)
	}
}

// TestPongFlood sends pongs nobody asked for: ignored without a message rate,
// counted like messages with one.
func TestPongFlood(t *testing.T) {
	t.Run("ignored", func(t *testing.T) {
		r := start(t, nil)
		c := r.crowd()
		p := r.join()
		p.send(strings.Repeat(frame(0x8a, "x"), 10_000))
		p.say("still here")
		p.hears("still here")
		c.parts()
		if s := r.e.Stats(); len(s.Ends) > 0 {
			t.Errorf("ends are %v, want none", s.Ends)
		}
	})
	t.Run("over the message rate", func(t *testing.T) {
		r := start(t, nil, func(c *engine.Config) { c.MessageRate, c.MessageBurst = 1000, 5000 })
		c := r.crowd()
		r.costs(1, engine.ReasonFrameRate, "", func() {
			p := r.join()
			p.send(strings.Repeat(frame(0x8a, "x"), 20_000))
			p.sentAway(4429)
			_ = p.Close()
		})
		c.parts()
	})
}

// TestMessageFlood says more than the message rate allows: the burst is heard,
// then 4429, and nothing of what stood behind is read.
func TestMessageFlood(t *testing.T) {
	r := start(t, nil, func(c *engine.Config) { c.MessageRate, c.MessageBurst = 1000, 5000 })
	c := r.crowd()
	r.costs(1, engine.ReasonRate, "", func() {
		p := r.join()
		p.send(strings.Repeat(frame(0x81, "spam"), 20_000))
		p.sentAway(4429)
		_ = p.Close()
	})
	c.parts()
	if n := c.people[0].others.Load(); n < 5000 || n > 19_000 {
		t.Errorf("%d messages of the flood were heard, want the burst", n)
	}
}

// TestFloodBesidePeople has one client publish as fast as TCP takes it, into the
// room that two people chat in: they miss nothing, and neither does who hears
// the flood, because the speaker is made to wait.
func TestFloodBesidePeople(t *testing.T) {
	r := start(t, nil)
	c := r.crowd()
	p := r.join()
	const n = 20_000
	talk := new(strings.Builder)
	for i := range n {
		talk.WriteString(frame(0x82, fmt.Sprintf("%d %s", i, strings.Repeat("x", i%200))))
	}
	said := make(chan error, 1)
	go func() {
		_, err := io.WriteString(p.Conn, talk.String())
		said <- err
	}()
	for next := 0; next < n; {
		op, payload, err := p.next()
		if err != nil {
			t.Fatal(err)
		}
		if op == ws.OpBinary {
			if number, _, _ := strings.Cut(payload, " "); number != fmt.Sprint(next) {
				t.Fatalf("heard message %s, want %d", number, next)
			}
			next++
		}
	}
	if err := <-said; err != nil {
		t.Error(err)
	}
	c.chats()
	c.parts()
	if got := c.people[0].others.Load(); got != n {
		t.Errorf("a bystander heard %d of %d messages", got, n)
	}
}

// TestTinyFrameFlood sends frames of six bytes at full speed: memory grows by
// less than a mebibyte. A second or two of it, ten with THRONG_LONG.
func TestTinyFrameFlood(t *testing.T) {
	const most = 1 << 20
	for _, x := range []struct {
		name  string
		frame string
		d     time.Duration
	}{
		{"empty messages", frame(0x81, ""), 2 * time.Second},
		{"empty pongs", frame(0x8a, ""), time.Second},
		{"empty pings", frame(0x89, ""), time.Second},
	} {
		t.Run(x.name, func(t *testing.T) {
			d := x.d
			if long() {
				d = 10 * time.Second
			}
			r := start(t, nil, func(c *engine.Config) { c.PingRate = 0 })
			c := r.crowd()
			p := r.join()
			p.SetReadDeadline(time.Time{})
			drained := make(chan struct{})
			go func() {
				defer close(drained)
				b := make([]byte, 64<<10)
				for {
					if _, err := p.Conn.Read(b); err != nil {
						return
					}
				}
			}()
			c.chats()
			before := memory()
			over := make(chan struct{})
			go func() {
				defer close(over)
				p.flood(x.frame, d)
			}()
			peak := before
			for flooding := true; flooding; {
				select {
				case <-over:
					flooding = false
				case <-time.After(d / 8):
				}
				peak = max(peak, memory())
			}
			if grown := int(peak) - int(before); grown >= most {
				t.Errorf("memory grew by %d bytes, from %d", grown, before)
			}
			c.parts()
			s := r.e.Stats()
			t.Logf("%d bytes in, memory from %d to %d", s.BytesIn, before, peak)
			if len(s.Ends) > 0 {
				t.Errorf("ends are %v, want none", s.Ends)
			}
			_ = p.Close()
			<-drained
		})
	}
}

// memory is what the heap and the stacks take, garbage left out.
func memory() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

// flood sends a frame again and again, as fast as TCP takes it, until the time
// is up.
func (p *peer) flood(frame string, d time.Duration) {
	p.Helper()
	b := []byte(strings.Repeat(frame, 16<<10/len(frame)))
	until := time.Now().Add(d)
	_ = p.SetWriteDeadline(until.Add(patience))
	for time.Now().Before(until) {
		if _, err := p.Conn.Write(b); err != nil {
			p.Errorf("flooding: %v", err)
			return
		}
	}
}

// TestFloodBesideSlowerPeople has one client publish short messages faster than
// the rest of the room can read: nobody is cut off, the speaker waits for them.
// They read in step, so that it is the room that is slow, whatever the machine does
// meanwhile: one who is slower than the others would be waited for by nobody. And
// what the kernel holds for one and not for another is little beside the log, which
// with empty messages it would not be.
func TestFloodBesideSlowerPeople(t *testing.T) {
	r := start(t, nil, func(c *engine.Config) { c.SendBuffer = 32 << 10 })
	const d = time.Second
	people, heard := make([]*peer, 4), make([]int, 4)
	for i := range people {
		people[i] = r.dial(32 << 10)
		people[i].upgrade()
	}
	r.wait("everybody", func(s engine.Stats) bool { return s.Open == len(people) })
	p := r.join()
	var done sync.WaitGroup
	done.Go(func() { readInStep(people, heard) })
	done.Go(func() { _, _ = io.Copy(io.Discard, p.Conn) })
	p.flood(frame(0x81, strings.Repeat("x", 100)), d)
	s := r.e.Stats()
	if len(s.Ends) > 0 {
		t.Errorf("ends are %v, want none", s.Ends)
	}
	m := metrics{}
	r.e.Metrics(m)
	if m["throng_pauses_total"].n == 0 {
		t.Error("the speaker was not made to wait")
	}
	r.e.Close()
	done.Wait()
	t.Logf("%d messages, heard %v bytes", s.Messages, heard)
}

// readInStep has people read 400 KB a second each, at best, until one is cut off.
func readInStep(people []*peer, heard []int) {
	b := make([]byte, 4<<10)
	for {
		for i, p := range people {
			_ = p.SetReadDeadline(time.Now().Add(patience))
			n, err := io.ReadFull(p.Conn, b)
			heard[i] += n
			if err != nil {
				return
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
}
