package chat

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"throng/engine"
)

// room is a topic with a memory: its policy, who is in it, the number of its newest message and the end of its history.
//
//	        first member                        the store's answer
//	closed ─────────────▶ opening ─────────────────────────────────▶ open
//	   ▲                     │ what arrives meanwhile waits             │
//	   └─────────────────────┴───── empty for a while ──────────────────┘
//
// mu is taken on loops (to join, leave and speak) and on the store's goroutines (to fan out): it is held for microseconds. Under it the engine's
// topic and mailbox locks may be taken, and never the other way round.
type room struct {
	server *Server
	name   string
	policy *Policy

	topic     atomic.Pointer[engine.Topic] // right as long as somebody is in
	enveloped atomic.Int32                 // members who speak throng.v1
	raw       atomic.Int32                 // and who do not

	mu        sync.Mutex
	state     roomState
	emptied   bool   // stands in the server's list of rooms that were left
	stirred   bool   // stands in the server's list of rooms with news
	filled    bool   // what recent lacks of the end of the history is not in the store either, or too old
	sure      bool   // nothing can have been missed since head was learnt
	looks     uint64 // how often the store was asked for what follows head
	looked    uint64 // of these, the last that was answered
	anew      bool   // the numbering is another one, and the members have not been told yet
	head      uint64 // the newest message that was fanned out; its seq
	epoch     string // of head
	epochs    uint64 // how many there were before it, of those that this room has seen
	first     uint64 // head when this numbering was learnt: who was in the room then hears what is behind it
	recent    recent
	pending   *pending // while something is waited for
	crowd     crowd
	early     bool // raw clients entered before head was learnt: what they have not heard of it is still coming
	earlyTold uint64
	empty     int64 // nanoseconds since when nobody has been here, 0: somebody is
}

type roomState uint8

const (
	roomClosed roomState = iota // nobody needs it, and it may be forgotten
	roomOpening
	roomOpen
	roomForgotten // not among the server's rooms any more
)

// pending is what waits for a room: people who want to join, and messages that come after one which is being fetched.
type pending struct {
	waits   []wait
	arrived []arrival
	epoch   string // of these
	bytes   int
	mending bool // a hole before arrived is being filled
	look    uint64
	filling bool // the end of the history is being read
	missed  bool // more arrived than is kept: everything behind head has to be fetched
}

// wait is somebody who wants in.
type wait struct {
	filled bool // needs the end of the history
	f      func(error)
}

type arrival struct {
	seq, last uint64
	record    []byte
}

const (
	// arrivedMax and arrivedBytesMax bound what waits while a room opens or a hole is filled; what comes after is fetched from the store again.
	arrivedMax      = 4096
	arrivedBytesMax = 1 << 20
	// lingerTime is how long a room without people is kept: those who come back after a restart of their network find its recent messages here.
	lingerTime = 30 * time.Second
)

func newRoom(s *Server, name string) *room {
	name = strings.Clone(name)
	r := &room{server: s, name: name, policy: s.policies.of(name), empty: s.now(), emptied: true}
	s.emptied(r)
	return r
}

// recorded reports whether the room's messages are stored.
func (r *room) recorded() bool { return r.policy.stream >= 0 && r.server.store != nil }

// members counts the connections of this node that are in the room.
func (r *room) members() int { return int(r.enveloped.Load() + r.raw.Load()) }

// positionBits are those of a position in the engine's topic that hold a message's number; above them stands the count of epochs, so that positions rise
// although the numbers begin anew.
const positionBits = 53

// position is what the engine knows a message of this epoch by.
func (r *room) position(seq uint64) uint64 { return r.epochs<<positionBits | seq }

// numberAt is the number of the message at a position, and false if that is one of before the numbering began anew.
func (r *room) numberAt(position uint64) (seq uint64, ok bool) {
	if position>>positionBits != r.epochs {
		return 0, false
	}
	return max(r.first, position&(1<<positionBits-1)), true // what is not above the first is told to raw clients alone
}

// newest is the position of the newest message told. The lock is held.
func (r *room) newest() uint64 { return r.position(r.head) }

// errForgotten says that the room was given up in between; get it anew.
var errForgotten = errors.New("chat: the room was forgotten")

