package engine_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"throng/engine"
	"throng/protocol"
)

// named is a lobby for people: the path says who it is, and everybody whose name
// begins with b is also in the topic tea.
type named struct{ broadcast }

type somebody struct {
	name  string
	lobby *engine.Topic
}

func (named) OnUpgrade(c *engine.Conn, r *protocol.Request) (string, error) {
	c.SetValue(&somebody{name: string(r.Path[1:])})
	return "", nil
}

func (named) OnOpen(c *engine.Conn) {
	s := c.Value().(*somebody)
	s.lobby = c.Join("lobby")
	if strings.HasPrefix(s.name, "b") {
		c.Join("tea")
	}
}

func (named) OnMessage(c *engine.Conn, op protocol.Opcode, data []byte) {
	c.Publish(c.Value().(*somebody).lobby, op, data)
}

func (named) Describe(c *engine.Conn) string { return c.Value().(*somebody).name }

// as joins as somebody.
func (r *rig) as(user string) *peer {
	r.Helper()
	p := r.dial(0)
	p.send(strings.Replace(handshake(), "GET /", "GET /"+user, 1))
	if resp := p.answer("GET"); resp.StatusCode != 101 {
		r.Fatalf("status %d", resp.StatusCode)
	}
	return p
}

func (r *rig) connections(q engine.Query) engine.Page {
	r.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	p, err := r.e.Connections(ctx, q)
	if err != nil {
		r.Fatal(err)
	}
	return p
}

func users(p engine.Page) (names []string) {
	for _, row := range p.Rows {
		names = append(names, row.User)
	}
	slices.Sort(names)
	return names
}

// TestConnections lists real connections in their states.
func TestConnections(t *testing.T) {
	r := start(t, named{}, func(c *engine.Config) { c.CloseTimeout, c.HandshakeTimeout = time.Minute, time.Minute })
	c := r.crowd()
	began := time.Now()
	bob, bea, ann := r.as("bob"), r.as("bea"), r.as("ann")
	half := r.dial(0)
	half.send(handshake()[:50])
	bob.say("hello")
	bob.hears("hello")
	if !eventually(func() bool { return r.connections(engine.Query{}).Total == 6 }) {
		t.Fatalf("there are %+v", r.connections(engine.Query{}))
	}
	p := r.connections(engine.Query{Filter: engine.Filter{User: "bob"}})
	if len(p.Rows) != 1 || p.Matched != 1 {
		t.Fatalf("bob is %+v", p)
	}
	row := p.Rows[0]
	if row.Remote.String() != bob.LocalAddr().String() || row.State != engine.StateOpen || row.TopicsOf != 2 || !slices.Contains(row.Topics, "tea") ||
		row.BytesIn != uint64(len(handshake())+3+len(frame(0x81, "hello"))) || row.BytesOut == 0 || row.Encoding != "plain" ||
		row.Since.Before(began.Add(-time.Second)) || row.Since.After(time.Now()) || row.Idle > time.Since(began) {
		t.Errorf("bob is %+v", row)
	}
	for _, x := range []struct {
		what string
		f    engine.Filter
		want []string
	}{
		{"by topic", engine.Filter{Topic: "tea"}, []string{"bea", "bob"}},
		{"by state", engine.Filter{State: engine.StateHandshake}, []string{""}},
		{"by ID", engine.Filter{ID: row.ID}, []string{"bob"}},
		{"by an ID of nobody", engine.Filter{ID: row.ID + 1}, nil},
		{"by address", engine.Filter{Address: netip.MustParsePrefix("127.0.0.0/8"), User: "ann"}, []string{"ann"}},
		{"by another address", engine.Filter{Address: netip.MustParsePrefix("10.0.0.0/8")}, nil},
		{"by silence", engine.Filter{MinIdle: time.Hour}, nil},
	} {
		if got := users(r.connections(engine.Query{Filter: x.f})); !slices.Equal(got, x.want) {
			t.Errorf("%s: %q, want %q", x.what, got, x.want)
		}
	}
	ann.send("\x81\x00") // an offence; ann does not end TCP
	if !eventually(func() bool {
		return slices.Equal(users(r.connections(engine.Query{Filter: engine.Filter{State: engine.StateClosing}})), []string{"ann"})
	}) {
		t.Error("ann is not closing")
	}
	c.parts()
	_ = bea.Close()
}

