package main

import (
	"fmt"
	"os"
	"testing"

	"throng/client"
)

// TestPromiseElsewhere: what is said again on another node is stored once, and has the number of the first time; also after a node's death. Keys that look
// alike are different ones.
func TestPromiseElsewhere(t *testing.T) {
	c := startCluster(t, 2)
	ann := c.on(0, "Ann", "")
	first := ann.say("tea", "k", "one")
	there := c.on(1, "Ann", ann.Session())
	if again := there.say("tea", "k", "one"); again.Seq != first.Seq || !again.Duplicate || first.Duplicate {
		t.Errorf("first %+v, on another node %+v", first, again)
	}
	for _, key := range []string{"k ", " k", "k.", "k  "} {
		if other := there.say("tea", key, "other"); other.Duplicate || other.Seq == first.Seq {
			t.Errorf("the key %q is taken for k: %+v", key, other)
		}
	}
	if other := c.on(1, "Bob", "").say("tea", "k", "Bob's"); other.Duplicate {
		t.Errorf("Bob's key is taken for Ann's: %+v", other)
	}
	if other := there.say("coffee", "k", "elsewhere"); other.Duplicate {
		t.Errorf("a key of another room is taken for this one's: %+v", other)
	}
	c.nodes[0].kill()
	if again := there.say("tea", "k", "one"); again.Seq != first.Seq || !again.Duplicate {
		t.Errorf("after the node's death: %+v, first %+v", again, first)
	}
	page, err := there.History(there.ctx(), "tea", client.HistoryQuery{FromStart: true})
	if err != nil || len(page.Messages) != 6 {
		t.Errorf("the history has %d messages, want 6 (%v)", len(page.Messages), err)
	}
}

// TestPromiseAcross: what there is beside stored messages reaches people on other nodes: an inbox, rooms that are not recorded, signals, raw clients; and who
// was on a node that is killed goes on at another one.
func TestPromiseAcross(t *testing.T) {
	c := startCluster(t, 3, "--room-policy", "air match=air* record=none")
	ann, bob := c.on(0, "Ann", ""), c.on(1, "Bob", "")

	// The inbox, of somebody who is away and then has two devices.
	inbox := "@" + bob.User()
	ann.say(inbox, "1", "while you were away")
	if _, err := ann.Join(ann.ctx(), inbox, client.JoinOptions{}); err == nil {
		t.Error("Ann is in Bob's inbox")
	}
	phone := c.on(2, "Bob", bob.Session())
	for _, d := range []*device{bob, phone} {
		d.join(inbox, client.JoinOptions{Last: 10})
		d.hears(inbox, "while you were away")
	}
	ann.say(inbox, "2", "hello")
	for _, d := range []*device{bob, phone} {
		if m := d.hears(inbox, "hello"); m.User != ann.User() {
			t.Errorf("heard %+v; Ann is %s", m, ann.User())
		}
	}

	// A room that is not recorded, signals, and raw clients of both kinds of rooms.
	airRaw, teaRaw := join(t, c.urls[2]+"rooms/air"), join(t, c.urls[2]+"rooms/tea")
	for _, d := range []*device{ann, bob} {
		d.join("air", client.JoinOptions{})
		d.join("tea", client.JoinOptions{})
	}
	c.together("air", "tea")
	if ack := ann.say("air", "", "out of the blue"); ack.Stored || ack.Seq != 0 {
		t.Errorf("in a room that is not recorded: %+v", ack)
	}
	bob.hears("air", "out of the blue")
	airRaw.hears(text("out of the blue"))
	if err := ann.join("tea", client.JoinOptions{}).Signal(ann.ctx(), client.JSON(map[string]bool{"typing": true})); err != nil {
		t.Error(err)
	}
	if s := await(bob, "a signal", func(client.Signal) bool { return true }); s.User != ann.User() || s.Content.String() != `{"typing":true}` {
		t.Errorf("the signal is %+v", s)
	}
	ann.say("tea", "3", "stored")
	teaRaw.hears(text("stored"))
	bob.hears("tea", "stored")
	airRaw.say(text("from the air"))
	bob.hears("air", "from the air")
	teaRaw.say(text("from afar"))
	place := bob.hears("tea", "from afar")
	if place.Seq == 0 {
		t.Errorf("what a raw client said in a recorded room has no number: %+v", place)
	}

	// Bob's node dies; he goes on elsewhere, where nobody has been in the room.
	epoch := ann.join("tea", client.JoinOptions{}).Epoch()
	c.nodes[1].kill()
	for i := range 5 {
		ann.say("tea", fmt.Sprint("missed", i), fmt.Sprint("missed ", i))
	}
	back := c.on(2, "Bob", bob.Session())
	back.join("tea", client.JoinOptions{Since: client.Since{Epoch: epoch, Seq: place.Seq}})
	for i := range 5 {
		back.hears("tea", fmt.Sprint("missed ", i))
	}
	ann.say("tea", "4", "go on")
	back.hears("tea", "go on")
}

// TestPromiseAnew: the store is lost, and begins anew with numbers that meant something else. Everybody is told, on each node, and what is said from then on
// is heard.
func TestPromiseAnew(t *testing.T) {
	c := startCluster(t, 2)
	ann, bob := c.on(0, "Ann", ""), c.on(1, "Bob", "")
	epoch := ann.join("tea", client.JoinOptions{}).Epoch()
	bob.join("tea", client.JoinOptions{})
	for i := range 5 {
		ann.say("tea", fmt.Sprint(i), fmt.Sprint("before ", i))
		bob.hears("tea", fmt.Sprint("before ", i))
	}
	c.nats.kill()
	if err := os.RemoveAll(c.nats.dir); err != nil {
		t.Fatal(err)
	}
	c.nats.start()
	ann.say("tea", "first", "of a new time")
	for _, d := range []*device{ann, bob} {
		if gap := await(d, "that all begins anew", func(g client.Gap) bool { return g.Reset }); gap.Epoch == epoch || gap.Room != "tea" {
			t.Errorf("told of %+v; the epoch was %s", gap, epoch)
		}
	}
	ack := ann.say("tea", "second", "of a new time, too")
	for _, d := range []*device{ann, bob} {
		if m := await(d, "the second", func(m client.Message) bool { return m.Key == "second" }); m.Seq != ack.Seq {
			t.Errorf("heard %+v, acknowledged as %d", m, ack.Seq)
		}
	}
	back := c.on(1, "Bob", bob.Session())
	back.join("tea", client.JoinOptions{Since: client.Since{Epoch: epoch, Seq: 3}})
	if gap := await(back, "that all begins anew", func(g client.Gap) bool { return true }); !gap.Reset || gap.To != ack.Seq {
		t.Errorf("with a number of before: %+v", gap)
	}
}
