package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"
)

// conn is one client connection of the loader.
type conn struct {
	fd     int32
	state  connState
	sender int32 // place among the senders of its room, -1 for one who only listens
	index  uint32
	room   uint32
	seq    uint32   // next to send
	credit int      // own messages back and not yet followed by new ones
	next   []uint32 // next sequence expected of each sender of the room
	left   []byte   // an answer or frame that is not all there yet
	out    []byte   // what the socket did not take
}

type connState uint8

const (
	connNew connState = iota
	connAsked
	connOpen
	connGone
)

// client holds connections: one goroutine, one epoll. Everything but stop belongs to that goroutine.
type client struct {
	target *target
	rooms  bool // a path per room
	brief  bool // connections do not stay
	poll   *poller
	timer  timer
	conns  []conn
	buf    []byte
	began  time.Time
	dialed int // conns begun
	open   int
	gone   int
	stop   atomic.Bool
	// frames takes what an open connection received and returns what is not a whole frame yet.
	frames  func(c *conn, b []byte) ([]byte, error)
	planned func() // called each turn and when the timer fires
	dropped func(c *conn)
	reasons map[string]int
	request []byte // scratch
	err     error  // why the run cannot go on
}

const (
	readBytes      = 256 << 10
	dialsAtOnceMax = 256
	stuckAfter     = 10 * time.Second
	outBytesMax    = 16 << 20
)

var errStopped = errors.New("stopped before it began to measure")

func newClient(t *target, conns int) (*client, error) {
	p, err := newPoller()
	if err != nil {
		return nil, err
	}
	tm, err := newTimer(p)
	if err != nil {
		p.close()
		return nil, err
	}
	c := &client{target: t, poll: p, timer: tm, conns: make([]conn, conns), buf: make([]byte, readBytes), began: time.Now(), reasons: make(map[string]int)}
	for i := range c.conns {
		c.conns[i] = conn{fd: -1, index: uint32(i), sender: -1}
	}
	c.frames = func(k *conn, b []byte) ([]byte, error) { return c.idleFrames(k, b) }
	c.planned, c.dropped = func() {}, func(*conn) {}
	return c, nil
}

// watch makes the end of ctx end the run; the caller's goroutine becomes the loop's.
func (l *client) watch(ctx context.Context) (release func()) {
	runtime.LockOSThread()
	stop := context.AfterFunc(ctx, func() { l.stop.Store(true); l.poll.wakeUp() })
	return func() {
		stop()
		l.close()
		runtime.UnlockOSThread()
	}
}

func (l *client) close() {
	for i := range l.conns {
		if c := &l.conns[i]; c.fd >= 0 {
			rawReset(c.fd) // thousands in TIME_WAIT would be in the next run's way
			c.fd = -1
		}
	}
	rawClose(l.timer.fd)
	l.poll.close()
}

func (l *client) clock() time.Duration { return time.Since(l.began) }

// turn serves what is ready once.
func (l *client) turn() {
	for _, ev := range l.poll.wait() {
		switch {
		case ev.Fd >= 0:
			l.event(&l.conns[ev.Fd], ev.Events)
		case ev.Fd == tagWake:
			l.poll.drainWake()
		}
	}
	l.planned()
}

func (l *client) event(c *conn, events uint32) {
	if c.fd >= 0 && events&unix.EPOLLOUT != 0 {
		l.writable(c)
	}
	if fd := c.fd; fd >= 0 && events&^unix.EPOLLOUT != 0 {
		for l.readable(c) || events&goneEvents != 0 {
			if c.fd != fd {
				return
			}
		}
	}
}

// run takes turns until the instant has come, done says so, the run is stopped, or it cannot go on.
func (l *client) run(until time.Duration, done func() bool) error {
	for l.err == nil && !l.stop.Load() && l.clock() < until && !done() {
		l.turn()
	}
	return l.err
}

func never() bool { return false }

// dialTo opens connections until n are open.
func (l *client) dialTo(n int, progress func(string, ...any)) error {
	last, said := 0, l.clock()
	for moved := l.clock(); l.open < n; {
		for l.dialed < n && l.dialed-l.open < dialsAtOnceMax {
			if err := l.dial(&l.conns[l.dialed]); err != nil {
				return err
			}
			l.dialed++
		}
		l.turn()
		now := l.clock()
		if l.open > last {
			last, moved = l.open, now
		}
		switch {
		case l.err != nil:
			return l.err
		case l.stop.Load():
			return errStopped
		case l.gone > 0:
			return fmt.Errorf("%s: connection %d of %d: %s", l.target.url, l.open+1, n, firstKey(l.reasons))
		case now-moved > stuckAfter:
			return fmt.Errorf("%s: %d of %d connections are open and no more came in %s", l.target.url, l.open, n, stuckAfter)
		case now-said > time.Second:
			said = now
			progress("%d of %d connections open", l.open, n)
		}
	}
	return nil
}

