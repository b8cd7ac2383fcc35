package engine

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// startLoops runs an engine with so many loops.
func startLoops(t *testing.T, loops int, addresses ...string) *Engine {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Listen, cfg.Loops, cfg.Logger = addresses, loops, slog.New(slog.DiscardHandler)
	e, err := New(cfg, &rooms{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	e.Start()
	return e
}

// comer connects and asks for an upgrade.
func comer(t *testing.T, e *Engine) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", e.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	_, _ = nc.Write([]byte(upgradeRequest("/")))
	return nc
}

// welcomed waits for the answer.
func welcomed(nc net.Conn) bool {
	_ = nc.SetReadDeadline(time.Now().Add(20 * time.Second))
	head := make([]byte, 12)
	_, err := io.ReadFull(nc, head)
	return err == nil && bytes.Equal(head, []byte("HTTP/1.1 101"))
}

// TestEvenLoops: few or many, connections are spread over the loops, whichever is woken
// to accept them, and places are given back.
func TestEvenLoops(t *testing.T) {
	e := startLoops(t, 3, "127.0.0.1:0")
	var all []net.Conn
	for range 60 {
		nc := comer(t, e)
		if !welcomed(nc) {
			t.Fatal("no answer")
		}
		all = append(all, nc)
	}
	for _, l := range e.loops {
		if n := l.placed.Load(); n < 18 || n > 22 {
			t.Errorf("loop %d has %d of 60 connections", l.index, n)
		}
	}
	for _, nc := range all {
		_ = nc.Close()
	}
	for end := time.Now().Add(20 * time.Second); e.gate.count.Load() > 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	for _, l := range e.loops {
		if n := l.placed.Load(); n != 0 {
			t.Errorf("loop %d has %d connections, and nobody is there", l.index, n)
		}
	}
}

// TestBlockedLoopAccepts: while one loop is blocked the other lets everybody in but for
// a few, who were handed over before that was known, and who are served later.
func TestBlockedLoopAccepts(t *testing.T) {
	e := startLoops(t, 2, "127.0.0.1:0")
	entered, leave := make(chan bool), make(chan bool)
	e.loops[0].box.putTask(func(*loop) { close(entered); <-leave })
	e.loops[0].bell.ring()
	<-entered
	const crowd = 4 * comersMax
	answered := make(chan bool, crowd)
	for range crowd {
		nc := comer(t, e)
		go func() { answered <- welcomed(nc) }()
	}
	for range crowd - comersMax {
		if !<-answered {
			t.Error("no answer")
		}
	}
	if n := e.loops[0].coming.Load(); n > comersMax {
		t.Errorf("%d wait for a loop that does not run", n)
	}
	close(leave)
	for range comersMax {
		if !<-answered {
			t.Error("no answer from the loop that was blocked")
		}
	}
	if n := e.loops[0].coming.Load(); n != 0 {
		t.Errorf("%d are still on their way", n)
	}
}

// TestPlace: who is handed to another loop, and who is not.
func TestPlace(t *testing.T) {
	for _, x := range []struct {
		name                string
		own, other, waiting int64
		stalled, handed     bool
	}{
		{"both empty", 0, 0, 0, false, false},
		{"one more", 1, 0, 0, false, true},
		{"as many", 5, 5, 0, false, false},
		{"a sixteenth more", 1600, 1500, 0, false, false},
		{"more than that", 1600, 1499, 0, false, true},
		{"many on their way", 100, 0, comersMax, false, false},
		{"blocked", 100, 0, 0, true, false},
	} {
		e := &Engine{loops: []*loop{{index: 0}, {index: 1}}}
		g := &gate{engine: e}
		here, other := e.loops[1], e.loops[0]
		here.placed.Store(x.own)
		other.placed.Store(x.other)
		other.coming.Store(x.waiting)
		other.stalled.Store(x.stalled)
		var c Conn
		g.place(&c, here)
		if handed := c.loop == other; handed != x.handed {
			t.Errorf("%s: handed over is %v, want %v", x.name, handed, x.handed)
		}
		if got := here.placed.Load() + other.placed.Load(); got != x.own+x.other+1 {
			t.Errorf("%s: %d places, want %d", x.name, got, x.own+x.other+1)
		}
	}
}

// pair is a socketpair's two ends.
func pair(t *testing.T) (near, far int) {
	t.Helper()
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(ends[1]) })
	return ends[0], ends[1]
}

