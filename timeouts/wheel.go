// Package timeouts is a timing wheel: it holds a deadline for each of a million
// connections and says, as time passes, whose has come.
//
//	 tick 1 s, 8 slots, and the time is 10.0 s:
//
//	                next
//	                 |
//	    16  17  18  11  12  13  14  15    the tick at which the slot is walked
//	  +---+---+---+---+---+---+---+---+
//	  | 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 |   slot = tick mod 8
//	  +---+---+-|-+---+---+-|-+---+---+
//	            |           |
//	            B           A <-> C       doubly linked, in no order
//
//	Tick   The resolution. A deadline is rounded up to a tick: a timer is never
//	       early and at most one tick late (plus however late Advance is called).
//	Range  One lap, slots x tick. A deadline beyond it is parked in the last slot
//	       of the lap, and placed again from there without asking anyone.
//
//	A waits 2.5 s: deadline 12.5 s, rounded up to tick 13, 13 mod 8 = slot 5.
//	B waits a minute: tick 70 is beyond 18, the last tick of this lap, so it is
//	parked in slot 2. At tick 18 the lap ends at 26, slot 2 again; from tick 66 on
//	tick 70 is within the lap, and B goes to its own slot 6.
//
//	A is touched at 12.9 s: one store, and A stays where it is.
//	13 s: slot 5 is walked. A was silent for 0.1 s: due says "2.5 s again", counted
//	      from the touch: 15.4 s, tick 16, slot 0.
//	16 s: slot 0 is walked. A was silent for 3.1 s: due says 0, and A is gone.
//
// Why lazy: a busy connection is active thousands of times for each time it is
// timed out, so activity must cost nothing and may leave the timer in a slot that
// is too early. The visit puts that right: once per wait, not once per message.
//
// Why a wheel: starting, stopping and expiring take constant time, where a heap
// pays the logarithm of a million and a cache miss on every level of it. This is
// the wheel of Varghese and Lauck ("Hashed and Hierarchical Timing Wheels", SOSP
// 1987). Of their answers to long timers the hierarchy is not worth its levels
// here: a server's timeouts fit into a lap or a few, and a parked timer costs one
// visit a lap.
//
// Why indexes: timers are entries of 24 bytes in pages without a pointer, which the
// garbage collector does not scan, and they grow page by page: the millionth timer
// does not wait for a copy of the others.
package timeouts

import (
	"math"
	"strconv"
	"time"
	"unsafe"
)

// slotsMax keeps the reference to a slot apart from that to an entry, and both
// apart from visiting.
const slotsMax = 1 << 30

// tickMax is the last tick there is, as an entry keeps 56 bits of it, and time never
// gets there. With a tick of a microsecond it is 2,283 years away, of a nanosecond two.
const tickMax = 1<<56 - 1

// Wheel is a timing wheel. It knows no clock, starts no goroutine and has no lock:
// it belongs to whoever calls it, one event loop as a rule.
type Wheel struct {
	tick  uint64 // nanoseconds
	epoch int64  // when tick 0 was
	mask  uint64 // slots - 1

	now  int64  // the latest time that Advance was told
	seen uint64 // its tick: whatever is placed from now on comes up later than that
	next uint64 // the tick whose slot is walked next; seen+1, or less during a walk

	// heads has the first timer of each slot. One more list stands behind the slots:
	// a slot's timers are moved there as a whole to be walked, so that whatever due
	// does to the wheel, the walk is simply what is left of that list.
	heads   []ID
	walking uint32 // the index of that list

	visited ID // the timer for which due is running

	store
}

// New returns an empty wheel of so many slots, a power of two. Here and everywhere
// now is in nanoseconds, on any clock of the caller's that does not go back.
func New(tick time.Duration, slots int, now int64) *Wheel {
	if tick <= 0 {
		panic("timeouts: a tick of " + tick.String())
	}
	if slots <= 0 || slots > slotsMax || slots&(slots-1) != 0 {
		panic("timeouts: " + strconv.Itoa(slots) + " slots, not a power of two")
	}
	return &Wheel{
		tick:    uint64(tick),
		epoch:   now,
		mask:    uint64(slots - 1),
		now:     now,
		next:    1,
		heads:   make([]ID, slots+1),
		walking: uint32(slots),
		store:   newStore(),
	}
}

// Add starts a timer: touched now, due at now+wait. The class is the caller's to
// give a meaning to: due gets it back.
func (w *Wheel) Add(class uint8, now int64, wait time.Duration) ID {
	id, e := w.take()
	e.touched = now
	w.place(id, e, class, w.tickAfter(now, wait))
	return id
}

// Touch notes activity. It does not move the timer: due learns of it at the visit.
func (w *Wheel) Touch(id ID, now int64) { w.at(id).touched = now }

// Touched returns when the timer was last touched, added or set.
func (w *Wheel) Touched(id ID) int64 { return w.at(id).touched }

// Class returns what Add or Set gave the timer.
func (w *Wheel) Class(id ID) uint8 { return w.at(id).class() }

// Set starts the timer anew: another class, touched now, due at now+wait. Unlike
// Touch it moves the timer, so a deadline can also come nearer.
func (w *Wheel) Set(id ID, class uint8, now int64, wait time.Duration) {
	e := w.at(id)
	if e.prev == free {
		panic("timeouts: Set of timer " + id.String() + ", which is free")
	}
	w.unlink(e)
	e.touched = now
	w.place(id, e, class, w.tickAfter(now, wait))
}

