package engine

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"throng/protocol"
)

// described is rooms with users: those whose name is the connection's value.
type described struct{ rooms }

func (*described) Describe(c *Conn) string {
	name, _ := c.Value().(string)
	return name
}

// playCrowd fills a loop with connections that differ in all that can be asked for.
func playCrowd(t testing.TB, r *rand.Rand) *fakeLoop {
	f := newBenchLoop(t, &described{})
	fd := sink(t)
	var all []*Conn
	f.enter()
	for range 50 + r.IntN(300) {
		c := f.crowd(fmt.Sprint("room", r.IntN(4)), fd)
		c.SetValue(fmt.Sprint("user", r.IntN(6)))
		c.flags |= flagAnnounced
		c.accepted = stamp(1 + r.IntN(50))
		c.in = uint64(r.IntN(100))
		if r.IntN(3) == 0 {
			c.Join(fmt.Sprint("more", r.IntN(9)))
		}
		all = append(all, c)
	}
	f.exit()
	for range 20 {
		f.enter()
		for range r.IntN(10) { // those who lag from here on
			c := all[r.IntN(len(all))]
			c.eachSeat(func(s *seat) { s.setTrouble(true) })
		}
		f.clock += int64(r.IntN(50e6))
		f.wheel.Touch(all[r.IntN(len(all))].timer, f.clock)
		f.exit()
		_ = f.engine.Publish(fmt.Sprint("room", r.IntN(4)), protocol.OpText, make([]byte, 1+r.IntN(200)))
		f.ring()
	}
	f.clock += 5e6 // so that all that waits has an age
	f.enter()
	f.exit()
	return f
}

func playQuery(r *rand.Rand) Query {
	q := Query{Sort: []Sort{SortNone, SortLag, SortIdle, SortBytes, SortAge}[r.IntN(5)], Limit: 1 + r.IntN(60)}
	for range r.IntN(3) {
		switch r.IntN(5) {
		case 0:
			q.User = fmt.Sprint("user", r.IntN(6))
		case 1:
			q.Topic = fmt.Sprint("room", r.IntN(4))
		case 2:
			q.MinLag = r.IntN(400)
		case 3:
			q.MinIdle = time.Duration(r.IntN(1e9))
		case 4:
			q.Address = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(r.IntN(256))}), 25+r.IntN(8))
		}
	}
	return q
}

// TestConnectionsModel pages through what matches, in every order, and holds it
// against sorting all connections.
func TestConnectionsModel(t *testing.T) {
	r := newRand(t)
	for range 30 {
		f := playCrowd(t, r)
		for range 10 {
			q := playQuery(r)
			want := expected(f, &q)
			var got []ID
			for pages := 0; ; pages++ {
				var p Page
				var err error
				f.ask(func() { p, err = f.engine.Connections(context.Background(), q) })
				if err != nil || p.Matched != len(want) || p.Total != f.wheel.Len() || len(p.Rows) > q.Limit {
					t.Fatalf("%+v: %d rows, %d match of %d, error %v; want %d of %d", q, len(p.Rows), p.Matched, p.Total, err, len(want), f.wheel.Len())
				}
				for i := range p.Rows {
					checkRow(t, f, &p.Rows[i])
					got = append(got, p.Rows[i].ID)
				}
				if q.Cursor = p.Next; p.Next == "" {
					break
				}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%+v: got %v, want %v", q, got, want)
			}
		}
	}
}

// expected sorts everything.
func expected(f *fakeLoop, q *Query) (ids []ID) {
	var all []*Conn
	for _, c := range f.loop.conns {
		if c != nil && q.match(c) {
			all = append(all, c)
		}
	}
	key := func(c *Conn) int64 {
		switch q.Sort {
		case SortLag:
			return -int64(c.behind())
		case SortIdle:
			return -int64(c.idle())
		case SortBytes:
			return -int64(c.in + c.sent())
		case SortAge:
			return int64(c.accepted)
		}
		return 0
	}
	slices.SortFunc(all, func(a, b *Conn) int {
		if d := key(a) - key(b); d != 0 {
			return int(d)
		}
		return int(a.timer) - int(b.timer)
	})
	for _, c := range all {
		ids = append(ids, c.ID())
	}
	return ids
}

func checkRow(t *testing.T, f *fakeLoop, row *Connection) {
	t.Helper()
	c := f.find(row.ID)
	if c == nil {
		t.Fatalf("there is no %s", row.ID)
	}
	topics := 0
	c.eachSeat(func(*seat) { topics++ })
	if row.User != c.Value() || row.Remote != c.RemoteAddr() || row.State != StateOpen || row.Idle != c.idle() || row.Encoding != "plain" ||
		row.LagBytes != c.behind() || (row.LagAge > 0) != (row.LagBytes > 0) || row.BytesIn != c.in || row.BytesOut != c.sent() ||
		row.TopicsOf != topics || len(row.Topics) != min(topics, topicsListed) || row.Topics[0] != c.seat0.lane.local.topic.name {
		t.Fatalf("the row is %+v, the connection %+v", row, c)
	}
}

