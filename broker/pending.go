package broker

import (
	"strconv"
	"sync"
	"time"
)

// What was sent and waits for its acknowledgement stands in a slot. All wait equally long, so the order of sending is that of running out, and a
// list through the slots finds the first of them at once:
//
//	slots   ┌────┬────┬────┬────┬────┐        oldest → 3 → 0 → 4 → newest
//	        │  0 │free│free│  3 │  4 │        free   → 1 → 2
//	        └────┴────┴────┴────┴────┘
//
// The token in the reply subject is the slot's index and how often it was used: an answer that comes too late finds another use, and is nobody's.

const (
	pendingMessagesMax = 1 << 18
	pendingBytesMax    = 256 << 20

	none = -1
)

type slot struct {
	awaited
	due    time.Duration // since the broker's start
	uses   uint32
	bytes  int32
	before int32 // the slot sent before, or none
	after  int32 // the slot sent after, or the next free one, or none
	taken  bool
}

// awaited is what a message's acknowledgement is for.
type awaited struct {
	done   func(Ack, error) // nil: nothing waits
	stream int
	room   string
	record []byte // with the embedded server, which does not send it back
}

const (
	sparesMax     = 1 << 10
	spareBytesMax = 4 << 10
)

type pending struct {
	mu     sync.Mutex
	slots  []slot
	free   int32
	oldest int32
	newest int32
	count  int
	bytes  int
	spares [][]byte // of records that nobody needs any more
	shut   bool     // takes no more
}

func newPending() *pending {
	return &pending{free: none, oldest: none, newest: none}
}

// put takes a slot for a message of that many bytes. A record in w is copied.
func (p *pending) put(w awaited, bytes int, due time.Duration) (token uint64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shut || p.count >= pendingMessagesMax || p.bytes+bytes > pendingBytesMax {
		return 0, false
	}
	at := p.free
	if at == none {
		at = int32(len(p.slots))
		p.slots = append(p.slots, slot{})
	} else {
		p.free = p.slots[at].after
	}
	s := &p.slots[at]
	if w.record != nil {
		var spare []byte
		if n := len(p.spares); n > 0 {
			spare, p.spares = p.spares[n-1], p.spares[:n-1]
		}
		w.record = append(spare, w.record...)
	}
	*s = slot{awaited: w, due: due, uses: s.uses + 1, bytes: int32(bytes), before: p.newest, after: none, taken: true}
	if p.newest == none {
		p.oldest = at
	} else {
		p.slots[p.newest].after = at
	}
	p.newest = at
	p.count++
	p.bytes += bytes
	return uint64(s.uses)<<32 | uint64(at), true
}

// spare takes a record back that is not needed any more.
func (p *pending) spare(record []byte) {
	if cap(record) == 0 || cap(record) > spareBytesMax {
		return
	}
	p.mu.Lock()
	if len(p.spares) < sparesMax {
		p.spares = append(p.spares, record[:0])
	}
	p.mu.Unlock()
}

// take gives back what waits under a token; nothing if nothing does, as when it ran out before.
func (p *pending) take(token uint64) awaited {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := token & (1<<32 - 1)
	if at >= uint64(len(p.slots)) || !p.slots[at].taken || uint64(p.slots[at].uses) != token>>32 {
		return awaited{}
	}
	return p.remove(int32(at))
}

// remove empties a taken slot. p.mu is held.
func (p *pending) remove(at int32) awaited {
	s := &p.slots[at]
	if s.before == none {
		p.oldest = s.after
	} else {
		p.slots[s.before].after = s.after
	}
	if s.after == none {
		p.newest = s.before
	} else {
		p.slots[s.after].before = s.before
	}
	p.count--
	p.bytes -= int(s.bytes)
	w := s.awaited
	s.awaited, s.taken, s.after = awaited{}, false, p.free
	p.free = at
	return w
}

// overdue takes everything that was due by then, the oldest first.
func (p *pending) overdue(now time.Duration) []func(Ack, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var late []func(Ack, error)
	for p.oldest != none && p.slots[p.oldest].due <= now {
		late = append(late, p.remove(p.oldest).done)
	}
	return late
}

// all takes everything.
func (p *pending) all() []func(Ack, error) {
	return p.overdue(1<<63 - 1)
}

// end takes everything, and lets nothing in any more.
func (p *pending) end() []func(Ack, error) {
	p.mu.Lock()
	p.shut = true
	p.mu.Unlock()
	return p.all()
}

func (p *pending) size() (messages, bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count, p.bytes
}

const tokenBase = 36

func appendAckToken(dst []byte, token uint64) []byte {
	return strconv.AppendUint(dst, token, tokenBase)
}

func parseAckToken(text string) (token uint64, ok bool) {
	token, err := strconv.ParseUint(text, tokenBase, 64)
	return token, err == nil
}
