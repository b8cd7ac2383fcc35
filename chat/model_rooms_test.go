package chat

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// What happens to rooms in the second model check.
type weather struct {
	name string
	keep int  // messages that are kept of a room, 0: all
	anew bool // the store begins anew now and then
	calm bool // it is never away
	turn bool // it hands on messages in turn, as the one inside does
}

// TestPromiseOfRooms: people and raw clients are in several rooms, come, leave and come again, while rooms are forgotten, copies get lost and come twice,
// and the store is away, lets go of old messages and begins anew. Everybody is told everything, once and in one order, or exactly what is missing.
func TestPromiseOfRooms(t *testing.T) {
	seed := seedOf(t)
	for _, w := range []weather{{name: "calm", calm: true}, {name: "away"}, {name: "short", keep: 4}, {name: "anew", anew: true}, {name: "all", keep: 6, anew: true},
		{name: "in turn", turn: true}, {name: "in turn, short", turn: true, keep: 4}} {
		t.Run(w.name, func(t *testing.T) { w.run(t, seed) })
	}
}

func (w *weather) run(t *testing.T, seed uint64) {
	r := newTunedRig(t, true, func(c *Config) {
		for i := range c.Policies {
			c.Policies[i].KeepMessages = w.keep
		}
	}, func(s *Server) { s.times = times{beat: 3 * time.Millisecond, linger: 2 * time.Millisecond} })
	r.store.set(func(f *fakeStore) {
		f.random, f.keep, f.lose, f.twice, f.inTurn = rand.New(rand.NewPCG(seed, 0)), w.keep, 0.05, 0.05, w.turn
	})
	stop := make(chan struct{})
	var sky, people sync.WaitGroup
	sky.Go(func() { w.blow(r, seed, stop) })
	var guests []*guest
	var ears []*ear
	for i := range 6 {
		g := &guest{r: r, random: rand.New(rand.NewPCG(seed, uint64(i+1))), name: fmt.Sprintf("g%d", i), places: map[string]*place{}, acked: map[string]uint64{}}
		guests = append(guests, g)
		people.Go(func() { g.live(60) })
	}
	for i := range 3 {
		e := &ear{room: modelRooms[i%len(modelRooms)], r: r}
		ears = append(ears, e)
		people.Go(func() { e.listen(seed, i) })
	}
	people.Wait()
	close(stop)
	sky.Wait()
	r.store.set(func(f *fakeStore) { f.down, f.lose = false, 0 })
	for _, g := range guests {
		g.finish()
		if g.fault != nil {
			t.Errorf("%s: %v", g.name, g.fault)
		}
	}
	w.checkKeys(t, r, guests)
	for _, e := range ears {
		e.check(t, w)
	}
}

var modelRooms = []string{"tea", "coffee"}

// blow makes the weather.
func (w *weather) blow(r *rig, seed uint64, stop chan struct{}) {
	random := rand.New(rand.NewPCG(seed, 99))
	for epoch := 2; ; epoch++ {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(5+random.IntN(20)) * time.Millisecond):
		}
		switch random.IntN(3) {
		case 0:
			r.store.set(func(f *fakeStore) { f.mute = !w.calm && !w.turn })
			time.Sleep(time.Duration(random.IntN(4)) * time.Millisecond)
			r.store.set(func(f *fakeStore) { f.mute = false })
			r.server.Gapped("")
		case 1:
			r.store.set(func(f *fakeStore) { f.down = !w.calm })
			time.Sleep(time.Duration(random.IntN(10)) * time.Millisecond)
			r.store.set(func(f *fakeStore) { f.down = false })
			r.server.Connected(true)
		case 2:
			if w.anew {
				r.store.begin(fmt.Sprintf("e%d", epoch))
			}
		}
	}
}

// place is how far somebody has come in a room.
type place struct {
	epoch string
	seen  uint64
	in    bool
	owed  bool // another epoch began, and it has not been said where
}

// guest is a client that comes and goes, and believes nothing.
type guest struct {
	r       *rig
	random  *rand.Rand
	name    string
	session string
	ws      *websocket.Conn
	id      int
	places  map[string]*place
	acked   map[string]uint64
	fault   error
}

// live is what a guest does for a while.
func (g *guest) live(steps int) {
	for step := 0; step < steps && g.fault == nil; step++ {
		if g.ws == nil {
			g.enter()
		}
		room := modelRooms[g.random.IntN(len(modelRooms))]
		switch g.random.IntN(10) {
		case 0:
			g.cut()
		case 1, 2, 3:
			g.join(room)
		case 4, 5:
			if p := g.places[room]; p != nil && p.in {
				if m := g.ask("leave", fmt.Sprintf(`"room":%q`, room)); m.Type == "ok" {
					p.in = false
				}
			}
		default:
			g.publish(room, fmt.Sprintf("%s-%d", g.name, step))
		}
	}
	g.cut()
}

