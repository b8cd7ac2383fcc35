package engine_test

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/flate"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"

	"throng/chat"
	"throng/engine"
	"throng/protocol"
)

// patience is how long a script waits for what must happen. It bounds
// correctness, not speed: a loaded machine under the race detector is slow.
const patience = 20 * time.Second

// rig is an engine under test, and how a script talks to it.
type rig struct {
	testing.TB
	e    *engine.Engine
	addr string
	log  *logged
}

// start runs an engine on a free port until the end of the test, which fails if
// a goroutine or a descriptor outlives it. A nil handler is broadcast.
func start(t testing.TB, h engine.Handler, settings ...func(*engine.Config)) *rig {
	t.Helper()
	noLeaks(t)
	r := &rig{TB: t, log: new(logged)}
	cfg := engine.DefaultConfig()
	cfg.Listen, cfg.Loops = []string{"127.0.0.1:0"}, 2
	cfg.Logger = slog.New(slog.NewTextHandler(r.log, nil))
	cfg.Origins, _ = protocol.ParseOrigins(nil)
	for _, set := range settings {
		set(&cfg)
	}
	if h == nil {
		h = broadcast{}
	}
	e, err := engine.New(cfg, h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	r.e, r.addr = e, e.Addrs()[0].String()
	if rooms, ok := h.(*chat.Server); ok {
		rooms.Serve(e)
		t.Cleanup(rooms.Close)
	}
	e.Start()
	return r
}

// in is the rig in a subtest.
func (r *rig) in(t testing.TB) *rig {
	sub := *r
	sub.TB = t
	return &sub
}

// long says that there is time for the full runs.
func long() bool { return os.Getenv("THRONG_LONG") != "" }

// script is broadcast with some of its lines rewritten.
type script struct {
	broadcast
	open    func(c *engine.Conn)
	message func(c *engine.Conn, text string) (handled bool)
	closed  func(c *engine.Conn, why engine.Reason)
	upgrade func(r *protocol.Request) error
	request func(r *protocol.Request) protocol.Response
}

func (s *script) OnOpen(c *engine.Conn) {
	if s.open != nil {
		s.open(c)
	}
	s.broadcast.OnOpen(c)
}

func (s *script) OnMessage(c *engine.Conn, op protocol.Opcode, data []byte) {
	if s.message == nil || !s.message(c, string(data)) {
		s.broadcast.OnMessage(c, op, data)
	}
}

func (s *script) OnClose(c *engine.Conn, why engine.Reason) {
	if s.closed != nil {
		s.closed(c, why)
	}
}

func (s *script) OnUpgrade(_ *engine.Conn, r *protocol.Request) (string, error) {
	if s.upgrade != nil {
		return "", s.upgrade(r)
	}
	return "", nil
}

func (s *script) OnRequest(r *protocol.Request) protocol.Response {
	if s.request != nil {
		return s.request(r)
	}
	return protocol.Response{Status: 200, Body: []byte("hello")}
}

// wait polls the counters until they are as they must become.
func (r *rig) wait(what string, as func(s engine.Stats) bool) {
	r.Helper()
	if !eventually(func() bool { return as(r.e.Stats()) }) {
		r.Fatalf("waited for %s; it stands at %+v", what, r.e.Stats())
	}
}

func eventually(is func() bool) bool {
	for until := time.Now().Add(patience); time.Now().Before(until); time.Sleep(5 * time.Millisecond) {
		if is() {
			return true
		}
	}
	return false
}

// costs demands that what happens in f ends n connections, all for one reason,
// and that as many requests are refused under one label, or none for "".
func (r *rig) costs(n uint64, why engine.Reason, label string, f func()) {
	r.Helper()
	before := r.e.Stats()
	f()
	r.wait("the end of a connection", func(s engine.Stats) bool { return sum(s.Ends) >= sum(before.Ends)+n })
	after, want := r.e.Stats(), maps.Clone(before.Ends)
	want[why] += n
	if !maps.Equal(after.Ends, want) {
		r.Errorf("ends are %v, want %v", after.Ends, want)
	}
	refused := maps.Clone(before.Refusals)
	if label != "" {
		refused[label] += n
	}
	if !maps.Equal(after.Refusals, refused) {
		r.Errorf("refusals are %v, want %v", after.Refusals, refused)
	}
}

func sum[K comparable](counts map[K]uint64) (n uint64) {
	for _, c := range counts {
		n += c
	}
	return n
}

// peer is a client made of a bare socket.
type peer struct {
	testing.TB
	net.Conn
	in *bufio.Reader
}

// dial connects without a word. A small window, in bytes, makes a reader whose
// neglect is noticed soon; 0 leaves it to the system.
func (r *rig) dial(window int) *peer {
	r.Helper()
	d := net.Dialer{Timeout: patience, Control: func(_, _ string, rc syscall.RawConn) (err error) {
		if window == 0 {
			return nil
		}
		return cmp.Or(rc.Control(func(fd uintptr) {
			// Segments as long as loopback's would not fit, and wait for a timer.
			err = errors.Join(unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, window),
				unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG, 1000))
		}), err)
	}}
	nc, err := d.Dial("tcp", r.addr)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = nc.Close() })
	return &peer{TB: r.TB, Conn: nc, in: bufio.NewReader(nc)}
}