// whenReady calls f when the room is open and, if it has to be, filled, and reports true if that is now; else f is called later, on a goroutine
// that may block, with an error if it comes to nothing.
func (r *room) whenReady(filled bool, f func(error)) (now bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.state == roomForgotten:
		return false, errForgotten
	case r.state == roomOpen && (!filled || r.filled || !r.recorded()):
		return true, nil
	}
	if r.state == roomClosed && !r.open() {
		return true, nil
	}
	p := r.need()
	p.waits = append(p.waits, wait{filled, f})
	if r.state == roomOpen {
		r.beginFill()
	}
	return false, nil
}

// beginFill has the end of the history read, unless that is under way. The lock is held.
func (r *room) beginFill() {
	if p := r.need(); !p.filling {
		p.filling = true
		r.server.errands.run(r.fill)
	}
}

func (r *room) need() *pending {
	if r.pending == nil {
		r.pending = new(pending)
	}
	return r.pending
}

// open begins to open the room and reports whether that has to be waited for. The lock is held.
func (r *room) open() (wait bool) {
	s := r.server
	stream := -1
	if r.recorded() {
		stream = r.policy.stream
	}
	if s.store != nil {
		_ = s.store.Watch(stream, r.name) // without a connection it is made good when there is one
	}
	if stream < 0 {
		r.state, r.filled = roomOpen, true
		r.askAround()
		return false
	}
	r.state = roomOpening
	s.errands.run(r.learnHead)
	return true
}

// learnHead asks the store for the newest message, and lets in who waits.
func (r *room) learnHead() {
	s := r.server
	ctx, cancel := context.WithTimeout(s.ctx, storeTime)
	defer cancel()
	epoch := s.store.Epoch(r.policy.stream)
	head, err := r.askLast(ctx)
	waits, err := r.learnt(head, epoch, err)
	for _, f := range waits {
		s.guarded("join", func() { f(err) })
	}
}

// learnt opens the room with its newest message, of which the store said that it is of the epoch, or err. It returns those who wait for that, and what they
// are to be told.
func (r *room) learnt(head uint64, epoch string, err error) ([]func(error), error) {
	s := r.server
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state != roomOpening {
		return nil, nil
	}
	if err == nil && s.store.Epoch(r.policy.stream) != epoch { // whose number it is cannot be said
		err = ErrUnavailable
	}
	waits := r.pending.takeWaits(err != nil || head == 0)
	if err != nil {
		r.state = roomClosed
		if r.members() == 0 {
			r.pending = nil
		}
		s.again(r)
	} else {
		r.pending.forgetOther(epoch)
		head = r.pending.lowered(head, r.raw.Load() > 0)
		r.state, r.sure = roomOpen, true
		r.advance(head, epoch)
		r.early, r.earlyTold = head > 0 && r.raw.Load() > 0, 0
		r.filled, r.first = head == 0, head
		if r.pending != nil && len(r.pending.waits) > 0 {
			r.beginFill()
		}
		if r.anew {
			r.anew = false
			r.tellReset()
		}
		r.catchUp(0)
		r.askAround()
	}
	return waits, err
}

// lowered is the number from which on everything is to be told when the room opens: the newest, unless raw clients are in already and some of what was said
// since then has to be fetched.
func (p *pending) lowered(head uint64, raw bool) uint64 {
	if raw && p != nil && p.missed && len(p.arrived) > 0 && p.arrived[0].seq <= head {
		return p.arrived[0].seq - 1
	}
	return head
}

// advance sets what the newest message is, of which nobody here was told.
func (r *room) advance(head uint64, epoch string) {
	if epoch != r.epoch || head < r.head {
		r.epochs++
	}
	if epoch != r.epoch || head != r.head {
		r.server.recentBytes.Add(-int64(r.recent.forget()))
		r.filled = false
	}
	r.head, r.epoch = head, epoch
}

// takeWaits returns those who wait, all or those who do not need the end of the history. They are told by the caller when the lock is free.
func (p *pending) takeWaits(all bool) (taken []func(error)) {
	if p == nil {
		return nil
	}
	left := p.waits[:0]
	for _, w := range p.waits {
		if w.filled && !all {
			left = append(left, w)
		} else {
			taken = append(taken, w.f)
		}
	}
	clear(p.waits[len(left):])
	p.waits = left
	return taken
}

