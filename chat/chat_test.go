package chat

import (
	"fmt"
	"testing"

	"github.com/gorilla/websocket"

	"throng/engine"
)

// Both ways of speaking meet in the same rooms, recorded or not.
func TestBothWaysMeet(t *testing.T) {
	for _, recorded := range []bool{true, false} {
		t.Run(fmt.Sprintf("recorded=%v", recorded), func(t *testing.T) {
			r := newRig(t, recorded, nil)
			old := r.raw("tea")
			ann, hello := r.talker("Ann", "")
			if hello.Protocol != "throng.v1" || hello.User == "" || hello.Name != "Ann" || !hello.Guest || hello.Session == "" {
				t.Errorf("the welcome is %+v", hello)
			}
			if in := ann.ok("join", `"room":"tea"`); in.Recorded != recorded || in.Name != "Ann" || in.Count != 2 || recorded == (in.Epoch == "") {
				t.Errorf("joined as %+v", in)
			}
			last := uint64(0)
			check := func(m said, text, user string) {
				t.Helper()
				if m.Text != text || m.Room != "tea" || user != "" && m.User != user || recorded == (m.Seq == 0) || m.Prev != last {
					t.Errorf("got %+v; want %q by %s behind %d", m, text, user, last)
				}
				last = m.Seq
			}
			if err := old.WriteMessage(websocket.TextMessage, []byte("\"hi\" <b>\n")); err != nil {
				t.Fatal(err)
			}
			hears(t, old, websocket.TextMessage, "\"hi\" <b>\n")
			check(ann.next("message"), "\"hi\" <b>\n", "")

			if got := ann.ok("publish", `"room":"tea","text":"h\u00e9 \ud83d\ude00"`); got.Stored != recorded || recorded == (got.Seq == 0) {
				t.Errorf("published: %+v", got)
			}
			hears(t, old, websocket.TextMessage, "hé 😀")
			check(ann.next("message"), "hé 😀", hello.User)

			ann.ok("publish", `"room":"tea","json":{"a": [1, "x"]}`)
			hears(t, old, websocket.TextMessage, `{"a":[1,"x"]}`)
			if m := ann.next("message"); string(m.JSON) != `{"a":[1,"x"]}` {
				t.Errorf("got %+v", m)
			} else {
				last = m.Seq
			}

			ann.ok("publish", `"room":"tea","data":"AP8B"`)
			hears(t, old, websocket.BinaryMessage, "\x00\xff\x01")
			if m := ann.next("message"); m.Data != "AP8B" {
				t.Errorf("got %+v", m)
			}
			if err := old.WriteMessage(websocket.BinaryMessage, []byte{9, 0}); err != nil {
				t.Fatal(err)
			}
			hears(t, old, websocket.BinaryMessage, "\x09\x00")
			if m := ann.next("message"); m.Data != "CQA=" {
				t.Errorf("got %+v", m)
			}
		})
	}
}

// Who comes back with the number that it saw last gets what it missed, once and in order, and then what is said.
func TestResume(t *testing.T) {
	r := newRig(t, true, nil)
	r.store.set(func(f *fakeStore) { f.keep = 300 })
	ann, _ := r.talker("Ann", "")
	bob, hello := r.talker("Bob", "")
	ann.ok("join", `"room":"tea"`)
	in := bob.ok("join", `"room":"tea"`)
	publish := func(n int) {
		for range n {
			ann.ok("publish", `"room":"tea","text":"x"`)
		}
	}
	publish(3)
	last := uint64(0)
	for range 3 {
		last = bob.next("message").Seq
	}
	_ = bob.ws.Close()
	publish(50)
	back := func(kind string, want int) (gap said) {
		t.Helper()
		again, welcome := r.talker("Bob", hello.Session)
		if welcome.User != hello.User {
			t.Fatalf("with the same session the user is %s, and was %s", welcome.User, hello.User)
		}
		again.ok("join", fmt.Sprintf(`"room":"tea","since":{"epoch":%q,"seq":%d}`, in.Epoch, last))
		if kind == "gap" {
			gap = again.next("gap")
		}
		for range want {
			m := again.next("message")
			if m.Prev != last && gap.To != m.Prev {
				t.Fatalf("got %+v behind %d", m, last)
			}
			last, gap.To = m.Seq, 0
		}
		publish(1)
		if m := again.next("message"); m.Prev != last {
			t.Fatalf("live: got %+v behind %d", m, last)
		} else {
			last = m.Seq
		}
		_ = again.ws.Close()
		return gap
	}
	back("", 50)
	publish(20)
	// Out of the store: a node that was just started has nothing in memory.
	tea := r.server.rooms.find("tea")
	tea.mu.Lock()
	tea.recent.forget()
	tea.mu.Unlock()
	back("", 20)
	// Older than what is kept: the gap is told, and then all that remains.
	publish(400)
	tea.mu.Lock()
	tea.recent.forget()
	tea.mu.Unlock()
	before := last
	if gap := back("gap", 300); gap.From != before+1 || gap.Oldest == 0 {
		t.Errorf("the gap is %+v; seen was %d", gap, before)
	}
	// Another epoch: the numbers mean nothing.
	again, _ := r.talker("Bob", hello.Session)
	again.ok("join", fmt.Sprintf(`"room":"tea","since":{"epoch":"other","seq":%d}`, last))
	if m := again.next("gap"); !m.Reset || m.Epoch != in.Epoch {
		t.Errorf("for another epoch: %+v", m)
	}
}

