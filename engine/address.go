package engine

import (
	"hash/maphash"
	"net/netip"
	"sync"
)

// addressBook counts, by address, who is connected, who has not finished the
// handshake, and how fast new connections come.
//
//	present   address ─▶ connections, handshakes, due    while it has connections
//	absent    address ─▶ due                             until due has passed
//
// due is the token bucket of new connections in one number (see pace): when it
// has passed, the bucket is full and the address is as good as unknown. So an
// entry is there for as long as it says anything. Entries with connections are as
// many as connections at most. Of the others each shard keeps absentMax; one more
// takes the place of any of them, whose address thereby starts with a full
// bucket. Whoever has so many addresses is held by the limits that are global.
//
// The book is split by a hash with a seed of the process's own, like the registry
// of topics. Any goroutine.
type addressBook struct {
	seed    maphash.Seed
	prefix6 int // bits of an IPv6 address that make it one
	shards  [addressShards]addressShard
	swept   int // the shard that is swept next; the ticker's
}

type addressShard struct {
	mu      sync.Mutex
	present map[address]tally
	absent  map[address]int64
	peak    int // most entries of present since the map was made
}

// address is what counts as one: an IPv4 address, or the prefix of an IPv6 one.
type address [16]byte

// tally is what one address has.
type tally struct {
	conns int32
	heads int32 // of these, those whose handshake is not over
	due   int64 // nanoseconds
}

const (
	addressShards = 64
	// absentMax times the shards is 65,536 addresses without connections, 3 MiB.
	absentMax = 1024
)

func newAddressBook(prefix6 int) *addressBook {
	b := &addressBook{seed: maphash.MakeSeed(), prefix6: prefix6}
	for i := range b.shards {
		b.shards[i].present, b.shards[i].absent = map[address]tally{}, map[address]int64{}
	}
	return b
}

// of returns the address that a peer counts as.
func (b *addressBook) of(r remote) address {
	if r.is4 {
		return r.ip
	}
	prefix, _ := netip.AddrFrom16(r.ip).Prefix(b.prefix6)
	return prefix.Addr().As16()
}

func (b *addressBook) shard(a address) *addressShard {
	return &b.shards[maphash.Bytes(b.seed, a[:])%addressShards]
}

// enter counts a new connection, or says which limit it would exceed. now is in
// nanoseconds.
func (b *addressBook) enter(a address, now int64, lim *Limits) Reason {
	s := b.shard(a)
	s.mu.Lock()
	defer s.mu.Unlock()
	t, here := s.present[a]
	if !here {
		t.due = s.absent[a]
	}
	if over(int(t.conns)+1, lim.AddressConnections) {
		return ReasonAddressConnections
	}
	if over(int(t.heads)+1, lim.AddressHandshakes) {
		return ReasonAddressHandshakes
	}
	if lim.AddressRate > 0 {
		ok := false
		if t.due, ok = pace(t.due, now, lim.AddressRate, lim.AddressBurst); !ok {
			if here {
				s.present[a] = t
			} else {
				s.absent[a] = t.due
			}
			return ReasonAddressRate
		}
	}
	t.conns++
	t.heads++
	s.present[a] = t
	s.peak = max(s.peak, len(s.present))
	if !here {
		delete(s.absent, a)
	}
	return ReasonNone
}

// greeted notes that the handshake of one of an address's connections is over.
func (b *addressBook) greeted(a address) {
	s := b.shard(a)
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.present[a]
	t.heads--
	s.present[a] = t
}

// leave takes back what enter counted. inHead says that greeted was not called.
func (b *addressBook) leave(a address, inHead bool, now int64) {
	s := b.shard(a)
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.present[a]
	if inHead {
		t.heads--
	}
	if t.conns--; t.conns > 0 {
		s.present[a] = t
		return
	}
	delete(s.present, a)
	if t.due <= now {
		return
	}
	if len(s.absent) >= absentMax {
		for other := range s.absent {
			delete(s.absent, other)
			break
		}
	}
	s.absent[a] = t.due
}

// sweep looks at one shard, the next at each call, for entries that say nothing
// any more, and for a map that a crowd blew up: Go's do not shrink by themselves.
func (b *addressBook) sweep(now int64) {
	s := &b.shards[b.swept]
	b.swept = (b.swept + 1) % addressShards
	s.mu.Lock()
	defer s.mu.Unlock()
	for a, due := range s.absent {
		if due <= now {
			delete(s.absent, a)
		}
	}
	if s.peak > 64 && len(s.present) < s.peak/4 {
		fewer := make(map[address]tally, len(s.present))
		for a, t := range s.present {
			fewer[a] = t
		}
		s.present, s.peak = fewer, len(fewer)
	}
}

// size returns how many addresses have connections, and how many are remembered
// without.
func (b *addressBook) size() (present, absent int) {
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.Lock()
		present += len(s.present)
		absent += len(s.absent)
		s.mu.Unlock()
	}
	return present, absent
}

// countAddress holds a new connection against the limits by address, and counts
// it if it is within them. A peer that is trusted to speak for others is never
// counted itself. Loop-owned, or the gate's before a loop has the connection.
func (e *Engine) countAddress(c *Conn, lim *liveLimits, now int64) Reason {
	if !lim.countAddresses() {
		return ReasonNone
	}
	why := e.addresses.enter(e.addresses.of(c.remote), now, &lim.Limits)
	if why == ReasonNone {
		c.flags |= flagInBook | flagInHead
	}
	return why
}

// handshakeOver tells the book that the handshake is over, however it ended.
func (c *Conn) handshakeOver() {
	if c.flags&flagInHead != 0 {
		c.flags &^= flagInHead
		book := c.loop.engine.addresses
		book.greeted(book.of(c.remote))
	}
}

// uncountAddress takes a connection out of the book, if it is in it.
func (e *Engine) uncountAddress(c *Conn, now int64) {
	if c.flags&flagInBook != 0 {
		e.addresses.leave(e.addresses.of(c.remote), c.flags&flagInHead != 0, now)
		c.flags &^= flagInBook | flagInHead
	}
}
