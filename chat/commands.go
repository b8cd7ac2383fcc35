package chat

import (
	"errors"
	"time"

	"throng/engine"
	"throng/protocol"
	"throng/protocol/envelope"
)

// Requests of throng.v1 are carried out one after the other, in the order in which a connection sends them. One that has to wait for the store keeps
// those behind it waiting (join), or is answered when its answer is there (publish, history, members).

// request takes one message of a client of throng.v1.
func (s *session) request(op protocol.Opcode, data []byte) {
	b := buffers.Get().(*buffer)
	defer b.giveBack()
	req := &b.request
	if op != protocol.OpText {
		s.refuse(nil, "", envelope.ErrBinary)
		return
	}
	if err := req.Parse(data); err != nil {
		s.refuseRequest(req, err)
		return
	}
	if s.who.user == "" && req.Type != envelope.Auth && req.Type != envelope.Ping {
		s.refuseRequest(req, envelope.Errorf(envelope.Unauthorized, "this server wants a token before anything else"))
		return
	}
	switch req.Type {
	case envelope.Join:
		s.join(req)
	case envelope.Leave:
		s.leave(req)
	case envelope.Publish:
		s.publish(req, b)
	case envelope.Signal:
		s.signal(req, b)
	case envelope.History:
		s.history(req)
	case envelope.Members:
		s.members(req)
	case envelope.Ping:
		s.send(envelope.AppendPong(b.text[:0], req.ID, s.server.clock().UnixMilli()))
	case envelope.Auth:
		s.auth(req)
	}
}

// refuse answers a request with an error.
func (s *session) refuse(id []byte, room string, err *envelope.Error) {
	s.server.stats.refusals.Add(1)
	s.send(envelope.AppendError(nil, id, []byte(room), nil, err))
}

// refuseRequest is refuse with all that the client may know the request by: a message that was refused is found by its key.
func (s *session) refuseRequest(req *envelope.Request, err *envelope.Error) {
	s.server.stats.refusals.Add(1)
	s.send(envelope.AppendError(nil, req.ID, req.Room, req.Key, err))
}

// roomOf checks the name of the room that a request is about, and answers if it is none.
func (s *session) roomOf(req *envelope.Request) (name string, ok bool) {
	if refused := checkRoom(req.Room); refused != nil {
		s.refuseRequest(req, envelope.Errorf(envelope.BadName, "%s", refused.Text))
		return "", false
	}
	return string(req.Room), true
}

// join is what a join asks for, kept while the room is being opened.
type join struct {
	id       []byte
	name     string
	hasSince bool
	epoch    string
	since    uint64
	last     int
	began    time.Time
	look     uint64 // at the store that has to be over before the client is believed to be ahead of it; 0: none
	held     bool
}

func (s *session) join(req *envelope.Request) {
	name, ok := s.roomOf(req)
	if !ok {
		return
	}
	p := s.server.policies.of(name)
	switch {
	case !s.who.mayJoin(p, name):
		s.refuse(req.ID, name, envelope.Errorf(envelope.Denied, "you may not join this room"))
		return
	case s.seat(name) != nil && (req.HasSince || req.Last > 0):
		s.refuse(req.ID, name, envelope.Errorf(envelope.AlreadyJoined, "you are in this room already, and have its messages as they come"))
		return
	case s.seat(name) == nil && len(s.seats) >= s.server.cfg.RoomsPerConnection:
		s.refuse(req.ID, name, envelope.Errorf(envelope.TooManyRooms, "a connection may be in %d rooms", s.server.cfg.RoomsPerConnection))
		return
	}
	j := &join{id: append([]byte(nil), req.ID...), name: name, hasSince: req.HasSince, since: req.Since.Seq, last: req.Last, began: s.server.clock()}
	if req.HasSince {
		j.epoch = string(req.Since.Epoch)
	}
	s.tryJoin(j)
}

