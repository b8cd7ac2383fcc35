package engine

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// endBook is what a loop remembers of the connections that ended, for those who ask
// why they were disconnected. Handshakes that failed are in a ring of their own, so
// that a scanner cannot push people's ends out; balancers' checks and plain requests
// are in none.
//
//	n = 11, max = 8       ┌───┬───┬───┬───┐┌───┬───┬───┬───┐
//	                      │ 8 │ 9 │10 │ 3 ││ 4 │ 5 │ 6 │ 7 │   the newest is 10, the oldest 3
//	                      └───┴───┴───┴───┘└───┴───┴───┴───┘
//	                             pages, made when first used
//
// The loop holds the lock for the copy of one record, a reader for that of endsAtOnce.
type endBook struct {
	people, handshakes endRing
}

// limit gives the book a loop's share of what the node is to remember, 0 for nothing.
func (b *endBook) limit(ends, loops int) {
	if ends > 0 {
		b.people.max = (ends + loops - 1) / loops
		b.handshakes.max = (ends/handshakeEndsDivisor + loops) / loops
	}
}

const (
	// handshakeEndsDivisor: so many times fewer failed handshakes are kept.
	handshakeEndsDivisor = 10
	// endsPerPage is how many records are allocated at once.
	endsPerPage = 128
	// endsAtOnce is how many records a reader copies under the lock.
	endsAtOnce = 32
)

type endRing struct {
	mu    sync.Mutex
	max   int
	n     uint64 // ever put
	pages []*[endsPerPage]endRecord
}

// endRecord is an End, packed.
type endRecord struct {
	at, idle, lived int64 // nanoseconds; at since 1970
	id              ID
	user, topic     string
	in, out, lag    uint64
	remote          remote
	topics          uint32
	code            uint16
	reason          Reason
}

func (r *endRing) put(rec *endRecord) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := int(r.n % uint64(r.max))
	if at/endsPerPage == len(r.pages) {
		r.pages = append(r.pages, new([endsPerPage]endRecord))
	}
	r.pages[at/endsPerPage][at%endsPerPage] = *rec
	r.n++
}

// each calls f with the records from the newest to the oldest, until it says no. What
// is put meanwhile may take the place of the oldest, which are then left out.
func (r *endRing) each(f func(rec *endRecord) (more bool)) {
	var batch [endsAtOnce]endRecord
	for next, begun := uint64(0), false; ; {
		r.mu.Lock()
		if !begun {
			next, begun = r.n, true
		}
		oldest := r.n - min(r.n, uint64(r.max))
		n := 0
		for ; n < len(batch) && next > oldest; n++ {
			next--
			at := int(next % uint64(r.max))
			batch[n] = r.pages[at/endsPerPage][at%endsPerPage]
		}
		r.mu.Unlock()
		for i := range batch[:n] {
			if !f(&batch[i]) {
				return
			}
		}
		if n < len(batch) {
			return
		}
	}
}

// sight is what a connection was like when it was told to go, which is over by the
// time it has gone. Only one that was told has it.
type sight struct {
	topic  string
	topics uint32
	code   uint16
	lag    int
	idle   time.Duration
}

// see notes what the connection is like now, before its Close frame with a code.
// Loop-owned.
func (c *Conn) see(code uint16) {
	if c.loop.ends.people.max == 0 {
		return
	}
	s := c.look()
	s.code = code
	c.need().sight = &s
}

func (c *Conn) look() sight {
	s := sight{lag: c.behind(), idle: c.idle()}
	c.eachSeat(func(at *seat) {
		if s.topics++; s.topics == 1 {
			s.topic = cut(at.lane.local.topic.name)
		}
	})
	return s
}

// remember notes an end. Loop-owned, when TCP has ended and nothing was given up yet.
func (l *loop) remember(c *Conn) {
	ring := &l.ends.people
	if c.flags&flagAnnounced == 0 {
		ring = &l.ends.handshakes
	}
	if ring.max == 0 || c.reason == ReasonProbe || c.reason == ReasonRequest {
		return
	}
	var s sight
	if c.extra != nil && c.extra.sight != nil {
		s = *c.extra.sight
	} else if s = c.look(); c.lagging != nil {
		s.lag = max(s.lag, c.lagging.behind) // with what gnet held
	}
	ring.put(&endRecord{ // the names are cloned, or whatever they were cut from would be kept too
		at: time.Now().UnixNano(), id: c.ID(), reason: c.reason, code: s.code, user: strings.Clone(cut(c.user())), remote: c.remote,
		topic: strings.Clone(s.topic), topics: s.topics, lag: uint64(s.lag), idle: int64(s.idle), in: c.in, out: c.sent(), lived: int64(c.accepted.age()),
	})
}

