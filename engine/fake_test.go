package engine

import (
	"bytes"
	"encoding/binary"
	"io"
	"log/slog"
	"net/netip"
	"testing"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"

	"throng/protocol"
)

// The tests of a loop run it without gnet: the test is the poller, and time is
// what it says. Sockets are Unix socketpairs, so short writes and full buffers
// are the kernel's own.

// fakeLoop is a loop that the test drives.
type fakeLoop struct {
	*loop
	t     testing.TB
	clock int64
	conns []*fakeConn
	buf   []byte
}

// newFakeLoop makes a loop of an engine with the configuration.
func newFakeLoop(t testing.TB, cfg Config, h Handler) *fakeLoop {
	t.Helper()
	cfg.Loops = 1
	return newFakeLoops(t, cfg, h)[0]
}

// newFakeLoops makes as many as the configuration says, of one engine. Their clock is
// the first one's.
func newFakeLoops(t testing.TB, cfg Config, h Handler) (loops []*fakeLoop) {
	t.Helper()
	cfg.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	if err := cfg.check(); err != nil {
		t.Fatal(err)
	}
	e := newEngine(cfg, h)
	e.gate = &gate{engine: e}
	for i := range cfg.Loops {
		f := &fakeLoop{t: t, clock: 1e9}
		if loops = append(loops, f); i == 0 {
			e.clock = func() int64 { return f.clock }
		}
		l, err := newLoop(e, i)
		if err != nil {
			t.Fatal(err)
		}
		if l.epfd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		e.loops = append(e.loops, l)
		f.loop = l
		t.Cleanup(func() {
			for _, c := range f.conns {
				c.hangUp()
			}
			_ = l.bell.far.Close()
			_ = unix.Close(l.epfd)
			l.stop()
			l.release()
		})
	}
	return loops
}

// ring runs the bell's turn until it has nothing left to do.
func (f *fakeLoop) ring() {
	for f.bell.rung.Load() {
		f.enter()
		f.turn()
		f.exit()
	}
}

// advance lets time pass, a tick at a time, running whatever the bell brings.
func (f *fakeLoop) advance(nanos int64) {
	for end := f.clock + nanos; f.clock < end; {
		f.clock = min(end, f.clock+tickNanos)
		f.tickDue.Store(f.clock)
		f.bell.ring()
		f.ring()
	}
}

// fakeConn is a client and, towards the loop, gnet's connection to it.
type fakeConn struct {
	gnet.Conn
	f       *fakeLoop
	c       *Conn
	fd, far int // the loop's end and the client's, -1 once closed
	in      []byte
	out     []byte // what gnet would hold
	got     []byte // what the client has read
	fail    bool   // the next Write resets the connection
}

// dialRaw opens a connection without a word.
func (f *fakeLoop) dialRaw() *fakeConn {
	f.t.Helper()
	fc := f.pair()
	f.arriving = fc.c
	f.OnOpen(fc)
	return fc
}

// pair makes a connection that the loop has not been told of.
func (f *fakeLoop) pair() *fakeConn {
	f.t.Helper()
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		f.t.Fatal(err)
	}
	fc := &fakeConn{f: f, fd: ends[0], far: ends[1]}
	fc.c = &Conn{loop: f.loop, fd: -1, remote: remoteOf(netip.MustParseAddrPort("192.0.2.1:7"))}
	f.conns = append(f.conns, fc)
	return fc
}

// member opens a connection of an outfit, without a request and without OnOpen. The
// callback it stands for must be entered.
func (f *fakeLoop) member(o outfit, sendBuffer int) *fakeConn {
	f.t.Helper()
	fc := f.pair()
	if sendBuffer > 0 {
		_ = unix.SetsockoptInt(fc.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer)
	}
	c := fc.c
	c.gc, c.fd, c.outfit, c.state = fc, int32(fc.fd), o, stateOpen
	f.open++
	f.arm(c, classOpen, 0)
	return fc
}

func upgradeRequest(path string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
}

// dial opens a connection and upgrades it; sendBuffer is SO_SNDBUF, 0 for the
// system's.
func (f *fakeLoop) dial(path string, sendBuffer int) *fakeConn {
	f.t.Helper()
	fc := f.dialRaw()
	if sendBuffer > 0 {
		_ = unix.SetsockoptInt(fc.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer)
	}
	fc.send([]byte(upgradeRequest(path)))
	head := fc.read(1 << 16)
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")) {
		f.t.Fatalf("upgrade of %s: %q", path, head)
	}
	fc.got = nil
	return fc
}

// send gives the loop bytes of the client.
func (fc *fakeConn) send(b []byte) {
	fc.in = b
	fc.f.OnTraffic(fc)
}

