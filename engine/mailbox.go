package engine

import (
	"sync"
	"sync/atomic"
)

// mailbox is the one door to a loop that is open to every goroutine. Two sets
// of slices are swapped under a short mutex: senders fill one while the loop
// empties the other, so in steady state nothing is allocated.
type mailbox struct {
	mu    sync.Mutex
	in    letters
	out   letters      // loop-owned between take and done
	count atomic.Int64 // letters in `in` and those taken but not yet dealt with
	batch uint64       // how often it was taken from; guarded by mu
}

// letters is what one side of the mailbox holds: the letters in their order,
// the bytes they speak of, end to end, and who was sent here.
type letters struct {
	items   []letter
	bytes   []byte
	comers  []*Conn  // accepted by other loops
	pressed []*Topic // counted as congested until these letters are dealt with
}

// letter is one message for a topic, or one task.
type letter struct {
	topic *Topic
	pos   uint64          // its position in the topic, 0: none
	sizes [outfits]uint32 // bytes of each outfit's frame, in this order; 0: not encoded
	task  func(l *loop)
}

const (
	// lettersMax and lettersBytesMax are what a mailbox holds before publishers
	// wait for its loop: with neither, a loop that is busy for a second would let
	// one client of another fill the memory.
	lettersMax      = 1024
	lettersBytesMax = 128 << 10
	// lettersKept and lettersBytesKept are what a mailbox keeps between turns; a
	// slice that a flood blew up is given back.
	lettersKept      = 4 * lettersMax
	lettersBytesKept = 2 * lettersBytesMax
)

// putMessage adds one message: its frame in each outfit, end to end. Any
// goroutine; the caller holds the topic's lock, which is what gives all loops
// the same order. loop is whose mailbox it is.
func (m *mailbox) putMessage(t *Topic, loop int, pos uint64, enc *encoded) {
	m.mu.Lock()
	lt := letter{topic: t, pos: pos}
	for o, f := range enc.frames {
		if len(f) > 0 {
			m.in.bytes = append(m.in.bytes, f...)
			lt.sizes[o] = uint32(len(f))
		}
	}
	m.in.items = append(m.in.items, lt)
	m.count.Add(1)
	if len(m.in.items) > lettersMax || len(m.in.bytes) > lettersBytesMax {
		m.press(t, loop)
	}
	m.mu.Unlock()
}

// press makes the topic's publishers wait until what is in the mailbox now has
// been dealt with. Both locks are held.
func (m *mailbox) press(t *Topic, loop int) {
	if t.pressed == nil {
		t.pressed = make([]uint64, len(t.here))
	}
	if t.pressed[loop] != m.batch+1 {
		t.pressed[loop] = m.batch + 1
		m.in.pressed = append(m.in.pressed, t)
		t.congested.Add(1)
	}
}

// putTask adds a function for the loop to run. Any goroutine.
func (m *mailbox) putTask(task func(l *loop)) {
	m.mu.Lock()
	m.in.items = append(m.in.items, letter{task: task})
	m.count.Add(1)
	m.mu.Unlock()
}

// putComer adds a connection that another loop has accepted. Any goroutine.
func (m *mailbox) putComer(c *Conn) {
	m.mu.Lock()
	m.in.comers = append(m.in.comers, c)
	m.count.Add(1)
	m.mu.Unlock()
}

// take hands the loop everything that was put so far. Loop-owned.
func (m *mailbox) take() *letters {
	m.mu.Lock()
	m.in, m.out = m.out, m.in
	m.batch++
	m.mu.Unlock()
	return &m.out
}

// done says that what take returned has been dealt with, and reports whether
// publishers that waited for it may go on. Loop-owned.
func (m *mailbox) done() (eased bool) {
	n := len(m.out.items) + len(m.out.comers)
	clear(m.out.items)
	clear(m.out.comers)
	m.out.comers = m.out.comers[:0]
	m.out.items = m.out.items[:0]
	m.out.bytes = m.out.bytes[:0]
	if cap(m.out.items) > lettersKept || cap(m.out.bytes) > lettersBytesKept {
		m.out.items, m.out.bytes = nil, nil
	}
	m.count.Add(int64(-n))
	for i, t := range m.out.pressed {
		m.out.pressed[i] = nil
		eased = t.congested.Add(-1) == 0 || eased
	}
	m.out.pressed = m.out.pressed[:0]
	return eased
}

// empty reports whether nothing is waiting or being dealt with. Under a topic's
// lock an empty mailbox means that no earlier message of that topic is on its
// way to this loop.
func (m *mailbox) empty() bool { return m.count.Load() == 0 }
