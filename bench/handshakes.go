package bench

import (
	"context"
	"errors"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Handshakes says how to measure accepted handshakes: so many at a time connect, ask, take the answer, and go by a
// reset, over and over.
type Handshakes struct {
	URL        string
	Concurrent int
	Warmup     time.Duration
	For        time.Duration
	PID        int
	Progress   func(string, ...any)
}

type shakes struct {
	*client
	begun   []time.Duration // by connection
	done    uint64
	redial  []*conn // refused: tried again in the next turn
	latency *hdrhistogram.Histogram
}

// Run measures. Handshakes that the server refused are faults, by the reason it gave, and not counted.
func (cfg Handshakes) Run(ctx context.Context) (*Result, error) {
	if cfg.Concurrent < 1 || cfg.For <= 0 {
		return nil, errors.New("--concurrent and --for: want more than 0")
	}
	if err := needDescriptors(cfg.Concurrent); err != nil {
		return nil, err
	}
	t, err := newTarget(ctx, cfg.URL)
	if err != nil {
		return nil, err
	}
	c, err := newClient(t, cfg.Concurrent)
	if err != nil {
		return nil, err
	}
	s := &shakes{client: c, begun: make([]time.Duration, cfg.Concurrent), latency: hdrhistogram.New(1000, int64(latencyMax), 3)}
	defer s.watch(ctx)()
	s.frames, s.planned = s.accepted, s.again
	s.dropped = func(c *conn) { s.redial = append(s.redial, c) }
	s.brief = true
	for i := range s.conns {
		s.redial = append(s.redial, &s.conns[i])
	}
	if cfg.Progress != nil {
		cfg.Progress("%d handshakes at a time", cfg.Concurrent)
	}
	return s.measure(cfg)
}

func (s *shakes) measure(cfg Handshakes) (*Result, error) {
	s.again()
	if err := s.run(s.clock()+cfg.Warmup, never); err != nil {
		return nil, err
	}
	from, err := s.mark(cfg.PID)
	if err != nil {
		return nil, err
	}
	s.latency.Reset()
	clear(s.reasons)
	if err := s.run(from.at+cfg.For, never); err != nil {
		return nil, err
	}
	to, err := s.mark(cfg.PID)
	if err != nil {
		return nil, err
	}
	r := &Result{Scenario: "handshakes", URL: s.target.url.String(), Conns: cfg.Concurrent, Latency: spread(s.latency)}
	r.between(from, to)
	r.Deliveries = 0
	r.Faults.Disconnected = s.reasons
	r.note()
	return r, nil
}

func (s *shakes) mark(pid int) (mark, error) { return newMark(s.clock(), s.done, pid) }

// accepted counts an upgrade and goes on with the next.
func (s *shakes) accepted(c *conn, _ []byte) ([]byte, error) {
	s.done++
	s.open--
	_ = s.latency.RecordValue(int64(min(s.clock()-s.begun[c.index], latencyMax)))
	rawReset(c.fd)
	c.fd, c.left, c.out = -1, nil, nil
	s.redial = append(s.redial, c)
	return nil, nil
}

func (s *shakes) again() {
	for _, c := range s.redial {
		s.begun[c.index] = s.clock()
		if err := s.dial(c); err != nil {
			s.err = err
		}
	}
	s.redial = s.redial[:0]
}