// handshake is a request as section 1.2 of RFC 6455 shows it, and more lines.
func handshake(more ...string) string {
	return "GET / HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n" + strings.Join(append(more, ""), "\r\n") + "\r\n"
}

// join connects and upgrades.
func (r *rig) join(more ...string) *peer {
	r.Helper()
	p := r.dial(0)
	p.upgrade(more...)
	return p
}

func (p *peer) upgrade(more ...string) *http.Response {
	p.Helper()
	p.send(handshake(more...))
	resp := p.answer(http.MethodGet)
	if accept := resp.Header.Get("Sec-WebSocket-Accept"); resp.StatusCode != 101 || accept != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		p.Fatalf("upgrade: status %d, accept %q", resp.StatusCode, accept)
	}
	return resp
}

// send sends bytes as they are.
func (p *peer) send(b ...string) {
	p.Helper()
	_ = p.SetWriteDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(p.Conn, strings.Join(b, "")); err != nil {
		p.Fatalf("send: %v", err)
	}
}

// say sends one text message.
func (p *peer) say(text string) {
	p.Helper()
	p.send(frame(0x81, text))
}

// frame is a masked frame with a first byte of one's own.
func frame(first byte, payload string) string {
	b := []byte{first}
	switch n := len(payload); {
	case n <= 125:
		b = append(b, 0x80|byte(n))
	case n <= 65535:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	mask, body := [4]byte{1, 2, 3, 4}, []byte(payload)
	ws.Cipher(body, mask, 0)
	return string(append(append(b, mask[:]...), body...))
}

// answer reads an HTTP response, body and all.
func (p *peer) answer(method string) *http.Response {
	p.Helper()
	_ = p.SetReadDeadline(time.Now().Add(patience))
	resp, err := http.ReadResponse(p.in, &http.Request{Method: method})
	if err != nil {
		p.Fatalf("no answer: %v", err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			p.Fatalf("body: %v", err)
		}
		resp.Body = io.NopCloser(bytes.NewReader(body))
	}
	return resp
}

// next reads one frame, inflated if need be; it has to be final and unmasked.
func (p *peer) next() (op ws.OpCode, payload string, err error) {
	_ = p.SetReadDeadline(time.Now().Add(patience))
	h, err := ws.ReadHeader(p.in)
	if err != nil {
		return 0, "", err
	}
	if h.Masked || !h.Fin || h.Rsv&^ws.Rsv(true, false, false) != 0 {
		return 0, "", errors.New("a server's frame must not be like this")
	}
	b := make([]byte, h.Length)
	_, err = io.ReadFull(p.in, b)
	if h.Rsv1() && err == nil {
		b, err = io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(b), strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff"))))
	}
	return h.OpCode, string(b), err
}

// gets demands one frame.
func (p *peer) gets(op ws.OpCode, payload string) {
	p.Helper()
	gotOp, got, err := p.next()
	if err != nil || gotOp != op || got != payload {
		p.Fatalf("got opcode %d, %.100q, error %v; want opcode %d, %.100q", gotOp, got, err, op, payload)
	}
}

// hears demands that a text comes, whatever others say before.
func (p *peer) hears(text string) {
	p.Helper()
	for {
		op, got, err := p.next()
		if err != nil {
			p.Fatalf("waiting to hear %.100q: %v", text, err)
		}
		if op == ws.OpText && got == text {
			return
		}
	}
}

// closeFrame reads on to the server's Close frame.
func (p *peer) closeFrame() (code ws.StatusCode, reason string) {
	p.Helper()
	for {
		op, payload, err := p.next()
		if err != nil {
			p.Fatalf("no Close frame: %v", err)
		}
		if op == ws.OpClose {
			return ws.ParseCloseFrameData([]byte(payload))
		}
	}
}

// sentAway demands a Close frame, answers it, and demands the end of TCP with
// nothing in between. It returns the reason that it was told.
func (p *peer) sentAway(code uint16) (reason string) {
	p.Helper()
	got, reason := p.closeFrame()
	if uint16(got) != code {
		p.Fatalf("closed with %d %q, want %d", got, reason, code)
	}
	_, _ = io.WriteString(p.Conn, frame(0x88, string(binary.BigEndian.AppendUint16(nil, code))))
	p.ended()
	return reason
}

// ended demands that the server ends TCP in order, without another byte.
func (p *peer) ended() {
	p.Helper()
	_ = p.SetReadDeadline(time.Now().Add(patience))
	if rest, err := io.ReadAll(p.in); err != nil || len(rest) > 0 {
		p.Fatalf("expected the end; got %d bytes (%.100q), error %v", len(rest), rest, err)
	}
}

// wasReset demands an RST behind whatever was in the window.
func (p *peer) wasReset() {
	p.Helper()
	_ = p.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, p.in); !errors.Is(err, syscall.ECONNRESET) {
		p.Fatalf("expected an RST, got %v", err)
	}
}

