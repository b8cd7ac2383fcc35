package bench

import (
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sys/unix"
)

// dialing is what a worker knows of connections that are not there yet.
type dialing struct {
	upto     int // connections of this worker that are wanted
	begun    int // of those, dialed once
	from     int // begun, when the present connecting began
	since    instant
	failed   bool // one was refused at the first attempt
	done     bool // all that were wanted were there: who is refused from now on has come back
	waiting  queue
	attempts int // to come back
	refused  map[string]int
	overdue  instant // when handshakes are looked through for those without an answer
}

const (
	dialsAtOnceMax = 256 // handshakes under way, while connecting
	dialsPerTurn   = 256 // of those who come back, who all may be under way at once
	shakePatience  = 10 * time.Second
	patientTries   = 8 // of one connection, where the spec is patient
)

// connectTo opens connections until so many of this worker's are open. One that is refused ends the run, unless the
// spec is patient, and one that is sent away again as well if it is to carry a load; where connections are only held, that is a fault to report.
func (w *worker) connectTo(upto int) error {
	d := &w.dialing
	d.upto, d.from, d.since, d.done = upto, d.begun, now(), false
	if d.refused == nil {
		d.refused = make(map[string]int)
	}
	last, moved := w.open, now()
	before := w.gone
	for w.open+w.gone < upto {
		w.turn(forever)
		t := now()
		if w.open > last || w.spec.ConnectRate > 0 && w.underway == 0 {
			last, moved = w.open, t
		}
		switch {
		case w.quit != nil:
			return w.quit
		case d.failed, w.gone > before && w.spec.Senders > 0:
			return fmt.Errorf("connection %d of %d: %s", w.spec.Lo+w.open+1, w.spec.Conns, firstKey(w.reasons))
		case t-moved > stuckAfter:
			return fmt.Errorf("%d of %d connections are open and no more came in %s", w.open, upto, stuckAfter)
		}
	}
	d.done = true
	w.box.put(message{Is: isConnected, Open: w.open})
	return nil
}

func firstKey(m map[string]int) string {
	for k := range m {
		return k
	}
	return ""
}

// planned is when the next new connection may begin.
func (d *dialing) planned(rate float64) instant {
	if rate == 0 {
		return d.since
	}
	return d.since + instant(float64(d.begun-d.from)/rate*float64(time.Second))
}

// dialsAt is when the loop has to dial next, if nothing else happens.
func (w *worker) dialsAt(t instant) instant {
	at := forever
	if d := &w.dialing; d.begun < d.upto && w.underway < dialsAtOnceMax {
		at = d.planned(w.spec.ConnectRate)
	}
	return min(at, w.dialing.waiting.first())
}

// dialDue begins the connections whose time has come.
func (w *worker) dialDue(t instant) {
	d := &w.dialing
	for d.begun < d.upto && w.underway < dialsAtOnceMax && d.planned(w.spec.ConnectRate) <= t && w.quit == nil {
		d.begun++
		w.dial(&w.conns[d.begun-1])
	}
	for n := 0; n < dialsPerTurn && d.waiting.first() <= t && w.quit == nil; n++ {
		d.attempts++
		w.dial(&w.conns[d.waiting.pop()])
	}
	if d.done && w.underway > 0 && t >= d.overdue {
		d.overdue = t + time.Second
		w.dropOverdue(t)
	}
}

func (w *worker) dropOverdue(t instant) {
	for i := range w.conns {
		if c := &w.conns[i]; c.state == connAsked && t-c.last > shakePatience {
			w.drop(c, fmt.Sprintf("no answer within %s", shakePatience))
		}
	}
}

// dial connects and asks. On loopback the connection is there at once and so the question is never held.
func (w *worker) dial(c *conn) {
	t := w.target(c)
	size := 0
	if c.slow {
		size = slowBufferBytes
	}
	fd, err := t.connect(w.sourceFor(t, c), w.spec.Brief, size)
	if err != nil {
		w.refusedHere(c, err)
		return
	}
	c.fd, c.state, c.last = fd, connAsked, now()
	w.underway++
	if err := w.poll.control(unix.EPOLL_CTL_ADD, fd, int32(c.index), readEvents); err != nil {
		w.quit = err
		return
	}
	w.request = t.shake.appendRequest(w.request[:0], t.path(int(c.room)))
	w.send(c, w.request)
}

// refusedHere is for a connection that did not even begin: fatal, unless it may come back later.
func (w *worker) refusedHere(c *conn, err error) {
	if !w.spec.Returns || !w.dialing.done {
		w.quit = fmt.Errorf("connection %d: %w", w.spec.Lo+int(c.index)+1, err)
		return
	}
	w.dialing.refused[err.Error()]++
	w.backOff(c)
}

// backOff tries again after a random part of a pause that doubles.
func (w *worker) backOff(c *conn) {
	pause := min(backOffMin<<min(c.tries, 6), backOffMax)
	c.tries = min(c.tries+1, 200)
	w.comeBack(c, now()+rand.N(pause))
}

// queue is a heap of connections by the instant they are due.
type queue []dueConn

type dueConn struct {
	at    instant
	index uint32
}

func (q queue) first() instant {
	if len(q) == 0 {
		return forever
	}
	return q[0].at
}

func (q *queue) push(at instant, index uint32) {
	h := append(*q, dueConn{})
	i := len(h) - 1
	for ; i > 0 && at < h[(i-1)/2].at; i = (i - 1) / 2 {
		h[i] = h[(i-1)/2]
	}
	h[i] = dueConn{at, index}
	*q = h
}

func (q *queue) pop() (index uint32) {
	h := *q
	index = h[0].index
	last := h[len(h)-1]
	h = h[:len(h)-1]
	*q = h
	i := 0
	for {
		child := 2*i + 1
		if child+1 < len(h) && h[child+1].at < h[child].at {
			child++
		}
		if child >= len(h) || last.at <= h[child].at {
			break
		}
		h[i] = h[child]
		i = child
	}
	if len(h) > 0 {
		h[i] = last
	}
	return index
}
