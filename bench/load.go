package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Load says what to put on a broadcasting server. With InFlight it is a closed loop: that many messages circulate,
// and a sender sends a new one when one of its own came back. With Rate it is an open loop: each sender's messages
// are planned at fixed instants, and latency counts from the plan, whatever held a message up.
type Load struct {
	URL      string
	Conns    int
	Rooms    int // 0: all in the room of the URL's path; else rooms /rooms/e0 to /rooms/eN-1 of equal size
	Senders  int // spread evenly over rooms and receivers; senders receive too
	InFlight int
	Rate     float64 // messages a second of each sender
	Payload  int
	Warmup   time.Duration
	For      time.Duration
	PID      int // the server's process, to count its CPU; 0: unknown
	// Progress is told what goes on, in whole lines; may be nil.
	Progress func(string, ...any)

	quiet time.Duration // with nothing arriving for so long, what is missing is lost; default 2 s
}

const (
	settle       = 200 * time.Millisecond // between the last connection and the first message
	drainMax     = 10 * time.Second
	latencyMax   = time.Minute
	framesOutMax = 64 << 10
)

func (cfg *Load) check() error {
	rooms := max(cfg.Rooms, 1)
	switch {
	case cfg.Conns < 1:
		return errors.New("--conns: want at least 1")
	case cfg.Senders < 1 || cfg.Senders > cfg.Conns:
		return fmt.Errorf("--senders %d: want 1 to %d, the number of connections", cfg.Senders, cfg.Conns)
	case cfg.Conns%rooms != 0 || cfg.Senders%rooms != 0:
		return fmt.Errorf("%d connections and %d senders do not divide into %d equal rooms", cfg.Conns, cfg.Senders, rooms)
	case (cfg.InFlight > 0) == (cfg.Rate > 0):
		return errors.New("want messages in flight (closed loop) or a rate (open loop), one of them")
	case cfg.InFlight > 0 && cfg.InFlight < cfg.Senders:
		return fmt.Errorf("--in-flight %d: want at least one for each of %d senders", cfg.InFlight, cfg.Senders)
	case cfg.Payload < PayloadBytesMin || cfg.Payload > frameBytesMax:
		return fmt.Errorf("--payload %d: want %d to %d bytes", cfg.Payload, PayloadBytesMin, frameBytesMax)
	case cfg.Conns*(cfg.Senders/rooms) > 1<<28:
		return fmt.Errorf("%d receivers of %d senders: following every sequence would take more than 1 GiB", cfg.Conns, cfg.Senders/rooms)
	case cfg.For <= 0:
		return errors.New("--for: want a time above 0")
	}
	return nil
}

// load is one run of a Load.
type load struct {
	*client
	cfg     Load
	check   checker
	senders []*conn // sender e of room r stands at r + e*rooms
	talking bool
	plan    struct {
		start time.Duration
		step  time.Duration // between the messages of all senders together
		n     int           // messages sent of the plan
		armed int           // message that the timer is set for
	}
	window     [2]time.Duration // whose messages' latency counts: planned from, to
	latency    *hdrhistogram.Histogram
	raw        *hdrhistogram.Histogram // from the instant of sending instead
	sent       uint64
	lateMax    time.Duration
	mask       uint32
	body, wire []byte
}

// Run opens the connections, puts the load on, and judges what came. A run stopped by ctx once it measures still
// reports what it has.
func (cfg Load) Run(ctx context.Context) (*Result, error) {
	if cfg.Progress == nil {
		cfg.Progress = func(string, ...any) {}
	}
	if cfg.quiet == 0 {
		cfg.quiet = 2 * time.Second
	}
	if err := errors.Join(cfg.check(), needDescriptors(cfg.Conns)); err != nil {
		return nil, err
	}
	t, err := newTarget(ctx, cfg.URL)
	if err != nil {
		return nil, err
	}
	c, err := newClient(t, cfg.Conns)
	if err != nil {
		return nil, err
	}
	l := &load{client: c, cfg: cfg, check: newChecker(cfg.Payload), mask: 2463534242}
	l.latency = hdrhistogram.New(1000, int64(latencyMax), 3)
	l.raw = hdrhistogram.New(1000, int64(latencyMax), 3)
	defer l.watch(ctx)()
	l.frames, l.planned, l.rooms = l.receive, l.sendDue, cfg.Rooms > 0
	l.seat()
	if err := l.dialTo(cfg.Conns, cfg.Progress); err != nil {
		return nil, err
	}
	if err := l.run(l.clock()+settle, never); err != nil {
		return nil, err
	}
	return l.measure()
}

// seat gives each connection its room, each room its senders, evenly among its members.
func (l *load) seat() {
	rooms := max(l.cfg.Rooms, 1)
	each, members := l.cfg.Senders/rooms, l.cfg.Conns/rooms
	next := make([]uint32, l.cfg.Conns*each)
	for i := range l.conns {
		l.conns[i].room = uint32(i % rooms)
		l.conns[i].next = next[i*each : (i+1)*each : (i+1)*each]
	}
	for e := range each {
		for r := range rooms {
			c := &l.conns[r+e*members/each*rooms]
			c.sender = int32(e)
			l.senders = append(l.senders, c)
		}
	}
}

func (l *load) mark() (mark, error) { return newMark(l.clock(), l.check.delivered, l.cfg.PID) }

