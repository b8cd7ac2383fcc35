package chat

import (
	"context"
	"errors"

	"throng/engine"
	"throng/protocol/envelope"
)

const (
	// historyUsual is how many messages a client gets that does not say how many it wants.
	historyUsual = 50
	// historyBytesMax is how much of a history is sent at once; the client asks again for more. It is half of what may wait for a connection.
	historyBytesMax = 128 << 10
)

// page is a part of a room's history, asked for.
type page struct {
	after, before       uint64
	hasAfter, hasBefore bool
	limit               int
}

func (s *session) history(req *envelope.Request) {
	name, ok := s.roomOf(req)
	if !ok {
		return
	}
	srv := s.server
	p := srv.policies.of(name)
	switch {
	case !s.who.mayJoin(p, name):
		s.refuse(req.ID, name, envelope.Errorf(envelope.Denied, "you may not read this room"))
		return
	case p.stream < 0 || srv.store == nil:
		s.send(envelope.AppendHistory(nil, req.ID, name, "", nil, false))
		return
	}
	q := page{after: req.After, before: req.Before, hasAfter: req.HasAfter, hasBefore: req.HasBefore, limit: req.Limit}
	if q.limit == 0 {
		q.limit = historyUsual
	}
	id := append([]byte(nil), req.ID...)
	s.asks()
	srv.part(name, q, func(list []entry, more bool, epoch string, err error) {
		s.conn.Post(func(*engine.Conn) {
			if err != nil {
				s.refuse(id, name, unreadableNow(err))
				s.told()
				return
			}
			s.sendHistory(id, name, epoch, list, more, q.hasAfter)
		})
	})
}

// sendHistory answers with as much of a page as may be sent at once: its beginning if it was read forwards, else its end.
func (s *session) sendHistory(id []byte, name, epoch string, list []entry, more, forwards bool) {
	if n := fitting(list, historyBytesMax, forwards); n < len(list) {
		more = true
		if forwards {
			list = list[:n]
		} else {
			list = list[len(list)-n:]
		}
	}
	messages := make([]envelope.Stored, len(list))
	for i := range list {
		messages[i] = list[i].stored()
	}
	s.sendLong(envelope.AppendHistory(nil, id, name, epoch, messages, more))
}

// fitting counts how many messages fit into so many bytes, one at least: from the first on, or from the last back.
func fitting(list []entry, bytes int, forwards bool) (n int) {
	for n < len(list) {
		e := list[n]
		if !forwards {
			e = list[len(list)-1-n]
		}
		if bytes -= len(e.message); bytes < 0 && n > 0 {
			break
		}
		n++
	}
	return n
}

// part gets a part of a room's history, from memory if it is there, and calls f with it, at once or later on a goroutine of the server's. A room that nobody
// is in is not made for it: there is no end to the names that can be asked for.
func (s *Server) part(name string, q page, f func(list []entry, more bool, epoch string, err error)) {
	r := s.rooms.find(name)
	if r == nil {
		r = &room{server: s, name: name, policy: s.policies.of(name)}
		r.readStore(&q, f)
		return
	}
	now, err := r.whenReady(true, func(err error) { r.read(q, err, f) })
	switch {
	case errors.Is(err, errForgotten):
		s.part(name, q, f)
	case now:
		r.read(q, nil, f)
	}
}

// read finishes a question for history in a room that is ready.
func (r *room) read(q page, err error, f func([]entry, bool, string, error)) {
	if err != nil {
		f(nil, false, "", err)
		return
	}
	r.mu.Lock()
	list, more, found := r.inMemory(&q)
	epoch := r.epoch
	r.mu.Unlock()
	if found {
		f(list, more, epoch, nil)
		return
	}
	r.readStore(&q, f)
}

// readStore has a question answered by the store.
func (r *room) readStore(q *page, f func([]entry, bool, string, error)) {
	s := r.server
	s.errands.run(func() {
		epoch := s.store.Epoch(r.policy.stream)
		list, more, err := r.fromStore(q)
		if err == nil && s.store.Epoch(r.policy.stream) != epoch { // whose numbers these are cannot be said
			err = ErrUnavailable
		}
		f(list, more, epoch, err)
	})
}

// inMemory answers from the recent messages, if they reach that far. The lock is held.
func (r *room) inMemory(q *page) (list []entry, more, found bool) {
	if r.state != roomOpen {
		return nil, false, false
	}
	if q.hasAfter {
		bound := ^uint64(0)
		if q.hasBefore {
			bound = q.before - 1
		}
		if list, found = r.behind(q.after, bound); !found && q.after < r.head {
			return nil, false, false
		}
		if len(list) > q.limit {
			return list[:q.limit], true, true
		}
		return list, false, true
	}
	bound := ^uint64(0)
	if q.hasBefore {
		bound = q.before
	}
	list, _ = r.recent.before(bound, q.limit)
	all := r.reachesBack()
	if len(list) < q.limit && !all {
		return nil, false, false
	}
	return list, !all || len(list) > 0 && list[0].seq != r.recent.entries[0].seq, true
}

// fromStore reads a page of the history. It may block.
func (r *room) fromStore(q *page) (list []entry, more bool, err error) {
	s := r.server
	ctx, cancel := context.WithTimeout(s.ctx, storeTime)
	defer cancel()
	var messages []Stored
	if q.hasAfter {
		messages, err = r.askAfter(ctx, q.after, q.limit+1)
		if more = len(messages) > q.limit; more {
			messages = messages[:q.limit]
		}
	} else {
		messages, more, err = r.askBefore(ctx, q.before, q.limit)
	}
	prev, n := uint64(0), len(messages)
	if more { // how many there are is not known
		n = pageMessages
	}
	for i, m := range messages {
		switch {
		case i > 0:
		case q.hasAfter && r.policy.removed(q.after, &m, n): // whoever asked sees by this number that something is missing
			prev = m.Seq - 1
		default:
			prev = m.Last
		}
		if q.hasAfter && q.hasBefore && m.Seq >= q.before {
			return list, false, err
		}
		record := s.sound(m.Record)
		list = append(list, entry{m.Seq, prev, envelope.AppendMessage(nil, r.name, m.Seq, prev, record), len(record)})
		prev = m.Seq
	}
	return list, more, err
}
