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
	ceiling   int64         // connections allowed at once
	count     atomic.Int64  // connections from accept to their end
	turned    chan struct{} // slots of those being told that there is no room
	running   sync.WaitGroup

	accepts     atomic.Uint64
	errors      atomic.Uint64
	turnedAway  atomic.Uint64
	enrolFailed atomic.Uint64
	lastLogged  atomic.Int64
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

// newGate binds the listeners and works out the ceiling. It accepts nothing yet.
func newGate(e *Engine) (*gate, error) {
	limit, err := raiseFileLimit()
	if err != nil {
		return nil, err
	}
	g := &gate{engine: e, turned: make(chan struct{}, min(turnedSlots, max(1, limit/32)))}
	loops := e.cfg.Loops
	g.acceptors = max(1, min(acceptorsMax, limit/(64*loops))/len(e.cfg.Listen))
	// Each acceptor holds two descriptors while it enrols.
	reserve := filesSpare + loops*(loopFiles+2*g.acceptors*len(e.cfg.Listen)) + len(e.cfg.Listen) + cap(g.turned)
	room := int64(limit - reserve)
	if room < 1 {
		return nil, fmt.Errorf("engine: a descriptor limit of %d leaves no room for connections (%d are needed for the server itself); raise it with ulimit -n or LimitNOFILE", limit, reserve)
	}
	switch most := int64(e.cfg.MaxConnections); {
	case most == Auto, most == 0:
		g.ceiling = room
	case most > room:
		return nil, fmt.Errorf("engine: %d connections do not fit into a descriptor limit of %d (%d are needed for the server itself); raise it with ulimit -n or LimitNOFILE, or allow at most %d connections", most, limit, reserve, room)
	default:
		g.ceiling = most
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
	if cfg.UserTimeout > 0 {
		errs = append(errs, set(unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(cfg.UserTimeout.Milliseconds())))
	}
	if cfg.KeepAlive > 0 {
		seconds := max(1, int(cfg.KeepAlive.Seconds()))
		errs = append(errs, set(unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1),
			set(unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, seconds),
			set(unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, max(1, seconds/4)),
			set(unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 4))
	}
	return errors.Join(errs...)
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
		if g.count.Add(1) > g.ceiling {
			g.count.Add(-1)
			g.turnAway(nc)
			continue
		}
		g.enrol(nc, l)
	}
}

// acceptFailed counts a failed accept and logs at most one a second.
func (g *gate) acceptFailed(err error) {
	n := g.errors.Add(1)
	now := nanotime()
	if last := g.lastLogged.Load(); now-last > int64(time.Second) && g.lastLogged.CompareAndSwap(last, now) {
		g.engine.cfg.Logger.Warn("accept failed; it is tried again", slog.Any("error", err), slog.Uint64("failures", n))
	}
}

// enrol hands a connection to a loop. From OnOpen on it is the loop's; if epoll
// refused it there was no OnOpen and there will be no OnClose.
func (g *gate) enrol(nc net.Conn, l *loop) {
	c := &Conn{loop: l, fd: -1, accepted: nanotime()}
	defer func() {
		if p := recover(); p != nil { // the peer reset before it could be asked for its address
			_ = nc.Close()
		}
		if !c.enrolled {
			g.enrolFailed.Add(1)
			g.count.Add(-1)
		}
	}()
	addr, ok := nc.RemoteAddr().(*net.TCPAddr)
	if !ok {
		_ = nc.Close()
		return
	}
	c.remote = remoteOf(addr.AddrPort())
	_, _ = l.client.EnrollContext(nc, c)
}

// release is told that a connection has ended. Any goroutine.
func (g *gate) release() { g.count.Add(-1) }

// turnAway tells a client that there is no room, if that can be done within a
// moment, in a bounded number of places; else it just closes.
func (g *gate) turnAway(nc net.Conn) {
	g.turnedAway.Add(1)
	select {
	case g.turned <- struct{}{}:
	default:
		_ = nc.Close()
		return
	}
	g.running.Add(1)
	go func() {
		defer g.running.Done()
		defer func() { <-g.turned }()
		defer nc.Close()
		g.sayNoRoom(nc)
	}()
}

// sayNoRoom waits for the request, so that closing does not reset what was sent,
// and answers 503.
func (g *gate) sayNoRoom(nc net.Conn) {
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
	resp := errCeiling.Response()
	if _, err := nc.Write(protocol.AppendResponse(nil, &resp, nil)); err != nil {
		return
	}
	if tc, ok := nc.(*net.TCPConn); ok {
		_ = tc.CloseWrite()
	}
	_, _ = io.CopyN(io.Discard, nc, closingReadBytesMax)
}

var errCeiling = protocol.Unavailable(protocol.LabelCeiling, "this server has as many connections as it takes; try again", 5)
