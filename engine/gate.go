package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"throng/protocol"
)

// gate holds the listeners, and decides who is let in and on which loop. The loops
// accept by themselves (see door). gnet's own acceptor is not used because it ends
// the whole engine, and with it every connection, when accept(2) fails for want of
// descriptors or memory. Any goroutine.
type gate struct {
	engine    *Engine
	listeners []listener
	limit     int           // descriptors the process may have
	reserve   int           // of these, those that the server itself needs
	count     atomic.Int64  // connections from accept to their end
	shut      atomic.Bool   // nobody is accepted any more
	turned    chan struct{} // slots of those being told that there is no room
	telling   sync.WaitGroup

	accepts     atomic.Uint64
	errors      seldom
	refused     [reasonCount]atomic.Uint64 // turned away
	enrolFailed atomic.Uint64
}

// listener is a socket that is listened on. The standard library has set it up and
// knows it no more: whatever it accepted would be registered with two pollers.
type listener struct {
	fd   int32
	addr net.Addr
}

const (
	// turnedSlots is how many may be told at once that there is no room; more are
	// closed without a word.
	turnedSlots = 32
	// turnedTime is how long the request of such a one is waited for.
	turnedTime = time.Second
	// filesSpare is kept for standard streams, log files, the private HTTP
	// server and whatever else the process opens.
	filesSpare = 48
	// loopFiles is what a loop holds: two epolls, an eventfd, the bell's two ends,
	// and the one that it has accepted and may have to turn away.
	loopFiles = 6
)

// newGate binds the listeners and works out how many descriptors there are. It
// accepts nothing yet.
func newGate(e *Engine) (*gate, error) {
	limit, err := raiseFileLimit()
	if err != nil {
		return nil, err
	}
	g := &gate{engine: e, limit: limit, turned: make(chan struct{}, min(turnedSlots, max(1, limit/32)))}
	loops := e.cfg.Loops
	// A listener is one descriptor, and on each loop a door.
	g.reserve = filesSpare + loops*(loopFiles+len(e.cfg.Listen)) + len(e.cfg.Listen) + cap(g.turned)
	if _, err := g.ceilingOf(e.cfg.MaxConnections); err != nil {
		return nil, err
	}
	for _, addr := range e.cfg.Listen {
		ln, err := g.listen(addr)
		if err != nil {
			g.close()
			return nil, err
		}
		g.listeners = append(g.listeners, ln)
	}
	return g, nil
}

// ceilingOf returns how many connections are let in at once under a limit that may
// be Auto.
func (g *gate) ceilingOf(most int) (int64, error) {
	room := g.limit - g.reserve
	switch {
	case room < 1:
		return 0, fmt.Errorf("engine: a descriptor limit of %d leaves no room for connections (%d are needed for the server itself); raise it with ulimit -n or LimitNOFILE", g.limit, g.reserve)
	case most == Auto, most == 0:
		return int64(room), nil
	case most > room:
		return 0, fmt.Errorf("engine: %d connections do not fit into a descriptor limit of %d (%d are needed for the server itself); raise it with ulimit -n or LimitNOFILE, or allow at most %d connections", most, g.limit, g.reserve, room)
	}
	return int64(most), nil
}

// raiseFileLimit raises the soft limit of descriptors to the hard one.
func raiseFileLimit() (int, error) {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return 0, os.NewSyscallError("getrlimit", err)
	}
	if r.Cur < r.Max {
		raised := unix.Rlimit{Cur: r.Max, Max: r.Max}
		if unix.Setrlimit(unix.RLIMIT_NOFILE, &raised) == nil {
			r = raised
		}
	}
	return int(min(r.Cur, 1<<30)), nil
}

// listen binds one address. Options set on the listener are inherited by what
// it accepts, which saves a system call each per connection.
func (g *gate) listen(addr string) (listener, error) {
	cfg := &g.engine.cfg
	lc := net.ListenConfig{KeepAlive: -1, Control: func(_, _ string, rc syscall.RawConn) error {
		var err error
		if e := rc.Control(func(fd uintptr) { err = setListenerOptions(int(fd), cfg) }); e != nil {
			return e
		}
		return err
	}}
	lc.SetMultipathTCP(false)
	ln, err := lc.Listen(context.Background(), "tcp", addr)
	if errors.Is(err, unix.EADDRINUSE) {
		return listener{}, fmt.Errorf("listen %s: address already in use%s", addr, portOwner(addr))
	}
	if err != nil {
		return listener{}, err
	}
	defer ln.Close()
	fd, err := dup(ln.(*net.TCPListener))
	return listener{int32(fd), ln.Addr()}, err
}

// dup returns a descriptor of the listener's socket that is ours alone. It does not
// block, as the standard library's do not; its own File would make it.
func dup(ln *net.TCPListener) (fd int, err error) {
	rc, err := ln.SyscallConn()
	if err != nil {
		return 0, err
	}
	e := rc.Control(func(its uintptr) { fd, err = unix.FcntlInt(its, unix.F_DUPFD_CLOEXEC, 0) })
	if e != nil {
		return 0, e
	}
	return fd, os.NewSyscallError("dup", err)
}