// tryJoin joins, now or when the room is ready; until then no more is read from the connection.
func (s *session) tryJoin(j *join) {
	for {
		r := s.server.rooms.get(s.server, j.name)
		now, err := r.whenReady(j.hasSince || j.last > 0, func(err error) {
			s.conn.Post(func(*engine.Conn) { s.goOn(j, r, err) })
		})
		if errors.Is(err, errForgotten) {
			continue
		}
		if now {
			s.goOn(j, r, nil)
		} else if !j.held {
			j.held = true
			s.conn.Hold()
		}
		return
	}
}

// goOn finishes a join whose room is ready, or is not to be had.
func (s *session) goOn(j *join, r *room, err error) {
	switch {
	case err != nil:
		s.refuse(j.id, j.name, unreadableNow(err))
	case s.conn.Open():
		again, why := s.sit(j, r)
		if again {
			if !j.held {
				j.held = true
				s.conn.Hold()
			}
			s.server.later(aheadEvery, func() { s.conn.Post(func(*engine.Conn) { s.tryJoin(j) }) })
			return
		}
		if why != nil {
			s.refuse(j.id, j.name, why)
		}
	}
	if j.held {
		j.held = false
		s.conn.Proceed()
	}
}

const (
	// aheadTime is how long a client waits that has seen more of a room than this node. What it has seen was stored before it came, so an answer to a question
	// that was put to the store after that says whether there is such a number. Without one the client is told to come back later: numbers that begin anew
	// would bring it all messages a second time.
	aheadTime  = 6 * time.Second
	aheadEvery = 20 * time.Millisecond
)

// sit takes the place in the room, answers, and brings what was missed. It reports again if the room was forgotten in between or has not come so far
// as the client yet.
func (s *session) sit(j *join, r *room) (again bool, why *envelope.Error) {
	b := buffers.Get().(*buffer)
	defer b.giveBack()
	missed, pos, again, why := s.takePlace(j, r, b)
	if again || why != nil {
		return again, why
	}
	_ = s.conn.SendAll(protocol.OpText, b.text, b.ends)
	s.bring(r, &missed, pos)
	return false, nil
}

// takePlace is the part of sit that holds the room's lock. It leaves the answer in b, and returns what was missed behind pos.
func (s *session) takePlace(j *join, r *room, b *buffer) (missed missed, pos uint64, again bool, why *envelope.Error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state != roomOpen {
		return missed, 0, true, nil
	}
	if j.hasSince && j.epoch == r.epoch && j.since > r.head && r.recorded() {
		if j.look == 0 {
			j.look = r.looks + 1
		}
		if r.looked < j.look {
			late := s.server.clock().Sub(j.began) > aheadTime
			if !late {
				r.lookAgain()
			}
			if late {
				return missed, 0, false, unreadableNow(ErrUnavailable)
			}
			return missed, 0, true, nil
		}
	}
	pos = r.head
	if s.seat(j.name) == nil {
		if most := r.policy.MaxMembers; most > 0 && r.members() >= most {
			return missed, 0, false, envelope.Errorf(envelope.Full, "this room takes %d members", most)
		}
		in := false
		if pos, in = s.enter(r, j.seen(r)); !in {
			return missed, 0, true, nil
		}
	}
	answer := envelope.Joined{Room: r.name, Recorded: r.recorded(), Name: s.name(r), Count: r.crowd.size()}
	if answer.Recorded {
		answer.Epoch, answer.Seq = r.epoch, pos
		missed = r.missedBy(j, pos)
		switch answer.Replay = len(missed.messages); {
		case missed.newest > 0:
			answer.Replay = missed.newest // as many as there are, up to it
		case missed.stored:
			answer.Replay = -1 // how many the store has is not known
		}
	}
	b.text = envelope.AppendJoined(b.text[:0], j.id, &answer)
	b.ends = append(b.ends[:0], len(b.text))
	b.text = envelope.AppendPresence(b.text, r.name, r.crowd.summary())
	b.ends = append(b.ends, len(b.text))
	return missed, pos, false, nil
}