func (g *guest) enter() {
	q := url.Values{"name": {g.name}}
	if g.session != "" {
		q.Set("session", g.session)
	}
	ws, _, err := g.r.dial(q, nil)
	if err != nil {
		g.fault = err
		return
	}
	g.ws = ws
	if hello := g.read(); hello.Type == "welcome" {
		g.session = hello.Session
	}
}

func (g *guest) cut() {
	if g.ws != nil {
		_ = g.ws.Close()
	}
	g.ws = nil
	for _, p := range g.places {
		p.in = false
	}
}

// join goes into a room, mostly from where it was.
func (g *guest) join(room string) {
	p := g.places[room]
	if p != nil && p.in {
		return
	}
	for g.ws != nil {
		fields := fmt.Sprintf(`"room":%q`, room)
		if p != nil {
			fields += fmt.Sprintf(`,"since":{"epoch":%q,"seq":%d}`, p.epoch, p.seen)
		}
		m := g.ask("join", fields)
		if m.Type == "error" && m.Code == "unavailable" {
			time.Sleep(time.Millisecond)
			continue
		}
		if m.Type != "ok" && m.Type != "" {
			g.fail("join: %+v", m)
		}
		return
	}
}

// publish says something until it is acknowledged.
func (g *guest) publish(room, key string) {
	for g.ws != nil {
		m := g.ask("publish", fmt.Sprintf(`"room":%q,"key":%q,"text":%q`, room, key, key))
		switch {
		case m.Type == "ok":
			g.acked[key] = m.Seq
			return
		case m.Type == "":
			return
		case m.Code != "unavailable":
			g.fail("publish: %+v", m)
		}
		time.Sleep(time.Millisecond)
	}
}

func (g *guest) fail(format string, args ...any) {
	if g.fault == nil {
		g.fault = fmt.Errorf(format, args...)
	}
	g.cut()
}

