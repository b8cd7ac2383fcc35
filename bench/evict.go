package bench

import (
	"strings"
	"time"

	"throng/bench/report"
)

// evictions is what becomes of connections that say nothing more: the server's limit of silence ends each of them.
// Lateness is from the last sign of life plus the limit to the Close frame's arrival. The last sign of life is when
// the request, or the last message, left this process: the server heard it then or later. So lateness is never told
// too small, and whoever is closed before it is up was closed too early.
type evictions struct {
	limit time.Duration // 0: nobody asks
	heard []instant     // by connection
	late  hist
	early int
	codes map[string]int // what ended them, as drop says it
}

func (e *evictions) setUp(w *worker) {
	if e.limit = w.spec.Idle; e.limit > 0 {
		*e = evictions{limit: e.limit, heard: make([]instant, len(w.conns)), late: newHist(), codes: make(map[string]int)}
	}
}

// said notes a sign of life.
func (e *evictions) said(c *conn) {
	if e.limit > 0 {
		e.heard[c.index] = now()
	}
}

// ended counts the end of an open connection. One for another reason than silence is no eviction, and has no lateness.
func (e *evictions) ended(c *conn, reason string) {
	if e.limit == 0 || c.state != connOpen {
		return
	}
	e.codes[strings.TrimPrefix(reason, "closed with ")]++
	if reason != reasonIdle {
		return
	}
	late := now() - e.heard[c.index] - e.limit
	if late < 0 {
		e.early++
		return
	}
	e.late.record(late)
}

// reasonIdle is how a connection ends that throng's wheel has evicted.
const reasonIdle = `closed with 4408 "idle"`

// evictedOutcome is a worker's share of the evictions.
type evictedOutcome struct {
	Late  hist
	Early int
	Codes map[string]int
}

func (e *evictions) outcome() *evictedOutcome {
	return &evictedOutcome{Late: e.late, Early: e.early, Codes: e.codes}
}

// awaitEviction waits until all are gone, at most until the given instant, and tells what became of them.
func (w *worker) awaitEviction(until instant) error {
	err := w.run(until, func() bool { return w.open == 0 || w.stopping() })
	w.box.put(message{Is: isEvicted, Open: w.open, Evicted: w.evictions.outcome()})
	return err
}

// add takes a worker's share into the run's.
func (o *evictedOutcome) add(more *evictedOutcome) {
	if more == nil {
		return
	}
	o.Late.add(more.Late)
	o.Early += more.Early
	for reason, n := range more.Codes {
		o.Codes[reason] += n
	}
}

func (o *evictedOutcome) report() *report.Evicted {
	n := 0
	for _, many := range o.Codes {
		n += many
	}
	return &report.Evicted{Clients: n, Late: report.SpreadOf(o.Late.Histogram), Early: o.Early, Codes: o.Codes}
}
