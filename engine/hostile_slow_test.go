package engine_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"

	"throng/engine"
	"throng/protocol"
)

// smallBuffers makes it quick to fill the socket of who does not read.
func smallBuffers(c *engine.Config) { c.SendBuffer = 8 << 10 }

// publish says n messages of a kibibyte in the lobby, waiting where a publisher
// must.
func (r *rig) publish(n int) {
	r.Helper()
	b := []byte(strings.Repeat("x", 1024))
	for i := range n {
		binary.BigEndian.PutUint32(b, uint32(i))
		for r.e.Publish("lobby", protocol.OpBinary, b) != nil {
			time.Sleep(time.Millisecond)
		}
	}
}

// stuck joins a reader that does not read, the only one, and publishes until it
// lags.
func (r *rig) stuck() *peer {
	r.Helper()
	r.wait("the end of an earlier one", func(s engine.Stats) bool { return s.Lagging == 0 })
	p := r.dial(4 << 10)
	p.upgrade()
	if !eventually(func() bool { r.publish(16); return r.e.Stats().Lagging == 1 }) {
		r.Fatal("the reader does not lag")
	}
	return p
}

// TestNeverReads has readers that never read cut off by an RST, by each of the
// rules, while two others chat.
func TestNeverReads(t *testing.T) {
	far := func(c *engine.Config) { c.WriteTimeout = 0 }
	for _, x := range []struct {
		name     string
		settings func(c *engine.Config)
		talk     bool // publish until it is over
	}{
		{"oldest byte too old", func(c *engine.Config) { c.WriteTimeout = 500 * time.Millisecond }, false},
		{"out of the log by bytes", func(c *engine.Config) { far(c); c.LogBytes = 256 << 10 }, true},
		{"out of the log by messages", func(c *engine.Config) { far(c); c.LogMessages = 300 }, true},
	} {
		t.Run(x.name, func(t *testing.T) {
			// With many loops the reader stands alone on its own, and must not be
			// taken for a room in which most cannot follow.
			r := start(t, nil, smallBuffers, x.settings, func(c *engine.Config) { c.Loops = 8 })
			c := r.crowd()
			r.costs(1, engine.ReasonSlow, "", func() {
				p := r.stuck()
				if x.talk && !eventually(func() bool { r.publish(16); return r.e.Stats().Ends[engine.ReasonSlow] > 0 }) {
					t.Error("it is kept although it has fallen out of the log")
				}
				r.wait("the end", func(s engine.Stats) bool { return sum(s.Ends) > 0 })
				p.wasReset()
			})
			c.parts()
		})
	}
}

// TestBacklog has a handler send to somebody who does not read.
func TestBacklog(t *testing.T) {
	r := start(t, &script{message: func(c *engine.Conn, text string) bool {
		if text != "flood me" {
			return false
		}
		for i := 0; ; i++ {
			if err := c.Send(protocol.OpBinary, make([]byte, 1024)); err != nil {
				if !errors.Is(err, engine.ErrClosed) || i < 64 {
					t.Errorf("the send number %d failed with %v", i, err)
				}
				return true
			}
			if i > 10_000 {
				t.Error("the backlog has no end")
				return true
			}
		}
	}}, smallBuffers, func(c *engine.Config) { c.Backlog = 64 << 10 })
	c := r.crowd()
	r.costs(1, engine.ReasonSlow, "", func() {
		p := r.dial(4 << 10)
		p.upgrade()
		p.say("flood me")
		p.wasReset()
	})
	c.parts()
}

// TestReadsALittle has a reader that is behind all the time, but never by more
// than the write timeout: it stays and misses nothing.
func TestReadsALittle(t *testing.T) {
	const timeout = 1500 * time.Millisecond
	r := start(t, nil, smallBuffers, func(c *engine.Config) { c.WriteTimeout = timeout })
	p := r.dial(4 << 10)
	p.upgrade()
	p.say("here")
	p.hears("here")
	lagged, told := 0, time.Now()
	for began := time.Now(); time.Since(began) < 2*timeout; {
		const batch = 128 // kibibytes: ten times what the two sockets hold
		r.publish(batch)
		if eventually(func() bool { return r.e.Stats().Lagging == 1 }) {
			lagged++
		}
		time.Sleep(timeout / 8)
		for i := range batch {
			op, payload, err := p.next()
			if err != nil || op != ws.OpBinary || binary.BigEndian.Uint32([]byte(payload)) != uint32(i) {
				t.Fatalf("message %d of a batch: opcode %d, error %v", i, op, err)
			}
		}
		if took := time.Since(told); took > timeout {
			t.Skipf("the machine is too slow for this: a batch took %v", took)
		}
		told = time.Now()
	}
	if s := r.e.Stats(); lagged < 3 || len(s.Ends) > 0 {
		t.Errorf("it lagged %d times; ends are %v, want none", lagged, s.Ends)
	}
}

