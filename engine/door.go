package engine

import (
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// door is where a loop meets a listener, so that whoever comes is accepted, and its
// connection registered, on one goroutine and with no system call twice. The listener
// stands in the loop's epoll; of the loops one is woken by each arrival
// (EPOLLEXCLUSIVE), one that has nothing else to do. Loop-owned.
type door struct {
	listener int32 // descriptor
	open     bool  // the listener stands in the loop's epoll
	pause    time.Duration
	again    int64 // nanoseconds on the loop's clock at which it opens after a pause, 0: it is not in one
}

const (
	// acceptsPerTurn is how many are accepted at a door before the loop's other
	// sockets are served: about 200 microseconds of work.
	acceptsPerTurn = 32
	// acceptPauseMin and acceptPauseMax bound the pause after a failed accept. It is
	// rounded up to a tick.
	acceptPauseMin = 5 * time.Millisecond
	acceptPauseMax = time.Second
)

// openDoors begins to accept.
func (l *loop) openDoors() {
	for _, ln := range l.engine.gate.listeners {
		d := &door{listener: ln.fd}
		l.doors = append(l.doors, d)
		l.openDoor(d)
	}
}

func (l *loop) openDoor(d *door) {
	d.again = 0
	if l.engine.gate.shut.Load() {
		return
	}
	if errno := rawEpollCtl(l.epfd, unix.EPOLL_CTL_ADD, d.listener, unix.EPOLLIN|unix.EPOLLEXCLUSIVE, 0); errno != 0 {
		l.acceptFailed(d, os.NewSyscallError("epoll_ctl", errno))
		return
	}
	d.open = true
}

func (l *loop) shutDoor(d *door) {
	if d.open {
		d.open = false
		_ = rawEpollCtl(l.epfd, unix.EPOLL_CTL_DEL, d.listener, 0, 0)
	}
}

// shutDoors accepts nobody any more.
func (l *loop) shutDoors() {
	for _, d := range l.doors {
		l.shutDoor(d)
		d.again = 0
	}
	l.doors = nil
}

// lookAtDoors opens those whose pause is over. Once a tick.
func (l *loop) lookAtDoors() {
	for _, d := range l.doors {
		if d.again > 0 && l.now >= d.again {
			l.openDoor(d)
		}
	}
}

// answerDoor accepts whoever stands at a door, as many as one turn has time for.
func (l *loop) answerDoor(d *door) {
	l.enter()
	defer l.exit()
	defer func() {
		if p := recover(); p != nil {
			l.panicked("accept", p)
		}
	}()
	g := l.engine.gate
	for range acceptsPerTurn {
		if g.shut.Load() {
			l.shutDoor(d)
			return
		}
		fd, from, errno := rawAccept(d.listener)
		switch errno {
		case 0:
			d.pause = 0
			l.admit(fd, from)
		case unix.EAGAIN:
			return
		case unix.ECONNABORTED, unix.EINTR:
		default:
			if !g.shut.Load() {
				l.acceptFailed(d, os.NewSyscallError("accept", errno))
			}
			return
		}
	}
}

// acceptFailed shuts a door for a while. It costs a pause, nothing else: those who
// are connected do not notice, those who come wait in the kernel's queue. At most
// one line a second is logged.
func (l *loop) acceptFailed(d *door, err error) {
	l.shutDoor(d)
	d.pause = min(max(2*d.pause, acceptPauseMin), acceptPauseMax)
	d.again = l.now + int64(d.pause)
	if n, ok := l.engine.gate.errors.admits(nanotime()); ok {
		l.engine.cfg.Logger.Warn("accept failed; it is tried again", slog.Any("error", err), slog.Uint64("failures", n))
	}
}

// admit takes in one that was accepted, turns it away, or hands it to a loop that has
// fewer.
func (l *loop) admit(fd int, from remote) {
	g := l.engine.gate
	g.accepts.Add(1)
	c := &Conn{fd: int32(fd), accepted: stampNow(), remote: from}
	if why := g.admit(c); why != ReasonNone {
		g.turnAway(fd, why)
		return
	}
	g.place(c, l)
	if c.loop == l {
		l.takeIn(c)
		return
	}
	c.loop.coming.Add(1)
	c.loop.box.putComer(c)
	c.loop.bell.ring()
}

// takeIn makes one that will live on this loop a connection of gnet's. If epoll
// refuses, gnet closes the descriptor; there is no OnOpen, and will be no OnClose.
func (l *loop) takeIn(c *Conn) {
	l.arriving = c
	_ = registerGnetConn(l.gnet.loop, newGnetConn("tcp", int(c.fd), l.gnet.loop, nil, nil, nil))
	if l.arriving != nil {
		l.arriving = nil
		l.engine.gate.unenrolled(c)
	}
}

// takeInComer is takeIn for one that another loop accepted.
func (l *loop) takeInComer(c *Conn) {
	defer func() {
		if p := recover(); p != nil {
			l.panicked("accept", p)
		}
	}()
	l.coming.Add(-1)
	l.takeIn(c)
}

// leaveOutside closes those that were handed to the loop and will not be taken in any
// more. No loop may run.
func (l *loop) leaveOutside() {
	for _, c := range l.box.take().comers {
		l.coming.Add(-1)
		_ = unix.Close(int(c.fd))
		l.engine.gate.unenrolled(c)
	}
	l.box.done()
}