// TestConnectionsBehind: who does not read is found by how far it is behind.
func TestConnectionsBehind(t *testing.T) {
	r := start(t, nil, smallBuffers, func(c *engine.Config) { c.WriteTimeout = time.Minute })
	r.join()
	stuck := r.stuck()
	p := r.connections(engine.Query{Sort: engine.SortLag, Filter: engine.Filter{MinLag: 1}})
	if len(p.Rows) == 0 || p.Rows[0].Remote.String() != stuck.LocalAddr().String() || p.Rows[0].LagBytes == 0 {
		t.Fatalf("behind are %+v", p)
	}
	if !eventually(func() bool {
		rows := r.connections(engine.Query{Sort: engine.SortLag, Limit: 1}).Rows
		return rows[0].LagAge > 50*time.Millisecond
	}) {
		t.Error("what waits does not grow old")
	}
}

// TestKick closes those that match, and nobody else.
func TestKick(t *testing.T) {
	r := start(t, named{})
	c := r.crowd()
	bob, bea, ann, ida := r.as("bob"), r.as("bea"), r.as("ann"), r.as("ida")
	kick := func(want int, f engine.Filter, code uint16, text string) {
		t.Helper()
		n, err := r.e.Kick(context.Background(), f, code, text)
		if n != want || err != nil {
			t.Errorf("%d were kicked, error %v; want %d", n, err, want)
		}
	}
	r.costs(4, engine.ReasonKicked, "", func() {
		kick(1, engine.Filter{User: "ann"}, 0, "")
		if text := ann.sentAway(4403); text != "kicked" {
			t.Errorf("ann was told %q", text)
		}
		kick(2, engine.Filter{Topic: "tea"}, 4000, "closing time")
		for _, p := range []*peer{bob, bea} {
			if text := p.sentAway(4000); text != "closing time" {
				t.Errorf("the text was %q", text)
			}
		}
		id := r.connections(engine.Query{Filter: engine.Filter{User: "ida"}}).Rows[0].ID
		kick(1, engine.Filter{ID: id}, 1008, "")
		ida.sentAway(1008)
		for _, p := range []*peer{bob, bea, ann, ida} {
			_ = p.Close()
		}
	})
	kick(0, engine.Filter{User: "ann"}, 0, "")
	for what, f := range map[string]func() error{
		"everybody": func() error { _, err := r.e.Kick(context.Background(), engine.Filter{}, 0, ""); return err },
		"all open": func() error {
			_, err := r.e.Kick(context.Background(), engine.Filter{State: engine.StateOpen}, 0, "")
			return err
		},
		"with code 1006": func() error { _, err := r.e.Kick(context.Background(), engine.Filter{User: "x"}, 1006, ""); return err },
	} {
		if f() == nil {
			t.Errorf("a kick of %s is let through", what)
		}
	}
	c.parts()
}

// TestSayAndTell: an operator speaks to a topic, to one connection and to all.
func TestSayAndTell(t *testing.T) {
	r := start(t, named{})
	bob, bea, ann := r.as("bob"), r.as("bea"), r.as("ann")
	ctx := context.Background()
	if n, err := r.e.Say(ctx, "tea", word("to tea")); n != 2 || err != nil {
		t.Errorf("%d heard it, error %v", n, err)
	}
	bob.gets(ws.OpText, "to tea")
	bea.gets(ws.OpText, "to tea")
	if n, err := r.e.Say(ctx, "nowhere", word("hello?")); n != 0 || err != nil {
		t.Errorf("%d heard it, error %v", n, err)
	}
	id := r.connections(engine.Query{Filter: engine.Filter{User: "ann"}}).Rows[0].ID
	for _, x := range []struct {
		f    engine.Filter
		want int
	}{{engine.Filter{ID: id}, 1}, {engine.Filter{}, 3}, {engine.Filter{User: "nobody"}, 0}} {
		if n, err := r.e.Tell(ctx, x.f, word("psst")); n != x.want || err != nil {
			t.Errorf("%d were told, error %v; want %d", n, err, x.want)
		}
	}
	ann.gets(ws.OpText, "psst")
	for _, p := range []*peer{ann, bob, bea} {
		p.gets(ws.OpText, "psst")
	}
}

// TestShed sends the longest silent away, over real sockets, while the others go on.
func TestShed(t *testing.T) {
	r := start(t, nil)
	var silent []*peer
	for range 6 {
		silent = append(silent, r.join())
	}
	r.wait("all", func(s engine.Stats) bool { return s.Open == 6 })
	time.Sleep(50 * time.Millisecond) // so that the two who talk were heard later
	c := r.crowd()
	r.costs(6, engine.ReasonShed, "", func() {
		var seen []int
		result := make(chan error, 1)
		go func() {
			sent, err := r.e.Shed(context.Background(), 6, 1200*time.Millisecond, func(done, of int) { seen = append(seen, done, of) })
			if sent != 6 {
				err = errors.Join(err, errors.New("not all were sent away"))
			}
			result <- err
		}()
		for _, p := range silent {
			_ = p.SetReadDeadline(time.Now().Add(patience))
			for {
				op, text, err := p.next()
				if err != nil {
					t.Fatal(err)
				}
				if op == ws.OpClose {
					if text[:2] != "\x03\xe9" || !strings.HasPrefix(text[2:], "rebalance; reconnect in ") {
						t.Fatalf("it was told %q", text)
					}
					break
				}
			}
			p.send(frame(0x88, "\x03\xe9"))
			_ = p.Close()
		}
		if err := <-result; err != nil {
			t.Error(err)
		}
		if len(seen) < 2 || seen[1] != 6 {
			t.Errorf("the progress was %v", seen)
		}
	})
	if ok, why := r.e.Ready(); !ok {
		t.Errorf("it is not ready: %s", why)
	}
	newcomer := r.join()
	newcomer.say("x")
	newcomer.hears("x")
	c.parts()
}