// settle forgets the pending state if nothing is left in it. The lock is held.
func (r *room) settle() {
	if p := r.pending; p != nil && len(p.waits) == 0 && len(p.arrived) == 0 && !p.mending && !p.filling && !p.missed {
		r.pending = nil
	}
}

// fill reads the end of the history into memory, once for all who wait.
func (r *room) fill() {
	s := r.server
	ctx, cancel := context.WithTimeout(s.ctx, storeTime)
	defer cancel()
	r.mu.Lock()
	epochs, first := r.epochs, r.head+1
	if len(r.recent.entries) > 0 {
		first = r.recent.entries[0].seq
	}
	r.mu.Unlock()
	messages, _, err := r.askBefore(ctx, first, recentMessagesMax/2)
	for _, f := range r.filledWith(messages, err, epochs) {
		s.guarded("join", func() { f(err) })
	}
}

// filledWith takes what fill has read, or err, and returns those who wait for it.
func (r *room) filledWith(messages []Stored, err error, epochs uint64) (waits []func(error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.pending; p != nil {
		p.filling = false
		waits = p.takeWaits(true)
	}
	if err == nil && r.state == roomOpen && r.epochs == epochs {
		r.prepend(messages)
		r.filled = true
	}
	r.settle()
	return waits
}

// prepend puts older messages before the recent ones. The lock is held.
func (r *room) prepend(messages []Stored) {
	if len(messages) == 0 {
		return
	}
	next := r.head
	if len(r.recent.entries) > 0 {
		next = r.recent.entries[0].prev
	}
	if messages[len(messages)-1].Seq != next {
		return // messages came meanwhile, and what they pushed out was read again; or something between is gone
	}
	newer := r.recent.entries
	r.server.recentBytes.Add(-int64(r.recent.forget()))
	prev := messages[0].Last
	for _, m := range messages {
		record := r.server.sound(m.Record)
		r.remember(m.Seq, prev, r.envelope(m.Seq, prev, record), len(record))
		prev = m.Seq
	}
	for _, e := range newer {
		r.remember(e.seq, e.prev, e.message, e.record)
	}
}

// behind returns the recent messages behind a number, and whether the store can have no other. The lock is held.
func (r *room) behind(seq, bound uint64) (messages []entry, complete bool) {
	if first := r.recent.entries; len(first) > 0 && first[0].prev == 0 && seq < first[0].seq && (seq > 0 || r.policy.removes(len(first))) {
		return nil, false // nothing older is left: neither the message of that number, nor perhaps others behind it
	}
	return r.recent.after(seq, bound)
}

// remember adds to the recent messages, as far as the node has memory for them. The lock is held.
func (r *room) remember(seq, prev uint64, message []byte, record int) {
	grew := r.recent.add(seq, prev, message, record)
	if s := r.server; s.recentBytes.Add(int64(grew)) > s.cfg.RecentBytes {
		r.dropHalf()
	}
}

// dropHalf forgets the older half of the recent messages, and of one that one. The lock is held.
func (r *room) dropHalf() {
	r.server.recentBytes.Add(-int64(r.recent.drop((len(r.recent.entries) + 1) / 2)))
}

// shareMemory makes place when recent messages take nearly all that they may: rooms in which nothing is said any more would keep what others could use.
func (s *Server) shareMemory() {
	if s.recentBytes.Load() <= s.cfg.RecentBytes/8*7 {
		return
	}
	s.rooms.each(func(r *room) { // in an order that is another each time
		if s.recentBytes.Load() > s.cfg.RecentBytes/4*3 {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.dropHalf()
		}
	})
}

// close makes a room that nobody needs into one that is forgotten, and reports whether it did.
func (r *room) close(now int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.members() > 0 || r.empty == 0 || now-r.empty < int64(r.server.times.linger) || r.pending != nil && len(r.pending.waits) > 0 {
		return false
	}
	if s := r.server; s.store != nil && r.state != roomClosed {
		stream := -1
		if r.recorded() {
			stream = r.policy.stream
		}
		s.store.Unwatch(stream, r.name)
	}
	r.state = roomForgotten
	r.server.recentBytes.Add(-int64(r.recent.forget()))
	return true
}
