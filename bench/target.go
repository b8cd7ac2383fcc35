package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"net/url"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"
)

// target is where a run goes: a ws:// URL, resolved once.
type target struct {
	url   *url.URL
	addr  netip.AddrPort
	shake handshake
}

const probeTimeout = 5 * time.Second

// newTarget resolves the URL and opens one connection through gobwas/ws, which knows every rule of the handshake:
// what is wrong with the server shows here, by name, and not as ten thousand failures.
func newTarget(ctx context.Context, raw string) (*target, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "ws" || u.Hostname() == "" {
		return nil, fmt.Errorf("url %q: want ws://HOST:PORT/PATH", raw)
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	if u.Path == "" {
		u.Path = "/"
	}
	tcp, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return nil, fmt.Errorf("url %q: %w", raw, err)
	}
	t := &target{url: u, addr: tcp.AddrPort()}
	t.addr = netip.AddrPortFrom(t.addr.Addr().Unmap(), t.addr.Port())
	var nonce [16]byte
	for i := range nonce {
		nonce[i] = byte(rand.Uint32())
	}
	t.shake = newHandshake(u.Host, nonce)
	return t, t.probe(ctx)
}

func (t *target) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	c, early, _, err := ws.Dialer{Timeout: probeTimeout}.Dial(ctx, t.url.String())
	switch {
	case errors.Is(err, unix.ECONNREFUSED):
		return fmt.Errorf("%s: nobody listens there; start the server first", t.url)
	case err != nil:
		return fmt.Errorf("%s: %w", t.url, err)
	}
	defer func(b *bufio.Reader) {
		if b != nil {
			ws.PutReader(b)
		}
	}(early)
	defer func() { _ = c.Close() }()
	frame := ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusNormalClosure, "")))
	if err := ws.WriteFrame(c, frame); err != nil {
		return fmt.Errorf("%s: %w", t.url, err)
	}
	return nil
}

// path is the request's target for one room; without rooms it is the URL's own.
func (t *target) path(room uint32, rooms bool) string {
	if rooms {
		return fmt.Sprintf("/rooms/e%d", room)
	}
	return t.url.RequestURI()
}

// portsPerSource keeps the search for a free port short: a source address has about 28,000 of them.
const portsPerSource = 8000

// connect begins a connection. On loopback those that stay come from 127.0.0.2 upwards, so that no source address
// runs out of ports; a brief one takes what the kernel gives it.
func (t *target) connect(index int, brief bool) (int32, error) {
	ip := t.addr.Addr()
	family := unix.AF_INET6
	if ip.Is4() {
		family = unix.AF_INET
	}
	fd, errno := rawSocket(family)
	if errno != 0 {
		return -1, fmt.Errorf("socket: %w", errno)
	}
	var err error
	if !brief {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		if err == nil && ip.Is4() && ip.IsLoopback() {
			from := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, byte(2 + index/portsPerSource%250)}}
			err = errors.Join(unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1), unix.Bind(int(fd), from))
		}
	}
	if err == nil {
		if errno := rawConnect(fd, t.addr); errno != 0 && errno != unix.EINPROGRESS {
			err = errno
		}
	}
	if err != nil {
		rawClose(fd)
		return -1, fmt.Errorf("connect to %s: %w", t.addr, err)
	}
	return fd, nil
}

// needDescriptors raises the soft limit as far as it goes and says what is missing.
func needDescriptors(n int) error {
	const reserve = 64
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		return fmt.Errorf("descriptor limit: %w", err)
	}
	if lim.Cur < lim.Max {
		lim.Cur = lim.Max
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &lim)
	}
	if uint64(n+reserve) > lim.Cur {
		return fmt.Errorf("%d connections need %d descriptors and this process may hold %d: raise it (ulimit -n %d) or ask for %d connections at most",
			n, n+reserve, lim.Cur, n+reserve, max(0, int(lim.Cur)-reserve))
	}
	return nil
}
