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
// Embedded: not at all. What was published from here is handed on when it is acknowledged, and nobody else publishes.
// External: one per watched room, all on a few channels with a goroutine each. A room is always on the same, so its order holds.

const (
	lanesCount       = 4
	laneMessagesMax  = 1 << 14
	streamPendingMax = 1 << 20 // messages
	streamBytesMax   = 256 << 20
)

// watches are the subscriptions to what was stored and to what nodes say about rooms.
type watches struct {
	lanes []chan *nats.Msg
	seed  maphash.Seed

	mu      sync.Mutex
	rooms   map[string]*watch
	behind  []*nats.Subscription // that dropped something, as nats.go reports
	changes uint64               // how often a room was watched
	flushed uint64               // how many of these the server is known to have seen
}

// watch is a room that is watched.
type watch struct {
	wanted bool
	stream int // -1: only what nodes say

	// The writer's:
	stored   *nats.Subscription
	storedOf int // the stream that stored is of
	casts    *nats.Subscription
}

// receive subscribes to everything that is not a matter of single rooms.
func (b *Broker) receive() error {
	w := &b.watches
	w.seed = maphash.MakeSeed()
	w.rooms = map[string]*watch{}
	if _, err := b.subscribe(b.inbox+".*", b.acked); err != nil {
		return err
	}
	if b.server != nil {
		return nil
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

// subscribe has a goroutine of its own call f, and Close wait for it.
func (b *Broker) subscribe(subject string, f nats.MsgHandler) (*nats.Subscription, error) {
	sub, err := b.main.Subscribe(subject, f)
	if err == nil {
		err = sub.SetPendingLimits(streamPendingMax, streamBytesMax)
	}
	if err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	b.running.Add(1)
	sub.SetClosedHandler(func(string) { b.running.Done() })
	return sub, nil
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

// Watch has what is stored in a room delivered to Handler.Stored, and what other nodes cast to it to Handler.Cast. stream -1: only casts. It does not wait
// for the server: what is stored before a read that begins after Watch is in what the read brings, what is stored later is delivered. With the embedded
// server everything is watched from the start.
func (b *Broker) Watch(stream int, room string) error {
	if b.server != nil {
		return nil
	}
	if b.closed.Load() {
		return ErrClosed
	}
	w := &b.watches
	w.mu.Lock()
	defer w.mu.Unlock()
	have := w.rooms[room]
	switch {
	case have == nil:
		have = &watch{stream: stream}
		w.rooms[room] = have
	case have.wanted && (have.stream == stream || stream < 0):
		return nil
	case !have.wanted || stream >= 0:
		have.stream = stream
	}
	have.wanted = true
	w.changes++
	b.order(room)
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
	if have := w.rooms[room]; have != nil && have.wanted {
		have.wanted = false
		b.order(room)
	}
}

// order has the writer make a room's subscriptions what they should be. Subscribing writes to the connection, and that can wait.
func (b *Broker) order(room string) {
	b.outbox.mu.Lock()
	b.outbox.put(letter{kind: letterWatch}, room)
}

// apply is the writer's: it subscribes and unsubscribes until a room is watched as it should be. Both fail only when the connection is closed for good,
// and the broker with it.
func (w *watches) apply(b *Broker, room string) {
	w.mu.Lock()
	have := w.rooms[room]
	if have == nil {
		w.mu.Unlock()
		return
	}
	var over []*nats.Subscription
	stored, casts, stream := have.stored, have.casts, have.stream
	if stored != nil && (!have.wanted || have.storedOf != stream) {
		over, stored = append(over, stored), nil
	}
	if !have.wanted {
		if casts != nil {
			over, casts = append(over, casts), nil
		}
		delete(w.rooms, room)
	}
	wanted := have.wanted
	w.mu.Unlock()
	for _, sub := range over {
		_ = sub.Unsubscribe()
	}
	if !wanted {
		return
	}
	if casts == nil {
		casts, _ = b.main.ChanSubscribe(subjectOf(castSubject+".", room), w.lane(room))
	}
	if stored == nil && stream >= 0 {
		stored, _ = b.main.ChanSubscribe(subjectOf(b.streams[stream].roomPrefix, room), w.lane(room))
	}
	w.mu.Lock()
	have.stored, have.casts, have.storedOf = stored, casts, stream
	w.mu.Unlock()
}

// renew is the writer's too: it replaces a subscription that dropped something.
func (w *watches) renew(b *Broker, room string, sub *nats.Subscription) {
	w.mu.Lock()
	have := w.rooms[room]
	current := have != nil && have.wanted && (have.stored == sub || have.casts == sub)
	w.mu.Unlock()
	if !current {
		return
	}
	fresh, err := b.main.ChanSubscribe(sub.Subject, w.lane(room))
	if err != nil {
		return
	}
	_ = sub.Unsubscribe()
	w.mu.Lock()
	if have.stored == sub {
		have.stored = fresh
	} else {
		have.casts = fresh
	}
	w.changes++
	stream := have.stream
	w.mu.Unlock()
	b.log.Warn("messages of a room were dropped, since the reader was too slow", slog.String("room", room))
	b.handler.Gapped(stream, room)
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
// nats.go reports a subscription once, when it begins to drop. So it is replaced by a fresh one, which will report again; then what the old one missed can be
// told of.
func (b *Broker) lookForDrops() {
	w := &b.watches
	w.mu.Lock()
	behind := w.behind
	w.behind = nil
	w.mu.Unlock()
	for _, sub := range behind {
		if room, ok := roomOf(sub.Subject[strings.LastIndexByte(sub.Subject, '.')+1:]); ok {
			b.outbox.mu.Lock()
			b.outbox.put(letter{kind: letterWatch, renew: sub}, room)
		}
	}
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
		if have.wanted {
			all = append(all, place{have.stream, room})
		}
	}
	w.mu.Unlock()
	for _, at := range all {
		b.handler.Gapped(at.stream, at.room)
	}
}
