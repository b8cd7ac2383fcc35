package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"throng/bench/report"
)

// Resume says how to let everybody in a recorded room lose the connection, miss some messages, and come back at once for them, while one who stayed
// goes on talking:
//
//	join ──▶ drop all ──▶ say Missed messages ──▶ all come back with the last number they had ──▶ all have had what was said
//	one stays, talks at Rate, and hears itself: the live room
type Resume struct {
	Options
	Conns  int
	Missed int
	Rate   float64
}

type resumption struct {
	*envoys
	cfg     *Resume
	room    string
	epoch   string
	last    []uint64 // by envoy
	joined  int
	acked   int
	sent    int
	until   uint64 // what was missed ends with this message; 0: not yet
	began   instant
	waiting int // envoys that have not had it
	back    hist
	live    hist // of the one who stayed, while the others come back
	heardAt instant
	silence time.Duration
	next    instant
	faults  report.Faults
}

// Run joins, drops, talks, and sees all come back.
func (cfg Resume) Run(ctx context.Context) (*report.Result, error) {
	if cfg.Conns < 1 || cfg.Missed < 1 || !countable(cfg.Rate) || cfg.Rate == 0 {
		return nil, errors.New("--conns, --missed and --rate: want more than 0")
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	watch, err := newWatch(cfg.PID, cfg.Metrics)
	if err != nil {
		return nil, err
	}
	v, err := newEnvoys(ctx, cfg.URL[0], cfg.Conns+1)
	if err != nil {
		return nil, err
	}
	defer v.close()
	s := &resumption{envoys: v, cfg: &cfg, room: fmt.Sprintf("hall-%x", rand.Uint32()), last: make([]uint64, cfg.Conns+1), back: newHist(), live: newHist(), next: forever}
	v.heard, v.opened = s.hear, s.join
	r := &report.Result{Format: report.Format, Scenario: "resume", Began: time.Now(), URL: cfg.URL, Name: cfg.Name, Settings: cfg.settings,
		Machine: machine(), Workers: 1, Conns: cfg.Conns, Rooms: 1, Rate: cfg.Rate}
	if err := s.measure(ctx, watch, r); err != nil {
		return nil, err
	}
	r.Sent, r.Acked, r.Faults = uint64(s.sent), uint64(s.acked), s.faults
	return r, nil
}

// stayer is the one who stays.
func (s *resumption) stayer() *envoy { return &s.all[s.cfg.Conns] }

func (s *resumption) measure(ctx context.Context, watch *watch, r *report.Result) error {
	if s.cfg.Progress != nil {
		s.cfg.Progress(fmt.Sprintf("connecting %d", s.cfg.Conns))
	}
	if err := s.connect(ctx, 0, s.cfg.Conns+1); err != nil {
		return err
	}
	if err := s.await(ctx, storePatience, "joins", func() bool { return s.joined == s.cfg.Conns+1 }); err != nil {
		return err
	}
	for i := range s.cfg.Conns {
		s.drop(&s.all[i])
	}
	for range s.cfg.Missed {
		if err := s.speak(); err != nil {
			return err
		}
	}
	if err := s.await(ctx, storePatience, "acknowledgements", func() bool { return s.acked == s.sent }); err != nil {
		return err
	}
	if err := s.run(ctx, now()+settle, func() bool { return false }); err != nil { // the server sees who is gone
		return err
	}
	before, err := watch.look()
	if err != nil {
		return err
	}
	if s.cfg.Progress != nil {
		s.cfg.Progress(fmt.Sprintf("all %d come back", s.cfg.Conns))
	}
	client := ownCPU()
	s.until, s.waiting, s.began = s.last[s.cfg.Conns], s.cfg.Conns, now()
	s.next, s.heardAt = s.began, s.began
	if err := s.connect(ctx, 0, s.cfg.Conns); err != nil {
		return err
	}
	if err := s.await(ctx, stormGiveUp, "clients to catch up", func() bool { return s.waiting == 0 }); err != nil {
		return err
	}
	took := now() - s.began
	after, err := watch.look()
	if err != nil {
		return err
	}
	s.hush()
	r.Seconds, r.ClientBusy = took.Seconds(), (ownCPU()-client).Seconds()/took.Seconds()
	r.ClientCPU, r.ServerCPU = r.ClientBusy, (after.cpu-before.cpu).Seconds()/took.Seconds()
	r.Resume = &report.Resume{Clients: s.cfg.Conns, Missed: s.cfg.Missed, CaughtUp: report.SpreadOf(s.back.Histogram), AllCaughtUp: float64(took) / 1e3,
		Live: report.SpreadOf(s.live.Histogram), Silence: float64(s.silence) / 1e3}
	s.next = forever
	return s.await(ctx, storePatience, "acknowledgements", func() bool { return s.acked == s.sent })
}

// await goes on until something is so, while the one who stayed talks.
func (s *resumption) await(ctx context.Context, patience time.Duration, what string, so func() bool) error {
	for end := now() + patience; !so(); {
		if now() > end {
			return fmt.Errorf("waited %s in vain for %s; %d have not caught up", patience, what, s.waiting)
		}
		if err := s.turn(ctx, min(s.next, now()+sleepMax)); err != nil {
			return err
		}
		if err := s.talk(); err != nil {
			return err
		}
	}
	return nil
}

// talk says what is due.
func (s *resumption) talk() error {
	for s.next <= now() {
		s.next += instant(float64(time.Second) / s.cfg.Rate)
		if err := s.speak(); err != nil {
			return err
		}
	}
	return nil
}

func (s *resumption) speak() error {
	s.sent++
	return s.say(s.stayer(), appendPublish(nil, s.room, now()))
}

// join joins, with what the envoy had before it was dropped.
func (s *resumption) join(e *envoy) {
	since := ""
	if s.epoch != "" && s.until > 0 {
		since = fmt.Sprintf(`,"since":{"epoch":"%s","seq":%d}`, s.epoch, s.last[e.index])
	}
	if err := s.say(e, fmt.Appendf(nil, `{"type":"join","id":1,"room":"%s"%s}`, s.room, since)); err != nil {
		s.fault = err
	}
	if err := s.talk(); err != nil {
		s.fault = err
	}
}

func (s *resumption) hear(e *envoy, p []byte) error {
	if m, ok := parseTold(p); ok {
		s.message(e, m)
		return s.fault
	}
	id, _, isOK := cutNumber(bytes.TrimPrefix(p, okHead), []byte(`"id":`))
	switch {
	case bytes.HasPrefix(p, okHead) && isOK && id == 0:
		s.acked++
	case bytes.HasPrefix(p, okHead) && isOK && s.until == 0:
		var ok struct {
			Seq   uint64
			Epoch string
		}
		if err := json.Unmarshal(p, &ok); err != nil {
			return err
		}
		s.last[e.index], s.epoch = ok.Seq, ok.Epoch
		s.joined++
	case bytes.HasPrefix(p, gapHead):
		s.faults.Lost++
	default:
		return wrong(p)
	}
	return s.fault
}

// message checks that a message is the one behind the last, and notes who has caught up.
func (s *resumption) message(e *envoy, m told) {
	t, last := now(), &s.last[e.index]
	before := *last
	switch {
	case m.seq <= before:
		s.faults.Duplicated++
		return
	case m.prev != before:
		s.faults.Lost++
	}
	*last = m.seq
	switch {
	case s.until == 0:
	case e == s.stayer():
		s.live.record(t - m.said)
		s.hush()
	case before < s.until && m.seq >= s.until:
		s.back.record(t - s.began)
		s.waiting--
	}
}

// hush notes how long the live room has said nothing.
func (s *resumption) hush() {
	t := now()
	s.silence = max(s.silence, t-s.heardAt)
	s.heardAt = t
}