// End is the end of a connection, as it is remembered for a while.
type End struct {
	Time     time.Time      `json:"time"`
	ID       ID             `json:"id"`
	Reason   Reason         `json:"reason"`
	Code     uint16         `json:"code"` // of the Close frame that was sent, 0 for none
	User     string         `json:"user,omitempty"`
	Remote   netip.AddrPort `json:"remote"`
	Topic    string         `json:"topic,omitempty"` // the first of those it was subscribed to
	Topics   int            `json:"topics"`          // how many they were
	LagBytes int            `json:"lag_bytes"`       // what it had not had
	Idle     time.Duration  `json:"idle_ns"`         // for how long nothing was heard of it
	Lived    time.Duration  `json:"lived_ns"`        // from accept to the end of TCP
	BytesIn  uint64         `json:"bytes_in"`
	BytesOut uint64         `json:"bytes_out"`
}

func (rec *endRecord) end() End {
	return End{
		Time: time.Unix(0, rec.at), ID: rec.id, Reason: rec.reason, Code: rec.code, User: rec.user, Remote: rec.remote.addrPort(),
		Topic: rec.topic, Topics: int(rec.topics), LagBytes: int(rec.lag), Idle: time.Duration(rec.idle), Lived: time.Duration(rec.lived),
		BytesIn: rec.in, BytesOut: rec.out,
	}
}

// EndsQuery asks for ends: those for which everything holds that is not zero.
type EndsQuery struct {
	ID         ID
	User       string // cut to 128 bytes, as it was kept
	Address    netip.Prefix
	Topic      string // the first topic
	Reason     Reason
	Since      time.Time
	Handshakes bool // look at the handshakes that failed instead; a Reason of theirs does too
	Limit      int  // at most; 0: 100
}

func (q *EndsQuery) match(rec *endRecord) bool {
	return (q.ID == 0 || q.ID == rec.id) &&
		(q.Reason == ReasonNone || q.Reason == rec.reason) &&
		(q.User == "" || q.User == rec.user) &&
		(q.Topic == "" || q.Topic == rec.topic) &&
		(q.Address == netip.Prefix{} || q.Address.Contains(rec.remote.addrPort().Addr()))
}

// Ends returns the ends that are remembered and asked for, the newest first. How many
// are remembered is Config.Ends. Any goroutine.
func (e *Engine) Ends(q EndsQuery) ([]End, error) {
	var err error
	if q.Address, err = wantedNetwork(q.Address); err != nil {
		return nil, err
	}
	if q.Limit < 0 {
		return nil, fmt.Errorf("engine: %d ends; ask for 1 or more", q.Limit)
	}
	if q.Limit == 0 {
		q.Limit = rowsUsual
	}
	q.User, q.Topic = cut(q.User), cut(q.Topic)
	since := int64(0)
	if !q.Since.IsZero() {
		since = q.Since.UnixNano()
	}
	var all []End
	for _, l := range e.loops {
		ring, n := &l.ends.people, 0
		if q.Handshakes || q.Reason.handshake() {
			ring = &l.ends.handshakes
		}
		ring.each(func(rec *endRecord) bool {
			if rec.at >= since && q.match(rec) {
				all = append(all, rec.end())
				n++
			}
			return n < q.Limit
		})
	}
	slices.SortStableFunc(all, func(a, b End) int { return cmp.Compare(b.Time.UnixNano(), a.Time.UnixNano()) })
	return all[:min(q.Limit, len(all))], nil
}

// MarshalText writes the reason's label.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads a reason's label.
func (r *Reason) UnmarshalText(text []byte) error {
	for _, known := range Reasons() {
		if known.String() == string(text) {
			*r = known
			return nil
		}
	}
	return fmt.Errorf("engine: %.40q is not the name of an end; docs/PROTOCOL.md lists them", text)
}
