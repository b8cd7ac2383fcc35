package chat

import (
	"context"
	"encoding/json"

	"throng/engine"
	"throng/protocol"
	"throng/protocol/envelope"
)

// What nodes tell each other of a room, beside what is stored. The first byte says what it is, the rest is a record or JSON; a kind that a node does
// not know is passed over, and so are fields, so that nodes of two versions can stand side by side.
const (
	castMessage  byte = 'm' // a record: something said in a room that is not recorded
	castSignal   byte = 's' // a record: a signal
	castPresence byte = 'p' // presenceNews: who is in the room on the node that says so
	castTell     byte = 't' // a node's name, to all nodes: that one shall say who is in its rooms
)

// presenceNews is what a node says of its people in a room: all of them, or how it changed.
type presenceNews struct {
	Count  int         `json:"count"`
	All    bool        `json:"all,omitempty"` // joined is everybody who is listed
	Joined [][2]string `json:"joined,omitempty"`
	Left   []string    `json:"left,omitempty"`
}

// shared reports whether there may be other nodes.
func (s *Server) shared() bool { return s.store != nil && s.store.Shared() }

// cast tells the other nodes that watch a room. What is lost is lost: nothing that is stored goes this way.
func (s *Server) cast(room string, kind byte, data []byte) {
	if !s.shared() {
		return
	}
	text := append(append(make([]byte, 0, 1+len(data)), kind), data...)
	if s.store.Cast(room, text) != nil {
		s.stats.castsLost.Add(1)
	}
}

// Cast takes what another node says of a room. Any goroutine. data is not kept.
func (s *Server) Cast(name, node string, data []byte) {
	defer s.caught("cast")
	if len(data) == 0 {
		return
	}
	kind, data := data[0], data[1:]
	if kind == castTell && name == "" && string(data) == s.cfg.Node {
		s.tellSoon()
		return
	}
	r := s.rooms.find(name)
	if r == nil || r.members() == 0 {
		return
	}
	b := buffers.Get().(*buffer)
	defer b.giveBack()
	if kind != castPresence && b.parsed.Parse(data) != nil {
		s.stats.foreign.Add(1)
		return
	}
	switch kind {
	case castMessage:
		b.record = append(b.record[:0], data...)
		what := s.contents(name, b)
		s.engine.PublishAt(name, 0, &what)
	case castSignal:
		b.text = envelope.AppendSignal(b.text[:0], name, data)
		s.engine.PublishAt(name, 0, &engine.Contents{engine.Enveloped: {Op: protocol.OpText, Data: b.text}})
	case castPresence:
		r.hear(node, data)
	}
}

// hear takes another node's word on who is in the room.
func (r *room) hear(node string, data []byte) {
	var news presenceNews
	if json.Unmarshal(data, &news) != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	joined, left := r.crowd.learn(node, &news)
	if len(joined)+len(left) > 0 || r.crowd.size() != r.crowd.toldCount {
		r.announce(joined, left)
	}
}

// learn notes what another node says, and returns who is new and who is gone by it.
func (c *crowd) learn(node string, news *presenceNews) (joined, left []person) {
	o := c.elsewhere[node]
	if o == nil {
		if c.elsewhere == nil {
			c.elsewhere = make(map[string]*outside)
		}
		o = &outside{people: make(map[string]string)}
		c.elsewhere[node] = o
	}
	o.count = news.Count
	there := make(map[string]bool, len(news.Joined))
	for _, who := range news.Joined[:min(len(news.Joined), listedMax)] {
		there[who[0]] = true
		if name, known := o.people[who[0]]; !known && len(o.people) < listedMax || known && name != who[1] {
			o.people[who[0]] = who[1]
			joined = append(joined, person{user: who[0], name: who[1]})
		}
	}
	gone := news.Left
	if news.All {
		for user := range o.people {
			if !there[user] {
				gone = append(gone, user)
			}
		}
	}
	for _, user := range gone {
		if name, known := o.people[user]; known {
			delete(o.people, user)
			left = append(left, person{user: user, name: name})
		}
	}
	if o.count == 0 && len(o.people) == 0 {
		delete(c.elsewhere, node)
	}
	return joined, left
}

// Asked answers another node that asks who is in a room: nil if nobody is. Any goroutine.
func (s *Server) Asked(name, _ string, _ []byte) []byte {
	defer s.caught("question")
	r := s.rooms.find(name)
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.crowd.empty() {
		return nil
	}
	return r.crowd.whole()
}

// whole is all that is to be said of this node's people.
func (c *crowd) whole() []byte {
	news := presenceNews{Count: c.here(), All: true}
	for _, p := range c.people {
		news.Joined = append(news.Joined, [2]string{p.user, p.name})
	}
	text, _ := json.Marshal(news)
	return text
}

// askAround asks the other nodes who is in the room there. The answers are told like any news. A node that has nobody in the room any more does not say so,
// and is known by that when all have answered.
func (r *room) askAround() {
	s := r.server
	if !s.shared() {
		return
	}
	s.asking.run(func() {
		ctx, cancel := context.WithTimeout(s.ctx, askTime)
		defer cancel()
		silent := r.elsewhere()
		err := s.store.Ask(ctx, r.name, nil, func(node string, reply []byte) {
			delete(silent, node)
			r.hear(node, reply)
		})
		if err == nil {
			r.notOn(silent)
		}
	})
}

// elsewhere are the other nodes on which somebody is said to be in the room.
func (r *room) elsewhere() map[string]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	nodes := make(map[string]bool, len(r.crowd.elsewhere))
	for node := range r.crowd.elsewhere {
		nodes[node] = true
	}
	return nodes
}

// notOn forgets those who are said to be on some nodes.
func (r *room) notOn(nodes map[string]bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var left []person
	for node := range nodes {
		_, gone := r.crowd.learn(node, &presenceNews{All: true})
		left = append(left, gone...)
	}
	if len(left) > 0 || r.crowd.size() != r.crowd.toldCount {
		r.announce(nil, left)
	}
}

// NodeCame is told that another node lives of which nothing was known, or nothing any more: with the next beat it is asked who is in its rooms. Any
// goroutine, and before UseStore too.
func (s *Server) NodeCame(node string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.came = append(s.came, node)
}

// tellSoon has the other nodes told with the next beat who is in the rooms here.
func (s *Server) tellSoon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tellAll = true
}

// tellWhole tells the other nodes all of this node's people in the room, if there are any.
func (r *room) tellWhole() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.crowd.empty() {
		r.server.cast(r.name, castPresence, r.crowd.whole())
	}
}

// NodeGone is told that another node is no more: its people are not here any longer. Any goroutine.
func (s *Server) NodeGone(node string) {
	s.rooms.each(func(r *room) {
		defer s.caught("node gone")
		r.mu.Lock()
		defer r.mu.Unlock()
		if _, known := r.crowd.elsewhere[node]; known {
			_, left := r.crowd.learn(node, &presenceNews{All: true})
			r.announce(nil, left)
		}
	})
}

// Connected is told that the store, and the other nodes, can be reached again, or not any more. Any goroutine.
func (s *Server) Connected(is bool) {
	if !is {
		return
	}
	s.tellSoon() // what was said of it meanwhile is lost
	s.rooms.each(func(r *room) {
		defer s.caught("connected")
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.members() == 0 {
			return
		}
		if r.state == roomClosed {
			r.open()
			return
		}
		r.askAround()
	})
}

// learnWhole takes a node's answer to who is in a room.
func (c *crowd) learnWhole(node string, reply []byte) {
	var news presenceNews
	if json.Unmarshal(reply, &news) == nil {
		c.learn(node, &news)
	}
}
