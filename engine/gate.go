package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"throng/protocol"
)

// gate accepts connections and enrols them into loops. gnet's own acceptor is
// not used because it ends the whole engine, and with it every connection, when
// accept(2) fails for want of descriptors or memory.
//
// Enrolling waits for the loop's next turn, so each loop has several goroutines
// in accept: one would enrol one connection a turn.
type gate struct {
	engine    *Engine
	listeners []net.Listener
	acceptors int           // goroutines per loop and listener
	limit     int           // descriptors the process may have
	reserve   int           // of these, those that the server itself needs
	count     atomic.Int64  // connections from accept to their end
	turned    chan struct{} // slots of those being told that there is no room
	running   sync.WaitGroup

	accepts     atomic.Uint64
	errors      seldom
	refused     [reasonCount]atomic.Uint64 // turned away
	enrolFailed atomic.Uint64
}

const (
	// acceptorsMax is how many acceptors a loop has at most: with 64 a loop with
	// busy turns still takes over 20,000 connections a second.
	acceptorsMax = 64
	// turnedSlots is how many may be told at once that there is no room; more are
	// closed without a word.
	turnedSlots = 32
	// turnedTime is how long the request of such a one is waited for.
	turnedTime = time.Second
	// acceptPauseMin and acceptPauseMax bound the pause after a failed accept.
	acceptPauseMin = 5 * time.Millisecond
	acceptPauseMax = time.Second
	// filesSpare is kept for standard streams, log files, the private HTTP
	// server and whatever else the process opens.
	filesSpare = 48
	// loopFiles is what a loop holds: two epolls, an eventfd, the bell's two ends.
	loopFiles = 5
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
	g.acceptors = max(1, min(acceptorsMax, limit/(64*loops))/len(e.cfg.Listen))
	// Each acceptor holds two descriptors while it enrols.
	g.reserve = filesSpare + loops*(loopFiles+2*g.acceptors*len(e.cfg.Listen)) + len(e.cfg.Listen) + cap(g.turned)
	if _, err := g.ceilingOf(e.cfg.MaxConnections); err != nil {
		return nil, err
	}
	for _, addr := range e.cfg.Listen {
		ln, err := g.listen(addr)
		if err != nil {
			g.closeListeners()
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
func (g *gate) listen(addr string) (net.Listener, error) {
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
		return nil, fmt.Errorf("listen %s: address already in use%s", addr, portOwner(addr))
	}
	return ln, err
}

func setListenerOptions(fd int, cfg *Config) error {
	set := func(level, option, value int) error {
		return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, level, option, value))
	}
	var errs []error
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
		for _, ln := range g.listeners {
			for range g.acceptors {
				g.running.Add(1)
				go g.accept(ln, l)
			}
		}
	}
}

// stop closes the listeners and waits until no acceptor is enrolling.
func (g *gate) stop() {
	g.closeListeners()
	g.running.Wait()
}

func (g *gate) closeListeners() {
	for _, ln := range g.listeners {
		_ = ln.Close()
	}
}

// accept takes connections for one loop until the listener is closed. A failed
// accept costs a pause, nothing else: those who are connected do not notice.
func (g *gate) accept(ln net.Listener, l *loop) {
	defer g.running.Done()
	pause := acceptPauseMin
	for {
		nc, err := ln.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			g.acceptFailed(err)
			time.Sleep(pause)
			pause = min(2*pause, acceptPauseMax)
			continue
		}
		pause = acceptPauseMin
		g.accepts.Add(1)
		c := &Conn{loop: l, fd: -1, accepted: stampNow()}
		if why := g.admit(nc, c); why != ReasonNone {
			g.turnAway(nc, why)
			continue
		}
		g.enrol(nc, c)
	}
}

// admit counts a connection, or says why it cannot be let in. Nothing of it has
// been read, so the address is the socket's. A peer that may speak for others is
// counted by what it will say, on the loop.
func (g *gate) admit(nc net.Conn, c *Conn) Reason {
	e := g.engine
	lim := e.limits.Load()
	if g.count.Add(1) > lim.ceiling {
		g.count.Add(-1)
		return ReasonCeiling
	}
	if addr, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		c.remote = remoteOf(addr.AddrPort())
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

// acceptFailed counts a failed accept and logs at most one a second.
func (g *gate) acceptFailed(err error) {
	if n, ok := g.errors.admits(nanotime()); ok {
		g.engine.cfg.Logger.Warn("accept failed; it is tried again", slog.Any("error", err), slog.Uint64("failures", n))
	}
}

// enrol hands a connection to a loop. From OnOpen on it is the loop's; if epoll
// refused it there was no OnOpen and there will be no OnClose.
func (g *gate) enrol(nc net.Conn, c *Conn) {
	defer func() {
		if p := recover(); p != nil { // the peer reset before gnet asked for its address
			_ = nc.Close()
		}
		if !c.enrolled {
			g.unenrolled(c)
		}
	}()
	_, _ = c.loop.client.EnrollContext(nc, c)
}

// unenrolled takes back what admit counted of a connection that no loop has.
func (g *gate) unenrolled(c *Conn) {
	g.enrolFailed.Add(1)
	g.release()
	g.engine.uncountAddress(c, g.engine.clock())
}

// release is told that a connection has ended. Any goroutine.
func (g *gate) release() { g.count.Add(-1) }

// turnAway tells a client to come back later, if that can be done within a
// moment, in a bounded number of places; else it resets the connection, which
// leaves nothing of it in the kernel either.
func (g *gate) turnAway(nc net.Conn, why Reason) {
	g.refused[why].Add(1)
	select {
	case g.turned <- struct{}{}:
	default:
		if tc, ok := nc.(*net.TCPConn); ok {
			_ = tc.SetLinger(0)
		}
		_ = nc.Close()
		return
	}
	g.running.Add(1)
	go func() {
		defer g.running.Done()
		defer func() { <-g.turned }()
		defer nc.Close()
		g.sayWhy(nc, why)
	}()
}

// sayWhy waits for the request, so that closing does not reset what was sent,
// and answers 503.
func (g *gate) sayWhy(nc net.Conn, why Reason) {
	_ = nc.SetDeadline(time.Now().Add(turnedTime))
	head := make([]byte, 0, 1024)
	for {
		n, err := nc.Read(head[len(head):cap(head)])
		head = head[:len(head)+n]
		if protocol.HeadEnd(head, 0) > 0 || len(head) == cap(head) {
			break
		}
		if err != nil {
			return
		}
	}
	resp := unavailables[why].one().Response()
	if _, err := nc.Write(protocol.AppendResponse(nil, &resp, nil)); err != nil {
		return
	}
	if tc, ok := nc.(*net.TCPConn); ok {
		_ = tc.CloseWrite()
	}
	_, _ = io.CopyN(io.Discard, nc, closingReadBytesMax)
}
