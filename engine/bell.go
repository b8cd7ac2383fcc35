package engine

import (
	"fmt"
	"net"
	"os"
	"sync/atomic"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"
)

// bell is what wakes a loop: a byte written by any goroutine to one end of a
// Unix socketpair, whose other end is enrolled in the loop as a connection.
// Unlike a task posted to gnet it comes through the poller, so a loop that
// rings its own bell lets its sockets be served before it goes on.
type bell struct {
	fd   int32    // the end that is written to
	far  *os.File // the end that the loop reads, until it is enrolled
	rung atomic.Bool
}

func newBell() (*bell, error) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("bell: %w", os.NewSyscallError("socketpair", err))
	}
	return &bell{fd: int32(ends[0]), far: os.NewFile(uintptr(ends[1]), "bell")}, nil
}

// hang enrols the bell with a client, whose loop takes it for what it is by its
// nil context.
func (b *bell) hang(client *gnet.Client) error {
	conn, err := net.FileConn(b.far)
	_ = b.far.Close()
	if err == nil {
		_, err = client.Enroll(conn)
	}
	if err != nil {
		return fmt.Errorf("bell: %w", err)
	}
	return nil
}

var bellByte = []byte{1}

// ring wakes the loop unless it is being woken already. Any goroutine.
func (b *bell) ring() {
	if b.rung.CompareAndSwap(false, true) {
		rawWrite(b.fd, bellByte)
	}
}

// answer is called by the loop before it looks for work: what is put from here
// on rings again.
func (b *bell) answer() { b.rung.Store(false) }

// close lets go of the writing end, and leaves the bell as one that was rung, so
// that nobody rings it again. The loop must be gone.
func (b *bell) close() {
	b.rung.Store(true)
	_ = unix.Close(int(b.fd))
}
