package chat

import (
	"context"

	"throng/engine"
	"throng/protocol"
	"throng/protocol/envelope"
)

// Stored takes a message that the store has numbered, and fans it out in the room's order. last is the room's number before it, as far as the store
// knows. Messages may come twice, and some may be missing: what was missed is fetched before anything behind it is told. Any goroutine; for one room one
// at a time. record is not kept.
func (s *Server) Stored(stream int, name string, seq, last uint64, record []byte) {
	defer s.caught("stored message")
	r := s.rooms.find(name)
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if stream != r.policy.stream || r.state == roomForgotten || r.state == roomClosed && r.members() == 0 {
		return
	}
	if r.state != roomOpen || r.pending.mustWait(r.head, last) {
		r.keep(seq, last, record)
		return
	}
	if !r.take(seq, last, record) {
		r.keep(seq, last, record)
		r.mend()
	}
}

// keep lets a message wait. The lock is held.
func (r *room) keep(seq, last uint64, record []byte) {
	p := r.need()
	if len(p.arrived) == 0 {
		p.epoch = r.server.store.Epoch(r.policy.stream)
	}
	p.keep(seq, last, record)
}

// forgetOther forgets what has arrived of another epoch: its numbers mean nothing any more, and what has come since has to be fetched.
func (p *pending) forgetOther(epoch string) {
	if p != nil && len(p.arrived) > 0 && p.epoch != epoch {
		p.arrived, p.bytes, p.missed = nil, 0, true
	}
}

// mustWait reports whether a message waits for what is being fetched. One that follows the newest at once does not, unless others wait already: whoever makes
// the room look for what it may have missed holds nobody up.
func (p *pending) mustWait(head, last uint64) bool {
	return p != nil && (p.missed || len(p.arrived) > 0 || p.mending && last != head)
}

// keep lets a message wait for those before it.
func (p *pending) keep(seq, last uint64, record []byte) {
	if p.missed || len(p.arrived) >= arrivedMax || p.bytes+len(record) > arrivedBytesMax {
		p.missed = true
		return
	}
	p.arrived = append(p.arrived, arrival{seq, last, append([]byte(nil), record...)})
	p.bytes += len(record)
}

// inTurn reports whether what waits is handed on in turn by the store. Then nothing is missing between.
func (p *pending) inTurn() bool { return len(p.arrived) > 0 && p.arrived[0].last == p.arrived[0].seq }

// take fans a message out if it is the next one, or passes over one that was fanned out already. It reports false if something is missing before it.
// The lock is held.
//
// With l == s the store hands on each message in its turn and says beforehand if it left any out: whoever is sure has had the one before.
//
// Else, with h the newest told, s the message's number and l the one before it: s <= h was told; l == h is the next; l > h leaves a hole. With l < h
// messages were removed from the store: whether one of those between was never told here cannot be seen, unless nothing can have been missed.
func (r *room) take(seq, last uint64, record []byte) bool {
	switch {
	case seq <= r.head:
		r.tellEarly(seq, record)
		return true
	case last == seq:
		if !r.sure {
			return false
		}
	case last > r.head:
		return false
	case last < r.head && !r.sure:
		r.tellGap(seq-1, seq)
	}
	r.sure, r.early = true, false
	r.fanOut(seq, record)
	return true
}

// tellEarly gives raw clients that entered while the room was being opened what was said since and is counted in its head already. The lock is held.
func (r *room) tellEarly(seq uint64, record []byte) {
	if !r.early || seq <= r.earlyTold {
		return
	}
	r.earlyTold = seq
	b := buffers.Get().(*buffer)
	defer b.giveBack()
	r.server.engine.PublishAt(r.name, r.position(seq), &engine.Contents{engine.Raw: b.raw(record)})
}