// TestLeftOutside: who was handed to a loop that has stopped is closed, and counted no
// more.
func TestLeftOutside(t *testing.T) {
	cfg := DefaultConfig()
	cfg.AddressConnections = 10
	f := newFakeLoop(t, cfg, &rooms{})
	f.setLimits(func(*Limits) {})
	near, far := pair(t)
	c := &Conn{fd: int32(near), remote: remoteOf(netip.MustParseAddrPort("192.0.2.1:7"))}
	if why := f.engine.gate.admit(c); why != ReasonNone {
		t.Fatal(why)
	}
	f.engine.gate.place(c, f.loop)
	f.coming.Add(1)
	f.box.putComer(c)
	f.leaveOutside()
	if n, err := unix.Read(far, make([]byte, 1)); n != 0 || err != nil {
		t.Errorf("the client reads %d bytes, %v; want the end", n, err)
	}
	present, _ := f.engine.addresses.size()
	if g := f.engine.gate; g.count.Load() != 0 || f.placed.Load() != 0 || f.coming.Load() != 0 || present != 0 || g.enrolFailed.Load() != 1 || !f.box.empty() {
		t.Errorf("left are %d connections, %d places, %d on their way, %d addresses; %d failed", g.count.Load(), f.placed.Load(), f.coming.Load(), present, g.enrolFailed.Load())
	}
}

// TestEpollRefuses gives a loop a descriptor that epoll does not take.
func TestEpollRefuses(t *testing.T) {
	e := startLoops(t, 1, "127.0.0.1:0")
	name := t.TempDir() + "/file"
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	e.loops[0].box.putTask(func(l *loop) {
		c := &Conn{fd: int32(fd)}
		e.gate.admit(c)
		e.gate.place(c, l)
		l.takeIn(c)
		_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		done <- err
	})
	e.loops[0].bell.ring()
	if err := <-done; err != unix.EBADF {
		t.Errorf("the descriptor is still open: %v", err)
	}
	if e.gate.enrolFailed.Load() != 1 || e.gate.count.Load() != 0 || e.loops[0].placed.Load() != 0 {
		t.Errorf("%d failed, %d connections, %d places", e.gate.enrolFailed.Load(), e.gate.count.Load(), e.loops[0].placed.Load())
	}
	if !welcomed(comer(t, e)) {
		t.Error("nobody gets in after that")
	}
}

// TestAcceptedAddress compares the address that accept gave with the client's own.
func TestAcceptedAddress(t *testing.T) {
	for _, x := range []struct{ listen, dial string }{{"127.0.0.1:0", "127.0.0.1"}, {"[::1]:0", "::1"}, {"[::]:0", "127.0.0.1"}, {"[::]:0", "::1"}} {
		ln, err := net.Listen("tcp", x.listen)
		if err != nil {
			t.Logf("%s: %v", x.listen, err)
			continue
		}
		fd, err := dup(ln.(*net.TCPListener))
		_ = ln.Close()
		if err != nil {
			t.Fatal(err)
		}
		if _, _, errno := rawAccept(int32(fd)); errno != unix.EAGAIN {
			t.Errorf("%s: with nobody there: %v, want EAGAIN", x.listen, errno)
		}
		_, port, _ := net.SplitHostPort(ln.Addr().String())
		nc, err := net.Dial("tcp", net.JoinHostPort(x.dial, port))
		if err != nil {
			t.Fatal(err)
		}
		got, from, errno := rawAccept(int32(fd))
		if want := nc.LocalAddr().(*net.TCPAddr).AddrPort(); errno != 0 || from.addrPort() != netip.AddrPortFrom(want.Addr().Unmap(), want.Port()) {
			t.Errorf("%s: accepted %v, %v; the client is %v", x.listen, from.addrPort(), errno, want)
		}
		_ = unix.Close(got)
		_ = unix.Close(fd)
		_ = nc.Close()
	}
}

// TestCallsComeLast: the bell, which may bring a newcomer, is answered after the sockets
// that epoll told of with it. The newcomer may have the descriptor of one that was
// closed meanwhile, whose reset would be held against it.
func TestCallsComeLast(t *testing.T) {
	f := newFakeLoop(t, DefaultConfig(), &rooms{})
	near, far := pair(t)
	t.Cleanup(func() { _ = unix.Close(near) })
	f.gnet.bell, f.gnet.wake, f.input = int32(near), -2, make([]byte, 8)
	ran := false
	f.box.putTask(func(*loop) { ran = true })
	rawWrite(int32(far), bellByte)
	f.serve(int32(near), unix.EPOLLIN)
	if ran {
		t.Error("the bell was answered among the sockets")
	}
	f.answerCalls()
	if !ran {
		t.Error("the bell was not answered")
	}
	f.serve(-2, unix.EPOLLIN)
	if !f.calls.stop {
		t.Error("the stop was not noted")
	}
}
