package engine

import (
	"errors"
	"net/netip"
	"time"
	"unsafe"

	"github.com/panjf2000/gnet/v2"

	"throng/protocol"
	"throng/timeouts"
)

// Conn is one client connection. It lives on exactly one loop; unless a method
// says otherwise it is loop-owned: call it inside a Handler's callback for this
// connection or for another of the same loop, or from a function given to Post.
//
// It is kept small: a million of these stand idle. What only some need (a
// partial head, unread input, rate buckets, several topics) is behind a pointer.
type Conn struct {
	gc      gnet.Conn // nil once gone
	loop    *loop
	value   any
	decoder protocol.Decoder
	seat0   seat       // its first topic
	seats   *[]seat    // the others
	lagging *lagRecord // while it cannot take all it is sent
	extra   *extra     // while it needs more than the rest

	accepted int64 // nanoseconds of the gate's clock, 0 if it came another way
	timer    timeouts.ID
	fd       int32 // -1 once gone
	remote   remote
	state    connState
	reason   Reason
	encoding protocol.Encoding
	flags    connFlags
	enrolled bool // set once, in OnOpen; read by the gate after enrolling
}

// connBytes is what a connection takes besides gnet's own part.
const connBytes = int(unsafe.Sizeof(Conn{}))

// A connection must stay small: this does not compile when it outgrows its bound.
const connBytesMax = 160

const _ = uint(connBytesMax - connBytes)

type connState uint8

const (
	stateHead    connState = iota // waiting for the request
	stateOpen                     // upgraded
	stateClosing                  // our last word is said, waiting for the peer or the wheel
	stateGone                     // gnet has let go of it
)

type connFlags uint16

const (
	flagDoomed    connFlags = 1 << iota // stands in loop.doomed: ends with this turn
	flagPaused                          // not read from
	flagParked                          // stands in one of the loop's queues of the paused
	flagFinished                        // our side of TCP is shut
	flagPeerDone                        // the peer's Close frame has come, or none can
	flagHalfDone                        // something of the request has arrived
	flagRefused                         // the upgrade was refused, or plain HTTP answered
	flagAnnounced                       // OnOpen was called, so OnClose will be
	flagCounted                         // stands in loop.alive
)

// extra is what a connection borrows while it needs it.
type extra struct {
	held     []byte // a partial request head, or input that waits while paused
	waiting  *Topic // the congested topic that it published to
	pong     []byte // payload of the newest ping, while output is pending
	messages bucket
	pings    bucket
	hasPong  bool
	read     int // bytes thrown away since the close
}

// need returns the connection's extra, made if it has none.
func (c *Conn) need() *extra {
	if c.extra == nil {
		c.extra = new(extra)
	}
	return c.extra
}

// seat is a connection's place in a lane.
type seat struct {
	lane *lane
	slot uint32
}

func (s *seat) setTrouble(on bool) {
	at := &s.lane.subs[s.slot]
	if at.trouble != on {
		at.trouble = on
		if on {
			s.lane.addLaggard()
		} else {
			s.lane.lagging--
		}
	}
}

// eachSeat calls f with each place the connection has.
func (c *Conn) eachSeat(f func(*seat)) {
	if c.seat0.lane != nil {
		f(&c.seat0)
	}
	if c.seats != nil {
		for i := range *c.seats {
			f(&(*c.seats)[i])
		}
	}
}

// seat returns the connection's place in a lane.
func (c *Conn) seat(ln *lane) *seat {
	if c.seat0.lane == ln {
		return &c.seat0
	}
	if c.seats != nil {
		for i := range *c.seats {
			if (*c.seats)[i].lane == ln {
				return &(*c.seats)[i]
			}
		}
	}
	return nil
}

// remote is an address without pointers.
type remote struct {
	ip   [16]byte
	port uint16
	is4  bool
}

func remoteOf(a netip.AddrPort) remote {
	ip := a.Addr().Unmap()
	return remote{ip: ip.As16(), port: a.Port(), is4: ip.Is4()}
}

// RemoteAddr returns the peer's address. Any goroutine.
func (c *Conn) RemoteAddr() netip.AddrPort {
	ip := netip.AddrFrom16(c.remote.ip)
	if c.remote.is4 {
		ip = ip.Unmap()
	}
	return netip.AddrPortFrom(ip, c.remote.port)
}

// Value returns what SetValue stored. Loop-owned.
func (c *Conn) Value() any { return c.value }

// SetValue keeps a value of the user's with the connection. Loop-owned.
func (c *Conn) SetValue(v any) { c.value = v }

// Open reports whether messages can still be sent. Loop-owned.
func (c *Conn) Open() bool { return c.state == stateOpen && !c.failed() }

