package chat

import (
	"throng/engine"
	"throng/protocol"
	"throng/protocol/envelope"
)

// publish says something in a room.
//
//	recorded   record ──▶ store ──▶ Stored ──▶ fanned out on every node
//	                        └─────▶ answered: stored, numbered
//	ephemeral  record ──▶ fanned out here, cast to the other nodes ──▶ answered: not stored
func (s *session) publish(req *envelope.Request, b *buffer) {
	name, ok := s.roomOf(req)
	if !ok {
		return
	}
	srv := s.server
	place := s.seat(name)
	p := srv.policies.of(name)
	if !s.who.mayPublish(p, name, place != nil) {
		s.refuseSpeech(req, p, place)
		return
	}
	shown := s.who.name
	if place != nil {
		shown = s.name(place.room)
	}
	b.record = envelope.AppendRecord(b.record[:0], &envelope.Record{
		Time: srv.clock().UnixMilli(), User: []byte(s.who.user), Name: []byte(shown), Key: req.Key, Body: req.Body,
	})
	if p.stream < 0 || srv.store == nil {
		s.say(name, place, b)
		s.send(envelope.AppendPublished(b.text[:0], req.ID, name, 0, false))
		return
	}
	a := answer{id: append([]byte(nil), req.ID...), room: name}
	id := ""
	if len(req.Key) > 0 {
		a.key = append([]byte(nil), req.Key...)
		id = publishID(name, s.who.user, string(req.Key))
	}
	if s.inFlight++; s.inFlight >= inFlightMax && !s.held {
		s.held = true
		s.conn.Hold()
	}
	s.awaitEase(name, place)
	srv.stats.published.Add(1)
	srv.store.Publish(p.stream, name, id, b.record, func(receipt Receipt, err error) {
		srv.stats.answered(receipt, err)
		a.receipt, a.err = receipt, err
		s.answered(a)
	})
	s.conn.GiveWay()
}

// publishID is what the store knows a message by when it is sent again. Neither rooms nor users have spaces in them, keys may: the end is marked, since what
// carries the id takes spaces off its ends.
func publishID(room, user, key string) string { return room + " " + user + " " + key + "." }

// refuseSpeech says why somebody may not speak in a room.
func (s *session) refuseSpeech(req *envelope.Request, p *Policy, place *seat) {
	if place == nil && p.Publish == Members && s.who.mayJoin(p, string(req.Room)) {
		s.refuseRequest(req, envelope.Errorf(envelope.NotJoined, "only members may speak in this room"))
		return
	}
	s.refuseRequest(req, envelope.Errorf(envelope.Denied, "you may not speak in this room"))
}

// say fans out what is not stored: here, and on the other nodes.
func (s *session) say(name string, place *seat, b *buffer) {
	srv := s.server
	what := srv.contents(name, b)
	if place != nil {
		s.conn.PublishForms(place.topic, &what)
	} else {
		srv.engine.PublishAt(name, 0, &what)
		s.awaitEase(name, nil)
	}
	srv.stats.ephemeral.Add(1)
	srv.cast(name, castMessage, b.record)
}

// awaitEase has the connection wait while a room's members cannot follow: what is said goes by a door that refuses nothing, and would grow behind it.
func (s *session) awaitEase(name string, place *seat) {
	if place != nil {
		s.conn.AwaitEase(place.topic)
	} else if r := s.server.rooms.find(name); r != nil && r.members() > 0 {
		if t := r.topic.Load(); t != nil {
			s.conn.AwaitEase(t)
		}
	}
}

// contents is what the members of a room get of the record in b.
func (s *Server) contents(name string, b *buffer) (what engine.Contents) {
	b.text = envelope.AppendEphemeral(b.text[:0], name, b.record)
	what[engine.Enveloped] = engine.Content{Op: protocol.OpText, Data: b.text}
	what[engine.Raw] = b.raw(b.record)
	return what
}

// raw is what a record is for clients that speak no throng.v1: the text, the JSON as text, or the data. It is valid until the buffer is used again.
func (b *buffer) raw(record []byte) engine.Content {
	if b.parsed.Parse(record) != nil { // of another version: not ours to guess at
		return engine.Content{}
	}
	text := false
	if b.payload, text = b.parsed.AppendRaw(b.payload[:0]); text {
		return engine.Content{Op: protocol.OpText, Data: b.payload}
	}
	return engine.Content{Op: protocol.OpBinary, Data: b.payload}
}

// giveBack returns a buffer to the pool, unless a huge message blew it up.
func (b *buffer) giveBack() {
	if cap(b.text)+cap(b.record)+cap(b.payload) <= requestBytesKept {
		buffers.Put(b)
	}
}

// signal passes something on that is not kept, such as that somebody is typing. The sender gets it as well, on all devices.
func (s *session) signal(req *envelope.Request, b *buffer) {
	name, ok := s.roomOf(req)
	if !ok {
		return
	}
	srv := s.server
	place := s.seat(name)
	if p := srv.policies.of(name); !s.who.mayPublish(p, name, place != nil) {
		s.refuseSpeech(req, p, place)
		return
	}
	shown := s.who.name
	if place != nil {
		shown = s.name(place.room)
	}
	b.record = envelope.AppendRecord(b.record[:0], &envelope.Record{Time: srv.clock().UnixMilli(), User: []byte(s.who.user), Name: []byte(shown), Body: req.Body})
	b.text = envelope.AppendSignal(b.text[:0], name, b.record)
	srv.engine.PublishAt(name, 0, &engine.Contents{engine.Enveloped: {Op: protocol.OpText, Data: b.text}})
	s.awaitEase(name, place)
	srv.cast(name, castSignal, b.record)
	s.send(envelope.AppendOK(b.text[:0], req.ID, name))
}
