package bench

import "time"

// storm is everybody dropped at one instant and coming back at once. Senders stay: a message to come back for is on
// its way all the time.
type storm struct {
	at                 instant
	clients            int
	back, served       hist
	away, hungry       int           // not upgraded again; not served again
	notBack, notServed int           // the same, of the storms before
	allBack, allFed    time.Duration // the longest that it took since the drop
}

// stormOutcome is what a worker saw of its storms.
type stormOutcome struct {
	Clients, Away, Hungry int
	Back, Served          hist
	AllBack, AllServed    time.Duration
	Attempts              int
}

// stormAt drops all receivers when the time has come, and returns when they are back and served, or it was given up.
func (w *worker) stormAt(c command) error {
	if err := w.run(c.At, never); err != nil {
		return err
	}
	if w.storm == nil {
		w.storm = &storm{back: newHist(), served: newHist()}
	}
	s := w.storm
	if w.from.At == 0 {
		w.from = w.mark()
	}
	s.notBack, s.notServed = s.notBack+s.away, s.notServed+s.hungry
	s.at, s.clients, s.away, s.hungry = c.At, 0, 0, 0
	for i := range w.conns {
		if one := &w.conns[i]; one.sender < 0 {
			if one.fd >= 0 {
				w.forget(one)
				w.shut(one, true)
				w.comeBack(one, c.At)
			}
			one.back = true
			s.clients++
		}
	}
	s.away, s.hungry = s.clients, s.clients
	err := w.run(c.At+c.Give, func() bool { return s.hungry == 0 || w.stopping() })
	w.to = w.mark()
	if err == nil {
		w.box.put(message{Is: isStormed, Open: w.open})
	}
	return err
}

func (w *worker) forget(c *conn) { w.check.faults.Lost += w.check.forget(c) }

// returned counts one that was upgraded again.
func (s *storm) returned(t instant) {
	s.back.record(t - s.at)
	if s.away--; s.away == 0 {
		s.allBack = max(s.allBack, t-s.at)
	}
}

// fed counts one that got its first message again.
func (s *storm) fed(t instant) {
	s.served.record(t - s.at)
	if s.hungry--; s.hungry == 0 {
		s.allFed = max(s.allFed, t-s.at)
	}
}

func (s *storm) outcome(w *worker) *stormOutcome {
	return &stormOutcome{
		Clients: s.clients, Away: s.notBack + s.away, Hungry: s.notServed + s.hungry, Back: s.back, Served: s.served,
		AllBack: s.allBack, AllServed: s.allFed, Attempts: w.dialing.attempts,
	}
}
