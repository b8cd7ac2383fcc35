package bench

import (
	"encoding/binary"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// load is the talking of a worker. In a closed loop a sender sends a new message for each own one that came back. In
// an open loop the messages of all senders together are planned at fixed instants, and latency counts from the plan,
// whatever held a message up: message n of sender k, of S, is planned at start + (n*S + k) steps.
type load struct {
	check    checker
	envelope *envelope // nil: the payload is the message, and a binary one
	head     byte
	senders  []sender
	talking  bool
	start    instant
	step     float64 // nanoseconds
	n        int     // messages sent of the plan
	window   [2]instant
	inside   hist // latency of messages planned within the window, since the last tick
	outside  hist // of others
	latency  hist // of the window up to the last tick
	raw      hist // from the instant of sending instead
	rooms    []room
	sent     uint64
	lateMax  time.Duration
	from, to mark
	mask     uint32
	body     []byte
	wire     []byte
}

// sender is one of this worker's.
type sender struct {
	number int // of all
	conn   *conn
}

// room is what this worker's members of a room got, see stall.go.
type room struct {
	served instant // last
	since  instant // without a pause
	period time.Duration
	done   uint64
	packed *hdrhistogram.PackedHistogram
}

const (
	settle       = 200 * time.Millisecond // between the last connection and the first message
	drainMax     = 10 * time.Second
	framesOutMax = 64 << 10
)

func (l *load) setUp(w *worker) {
	s := &w.spec
	l.inside, l.outside, l.latency, l.raw = newHist(), newHist(), newHist(), newHist()
	l.window[0] = forever
	l.mask = 2463534242 + uint32(s.Lo)
	if s.Senders == 0 {
		return
	}
	l.check = newChecker(s.Payload, s.Salt)
	l.head = headBinary
	if l.envelope = newEnvelope(s); l.envelope != nil {
		l.check = newChecker(l.envelope.inner, s.Salt)
		if s.Hooks.Text {
			l.head = headText
		}
	}
	l.rooms = make([]room, s.groups())
	l.seat(w)
}

func (w *worker) nextMask() uint32 {
	w.mask ^= w.mask << 13
	w.mask ^= w.mask >> 17
	w.mask ^= w.mask << 5
	return w.mask
}

func (w *worker) mark() mark {
	return mark{At: now(), Done: w.done(), Cycles: w.churn.cycles, CPU: ownCPU(), Thread: threadCPU()}
}

// done is what the run counts.
func (w *worker) done() uint64 {
	if w.spec.Brief {
		return w.shakes
	}
	return w.check.delivered
}

// measure talks from one instant on and takes what happens between two others, or until it is stopped.
func (w *worker) measure(c command) error {
	if err := w.begin(c.At); err != nil || c.To == 0 {
		return err
	}
	w.window = [2]instant{c.From, c.To}
	w.ticking.begin(c.From)
	if err := w.run(c.From, w.stopping); err != nil {
		return err
	}
	if w.spec.Brief {
		w.connect = newHist()
		clear(w.reasons)
	}
	w.from = w.mark()
	if err := w.run(c.To, w.stopping); err != nil {
		return err
	}
	w.to = w.mark()
	w.window[1] = min(w.window[1], w.to.At)
	if w.to.At-w.ticking.last.at >= tickMin {
		w.tick(w.to.At)
	}
	if w.stopAt == 0 {
		w.stopped()
	}
	return nil
}

func (w *worker) stopping() bool { return w.stopAt > 0 && now() >= w.stopAt }

// begin lets the senders talk.
func (w *worker) begin(at instant) error {
	if err := w.run(at, never); err != nil {
		return err
	}
	w.talking, w.start, w.n = true, at, 0
	w.churn.begin(w, at)
	switch s := &w.spec; {
	case s.Brief:
		for i := range w.conns {
			w.comeBack(&w.conns[i], at)
		}
	case s.Rate > 0:
		w.step = float64(time.Second) / s.Rate / float64(s.Senders)
	default:
		for _, one := range w.senders {
			one.conn.credit = int32(s.InFlight / s.Senders)
			if one.number < s.InFlight%s.Senders {
				one.conn.credit++
			}
			w.sendCredit(one.conn, now())
		}
	}
	return nil
}

// stopped ends the talking, and the coming and going.
func (w *worker) stopped() {
	w.talking, w.stopAt = false, 0
	if w.spec.Brief {
		w.dialing.waiting = nil
	}
	m := message{Is: isStopped, Open: w.open}
	for _, one := range w.senders {
		m.Sent = append(m.Sent, sentBy{one.number, one.conn.seq})
	}
	w.box.put(m)
}

// planned is when message n of this worker is due.
func (w *worker) planned(n int) instant {
	own := len(w.senders)
	return w.start + instant(float64(n/own*w.spec.Senders+w.senders[n%own].number)*w.step)
}

func (w *worker) sendsAt() instant {
	if !w.talking || w.spec.Rate == 0 || len(w.senders) == 0 {
		return forever
	}
	return w.planned(w.n)
}

// counts tells whether a message planned at this instant is one of those measured.
func (l *load) counts(plan instant) bool { return plan >= l.window[0] && plan < l.window[1] }

// sendDue sends all that is planned until now.
func (w *worker) sendDue(t instant) {
	for at := w.sendsAt(); at <= t && w.quit == nil; at = w.sendsAt() {
		c := w.senders[w.n%len(w.senders)].conn
		w.n++
		if c.state == connOpen {
			if w.counts(at) || w.storm != nil {
				w.lateMax = max(w.lateMax, t-at)
			}
			w.wire = w.appendMessage(w.wire[:0], c, at, t)
			w.send(c, w.wire)
		}
	}
}

// sendCredit sends a message for each own one that came back.
func (w *worker) sendCredit(c *conn, t instant) {
	w.wire = w.wire[:0]
	for c.credit > 0 && w.quit == nil {
		c.credit--
		w.wire = w.appendMessage(w.wire, c, t, t)
		if len(w.wire) > framesOutMax {
			w.send(c, w.wire)
			w.wire = w.wire[:0]
		}
	}
	if len(w.wire) > 0 && c.fd >= 0 {
		w.send(c, w.wire)
	}
}

func (w *worker) appendMessage(b []byte, c *conn, plan, t instant) []byte {
	s := stamp{sender: uint32(c.sender), seq: c.seq, plan: plan, room: c.room, lag: uint32((t - plan) / time.Microsecond)}
	if w.envelope == nil {
		w.body = w.check.appendPayload(w.body[:0], s)
	} else {
		w.body = w.envelope.appendTo(w.body[:0], &w.check, s)
	}
	c.seq++
	w.sent++
	return appendMasked(b, w.head, w.body, w.nextMask())
}

// notFast is a head that no frame has: everything goes the slow way.
const notFast = 0x100

// fastHead is the head of a message that is looked at in place.
func (w *worker) fastHead(c *conn) uint16 {
	if w.envelope != nil || c.more != nil && c.more.head != 0 {
		return notFast
	}
	return uint16(headBinary)
}

// receive is the hot path: the frames of one read, each looked at, none copied.
func (w *worker) receive(c *conn, b []byte) ([]byte, error) {
	t, k := now(), w.checker(c)
	before := k.delivered
	every := w.spec.Rate > 0 && !c.slow
	fast := w.fastHead(c)
	for {
		f, n, err := nextFrame(b)
		if n == 0 {
			w.arrived(c, t, k.delivered-before)
			if c.credit > 0 && w.talking {
				w.sendCredit(c, t)
			}
			return b, err
		}
		b = b[n:]
		p := f.payload
		if uint16(f.head) != fast || f.masked {
			if p, err = w.slowPath(c, f); err != nil {
				return nil, err
			}
			if fast = w.fastHead(c); p == nil {
				continue
			}
		}
		v := k.message(c, p)
		if v.sender == stranger {
			continue
		}
		if own := v.sender == c.sender; own || every {
			if own && !every {
				c.credit++
			}
			w.record(c, v, t)
		}
	}
}

// record counts a delivery's latency: in an open loop each receiver's, in a closed one the sender's own.
func (w *worker) record(c *conn, v verdict, t instant) {
	took := t - v.plan
	if !w.counts(v.plan) {
		w.outside.record(took)
		return
	}
	w.inside.record(took)
	if w.spec.Rate > 0 {
		w.raw.record(took - time.Duration(v.lag)*time.Microsecond)
	}
	if w.spec.PerRoom {
		w.rooms[c.room].record(took)
	}
}

func (r *room) record(took time.Duration) {
	if r.packed == nil {
		const digits = 2
		r.packed = hdrhistogram.NewPacked(int64(time.Microsecond), int64(latencyMax), digits)
	}
	_ = r.packed.RecordValue(int64(min(max(took, 0), latencyMax)))
}

// slowPath takes what is not a whole binary message of ours, and gives its payload if it turns out to hold one.
func (w *worker) slowPath(c *conn, f frame) ([]byte, error) {
	head, p := f.head, f.payload
	if err := f.check(false); err == errFrameFragment || c.more != nil && c.more.head != 0 && head&bitControl == 0 {
		if head, p, err = w.assemble(c, f); err != nil || p == nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	if head != headText && head != headBinary {
		return nil, w.control(c, f)
	}
	k := w.checker(c)
	if w.envelope != nil {
		return w.envelope.open(p, k), nil
	}
	if head == headText {
		// One of ours whose kind was changed, or what a server says to those who greet it.
		if w.spec.Hooks.Hello != "" && !k.ours(p) {
			k.foreign++
		} else {
			k.faults.Corrupt++
		}
		return nil, nil
	}
	return p, nil
}

// checker is the judge of what a connection gets: slow ones have one of their own.
func (w *worker) checker(c *conn) *checker {
	if c.slow {
		return &w.slow.check
	}
	return &w.check
}

// ours tells whether the sum of a payload is right.
func (k *checker) ours(p []byte) bool {
	return len(p) == k.size && binary.LittleEndian.Uint32(p[24:]) ==
		k.sum(binary.LittleEndian.Uint64(p), binary.LittleEndian.Uint64(p[8:]), binary.LittleEndian.Uint64(p[16:]))
}
