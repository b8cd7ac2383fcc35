package bench

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The raw calls of the yardstick and of the loader. None of them tells the Go scheduler that it is in a
// system call: a socket that never blocks needs no scheduler's help, and with one CPU the announcement costs
// more than the call (its monitor thread never backs off).

// recv and send rather than read and write: they skip what the kernel does for files.
func rawRead(fd int32, b []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), 0, 0, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(n), 0
}

func rawWrite(fd int32, b []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_NOSIGNAL, 0, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(n), 0
}

func rawAccept(fd int32) (int32, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), 0, 0, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		return -1, errno
	}
	return int32(n), 0
}

func rawSocket(family int) (int32, unix.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_SOCKET, uintptr(family), unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if errno != 0 {
		return -1, errno
	}
	return int32(n), 0
}

func rawConnect(fd int32, to netip.AddrPort) unix.Errno {
	var at unsafe.Pointer
	var size uintptr
	port := to.Port()<<8 | to.Port()>>8 // network order on a little-endian machine, as all that run this are
	if to.Addr().Is4() {
		at, size = unsafe.Pointer(&unix.RawSockaddrInet4{Family: unix.AF_INET, Port: port, Addr: to.Addr().As4()}), unix.SizeofSockaddrInet4
	} else {
		at, size = unsafe.Pointer(&unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: port, Addr: to.Addr().As16()}), unix.SizeofSockaddrInet6
	}
	_, _, errno := unix.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(at), size)
	return errno
}

// rawReset makes the coming close a reset without a farewell.
func rawReset(fd int32) {
	linger := unix.Linger{Onoff: 1}
	_, _, _ = unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_LINGER, uintptr(unsafe.Pointer(&linger)), unsafe.Sizeof(linger), 0)
	rawClose(fd)
}

// readEvents wakes once per arrival (edge triggered): asking again for what was already read is half the price of
// a level-triggered turn. The reader goes on while its buffer was filled, or the peer has ended its side.
const (
	readEvents = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET
	goneEvents = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
)

// threadCPU is the CPU time of the calling thread.
func threadCPU() time.Duration { return clockRead(unix.CLOCK_THREAD_CPUTIME_ID) }

func rawClose(fd int32) { _, _, _ = unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

// poller is an epoll with an eventfd that wakes it, for one goroutine; only wakeUp may be called by others.
type poller struct {
	fd, wake int32
	events   []unix.EpollEvent
	busy     bool // the last wait found something: look again before sleeping
}

// The values that epoll hands back for what is not a connection.
const (
	tagWake  = -1
	tagTimer = -2
	tagListn = -3
)

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	p := &poller{fd: int32(fd), wake: int32(wake), events: make([]unix.EpollEvent, 1024)}
	return p, p.control(unix.EPOLL_CTL_ADD, p.wake, tagWake, unix.EPOLLIN)
}

func (p *poller) control(op int, fd, tag int32, events uint32) error {
	ev := unix.EpollEvent{Events: events, Fd: tag}
	_, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(p.fd), uintptr(op), uintptr(fd), uintptr(unsafe.Pointer(&ev)), 0, 0)
	if errno != 0 {
		return fmt.Errorf("epoll_ctl: %w", errno)
	}
	return nil
}

// wait returns what is ready. It sleeps, if at all, in a call that the scheduler knows of, so that other
// goroutines of a process with one CPU get it meanwhile.
func (p *poller) wait(atMost time.Duration) []unix.EpollEvent {
	at, room := uintptr(unsafe.Pointer(unsafe.SliceData(p.events))), uintptr(len(p.events))
	if p.busy {
		n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd), at, room, 0, 0, 0)
		if errno == 0 && n > 0 {
			return p.events[:n]
		}
	}
	millis := (atMost + time.Millisecond - 1) / time.Millisecond
	n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd), at, room, uintptr(millis), 0, 0)
	p.busy = errno == 0 && n > 0
	if !p.busy {
		return nil
	}
	return p.events[:n]
}

func (p *poller) wakeUp() { _, _ = unix.Write(int(p.wake), []byte{1, 0, 0, 0, 0, 0, 0, 0}) }

// drainWake takes the wake-up back, so that it is told once.
func (p *poller) drainWake() {
	var b [8]byte
	_, _ = unix.Read(int(p.wake), b[:])
}

func (p *poller) close() {
	rawClose(p.fd)
	rawClose(p.wake)
}

// timer is a timerfd on the monotonic clock: epoll's own timeout is in whole milliseconds, too coarse for a plan.
type timer struct{ fd int32 }

func newTimer(p *poller) (timer, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return timer{fd: -1}, fmt.Errorf("timerfd: %w", err)
	}
	return timer{fd: int32(fd)}, p.control(unix.EPOLL_CTL_ADD, int32(fd), tagTimer, unix.EPOLLIN)
}

// at arms the timer; what is due already fires at once. Arming also takes back an expiry not yet read.
func (t timer) at(when instant) {
	spec := unix.ItimerSpec{}
	if when < forever {
		spec.Value = unix.NsecToTimespec(int64(max(when, 1)))
	}
	_ = unix.TimerfdSettime(int(t.fd), unix.TFD_TIMER_ABSTIME, &spec, nil)
}

func sockaddr(addr netip.AddrPort) (unix.Sockaddr, int) {
	if ip := addr.Addr().Unmap(); ip.Is4() {
		return &unix.SockaddrInet4{Port: int(addr.Port()), Addr: ip.As4()}, unix.AF_INET
	}
	return &unix.SockaddrInet6{Port: int(addr.Port()), Addr: addr.Addr().As16()}, unix.AF_INET6
}

// listen opens the yardstick's listener. What is set here every accepted socket inherits.
func listen(addr netip.AddrPort) (fd int32, bound netip.AddrPort, err error) {
	sa, family := sockaddr(addr)
	s, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, bound, fmt.Errorf("socket: %w", err)
	}
	defer func() {
		if err != nil {
			_ = unix.Close(s)
		}
	}()
	const backlog = 4096
	err = errors.Join(
		unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
		unix.SetsockoptInt(s, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
		unix.Bind(s, sa),
	)
	if err != nil {
		return -1, bound, fmt.Errorf("listen on %s: %w", addr, err)
	}
	if err = unix.Listen(s, backlog); err != nil {
		return -1, bound, fmt.Errorf("listen on %s: %w", addr, err)
	}
	own, err := unix.Getsockname(s)
	if err != nil {
		return -1, bound, fmt.Errorf("listen on %s: %w", addr, err)
	}
	switch own := own.(type) {
	case *unix.SockaddrInet4:
		bound = netip.AddrPortFrom(netip.AddrFrom4(own.Addr), uint16(own.Port))
	case *unix.SockaddrInet6:
		bound = netip.AddrPortFrom(netip.AddrFrom16(own.Addr), uint16(own.Port))
	}
	return int32(s), bound, nil
}
