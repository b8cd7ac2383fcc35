package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"
)

// An envoy is a connection that speaks throng.v1 and may be in many rooms, unlike a worker's, which has one. All envoys of a run are
// on one goroutine with one epoll. What they are told is read by hand: who wrote the server has no part in it.
type envoy struct {
	fd    int32
	index int
	state connState
	left  []byte // a frame or answer that is not all there yet
	out   []byte // what the socket did not take
}

type envoys struct {
	target   *target
	poll     *poller
	all      []envoy
	buf      []byte
	wire     []byte
	mask     uint32
	open     int
	underway int
	opened   func(e *envoy)                    // may be nil
	heard    func(e *envoy, text []byte) error // a message of the server's
	fault    error
}

const (
	envoyProtocol = "throng.v1"
	envoysAtOnce  = 1024 // handshakes under way
)

func newEnvoys(ctx context.Context, url string, n int) (*envoys, error) {
	if err := needDescriptors(n); err != nil {
		return nil, err
	}
	at, err := resolveTarget(url)
	if err != nil {
		return nil, err
	}
	v := &envoys{target: newTarget(at, hooks{Subprotocol: envoyProtocol}), all: make([]envoy, n), buf: make([]byte, readBytes), mask: 2463534242}
	if err := v.target.probe(ctx, 0); err != nil {
		return nil, err
	}
	for i := range v.all {
		v.all[i] = envoy{fd: -1, index: i}
	}
	v.poll, err = newPoller()
	return v, err
}

func (v *envoys) close() {
	for i := range v.all {
		v.drop(&v.all[i])
	}
	v.poll.close()
}

// connect opens the envoys from one number to another, and returns when all are.
func (v *envoys) connect(ctx context.Context, from, to int) error {
	want := v.open + to - from
	for v.open < want {
		for ; from < to && v.underway < envoysAtOnce; from++ {
			if err := v.dial(&v.all[from]); err != nil {
				return err
			}
		}
		if err := v.turn(ctx, now()+sleepMax); err != nil {
			return err
		}
	}
	return nil
}

func (v *envoys) dial(e *envoy) error {
	var from netip.Addr
	if ip := v.target.Addr.Addr(); ip.Is4() && ip.IsLoopback() {
		from = netip.AddrFrom4([4]byte{127, 0, 0, byte(2 + e.index/portsPerSource)})
	}
	fd, err := v.target.connect(from, false, 0)
	if err != nil {
		return fmt.Errorf("connection %d: %w", e.index+1, err)
	}
	e.fd, e.state = fd, connAsked
	v.underway++
	if err := v.poll.control(unix.EPOLL_CTL_ADD, fd, int32(e.index), readEvents); err != nil {
		return err
	}
	return v.send(e, v.target.shake.appendRequest(nil, v.target.URI+"?name=c"+strconv.Itoa(e.index))) // people have names of their own
}

// drop ends a connection at once, by a reset.
func (v *envoys) drop(e *envoy) {
	if e.fd < 0 {
		return
	}
	if e.state == connOpen {
		v.open--
	} else {
		v.underway--
	}
	rawReset(e.fd)
	e.fd, e.state, e.left, e.out = -1, connGone, nil, nil
}

// say sends a text.
func (v *envoys) say(e *envoy, text []byte) error {
	v.mask = v.mask*1664525 + 1013904223
	v.wire = appendMasked(v.wire[:0], headText, text, v.mask)
	return v.send(e, v.wire)
}

func (v *envoys) send(e *envoy, b []byte) error {
	if len(e.out) == 0 {
		n, errno := rawWrite(e.fd, b)
		if n == len(b) {
			return nil
		}
		if n < 0 && errno != unix.EAGAIN && errno != unix.EINTR {
			return fmt.Errorf("connection %d: %w", e.index+1, errno)
		}
		b = b[max(n, 0):]
		if err := v.poll.control(unix.EPOLL_CTL_MOD, e.fd, int32(e.index), readEvents|unix.EPOLLOUT); err != nil {
			return err
		}
	}
	if e.out = append(e.out, b...); len(e.out) > outBytesMax {
		return errors.New("the server does not read")
	}
	return nil
}

// run takes turns until the instant has come or done says so.
func (v *envoys) run(ctx context.Context, until instant, done func() bool) error {
	for now() < until && !done() {
		if err := v.turn(ctx, until); err != nil {
			return err
		}
	}
	return nil
}

