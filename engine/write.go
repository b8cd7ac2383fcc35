package engine

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// greetedBytesMax is what may follow a 101 in its write: a word of welcome, and nothing that would have the loop keep a large buffer.
const greetedBytesMax = 4 << 10

// write sends bytes that belong to no topic, behind whatever gnet holds.
func (c *Conn) write(b []byte) {
	l := c.loop
	if l.greets == c && len(b) <= greetedBytesMax { // the 101 and what follows it at once are one write
		l.greets = nil
		l.greeting = append(l.greeting, b...)
		b = l.greeting
	}
	c.greet()
	if c.failed() || c.state == stateGone {
		return
	}
	l.stats.writes++
	c.out += uint64(len(b))
	if c.gc.OutboundBuffered() > 0 {
		c.gnetWrite(b)
		c.lag()
		return
	}
	n, errno := rawWrite(c.fd, b)
	l.stats.bytesOut += uint64(n)
	if n == len(b) {
		return
	}
	if errno == 0 || mayTakeMore(errno) {
		c.gnetWrite(b[n:])
	}
	c.cannotWrite(errno)
}

// gnetWrite hands bytes to gnet, which keeps what the socket does not take. It
// can close the connection, calling OnClose.
func (c *Conn) gnetWrite(b []byte) {
	_, _ = c.gc.Write(b)
	c.stayPaused()
}

// stayPaused takes back the read interest that gnet may just have renewed.
func (c *Conn) stayPaused() {
	if c.flags&flagPaused != 0 && c.state != stateGone {
		c.listenFor(0)
	}
}

// mayTakeMore reports whether a socket that refused bytes may take them later:
// its buffer is full, or the kernel is short of memory.
func mayTakeMore(errno syscall.Errno) bool {
	return errno == unix.EAGAIN || errno == unix.ENOBUFS || errno == unix.ENOMEM
}

// cannotWrite draws the conclusion from a write that did not take everything.
func (c *Conn) cannotWrite(errno syscall.Errno) {
	switch {
	case errno == 0 || mayTakeMore(errno):
		c.lag()
	case errno == unix.ETIMEDOUT:
		c.fail(ReasonWriteTimeout)
	default:
		c.fail(ReasonReset)
	}
}