// TestManySlowReaders has forty readers that do not read, with less memory for
// logs and buffers than they would take: the node stays below it, who reads
// loses nothing.
func TestManySlowReaders(t *testing.T) {
	const budget, rooms = 4 << 20, 20
	r := start(t, &script{message: func(c *engine.Conn, text string) bool {
		room, ok := strings.CutPrefix(text, "join ")
		if ok {
			c.Leave(c.Value().(*engine.Topic))
			c.Join(room)
		}
		return ok
	}}, smallBuffers, func(c *engine.Config) { c.Memory, c.LogBytes, c.WriteTimeout = budget, 512<<10, 0 })
	c := r.crowd()
	for i := range 40 {
		p := r.dial(4 << 10)
		p.upgrade()
		p.say(fmt.Sprint("join ", i%rooms))
	}
	r.wait("everybody", func(s engine.Stats) bool { return s.Topics == 1+rooms && s.Messages >= 40 })
	highest, b := int64(0), make([]byte, 1024)
	for i := range 600 * rooms { // a room of which nobody can follow says so at half its log
		if r.e.Publish(fmt.Sprint(i%rooms), protocol.OpBinary, b) != nil {
			time.Sleep(100 * time.Microsecond)
		}
		highest = max(highest, r.e.Stats().HeldBytes)
	}
	r.wait("readers cut off", func(s engine.Stats) bool { return s.Ends[engine.ReasonSlow] > 0 && s.HeldBytes <= budget })
	c.chats()
	s := r.e.Stats()
	if len(s.Ends) != 1 {
		t.Errorf("ends are %v, want slow readers only", s.Ends)
	}
	t.Logf("%d of 40 were cut off; at most %d bytes were held", s.Ends[engine.ReasonSlow], highest)
	if highest > 4*budget { // between two looks all logs can outgrow their buffers at once
		t.Errorf("%d bytes were held, the budget is %d", highest, budget)
	}
	c.parts()
}

// TestKernelGivesUp has a peer that acknowledges nothing any more, as after a
// power cut: its window stays shut, and TCP_USER_TIMEOUT ends it.
func TestKernelGivesUp(t *testing.T) {
	r := start(t, nil, smallBuffers, func(c *engine.Config) { c.UserTimeout, c.WriteTimeout = time.Second, 0 })
	c := r.crowd()
	r.costs(1, engine.ReasonWriteTimeout, "", func() { r.stuck() })
	c.parts()
}

// TestSocketOptions looks at the server's end of a connection.
func TestSocketOptions(t *testing.T) {
	r := start(t, nil)
	p := r.join()
	fd := r.serversEnd(p)
	for _, x := range []struct {
		name          string
		level, option int
		want          int
	}{
		{"TCP_USER_TIMEOUT", unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 30_000},
		{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{"TCP_KEEPIDLE", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 60},
		{"TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{"SO_SNDBUF", unix.SOL_SOCKET, unix.SO_SNDBUF, 2 * 128 << 10}, // Linux doubles it, for its bookkeeping
	} {
		if got, err := unix.GetsockoptInt(fd, x.level, x.option); err != nil || got != x.want {
			t.Errorf("%s is %d, %v; want %d", x.name, got, err, x.want)
		}
	}
}

// serversEnd finds the descriptor of the other end of a peer's connection, in
// this process.
func (r *rig) serversEnd(p *peer) int {
	r.Helper()
	for fd := range 1 << 16 {
		sa, err := unix.Getpeername(fd)
		if in, ok := sa.(*unix.SockaddrInet4); err == nil && ok && in.Port == p.LocalAddr().(*net.TCPAddr).Port {
			return fd
		}
	}
	r.Fatal("the server's end is not found")
	return -1
}
