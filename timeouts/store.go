package timeouts

import (
	"strconv"
	"unsafe"
)

// Where timers live, and how an id finds one:
//
//	id 2,051 = page 2, entry 3
//
//	pages -> [0] -> | - | 1 | 2 |   ...   | 1023 |    entry 0 is nobody: None
//	         [1] -> |1024|        ...     | 2047 |
//	         [2] -> |2048|2049|2050| 2051 |  ...      fresh: the first never used
//
// A free entry is in the list of the free by its next; the last freed is the first
// reused, while it is still in the cache. So ids stay small and dense.

// ID names a timer of a wheel. Ids are small and dense and are given out again when
// they are free, so that a slice can be indexed with them.
type ID uint32

// None is the ID of no timer.
const None ID = 0

// String writes the number.
func (id ID) String() string { return strconv.FormatUint(uint64(id), 10) }

// What an entry's prev says besides the id of the one before it.
const (
	free     uint32 = 0         // no timer: freed, or never used
	slotBit  uint32 = 1 << 31   // first in a list: the rest is the index of its head
	visiting uint32 = 1<<32 - 1 // in no list: due is running for it
)

// entry is one timer.
type entry struct {
	touched int64
	due     uint64 // the tick in the upper 56 bits, the class in the lower 8
	next    ID
	prev    uint32
}

// Eight entries fill three cache lines, and 1,024 a size class of the allocator.
const _ = uint(24 - unsafe.Sizeof(entry{}))

func (e *entry) tick() uint64                    { return e.due >> 8 }
func (e *entry) class() uint8                    { return uint8(e.due) }
func (e *entry) setDue(tick uint64, class uint8) { e.due = tick<<8 | uint64(class) }

const (
	pageBits = 10
	pageLen  = 1 << pageBits
)

type page [pageLen]entry

// store hands out entries. It is part of a Wheel, and owned like it.
type store struct {
	pages []*page
	fresh ID // the first id never used
	freed ID // the list of those used before
	live  int
}

func newStore() store { return store{fresh: 1} }

// at returns the entry of an id. An entry never moves.
func (s *store) at(id ID) *entry { return &s.pages[id>>pageBits][id%pageLen] }

// take returns an entry that is in no list.
func (s *store) take() (ID, *entry) {
	id := s.freed
	if id == None {
		id = s.grow()
	}
	s.live++
	e := s.at(id)
	s.freed = e.next // None too if it was fresh
	return id, e
}

// grow returns an id never used, and allocates once in 1,024 times.
func (s *store) grow() ID {
	id := s.fresh
	if uint32(id)&slotBit != 0 {
		panic("timeouts: two billion timers")
	}
	if int(id>>pageBits) >= len(s.pages) {
		s.pages = append(s.pages, new(page))
	}
	s.fresh++
	return id
}

// release gives back the entry of a timer that is in no list.
func (s *store) release(id ID, e *entry) {
	s.live--
	e.prev = free
	e.next = s.freed
	s.freed = id
}

func (s *store) bytes() int {
	return cap(s.pages)*int(unsafe.Sizeof(s.pages[0])) + len(s.pages)*int(unsafe.Sizeof(page{}))
}
