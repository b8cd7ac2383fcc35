package main

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"throng/client"
)

// vanishTime is within how long the people of a killed node are gone for the others.
const vanishTime = 5 * time.Second

// TestPromisePresence: who is in a room is known on all nodes, and stays right when a node is killed, replaced at once by another process of its name, or
// stands still for longer than it may.
func TestPromisePresence(t *testing.T) {
	c := startCluster(t, 3)
	watcher := c.watch(0, "tea")
	people := []*device{c.on(0, "Ann", ""), c.on(1, "Bob", ""), c.on(2, "Eve", "")}
	for _, d := range people {
		d.join("tea", client.JoinOptions{})
	}
	everywhere := func(within time.Duration, names ...string) {
		t.Helper()
		for i, n := range c.nodes {
			if n.running() {
				c.sees(i, "tea", within, only(names...))
			}
		}
		watcher.sees(within, names...)
	}
	everywhere(patience, "Ann", "Bob", "Eve")

	// Eve's node stands still, and Bob's is killed, and another process takes its place before anybody misses it. Bob does not come back.
	freeze(t, c.nodes[2].cmd.Process)
	people[1].stay()
	c.nodes[1].kill()
	c.nodes[1].start()
	watcher.sees(vanishTime, "Ann")

	// Eve's node goes on. The others are still there for it, and she is there for them.
	_ = c.nodes[2].cmd.Process.Signal(syscall.SIGCONT)
	eve := c.watch(2, "tea")
	eve.sees(vanishTime, "Ann", "Eve")
	everywhere(vanishTime, "Ann", "Eve")

	// It is killed for good.
	people[2].stay()
	eve.stay()
	c.nodes[2].kill()
	everywhere(vanishTime, "Ann")
}

// only reports whether exactly these are in a room, those who only look aside.
func only(names ...string) func(client.Members) bool {
	return func(m client.Members) bool {
		var there []string
		for _, who := range m.Members {
			if !strings.HasPrefix(who.Name, "watcher") {
				there = append(there, who.Name)
			}
		}
		slices.Sort(there)
		return slices.Equal(there, names)
	}
}

// stay keeps somebody from coming back.
func (d *device) stay() { d.leaving.Store(true) }

// watcher knows who is in a room by what it is told of it.
type watcher struct {
	*device
	room  string
	there map[string]string
}

// watch has somebody on a node who begins with who is in the room, and from then on believes what it is told.
func (c *cluster) watch(node int, room string) *watcher {
	c.Helper()
	w := &watcher{c.on(node, "watcher", ""), room, map[string]string{}}
	r := w.join(room, client.JoinOptions{})
	m, err := r.Members(w.ctx())
	if err != nil {
		c.Fatal(err)
	}
	for _, who := range m.Members {
		w.there[who.User] = who.Name
	}
	return w
}

// sees waits until exactly these are there, of what the watcher was told.
func (w *watcher) sees(within time.Duration, names ...string) {
	w.Helper()
	late := time.After(within)
	for {
		var m client.Members
		for user, name := range w.there {
			m.Members = append(m.Members, client.Member{User: user, Name: name})
		}
		if only(names...)(m) {
			return
		}
		select {
		case e := <-w.events:
			if p, ok := e.(client.Presence); ok && p.Room == w.room {
				w.told(&p)
			}
		case <-late:
			w.Fatalf("after %v the watcher believes that %v are there, and not %v", within, m.Members, names)
		}
	}
}

func (w *watcher) told(p *client.Presence) {
	if p.Members != nil {
		clear(w.there)
	}
	for _, who := range slices.Concat(p.Members, p.Joined) {
		w.there[who.User] = who.Name
	}
	for _, who := range p.Left {
		delete(w.there, who.User)
	}
}