func firstKey(m map[string]int) string {
	for k := range m {
		return k
	}
	return ""
}

// dial connects and asks. On loopback the connection is there at once and so the question is never held.
func (l *client) dial(c *conn) error {
	fd, err := l.target.connect(int(c.index), l.brief)
	if err != nil {
		return fmt.Errorf("connection %d: %w", c.index+1, err)
	}
	c.fd, c.state = fd, connAsked
	if err := l.poll.control(unix.EPOLL_CTL_ADD, fd, int32(c.index), readEvents); err != nil {
		return err
	}
	if l.rooms || l.request == nil {
		l.request = l.target.shake.appendRequest(l.request[:0], l.target.path(c.room, l.rooms))
	}
	l.send(c, l.request)
	return nil
}

// readable reads once; more says that the socket may hold more.
func (l *client) readable(c *conn) (more bool) {
	have := copy(l.buf, c.left)
	n, errno := rawRead(c.fd, l.buf[have:])
	switch {
	case n == 0:
		l.drop(c, "closed without a close frame")
		return false
	case errno == unix.EAGAIN || errno == unix.EINTR:
		return errno == unix.EINTR
	case n < 0:
		l.drop(c, errno.Error())
		return false
	}
	fd, rest, err := c.fd, l.buf[:have+n], error(nil)
	if c.state == connAsked {
		rest, err = l.answered(c, rest)
	}
	if c.state == connOpen && err == nil {
		rest, err = l.frames(c, rest)
	}
	if err != nil {
		l.drop(c, err.Error())
	}
	if c.fd != fd {
		return false
	}
	c.left = append(c.left[:0], rest...)
	return have+n == len(l.buf)
}

func (l *client) answered(c *conn, b []byte) ([]byte, error) {
	n, err := l.target.shake.answer(b)
	if n > 0 {
		c.state = connOpen
		l.open++
	}
	return b[n:], err
}

// idleFrames is for those who only hold connections.
func (l *client) idleFrames(c *conn, b []byte) ([]byte, error) {
	for {
		f, n, err := nextFrame(b)
		if n == 0 {
			return b, err
		}
		b = b[n:]
		if err := l.control(c, f); err != nil {
			return nil, err
		}
	}
}

// control takes a frame that is no message for us: a ping, a close, or a fault.
func (l *client) control(c *conn, f frame) error {
	if err := f.check(false); err != nil {
		return err
	}
	switch f.head {
	case headPing:
		l.send(c, appendMasked(nil, headPong, f.payload, 0))
	case headClose:
		code, reason := ws.ParseCloseFrameData(f.payload)
		return fmt.Errorf("closed with %d %.60q", code, reason)
	}
	return nil
}

// send writes, behind whatever waits there.
func (l *client) send(c *conn, b []byte) {
	n := 0
	if len(c.out) == 0 {
		var errno unix.Errno
		n, errno = rawWrite(c.fd, b)
		if n == len(b) {
			return
		}
		if n < 0 && errno != unix.EAGAIN && errno != unix.EINTR {
			l.drop(c, errno.Error())
			return
		}
		n = max(n, 0)
		_ = l.poll.control(unix.EPOLL_CTL_MOD, c.fd, int32(c.index), readEvents|unix.EPOLLOUT)
	}
	if c.out = append(c.out, b[n:]...); len(c.out) > outBytesMax {
		l.err = fmt.Errorf("the server does not read: %d MiB wait on one connection", outBytesMax>>20)
	}
}

func (l *client) writable(c *conn) {
	n, errno := rawWrite(c.fd, c.out)
	switch {
	case n == len(c.out):
		c.out = nil
		_ = l.poll.control(unix.EPOLL_CTL_MOD, c.fd, int32(c.index), readEvents)
	case n >= 0:
		c.out = append(c.out[:0], c.out[n:]...)
	case errno != unix.EAGAIN && errno != unix.EINTR:
		l.drop(c, errno.Error())
	}
}

// drop ends a connection that the server ended, or that it made useless.
func (l *client) drop(c *conn, reason string) {
	if c.fd < 0 {
		return
	}
	if c.state == connOpen {
		l.open--
	}
	l.gone++
	l.reasons[reason]++
	rawClose(c.fd)
	c.fd, c.state, c.out, c.left = -1, connGone, nil, nil
	l.dropped(c)
}