// say sends one masked text message.
func (fc *fakeConn) say(text []byte) { fc.send(masked(protocol.OpText, text)) }

// masked is a client's frame, with a mask of zeros.
func masked(op protocol.Opcode, payload []byte) []byte {
	b := protocol.AppendHeader(nil, op, false, len(payload))
	b[1] |= 0x80
	return append(append(b, 0, 0, 0, 0), payload...)
}

// read reads at most n bytes on the client's side, and returns them.
func (fc *fakeConn) read(n int) []byte {
	if len(fc.f.buf) < n {
		fc.f.buf = make([]byte, n)
	}
	buf, total := fc.f.buf[:n], 0
	for total < n && fc.far >= 0 {
		m, err := unix.Read(fc.far, buf[total:])
		if m <= 0 || err != nil {
			break
		}
		total += m
	}
	fc.got = append(fc.got, buf[:total]...)
	return buf[:total]
}

// reset ends the connection as a peer's RST would.
func (fc *fakeConn) reset() {
	if fc.fd >= 0 {
		fc.f.enter()
		fc.closed(unix.ECONNRESET)
		fc.f.exit()
	}
}

// closed is gnet letting go of the connection.
func (fc *fakeConn) closed(err error) {
	if fc.fd < 0 {
		return
	}
	fd := fc.fd
	fc.f.OnClose(fc, err)
	fc.fd = -1
	_ = unix.Close(fd)
}

func (fc *fakeConn) hangUp() {
	for _, fd := range []*int{&fc.fd, &fc.far} {
		if *fd >= 0 {
			_ = unix.Close(*fd)
			*fd = -1
		}
	}
}

func (fc *fakeConn) Context() any              { return fc.c }
func (fc *fakeConn) SetContext(any)            {}
func (fc *fakeConn) Fd() int                   { return fc.fd }
func (fc *fakeConn) Peek(int) ([]byte, error)  { return fc.in, nil }
func (fc *fakeConn) Discard(int) (int, error)  { return len(fc.in), nil }
func (fc *fakeConn) OutboundBuffered() int     { return len(fc.out) }
func (fc *fakeConn) SetLinger(int) error       { return nil }
func (fc *fakeConn) EventLoop() gnet.EventLoop { return fakeEventLoop{} }

func (fc *fakeConn) Write(b []byte) (int, error) {
	if fc.fail {
		fc.closed(unix.ECONNRESET)
		return 0, unix.ECONNRESET
	}
	fc.out = append(fc.out, b...)
	return len(b), fc.Flush()
}

func (fc *fakeConn) Flush() error {
	for len(fc.out) > 0 {
		n, err := unix.Write(fc.fd, fc.out)
		if n <= 0 || err != nil {
			break
		}
		fc.out = fc.out[n:]
	}
	return nil
}

type fakeEventLoop struct{ gnet.EventLoop }

func (fakeEventLoop) Close(gc gnet.Conn) error {
	gc.(*fakeConn).closed(nil)
	return nil
}

// rooms is a handler that joins the topic of the path and publishes to it.
type rooms struct {
	closed map[Reason]int
	fault  func(c *Conn, data []byte)
}

func (h *rooms) OnUpgrade(c *Conn, r *protocol.Request) (string, error) {
	c.SetValue(string(r.Path))
	return "", nil
}

func (h *rooms) OnOpen(c *Conn) { c.SetValue(c.Join(c.Value().(string))) }

func (h *rooms) OnMessage(c *Conn, op protocol.Opcode, data []byte) {
	if h.fault != nil {
		h.fault(c, data)
	}
	c.Publish(c.Value().(*Topic), op, data)
}

func (h *rooms) OnClose(_ *Conn, why Reason) {
	if h.closed != nil {
		h.closed[why]++
	}
}

// payloads splits what a client got into messages, and returns the code of a
// Close frame that ends it, 0 if none does.
func payloads(t testing.TB, b []byte) (messages [][]byte, code uint16) {
	t.Helper()
	for len(b) > 0 {
		n := protocol.FrameLen(b)
		if n == 0 || n > len(b) {
			return messages, code // a frame still on its way
		}
		payload := b[2:n]
		switch b[1] {
		case 126:
			payload = b[4:n]
		case 127:
			payload = b[10:n]
		}
		switch protocol.Opcode(b[0] & 0x0f) {
		case protocol.OpText, protocol.OpBinary:
			messages = append(messages, payload)
		case protocol.OpClose:
			if len(payload) >= 2 {
				code = binary.BigEndian.Uint16(payload)
			}
		}
		b = b[n:]
	}
	return messages, code
}

// readAll reads and drops what has come, without allocating.
func readAll(fd int, buf []byte) {
	for {
		if n, err := unix.Read(fd, buf); n <= 0 || err != nil {
			return
		}
	}
}