// TestOneDepartureAtATime: a shed is refused beside another, and a drain takes over.
func TestOneDepartureAtATime(t *testing.T) {
	r := start(t, nil)
	a, b := r.join(), r.join()
	r.wait("both", func(s engine.Stats) bool { return s.Open == 2 })
	result := make(chan error, 1)
	go func() {
		_, err := r.e.Shed(context.Background(), 2, time.Hour, nil)
		result <- err
	}()
	if !eventually(func() bool { return r.e.Status().Leaving != nil }) {
		t.Fatal("nobody is leaving")
	}
	if _, err := r.e.Shed(context.Background(), 1, 0, nil); !errors.Is(err, engine.ErrLeaving) {
		t.Errorf("a second shed: %v", err)
	}
	over := make(chan error, 1)
	go func() { over <- r.e.Drain(context.Background(), 0, nil) }()
	if err := <-result; !errors.Is(err, engine.ErrTakenOver) {
		t.Errorf("the shed ended with %v", err)
	}
	for _, p := range []*peer{a, b} {
		if text := p.sentAway(1001); !strings.HasPrefix(text, "restart; ") {
			t.Errorf("it was told %q", text)
		}
		_ = p.Close()
	}
	if err := <-over; err != nil {
		t.Error(err)
	}
	if _, err := r.e.Shed(context.Background(), 1, 0, nil); !errors.Is(err, engine.ErrLeaving) {
		t.Errorf("a shed after a drain: %v", err)
	}
}