// The newest messages come with a join that asks for them, from memory and from the store.
func TestJoinLast(t *testing.T) {
	r := newRig(t, true, nil)
	ann, _ := r.talker("Ann", "")
	for i := range 10 {
		ann.ok("publish", fmt.Sprintf(`"room":"tea","text":"%d"`, i))
	}
	for n, want := range map[int]int{3: 3, 10: 10, 50: 10} {
		bob, _ := r.talker("Bob", "")
		bob.ok("join", fmt.Sprintf(`"room":"tea","last":%d`, n))
		for i := 10 - want; i < 10; i++ {
			if m := bob.next("message"); m.Text != fmt.Sprint(i) {
				t.Errorf("last %d: got %+v; want %d", n, m, i)
			}
		}
	}
}

// A publish that is sent again is stored once, and acknowledged alike.
func TestExactlyOnce(t *testing.T) {
	r := newRig(t, true, nil)
	ann, hello := r.talker("Ann", "")
	ann.ok("join", `"room":"tea"`)
	first := ann.ok("publish", `"room":"tea","key":"k1","text":"one"`)
	again, _ := r.talker("Ann", hello.Session)
	if second := again.ok("publish", `"room":"tea","key":"k1","text":"one"`); second.Seq != first.Seq || !second.Duplicate || first.Duplicate {
		t.Errorf("first %+v, again %+v", first, second)
	}
	other, _ := r.talker("Ann", "")
	if third := other.ok("publish", `"room":"tea","key":"k1","text":"mine"`); third.Duplicate {
		t.Errorf("another user's key was taken for a duplicate: %+v", third)
	}
	if m := ann.next("message"); m.Text != "one" || m.Key != "k1" {
		t.Errorf("got %+v", m)
	}
	if m := ann.next("message"); m.Text != "mine" {
		t.Errorf("got %+v", m)
	}
}

func TestHistory(t *testing.T) {
	r := newRig(t, true, nil)
	ann, _ := r.talker("Ann", "")
	var seqs []uint64
	for i := range 700 {
		seqs = append(seqs, ann.ok("publish", fmt.Sprintf(`"room":"tea","text":"%d"`, i)).Seq)
	}
	text := func(h said) (first, last string) {
		if len(h.Messages) == 0 {
			return "", ""
		}
		return h.Messages[0].Text, h.Messages[len(h.Messages)-1].Text
	}
	for _, test := range []struct {
		ask         string
		first, last string
		more        bool
	}{
		{``, "650", "699", true},
		{`,"limit":5`, "695", "699", true},
		{fmt.Sprintf(`,"before":%d,"limit":3`, seqs[600]), "597", "599", true},
		{fmt.Sprintf(`,"before":%d,"limit":30`, seqs[10]), "0", "9", false},
		{fmt.Sprintf(`,"after":%d,"limit":4`, seqs[100]), "101", "104", true},
		{fmt.Sprintf(`,"after":%d,"limit":4`, seqs[697]), "698", "699", false},
		{fmt.Sprintf(`,"after":%d`, seqs[699]), "", "", false},
	} {
		h := ann.ok("history", `"room":"tea"`+test.ask)
		if first, last := text(h); first != test.first || last != test.last || h.More != test.more || h.Epoch == "" {
			t.Errorf("%s: %s to %s, more %v; want %s to %s, %v", test.ask, first, last, h.More, test.first, test.last, test.more)
		}
	}
	if h := ann.ok("history", `"room":"nobody-was-here"`); len(h.Messages) != 0 || h.More {
		t.Errorf("an empty room has %+v", h)
	}
}

