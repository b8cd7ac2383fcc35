package engine

import (
	"sync"
	"sync/atomic"

	"throng/protocol"
)

// Topic is what the engine fans out to: a name, and on each loop the lanes its
// subscribers stand in. It exists while somebody is subscribed.
type Topic struct {
	name   string
	engine *Engine
	refs   int // subscribers; guarded by the registry's shard

	mu      sync.Mutex // gives messages their one order; guards on, pressed and said
	on      []*loop    // loops with subscribers
	pressed []uint64   // for each loop, the batch of its mailbox for which this topic is congested
	said    meter      // messages

	here      []*local                         // one for each loop; each entry loop-owned
	encodings [protocol.Encodings]atomic.Int32 // subscribers of each encoding
	far       atomic.Int32                     // subscribers farther behind than half their log
	congested atomic.Int32                     // lanes that are behind and mailboxes that are full; while there are any, publishers pause
}

// local is a topic's part on one loop. Loop-owned.
type local struct {
	topic *Topic
	lanes [protocol.Encodings]*lane
	subs  int
}

// Name returns the topic's name. Any goroutine.
func (t *Topic) Name() string { return t.name }

// encoded is one message framed in each encoding that somebody uses.
type encoded struct {
	frames  [protocol.Encodings][]byte
	scratch [protocol.Encodings][]byte // what frames are built in; reused
}

// encodedPool serves publishers that are not on a loop; a loop has its own.
var encodedPool = sync.Pool{New: func() any { return new(encoded) }}

// encode frames a message once for each encoding in use. A message that is
// short or does not shrink goes out plain everywhere.
func (t *Topic) encode(enc *encoded, op protocol.Opcode, payload []byte) {
	cfg := &t.engine.cfg
	enc.scratch[0] = protocol.AppendFrame(enc.scratch[0][:0], op, payload)
	enc.frames = [protocol.Encodings][]byte{enc.scratch[0]}
	if !cfg.Compress || len(payload) < cfg.CompressAbove {
		return
	}
	for i := protocol.Plain + 1; i < protocol.Encodings; i++ {
		if t.encodings[i].Load() == 0 {
			continue
		}
		frame, smaller := protocol.AppendDeflated(enc.scratch[i][:0], op, payload, protocol.Encoding(i))
		enc.scratch[i] = frame[:0]
		if smaller {
			enc.frames[i] = frame
		}
	}
}

// publish gives a framed message its place in the topic's order and hands it to
// every loop with subscribers. from is the loop of the calling goroutine, nil
// if it is none: a loop that has nothing waiting in its mailbox gets its own
// copy at once, which keeps the order, since all others wait for the lock.
func (t *Topic) publish(from *loop, op protocol.Opcode, enc *encoded) {
	now := t.engine.ticked.Load()
	if from != nil {
		now = from.entered
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.said.add(now)
	for _, l := range t.on {
		if l == from && l.box.empty() {
			l.deliver(t, op, enc.frames)
			continue
		}
		l.box.putMessage(t, l.index, op, enc)
		l.bell.ring()
	}
}

// subscribe adds a connection of a loop to the topic. Loop-owned.
func (t *Topic) subscribe(l *loop, c *Conn) *lane {
	h := t.here[l.index]
	if h == nil {
		h = &local{topic: t}
		t.here[l.index] = h
	}
	ln := h.lanes[c.encoding]
	if ln == nil {
		ln = &lane{local: h}
		h.lanes[c.encoding] = ln
	}
	t.encodings[c.encoding].Add(1)
	if h.subs++; h.subs == 1 {
		t.mu.Lock()
		t.on = append(t.on, l)
		t.mu.Unlock()
	}
	return ln
}

// cannotFollow reports whether more than half of the subscribers, on all loops
// together, are far behind.
func (t *Topic) cannotFollow() bool {
	all := int32(0)
	for i := range t.encodings {
		all += t.encodings[i].Load()
	}
	return 2*t.far.Load() > all
}

// unsubscribe takes a connection of a loop out of the topic's books; the caller
// frees its slot. Loop-owned.
func (t *Topic) unsubscribe(l *loop, enc protocol.Encoding) {
	t.encodings[enc].Add(-1)
	h := t.here[l.index]
	if h.subs--; h.subs == 0 {
		t.mu.Lock()
		for i, o := range t.on {
			if o == l {
				t.on[i] = t.on[len(t.on)-1]
				t.on = t.on[:len(t.on)-1]
				break
			}
		}
		t.mu.Unlock()
	}
	t.engine.topics.leave(t)
}

// deliver appends a message to the loop's lanes of a topic. A lane whose
// encoding the publisher did not make, because its first subscriber came in
// between or because it would not have shrunk, takes the plain frame: that is
// valid whatever was negotiated (RFC 7692 section 6). Loop-owned.
func (l *loop) deliver(t *Topic, op protocol.Opcode, frames [protocol.Encodings][]byte) {
	h := t.here[l.index]
	if h == nil {
		return
	}
	for i, ln := range h.lanes {
		if ln == nil || len(ln.subs) == 0 {
			continue
		}
		frame := frames[i]
		if len(frame) == 0 {
			frame = frames[protocol.Plain]
		}
		ln.append(l, frame)
	}
}
