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
	seat0   seat       // its first topic; the others are in extra
	lagging *lagRecord // while it cannot take all it is sent
	extra   *extra     // while it needs more than the rest
	in      uint64     // bytes received
	out     uint64     // bytes sent, without those that its places account for (see sent)

	timer    timeouts.ID
	accepted stamp
	fd       int32 // -1 once gone
	remote   remote
	state    connState
	reason   Reason
	outfit   outfit
	flags    connFlags
	serial   uint16 // counts the loop's connections, for the ID
}

// connBytes is what a connection takes besides gnet's own part.
const connBytes = int(unsafe.Sizeof(Conn{}))

// A connection must stay small: this does not compile when it outgrows its bound,
// which is a size class of the allocator; the next is 160.
const connBytesMax = 144

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
	flagDoorstep                        // what comes next may be a PROXY header
	flagProxied                         // remote is what a PROXY header said, or it said LOCAL
	flagInBook                          // counted in the engine's book of addresses
	flagInHead                          // counted there among the handshakes
	flagTurned                          // counted in loop.turning
)

// extra is what a connection borrows while it needs it.
type extra struct {
	seats    *[]seat // its topics but the first
	sight    *sight  // what it was like when it was told to go
	held     []byte  // a partial request head, or input that waits while paused
	waiting  *Topic  // the congested topic that it published to
	holds    int     // how often the handler holds it
	pong     []byte  // payload of the newest ping, while output is pending
	messages bucket
	pings    bucket
	bytes    bucket
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

// stamp is an instant in four bytes: units of nanotime, which come round after two
// years, and 0 for none. It is rounded up, so that no deadline comes early.
type stamp uint32

const stampUnit = 16 * time.Millisecond

func stampNow() stamp { return stamp(nanotime()/int64(stampUnit)) + 1 }

// age is the time since, if that is less than a year.
func (s stamp) age() time.Duration {
	return time.Duration(max(0, int32(stampNow()-1-s))) * stampUnit
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

func (r remote) addr() netip.Addr {
	ip := netip.AddrFrom16(r.ip)
	if r.is4 {
		ip = ip.Unmap()
	}
	return ip
}

func (r remote) addrPort() netip.AddrPort { return netip.AddrPortFrom(r.addr(), r.port) }

// RemoteAddr returns the peer's address, which is what a trusted balancer's PROXY
// header says if there was one. Any goroutine.
func (c *Conn) RemoteAddr() netip.AddrPort {
	return c.remote.addrPort()
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
	c.loop.scratch = protocol.AppendFrame(c.loop.scratch[:0], op, data)
	return c.sendScratch(1)
}

// SendAll is Send for several messages, in one write: data holds them end to end, and
// ends says where each of them ends. Loop-owned.
func (c *Conn) SendAll(op protocol.Opcode, data []byte, ends []int) error {
	c.loop.assertInTurn()
	if !c.Open() {
		return ErrClosed
	}
	l, from := c.loop, 0
	l.scratch = l.scratch[:0]
	for _, end := range ends {
		l.scratch = protocol.AppendFrame(l.scratch, op, data[from:end])
		from = end
	}
	return c.sendScratch(len(ends))
}

// sendScratch sends the frames that stand in the loop's scratch.
func (c *Conn) sendScratch(messages int) error {
	l := c.loop
	if over(c.gc.OutboundBuffered()+len(l.scratch), l.engine.cfg.Backlog) && c.gc.OutboundBuffered() > 0 {
		c.fail(ReasonSlow)
		return ErrClosed
	}
	if messages > 0 {
		c.write(l.scratch)
	}
	l.stats.deliveries += uint64(messages)
	l.keepScratch()
	return nil
}

// Publish gives everybody subscribed to the topic, this connection included if
// it is, one message in the topic's order. If the topic is congested the
// connection is not read from until it is not: nothing is lost, the sender's
// TCP waits. The data may be reused after the return. Loop-owned.
func (c *Conn) Publish(t *Topic, op protocol.Opcode, data []byte) {
	what := everyForm(op, data)
	c.PublishForms(t, &what)
}

// PublishForms is Publish for a message that is not the same in every form.
// Loop-owned.
func (c *Conn) PublishForms(t *Topic, what *Contents) {
	c.loop.assertInTurn()
	l := c.loop
	t.encode(&l.enc, what)
	t.publish(l, 0, what, &l.enc)
	l.keepScratch()
	if t.Congested() && c.Open() {
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

// GiveWay has the loop let other goroutines run before it waits for its sockets. Who
// has handed them something whose answer comes back to the loop says so: on an idle
// machine they run at once in the loop's own thread, and neither they nor the loop
// have to be woken, which takes longer than what they do. A loop that has more to read
// does not wait, and pays nothing. Loop-owned.
func (c *Conn) GiveWay() { c.loop.givesWay = true }

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