func setListenerOptions(fd int, cfg *Config) error {
	set := func(level, option, value int) error {
		return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, level, option, value))
	}
	errs := []error{set(unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)}
	if cfg.ReusePort {
		errs = append(errs, set(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
	}
	if cfg.SendBuffer > 0 {
		errs = append(errs, set(unix.SOL_SOCKET, unix.SO_SNDBUF, cfg.SendBuffer))
	}
	if t := cfg.userTimeout(); t > 0 {
		errs = append(errs, set(unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(t.Milliseconds())))
	}
	if cfg.KeepAlive > 0 {
		seconds := max(1, int(cfg.KeepAlive.Seconds()))
		errs = append(errs, set(unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1),
			set(unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, seconds),
			set(unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, max(1, seconds/keepAliveProbes)),
			set(unix.IPPROTO_TCP, unix.TCP_KEEPCNT, keepAliveProbes))
	}
	return errors.Join(errs...)
}

// keepAliveProbes is how many probes may stay without an answer.
const keepAliveProbes = 4

// userTimeout is what TCP_USER_TIMEOUT is set to. The kernel also takes it for the time that a silent peer has to answer
// keepalive probes in, counted from the last word: below the keepalive interval one lost probe would end a connection
// in good health. Where throng's own pings come first there are no probes, and the setting stands.
func (c *Config) userTimeout() time.Duration {
	if c.UserTimeout == 0 || c.KeepAlive == 0 || c.PingInterval > 0 && c.PingInterval < c.KeepAlive {
		return c.UserTimeout
	}
	return max(c.UserTimeout, c.KeepAlive+keepAliveProbes*max(time.Second, c.KeepAlive/keepAliveProbes))
}

// start begins to accept.
func (g *gate) start() {
	for _, l := range g.engine.loops {
		l.box.putTask((*loop).openDoors)
		l.bell.ring()
	}
}

// stop refuses whoever comes from now on. Those who wait in the kernel's queue are
// reset; the loops find it out and shut their doors.
func (g *gate) stop() {
	g.shut.Store(true)
	for _, ln := range g.listeners {
		_ = unix.Shutdown(int(ln.fd), unix.SHUT_RDWR)
	}
}

// close gives the listeners' descriptors back and waits for those who are being
// told that there is no room. No loop may run any more: it would accept from
// whatever has the number next.
func (g *gate) close() {
	for _, ln := range g.listeners {
		_ = unix.Close(int(ln.fd))
	}
	g.telling.Wait()
}

// admit counts a connection, or says why it cannot be let in. Nothing of it has
// been read, so the address is the socket's. A peer that may speak for others is
// counted by what it will say, on the loop.
func (g *gate) admit(c *Conn) Reason {
	e := g.engine
	lim := e.limits.Load()
	if g.count.Add(1) > lim.ceiling {
		g.count.Add(-1)
		return ReasonCeiling
	}
	if e.cfg.Proxy != ProxyOff {
		c.flags |= flagDoorstep
		if lim.trusts(c.remote) {
			return ReasonNone
		}
	}
	why := e.countAddress(c, lim, e.clock())
	if why != ReasonNone {
		g.count.Add(-1)
	}
	return why
}

// place decides which loop a connection will live on that loop l has accepted: on l
// itself, unless the next of the others has fewer. A few more are no reason to hand
// one over, since that wakes the other loop; and one that does not take in what it
// was handed gets no more, so that the others stay in the kernel's queue.
func (g *gate) place(c *Conn, l *loop) {
	c.loop = l
	if loops := g.engine.loops; len(loops) > 1 {
		l.neighbour = (l.neighbour + 1) % (len(loops) - 1)
		other := loops[(l.index+1+l.neighbour)%len(loops)]
		n := l.placed.Load()
		if other.placed.Load() < n-n/unevenDivisor && other.coming.Load() < comersMax && !other.stalled.Load() {
			c.loop = other
		}
	}
	c.loop.placed.Add(1)
}

const (
	// unevenDivisor: a loop may have this fraction more than another.
	unevenDivisor = 16
	// comersMax is how many that were accepted by other loops may wait for a loop.
	comersMax = 64
)

// unenrolled takes back what was counted of a connection that no loop has.
func (g *gate) unenrolled(c *Conn) {
	g.enrolFailed.Add(1)
	g.release(c.loop)
	g.engine.uncountAddress(c, g.engine.clock())
}

// release is told that a connection of a loop's has ended.
func (g *gate) release(l *loop) {
	g.count.Add(-1)
	l.placed.Add(-1)
}

// turnAway tells a client to come back later, if that can be done within a
// moment, in a bounded number of places; else it resets the connection, which
// leaves nothing of it in the kernel either.
func (g *gate) turnAway(fd int, why Reason) {
	g.refused[why].Add(1)
	select {
	case g.turned <- struct{}{}:
	default:
		_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		_ = unix.Close(fd)
		return
	}
	g.telling.Add(1)
	go func() {
		defer g.telling.Done()
		defer func() { <-g.turned }()
		f := os.NewFile(uintptr(fd), "turned away") // in the Go poller's hands, as it does not block
		defer f.Close()
		g.sayWhy(f, why)
	}()
}

// sayWhy waits for the request, so that closing does not reset what was sent,
// and answers 503.
func (g *gate) sayWhy(f *os.File, why Reason) {
	_ = f.SetDeadline(time.Now().Add(turnedTime))
	head := make([]byte, 0, 1024)
	for {
		n, err := f.Read(head[len(head):cap(head)])
		head = head[:len(head)+n]
		if protocol.HeadEnd(head, 0) > 0 || len(head) == cap(head) {
			break
		}
		if err != nil {
			return
		}
	}
	resp := unavailables[why].one().Response()
	if _, err := f.Write(protocol.AppendResponse(nil, &resp, nil)); err != nil {
		return
	}
	if rc, err := f.SyscallConn(); err == nil {
		_ = rc.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_WR) })
	}
	_, _ = io.CopyN(io.Discard, f, closingReadBytesMax)
}
