package bench

import (
	"golang.org/x/sys/unix"
)

// frames takes what a client sent, and returns what is not a whole frame yet.
func (s *IdealServer) frames(c *idealConn, b []byte) []byte {
	for !c.dead {
		f, n, err := nextFrame(b)
		if err != nil {
			s.kill(c)
			return nil
		}
		if n == 0 {
			return b
		}
		b = b[n:]
		f.unmask()
		if f.masked && (f.head == headBinary || f.head == headText) {
			s.broadcast(c.room, f)
		} else {
			s.control(c, f)
		}
	}
	return nil
}

func (s *IdealServer) broadcast(r *idealRoom, f frame) {
	if s.batch {
		if len(r.out) == 0 {
			s.dirty = append(s.dirty, r)
		}
		r.out = append(appendHead(r.out, f.head, len(f.payload), false, 0), f.payload...)
		return
	}
	s.out = append(appendHead(s.out[:0], f.head, len(f.payload), false, 0), f.payload...)
	s.deliver(r, s.out)
}

// deliver writes b to everybody in the room.
func (s *IdealServer) deliver(r *idealRoom, b []byte) {
	for i := range r.members {
		m := &r.members[i]
		if m.trouble {
			s.hold(s.conns[m.fd], b)
			continue
		}
		if n, errno := rawWrite(m.fd, b); n < len(b) {
			s.short(s.conns[m.fd], b, n, errno)
		}
	}
}

func (s *IdealServer) flushRooms() {
	const keepBytesMax = 1 << 20
	for i, r := range s.dirty {
		s.deliver(r, r.out)
		if r.out = r.out[:0]; cap(r.out) > keepBytesMax {
			r.out = nil
		}
		s.dirty[i] = nil
	}
	s.dirty = s.dirty[:0]
}

// short takes care of a write that was not whole: n bytes went, or none and errno says why.
func (s *IdealServer) short(c *idealConn, b []byte, n int, errno unix.Errno) {
	switch {
	case n >= 0:
		s.hold(c, b[n:])
	case errno == unix.EAGAIN || errno == unix.EINTR:
		s.hold(c, b)
	default:
		s.kill(c)
	}
}

func (s *IdealServer) hold(c *idealConn, b []byte) {
	if c.dead {
		return
	}
	if len(c.pending) == 0 {
		s.setTrouble(c, true)
	}
	if c.pending = append(c.pending, b...); len(c.pending) > idealPendingBytesMax {
		s.kill(c)
	}
}

func (s *IdealServer) writable(c *idealConn) {
	n, errno := rawWrite(c.fd, c.pending)
	switch {
	case n == len(c.pending):
		c.pending = nil
		s.setTrouble(c, false)
	case n >= 0:
		c.pending = append(c.pending[:0], c.pending[n:]...)
	case errno != unix.EAGAIN && errno != unix.EINTR:
		s.kill(c)
	}
}

func (s *IdealServer) setTrouble(c *idealConn, on bool) {
	events := uint32(readEvents)
	if on {
		events |= unix.EPOLLOUT
	}
	if c.room != nil {
		c.room.members[c.at].trouble = on
	}
	if err := s.poll.control(unix.EPOLL_CTL_MOD, c.fd, c.fd, events); err != nil {
		s.kill(c)
	}
}

// control answers what is not a message. It fails whatever needs a feature.
func (s *IdealServer) control(c *idealConn, f frame) {
	if f.check(true) != nil {
		s.kill(c)
		return
	}
	switch f.head {
	case headPing:
		s.send(c, append(appendHead(nil, headPong, len(f.payload), false, 0), f.payload...))
	case headClose:
		body := f.payload[:min(2, len(f.payload))]
		s.send(c, append(appendHead(nil, headClose, len(body), false, 0), body...))
		s.kill(c)
	}
}

// send writes to one connection, behind whatever waits there.
func (s *IdealServer) send(c *idealConn, b []byte) {
	if len(c.pending) > 0 {
		s.hold(c, b)
	} else if n, errno := rawWrite(c.fd, b); n < len(b) {
		s.short(c, b, n, errno)
	}
}

func (s *IdealServer) join(c *idealConn, name string) {
	r := s.rooms[name]
	if r == nil {
		r = &idealRoom{name: name}
		s.rooms[name] = r
	}
	c.room, c.at = r, int32(len(r.members))
	r.members = append(r.members, idealMember{fd: c.fd, trouble: len(c.pending) > 0})
}

func (s *IdealServer) leave(c *idealConn) {
	r, last := c.room, len(c.room.members)-1
	moved := r.members[last]
	r.members[c.at] = moved
	s.conns[moved.fd].at = c.at
	r.members = r.members[:last]
	if last == 0 {
		delete(s.rooms, r.name)
	}
}
