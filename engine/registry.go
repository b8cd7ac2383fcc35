package engine

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// registry finds topics by name. It is split by a hash with a seed of the
// process's own, so that no client can aim at one shard with names it chose.
type registry struct {
	seed   maphash.Seed
	shards [registryShards]struct {
		mu     sync.Mutex
		topics map[string]*Topic
	}
	count   atomic.Int64
	entered atomic.Uint64 // subscribers ever
}

const registryShards = 64

func newRegistry() *registry {
	r := &registry{seed: maphash.MakeSeed()}
	for i := range r.shards {
		r.shards[i].topics = make(map[string]*Topic)
	}
	return r
}

func (r *registry) index(name string) int {
	return int(maphash.String(r.seed, name) % registryShards)
}

// find returns the topic of a name, or nil when nobody is subscribed.
func (r *registry) find(name string) *Topic {
	s := &r.shards[r.index(name)]
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.topics[name]
}

// enter returns the topic of a name, made if need be, with one more subscriber.
func (r *registry) enter(e *Engine, name string) *Topic {
	s := &r.shards[r.index(name)]
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topics[name]
	if t == nil {
		t = &Topic{name: name, engine: e, here: make([]*local, len(e.loops))}
		s.topics[name] = t
		r.count.Add(1)
	}
	t.refs++
	r.entered.Add(1)
	return t
}

// leave takes one subscriber away and forgets the topic with the last.
func (r *registry) leave(t *Topic) {
	s := &r.shards[r.index(t.name)]
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.refs--; t.refs == 0 {
		delete(s.topics, t.name)
		r.count.Add(-1)
	}
}
