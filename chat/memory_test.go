package chat

import (
	"fmt"
	"runtime"
	"testing"
)

// TestMemoryOfRooms: what this package keeps of a room of two, and of a place in a large room. The engine's part has tests of its own, and the whole is a
// figure of throng bench recorded. The bounds are a third above what is measured.
func TestMemoryOfRooms(t *testing.T) {
	r := newRig(t, false, nil)
	const sessions, each = 500, 20
	people := make([]session, sessions)
	live := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	sit := func(kind string, rooms int) (bytes uint64) {
		before := live()
		for i := range people {
			s := &people[i]
			s.who = identity{user: fmt.Sprint("~", i), name: fmt.Sprint("name ", i)}
			for j := range each {
				at := r.server.rooms.get(r.server, fmt.Sprint(kind, (i*each+j)%rooms))
				at.mu.Lock()
				_, listed := at.crowd.enter(s.who.user, s.who.name)
				at.enveloped.Add(1)
				at.crowd.changed = nil // as when it has been told
				at.mu.Unlock()
				s.add(seat{room: at, listed: listed})
			}
		}
		return max(live(), before) - before
	}
	const pairs, large = sessions * each / 2, each
	if b := sit("pair", pairs) / pairs; b > 800 || b < 100 {
		t.Errorf("a room of two takes %d bytes", b)
	}
	if b := sit("large", large) / (sessions * each); b > 250 || b < 20 {
		t.Errorf("a place in a large room takes %d bytes", b)
	}
	for i := range people {
		for j := range people[i].seats {
			people[i].seats[j].room.enveloped.Add(-1)
		}
	}
	runtime.KeepAlive(people)
}
