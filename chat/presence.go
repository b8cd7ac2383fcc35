package chat

import (
	"encoding/json"

	"throng/engine"
	"throng/protocol/envelope"
)

// newsMax is how many people one piece of news names; in a larger move only the count is told.
const newsMax = 100

// stir has the room's news told with the next beat. The lock is held.
func (r *room) stir() {
	if !r.stirred {
		r.stirred = true
		r.server.news(r)
	}
}

// tellNews tells everybody who came and who went, here and on the other nodes.
func (r *room) tellNews(now int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stirred = false
	joined, left, waiting := r.crowd.news(now)
	if waiting {
		r.stir()
	}
	if len(joined)+len(left) == 0 && r.crowd.size() == r.crowd.toldCount {
		return
	}
	r.announce(joined, left)
	if r.server.shared() {
		news := presenceNews{Count: r.crowd.here()}
		for _, p := range joined {
			news.Joined = append(news.Joined, [2]string{p.user, p.name})
		}
		for _, p := range left {
			news.Left = append(news.Left, p.user)
		}
		text, _ := json.Marshal(news)
		r.server.cast(r.name, castPresence, text)
	}
}

// announce tells this node's members. The lock is held.
func (r *room) announce(joined, left []person) {
	r.crowd.toldCount = r.crowd.size()
	if r.enveloped.Load() == 0 {
		return
	}
	news := envelope.Presence{Count: r.crowd.toldCount}
	if len(joined)+len(left) <= newsMax {
		news.Joined, news.Left = named(joined), named(left)
	}
	r.tell(envelope.AppendPresence(nil, r.name, &news))
}

// named is how people are told of.
func named(people []person) []envelope.Person {
	var list []envelope.Person
	for _, p := range people {
		list = append(list, envelope.Person{User: p.user, Name: p.name})
	}
	return list
}

// members answers who is in a room.
func (s *session) members(req *envelope.Request) {
	name, ok := s.roomOf(req)
	if !ok {
		return
	}
	if !s.who.mayJoin(s.server.policies.of(name), name) {
		s.refuse(req.ID, name, envelope.Errorf(envelope.Denied, "you may not see who is in this room"))
		return
	}
	id := append([]byte(nil), req.ID...)
	s.asks()
	s.server.who(name, func(w present) {
		s.conn.Post(func(*engine.Conn) { s.sendLong(envelope.AppendMembers(nil, id, name, w.count, w.people, w.complete)) })
	})
}

// present is who is in a room on all nodes.
type present struct {
	people   []envelope.Person
	count    int
	complete bool
}

// who finds out who is in a room, and calls f with it, at once or, where other nodes are to be asked, later on another goroutine.
func (s *Server) who(name string, f func(present)) {
	if !s.shared() {
		r := s.rooms.find(name)
		if r == nil {
			f(present{complete: true})
			return
		}
		r.mu.Lock()
		w := r.crowd.present()
		r.mu.Unlock()
		f(w)
		return
	}
	s.asking.run(func() { f(s.askWho(name)) })
}

// summaryMax is how many people somebody who joins is told of. Who joins a larger crowd gets some of them, and may ask for all who are listed.
const summaryMax = 100

// summary is who is in the room, for somebody who has just joined.
func (c *crowd) summary() *envelope.Presence {
	news := envelope.Presence{Count: c.size(), Whole: true, Complete: c.complete()}
	c.list(func(user, name string) {
		if len(news.Members) == summaryMax {
			news.Complete = false
			return
		}
		news.Members = append(news.Members, envelope.Person{User: user, Name: name})
	})
	return &news
}

// present is who the crowd is.
func (c *crowd) present() present {
	w := present{count: c.size(), complete: c.complete()}
	c.list(func(user, name string) { w.people = append(w.people, envelope.Person{User: user, Name: name}) })
	return w
}
