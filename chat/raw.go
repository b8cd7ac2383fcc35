package chat

import (
	"sync/atomic"

	"throng/engine"
	"throng/protocol"
	"throng/protocol/envelope"
)

// A client that speaks no throng.v1 says text and hears text. It is in the room of its path for as long as it lives. Its value with the engine is the
// room itself, until it is more than a listener: a speaker has something to wait for, and a user has a name.

// speaker is a raw client that has said something, or has an identity. Owned by the connection's loop, but for what the comment says.
type speaker struct {
	conn *engine.Conn
	room *room
	who  identity

	inFlight atomic.Int32 // messages that the store has not answered; any goroutine
	held     atomic.Bool  // not read from until it has; any goroutine
	failed   atomic.Bool  // told to go, since something it said was not stored; any goroutine
}

// identity is who a raw client is; one that has said nothing and brought no token is some guest.
func (sp *speaker) identity() *identity {
	if sp == nil {
		return &anybody
	}
	return &sp.who
}

// anybody is what all guests have in common.
var anybody = identity{guest: true}

// roomOfRaw returns the room that a raw client is in.
func roomOfRaw(value any) *room {
	switch v := value.(type) {
	case *room:
		return v
	case *speaker:
		return v.room
	}
	return nil
}

// enterRaw brings a raw client into its room. It hears what is said from now on.
func (s *Server) enterRaw(c *engine.Conn, name string, who identity) {
	for {
		r := s.rooms.get(s, name)
		// Nobody waits for a raw client's room: what is said before it is open reaches its members when it is.
		if _, err := r.whenReady(false, func(error) {}); err != nil {
			continue
		}
		in, forgotten := r.letIn(c)
		if forgotten {
			continue
		}
		if !in {
			c.Close(closeUnavailable, errFull.Text)
			return
		}
		c.SetValue(r)
		if who.claims != nil {
			sp := &speaker{conn: c, room: r, who: who}
			c.SetValue(sp)
			sp.watchExpiry()
		}
		return
	}
}

// letIn makes a raw client a member, unless the room is full: others may have come in the same moment. One that was forgotten takes nobody.
func (r *room) letIn(c *engine.Conn) (in, forgotten bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state == roomForgotten {
		return false, true
	}
	if most := r.policy.MaxMembers; most > 0 && r.members() >= most {
		return false, false
	}
	topic, _ := c.JoinAt(r.name, r.newest)
	r.topic.Store(topic)
	r.raw.Add(1)
	r.crowd.nameless++
	r.empty = 0
	r.stir()
	return true, false
}

// leaveRaw takes a raw client out of its room.
func (r *room) leaveRaw() {
	now := r.server.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.raw.Add(-1)
	r.crowd.nameless--
	r.lastOut(now)
	r.stir()
}

// hearRaw takes what a raw client says.
func (s *Server) hearRaw(c *engine.Conn, op protocol.Opcode, data []byte) {
	r := roomOfRaw(c.Value())
	if r == nil {
		return
	}
	sp, isSpeaker := c.Value().(*speaker)
	if who := sp.identity(); !who.mayPublish(r.policy, r.name, true) {
		c.Close(closeDenied, "you may not speak in this room")
		return
	}
	if !r.recorded() && r.enveloped.Load() == 0 && !s.shared() {
		c.Publish(r.topic.Load(), op, data) // among raw clients of one node nothing is wrapped
		return
	}
	if !isSpeaker {
		sp = &speaker{conn: c, room: r, who: identity{user: "~" + c.ID().String(), name: guestName, guest: true}}
		c.SetValue(sp)
	}
	b := buffers.Get().(*buffer)
	defer b.giveBack()
	b.record = envelope.AppendRecord(b.record[:0], &envelope.Record{
		Time: s.clock().UnixMilli(), User: []byte(sp.who.user), Name: []byte(sp.who.name), Body: bodyOf(op, data),
	})
	if r.recorded() {
		sp.store(c, b.record)
		return
	}
	b.text = envelope.AppendEphemeral(b.text[:0], r.name, b.record)
	c.PublishForms(r.topic.Load(), &engine.Contents{
		engine.Raw:       {Op: op, Data: data},
		engine.Enveloped: {Op: protocol.OpText, Data: b.text},
	})
	s.stats.ephemeral.Add(1)
	s.cast(r.name, castMessage, b.record)
}

// bodyOf is what a raw message is in a record.
func bodyOf(op protocol.Opcode, data []byte) envelope.Body {
	if op == protocol.OpText {
		return envelope.Body{Kind: envelope.Text, Bytes: data}
	}
	return envelope.Body{Kind: envelope.Binary, Bytes: data}
}

// store has a raw client's message stored. There is nobody to tell of a failure but by the end of the connection: silence means that it was.
func (sp *speaker) store(c *engine.Conn, record []byte) {
	srv := sp.room.server
	if sp.inFlight.Add(1) >= inFlightMax && sp.held.CompareAndSwap(false, true) {
		c.Hold()
	}
	c.AwaitEase(sp.room.topic.Load())
	srv.stats.published.Add(1)
	srv.store.Publish(sp.room.policy.stream, sp.room.name, "", record, func(receipt Receipt, err error) {
		srv.stats.answered(receipt, err)
		if err != nil && sp.failed.CompareAndSwap(false, true) {
			c.Post(func(c *engine.Conn) { c.Close(closeUnavailable, "a message could not be stored; try again later") })
		}
		if sp.inFlight.Add(-1) <= inFlightMax/2 && sp.held.CompareAndSwap(true, false) {
			c.Post(func(c *engine.Conn) { c.Proceed() })
		}
	})
	c.GiveWay()
}
