package chat

import (
	"context"

	"throng/engine"
	"throng/protocol"
	"throng/protocol/envelope"
)

// missed is what somebody who joins has to be brought before the room's messages go on.
type missed struct {
	gap      *envelope.Gap
	messages []entry // in memory
	from     uint64  // else the store is to be read behind this number
	stored   bool
	newest   int // or for so many of the newest
}

// missedBy says what a client has missed up to a position. The lock is held; the room is filled if the client asks for anything.
func (r *room) missedBy(j *join, pos uint64) (m missed) {
	switch {
	case j.hasSince && (j.epoch != r.epoch || j.since > pos):
		r.server.stats.recoveriesReset.Add(1)
		m.gap = &envelope.Gap{Epoch: r.epoch, To: pos, Oldest: r.oldestKnown(), Reset: true}
	case j.hasSince:
		if m.messages, m.stored = r.recent.after(j.since, pos); m.stored || j.since == pos {
			m.stored = false
			r.server.stats.recoveriesMemory.Add(1)
			return m
		}
		r.server.stats.recoveriesStore.Add(1)
		m.stored, m.from = true, j.since
		return m
	}
	if j.last > 0 && pos > 0 {
		complete := false
		if m.messages, complete = r.recent.before(pos+1, j.last); !complete && !r.reachesBack() {
			m.messages, m.newest, m.stored = nil, j.last, true
		}
	}
	return m
}

// reachesBack reports whether the recent messages are all that there are.
func (r *room) reachesBack() bool {
	return r.filled && (len(r.recent.entries) == 0 && r.head == 0 || len(r.recent.entries) > 0 && r.recent.entries[0].prev == 0)
}

// oldestKnown is the number of the oldest message in memory, which is not older than the oldest there is.
func (r *room) oldestKnown() uint64 {
	if len(r.recent.entries) > 0 {
		return r.recent.entries[0].seq
	}
	return r.head
}

// bring sends what was missed, and lets the room's messages follow.
func (s *session) bring(r *room, m *missed, pos uint64) {
	if m.gap != nil {
		s.send(envelope.AppendGap(nil, r.name, m.gap))
	}
	switch {
	case m.stored:
		s.conn.Replay(&pages{session: s, room: r, at: m.from, to: pos, newest: m.newest})
	case len(m.messages) > 0:
		s.conn.Replay(&memory{entries: m.messages})
	}
}

// memory replays messages that are in memory.
type memory struct{ entries []entry }

// Next implements engine.Source.
func (m *memory) Next() (op protocol.Opcode, data []byte, state engine.ReplayState) {
	if len(m.entries) == 0 {
		return 0, nil, engine.ReplayDone
	}
	data = m.entries[0].message
	m.entries = m.entries[1:]
	return protocol.OpText, data, engine.ReplayMore
}

// pages replays messages from the store, a page at a time. Owned by the connection's loop; a page is read on another goroutine meanwhile.
type pages struct {
	session *session
	room    *room
	at, to  uint64 // what was sent last, and what is to be sent last
	newest  int    // to begin with the newest so many, if not 0
	begun   bool
	reading bool
	over    bool
	ready   [][]byte
}

// Next implements engine.Source.
func (p *pages) Next() (op protocol.Opcode, data []byte, state engine.ReplayState) {
	switch {
	case len(p.ready) > 0:
		data = p.ready[0]
		p.ready = p.ready[1:]
		return protocol.OpText, data, engine.ReplayMore
	case p.over || p.at >= p.to:
		return 0, nil, engine.ReplayDone
	case !p.reading:
		p.reading = true
		at, newest, begun := p.at, p.newest, p.begun
		p.session.server.errands.run(func() { p.read(at, newest, begun) })
	}
	return 0, nil, engine.ReplayWait
}

// read reads a page and hands it to the loop.
func (p *pages) read(at uint64, newest int, begun bool) {
	srv, r := p.session.server, p.room
	ctx, cancel := context.WithTimeout(srv.ctx, storeTime)
	defer cancel()
	var messages []Stored
	var err error
	switch {
	case newest > 0:
		messages, _, err = srv.store.ReadBefore(ctx, r.policy.stream, r.name, p.to+1, newest)
	case begun || at == 0:
		messages, err = srv.store.Read(ctx, r.policy.stream, r.name, at, pageMessages)
	default: // the message that the client has is read with them: if it is there, nothing was removed behind it
		messages, err = srv.store.Read(ctx, r.policy.stream, r.name, at-1, pageMessages)
	}
	more := len(messages) == pageMessages && newest == 0
	if err != nil {
		p.session.conn.Post(func(*engine.Conn) { p.fail(err) })
		return
	}
	ready, last := p.pack(messages, at, newest, begun)
	p.session.conn.Post(func(c *engine.Conn) {
		p.ready, p.reading, p.begun, p.newest, p.at = ready, false, true, 0, last
		p.over = p.over || !more || last >= p.to
		c.Continue()
	})
}

// pack makes messages of a page, and a gap before them where something was removed from the store.
func (p *pages) pack(messages []Stored, at uint64, newest int, begun bool) (ready [][]byte, last uint64) {
	r, prev := p.room, at
	last = at
	if !begun && newest == 0 {
		switch {
		case len(messages) > 0 && messages[0].Seq == at:
			messages = messages[1:]
		case len(messages) == 0: // all that the client has not had is gone
			ready = append(ready, envelope.AppendGap(nil, r.name, &envelope.Gap{Epoch: p.session.server.store.Epoch(r.policy.stream), From: at + 1, To: p.to, Oldest: p.to + 1}))
			return ready, p.to
		case at > 0 || p.removes(len(messages)):
			oldest := messages[0].Seq
			if prev = oldest - 1; prev > at {
				ready = append(ready, envelope.AppendGap(nil, r.name, &envelope.Gap{Epoch: p.session.server.store.Epoch(r.policy.stream), From: at + 1, To: prev, Oldest: oldest}))
			}
		}
	}
	for _, m := range messages {
		if m.Seq > p.to {
			break
		}
		ready = append(ready, envelope.AppendMessage(nil, r.name, m.Seq, prev, m.Record))
		prev, last = m.Seq, m.Seq
	}
	return ready, last
}

// removes reports whether the store may have removed messages of the room, seen that a first page has so many.
func (p *pages) removes(n int) bool {
	keep := p.room.policy
	return keep.KeepAge > 0 || keep.KeepMessages > 0 && (n >= keep.KeepMessages || n == pageMessages)
}

// fail ends the connection, politely: it may come back and ask again.
func (p *pages) fail(err error) {
	p.session.server.stats.storeErrors.Add(1)
	p.over = true
	p.session.conn.Close(closeUnavailable, err.Error())
}
