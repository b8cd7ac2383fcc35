package chat

import (
	"context"
	"time"
)

// beatEvery is how often what need not happen at once is done. It is also the most that news of who came and went is told of a room.
const beatEvery = time.Second

// times are what tests change of how long things take.
type times struct{ beat, linger time.Duration }

var usualTimes = times{beat: beatEvery, linger: lingerTime}

// beat does what goes by time, once a second: it tells who came and went, forgets rooms that nobody needs, looks at tokens that expire, and tries again what
// the store refused. It runs on a goroutine of its own.
func (s *Server) beat() {
	defer s.beating.Done()
	tick := time.NewTicker(s.times.beat)
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
			s.beatOnce()
		}
	}
}

func (s *Server) beatOnce() {
	s.mu.Lock()
	news, deserted, retry, came, whole := s.newsOf, s.deserted, s.retry, s.came, s.tellAll
	s.newsOf, s.deserted, s.retry, s.came, s.tellAll = nil, nil, nil, nil, false
	s.mu.Unlock()
	now := s.now()
	for _, r := range news {
		s.guarded("news", func() { r.tellNews(now) })
	}
	for _, r := range deserted {
		s.guarded("deserted room", func() {
			if !s.rooms.forget(r, now) {
				r.stayEmpty()
			}
		})
	}
	for _, r := range retry {
		s.guarded("another try", r.tryAgain)
	}
	for _, node := range came {
		s.guarded("cast", func() { s.cast("", castTell, []byte(node)) })
	}
	if whole {
		s.rooms.each(func(r *room) { s.guarded("presence", r.tellWhole) })
	}
	s.guarded("memory", s.shareMemory)
	s.guarded("alarms", func() { s.ringAlarms(s.clock()) })
}

// news is told that a room has something to tell. The room's lock is held.
func (s *Server) news(r *room) {
	s.mu.Lock()
	s.newsOf = append(s.newsOf, r)
	s.mu.Unlock()
}

// emptied is told that nobody is in a room any more, once until it has been looked at. The room's lock is held, or nobody knows the room yet.
func (s *Server) emptied(r *room) {
	s.mu.Lock()
	s.deserted = append(s.deserted, r)
	s.mu.Unlock()
}

// again has a room's business with the store tried again with the next beat. The room's lock is held.
func (s *Server) again(r *room) {
	s.mu.Lock()
	s.retry = append(s.retry, r)
	s.mu.Unlock()
}

// stayEmpty has a room that is too young to be forgotten looked at again, if still nobody is in it.
func (r *room) stayEmpty() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.empty == 0 {
		r.emptied = false
		return
	}
	r.server.emptied(r)
}

// tryAgain opens a room that could not be opened, or fetches what could not be fetched.
func (r *room) tryAgain() {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.state == roomClosed && r.members() > 0:
		r.open()
	case r.state == roomOpen && r.pending != nil:
		r.mend()
	}
}

// askWho asks the other nodes who is in a room, and adds who is here. It may block.
func (s *Server) askWho(name string) present {
	ctx, cancel := context.WithTimeout(s.ctx, askTime)
	defer cancel()
	var all crowd
	answers := make(chan answerOf, 16)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for a := range answers {
			s.guarded("answer", func() { all.learnWhole(a.node, a.reply) })
		}
	}()
	_ = s.store.Ask(ctx, name, nil, func(node string, reply []byte) { answers <- answerOf{node, append([]byte(nil), reply...)} })
	close(answers)
	<-done
	if r := s.rooms.find(name); r != nil {
		r.mu.Lock()
		all.people, all.byUser, all.nameless = append([]person(nil), r.crowd.people...), nil, r.crowd.nameless
		r.mu.Unlock()
	}
	return all.present()
}

// answerOf is what a node answered.
type answerOf struct {
	node  string
	reply []byte
}
