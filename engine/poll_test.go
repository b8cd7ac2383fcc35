package engine

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestLinger: a loop that looks in vain for what those it gave way to should bring looks more and more seldom, until the bell rings; what other sockets have to say is no reason to look again.
func TestLinger(t *testing.T) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(epfd)
	bell, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(bell)
	if err := unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, bell, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(bell)}); err != nil {
		t.Fatal(err)
	}
	l, events := &loop{epfd: epfd, gnet: gnetLoop{bell: int32(bell)}}, make([]unix.EpollEvent, 4)
	for _, skip := range []int{1, 3, 7, 15, 31, 63, 63} {
		begun := nanotime()
		if n := l.linger(events); n != 0 || nanotime()-begun < lingerNanos {
			t.Fatalf("%d events after %d ns", n, nanotime()-begun)
		}
		if l.lingers.skip != skip {
			t.Fatalf("%d times passed over, want %d", l.lingers.skip, skip)
		}
		for range skip {
			l.linger(events)
		}
		if l.lingers.skip != 0 {
			t.Fatalf("%d left of %d", l.lingers.skip, skip)
		}
	}
	other, err := unix.Eventfd(1, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK) // a socket that has something to say
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(other)
	if err := unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, other, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(other)}); err != nil {
		t.Fatal(err)
	}
	if n := l.linger(events); n != 1 || l.lingers.vain != lingerVainMax {
		t.Fatalf("another socket: %d events, %d times in vain", n, l.lingers.vain)
	}
	l.lingers.skip = 0
	if _, err := unix.Write(bell, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	if n := l.linger(events); n != 2 || l.lingers.vain != 0 {
		t.Fatalf("%d events, %d times in vain", n, l.lingers.vain)
	}
}