func TestInbox(t *testing.T) {
	r := newRig(t, true, nil)
	ann, annHello := r.talker("Ann", "")
	bob, bobHello := r.talker("Bob", "")
	inbox := fmt.Sprintf(`"room":"@%s"`, bobHello.User)
	ann.refused("denied", "join", inbox)
	ann.refused("denied", "history", inbox)
	ann.ok("publish", inbox+`,"text":"while you were away"`)
	bob.ok("join", inbox+`,"last":10`)
	if m := bob.next("message"); m.Text != "while you were away" || m.User != annHello.User || m.Room != "@"+bobHello.User {
		t.Errorf("got %+v", m)
	}
	phone, _ := r.talker("Bob", bobHello.Session)
	phone.ok("join", inbox)
	ann.ok("publish", inbox+`,"text":"hello"`)
	for _, device := range []*talker{bob, phone} {
		if m := device.next("message"); m.Text != "hello" {
			t.Errorf("got %+v", m)
		}
	}
}

func TestPresence(t *testing.T) {
	r := newRig(t, false, nil)
	ann, _ := r.talker("Ann", "")
	ann.ok("join", `"room":"tea"`)
	bob, bobHello := r.talker("Ann", "") // takes a name that is taken
	if in := bob.ok("join", `"room":"tea"`); in.Name != "Ann 2" || in.Count != 2 {
		t.Errorf("the second Ann joined as %+v", in)
	}
	phone, _ := r.talker("Bob", bobHello.Session)
	if in := phone.ok("join", `"room":"tea"`); in.Name != "Ann 2" || in.Count != 2 {
		t.Errorf("her phone joined as %+v", in)
	}
	for { // the two may be told together or one after the other
		m := ann.read()
		if m.Type == "presence" && m.Count == 2 {
			break
		}
	}
	if m := ann.ok("members", `"room":"tea"`); m.Count != 2 || len(m.Members) != 2 || !m.Complete {
		t.Errorf("members: %+v", m)
	}
	if m := bob.ok("publish", `"room":"tea","text":"x"`); m.Stored {
		t.Error("stored in a room that is not recorded")
	}
	if m := ann.next("message"); m.Name != "Ann 2" {
		t.Errorf("got %+v", m)
	}
	phone.ok("leave", `"room":"tea"`)
	if m := ann.ok("members", `"room":"tea"`); m.Count != 2 {
		t.Errorf("after one of two devices left: %+v", m)
	}
	bob.ok("leave", `"room":"tea"`)
	if m := ann.next("presence"); m.Count != 1 || len(m.Left) != 1 || m.Left[0].User != bobHello.User {
		t.Errorf("after she left: %+v", m)
	}
	bob.refused("not_joined", "leave", `"room":"tea"`)
}

func TestSignals(t *testing.T) {
	r := newRig(t, true, nil)
	old := r.raw("tea")
	ann, hello := r.talker("Ann", "")
	bob, _ := r.talker("Bob", "")
	ann.ok("join", `"room":"tea"`)
	bob.ok("join", `"room":"tea"`)
	ann.ok("signal", `"room":"tea","json":{"typing":true}`)
	if m := bob.next("signal"); m.User != hello.User || string(m.JSON) != `{"typing":true}` || m.Seq != 0 {
		t.Errorf("got %+v", m)
	}
	ann.ok("publish", `"room":"tea","text":"done"`)
	hears(t, old, websocket.TextMessage, "done") // and nothing of the signal
	if h := bob.ok("history", `"room":"tea"`); len(h.Messages) != 1 {
		t.Errorf("a signal was stored: %+v", h)
	}
}