// seen is the newest message of a room that the client has had, as far as the room has come. The room's lock is held.
func (j *join) seen(r *room) uint64 {
	if j.hasSince && j.epoch == r.epoch && j.since <= r.head {
		return j.since
	}
	return 0
}

// enter makes the connection a member. It returns the number behind which it gets every message; and false if what it has seen is still on its way to this
// loop, or if what is on its way there is of an earlier numbering. The room's lock is held.
func (s *session) enter(r *room, seen uint64) (pos uint64, in bool) {
	topic, at := s.conn.JoinAt(r.name, r.newest)
	if pos, in = r.numberAt(at); !in || pos < seen {
		s.conn.Leave(topic)
		return 0, false
	}
	shown, listed := r.crowd.enter(s.who.user, s.who.name)
	s.setShown(r, shown)
	s.add(seat{room: r, topic: topic, listed: listed})
	r.topic.Store(topic)
	r.enveloped.Add(1)
	r.empty = 0
	r.stir()
	return pos, true
}

// leave takes a connection out of the room.
func (r *room) leave(place *seat, user string, goodbye bool) {
	now := r.server.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.enveloped.Add(-1)
	r.crowd.leave(user, place.listed, goodbye, now)
	r.lastOut(now)
	r.stir()
}

// lastOut notes that nobody of this node is in the room any more. The lock is held.
func (r *room) lastOut(now int64) {
	if r.members() == 0 && r.empty == 0 {
		if r.empty = now; !r.emptied {
			r.emptied = true
			r.server.emptied(r)
		}
	}
}

func (s *session) leave(req *envelope.Request) {
	name, ok := s.roomOf(req)
	if !ok {
		return
	}
	for i := range s.seats {
		if s.seats[i].room.name == name {
			s.giveUp(i)
			s.send(envelope.AppendOK(nil, req.ID, name))
			return
		}
	}
	s.refuse(req.ID, name, envelope.Errorf(envelope.NotJoined, "you are not in this room"))
}

// giveUp takes the connection out of one of its rooms.
func (s *session) giveUp(i int) {
	place := s.seats[i]
	s.conn.Leave(place.topic)
	if past := s.pasts[place.room]; past != nil {
		past.stop()
	}
	place.room.leave(&place, s.who.user, true)
	delete(s.names, place.room)
	last := len(s.seats) - 1
	s.seats[i], s.seats[last] = s.seats[last], seat{}
	s.seats = s.seats[:last]
}

// retryAfter says when a client may try again what was refused.
func retryAfter(err *envelope.Error, wait time.Duration) *envelope.Error {
	err.Retry = wait
	return err
}

// unreadableNow is refusalOf where something was to be read, and nothing stored.
func unreadableNow(err error) *envelope.Error {
	if errors.Is(err, ErrUnavailable) {
		return retryAfter(envelope.Errorf(envelope.Unavailable, "the room's messages cannot be had at the moment"), time.Second)
	}
	return retryAfter(envelope.Errorf(envelope.Unavailable, "the room's messages could not be read"), time.Second)
}

// refusalOf tells a client what the store's refusal means to it.
func refusalOf(err error) *envelope.Error {
	switch {
	case errors.Is(err, ErrStoreFull):
		return envelope.Errorf(envelope.StoreFull, "the room's history has no room left")
	case errors.Is(err, ErrTooBig):
		return envelope.Errorf(envelope.TooBig, "with what belongs to it the message is more than the store takes")
	case errors.Is(err, ErrUnavailable):
		return retryAfter(envelope.Errorf(envelope.Unavailable, "messages cannot be stored at the moment"), time.Second)
	}
	return retryAfter(envelope.Errorf(envelope.Unavailable, "the message could not be stored"), time.Second)
}
