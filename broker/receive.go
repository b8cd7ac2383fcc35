package broker

import (
	"fmt"
	"hash/maphash"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// How rooms are watched.
//
// Embedded: one subscription per stream, to all its rooms; nats.go gives it a goroutine.
// External: one per watched room, all on a few channels with a goroutine each. A room is always on the same, so its order holds.

const (
	lanesCount       = 4
	laneMessagesMax  = 1 << 14
	streamPendingMax = 1 << 20 // messages, embedded
	streamBytesMax   = 256 << 20
)

// watches are the subscriptions to what was stored and to what nodes say about rooms.
type watches struct {
	wholes []*whole         // embedded
	lanes  []chan *nats.Msg // external
	seed   maphash.Seed

	mu      sync.Mutex
	rooms   map[string]*watch
	behind  []*nats.Subscription // that dropped something, as nats.go reports
	changes uint64               // how often a room was watched
	flushed uint64               // how many of these the server is known to have seen
}

// whole is the subscription to all rooms of a stream.
type whole struct {
	stream  *stream
	sub     *nats.Subscription
	dropped int
}

// watch is a room that is watched.
type watch struct {
	stream int // -1: only what nodes say
	stored *nats.Subscription
	casts  *nats.Subscription
}

// receive subscribes to everything that is not a matter of single rooms.
func (b *Broker) receive() error {
	w := &b.watches
	w.seed = maphash.MakeSeed()
	w.rooms = map[string]*watch{}
	if _, err := b.main.Subscribe(b.inbox+".*", b.acked); err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	if b.server != nil {
		return b.receiveAll()
	}
	for range lanesCount {
		lane := make(chan *nats.Msg, laneMessagesMax)
		w.lanes = append(w.lanes, lane)
		b.running.Go(func() {
			for {
				select {
				case m := <-lane:
					b.dispatch(m)
				case <-b.quit:
					return
				}
			}
		})
	}
	return b.nodes.listen(b)
}

func (b *Broker) receiveAll() error {
	for _, s := range b.streams {
		sub, err := b.main.Subscribe(s.roomPrefix+"*", func(m *nats.Msg) { b.storedOf(s, m) })
		if err == nil {
			err = sub.SetPendingLimits(streamPendingMax, streamBytesMax)
		}
		if err != nil {
			return fmt.Errorf("broker: %w", err)
		}
		b.watches.wholes = append(b.watches.wholes, &whole{stream: s, sub: sub})
	}
	return nil
}

// dispatch is for what comes on the lanes.
func (b *Broker) dispatch(m *nats.Msg) {
	if rest, ok := strings.CutPrefix(m.Subject, roomSubject); ok {
		name, _, _ := strings.Cut(rest, ".")
		for _, s := range b.streams {
			if s.Name == name {
				b.storedOf(s, m)
				return
			}
		}
		return
	}
	b.nodes.said(b, m)
}

// storedOf hands a stored message to the handler.
func (b *Broker) storedOf(s *stream, m *nats.Msg) {
	room, ok := roomOf(m.Subject[len(s.roomPrefix):])
	if !ok {
		return
	}
	message, ok := messageOf(m)
	if !ok {
		return
	}
	b.counts.received.Add(1)
	s.saw(message.Seq)
	b.handler.Stored(s.index, room, message)
}

// messageOf reads the headers that JetStream gave a message.
func messageOf(m *nats.Msg) (Message, bool) {
	message := Message{Seq: parseSeq(header(m, headerSeq)), Last: parseSeq(header(m, headerLast)), Data: m.Data}
	at, err := time.Parse(time.RFC3339Nano, header(m, headerTime))
	if err != nil || message.Seq == 0 {
		return Message{}, false
	}
	message.Time = at
	return message, true
}

// header is the last value of a header: what JetStream adds stands behind what a publisher may have sent under the same name.
func header(m *nats.Msg, name string) string {
	values := m.Header[name]
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}

// Watch has what is stored in a room delivered to Handler.Stored, and what other nodes cast to it to Handler.Cast. stream -1: only casts. A message that was stored
// before Watch is called may be missing: read after watching. With the embedded server everything is watched from the start.
func (b *Broker) Watch(stream int, room string) error {
	if b.server != nil {
		return nil
	}
	w := &b.watches
	w.mu.Lock()
	defer w.mu.Unlock()
	have := w.rooms[room]
	if have != nil && (have.stream == stream || stream < 0) {
		return nil
	}
	if have == nil {
		have = &watch{stream: -1}
	}
	lane := w.lane(room)
	var err error
	if have.casts == nil {
		if have.casts, err = b.main.ChanSubscribe(subjectOf(castSubject+".", room), lane); err != nil {
			return fmt.Errorf("broker: %w", err)
		}
	}
	w.rooms[room] = have
	if stream >= 0 {
		stored, err := b.main.ChanSubscribe(subjectOf(b.streams[stream].roomPrefix, room), lane)
		if err != nil {
			return fmt.Errorf("broker: %w", err)
		}
		if have.stored != nil {
			_ = have.stored.Unsubscribe()
		}
		have.stored, have.stream = stored, stream
	}
	w.changes++
	return nil
}

// Unwatch ends Watch. A message that was already on its way may still be delivered.
func (b *Broker) Unwatch(_ int, room string) {
	if b.server != nil {
		return
	}
	w := &b.watches
	w.mu.Lock()
	defer w.mu.Unlock()
	have := w.rooms[room]
	if have == nil {
		return
	}
	delete(w.rooms, room)
	have.end()
}

// end unsubscribes. It fails only when the connection is closed, and everything with it.
func (w *watch) end() {
	for _, sub := range []*nats.Subscription{w.stored, w.casts} {
		if sub != nil {
			_ = sub.Unsubscribe()
		}
	}
}

func (w *watches) lane(room string) chan *nats.Msg {
	return w.lanes[maphash.String(w.seed, room)%uint64(len(w.lanes))]
}

// fellBehind notes a subscription that nats.go had to drop something of.
func (w *watches) fellBehind(sub *nats.Subscription) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.behind = append(w.behind, sub)
}

