package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"throng/bench/report"
)

// crew is the workers of a run and what their coordinator knows. All of it belongs to the goroutine of the run.
type crew struct {
	opts     *Options
	spec     spec
	launcher *launcher
	members  []*member
	news     chan news
	early    []news        // what members said before it was asked for
	over     chan struct{} // closed with the crew
	series   series
	began    time.Time
	byHand   bool // ended by hand
	trust    trust
	notes    []string
	phase    string // for who looks on
	until    instant
	alarms   []alarm
}

// alarm is something to do at an instant.
type alarm struct {
	at instant
	do func()
}

const workersMax = 256

// newCrew starts the workers of a run and gives each its range.
func newCrew(ctx context.Context, o *Options, s spec) (*crew, error) {
	c := &crew{opts: o, news: make(chan news, 64), over: make(chan struct{}), began: time.Now(), phase: "connecting"}
	if err := c.prepare(ctx, &s); err != nil {
		return nil, err
	}
	c.spec = s
	n, err := o.workersFor(s.Conns)
	if err != nil {
		return nil, err
	}
	if err := c.fly(n, s.Churn); err != nil {
		return nil, err
	}
	watch, err := newWatch(o.PID, o.Metrics)
	if err != nil {
		return nil, err
	}
	c.series.init(n, watch)
	c.trust.begin()
	if n > 1 {
		if c.launcher, err = newLauncher(); err != nil {
			return nil, err
		}
	}
	for i := range n {
		if err := c.hire(i, n); err != nil {
			c.close()
			return nil, err
		}
	}
	if _, err := c.await(ctx, isReady, nil); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// prepare resolves the targets and proves each.
func (c *crew) prepare(ctx context.Context, s *spec) error {
	if len(c.opts.URL) == 0 {
		return errors.New("--url: want a server, as ws://HOST:PORT/PATH")
	}
	if _, err := parseSources(c.opts.Source); err != nil {
		return err
	}
	s.Hooks, s.Sources = c.opts.hooks(), c.opts.Source
	if s.Hooks.Path == "" && s.Rooms > 0 {
		s.Hooks.Path = defaultRoomPath
	}
	for i, raw := range c.opts.URL {
		t, err := resolveTarget(raw)
		if err != nil {
			return err
		}
		if err := newTarget(t, s.Hooks).probe(ctx, i); err != nil {
			return err
		}
		s.Targets = append(s.Targets, t)
	}
	s.Epoch = now()
	return nil
}

// fly is the preflight: what stops the run on this machine is an error, what slows it a note.
func (c *crew) fly(workers int, churn float64) error {
	n, err := needOf(c.spec.Conns, workers, c.opts.URL, c.opts.Source)
	if err != nil {
		return err
	}
	n.churn = int(churn)
	obstacles := preflight(n)
	for _, o := range obstacles {
		if !o.Stops {
			c.notes = append(c.notes, o.String())
		}
	}
	return stopping(obstacles)
}

// workersFor is how many workers a run has: as many as asked for, or as descriptors demand.
func (o *Options) workersFor(conns int) (int, error) {
	limit, err := descriptorLimit()
	if err != nil {
		return 0, err
	}
	each := max(1, limit-descriptorReserve)
	n := o.Workers
	if n == 0 {
		n = (conns + each - 1) / each
	}
	if n > conns {
		return 0, fmt.Errorf("--workers %d: want at most one for each of %d connections", n, conns)
	}
	switch {
	case o.Workers > workersMax:
		return 0, fmt.Errorf("--workers %d: want %d at most", o.Workers, workersMax)
	case n > workersMax:
		return 0, fmt.Errorf("%d connections take %d workers of at most %d each, and %d are the most: raise the descriptor limit (ulimit -n %d)",
			conns, n, each, workersMax, conns/workersMax+descriptorReserve+1)
	}
	return n, needDescriptors((conns + n - 1) / n)
}

// hire starts worker i of n.
func (c *crew) hire(i, n int) error {
	m := &member{n: i, ended: make(chan struct{})}
	var from io.Reader
	var err error
	if n == 1 {
		from = m.here(c.opts.held)
	} else if from, err = m.process(c.launcher, c.opts.self); err != nil {
		return err
	}
	c.members = append(c.members, m)
	go c.listen(m, from)
	s := c.spec
	s.Lo, s.Hi = i*s.Conns/n, (i+1)*s.Conns/n
	share := float64(s.Hi-s.Lo) / float64(s.Conns)
	s.ConnectRate, s.Churn = c.opts.ConnectRate*share, s.Churn*share
	m.tell(command{Do: doSetup, Spec: &s})
	return nil
}

func (c *crew) tell(cmd command) {
	for _, m := range c.members {
		m.tell(cmd)
	}
}

// await collects an answer of each member. When ctx ends, interrupted says what to do; nil gives up. A member that was
// told of two things may have done both before another has done the first: its second answer is kept.
func (c *crew) await(ctx context.Context, is string, interrupted func()) ([]message, error) {
	got, left := make([]message, len(c.members)), len(c.members)
	c.early = slices.DeleteFunc(c.early, func(n news) bool {
		if n.Is == is {
			got[n.from], left = n.message, left-1
		}
		return n.Is == is
	})
	done := ctx.Done()
	for left > 0 {
		timer := time.NewTimer(c.untilAlarm())
		select {
		case n := <-c.news:
			switch {
			case n.err != nil:
				timer.Stop()
				return nil, c.lost(n)
			case n.Is == isFailed:
				timer.Stop()
				return nil, c.failed(n)
			case n.Is == isTick:
				c.ticked(n.from, n.Tick)
			case n.Is == is:
				got[n.from], left = n.message, left-1
			default:
				c.early = append(c.early, n)
			}
		case <-timer.C:
			c.ring()
		case <-done:
			if interrupted == nil {
				timer.Stop()
				return nil, errStopped
			}
			done = nil
			interrupted()
		}
		timer.Stop()
	}
	return got, nil
}

func (c *crew) untilAlarm() time.Duration {
	at := forever
	for _, a := range c.alarms {
		at = min(at, a.at)
	}
	if at == forever {
		return time.Hour
	}
	return max(0, at-now())
}

func (c *crew) ring() {
	due := c.alarms
	c.alarms = nil
	for _, a := range due {
		if a.at <= now() {
			a.do()
		} else {
			c.alarms = append(c.alarms, a)
		}
	}
}

func (c *crew) lost(n news) error {
	return fmt.Errorf("worker %d of %d is gone: %w", n.from+1, len(c.members), n.err)
}

func (c *crew) failed(n news) error {
	url := strings.Join(c.opts.URL, ", ")
	if len(c.members) == 1 {
		return fmt.Errorf("%s: %s", url, n.Error)
	}
	return fmt.Errorf("%s: worker %d of %d: %s", url, n.from+1, len(c.members), n.Error)
}

// close ends the workers: without a coordinator they close their connections and go.
func (c *crew) close() {
	const patience = 5 * time.Second
	close(c.over)
	for _, m := range c.members {
		_ = m.to.Close()
	}
	late := time.After(patience)
	for _, m := range c.members {
		select {
		case <-m.ended:
			continue
		case <-late:
			if m.cmd != nil {
				_ = m.cmd.Process.Kill()
			}
		}
		<-m.ended
	}
	if c.launcher != nil {
		c.launcher.close()
	}
}

// share gives each member its part of n connections, the first n of all.
func (c *crew) upto(n int, m *member) int {
	lo, hi := m.n*c.spec.Conns/len(c.members), (m.n+1)*c.spec.Conns/len(c.members)
	return max(0, min(n, hi)-lo)
}

// connect opens the first n connections of all. It returns how long that took.
func (c *crew) connect(ctx context.Context, n int) (time.Duration, error) {
	began := now()
	c.phase, c.until = "connecting", 0
	for _, m := range c.members {
		m.tell(command{Do: doConnect, Upto: c.upto(n, m)})
	}
	_, err := c.await(ctx, isConnected, nil)
	return now() - began, err
}

// talk starts the load and waits until it is over, by time or by hand. It gives what each sender sent.
func (c *crew) talk(ctx context.Context, warmup, measured time.Duration) ([]uint32, error) {
	c.say(progressSending, c.spec.Conns)
	start := now() + settle
	from, to := start+warmup, start+warmup+measured
	c.phase, c.until = "measuring", to
	if warmup > 0 {
		c.phase = "warming up"
		c.alarms = append(c.alarms, alarm{from, func() { c.phase = "measuring" }})
	}
	c.series.measure(from)
	c.series.end = to
	c.alarms = append(c.alarms, alarm{from, c.series.from}, alarm{to, c.series.to})
	c.tell(command{Do: doStart, At: start, From: from, To: to})
	return c.stopped(ctx, from)
}

// stopped waits for the end of a load, and ends it when ctx does.
func (c *crew) stopped(ctx context.Context, from instant) ([]uint32, error) {
	tooEarly := false
	got, err := c.await(ctx, isStopped, func() {
		const together = 50 * time.Millisecond
		at := now() + together
		tooEarly = at <= from
		c.byHand = true
		c.tell(command{Do: doStop, At: at})
		c.alarms, c.series.end = []alarm{{at, c.series.to}}, at
	})
	if err != nil {
		return nil, err
	}
	if tooEarly {
		return nil, errStopped
	}
	c.alarms = nil
	c.series.to()
	sent := make([]uint32, c.spec.Senders)
	for _, m := range got {
		for _, by := range m.Sent {
			sent[by.Sender] = by.N
		}
	}
	return sent, nil
}

// finish lets everything arrive and collects the outcomes, as one.
func (c *crew) finish(sent []uint32, quiet time.Duration) (*report.Result, *outcome, error) {
	c.phase, c.until = "waiting for what is under way", 0
	c.tell(command{Do: doDrain, Sent: sent, Quiet: quiet})
	got, err := c.await(context.Background(), isResult, nil)
	if err != nil {
		return nil, nil, err
	}
	outcomes := make([]*outcome, len(got))
	for i, m := range got {
		outcomes[i] = m.Result
	}
	all := mergeOutcomes(outcomes)
	return c.result(outcomes, all), all, nil
}

func (c *crew) say(format string, a ...any) {
	if c.opts.Progress != nil {
		c.opts.Progress(fmt.Sprintf(format, a...))
	}
}
