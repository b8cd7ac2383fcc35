package client

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A hall is one recorded room, kept as its protocol says, behind connections that fail in every way that a seed can think of.
type hall struct {
	random *rand.Rand
	calm   atomic.Bool // nothing fails any more
	store  []object
	keys   map[string]int // of what was stored, its number
	asked  map[string]int // how often a key was published
	shut   time.Time      // until then publishes are refused
	cuts   int
	missed int
}

// chance is true so many times in a thousand, as long as there are faults.
func (h *hall) chance(n int) bool { return !h.calm.Load() && h.random.IntN(1000) < n }

func (h *hall) head() int {
	if len(h.store) == 0 {
		return 0
	}
	return h.store[len(h.store)-1]["seq"].(int)
}

// say stores a message. Numbers rise, not by one.
func (h *hall) say(user, key, text string) int {
	seq, prev := h.head()+1+h.random.IntN(3), h.head()
	h.store = append(h.store, object{"seq": seq, "prev": prev, "time": 1, "user": user, "name": user, "key": key, "text": text})
	h.keys[key] = seq
	return seq
}

func (h *hall) after(seq int) []object {
	i := slices.IndexFunc(h.store, func(m object) bool { return m["seq"].(int) > seq })
	if i < 0 {
		return nil
	}
	return h.store[i:]
}

// serve is a connection. Bob says something in between.
func (h *hall) serve(p *peer) {
	defer p.cut()
	p.welcome(object{"heartbeat": 2000})
	requests := make(chan object)
	done := make(chan struct{})
	defer close(done)
	go func() {
		defer close(requests)
		for {
			q := p.next()
			select {
			case requests <- q:
			case <-done:
				return
			}
		}
	}()
	joined, told := false, 0
	bob := time.NewTicker(50 * time.Millisecond)
	defer bob.Stop()
	for {
		select {
		case q, there := <-requests:
			if !there || h.chance(20) {
				h.cuts++
				return
			}
			if h.answer(p, q, &joined, &told) {
				h.cuts++
				return
			}
		case <-bob.C:
			h.say("bob", fmt.Sprint("bob", len(h.store)), "hm")
		}
		for _, m := range h.after(told) {
			if !joined {
				break
			}
			told = m["seq"].(int)
			if h.chance(50) {
				h.missed++
				continue
			}
			for n := 0; n == 0 || h.chance(50); n++ {
				p.say(m, object{"type": "message", "room": "tea"})
			}
		}
	}
}

// answer answers a request, or ends the connection before or after it did what was asked.
func (h *hall) answer(p *peer, q object, joined *bool, told *int) (cut bool) {
	unavailable := time.Now().Before(h.shut)
	switch q["type"] {
	case "join":
		p.ok(q, object{"epoch": "e1", "seq": h.head(), "recorded": true, "name": "Ann", "count": 2})
		*joined, *told = true, h.head()
		if since, again := q["since"].(object); again {
			*told = int(since["seq"].(float64))
		}
	case "publish":
		key, text := q["key"].(string), q["text"].(string)
		h.asked[key]++
		if unavailable {
			p.refuse(q, "unavailable")
			return false
		}
		seq, again := h.keys[key]
		if !again {
			seq = h.say("~ann", key, text)
		}
		if h.chance(20) {
			return true
		}
		p.ok(q, object{"seq": seq, "stored": true, "duplicate": again})
		if h.chance(5) {
			h.shut = time.Now().Add(3 * time.Second)
		}
	case "history":
		if unavailable {
			p.refuse(q, "unavailable")
			return false
		}
		all := h.after(int(q["after"].(float64)))
		page := all[:min(len(all), 1+h.random.IntN(3))]
		if h.chance(100) {
			return true
		}
		p.ok(q, object{"epoch": "e1", "messages": page, "more": len(page) < len(all)})
	default:
		p.ok(q, object{"time": 1})
	}
	return false
}

