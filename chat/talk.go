package chat

import (
	"context"
	"fmt"
	"time"

	"throng/engine"
	"throng/protocol"
	"throng/protocol/envelope"
)

// What applications ask of rooms on the private port. They stand above the policies: a room in which nobody may speak is one in which only they do.

// Said is what became of a message.
type Said struct {
	Seq       uint64 // 0: not stored
	Stored    bool
	Duplicate bool
}

// Post says something in a room, or in an inbox (@user), in the name of a user. It returns when the message is stored, or fanned out where nothing is
// stored. Errors say what to do; with the same key it may be tried again. Any goroutine but a loop's.
func (s *Server) Post(ctx context.Context, room, user, name, key string, body envelope.Body) (said Said, err error) {
	if refused := checkRoom([]byte(room)); refused != nil {
		return said, fmt.Errorf("%w: %s", ErrName, refused.Text)
	}
	p := s.policies.of(room)
	b := buffers.Get().(*buffer)
	defer b.giveBack()
	b.record = envelope.AppendRecord(b.record[:0], &envelope.Record{Time: s.clock().UnixMilli(), User: []byte(user), Name: []byte(name), Key: []byte(key), Body: body})
	if p.stream < 0 || s.store == nil {
		what := s.contents(room, b)
		s.engine.PublishAt(room, 0, &what)
		s.stats.ephemeral.Add(1)
		s.cast(room, castMessage, b.record)
		return said, nil
	}
	id := ""
	if key != "" {
		id = publishID(room, user, key)
	}
	type outcome struct {
		receipt Receipt
		err     error
	}
	done := make(chan outcome, 1)
	s.stats.published.Add(1)
	s.store.Publish(p.stream, room, id, b.record, func(receipt Receipt, err error) {
		s.stats.answered(receipt, err)
		done <- outcome{receipt, err}
	})
	select {
	case o := <-done:
		return Said{Seq: o.receipt.Seq, Stored: o.err == nil, Duplicate: o.receipt.Duplicate}, o.err
	case <-ctx.Done():
		return said, ctx.Err()
	}
}

// HistoryPage is a part of a room's history: messages of throng.v1, oldest first.
type HistoryPage struct {
	Epoch    string
	Messages [][]byte
	More     bool
}

// History returns messages of a room: behind after if that is given, else the newest before before, or of all; at most limit, and no
// more than fit into so many bytes, but one. Any goroutine but a loop's.
func (s *Server) History(ctx context.Context, room string, after *uint64, before uint64, limit, bytes int) (found HistoryPage, err error) {
	if refused := checkRoom([]byte(room)); refused != nil {
		return found, fmt.Errorf("%w: %s", ErrName, refused.Text)
	}
	if p := s.policies.of(room); p.stream < 0 || s.store == nil {
		return found, ErrNotRecorded
	}
	type outcome struct {
		page HistoryPage
		err  error
	}
	done := make(chan outcome, 1)
	q := page{before: before, hasBefore: before > 0, hasAfter: after != nil, limit: limit}
	if after != nil {
		q.after = *after
	}
	s.part(room, q, func(list []entry, more bool, epoch string, err error) {
		if n := fitting(list, bytes, q.hasAfter); n < len(list) && q.hasAfter {
			list, more = list[:n], true
		} else if n < len(list) {
			list, more = list[len(list)-n:], true
		}
		o := outcome{HistoryPage{Epoch: epoch, More: more}, err}
		for _, e := range list {
			o.page.Messages = append(o.page.Messages, e.message)
		}
		done <- o
	})
	select {
	case o := <-done:
		return o.page, o.err
	case <-ctx.Done():
		return found, ctx.Err()
	}
}

// Who returns the people in a room, how many there are on all nodes, and whether these are all. Any goroutine but a loop's.
func (s *Server) Who(ctx context.Context, room string) (people []envelope.Person, count int, complete bool, err error) {
	if refused := checkRoom([]byte(room)); refused != nil {
		return nil, 0, false, fmt.Errorf("%w: %s", ErrName, refused.Text)
	}
	done := make(chan present, 1)
	s.who(room, func(w present) { done <- w })
	select {
	case w := <-done:
		return w.people, w.count, w.complete, nil
	case <-ctx.Done():
		return nil, 0, false, ctx.Err()
	}
}

// OperatorsWord is what an operator says, to a room or, if it is "", beside all rooms: neither stored nor numbered, and with no user behind it.
func OperatorsWord(room, text string) engine.Contents {
	record := envelope.AppendRecord(nil, &envelope.Record{
		Time: time.Now().UnixMilli(), User: []byte(operatorUser), Name: []byte("operator"), Body: envelope.Body{Kind: envelope.Text, Bytes: []byte(text)},
	})
	return engine.Contents{
		engine.Raw:       {Op: protocol.OpText, Data: []byte(text)},
		engine.Enveloped: {Op: protocol.OpText, Data: envelope.AppendEphemeral(nil, room, record)},
	}
}

// operatorUser cannot be anybody's: a guest's is longer, and a token's has no ~ in front.
const operatorUser = "~operator"
