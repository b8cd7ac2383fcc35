package engine

import (
	"io"
	"runtime"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// poll waits for the loop's sockets and serves them, in the stead of gnet's own loop,
// which it is called from by the bell's first ring and returns to when the engine
// stops. gnet's gives the processor to other goroutines each time that nothing is
// ready, which wakes another thread to look for some, and tells the Go scheduler of
// every read. Here both cost nothing in the common case: a socket that has bytes and
// nothing else is read from directly; for anything else gnet's own function is called.
// Loop-owned.
func (l *loop) poll() {
	defer l.shutDoors() // gnet's loop knows no listeners
	events := make([]unix.EpollEvent, pollEvents)
	l.input = make([]byte, readBytes)
	for {
		n := rawEpollPoll(l.epfd, events)
		if n == 0 {
			n = l.sleep(events)
		}
		for i := range events[:n] {
			l.serve(events[i].Fd, events[i].Events)
		}
		if l.calls.stop {
			one := uint64(1)
			_, _ = unix.Write(int(l.gnet.wake), unsafe.Slice((*byte)(unsafe.Pointer(&one)), 8)) // for gnet's loop, which has not seen it
			return
		}
		l.answerCalls()
	}
}

// calls are what a look at epoll brought besides connections. They are answered after
// those, since they bring new ones, and one of these may have the descriptor of one
// that was closed meanwhile, of which epoll has still something to say.
type calls struct {
	stop, bell bool
	doors      []*door
}

func (l *loop) answerCalls() {
	if l.calls.bell {
		l.calls.bell = false
		if n, _ := rawRead(l.gnet.bell, l.input); n > 0 {
			l.take(nil, nil)
		}
	}
	for _, d := range l.calls.doors {
		l.answerDoor(d)
	}
	l.calls.doors = l.calls.doors[:0]
}

const (
	// pollEvents is how many sockets are served between two looks at epoll.
	pollEvents = 256
	// yieldNanos is how long other goroutines of this processor may have to wait for
	// the loop to have nothing to do, until it lets them run before it sleeps.
	yieldNanos = 1_000_000
)

// sleep waits until a socket is ready.
func (l *loop) sleep(events []unix.EpollEvent) int {
	if now := l.entered; l.givesWay || now-l.yielded > yieldNanos {
		l.yielded = now
		runtime.Gosched()
	}
	if l.givesWay {
		l.givesWay = false
		if n := l.linger(events); n > 0 {
			return n
		}
	}
	n, err := unix.EpollWait(l.epfd, events, -1)
	if err != nil { // EINTR; nothing else can be wrong with it
		return 0
	}
	return n
}

const (
	// lingerNanos is how long a loop that has given way looks for the answer before it sleeps: to be put to sleep and woken takes about as long.
	lingerNanos = 100_000
	// lingerVainMax bounds for how many times it does not look after having looked in vain: one less than two to this power.
	lingerVainMax = 6
)

// linger lets others run and looks for what they bring, unless it has come to nothing of late: a store that is slow is not waited for like this. What comes
// from sockets alone is served, and was not what it looked for.
func (l *loop) linger(events []unix.EpollEvent) int {
	if l.lingers.skip > 0 {
		l.lingers.skip--
		return 0
	}
	for until := nanotime() + lingerNanos; ; runtime.Gosched() {
		n := rawEpollPoll(l.epfd, events)
		switch {
		case slices.ContainsFunc(events[:n], func(e unix.EpollEvent) bool { return e.Fd == l.gnet.bell }):
			l.lingers.vain = 0
			return n
		case n > 0 || nanotime() > until:
			l.lingers.vain = min(l.lingers.vain+1, lingerVainMax)
			l.lingers.skip = 1<<l.lingers.vain - 1
			return n
		}
	}
}

// serve acts on what epoll says of a descriptor.
func (l *loop) serve(fd int32, events uint32) {
	switch fd {
	case l.gnet.bell:
		l.calls.bell = true
		return
	case l.gnet.wake:
		l.calls.stop = true
		return
	}
	gc := l.gnet.conn(fd)
	if gc == nil {
		for _, d := range l.doors {
			if d.listener == fd {
				l.calls.doors = append(l.calls.doors, d)
				return
			}
		}
		rawEpollCtl(l.epfd, unix.EPOLL_CTL_DEL, fd, 0, 0) // was closed since epoll was asked; if it is there still, this would never end
		return
	}
	if events != unix.EPOLLIN {
		_ = processGnetConn(gc, int(fd), events, 0)
		return
	}
	n, errno := rawRead(fd, l.input)
	switch {
	case n > 0:
		l.take(l.gnet.contextOf(gc), l.input[:n])
	case errno == 0:
		_ = closeGnetConn(l.gnet.loop, gc, io.EOF)
	case errno != unix.EAGAIN:
		_ = closeGnetConn(l.gnet.loop, gc, errno)
	}
}
