package engine

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"throng/protocol"
)

// Sort says in which order a list comes.
type Sort string

// The orders of a list of connections.
const (
	SortNone  Sort = ""      // by place: the cheapest, and the steadiest for paging
	SortLag   Sort = "lag"   // most bytes behind first
	SortIdle  Sort = "idle"  // longest silent first
	SortBytes Sort = "bytes" // most bytes received and sent first
	SortAge   Sort = "age"   // longest connected first
)

const (
	// rowsMax is the longest page there is, rowsUsual one of those who do not say.
	rowsMax   = 1000
	rowsUsual = 100
	// topicsListed is how many of its topics a row shows.
	topicsListed = 3
)

// Query asks for connections.
//
// Page by page, Cursor being what the page before had as Next, it finds every
// connection once that is there all the time and whose key does not move: with
// SortNone and SortAge none does, with SortIdle that of those who are heard, with
// SortLag and SortBytes that of those to whom something is sent. Whoever moves
// across the cursor is left out, or found again.
type Query struct {
	Filter
	Sort   Sort
	Limit  int    // rows at most, up to 1,000; 0: 100
	Cursor string // where to go on
	Sample int    // instead of a page: so many of those who match, each with the same chance
}

// Connection is a row of the list.
type Connection struct {
	ID       ID             `json:"id"`
	Remote   netip.AddrPort `json:"remote"`
	User     string         `json:"user,omitempty"`
	Topics   []string       `json:"topics,omitempty"` // the first few
	TopicsOf int            `json:"topics_of"`
	State    State          `json:"state"`
	Since    time.Time      `json:"since"` // of its accept
	Idle     time.Duration  `json:"idle_ns"`
	LagBytes int            `json:"lag_bytes"`
	LagAge   time.Duration  `json:"lag_age_ns"` // of its oldest byte that is not sent
	BytesIn  uint64         `json:"bytes_in"`
	BytesOut uint64         `json:"bytes_out"`
	Encoding string         `json:"encoding"`
	Paused   bool           `json:"paused"` // is not read from for the moment
}

// Page is what a Query found.
type Page struct {
	Rows    []Connection `json:"rows"`
	Matched int          `json:"matched"` // on all pages together
	Total   int          `json:"total"`   // connections, whatever they are
	Next    string       `json:"next"`    // the next page's Cursor, "" after the last
}

// Connections lists connections. It stops no loop: each looks at its connections in
// slices of 100 microseconds, and serves sockets in between. Any goroutine but a loop's.
func (e *Engine) Connections(ctx context.Context, q Query) (Page, error) {
	after, paged, err := q.check()
	if err != nil {
		return Page{}, err
	}
	found := make([]census, len(e.loops))
	tops := make([]*top[Connection], len(e.loops))
	for i := range found {
		found[i] = census{q: &q, after: after, paged: paged, top: newTop[Connection](q.Limit)}
		tops[i] = &found[i].top
		names := make([]string, q.Limit*topicsListed)
		for k := range tops[i].values {
			tops[i].values[k].Topics = names[k*topicsListed : k*topicsListed : (k+1)*topicsListed]
		}
	}
	if _, err := e.onLoops(ctx, q.loops(e), func(l *loop) *walk { return q.walk(l, found[l.index].visit) }); err != nil {
		return Page{}, err
	}
	var p Page
	later := 0
	for i := range found {
		p.Matched += found[i].matched
		p.Total += found[i].total
		later += found[i].later
	}
	rows := first(q.Limit, tops...)
	p.Rows = make([]Connection, len(rows))
	for i, r := range rows {
		p.Rows[i] = *r.value
	}
	if later > len(rows) && q.Sample == 0 {
		p.Next = cursorOf(q.Sort, rows[len(rows)-1].rank)
	}
	return p, nil
}