// lookForDrops tells the handler of rooms whose messages were dropped, here because it was too slow.
//
// nats.go reports a subscription once, when it begins to drop. Of the embedded server's few subscriptions the count of what was dropped is looked at. One of
// a room is replaced by a fresh one, which will report again; then what the old one missed can be told of.
func (b *Broker) lookForDrops() {
	w := &b.watches
	for _, whole := range w.wholes {
		if dropped, err := whole.sub.Dropped(); err == nil && dropped != whole.dropped {
			b.log.Warn("messages were dropped, since the reader was too slow", slog.String("stream", whole.stream.Name), slog.Int("count", dropped-whole.dropped))
			whole.dropped = dropped
			b.handler.Gapped(whole.stream.index, "")
		}
	}
	w.mu.Lock()
	behind := w.behind
	w.behind = nil
	w.mu.Unlock()
	for _, sub := range behind {
		b.renew(sub)
	}
}

func (b *Broker) renew(sub *nats.Subscription) {
	token := sub.Subject[strings.LastIndexByte(sub.Subject, '.')+1:]
	room, ok := roomOf(token)
	if !ok {
		return
	}
	w := &b.watches
	w.mu.Lock()
	have := w.rooms[room]
	if have == nil || have.stored != sub && have.casts != sub {
		w.mu.Unlock()
		return
	}
	fresh, err := b.main.ChanSubscribe(sub.Subject, w.lane(room))
	if err == nil {
		_ = sub.Unsubscribe()
		if have.stored == sub {
			have.stored = fresh
		} else {
			have.casts = fresh
		}
		w.changes++
	}
	stream := have.stream
	w.mu.Unlock()
	b.log.Warn("messages of a room were dropped, since the reader was too slow", slog.String("room", room))
	b.handler.Gapped(stream, room)
}

// gapAll tells the handler of every watched room: the connection was away.
func (b *Broker) gapAll() {
	if b.server != nil {
		for _, s := range b.streams {
			b.handler.Gapped(s.index, "")
		}
		return
	}
	w := &b.watches
	type place struct {
		stream int
		room   string
	}
	w.mu.Lock()
	all := make([]place, 0, len(w.rooms))
	for room, have := range w.rooms {
		all = append(all, place{have.stream, room})
	}
	w.mu.Unlock()
	for _, at := range all {
		b.handler.Gapped(at.stream, at.room)
	}
}

// hangUpLanes forgets the rooms.
func (b *Broker) hangUpLanes() {
	b.watches.mu.Lock()
	defer b.watches.mu.Unlock()
	b.watches.rooms = nil
}