// ask sends a request and returns its answer, or nothing if the connection is gone.
func (g *guest) ask(kind, fields string) said {
	g.id++
	id := g.id
	if g.ws == nil || g.ws.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"type":%q,"id":%d,%s}`, kind, id, fields)) != nil {
		g.cut()
		return said{}
	}
	for g.ws != nil {
		m := g.read()
		if m.ID == float64(id) {
			return m
		}
	}
	return said{}
}

// read takes in whatever comes next.
func (g *guest) read() (m said) {
	_ = g.ws.SetReadDeadline(time.Now().Add(patience))
	_, text, err := g.ws.ReadMessage()
	if err != nil {
		if !websocket.IsCloseError(err, closeUnavailable) {
			g.fail("reading: %v", err)
		}
		g.cut()
		return said{}
	}
	if err := json.Unmarshal(text, &m); err != nil {
		g.fail("%s: %v", text, err)
		return said{}
	}
	switch {
	case m.Type == "ok" && m.Recorded:
		g.joined(&m)
	case m.Type == "message":
		g.heard(&m)
	case m.Type == "gap":
		g.missed(&m)
	}
	return m
}

func (g *guest) joined(m *said) {
	p := g.places[m.Room]
	if p == nil {
		g.places[m.Room] = &place{epoch: m.Epoch, seen: m.Seq, in: true}
		return
	}
	p.in = true
	if p.owed = p.epoch != m.Epoch; !p.owed && m.Seq < p.seen {
		g.fail("joined %s at %d of %s, and was at %d", m.Room, m.Seq, m.Epoch, p.seen)
	}
}

// heard: a message is the next that there was in its epoch.
func (g *guest) heard(m *said) {
	p := g.places[m.Room]
	switch {
	case p == nil || !p.in:
		g.fail("heard %+v without being in", m)
		return
	case p.owed:
		g.fail("heard %+v before the beginning of its epoch was told", m)
		return
	case m.Prev > p.seen:
		g.fail("%s %d comes behind %d; %d was the last that was seen", m.Room, m.Seq, m.Prev, p.seen)
		return
	}
	for _, had := range g.r.store.everSince(p.epoch, m.Room, p.seen) {
		if had.seq != m.Seq {
			g.fail("%s %s: behind %d came %d (prev %d); %d is between, or was heard", m.Room, p.epoch, p.seen, m.Seq, m.Prev, had.seq)
			return
		}
		break
	}
	p.seen = m.Seq
}

// missed: a gap begins where somebody is, and what it says to be gone is gone.
func (g *guest) missed(m *said) {
	p := g.places[m.Room]
	switch {
	case p == nil || !p.in:
		g.fail("told %+v without being in", m)
		return
	case m.Reset:
		if m.Epoch == p.epoch {
			g.fail("told to begin anew in the same epoch: %+v at %+v", m, p)
		}
		p.epoch, p.seen, p.owed = m.Epoch, m.To, false
		return
	case m.From != p.seen+1 || m.To < m.From || m.Epoch != p.epoch:
		g.fail("told of the gap %+v at %+v", m, p)
		return
	}
	if left, same := g.r.store.keptIn(p.epoch, m.Room, m.From, m.To); same && left > 0 {
		g.fail("told of the gap %+v, of which %d messages are there", m, left)
	}
	p.seen = m.To
}

// everSince are the messages of an epoch behind a number, kept or not.
func (f *fakeStore) everSince(epoch, room string, seen uint64) []kept {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := f.ever[logName(epoch, room)]
	i, _ := slices.BinarySearchFunc(list, seen+1, func(m kept, seq uint64) int { return int(m.seq) - int(seq) })
	return slices.Clone(list[i:])
}

// keptIn counts what is kept between two numbers, if the epoch is still this one.
func (f *fakeStore) keptIn(epoch, room string, from, to uint64) (n int, same bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.rooms[room] {
		if m.seq >= from && m.seq <= to {
			n++
		}
	}
	return n, f.epoch == epoch
}

// finish comes a last time and hears everything to its end.
func (g *guest) finish() {
	for tries := 0; g.fault == nil; tries++ {
		if g.ws == nil {
			g.enter()
		}
		behind := 0
		for _, room := range modelRooms {
			g.join(room)
			p := g.places[room]
			if p == nil || !p.in || g.ws == nil {
				behind++
				continue
			}
			list := g.r.store.list(room)
			if epoch := g.r.store.Epoch(0); p.epoch != epoch || len(list) > 0 && p.seen < list[len(list)-1].seq {
				behind++
			}
		}
		if behind == 0 {
			break
		}
		if tries > 5000 {
			g.fail("never came to the end: %+v %+v", g.places["tea"], g.places["coffee"])
			return
		}
		if g.ws != nil {
			g.ask("ping", `"x":0`)
			time.Sleep(time.Millisecond)
		}
	}
	g.cut()
}

// checkKeys: what was acknowledged was stored, under that number, and in each epoch once.
func (w *weather) checkKeys(t *testing.T, r *rig, guests []*guest) {
	t.Helper()
	at := map[string]map[uint64]bool{}
	for name, list := range r.store.ever {
		seen := map[string]bool{}
		for _, m := range list {
			var record said
			if err := json.Unmarshal(m.record, &record); err != nil {
				t.Fatal(err)
			}
			if record.Key == "" {
				continue
			}
			if seen[record.Key] {
				t.Errorf("%s is twice in %s", record.Key, name)
			}
			seen[record.Key] = true
			if at[record.Key] == nil {
				at[record.Key] = map[uint64]bool{}
			}
			at[record.Key][m.seq] = true
		}
	}
	acked := 0
	for _, g := range guests {
		for key, seq := range g.acked {
			if acked++; !at[key][seq] {
				t.Errorf("%s was acknowledged as %d, and is stored as %v", key, seq, at[key])
			}
		}
	}
	if acked < 50 {
		t.Errorf("only %d messages were acknowledged", acked)
	}
}

// ear is a raw client that listens for as long as the others live, and comes back when it is sent away.
type ear struct {
	r     *rig
	room  string
	heard [][]string // of each stay
}

func (e *ear) listen(seed uint64, i int) {
	random := rand.New(rand.NewPCG(seed, uint64(50+i)))
	for range 4 {
		ws, _, err := websocket.DefaultDialer.Dial("ws://"+e.r.addr+"/rooms/"+e.room, nil)
		if err != nil {
			continue
		}
		var stay []string
		_ = ws.SetReadDeadline(time.Now().Add(time.Duration(10+random.IntN(40)) * time.Millisecond))
		for {
			_, text, err := ws.ReadMessage()
			if err != nil {
				break
			}
			stay = append(stay, string(text))
		}
		_ = ws.Close()
		e.heard = append(e.heard, stay)
	}
}

// check: nothing was heard twice in one stay, everything in the order of the room, and, where nothing is lost for good, without a hole.
func (e *ear) check(t *testing.T, w *weather) {
	t.Helper()
	if w.anew { // what is lost may be said again
		return
	}
	place := map[string]int{}
	for i, m := range e.r.store.ever[logName("first", e.room)] {
		var record said
		_ = json.Unmarshal(m.record, &record)
		place[record.Text] = i
	}
	for _, stay := range e.heard {
		for i := 1; i < len(stay); i++ {
			switch step := place[stay[i]] - place[stay[i-1]]; {
			case step <= 0:
				t.Errorf("a raw client in %s heard %s behind %s", e.room, stay[i], stay[i-1])
			case step > 1 && w.keep == 0:
				t.Errorf("a raw client in %s heard nothing of the %d between %s and %s", e.room, step-1, stay[i-1], stay[i])
			}
		}
	}
}
