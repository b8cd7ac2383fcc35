package bench

import (
	"fmt"
	"net/netip"
	"runtime"
	"sync/atomic"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"
)

// IdealConfig says how the yardstick serves.
type IdealConfig struct {
	Listen string // address and port; port 0 picks one
	Batch  bool   // one write per connection and turn, instead of one per delivery
}

// IdealServer is the yardstick: what a broadcast server does when it does nothing else. One thread, one epoll,
// no deadlines, no limits beyond those that keep it from eating the machine, no answer to half of what a peer
// can do wrong. Any other server's figures can be given as a share of what this one reaches on the machine.
//
// The path of a request is its room ("/" is one, "/rooms/NAME" another). What a client says goes to everybody in
// its room, itself included:
//
//	plain:  for each message, for each member: one write
//	batch:  what a turn of the loop brought goes into one buffer per room; at the end of the turn, for each
//	        member: one write of it all
type IdealServer struct {
	addr   netip.AddrPort
	batch  bool
	poll   *poller
	listn  int32
	closed atomic.Bool
	done   chan struct{}

	// All of the following belongs to the loop.
	conns  []*idealConn // by descriptor
	rooms  map[string]*idealRoom
	dirty  []*idealRoom // rooms with something in out, in batch mode
	dead   []*idealConn // reaped at the end of the turn
	in     []byte
	out    []byte
	paused bool // out of descriptors: accepting waits for a connection to go
}

type idealConn struct {
	fd      int32
	at      int32 // place in room.members
	dead    bool
	room    *idealRoom // nil until upgraded
	left    []byte     // a request or frame that is not all there yet
	pending []byte     // what the socket did not take
}

type idealRoom struct {
	name    string
	members []idealMember
	out     []byte
}

// idealMember is all that a delivery to a healthy connection touches.
type idealMember struct {
	fd      int32
	trouble bool // something is pending: do not overtake it
}

const (
	idealReadBytes       = 64 << 10
	idealPendingBytesMax = 8 << 20 // a reader further behind than this is cut off
	idealAcceptsPerTurn  = 256     // so that a storm does not starve those already in
)

// Ideal starts the yardstick server; it is listening when Ideal returns.
func Ideal(cfg IdealConfig) (*IdealServer, error) {
	addr, err := netip.ParseAddrPort(cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen address %q: want IP:PORT, such as 127.0.0.1:9001", cfg.Listen)
	}
	listn, bound, err := listen(addr)
	if err != nil {
		return nil, err
	}
	s := &IdealServer{
		addr: bound, batch: cfg.Batch, listn: listn, done: make(chan struct{}),
		rooms: make(map[string]*idealRoom), in: make([]byte, idealReadBytes+frameBytesMax+ws.MaxHeaderSize),
	}
	if s.poll, err = newPoller(); err == nil {
		err = s.poll.control(unix.EPOLL_CTL_ADD, listn, tagListn, unix.EPOLLIN)
	}
	if err != nil {
		rawClose(listn)
		return nil, err
	}
	go s.run()
	return s, nil
}

// Addr is the address that the server listens on.
func (s *IdealServer) Addr() string { return s.addr.String() }

// Close drops every connection and returns when the loop has ended.
func (s *IdealServer) Close() {
	if s.closed.CompareAndSwap(false, true) {
		s.poll.wakeUp()
	}
	<-s.done
}

func (s *IdealServer) run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(s.done)
	for !s.closed.Load() {
		for _, ev := range s.poll.wait(sleepMax) {
			s.event(ev)
		}
		s.flushRooms()
		s.reap()
	}
	for _, c := range s.conns {
		if c != nil {
			rawClose(c.fd)
		}
	}
	rawClose(s.listn)
	s.poll.close()
}

func (s *IdealServer) event(ev unix.EpollEvent) {
	switch ev.Fd {
	case tagListn:
		s.accept()
		return
	case tagWake:
		return
	}
	c := s.conns[ev.Fd]
	if c == nil || c.dead {
		return
	}
	if ev.Events&unix.EPOLLOUT != 0 {
		s.writable(c)
	}
	if ev.Events&^unix.EPOLLOUT != 0 && !c.dead {
		for s.readable(c) || ev.Events&goneEvents != 0 {
			if c.dead {
				return
			}
		}
	}
}

func (s *IdealServer) accept() {
	for range idealAcceptsPerTurn {
		fd, errno := rawAccept(s.listn)
		switch errno {
		case 0:
		case unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.ENOBUFS:
			s.paused = true
			_ = s.poll.control(unix.EPOLL_CTL_MOD, s.listn, tagListn, 0)
			return
		case unix.ECONNABORTED, unix.EINTR:
			continue
		default:
			return
		}
		for int(fd) >= len(s.conns) {
			s.conns = append(s.conns, make([]*idealConn, 1024)...)
		}
		s.conns[fd] = &idealConn{fd: fd}
		if err := s.poll.control(unix.EPOLL_CTL_ADD, fd, fd, readEvents); err != nil {
			s.kill(s.conns[fd])
		}
	}
}

// readable reads once; more says that the socket may hold more.
func (s *IdealServer) readable(c *idealConn) (more bool) {
	have := copy(s.in, c.left)
	n, errno := rawRead(c.fd, s.in[have:have+idealReadBytes])
	if n <= 0 {
		if errno != unix.EAGAIN && errno != unix.EINTR {
			s.kill(c)
		}
		return errno == unix.EINTR
	}
	b := s.in[:have+n]
	if c.room == nil {
		b = s.upgrade(c, b)
	}
	if c.room != nil {
		b = s.frames(c, b)
	}
	c.left = append(c.left[:0], b...)
	return n == idealReadBytes
}

func (s *IdealServer) kill(c *idealConn) {
	if !c.dead {
		c.dead = true
		s.dead = append(s.dead, c)
	}
}

// reap closes what the turn has marked. Nothing was taken out of a room while it was walked.
func (s *IdealServer) reap() {
	for _, c := range s.dead {
		if c.room != nil {
			s.leave(c)
		}
		s.conns[c.fd] = nil
		rawClose(c.fd)
	}
	if len(s.dead) > 0 && s.paused {
		s.paused = false
		_ = s.poll.control(unix.EPOLL_CTL_MOD, s.listn, tagListn, unix.EPOLLIN)
	}
	s.dead = s.dead[:0]
}