// TestConnectionsSample: each connection that matches has the same chance.
func TestConnectionsSample(t *testing.T) {
	f := newBenchLoop(t, &rooms{})
	f.enter()
	for i := range 100 {
		f.crowd(fmt.Sprint("room", i%2), -1)
	}
	f.exit()
	const samples = 300
	drawn := map[ID]int{}
	for range samples {
		var p Page
		f.ask(func() {
			p, _ = f.engine.Connections(context.Background(), Query{Filter: Filter{Topic: "room1"}, Sample: 10})
		})
		if len(p.Rows) != 10 || p.Matched != 50 || p.Total != 100 || p.Next != "" {
			t.Fatalf("%d rows, %d match of %d, next %q", len(p.Rows), p.Matched, p.Total, p.Next)
		}
		here := map[ID]bool{}
		for _, row := range p.Rows {
			if here[row.ID] || row.Topics[0] != "room1" {
				t.Fatalf("a sample of %+v", p.Rows)
			}
			here[row.ID] = true
			drawn[row.ID]++
		}
	}
	for id, n := range drawn { // 60 by expectation, and a deviation of 7
		if n < 20 || n > 100 {
			t.Errorf("%s was drawn %d times in %d samples of a fifth", id, n, samples)
		}
	}
	if len(drawn) != 50 {
		t.Errorf("%d of 50 were ever drawn", len(drawn))
	}
}

// TestQueryRefused: what cannot be asked for is told.
func TestQueryRefused(t *testing.T) {
	f := newBenchLoop(t, &rooms{})
	for _, q := range []Query{
		{Sort: "name"}, {Limit: 1001}, {Limit: -1}, {Sample: 1001}, {Sample: 5, Cursor: "x"}, {Cursor: "garbage"},
		{Cursor: cursorOf(SortLag, rank{}), Sort: SortIdle}, {Filter: Filter{State: "asleep"}},
		{Filter: Filter{MinIdle: -1}}, {Filter: Filter{MinLag: -1}},
		{Filter: Filter{Address: netip.PrefixFrom(netip.MustParseAddr("10.0.0.1"), 77)}},
	} {
		if _, err := f.engine.Connections(context.Background(), q); err == nil {
			t.Errorf("%+v is let through", q)
		}
	}
}

// forgetful is rooms with users whose names nobody can tell.
type forgetful struct{ rooms }

func (*forgetful) Describe(*Conn) string { panic("who?") }

// TestDescribePanics: an operator who asks for a user when names cannot be told finds
// nobody, and costs nobody the connection.
func TestDescribePanics(t *testing.T) {
	f := newBenchLoop(t, &forgetful{})
	for range 20 {
		f.dial("/", 0)
	}
	f.ask(func() {
		p, err := f.engine.Connections(context.Background(), Query{Filter: Filter{User: "bob"}})
		if err != nil || p.Matched != 0 || p.Total != 20 {
			t.Errorf("found %d of %d, error %v", p.Matched, p.Total, err)
		}
		if n, err := f.engine.Kick(context.Background(), Filter{User: "bob"}, 0, ""); n != 0 || err != nil {
			t.Errorf("kicked %d, error %v", n, err)
		}
	})
	if f.open != 20 || f.stats.panics != 40 {
		t.Errorf("%d of 20 are open after %d panics", f.open, f.stats.panics)
	}
	f.conns[0].reset()
	if ends, err := f.engine.Ends(EndsQuery{}); err != nil || len(ends) != 1 || ends[0].User != "" {
		t.Errorf("ends are %v, error %v", ends, err)
	}
}

// TestBytesOfAConnection plays a game of joining, leaving, publishing and lagging: what
// a connection is said to have sent and got is what came out of its socket and went in.
func TestBytesOfAConnection(t *testing.T) {
	r := newRand(t)
	for range 20 {
		f := newBenchLoop(t, &rooms{fault: func(c *Conn, data []byte) {
			switch data[0] {
			case 'j':
				c.Join(fmt.Sprint("more", data[1]%3))
			case 'l':
				if s := c.joined(fmt.Sprint("more", data[1]%3)); s != nil {
					c.Leave(s.lane.local.topic)
				}
			case 's':
				_ = c.Send(protocol.OpText, data)
			}
		}})
		var all []*fakeConn
		said := map[*fakeConn]uint64{}
		for range 6 {
			c := f.dial("/room", 4096)
			c.c.in, c.c.out = 0, c.c.out-c.c.sent() // without the handshake
			all = append(all, c)
		}
		for range 300 {
			c := all[r.IntN(len(all))]
			switch r.IntN(4) {
			case 0:
				c.read(1 << 14)
			case 1:
				_ = f.engine.Publish(fmt.Sprint("more", r.IntN(3)), protocol.OpText, make([]byte, 1+r.IntN(2000)))
			case 2:
				f.ring()
			default:
				if c.c.flags&flagPaused != 0 {
					continue
				}
				b := masked(protocol.OpBinary, append([]byte{"jlsx"[r.IntN(4)], byte(r.IntN(3))}, make([]byte, r.IntN(1000))...))
				said[c] += uint64(len(b))
				c.send(b)
			}
		}
		for range 50 {
			for _, c := range all {
				c.read(1 << 17)
			}
			f.advance(20e6)
		}
		for i, c := range all {
			if c.c.sent() != uint64(len(c.got)) || c.c.in != said[c] || c.c.behind() != 0 {
				t.Fatalf("connection %d: %d bytes in and %d out are counted, %d went in and %d came out; %d behind", i, c.c.in, c.c.sent(), said[c], len(c.got), c.c.behind())
			}
		}
	}
}