// LastMessageTime returns when the client was last heard: the upgrade at
// first, then every frame or, with IdleMessagesOnly, every complete message.
// Loop-owned.
func (c *Conn) LastMessageTime() time.Time {
	if c.timer == timeouts.None {
		return time.Time{}
	}
	return time.Now().Add(-time.Duration(c.loop.now - c.loop.wheel.Touched(c.timer)))
}

// ErrClosed says that a connection is closing or gone.
var ErrClosed = errors.New("engine: connection is closed")

// Send writes one message to this connection alone. It does not block: what the
// socket does not take waits, up to Config.Backlog, beyond which the connection
// is cut off as slow. The data may be reused after the return. Loop-owned.
func (c *Conn) Send(op protocol.Opcode, data []byte) error {
	c.loop.assertInTurn()
	if !c.Open() {
		return ErrClosed
	}
	l := c.loop
	l.scratch = protocol.AppendFrame(l.scratch[:0], op, data)
	if over(c.gc.OutboundBuffered()+len(l.scratch), l.engine.cfg.Backlog) && c.gc.OutboundBuffered() > 0 {
		c.fail(ReasonSlow)
		return ErrClosed
	}
	c.write(l.scratch)
	l.stats.deliveries++
	l.keepScratch()
	return nil
}

// Join subscribes the connection to a topic: it gets every message published
// from now on. Joining twice is joining once. It returns nil if the
// connection is closing. Loop-owned.
func (c *Conn) Join(name string) *Topic {
	c.loop.assertInTurn()
	if !c.Open() {
		return nil
	}
	if t := c.joined(name); t != nil {
		return t
	}
	l := c.loop
	t := l.engine.topics.enter(l.engine, name)
	ln := t.subscribe(l, c)
	s := seat{lane: ln, slot: uint32(ln.add(c, c.lagging != nil))}
	switch {
	case c.seat0.lane == nil:
		c.seat0 = s
	case c.seats == nil:
		c.seats = &[]seat{s}
	default:
		*c.seats = append(*c.seats, s)
	}
	return t
}

// joined returns the topic of a name if the connection is subscribed to it.
func (c *Conn) joined(name string) (t *Topic) {
	c.eachSeat(func(s *seat) {
		if s.lane.local.topic.name == name {
			t = s.lane.local.topic
		}
	})
	return t
}

// Leave ends the subscription to a topic. What was published before and not yet
// written is not delivered. Loop-owned.
func (c *Conn) Leave(t *Topic) {
	c.loop.assertInTurn()
	if t == nil {
		return
	}
	if c.seat0.lane != nil && c.seat0.lane.local.topic == t {
		c.stand(&c.seat0)
		c.seat0 = seat{}
		return
	}
	if c.seats == nil {
		return
	}
	for i := range *c.seats {
		if s := &(*c.seats)[i]; s.lane.local.topic == t {
			c.stand(s)
			last := len(*c.seats) - 1
			(*c.seats)[i] = (*c.seats)[last]
			*c.seats = (*c.seats)[:last]
			return
		}
	}
}

// stand gives up one place.
func (c *Conn) stand(s *seat) {
	t, slot, ln := s.lane.local.topic, int(s.slot), s.lane
	t.unsubscribe(c.loop, c.encoding)
	ln.remove(c.loop, slot)
}

// leaveAll gives up every place. Never during a slice.
func (c *Conn) leaveAll() {
	c.eachSeat(c.stand)
	c.seat0, c.seats = seat{}, nil
}

// Publish gives everybody subscribed to the topic, this connection included if
// it is, one message in the topic's order. If the topic is congested the
// connection is not read from until it is not: nothing is lost, the sender's
// TCP waits. The data may be reused after the return. Loop-owned.
func (c *Conn) Publish(t *Topic, op protocol.Opcode, data []byte) {
	c.loop.assertInTurn()
	l := c.loop
	t.encode(&l.enc, op, data)
	t.publish(l, op, &l.enc)
	l.keepScratch()
	if t.congested.Load() > 0 && c.Open() {
		c.need().waiting = t
	}
}

// Close sends a Close frame with a code and a reason (RFC 6455 section 5.5.1;
// cut to 123 bytes) behind everything published so far, and ends the connection
// when the peer has answered or after the close timeout. Loop-owned.
func (c *Conn) Close(code uint16, reason string) {
	c.loop.assertInTurn()
	c.end(ReasonApplication, code, reason)
}

// Post runs f on the connection's loop, unless the connection is gone by then.
// It does not wait. Any goroutine.
func (c *Conn) Post(f func(c *Conn)) {
	l := c.loop
	l.box.putTask(func(*loop) {
		if c.state != stateGone {
			l.guarded(c, "post", func() { f(c) })
		}
	})
	l.bell.ring()
}
