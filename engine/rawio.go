package engine

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The descriptors of a loop never block, so a write to one returns at once and
// the Go scheduler need not be told about it. Telling it (syscall.Syscall) costs
// a third of a small write when the loop has only one CPU, because the monitor
// thread then keeps taking the CPU away (measured on a bare epoll server).

// Sockets are written to and read from by what they alone have: write and read go
// through what files need, which took a tenth of an echo's time.

// rawWrite writes b to the socket fd. It returns the bytes taken and the error
// number, 0 for none. b must not be empty.
func rawWrite(fd int32, b []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_NOSIGNAL, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return 0, errno
		}
		return int(n), 0
	}
}

// rawRead reads into b from the socket fd. It returns the bytes read and the error
// number, 0 for none.
func rawRead(fd int32, b []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), 0, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return 0, errno
		}
		return int(n), 0
	}
}

// rawEpollCtl changes what epfd waits for on fd.
func rawEpollCtl(epfd, op int, fd int32, events uint32, generation uint32) syscall.Errno {
	ev := unix.EpollEvent{Events: events, Fd: fd, Pad: int32(generation)}
	_, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(epfd), uintptr(op), uintptr(fd), uintptr(unsafe.Pointer(&ev)), 0, 0)
	return errno
}

// rawAccept accepts a connection from a listener that does not block, and says whose
// it is.
func rawAccept(listener int32) (fd int, from remote, errno syscall.Errno) {
	var sa unix.RawSockaddrInet6 // has room for the other family's as well
	size := uint32(unsafe.Sizeof(sa))
	n, _, errno := syscall.RawSyscall6(unix.SYS_ACCEPT4, uintptr(listener), uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size)),
		unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		return -1, from, errno
	}
	switch sa.Family {
	case unix.AF_INET:
		sa4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(&sa))
		from = remoteOf(netip.AddrPortFrom(netip.AddrFrom4(sa4.Addr), networkOrder(sa4.Port)))
	case unix.AF_INET6:
		from = remoteOf(netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), networkOrder(sa.Port)))
	}
	return int(n), from, 0
}

// networkOrder returns a port as the kernel gives it in the machine's own order.
func networkOrder(port uint16) uint16 {
	return binary.BigEndian.Uint16(unsafe.Slice((*byte)(unsafe.Pointer(&port)), 2))
}

// rawEpollPoll asks epfd, without waiting, which descriptors are ready.
func rawEpollPoll(epfd int, events []unix.EpollEvent) int {
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd), uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), 0, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}
