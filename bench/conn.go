package bench

import (
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// conn is one client connection. There may be a million of them: what few have at a time is in extra.
type conn struct {
	fd      int32
	index   uint32 // in worker.conns
	room    uint32
	sender  int32 // place among the senders of its room, -1 for one who only listens
	seq     uint32
	credit  int32 // own messages back and not yet followed by new ones
	state   connState
	tries   uint8
	slow    bool
	stalled bool     // it was once
	back    bool     // dropped by a storm and not served again
	last    instant  // when something arrived; before it is open, when its handshake began
	next    []uint32 // next sequence expected of each sender of the room
	more    *extra
}

// extra is what a connection has while something is incomplete.
type extra struct {
	left []byte // an answer or frame that is not all there yet
	out  []byte // what the socket did not take
	part []byte // of a fragmented message
	head byte   // of its first fragment; 0: there is none
}

const _ = uint(96 - unsafe.Sizeof(conn{}))

type connState uint8

const (
	connNew connState = iota
	connAsked
	connOpen
	connLeaving // has said goodbye and waits for the server to close
	connGone
)

const outBytesMax = 16 << 20

func (w *worker) target(c *conn) *target { return w.targets[int(c.room)%len(w.targets)] }

func (w *worker) extra(c *conn) *extra {
	if c.more == nil {
		if n := len(w.spare); n > 0 {
			c.more, w.spare = w.spare[n-1], w.spare[:n-1]
		} else {
			c.more = &extra{}
		}
	}
	return c.more
}

// release takes the extra back as soon as nothing is in it.
func (w *worker) release(c *conn) {
	x := c.more
	if x == nil || len(x.left)+len(x.out) > 0 || x.head != 0 {
		return
	}
	c.more = nil
	const keepBytesMax = 128 << 10
	if len(w.spare) < spareMax && cap(x.left)+cap(x.out)+cap(x.part) < keepBytesMax {
		w.spare = append(w.spare, x)
	}
}

func (w *worker) keepRest(c *conn, rest []byte) {
	if len(rest) > 0 {
		x := w.extra(c)
		x.left = append(x.left[:0], rest...)
	} else if c.more != nil {
		c.more.left = c.more.left[:0]
		w.release(c)
	}
}

// send writes, behind whatever waits there.
func (w *worker) send(c *conn, b []byte) {
	w.evictions.said(c)
	n := 0
	if c.more == nil || len(c.more.out) == 0 {
		var errno unix.Errno
		n, errno = rawWrite(c.fd, b)
		if n == len(b) {
			return
		}
		if n < 0 && errno != unix.EAGAIN && errno != unix.EINTR {
			w.drop(c, errno.Error())
			return
		}
		n = max(n, 0)
		_ = w.poll.control(unix.EPOLL_CTL_MOD, c.fd, int32(c.index), readEvents|unix.EPOLLOUT)
	}
	x := w.extra(c)
	if x.out = append(x.out, b[n:]...); len(x.out) > outBytesMax {
		w.quit = fmt.Errorf("the server does not read: %d MiB wait on one connection", outBytesMax>>20)
	}
}

func (w *worker) writable(c *conn) {
	if c.more == nil || len(c.more.out) == 0 {
		return
	}
	x := c.more
	n, errno := rawWrite(c.fd, x.out)
	switch {
	case n == len(x.out):
		x.out = x.out[:0]
		w.release(c)
		_ = w.poll.control(unix.EPOLL_CTL_MOD, c.fd, int32(c.index), readEvents)
	case n >= 0:
		x.out = append(x.out[:0], x.out[n:]...)
	case errno != unix.EAGAIN && errno != unix.EINTR:
		w.drop(c, errno.Error())
	}
}

// drop ends a connection that the server ended, or that it made useless.
func (w *worker) drop(c *conn, reason string) {
	if c.fd < 0 {
		return
	}
	was := c.state
	w.evictions.ended(c, reason)
	w.shut(c, false)
	switch {
	case was == connLeaving:
		w.comeBack(c, now())
	case w.spec.Brief:
		w.reasons[reason]++
		w.comeBack(c, now())
	case c.slow && was == connOpen:
		w.slow.cutOff[reason]++
	case w.spec.Returns && was == connAsked && w.dialing.done:
		w.dialing.refused[reason]++
		w.backOff(c)
	case w.spec.Patient && was == connAsked && !w.dialing.done && c.tries < patientTries:
		w.dialing.refused[reason]++
		w.backOff(c)
	case w.spec.Returns && w.dialing.done && c.sender < 0:
		w.reasons[reason]++
		w.forget(c)
		w.backOff(c)
	default:
		w.dialing.failed = w.dialing.failed || was == connAsked && !w.dialing.done
		w.gone++
		w.reasons[reason]++
	}
}

// shut closes the socket, by a reset if wanted, and forgets what was under way on it.
func (w *worker) shut(c *conn, reset bool) {
	switch c.state {
	case connOpen, connLeaving:
		w.open--
	case connAsked:
		w.underway--
	}
	if reset {
		rawReset(c.fd)
	} else {
		rawClose(c.fd)
	}
	c.fd, c.state, c.credit = -1, connGone, 0
	if x := c.more; x != nil {
		x.left, x.out, x.part, x.head = x.left[:0], x.out[:0], x.part[:0], 0
		w.release(c)
	}
}

// brief ends a connection that has been upgraded, and begins it anew.
func (w *worker) brief(c *conn) {
	w.shut(c, true)
	w.comeBack(c, now())
}

// comeBack dials again as soon as the loop comes to it. When the talking is over, brief ones stay away.
func (w *worker) comeBack(c *conn, at instant) {
	if w.talking || !w.spec.Brief {
		w.dialing.waiting.push(at, c.index)
	}
}

// The pauses between attempts of one that was refused: full jitter, doubling from the least to the most.
const (
	backOffMin = 50 * time.Millisecond
	backOffMax = 2 * time.Second
)
