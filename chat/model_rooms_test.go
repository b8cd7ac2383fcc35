package chat

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
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
