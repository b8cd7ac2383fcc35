package broker

import (
	"errors"
	"sync"

	"github.com/nats-io/nats.go"
)

const (
	headerID   = "Nats-Msg-Id"
	headerSeq  = "Nats-Sequence"
	headerLast = "Nats-Last-Sequence"
	headerTime = "Nats-Time-Stamp"
)

// outbox is what was published and not yet written to the connection. A write can wait for the network, and whoever publishes must not: the writer's
// goroutine takes everything at once and gives the emptied slices back. Its lock is taken under that of the watches, and that of pending under it.
type outbox struct {
	mu      sync.Mutex
	letters []letter
	bytes   []byte
	bell    chan struct{}
}

// letter is where a message's parts stand in the outbox's bytes: subject, id and record follow each other.
type letter struct {
	kind       letterKind
	token      uint64 // of the answer, if one is expected
	session    uint64
	start      int
	subjectEnd int
	idEnd      int
	end        int
	renew      *nats.Subscription // of a letterWatch: not for a change, but since this one dropped something
	then       chan struct{}      // of a letterThen: closed when everything before it was sent
}

type letterKind uint8

const (
	letterStore letterKind = iota // to be stored: answered by JetStream
	letterAsk                     // answered by nodes
	letterPlain
	letterWatch // the subject is a room, whose subscriptions are to be made or ended
	letterThen
)

// Publish has a message stored. A message with an id that the stream has seen within its duplicate window is not stored again: the acknowledgement
// gives its first number. The record is copied. done is called once, never within Publish; after ErrUnavailable or ErrTimeout send again with the same id.
//
// The order of one room is that of the calls, if they come one after the other.
func (b *Broker) Publish(stream int, room, id string, record []byte, done func(Ack, error)) {
	if b.closed.Load() {
		b.refused.put(done, ErrClosed)
		return
	}
	session := b.session.Load()
	if !b.opened.Load() {
		b.refused.put(done, ErrUnavailable)
		return
	}
	if b.server != nil && b.server.full.Load() {
		b.refused.put(done, ErrStoreFull)
		return
	}
	o := &b.outbox
	o.mu.Lock()
	w := awaited{done: done, stream: stream, room: room}
	if b.server != nil {
		w.record = record
	}
	token, ok := b.pending.put(w, len(record), b.now()+b.cfg.AckTimeout)
	if !ok {
		o.mu.Unlock()
		if b.closed.Load() {
			b.refused.put(done, ErrClosed)
		} else {
			b.refused.put(done, ErrBusy)
		}
		return
	}
	l := letter{kind: letterStore, token: token, session: session, start: len(o.bytes)}
	o.bytes = appendToken(append(o.bytes, b.streams[stream].storePrefix...), room)
	l.subjectEnd = len(o.bytes)
	o.bytes = append(o.bytes, id...)
	l.idEnd = len(o.bytes)
	o.bytes = append(o.bytes, record...)
	o.seal(l)
}

// seal ends a letter, whose bytes are in the outbox, and gives up its lock.
func (o *outbox) seal(l letter) {
	l.end = len(o.bytes)
	first := len(o.letters) == 0
	o.letters = append(o.letters, l)
	o.mu.Unlock()
	if first {
		ring(o.bell)
	}
}

// mail puts a message into the outbox that is not stored.
func (b *Broker) mail(kind letterKind, token uint64, subject string, parts ...[]byte) error {
	if !b.main.IsConnected() {
		return ErrUnavailable
	}
	o := &b.outbox
	o.mu.Lock()
	if len(o.bytes) > outboxBytesMax {
		o.mu.Unlock()
		return ErrBusy
	}
	o.put(letter{kind: kind, token: token, session: b.session.Load()}, subject, parts...)
	return nil
}

// put adds a letter without an id, and gives up the lock.
func (o *outbox) put(l letter, subject string, parts ...[]byte) {
	l.start = len(o.bytes)
	o.bytes = append(o.bytes, subject...)
	l.subjectEnd = len(o.bytes)
	l.idEnd = l.subjectEnd
	for _, part := range parts {
		o.bytes = append(o.bytes, part...)
	}
	o.seal(l)
}

// Pending is how many messages wait for their acknowledgement, and their bytes.
func (b *Broker) Pending() (messages, bytes int) {
	return b.pending.size()
}

const (
	outboxKeepMax  = 4 << 20  // an emptied outbox that is larger is not used again
	outboxBytesMax = 64 << 20 // a fuller one takes nothing that nobody waits for
)

// write sends what the outbox holds, until the broker is closed.
func (b *Broker) write() {
	var letters []letter
	var bytes []byte
	var p parcel
	p.init(b.inbox)
	for {
		select {
		case <-b.outbox.bell:
		case <-b.quit:
			return
		}
		o := &b.outbox
		o.mu.Lock()
		letters, o.letters = o.letters, letters[:0]
		bytes, o.bytes = o.bytes, bytes[:0]
		o.mu.Unlock()
		for i := range letters {
			b.send(&p, &letters[i], bytes)
		}
		if cap(bytes) > outboxKeepMax {
			letters, bytes = nil, nil
		}
	}
}

// parcel is the one message that the writer fills in again and again: nats.go copies it before it returns.
type parcel struct {
	msg   nats.Msg
	with  nats.Header // the header of a message that has an id
	id    []string
	reply []byte
	inbox int
}

