package chat

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// walker is a client of the model check: it comes and goes, says things with keys and says them again until they are acknowledged, and writes down what it
// is told.
type walker struct {
	r       *rig
	random  *rand.Rand
	name    string
	session string
	epoch   string
	last    uint64
	heard   []said
	acked   map[string]uint64
	ws      *websocket.Conn
	id      int
}

// TestPromise: people come and go, say things and say them again, while copies get lost and come twice. Whatever was acknowledged was stored once, and
// everybody was told everything behind their first join, once, in one order, or was told of a gap.
func TestPromise(t *testing.T) {
	for _, inTurn := range []bool{false, true} {
		t.Run(fmt.Sprintf("in turn=%t", inTurn), func(t *testing.T) { promise(t, inTurn) })
	}
}

func promise(t *testing.T, inTurn bool) {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("THRONG_SEED"); text != "" {
		seed, _ = strconv.ParseUint(text, 10, 64)
	}
	t.Logf("THRONG_SEED=%d", seed)
	r := newRig(t, true, nil)
	r.store.set(func(f *fakeStore) {
		f.random = rand.New(rand.NewPCG(seed, 0))
		f.lose, f.twice, f.inTurn = 0.05, 0.05, inTurn
	})
	const walkers, rounds = 8, 12
	all := make([]*walker, walkers)
	var wg sync.WaitGroup
	for i := range all {
		w := &walker{r: r, random: rand.New(rand.NewPCG(seed, uint64(i+1))), name: fmt.Sprintf("w%d", i), acked: map[string]uint64{}}
		all[i] = w
		wg.Go(func() {
			for round := range rounds {
				if err := w.walk(round); err != nil {
					t.Errorf("%s, round %d: %v", w.name, round, err)
					return
				}
			}
		})
	}
	wg.Wait()
	for _, w := range all {
		if err := w.finish(); err != nil {
			t.Errorf("%s: %v", w.name, err)
		}
	}
	r.check(all)
}

// walk is one visit.
func (w *walker) walk(round int) error {
	if err := w.enter(); err != nil {
		return err
	}
	defer w.ws.Close()
	for n := range w.random.IntN(12) {
		key := fmt.Sprintf("%s-%d-%d", w.name, round, n)
		if err := w.publish(key); err != nil {
			return err
		}
		if w.random.IntN(6) == 0 { // gone without having heard the answer
			_ = w.say("publish", fmt.Sprintf(`"room":"tea","key":"%s-cut","text":"%s-cut"`, key, key))
			_ = w.ws.Close()
			if err := w.enter(); err != nil {
				return err
			}
			if err := w.publish(key + "-cut"); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *walker) enter() error {
	q := url.Values{"name": {w.name}}
	if w.session != "" {
		q.Set("session", w.session)
	}
	ws, _, err := w.r.dial(q, nil)
	if err != nil {
		return err
	}
	w.ws = ws
	hello, err := w.read()
	if err != nil || hello.Type != "welcome" {
		return fmt.Errorf("welcome: %+v, %w", hello, err)
	}
	w.session = hello.Session
	since := ""
	if w.epoch != "" {
		since = fmt.Sprintf(`,"since":{"epoch":%q,"seq":%d}`, w.epoch, w.last)
	}
	m, err := w.ask("join", `"room":"tea"`+since)
	if err != nil || m.Type != "ok" {
		return fmt.Errorf("join: %+v, %w", m, err)
	}
	if w.epoch == "" {
		w.epoch, w.last = m.Epoch, m.Seq
		w.heard = append(w.heard, said{Type: "joined", Seq: m.Seq})
	}
	return nil
}

func (w *walker) publish(key string) error {
	m, err := w.ask("publish", fmt.Sprintf(`"room":"tea","key":%q,"text":%q`, key, key))
	if err != nil || m.Type != "ok" {
		return fmt.Errorf("publish %s: %+v, %w", key, m, err)
	}
	w.acked[key] = m.Seq
	return nil
}

func (w *walker) say(kind, fields string) error {
	w.id++
	return w.ws.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"type":%q,"id":%d,%s}`, kind, w.id, fields))
}

// ask sends a request and writes down what comes until its answer.
func (w *walker) ask(kind, fields string) (said, error) {
	if err := w.say(kind, fields); err != nil {
		return said{}, err
	}
	for {
		m, err := w.read()
		if err != nil || m.ID == float64(w.id) {
			return m, err
		}
	}
}

func (w *walker) read() (m said, err error) {
	_ = w.ws.SetReadDeadline(time.Now().Add(patience))
	_, text, err := w.ws.ReadMessage()
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, err
	}
	switch m.Type {
	case "message":
		w.heard = append(w.heard, m)
		w.last = m.Seq
	case "gap":
		w.heard = append(w.heard, m)
		w.last = m.To
	}
	return m, nil
}

// finish hears out what was said to the end.
func (w *walker) finish() error {
	if err := w.enter(); err != nil {
		return err
	}
	defer w.ws.Close()
	list := w.r.store.list("tea")
	for w.last < list[len(list)-1].seq {
		if _, err := w.read(); err != nil {
			return fmt.Errorf("at %d of %d: %w", w.last, list[len(list)-1].seq, err)
		}
	}
	return nil
}

// check holds what everybody was told against the store.
func (r *rig) check(all []*walker) {
	r.t.Helper()
	stored, at := map[uint64]int{}, map[string]uint64{}
	list := r.store.list("tea")
	for i, m := range list {
		stored[m.seq] = i
		var record said
		if err := json.Unmarshal(m.record, &record); err != nil {
			r.t.Fatal(err)
		}
		if before, twice := at[record.Key]; twice {
			r.t.Errorf("%s is stored twice, as %d and %d", record.Key, before, m.seq)
		}
		at[record.Key] = m.seq
	}
	for _, w := range all {
		for key, seq := range w.acked {
			if at[key] != seq {
				r.t.Errorf("%s was acknowledged as %d and is stored as %d", key, seq, at[key])
			}
		}
		w.check(r.t, list, stored)
	}
}

func (w *walker) check(t testing.TB, list []kept, stored map[uint64]int) {
	t.Helper()
	if len(w.heard) == 0 || w.heard[0].Type != "joined" {
		t.Fatalf("%s never joined", w.name)
	}
	next := 0
	for next < len(list) && list[next].seq <= w.heard[0].Seq {
		next++
	}
	for _, m := range w.heard[1:] {
		if m.Type == "gap" {
			t.Errorf("%s was told of the gap %+v, and nothing is gone", w.name, m)
			for next < len(list) && list[next].seq <= m.To {
				next++
			}
			continue
		}
		i, known := stored[m.Seq]
		if !known || i != next {
			t.Errorf("%s heard %d (place %d), and place %d is next", w.name, m.Seq, i, next)
			next = i
		}
		next++
	}
	if next != len(list) {
		t.Errorf("%s heard up to place %d of %d", w.name, next, len(list))
	}
}