// fanOut numbers a message and gives it to everybody in the room. The lock is held.
func (r *room) fanOut(seq uint64, record []byte) {
	record = r.server.sound(record)
	message := r.envelope(seq, r.head, record)
	r.remember(seq, r.head, message, len(record))
	r.head = seq
	var what engine.Contents
	if r.enveloped.Load() > 0 {
		what[engine.Enveloped] = engine.Content{Op: protocol.OpText, Data: message}
	}
	b := buffers.Get().(*buffer)
	if r.raw.Load() > 0 {
		what[engine.Raw] = b.raw(record)
	}
	if r.members() > 0 {
		r.server.engine.PublishAt(r.name, r.position(seq), &what)
	}
	b.giveBack()
	r.server.stats.fannedOut.Add(1)
}

// unreadable is told in the place of what the store holds and nobody can read: its number stands in the order of the others.
var unreadable = []byte(`{"v":1,"time":0,"user":"","name":"","text":""}`)

// sound returns a record of the store's, or unreadable if that is none. Where the store is this node's alone, nobody else writes to it.
func (s *Server) sound(record []byte) []byte {
	if !s.shared() {
		return record
	}
	b := buffers.Get().(*buffer)
	defer b.giveBack()
	if b.parsed.Parse(record) != nil {
		s.stats.foreign.Add(1)
		return unreadable
	}
	return record
}

// envelope makes a record into a message of throng.v1, in memory that is never changed. The lock is held.
func (r *room) envelope(seq, prev uint64, record []byte) []byte {
	return envelope.AppendMessage(r.recent.room(len(record)+len(r.name)+envelopeBytes), r.name, seq, prev, record)
}

// envelopeBytes is about what an envelope adds to a record and the room's name.
const envelopeBytes = 96

// mend begins to fetch what lies between the newest message told and those that have arrived. The lock is held.
func (r *room) mend() {
	p := r.need()
	if p.mending {
		return
	}
	p.mending = true
	r.looks++
	p.look = r.looks
	r.server.stats.holes.Add(1)
	r.server.errands.run(r.mendNow)
}

// mendNow fetches one page, and goes on until the hole is filled. What is not there any more is told as a gap.
func (r *room) mendNow() {
	s := r.server
	r.mu.Lock()
	head, epochs, until := r.head, r.epochs, uint64(0)
	if p := r.pending; p != nil && len(p.arrived) > 0 {
		until = p.arrived[0].seq
	}
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(s.ctx, storeTime)
	messages, err := r.askAfter(ctx, head, pageMessages)
	cancel()

	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.pending
	if p == nil {
		return
	}
	p.mending = false
	defer r.againIfPanicking()
	if r.state != roomOpen { // it begins anew, and has no use for this
		return
	}
	if r.epochs != epochs { // it has begun anew meanwhile
		r.mend()
		return
	}
	if err != nil {
		s.stats.storeErrors.Add(1)
		r.sure = false
		s.again(r) // it is tried again with the next beat
		return
	}
	if until > 0 && len(messages) == 0 && p.inTurn() { // nothing is left, not even what was handed on
		r.tellGap(until-1, until)
	}
	for i, m := range messages {
		next := m.Seq
		if until > 0 {
			next = min(next, until)
		}
		if i == 0 && next > r.head && r.policy.removed(r.head, &m, len(messages)) {
			r.tellGap(next-1, next)
		}
		if next == until {
			break
		}
		if m.Seq > r.head {
			r.fanOut(m.Seq, m.Record)
		}
	}
	if len(messages) == pageMessages && (until == 0 || messages[pageMessages-1].Seq < until) {
		p.mending = true
		s.errands.run(r.mendNow)
		return
	}
	r.sure = r.sure || !p.missed || p.inTurn()
	newest, look := r.head, p.look
	if n := len(messages); n > 0 {
		newest = messages[n-1].Seq
	}
	r.catchUp(until)
	if r.head >= newest {
		r.looked = max(r.looked, look)
	}
}