func (p *parcel) init(inbox string) {
	p.id = make([]string, 1)
	p.with = nats.Header{headerID: p.id}
	p.reply = append([]byte(inbox), '.')
	p.inbox = len(p.reply)
}

func (b *Broker) send(p *parcel, l *letter, bytes []byte) {
	switch l.kind {
	case letterWatch:
		if room := string(bytes[l.start:l.subjectEnd]); l.renew != nil {
			b.watches.renew(b, room, l.renew)
		} else {
			b.watches.apply(b, room)
		}
		return
	case letterThen:
		close(l.then)
		return
	}
	if l.session != b.session.Load() { // that connection ended: whoever waits was told so, or came too late for it and is told now
		if l.kind == letterStore {
			b.fail(l.token, ErrUnavailable)
		}
		return
	}
	p.msg.Subject = string(bytes[l.start:l.subjectEnd])
	p.msg.Reply = ""
	switch l.kind {
	case letterStore:
		p.reply = appendAckToken(p.reply[:p.inbox], l.token)
		p.msg.Reply = string(p.reply)
	case letterAsk:
		p.msg.Reply = string(appendAckToken([]byte(b.inbox+answersInfix), l.token))
	}
	p.msg.Data = bytes[l.idEnd:l.end]
	p.msg.Header = nil
	if l.idEnd > l.subjectEnd {
		p.id[0] = string(bytes[l.subjectEnd:l.idEnd])
		p.msg.Header = p.with
	}
	if err := b.main.PublishMsg(&p.msg); err != nil && l.kind == letterStore {
		b.fail(l.token, publishError(err))
	}
}

func (b *Broker) fail(token uint64, err error) {
	if w := b.pending.take(token); w.done != nil {
		b.counts.failed.Add(1)
		w.done(Ack{}, err)
	}
}

// refuse answers what was refused, until the broker is closed, and what is left then.
func (b *Broker) refuse() {
	for open := true; open; {
		select {
		case <-b.refused.bell:
		case <-b.quit:
			open = false
		}
		for _, r := range b.refused.take(!open) {
			b.counts.failed.Add(1)
			r.done(Ack{}, r.err)
		}
	}
}

// ring wakes the one who waits for the bell, and never waits itself.
func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default:
	}
}

// publishError says in the package's words why nats.go did not send.
func publishError(err error) error {
	switch {
	case errors.Is(err, nats.ErrMaxPayload):
		return ErrTooBig
	case errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrConnectionReconnecting):
		return ErrUnavailable
	}
	return errors.Join(ErrUnavailable, err)
}

// acked gets the store's answers to what was published.
func (b *Broker) acked(m *nats.Msg) {
	token, ok := parseAckToken(m.Subject[min(len(b.inbox)+1, len(m.Subject)):])
	if !ok {
		return
	}
	w := b.pending.take(token)
	if w.done == nil {
		b.counts.late.Add(1)
		b.missed.Add(1)
		return
	}
	if len(m.Data) == 0 { // nobody listens to the subject: the stream is not there, or has no leader
		b.counts.failed.Add(1)
		w.done(Ack{}, ErrUnavailable)
		return
	}
	ack, err := parseAck(m.Data)
	switch {
	case err != nil:
		b.counts.failed.Add(1)
	case ack.Duplicate:
		b.counts.duplicates.Add(1)
	default:
		b.counts.acked.Add(1)
		b.streams[w.stream].saw(ack.Seq)
		b.handOn(&w, ack.Seq)
	}
	w.done(ack, err)
	b.pending.spare(w.record)
}

// handOn gives a message to the handler that the embedded server has stored: everything in it comes from here, and is acknowledged in its order, so that it
// need not be sent back.
func (b *Broker) handOn(w *awaited, seq uint64) {
	if b.server == nil {
		return
	}
	b.tellMissed()
	b.counts.received.Add(1)
	b.handler.Stored(w.stream, w.room, Message{Seq: seq, Last: seq, Data: w.record})
}

// tellMissed tells the handler of messages that were acknowledged when nothing of them was left here to hand on. Nothing behind them is handed on before.
func (b *Broker) tellMissed() {
	if b.server == nil || b.missed.Load() == b.missedTold.Load() {
		return
	}
	b.telling.Lock()
	defer b.telling.Unlock()
	if n := b.missed.Load(); n != b.missedTold.Load() {
		b.gapAll()
		b.missedTold.Store(n)
	}
}

// refusals are answers that are known within Publish and must not be given there: the caller may hold what done needs.
type refusals struct {
	mu    sync.Mutex
	list  []refusal
	bell  chan struct{}
	ended bool // the goroutine that answers
}

type refusal struct {
	done func(Ack, error)
	err  error
}

func (r *refusals) put(done func(Ack, error), err error) {
	r.mu.Lock()
	if r.ended {
		r.mu.Unlock()
		go done(Ack{}, err)
		return
	}
	r.list = append(r.list, refusal{done, err})
	first := len(r.list) == 1
	r.mu.Unlock()
	if first {
		ring(r.bell)
	}
}

func (r *refusals) take(last bool) []refusal {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = last
	list := r.list
	r.list = nil
	return list
}