// vanish resets the connection.
func (p *peer) vanish() {
	_ = p.Conn.(*net.TCPConn).SetLinger(0)
	_ = p.Conn.Close()
}

// logged is what an engine has logged.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

var warmUp = sync.OnceFunc(func() { // opens what a Go process opens once and keeps
	if ln, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		_ = ln.Close()
	}
})

// noLeaks fails a test that some goroutine or descriptor outlives. Whatever it
// is to watch must be started after it.
func noLeaks(t testing.TB) {
	t.Helper()
	warmUp()
	goroutines, files := len(goroutinesNow()), len(filesNow())
	t.Cleanup(func() {
		if !eventually(func() bool { return len(goroutinesNow()) <= goroutines }) {
			t.Errorf("of %d goroutines %d were there before:\n%s", len(goroutinesNow()), goroutines, strings.Join(goroutinesNow(), "\n\n"))
		}
		if !eventually(func() bool { return len(filesNow()) <= files }) {
			t.Errorf("of %d descriptors %d were there before: %v", len(filesNow()), files, filesNow())
		}
	})
}

// goroutinesNow lists the goroutines, without the idle workers that gnet's pool
// keeps for the next to come.
func goroutinesNow() (all []string) {
	b := make([]byte, 4<<20)
	for _, g := range strings.Split(string(b[:runtime.Stack(b, true)]), "\n\n") {
		if !strings.Contains(g, "panjf2000/ants") {
			all = append(all, g)
		}
	}
	return all
}

func filesNow() (all []string) {
	const dir = "/proc/self/fd/"
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		target, _ := os.Readlink(dir + e.Name())
		all = append(all, e.Name()+" "+target)
	}
	return all
}