func (l *load) measure() (*Result, error) {
	l.cfg.Progress(progressSending, l.open)
	l.start()
	if err := l.run(l.clock()+l.cfg.Warmup, never); err != nil {
		return nil, err
	}
	if l.stop.Load() {
		return nil, errStopped
	}
	from, err := l.mark()
	if err != nil {
		return nil, err
	}
	l.window = [2]time.Duration{from.at, from.at + l.cfg.For}
	for second := from.at + time.Second; l.clock() < l.window[1] && !l.stop.Load(); second += time.Second {
		before := l.check.delivered
		if err := l.run(min(second, l.window[1]), never); err != nil {
			return nil, err
		}
		l.cfg.Progress("%d open, %d deliveries", l.open, l.check.delivered-before)
	}
	to, err := l.mark()
	if err != nil {
		return nil, err
	}
	l.window[1] = min(l.window[1], to.at)
	l.talking = false
	l.timer.off()
	l.drain()
	return l.result(from, to), nil
}

// drain waits for what is under way: what is sent has to arrive, or it counts as lost.
func (l *load) drain() {
	l.stop.Store(false)
	deadline := l.clock() + drainMax
	for l.clock() < deadline && !l.allThere() {
		before := l.check.delivered
		if l.run(min(l.clock()+l.cfg.quiet, deadline), l.allThere) != nil || l.check.delivered == before {
			return
		}
	}
}

// allThere compares the sums, not each receiver: it is asked every turn.
func (l *load) allThere() bool {
	return l.gone == 0 && l.check.delivered == l.sent*uint64(l.cfg.Conns/max(l.cfg.Rooms, 1))
}

func (l *load) start() {
	l.talking = true
	now := l.clock()
	if l.cfg.Rate > 0 {
		l.plan.start = now + time.Millisecond
		l.plan.step = time.Duration(float64(time.Second) / l.cfg.Rate / float64(len(l.senders)))
		l.plan.armed = -1
		l.sendDue()
		return
	}
	for i, c := range l.senders {
		c.credit = l.cfg.InFlight / len(l.senders)
		if i < l.cfg.InFlight%len(l.senders) {
			c.credit++
		}
		l.sendCredit(c, now)
	}
}

// sendDue sends all that is planned until now, and sets the timer for what comes next.
func (l *load) sendDue() {
	if !l.talking || l.cfg.Rate == 0 {
		return
	}
	now := l.clock()
	for {
		plan := l.plan.start + time.Duration(l.plan.n)*l.plan.step
		if plan > now {
			if l.plan.armed != l.plan.n {
				l.plan.armed = l.plan.n
				l.timer.after(plan - l.clock())
			}
			return
		}
		c := l.senders[l.plan.n%len(l.senders)]
		l.plan.n++
		if c.state == connOpen {
			l.lateMax = max(l.lateMax, now-plan)
			l.wire = l.appendMessage(l.wire[:0], c, plan, now)
			l.client.send(c, l.wire)
		}
	}
}

// sendCredit sends a message for each own one that came back.
func (l *load) sendCredit(c *conn, now time.Duration) {
	l.wire = l.wire[:0]
	for ; c.credit > 0; c.credit-- {
		l.wire = l.appendMessage(l.wire, c, now, now)
		if len(l.wire) > framesOutMax {
			l.client.send(c, l.wire)
			l.wire = l.wire[:0]
		}
	}
	if len(l.wire) > 0 {
		l.client.send(c, l.wire)
	}
}

func (l *load) appendMessage(b []byte, c *conn, plan, now time.Duration) []byte {
	l.body = l.check.appendPayload(l.body[:0], stamp{
		sender: uint32(c.sender), seq: c.seq, plan: plan, room: c.room, lag: uint32((now - plan) / time.Microsecond),
	})
	c.seq++
	l.sent++
	l.mask ^= l.mask << 13
	l.mask ^= l.mask >> 17
	l.mask ^= l.mask << 5
	return appendMasked(b, headBinary, l.body, l.mask)
}

// receive is the hot path: the frames of one read, each looked at, none copied.
func (l *load) receive(c *conn, b []byte) ([]byte, error) {
	now := l.clock()
	every := l.cfg.Rate > 0
	for {
		f, n, err := nextFrame(b)
		if n == 0 {
			if c.credit > 0 && l.talking {
				l.sendCredit(c, now)
			}
			return b, err
		}
		b = b[n:]
		if f.head != headBinary || f.masked {
			if err := l.other(c, f); err != nil {
				return nil, err
			}
			continue
		}
		sender, plan, lag := l.check.message(c, f.payload)
		if sender == stranger {
			continue
		}
		if own := sender == c.sender; own || every {
			if own && !every {
				c.credit++
			}
			l.record(plan, lag, now)
		}
	}
}

// record counts a delivery's latency: in an open loop each receiver's, in a closed one the sender's own.
func (l *load) record(plan time.Duration, lag uint32, now time.Duration) {
	if plan < l.window[0] || plan >= l.window[1] {
		return
	}
	took := min(now-plan, latencyMax)
	_ = l.latency.RecordValue(int64(took))
	_ = l.raw.RecordValue(int64(max(0, took-time.Duration(lag)*time.Microsecond)))
}

// other takes what is not a binary message: a text is one of ours whose kind was changed.
func (l *load) other(c *conn, f frame) error {
	if f.head == headText {
		l.check.faults.Corrupt++
		return nil
	}
	return l.control(c, f)
}