// catchUp tells what has arrived while the room was waiting. The store was asked for what lies before one of them, whose number is looked; 0: for none. The
// lock is held.
func (r *room) catchUp(looked uint64) {
	p := r.pending
	if p == nil {
		return
	}
	arrived, missed := p.arrived, p.missed
	p.arrived, p.bytes, p.missed = nil, 0, false
	for i, a := range arrived {
		if r.take(a.seq, a.last, a.record) {
			continue
		}
		// What lies before it has been looked for and is not there: the store has removed it.
		if a.seq == looked {
			r.tellGap(a.seq-1, a.seq)
			r.fanOut(a.seq, a.record)
			continue
		}
		p.arrived, p.missed = append([]arrival(nil), arrived[i:]...), missed
		r.mend()
		return
	}
	if missed {
		r.mend()
		return
	}
	r.settle()
}

// Gapped is told that messages of a room, or of every room if it is "", may have been missed: the store is asked for what there is. Any goroutine.
func (s *Server) Gapped(name string) {
	defer s.caught("gap")
	if name != "" {
		if r := s.rooms.find(name); r != nil {
			r.doubt()
		}
		return
	}
	s.rooms.each(func(r *room) { s.guarded("gap", r.doubt) })
}

// doubt has a room look for messages behind its newest.
func (r *room) doubt() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.doubtHeld()
}

// doubtHeld is doubt for whoever holds the lock.
func (r *room) doubtHeld() {
	if !r.recorded() {
		return
	}
	if p := r.pending; p != nil && (p.mending || p.inTurn()) { // what comes now stands behind what was left out, and what is being read may be from before
		p.missed = true
	}
	epoch := r.server.store.Epoch(r.policy.stream)
	if r.state != roomOpen { // what is being learnt may be from before
		if r.state == roomOpening || r.pending != nil {
			r.need().missed = true
			r.pending.forgetOther(epoch)
		}
		return
	}
	r.sure = false
	if epoch != r.epoch {
		r.restart(epoch)
		return
	}
	r.mend()
}

// lookAgain asks the store for what follows the newest message, unless it is being asked, or did not answer and will be asked with the next beat. The lock is
// held.
func (r *room) lookAgain() {
	if p := r.pending; p == nil || !p.mending && r.sure {
		r.doubtHeld()
	}
}

// restart begins anew with another numbering. The members are told when it is known from which number on they hear everything; those of before mean
// nothing. The lock is held.
func (r *room) restart(epoch string) {
	r.anew = true
	r.pending.forgetOther(epoch)
	r.advance(0, epoch)
	r.filled = false
	r.state = roomOpening
	r.server.errands.run(r.learnHead)
}

// tellGap says to those who can be told that messages behind the newest are missing, up to a number, and from where on there are some. Who comes later is
// told of the gap too: what stands in memory goes no further back than to it. The lock is held.
func (r *room) tellGap(to, oldest uint64) {
	if to <= r.head {
		return
	}
	r.server.stats.gaps.Add(1)
	r.tellAt(r.position(to), envelope.AppendGap(nil, r.name, &envelope.Gap{Epoch: r.epoch, From: r.head + 1, To: to, Oldest: oldest}))
	r.server.recentBytes.Add(-int64(r.recent.forget()))
	r.filled = false
	r.head = to
}

// tellReset says that the numbering began anew, and that what follows is behind the newest message. The lock is held.
func (r *room) tellReset() {
	r.server.stats.gaps.Add(1)
	r.tellAt(r.position(0), envelope.AppendGap(nil, r.name, &envelope.Gap{Epoch: r.epoch, To: r.head, Oldest: r.oldestKnown(), Reset: true}))
}

// tell gives something to all members who speak throng.v1, in the order of the room's messages. The lock is held.
func (r *room) tell(text []byte) { r.tellAt(0, text) }

// tellAt is tell for what has a place among the messages: who enters behind it does not get it, not even when it is still on its way to the loop.
func (r *room) tellAt(position uint64, text []byte) {
	if r.enveloped.Load() > 0 {
		r.server.engine.PublishAt(r.name, position, &engine.Contents{engine.Enveloped: {Op: protocol.OpText, Data: text}})
	}
}
