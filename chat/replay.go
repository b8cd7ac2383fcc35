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
	epoch    string
}

// missedBy says what a client has missed up to a position. The lock is held; the room is filled if the client asks for anything.
func (r *room) missedBy(j *join, pos uint64) (m missed) {
	m.epoch = r.epoch
	switch {
	case j.hasSince && (j.epoch != r.epoch || j.since > pos):
		r.server.stats.recoveriesReset.Add(1)
		m.gap = &envelope.Gap{Epoch: r.epoch, To: pos, Oldest: r.oldestKnown(), Reset: true}
	case j.hasSince:
		if m.messages, m.stored = r.behind(j.since, pos); m.stored || j.since == pos {
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
	var p past
	switch {
	case m.stored:
		p = &pages{session: s, room: r, epoch: m.epoch, at: m.from, to: pos, newest: m.newest}
	case len(m.messages) > 0:
		p = &memory{session: s, room: r, entries: m.messages}
	default:
		return
	}
	if s.pasts == nil {
		s.pasts = make(map[*room]past)
	}
	s.pasts[r] = p
	s.conn.Replay(p)
}

// past is what was said in a room before somebody came.
type past interface {
	engine.Source
	stop() // the rest is not wanted any more
}

// over notes that a replay has come to its end.
func (s *session) over(r *room, p past) {
	if s.pasts[r] == p {
		delete(s.pasts, r)
	}
}

// memory replays messages that are in memory.
type memory struct {
	session *session
	room    *room
	entries []entry
}

func (m *memory) stop() { m.entries = nil }

// Next implements engine.Source.
func (m *memory) Next() (op protocol.Opcode, data []byte, state engine.ReplayState) {
	if len(m.entries) == 0 {
		m.session.over(m.room, m)
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
	epoch   string
	at, to  uint64 // what was sent last, and what is to be sent last
	newest  int    // to begin with the newest so many, if not 0
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
		p.session.over(p.room, p)
		return 0, nil, engine.ReplayDone
	case !p.reading:
		p.reading = true
		at, newest := p.at, p.newest
		p.session.server.errands.run(func() { p.read(at, newest) })
	}
	return 0, nil, engine.ReplayWait
}

func (p *pages) stop() {
	p.over, p.ready = true, nil
	p.session.conn.Continue()
}

// read reads a page and hands it to the loop. When the numbering begins anew meanwhile nothing of the old one can be had.
func (p *pages) read(at uint64, newest int) {
	srv, r := p.session.server, p.room
	ctx, cancel := context.WithTimeout(srv.ctx, storeTime)
	defer cancel()
	var messages []Stored
	var err error
	if newest > 0 {
		messages, _, err = r.askBefore(ctx, p.to+1, newest)
	} else {
		messages, err = r.askAfter(ctx, at, pageMessages)
	}
	if err != nil {
		p.session.conn.Post(func(*engine.Conn) { p.fail(err) })
		return
	}
	if srv.store.Epoch(r.policy.stream) != p.epoch {
		messages = nil
	}
	ready, last := p.pack(messages, at, newest)
	p.session.conn.Post(func(c *engine.Conn) {
		if p.over {
			return
		}
		p.ready, p.reading, p.newest, p.at = ready, false, 0, last
		p.over = p.over || last >= p.to
		c.Continue()
	})
}

// pack makes messages of a page, and gaps where something was removed from the store: before the first of them, and behind the last there is.
func (p *pages) pack(messages []Stored, at uint64, newest int) (ready [][]byte, last uint64) {
	r := p.room
	gap := func(from, to uint64) {
		ready = append(ready, envelope.AppendGap(nil, r.name, &envelope.Gap{Epoch: p.epoch, From: from, To: to, Oldest: to + 1}))
	}
	prev, all := at, len(messages) < pageMessages
	for i, m := range messages {
		if m.Seq > p.to {
			all = true
			break
		}
		switch {
		case i > 0:
		case newest > 0:
			prev = m.Last
		case r.policy.removed(at, &m, len(messages)):
			prev = m.Seq - 1
			gap(at+1, prev)
		}
		ready = append(ready, envelope.AppendMessage(nil, r.name, m.Seq, prev, r.server.sound(m.Record)))
		prev = m.Seq
	}
	switch {
	case newest > 0: // whoever asks for so many does not know of others
		return ready, p.to
	case all && prev < p.to:
		gap(prev+1, p.to)
		return ready, p.to
	}
	return ready, prev
}

// removed reports whether messages may be gone from the store between a number and the first message behind it, one of n that were read. What limits
// remove is always the oldest, so nothing is gone where anything older is left. Where nothing is, the message of that number went as well, if there was one.
func (p *Policy) removed(after uint64, first *Stored, n int) bool {
	switch {
	case first.Last > 0:
		return first.Last > after
	case after > 0:
		return first.Seq > after+1
	}
	return p.removes(n)
}

// removes reports whether messages of a room may have been removed, seen that so many are left, or that a page is full of them.
func (p *Policy) removes(n int) bool {
	return p.KeepAge > 0 || p.KeepMessages > 0 && (n >= p.KeepMessages || n == pageMessages)
}

// fail ends the connection, politely: it may come back and ask again.
func (p *pages) fail(err error) {
	if p.over {
		return
	}
	p.session.server.stats.storeErrors.Add(1)
	p.over = true
	p.session.conn.Close(closeUnavailable, err.Error())
}