// turn serves what is ready, and waits for it until the given instant at most.
func (v *envoys) turn(ctx context.Context, until instant) error {
	if ctx.Err() != nil {
		return errStopped
	}
	for _, ev := range v.poll.wait(max(min(until-now(), sleepMax), 0)) {
		if ev.Fd < 0 {
			continue
		}
		e := &v.all[ev.Fd]
		if e.fd >= 0 && ev.Events&unix.EPOLLOUT != 0 && len(e.out) > 0 {
			rest := e.out
			e.out = nil
			if err := v.send(e, rest); err != nil {
				return err
			}
		}
		if e.fd >= 0 && ev.Events&^unix.EPOLLOUT != 0 {
			if err := v.read(e, ev.Events&goneEvents != 0); err != nil {
				return fmt.Errorf("connection %d: %w", e.index+1, err)
			}
		}
	}
	return nil
}

// read reads until there is nothing more.
func (v *envoys) read(e *envoy, gone bool) error {
	for e.fd >= 0 {
		have := copy(v.buf, e.left)
		n, errno := rawRead(e.fd, v.buf[have:])
		switch {
		case n == 0:
			return errors.New("the server ended it")
		case n < 0 && (errno == unix.EAGAIN || errno == unix.EINTR):
			return nil
		case n < 0:
			return errno
		}
		rest, err := v.take(e, v.buf[:have+n])
		if err != nil {
			return err
		}
		e.left = append(e.left[:0], rest...)
		if len(e.left) == 0 && cap(e.left) > 4<<10 {
			e.left = nil
		}
		if have+n < len(v.buf) && !gone {
			return nil
		}
	}
	return nil
}

// take takes what arrived, and returns what is not whole yet.
func (v *envoys) take(e *envoy, b []byte) ([]byte, error) {
	if e.state == connAsked {
		n, err := v.target.shake.answer(b)
		if n == 0 || err != nil {
			return b, err
		}
		e.state, b = connOpen, b[n:]
		v.open++
		v.underway--
		if v.opened != nil {
			v.opened(e)
		}
	}
	for e.fd >= 0 {
		f, n, err := nextFrame(b)
		if n == 0 || err != nil {
			return b, err
		}
		b = b[n:]
		switch {
		case f.head == headText && !f.masked:
			err = v.heard(e, f.payload)
		case f.head == headPing && !f.masked:
			err = v.send(e, appendMasked(nil, headPong, f.payload, v.mask))
		case f.head == headClose:
			err = fmt.Errorf("closed: %.80q", f.payload)
		default:
			err = errFrameProtocol
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// told is a message of a room.
type told struct {
	room      []byte
	seq, prev uint64
	said      instant // when it was sent
}

var (
	toldHead = []byte(`{"type":"message","room":"`)
	toldSeq  = []byte(`,"seq":`)
	toldPrev = []byte(`,"prev":`)
	okHead   = []byte(`{"type":"ok",`)
	gapHead  = []byte(`{"type":"gap",`)
	wrongs   = [][]byte{[]byte(`{"type":"error",`), []byte(`{"type":"bye",`)}
)

// parseTold reads one as the server writes it.
func parseTold(p []byte) (m told, ok bool) {
	p, ok = bytes.CutPrefix(p, toldHead)
	if !ok {
		return m, false
	}
	if m.room, p, ok = bytes.Cut(p, []byte{'"'}); !ok {
		return m, false
	}
	if m.seq, p, ok = cutNumber(p, toldSeq); !ok {
		return m, false
	}
	if m.prev, p, ok = cutNumber(p, toldPrev); !ok {
		return m, false
	}
	at := bytes.Index(p, []byte(marker))
	if at < 0 {
		return m, false
	}
	said, _, ok := cutNumber(p[at:], []byte(marker))
	m.said = instant(said)
	return m, ok
}

// cutNumber takes a number behind a word.
func cutNumber(p, word []byte) (n uint64, rest []byte, ok bool) {
	if p, ok = bytes.CutPrefix(p, word); !ok {
		return 0, nil, false
	}
	i := 0
	for i < len(p) && '0' <= p[i] && p[i] <= '9' {
		n = n*10 + uint64(p[i]-'0')
		i++
	}
	return n, p[i:], i > 0
}

// appendPublish makes a publish that carries the instant of its sending. Its id is 0.
func appendPublish(b []byte, room string, t instant) []byte {
	b = append(append(append(b, `{"type":"publish","id":0,"room":"`...), room...), `","text":"`+marker...)
	return append(strconv.AppendInt(b, int64(t), 10), `"}`...)
}

// wrong is an error if the server refuses something or says goodbye.
func wrong(p []byte) error {
	for _, head := range wrongs {
		if bytes.HasPrefix(p, head) {
			return fmt.Errorf("the server says %.200s", p)
		}
	}
	return nil
}
