package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"
)

// target is a server as a worker sees it.
type target struct {
	targetSpec
	template string
	shake    handshake
}

const probeTimeout = 5 * time.Second

func newTarget(s targetSpec, h hooks) *target {
	var nonce [16]byte
	for i := range nonce {
		nonce[i] = byte(rand.Uint32())
	}
	return &target{targetSpec: s, template: h.Path, shake: newHandshake(s.Host, h.Subprotocol, nonce)}
}

// resolveTarget finds out where a URL leads, once.
func resolveTarget(raw string) (targetSpec, error) {
	u, err := url.Parse(raw)
	if err == nil && u.Scheme == "wss" {
		return targetSpec{}, fmt.Errorf("url %q: the bench speaks no TLS; want ws://HOST:PORT/PATH, behind what ends it", raw)
	}
	if err != nil || u.Scheme != "ws" || u.Hostname() == "" {
		return targetSpec{}, fmt.Errorf("url %q: want ws://HOST:PORT/PATH", raw)
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	tcp, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return targetSpec{}, fmt.Errorf("url %q: %w", raw, err)
	}
	addr := tcp.AddrPort()
	return targetSpec{Addr: netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()), Host: u.Host, URI: u.RequestURI()}, nil
}

// probe opens one connection through gobwas/ws, which knows every rule of the handshake: what is wrong with the server
// shows here, by name, and not as ten thousand failures.
func (t *target) probe(ctx context.Context, room int) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	at := "ws://" + t.Host + t.path(room)
	dialer := ws.Dialer{Timeout: probeTimeout}
	if want := t.shake.subprotocol; want != "" {
		dialer.Protocols = []string{want}
	}
	c, early, shake, err := dialer.Dial(ctx, at)
	switch {
	case errors.Is(err, unix.ECONNREFUSED):
		return fmt.Errorf("%s: nobody listens there; start the server first", at)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%s: no answer to the handshake within %s; is it a WebSocket server?", at, probeTimeout)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, unix.ECONNRESET):
		return fmt.Errorf("%s: it closes the connection instead of answering the handshake; is it a WebSocket server?", at)
	case err != nil:
		return fmt.Errorf("%s: %w", at, err)
	}
	defer func(b *bufio.Reader) {
		if b != nil {
			ws.PutReader(b)
		}
	}(early)
	defer func() { _ = c.Close() }()
	if shake.Protocol != t.shake.subprotocol {
		return fmt.Errorf("%s: --subprotocol %s: the server answers with %q", at, t.shake.subprotocol, shake.Protocol)
	}
	frame := ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusNormalClosure, "")))
	if err := ws.WriteFrame(c, frame); err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	return nil
}

// roomWord is what stands for the room in a path.
const roomWord = "{room}"

// roomName is what a room is called.
func roomName(room int) string { return "e" + strconv.Itoa(room) }

// path is the request's target for one room.
func (t *target) path(room int) string {
	if t.template == "" {
		return t.URI
	}
	return strings.ReplaceAll(t.template, roomWord, roomName(room))
}

// portsPerSource keeps the search for a free port short: a source address has about 28,000 of them.
const portsPerSource = 8000

// source is addresses to connect from.
type source struct{ netip.Prefix }

func parseSources(given []string) (list []source, err error) {
	for _, text := range given {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			var one netip.Addr
			if one, err = netip.ParseAddr(text); err != nil {
				return nil, fmt.Errorf("--source %q: want an address or a range such as 10.0.0.0/28", text)
			}
			p = netip.PrefixFrom(one, one.BitLen())
		}
		list = append(list, source{p.Masked()})
	}
	return list, nil
}

// size is how many addresses a source has, as far as it matters.
func (s source) size() int { return 1 << min(s.Addr().BitLen()-s.Bits(), 20) }

func (s source) nth(n int) netip.Addr {
	b := s.Addr().AsSlice()
	for i := len(b) - 1; n > 0; i-- {
		n += int(b[i])
		b[i] = byte(n)
		n >>= 8
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// sourceFor is the address that a connection comes from, or none. On loopback it is 127.0.0.2 and upwards, so that no source
// address runs out of ports; a brief one takes what the kernel gives it.
func (w *worker) sourceFor(t *target, c *conn) netip.Addr {
	at := (w.spec.Lo + int(c.index)) / portsPerSource
	if len(w.sources) > 0 {
		all := 0
		for _, s := range w.sources {
			all += s.size()
		}
		at %= all
		for _, s := range w.sources {
			if at < s.size() {
				return s.nth(at)
			}
			at -= s.size()
		}
	}
	if ip := t.Addr.Addr(); !w.spec.Brief && ip.Is4() && ip.IsLoopback() {
		return netip.AddrFrom4([4]byte{127, 0, 0, byte(2 + at%250)})
	}
	return netip.Addr{}
}

// connect begins a connection. A buffer of 0 is the kernel's choice.
func (t *target) connect(from netip.Addr, brief bool, buffer int) (int32, error) {
	family := unix.AF_INET6
	if t.Addr.Addr().Is4() {
		family = unix.AF_INET
	}
	fd, errno := rawSocket(family)
	if errno != 0 {
		return -1, fmt.Errorf("socket: %w", errno)
	}
	var err error
	if !brief {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	if err == nil && buffer > 0 {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, buffer)
	}
	if err == nil && from.IsValid() {
		sa, _ := sockaddr(netip.AddrPortFrom(from, 0))
		err = errors.Join(unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1), unix.Bind(int(fd), sa))
	}
	if err == nil {
		if errno := rawConnect(fd, t.Addr); errno != 0 && errno != unix.EINPROGRESS {
			err = errno
		}
	}
	if err != nil {
		rawClose(fd)
		if from.IsValid() {
			return -1, fmt.Errorf("connect from %s to %s: %w", from, t.Addr, err)
		}
		return -1, fmt.Errorf("connect to %s: %w", t.Addr, err)
	}
	return fd, nil
}

// descriptorReserve is what a process needs besides its connections.
const descriptorReserve = 64

// descriptorLimit raises the soft limit as far as it goes and tells it.
func descriptorLimit() (int, error) {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		return 0, fmt.Errorf("descriptor limit: %w", err)
	}
	if lim.Cur < lim.Max {
		lim.Cur = lim.Max
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &lim)
	}
	return int(min(lim.Cur, 1<<30)), nil
}

// needDescriptors says what is missing for so many connections in this process.
func needDescriptors(n int) error {
	limit, err := descriptorLimit()
	if err == nil && n+descriptorReserve > limit {
		err = fmt.Errorf("%d connections need %d descriptors and this process may hold %d: raise it (ulimit -n %d) or ask for %d connections at most",
			n, n+descriptorReserve, limit, n+descriptorReserve, max(0, limit-descriptorReserve))
	}
	return err
}