// check completes a query and says what is wrong with it.
func (q *Query) check() (after rank, paged bool, err error) {
	if err = q.Filter.check(); err != nil {
		return after, false, err
	}
	switch q.Sort {
	case SortNone, SortLag, SortIdle, SortBytes, SortAge:
	default:
		return after, false, fmt.Errorf("engine: connections are sorted by lag, idle, bytes or age, not %q", q.Sort)
	}
	if q.Limit < 0 || q.Limit > rowsMax || q.Sample < 0 || q.Sample > rowsMax {
		return after, false, fmt.Errorf("engine: a page or a sample has 1 to %d rows; ask for the next with the cursor", rowsMax)
	}
	if q.Sample > 0 {
		q.Limit = q.Sample
		if q.Cursor != "" {
			return after, false, errors.New("engine: a sample has no second page")
		}
	}
	if q.Limit == 0 {
		q.Limit = rowsUsual
	}
	if q.Cursor != "" {
		after, err = parseCursor(q.Sort, q.Cursor)
	}
	return after, q.Cursor != "", err
}

// cursorOf says where a page ended, in a form that is nobody's business.
func cursorOf(s Sort, r rank) string {
	b := binary.BigEndian.AppendUint64(nil, r.key)
	b = binary.BigEndian.AppendUint64(b, uint64(r.id))
	return base64.RawURLEncoding.EncodeToString(append(b, s...))
}

func parseCursor(s Sort, text string) (r rank, err error) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) < 16 || Sort(b[16:]) != s {
		return r, errors.New("engine: the cursor is not one of a page in this order; begin with the first page")
	}
	return rank{binary.BigEndian.Uint64(b), ID(binary.BigEndian.Uint64(b[8:]))}, nil
}

// census is what a loop has found so far. Loop-owned until the walk is done.
type census struct {
	q     *Query
	after rank
	paged bool
	top   top[Connection]

	total, matched int
	later          int // of those that match, those behind the cursor
}

func (s *census) visit(c *Conn) (cost int) {
	s.total++
	if !s.q.match(c) {
		return costLook
	}
	s.matched++
	r := s.q.rank(c)
	if s.paged && r.compare(s.after) <= 0 {
		return costLook
	}
	s.later++
	if row := s.top.offer(r); row != nil {
		c.describe(row)
		return 4 * costLook
	}
	return costLook
}

// rank places a connection in the order that was asked for. Loop-owned.
func (q *Query) rank(c *Conn) rank {
	r := rank{id: c.ID()}
	switch {
	case q.Sample > 0: // the first k of a random order
		r.key = rand.Uint64()
	case q.Sort == SortLag:
		r.key = ^uint64(c.behind())
	case q.Sort == SortBytes:
		r.key = ^(c.in + c.sent())
	case q.Sort == SortAge:
		r.key = uint64(c.accepted)
	case q.Sort == SortIdle:
		r.key = uint64(c.heard())
	}
	return r
}

// heard is when the client was last heard, in nanoseconds of the real clock.
func (c *Conn) heard() int64 { return c.loop.now + c.loop.skew - int64(c.idle()) }

var encodingNames = [protocol.Encodings]string{protocol.Plain: "plain", protocol.Deflated: "deflate", protocol.DeflatedSmall: "deflate-small"}

// describe fills in a row. Loop-owned.
func (c *Conn) describe(row *Connection) {
	*row = Connection{
		ID: c.ID(), Remote: c.RemoteAddr(), User: cut(c.user()), Topics: row.Topics[:0], State: c.stateNow(),
		Since: time.Now().Add(-c.accepted.age()), Idle: c.idle(), LagBytes: c.behind(), LagAge: c.oldest(),
		BytesIn: c.in, BytesOut: c.sent(), Encoding: encodingNames[c.outfit.encoding()], Paused: c.flags&flagPaused != 0,
	}
	c.eachSeat(func(s *seat) {
		if row.TopicsOf++; row.TopicsOf <= topicsListed {
			row.Topics = append(row.Topics, cut(s.lane.local.topic.name))
		}
	})
}