// Remove stops the timer; its id may be given out again by the next Add. Removing
// None does nothing, removing a free id panics: it may be a stranger's tomorrow.
func (w *Wheel) Remove(id ID) {
	if id == None {
		return
	}
	e := w.at(id)
	if e.prev == free {
		panic("timeouts: Remove of timer " + id.String() + ", which is free")
	}
	w.unlink(e)
	w.release(id, e)
}

// Len returns how many timers are running.
func (w *Wheel) Len() int { return w.live }

// Bytes returns the memory held. It follows the most timers there ever were: pages
// are kept for the next rush.
func (w *Wheel) Bytes() int {
	return int(unsafe.Sizeof(*w)) + cap(w.heads)*int(unsafe.Sizeof(None)) + w.store.bytes()
}

// Advance visits the timers whose time has come by now, at most budget of them
// (no bound if budget <= 0), and reports whether more are waiting: call it again,
// with the same or a later now. An earlier now counts as the latest one.
//
// due is called once for each timer whose deadline has passed, with its class and
// for how long it has been silent, that is untouched. It returns the wait after which
// the timer is due again, counted from the last touch (the next tick if that is
// past already); with a wait <= 0 the timer is removed.
//
// due may call Add, Touch, Set and Remove for any timer. If it removes or sets the
// one it was called for, what it returns is ignored. Nothing it starts comes up in
// the same Advance. If due panics, its timer comes up again at the next tick.
//
// A parked timer counts against the budget when it is placed again.
func (w *Wheel) Advance(now int64, budget int, due func(id ID, class uint8, silent time.Duration) (wait time.Duration)) (more bool) {
	if w.visited != None {
		panic("timeouts: Advance called from due")
	}
	w.now = max(w.now, now)
	w.seen = w.tickBefore(w.now)
	// After more than a lap each slot is walked once: who is in it is asked for its
	// tick, and that is compared with seen, not with the tick of the slot.
	if w.seen > w.next+w.mask {
		w.next = w.seen - w.mask
	}

	defer w.settle()
	for visits := 0; w.waiting(); visits++ {
		if visits == budget && budget > 0 {
			return true
		}
		w.visit(due)
	}
	return false
}

// waiting reports whether there is someone to visit, and fetches the next slots for
// that until one is not empty.
func (w *Wheel) waiting() bool {
	for w.heads[w.walking] == None {
		if w.next > w.seen {
			return false
		}
		w.fetch(uint32(w.next & w.mask))
		w.next++
	}
	return true
}

// fetch moves the timers of a slot to the list that is walked.
func (w *Wheel) fetch(slot uint32) {
	first := w.heads[slot]
	if first == None {
		return
	}
	w.heads[slot] = None
	w.heads[w.walking] = first
	w.at(first).prev = slotBit | w.walking
}

// visit takes the first timer off the walk and asks what is to become of it. The
// mark in prev tells afterwards whether due has decided by itself: Remove and Set
// overwrite it, and so does an Add that got the id once it was free.
func (w *Wheel) visit(due func(ID, uint8, time.Duration) time.Duration) {
	id := w.heads[w.walking]
	e := w.at(id)
	w.unlink(e)
	if e.tick() > w.seen {
		w.place(id, e, e.class(), e.tick())
		return
	}
	e.prev = visiting
	w.visited = id
	wait := due(id, e.class(), time.Duration(w.now-e.touched))
	w.visited = None
	switch {
	case e.prev != visiting:
	case wait <= 0:
		w.release(id, e)
	default:
		w.place(id, e, e.class(), w.tickAfter(e.touched, wait))
	}
}

// settle finds something to do only if due has panicked.
func (w *Wheel) settle() {
	if w.visited == None {
		return
	}
	if e := w.at(w.visited); e.prev == visiting {
		w.place(w.visited, e, e.class(), w.seen+1)
	}
	w.visited = None
}

// place links a timer, linked nowhere, into the slot of its tick. What is past
// goes to the next tick that nobody has seen, what is beyond the lap to its end.
func (w *Wheel) place(id ID, e *entry, class uint8, tick uint64) {
	tick = max(tick, w.seen+1)
	e.setDue(tick, class)
	slot := uint32(min(tick, w.next+w.mask) & w.mask)
	first := w.heads[slot]
	e.next, e.prev = first, slotBit|slot
	if first != None {
		w.at(first).prev = uint32(id)
	}
	w.heads[slot] = id
}

// unlink takes a timer out of the list it is in; the one being visited is in none.
func (w *Wheel) unlink(e *entry) {
	if e.prev == visiting {
		return
	}
	if e.prev&slotBit != 0 {
		w.heads[e.prev&^slotBit] = e.next
	} else {
		w.at(ID(e.prev)).next = e.next
	}
	if e.next != None {
		w.at(e.next).prev = e.prev
	}
}

// tickAfter returns the first tick at or after from+wait. A wait too long for the
// clock, such as one that means for ever, ends with it.
func (w *Wheel) tickAfter(from int64, wait time.Duration) uint64 {
	deadline := from + int64(wait)
	if wait > 0 && deadline < from {
		deadline = math.MaxInt64
	}
	if deadline <= w.epoch {
		return 0
	}
	since := uint64(deadline) - uint64(w.epoch)
	tick := since / w.tick
	if tick*w.tick != since {
		tick++
	}
	return min(tick, tickMax)
}

// tickBefore returns the last tick at or before now.
func (w *Wheel) tickBefore(now int64) uint64 {
	return min((uint64(now)-uint64(w.epoch))/w.tick, tickMax-1)
}