// TestAnyCourse: whatever befalls the connections, the client hands out what the room said, all of it, in order, once; and what it says stands in
// the room once, in the order in which it was said.
func TestAnyCourse(t *testing.T) {
	seeds := 12
	if testing.Short() {
		seeds = 5
	}
	first := rand.Uint64()
	for n := range seeds {
		seed := first + uint64(n)
		t.Run(fmt.Sprint(seed), func(t *testing.T) { course(t, seed) })
	}
}

func course(t *testing.T, seed uint64) {
	const sayings = 300
	h := &hall{random: rand.New(rand.NewPCG(seed, 0)), keys: map[string]int{}, asked: map[string]int{}}
	h.say("bob", "before", "hm")
	inBubble(t, func(t *testing.T, r *rig) {
		c := r.client(t)
		tea, err := c.Join(context.Background(), "tea", JoinOptions{})
		if err != nil {
			t.Fatal(err)
		}
		end := make(chan []string)
		go func() { end <- hears(c) }()
		var receipts []*Receipt
		for n := range sayings {
			receipt, err := tea.Enqueue(context.Background(), Text(fmt.Sprint("saying ", n)), WithKey(fmt.Sprint("key", n)))
			if err != nil {
				t.Fatal(err)
			}
			receipts = append(receipts, receipt)
			time.Sleep(time.Duration(n%7) * 10 * time.Millisecond)
		}
		for n, receipt := range receipts {
			if _, err := receipt.Wait(context.Background()); err != nil {
				t.Errorf("saying %d: %v", n, err)
			}
		}
		h.calm.Store(true)
		if _, err := tea.Publish(context.Background(), Text("end")); err != nil {
			t.Fatal(err)
		}
		got := <-end
		c.Close()
		r.served.Wait()
		for n, receipt := range receipts {
			if int(receipt.ack.Seq) != h.keys[receipt.Key()] {
				t.Errorf("saying %d: %+v; it is number %d", n, receipt.ack, h.keys[receipt.Key()])
			}
		}
		judge(t, h, got, sayings)
	}, slices.Repeat([]func(*peer){h.serve}, 5000)...)
}

// hears collects what a client hands out, up to the end.
func hears(c *Client) (got []string) {
	for e := range c.Events(context.Background()) {
		switch e := e.(type) {
		case Message:
			got = append(got, fmt.Sprint(e.Seq, " ", e.User, " ", e.Content))
			if e.Content.String() == "end" {
				return got
			}
		case Gap, Left, Notice:
			got = append(got, fmt.Sprintf("%T %v", e, e))
		}
	}
	return got
}

// judge holds what the client handed out against what the room has.
func judge(t *testing.T, h *hall, got []string, sayings int) {
	t.Helper()
	var want, said []string
	for _, m := range h.store {
		want = append(want, fmt.Sprint(m["seq"], " ", m["user"], " ", m["text"]))
		if text := m["text"].(string); strings.HasPrefix(text, "saying ") {
			said = append(said, text)
		}
	}
	want = want[:1+slices.IndexFunc(want, func(text string) bool { return strings.HasSuffix(text, " end") })]
	if len(got) == 0 {
		t.Fatal("the client handed out nothing")
	}
	if i := slices.Index(want, got[0]); i < 0 || !slices.Equal(got, want[i:]) {
		t.Errorf("handed out %d:\n%v\nthe room has from there:\n%v", len(got), got, want[max(i, 0):])
	}
	for n := range sayings {
		if n >= len(said) || said[n] != fmt.Sprint("saying ", n) {
			t.Fatalf("the room has %d sayings of %d: %v", len(said), sayings, said)
		}
	}
	if len(said) != sayings || h.cuts == 0 || h.missed == 0 {
		t.Errorf("%d sayings; %d cuts, %d messages left out", len(said), h.cuts, h.missed)
	}
	resent := 0
	for _, n := range h.asked {
		resent += n - 1
	}
	if resent == 0 {
		t.Error("nothing was sent twice, so nothing was tried")
	}
}
