package chat

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// rooms holds the rooms that somebody of this node is in, or was a moment ago. It is split by a hash with a seed of the process's own, so that
// nobody can aim at one shard.
type rooms struct {
	seed   maphash.Seed
	shards [roomShards]struct {
		mu sync.Mutex
		by map[string]*room
	}
	count atomic.Int64
}

const roomShards = 64

func newRooms() *rooms {
	all := &rooms{seed: maphash.MakeSeed()}
	for i := range all.shards {
		all.shards[i].by = make(map[string]*room)
	}
	return all
}

func (all *rooms) index(name string) int { return int(maphash.String(all.seed, name) % roomShards) }

// find returns a room, nil if it is not here.
func (all *rooms) find(name string) *room {
	s := &all.shards[all.index(name)]
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.by[name]
}

// get returns a room, made by the server if it is not here.
func (all *rooms) get(s *Server, name string) *room {
	at := &all.shards[all.index(name)]
	at.mu.Lock()
	defer at.mu.Unlock()
	r := at.by[name]
	if r == nil {
		r = newRoom(s, name)
		at.by[r.name] = r
		all.count.Add(1)
	}
	return r
}

// forget drops a room if nobody needs it. Whoever has it in hand and enters it later finds it closed, and gets it anew.
func (all *rooms) forget(r *room, now int64) bool {
	at := &all.shards[all.index(r.name)]
	at.mu.Lock()
	defer at.mu.Unlock()
	if !r.close(now) {
		return false
	}
	delete(at.by, r.name)
	all.count.Add(-1)
	return true
}

// each calls f with every room there is; those that come or go meanwhile may be left out.
func (all *rooms) each(f func(*room)) {
	for i := range all.shards {
		at := &all.shards[i]
		at.mu.Lock()
		list := make([]*room, 0, len(at.by))
		for _, r := range at.by {
			list = append(list, r)
		}
		at.mu.Unlock()
		for _, r := range list {
			f(r)
		}
	}
}
