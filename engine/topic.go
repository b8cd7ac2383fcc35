package engine

import (
	"sync"
	"sync/atomic"
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

	here      []*local              // one for each loop; each entry loop-owned
	worn      [outfits]atomic.Int32 // subscribers of each outfit
	far       atomic.Int32          // subscribers farther behind than half their log
	congested atomic.Int32          // lanes that are behind and mailboxes that are full; while there are any, publishers pause
}

// local is a topic's part on one loop. There are few lanes, mostly one, so they
// are a list: an empty place for each outfit would cost every topic more than
// the walk does. Loop-owned.
type local struct {
	topic *Topic
	lanes *lane
	subs  int
}

// Name returns the topic's name. Any goroutine.
func (t *Topic) Name() string { return t.name }

// Congested reports whether the topic cannot take more now: on some loop its
// subscribers are too far behind. Any goroutine.
func (t *Topic) Congested() bool { return t.congested.Load() > 0 }

// publish gives a framed message its place in the topic's order and hands it to
// every loop with subscribers. from is the loop of the calling goroutine, nil
// if it is none: a loop that has nothing waiting in its mailbox gets its own
// copy at once, which keeps the order, since all others wait for the lock.
func (t *Topic) publish(from *loop, pos uint64, what *Contents, enc *encoded) {
	now := t.engine.ticked.Load()
	if from != nil {
		now = from.entered
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.said.add(now)
	t.encodeLate(enc, what)
	for _, l := range t.on {
		if l == from && l.box.empty() {
			l.deliver(t, pos, &enc.frames)
			continue
		}
		l.box.putMessage(t, l.index, pos, enc)
		l.bell.ring()
	}
}

// subscribe adds a connection of a loop to the topic, and reports whether it is the
// first in its lane. Loop-owned.
func (t *Topic) subscribe(l *loop, c *Conn) (ln *lane, first bool) {
	h := t.here[l.index]
	if h == nil {
		h = &local{topic: t}
		t.here[l.index] = h
	}
	for ln = h.lanes; ln != nil && ln.outfit != c.outfit; {
		ln = ln.sibling
	}
	if first = ln == nil; first {
		ln = &lane{local: h, outfit: c.outfit, sibling: h.lanes}
		h.lanes = ln
	}
	t.worn[c.outfit].Add(1)
	if h.subs++; h.subs == 1 {
		t.mu.Lock()
		t.on = append(t.on, l)
		t.mu.Unlock()
	}
	return ln, first
}

// cannotFollow reports whether more than half of the subscribers, on all loops
// together, are far behind.
func (t *Topic) cannotFollow() bool { return 2*int(t.far.Load()) > t.subscribers() }

// unsubscribe takes a connection of a loop out of the topic's books; the caller
// frees its slot. Loop-owned.
func (t *Topic) unsubscribe(l *loop, o outfit) {
	t.worn[o].Add(-1)
	h := t.here[l.index]
	if h.subs--; h.subs == 0 {
		t.mu.Lock()
		for i, on := range t.on {
			if on == l {
				t.on[i] = t.on[len(t.on)-1]
				t.on = t.on[:len(t.on)-1]
				break
			}
		}
		t.mu.Unlock()
	}
	t.engine.topics.leave(t)
}

// deliver appends a message to the loop's lanes of a topic. A lane whose outfit the
// publisher did not make, because its first subscriber came in between or because it
// would not have shrunk, takes the plain frame of its form: that is valid whatever
// was negotiated (RFC 7692 section 6). Without that one there is nothing for the
// form. A lane that is as far as the message's position has had it. Loop-owned.
func (l *loop) deliver(t *Topic, pos uint64, frames *[outfits][]byte) {
	h := t.here[l.index]
	if h == nil {
		return
	}
	for ln := h.lanes; ln != nil; ln = ln.sibling {
		if pos > 0 {
			if pos <= ln.pos {
				continue
			}
			ln.pos = pos
		}
		frame := frames[ln.outfit]
		if len(frame) == 0 {
			frame = frames[ln.outfit.plain()]
		}
		if len(frame) > 0 && len(ln.subs) > 0 {
			ln.append(l, frame)
		}
	}
}
