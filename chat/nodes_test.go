package chat

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"
)

// twoNodes are two nodes that hear each other. Nothing happens by itself: beat is for all.
func twoNodes(t *testing.T, recorded bool) (nodes [2]*rig, beat func()) {
	for i := range nodes {
		nodes[i] = newTunedRig(t, true, func(c *Config) {
			c.Node = fmt.Sprintf("n%d", i+1)
			if !recorded {
				c.Policies = DefaultPolicies(false)
			}
		}, func(s *Server) { s.times.beat = time.Hour })
	}
	for i, r := range nodes {
		r.store.set(func(f *fakeStore) { f.shared, f.peer = true, nodes[1-i].server })
	}
	return nodes, func() {
		for _, r := range nodes {
			r.server.beatOnce()
		}
	}
}

// watch is somebody who keeps a list of who is in a room by what it is told.
type watch struct {
	*talker
	who    string
	people map[string]string
	count  int
}

// hear takes in what has come up to the answer to a ping.
func (w *watch) hear() {
	w.t.Helper()
	w.ok("ping", "")
	for len(w.later) > 0 {
		m := w.read()
		if m.Type != "presence" {
			continue
		}
		w.count = m.Count
		if m.Members != nil {
			clear(w.people)
		}
		for _, p := range append(m.Members, m.Joined...) {
			w.people[p.User] = p.Name
		}
		for _, p := range m.Left {
			delete(w.people, p.User)
		}
	}
}

// Whoever comes, goes and changes the name on two nodes, who watches on either knows in the end who is there, also when the nodes did not hear each other
// for a while.
func TestPresenceAcross(t *testing.T) {
	seed := seedOf(t)
	random := rand.New(rand.NewPCG(seed, 1))
	nodes, beat := twoNodes(t, false)
	watches := make([]*watch, 2)
	here := map[string]string{} // who is in, and their names as they asked for them
	for i, r := range nodes {
		k, hello := r.talker(fmt.Sprintf("w%d", i), "")
		watches[i] = &watch{talker: k, who: hello.User, people: map[string]string{}}
		k.ok("join", `"room":"tea"`)
		here[hello.User] = hello.Name
	}
	type client struct {
		*talker
		user, name string
		in         bool
	}
	clients := make([]*client, 12)
	for i := range clients {
		name := fmt.Sprintf("c%d", i)
		k, hello := nodes[i%2].talker(name, "")
		clients[i] = &client{talker: k, user: hello.User, name: name}
	}
	for step := range 200 {
		c := clients[random.IntN(len(clients))]
		switch {
		case !c.in:
			c.ok("join", `"room":"tea"`)
			here[c.user] = c.name
			c.in = true
		case random.IntN(3) == 0 && step%20 == 0:
			c.name += "'"
			c.ok("auth", fmt.Sprintf(`"name":%q`, c.name))
			here[c.user] = c.name
		default:
			c.ok("leave", `"room":"tea"`)
			delete(here, c.user)
			c.in = false
		}
		c.later = nil
		if random.IntN(5) == 0 {
			beat()
		}
		if step == 100 || step == 130 { // for a while nothing gets through
			for _, r := range nodes {
				r.store.set(func(f *fakeStore) { f.deaf = step == 100 })
				r.server.Connected(step == 130)
			}
		}
	}
	beat()
	for i, w := range watches {
		for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
			w.hear()
			if maps.Equal(w.people, here) && w.count == len(here) {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("on node %d %d are counted, and %v are known; there are %d: %v", i+1, w.count, w.people, len(here), here)
			}
		}
		m := w.ok("members", `"room":"tea"`)
		if len(m.Members) != len(here) || m.Count != len(here) || !m.Complete {
			t.Errorf("node %d lists %+v; there are %v", i+1, m, here)
		}
	}
	// A node that is gone takes its people with it.
	nodes[0].server.NodeGone("n2")
	left := map[string]string{watches[0].who: here[watches[0].who]}
	for i, c := range clients {
		if i%2 == 0 && c.in {
			left[c.user] = c.name
		}
	}
	for end := time.Now().Add(patience); !maps.Equal(watches[0].people, left); watches[0].hear() {
		if time.Now().After(end) {
			t.Fatalf("behind the end of a node %v are known; there are %v", watches[0].people, left)
		}
	}
}

// What is said in a room that is not recorded reaches both nodes, and a signal too, each of them once.
func TestSaidAcross(t *testing.T) {
	nodes, _ := twoNodes(t, false)
	ann, _ := nodes[0].talker("Ann", "")
	bob, _ := nodes[1].talker("Bob", "")
	raw := nodes[1].raw("tea")
	ann.ok("join", `"room":"tea"`)
	bob.ok("join", `"room":"tea"`)
	for i := range 50 {
		ann.ok("signal", `"room":"tea","json":true`)
		ann.ok("publish", fmt.Sprintf(`"room":"tea","text":"%d"`, i))
		hears(t, raw, 1, fmt.Sprint(i))
		if m := bob.next("signal"); m.Name != "Ann" {
			t.Errorf("got %+v", m)
		}
		if m := bob.next("message"); m.Text != fmt.Sprint(i) {
			t.Errorf("got %+v", m)
		}
	}
}
