package engine

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"throng/protocol"
)

// BenchmarkPass is one message to a room whose sockets take everything: what the
// engine itself adds to each write.
func BenchmarkPass(b *testing.B) {
	for _, n := range []int{1_000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			f := newBenchLoop(b, &rooms{})
			f.enter()
			for range n {
				f.crowd("room", sink(f.t))
			}
			f.exit()
			t := f.engine.topics.find("room")
			what := everyForm(protocol.OpText, make([]byte, 100))
			b.ReportAllocs()
			for b.Loop() {
				f.enter()
				t.encode(&f.enc, &what)
				t.publish(f.loop, 0, &what, &f.enc)
				f.exit()
				f.ring()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/delivery")
		})
	}
}

// BenchmarkPublish is one message to a room whose loop has other work first: into the
// mailbox, and from there into the log.
func BenchmarkPublish(b *testing.B) {
	f := newBenchLoop(b, &rooms{})
	f.enter()
	f.crowd("room", sink(f.t))
	f.exit()
	text := make([]byte, 100)
	b.ReportAllocs()
	for b.Loop() {
		if err := f.engine.Publish("room", protocol.OpText, text); err != nil {
			b.Fatal(err)
		}
		f.ring()
	}
}

// BenchmarkReceive is a read with some messages in it, from the loop's callback to a
// handler that does nothing.
func BenchmarkReceive(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			f := newBenchLoop(b, &deaf{})
			fc := f.dial("/", 0)
			frames := bytes.Repeat(masked(protocol.OpText, make([]byte, 100)), n)
			b.ReportAllocs()
			for b.Loop() {
				fc.send(frames)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/message")
		})
	}
}

// deaf is a handler that does nothing.
type deaf struct{}

func (*deaf) OnOpen(*Conn)                             {}
func (*deaf) OnMessage(*Conn, protocol.Opcode, []byte) {}
func (*deaf) OnClose(*Conn, Reason)                    {}

// newBenchLoop is a loop without deadlines.
func newBenchLoop(b testing.TB, h Handler) *fakeLoop {
	cfg := DefaultConfig()
	cfg.IdleTimeout, cfg.PingInterval, cfg.HandshakeTimeout = 0, 0, 0
	return newFakeLoop(b, cfg, h)
}

// sink returns a socket that takes whatever is written to it: the kernel passes over
// what is no netlink message.
func sink(tb testing.TB) int32 {
	tb.Helper()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = unix.Close(fd) })
	return int32(fd)
}

// crowd adds an open connection that is in the topic and that gnet knows nothing
// of, so that there can be a million. The callback it stands for must be entered.
func (f *fakeLoop) crowd(topic string, fd int32) *Conn {
	n := len(f.loop.conns)
	ip := netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
	c := &Conn{loop: f.loop, fd: fd, state: stateOpen, remote: remoteOf(netip.AddrPortFrom(ip, 7))}
	f.open++
	f.arm(c, classOpen, 0)
	c.Join(topic)
	return c
}

// BenchmarkConnections is an operator's list of a crowd, in the dearest order: the
// time until the answer on an idle loop, and the longest that the loop was kept from
// its sockets.
func BenchmarkConnections(b *testing.B) {
	for _, n := range []int{15_000, 1_000_000} {
		f := newBenchLoop(b, &described{})
		f.enter()
		for i := range n {
			f.crowd(fmt.Sprint("room", i%1000), -1).in = uint64(i * 7919 % n)
		}
		f.exit()
		runtime.GC()
		for name, q := range map[string]Query{
			"page":   {},
			"bytes":  {Sort: SortBytes, Limit: rowsMax},
			"user":   {Filter: Filter{User: "nobody"}},
			"sample": {Sample: rowsMax},
		} {
			b.Run(fmt.Sprint(n, "/", name), func(b *testing.B) {
				longest := int64(0)
				for b.Loop() {
					longest = max(longest, f.list(b, q))
				}
				b.ReportMetric(float64(longest)/1e3, "us/longest-slice")
			})
		}
	}
}

// threadTime is what the calling thread has had of a processor, in nanoseconds: how
// long a slice is, whatever else runs on the machine.
func threadTime() int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts)
	return ts.Nano()
}

// list asks for connections, and returns the longest slice in nanoseconds.
func (f *fakeLoop) list(b *testing.B, q Query) (longest int64) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		if p, err := f.engine.Connections(context.Background(), q); err != nil || p.Total != f.wheel.Len() {
			b.Errorf("%d connections, error %v", p.Total, err)
		}
	}()
	for {
		select {
		case <-answered:
			return longest
		default:
			f.lastTick.Store(nanotime())
			f.enter()
			f.readMail()
			began := threadTime()
			f.walkSome()
			longest = max(longest, threadTime()-began)
			f.exit()
			f.bell.answer()
			if len(f.walks) == 0 {
				runtime.Gosched()
			}
		}
	}
}

// BenchmarkPublishAt is Publish for a message with a position and something for either
// form, to somebody of each.
func BenchmarkPublishAt(b *testing.B) {
	f := newBenchLoop(b, &rooms{})
	f.enter()
	for form := range Form(Forms) {
		c := f.crowd("lobby", sink(f.t))
		c.leaveAll()
		c.outfit = outfitOf(form, protocol.Plain)
		c.JoinAt("room", func() uint64 { return 0 })
	}
	f.exit()
	text, pos := make([]byte, 100), uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		pos++
		f.engine.PublishAt("room", pos, &Contents{Raw: {protocol.OpText, text}, Enveloped: {protocol.OpText, text}})
		f.ring()
	}
}
