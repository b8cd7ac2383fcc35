package chat

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"time"

	"github.com/gorilla/websocket"
)

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
	if next := g.r.store.firstBehind(p.epoch, m.Room, p.seen); next != m.Seq {
		g.fail("%s %s: behind %d came %d (prev %d); %d is next", m.Room, p.epoch, p.seen, m.Seq, m.Prev, next)
		return
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

// firstBehind is the first message of an epoch behind a number, kept or not; 0: there was none.
func (f *fakeStore) firstBehind(epoch, room string, seen uint64) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := f.ever[logName(epoch, room)]
	if i := slices.IndexFunc(list, func(m kept) bool { return m.seq > seen }); i >= 0 {
		return list[i].seq
	}
	return 0
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