// TestEnds asks why people were disconnected, while a scanner tries to make the node
// forget it.
func TestEnds(t *testing.T) {
	r := start(t, named{}, smallBuffers, func(c *engine.Config) { c.Ends = 10 })
	bob := r.as("bob")
	local := bob.LocalAddr().String()
	if _, err := r.e.Kick(context.Background(), engine.Filter{User: "bob"}, 4403, "out"); err != nil {
		t.Fatal(err)
	}
	bob.sentAway(4403)
	_ = bob.Close()
	liz := r.as(strings.Repeat("l", 300))
	_ = liz.Close()
	r.wait("their ends", func(s engine.Stats) bool { return sum(s.Ends) == 2 })
	for range 200 {
		p := r.dial(0)
		p.send("NONSENSE\r\n\r\n")
		p.answer("GET")
		_ = p.Close()
	}
	r.wait("the scanner's ends", func(s engine.Stats) bool { return sum(s.Ends) == 202 })
	ends := func(q engine.EndsQuery) []engine.End {
		t.Helper()
		all, err := r.e.Ends(q)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	all := ends(engine.EndsQuery{})
	if len(all) != 2 || all[0].Time.Before(all[1].Time) {
		t.Fatalf("there are %+v", all)
	}
	e := ends(engine.EndsQuery{User: "bob", Since: time.Now().Add(-time.Minute), Address: netip.MustParsePrefix("127.0.0.1/32")})
	if len(e) != 1 || e[0].Reason != engine.ReasonKicked || e[0].Code != 4403 || e[0].Remote.String() != local || e[0].Topics != 2 || e[0].Topic == "" ||
		e[0].BytesIn == 0 || e[0].BytesOut == 0 || e[0].Lived > time.Minute {
		t.Errorf("bob's end is %+v", e)
	}
	if e := ends(engine.EndsQuery{Reason: engine.ReasonEOF}); len(e) != 1 || e[0].User != strings.Repeat("l", 128) || e[0].Code != 0 {
		t.Errorf("the other end is %+v", e)
	}
	if e := ends(engine.EndsQuery{Since: time.Now().Add(time.Minute)}); len(e) != 0 {
		t.Errorf("from the future there are %+v", e)
	}
	for _, q := range []engine.EndsQuery{{Handshakes: true}, {Reason: engine.ReasonBadRequest}} {
		if e := ends(q); len(e) == 0 || len(e) > 10 || e[0].Reason != engine.ReasonBadRequest || e[0].User != "" {
			t.Errorf("of the scanner there are %d, %+v", len(e), e)
		}
	}
}

// TestNoEnds: with none to be kept, none are.
func TestNoEnds(t *testing.T) {
	r := start(t, nil, func(c *engine.Config) { c.Ends = 0 })
	_ = r.join().Close()
	r.wait("its end", func(s engine.Stats) bool { return sum(s.Ends) == 1 })
	if all, err := r.e.Ends(engine.EndsQuery{}); len(all) != 0 || err != nil {
		t.Errorf("there are %+v, error %v", all, err)
	}
}

// TestTopics lists topics with what the loops know of them.
func TestTopics(t *testing.T) {
	r := start(t, named{})
	for _, user := range []string{"bob", "bea", "ann"} {
		r.as(user)
	}
	r.wait("all", func(s engine.Stats) bool { return s.Open == 3 })
	for range 5 {
		if _, err := r.e.Say(context.Background(), "tea", word("x")); err != nil {
			t.Fatal(err)
		}
	}
	ask := func(q engine.TopicsQuery) []engine.TopicRow {
		t.Helper()
		rows, err := r.e.Topics(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	rows := ask(engine.TopicsQuery{})
	if len(rows) != 2 || rows[0].Subscribers != 3 || rows[1].Name != "tea" || rows[1].Subscribers != 2 || rows[1].Messages != 5 ||
		len(rows[1].Loops) != 2 || rows[1].Loops[0]+rows[1].Loops[1] != 2 || rows[1].Skew < 1 || rows[1].Skew > 2 || rows[1].Rate <= 0 {
		t.Errorf("the topics are %+v", rows)
	}
	for _, x := range []struct {
		q    engine.TopicsQuery
		want int
	}{
		{engine.TopicsQuery{Name: "tea", Sort: engine.SortLag}, 1}, {engine.TopicsQuery{Prefix: "te"}, 1}, {engine.TopicsQuery{Name: "coffee"}, 0},
		{engine.TopicsQuery{Limit: 1, Sort: engine.SortRate}, 1}, {engine.TopicsQuery{Sort: engine.SortLag}, 2},
	} {
		if rows := ask(x.q); len(rows) != x.want || x.q.Sort == engine.SortRate && rows[0].Name != "tea" {
			t.Errorf("%+v: %+v, want %d", x.q, rows, x.want)
		}
	}
	for _, q := range []engine.TopicsQuery{{Sort: engine.SortIdle}, {Limit: 2000}} {
		if _, err := r.e.Topics(context.Background(), q); err == nil {
			t.Errorf("%+v is let through", q)
		}
	}
}

// TestTopicsBehind: the topic in which somebody does not read is found.
func TestTopicsBehind(t *testing.T) {
	r := start(t, nil, smallBuffers, func(c *engine.Config) { c.WriteTimeout = time.Minute })
	r.stuck()
	if !eventually(func() bool {
		rows, err := r.e.Topics(context.Background(), engine.TopicsQuery{Sort: engine.SortLag})
		return err == nil && len(rows) > 0 && rows[0].Lagging == 1 && rows[0].LagBytes > 0 && rows[0].LogBytes >= rows[0].LagBytes
	}) {
		t.Error("no topic is behind")
	}
}

// TestStatus: what the status says is so.
func TestStatus(t *testing.T) {
	r := start(t, nil)
	c := r.crowd()
	var s engine.Status
	if !eventually(func() bool {
		s = r.e.Status()
		return s.Open == 2 && s.Rates.Over > 0 && s.Rates.Messages > 0 && s.Rates.Deliveries > s.Rates.Messages && len(s.Loops) == 2 && s.Loops[1].Ticks > 1
	}) {
		t.Fatalf("the status is %+v", s)
	}
	if !s.Ready || s.Why != "" || s.Draining || s.Leaving != nil || s.Topics != 1 || s.Accepted != 2 || s.Ceiling != r.e.Ceiling() || s.Rates.BytesIn <= 0 || s.Rates.BytesOut <= 0 ||
		s.Loops[0].Open+s.Loops[1].Open != 2 || s.Loops[0].LagMax < s.Loops[0].Lag || s.Loops[0].Blocked || s.GC.HeapBytes == 0 || s.GC.TotalBytes < s.GC.HeapBytes ||
		s.Uptime <= 0 || s.Started.After(time.Now()) {
		t.Errorf("the status is %+v", s)
	}
	c.parts()
	r.e.NotReady()
	if s := r.e.Status(); s.Ready || s.Why == "" {
		t.Errorf("the status is %+v", s)
	}
}

// word is a text in every form.
func word(text string) *engine.Contents {
	one := engine.Content{Op: protocol.OpText, Data: []byte(text)}
	return &engine.Contents{engine.Raw: one, engine.Enveloped: one}
}