func TestStoreAway(t *testing.T) {
	r := newRig(t, true, nil)
	ann, _ := r.talker("Ann", "")
	ann.ok("join", `"room":"tea"`)
	r.store.set(func(f *fakeStore) { f.down = true })
	ann.refused("unavailable", "publish", `"room":"tea","key":"k","text":"x"`)
	ann.refused("unavailable", "join", `"room":"new"`)
	old := r.raw("tea")
	if err := old.WriteMessage(websocket.TextMessage, []byte("lost?")); err != nil {
		t.Fatal(err)
	}
	_, _, err := old.ReadMessage()
	if !websocket.IsCloseError(err, closeUnavailable) {
		t.Errorf("a raw client whose message was not stored got %v", err)
	}
	r.store.set(func(f *fakeStore) { f.down = false })
	ann.ok("publish", `"room":"tea","key":"k","text":"x"`)
	ann.ok("join", `"room":"new"`)
	r.store.set(func(f *fakeStore) { f.full = true })
	ann.refused("store_full", "publish", `"room":"tea","text":"x"`)
}

func TestRefusals(t *testing.T) {
	r := newRig(t, true, func(c *Config) {
		c.RoomsPerConnection = 2
		c.Policies = append([]Policy{
			{Name: "quiet", Match: []string{"quiet*"}, Record: true, Publish: Nobody},
			{Name: "club", Match: []string{"club"}, Join: Users},
			{Name: "small", Match: []string{"small"}, MaxMembers: 1},
			{Name: "members", Match: []string{"inner"}, Record: true, Publish: Members},
		}, c.Policies...)
	})
	ann, _ := r.talker("Ann", "")
	ann.refused("name", "join", `"room":"a b"`)
	ann.refused("name", "publish", `"room":"a*","text":"x"`)
	ann.refused("denied", "join", `"room":"club"`)
	for _, kind := range []string{"publish", "signal"} { // with all that it is known by
		if m := ann.ask(kind, `"room":"quiet-one","key":"k","text":"x"`); m.Code != "denied" || m.Room != "quiet-one" || (m.Key == "k") != (kind == "publish") {
			t.Errorf("a %s that is not allowed got %+v", kind, m)
		}
	}
	if m := ann.ask("publish", `"room":"a b","key":"k","text":"x"`); m.Code != "name" || m.Room != "a b" || m.Key != "k" {
		t.Errorf("a publish to no room got %+v", m)
	}
	ann.refused("not_joined", "publish", `"room":"inner","text":"x"`)
	ann.refused("unknown_type", "dance", ``)
	ann.ok("join", `"room":"small"`)
	ann.refused("already_joined", "join", `"room":"small","last":1`)
	if again := ann.ok("join", `"room":"small"`); again.Count != 1 {
		t.Errorf("joined again: %+v", again)
	}
	bob, _ := r.talker("Bob", "")
	bob.refused("full", "join", `"room":"small"`)
	ann.ok("join", `"room":"inner"`)
	ann.ok("publish", `"room":"inner","text":"x"`)
	ann.next("message")
	ann.refused("too_many_rooms", "join", `"room":"third"`)
	if err := ann.ws.WriteMessage(websocket.BinaryMessage, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if m := ann.next("error"); m.Code != "bad_request" {
		t.Errorf("a binary message got %+v", m)
	}
	if err := ann.ws.WriteMessage(websocket.TextMessage, []byte(`{"type":"join"`)); err != nil {
		t.Fatal(err)
	}
	if m := ann.next("error"); m.Code != "bad_request" || m.ID != nil {
		t.Errorf("half a request got %+v", m)
	}
}

// Whoever is sent away is told why, and whether to come back, before the Close frame.
func TestBye(t *testing.T) {
	for text, want := range map[string]int64{"restart; reconnect in 4200 ms": 4200, "rebalance; reconnect in 7 ms": 7, "idle": -1, "restart": -1} {
		in, ok := reconnectIn(text)
		if ok != (want >= 0) || ok && in.Milliseconds() != want {
			t.Errorf("%q: %s, %v", text, in, ok)
		}
	}
	r := newRig(t, false, nil)
	ann, hello := r.talker("Ann", "")
	if n, err := r.engine.Kick(t.Context(), engine.Filter{User: hello.User}, 0, "enough"); n != 1 || err != nil {
		t.Fatalf("kicked %d, %v", n, err)
	}
	if m := ann.next("bye"); m.Again || m.Reason != "enough" {
		t.Errorf("got %+v", m)
	}
	if _, _, err := ann.ws.ReadMessage(); !websocket.IsCloseError(err, closeDenied) {
		t.Errorf("behind it: %v", err)
	}
	bob, _ := r.talker("Bob", "")
	go func() { _ = r.engine.Drain(t.Context(), 0, nil) }()
	if m := bob.next("bye"); !m.Again || m.Type != "bye" {
		t.Errorf("got %+v", m)
	}
}
