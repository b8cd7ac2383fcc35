package chat

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"throng/chat/token"
)

// tickets is a Verifier that takes the name of a user, and lets all of them end at one time.
type tickets struct{ end time.Time }

func (v tickets) Verify(text string, now time.Time) (token.Claims, error) {
	if strings.HasPrefix(text, "bad") || !now.Before(v.end) {
		return token.Claims{}, errors.New("this token is not good")
	}
	return token.Claims{User: text, Name: text, Expires: v.end}, nil
}

// guarded is a node that wants tokens, and whose clock the test sets forward.
func guarded(t *testing.T, lifetime time.Duration) (r *rig, ahead *atomic.Int64) {
	ahead = new(atomic.Int64)
	clock := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	return newRig(t, true, func(c *Config) {
		c.Clock, c.Guests, c.Tokens = clock, false, tickets{clock().Add(lifetime)}
	}), ahead
}

// Without a token nothing is answered but ping and auth, and not for long; a token that is not good does not get in.
func TestAuthTime(t *testing.T) {
	r, ahead := guarded(t, time.Hour)
	_, res, err := r.dial(nil, http.Header{"Authorization": {"Bearer bad"}})
	if err == nil || res == nil || res.StatusCode != http.StatusUnauthorized {
		t.Fatalf("a bad token got %v, %v", res, err)
	}
	if _, res, err = websocket.DefaultDialer.Dial("ws://"+r.addr+"/rooms/tea", nil); err == nil || res == nil || res.StatusCode != http.StatusUnauthorized {
		t.Fatalf("a raw client without a token got %v, %v", res, err)
	}
	late, hello := r.talker("", "")
	if hello.User != "" || hello.Session != "" {
		t.Errorf("nobody yet is welcomed as %+v", hello)
	}
	late.refused("unauthorized", "join", `"room":"tea"`)
	late.refused("unauthorized", "auth", `"token":"bad"`)
	late.ok("ping", "")
	prompt, _ := r.talker("", "")
	if in := prompt.ok("auth", `"token":"ann"`); in.User != "ann" {
		t.Errorf("with a token she is %+v", in)
	}
	prompt.ok("join", `"room":"tea"`)
	prompt.refused("unauthorized", "auth", `"token":"bob"`) // somebody else's
	ahead.Add(int64(authTime + time.Second))
	if m := late.next("bye"); m.Code != float64(closeUnauthorized) || m.Again {
		t.Errorf("got %+v", m)
	}
	prompt.ok("ping", "")
}

// A token that ends is warned of, and then ends the connection.
func TestTokenEnds(t *testing.T) {
	r, ahead := guarded(t, 10*time.Minute)
	ws, _, err := r.dial(nil, http.Header{"Authorization": {"Bearer ann"}})
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	ann := &talker{t: t, ws: ws}
	if hello := ann.next("welcome"); hello.User != "ann" || hello.Guest {
		t.Errorf("she is %+v", hello)
	}
	ahead.Add(int64(9*time.Minute + 10*time.Second))
	if m := ann.next("error"); m.Code != "token_expiring" || m.ID != nil || m.Retry == 0 {
		t.Errorf("got %+v", m)
	}
	ahead.Add(int64(time.Minute)) // within the grace
	ann.ok("ping", "")
	ahead.Add(int64(time.Minute))
	if m := ann.next("error"); m.Code != "token_expired" {
		t.Errorf("got %+v", m)
	}
	if m := ann.next("bye"); m.Code != float64(closeUnauthorized) || !m.Again {
		t.Errorf("got %+v", m)
	}
}

// A history is cut where it would be too much at once, at the end that is not asked for.
func TestHistoryBytes(t *testing.T) {
	r := newRig(t, true, nil)
	ann, _ := r.talker("Ann", "")
	text := strings.Repeat("x", 20<<10)
	for i := range 20 {
		ann.ok("publish", fmt.Sprintf(`"room":"tea","text":"%d %s"`, i, text))
	}
	for ask, want := range map[string]struct{ first, last string }{`"limit":20`: {"14 ", "19 "}, `"limit":20,"after":0`: {"0 ", "5 "}} {
		h := ann.ok("history", `"room":"tea",`+ask)
		if n := len(h.Messages); n != historyBytesMax/(20<<10) || !h.More || !strings.HasPrefix(h.Messages[0].Text, want.first) || !strings.HasPrefix(h.Messages[n-1].Text, want.last) {
			t.Errorf("%s: %d messages, more %v", ask, n, h.More)
		}
	}
}

// Somebody whose publishes the store does not answer is not read from any more, raw or not, and loses none of them.
func TestInFlight(t *testing.T) {
	r := newRig(t, true, nil)
	old := r.raw("tea")
	ann, _ := r.talker("Ann", "")
	ann.ok("join", `"room":"tea"`)
	block := make(chan struct{})
	r.store.work <- func() { <-block }
	const n = 2*inFlightMax + 10
	for i := range n {
		ann.say("publish", fmt.Sprintf(`"room":"tea","text":"%d"`, i))
		if err := old.WriteMessage(websocket.TextMessage, fmt.Append(nil, "raw ", i)); err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(patience); r.server.stats.published.Load() < 2*inFlightMax; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("only %d were taken", r.server.stats.published.Load())
		}
	}
	if taken := r.server.stats.published.Load(); taken != 2*inFlightMax {
		t.Errorf("%d were taken of two who may have %d each under way", taken, inFlightMax)
	}
	close(block)
	for range 2 * n {
		if got, _, err := old.ReadMessage(); err != nil || got != websocket.TextMessage {
			t.Fatal(got, err)
		}
	}
}

// Who may not speak in a room is told so; a raw client cannot be told otherwise than by its end.
func TestRawMayNotSpeak(t *testing.T) {
	r := newRig(t, true, func(c *Config) {
		c.Policies = append([]Policy{
			{Name: "news", Match: []string{"news"}, Record: true, Publish: Nobody},
			{Name: "club", Match: []string{"club"}, Join: Users},
			{Name: "small", Match: []string{"small"}, MaxMembers: 1},
		}, c.Policies...)
	})
	old := r.raw("news")
	if err := old.WriteMessage(websocket.TextMessage, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := old.ReadMessage(); !websocket.IsCloseError(err, closeDenied) {
		t.Errorf("got %v", err)
	}
	r.raw("small")
	for room, status := range map[string]int{"club": http.StatusForbidden, "small": http.StatusServiceUnavailable} {
		if _, res, err := websocket.DefaultDialer.Dial("ws://"+r.addr+"/rooms/"+room, nil); err == nil || res == nil || res.StatusCode != status {
			t.Errorf("%s: got %v, %v", room, res, err)
		}
	}
}

// A crowd lists so many people and counts the others, and who joins is told of fewer.
func TestCrowdBounds(t *testing.T) {
	var c crowd
	for i := range listedMax + 100 {
		c.enter(fmt.Sprint("u", i), "Ann")
	}
	if w := c.present(); w.count != listedMax+100 || len(w.people) != listedMax || w.complete {
		t.Errorf("%d people of %d, complete %v", len(w.people), w.count, w.complete)
	}
	if s := c.summary(); len(s.Members) != summaryMax || s.Count != listedMax+100 || s.Complete {
		t.Errorf("who joins is told of %d of %d, complete %v", len(s.Members), s.Count, s.Complete)
	}
	shown := map[string]bool{}
	for _, p := range c.present().people {
		shown[p.Name] = true
	}
	if len(shown) != listedMax {
		t.Errorf("%d people have %d names", listedMax, len(shown))
	}
	news := presenceNews{Count: 5000}
	for i := range 5000 {
		news.Joined = append(news.Joined, [2]string{fmt.Sprint("v", i), "Bob"})
	}
	c.learn("other", &news)
	if w := c.present(); w.count != listedMax+100+5000 || len(w.people) > 2*listedMax {
		t.Errorf("with another node %d people of %d", len(w.people), w.count)
	}
}

// What a room keeps in memory is bounded, in messages and in bytes, and what all rooms keep together too.
func TestRecentBounds(t *testing.T) {
	for _, size := range []int{10, 10_000} {
		var all recent
		held := 0
		for i := range 2000 {
			message := append(all.room(size), strings.Repeat("x", size)...)
			held += all.add(uint64(i+1), uint64(i), message, size)
			if len(all.entries) > recentMessagesMax || all.bytes > recentBytesMax+size || held != all.bytes {
				t.Fatalf("%d messages of %d bytes are held, %d bytes are counted", len(all.entries), all.bytes, held)
			}
		}
		if all.entries[len(all.entries)-1].seq != 2000 {
			t.Error("the newest is not there")
		}
	}
	const most = 100 << 10
	r := newRig(t, true, func(c *Config) { c.RecentBytes = most })
	ann, _ := r.talker("Ann", "")
	for i := range 20 {
		room := fmt.Sprintf(`"room":"r%d"`, i%5)
		ann.ok("join", room)
		ann.ok("publish", room+`,"text":"`+strings.Repeat("x", 20<<10)+`"`)
		ann.later = nil
	}
	if held := r.server.recentBytes.Load(); held > most {
		t.Errorf("%d bytes are held", held)
	}
	// Rooms that have become quiet make place for one that has not.
	r.server.beatOnce()
	ann.ok("join", `"room":"busy"`)
	for range 20 {
		ann.ok("publish", `"room":"busy","text":"`+strings.Repeat("x", 500)+`"`)
	}
	busy := r.server.rooms.find("busy")
	busy.mu.Lock()
	defer busy.mu.Unlock()
	if n := len(busy.recent.entries); n != 20 {
		t.Errorf("of 20 messages %d are kept", n)
	}
}

// What arrives while a hole is filled waits up to a bound; what comes after it is fetched again.
func TestArrivedBounds(t *testing.T) {
	for size, most := range map[int]int{1: arrivedMax, 1 << 10: arrivedBytesMax >> 10} {
		var p pending
		for i := range most + 10 {
			p.keep(uint64(i+2), uint64(i+1), make([]byte, size))
		}
		if len(p.arrived) != most || !p.missed {
			t.Errorf("of %d bytes each %d wait, missed %v", size, len(p.arrived), p.missed)
		}
	}
}

// A room that nobody is in is forgotten after a while.
func TestRoomsAreForgotten(t *testing.T) {
	ahead := new(atomic.Int64)
	r := newRig(t, true, func(c *Config) {
		c.Clock = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	ann, _ := r.talker("Ann", "")
	ann.ok("join", `"room":"tea"`)
	ann.ok("leave", `"room":"tea"`)
	if n := r.server.rooms.count.Load(); n != 1 {
		t.Fatalf("%d rooms; asking makes none", n)
	}
	ahead.Add(int64(lingerTime + time.Second))
	for end := time.Now().Add(patience); r.server.rooms.count.Load() > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d rooms are left", r.server.rooms.count.Load())
		}
	}
}

// However often a room is left, it stands once among those that are to be forgotten.
func TestComingAndGoing(t *testing.T) {
	r := newTunedRig(t, true, nil, func(s *Server) { s.times.beat = time.Hour })
	ann, _ := r.talker("Ann", "")
	for range 50 {
		ann.ok("join", `"room":"tea"`)
		ann.ok("leave", `"room":"tea"`)
		r.server.beatOnce()
	}
	ann.ok("join", `"room":"tea"`)
	r.server.beatOnce()
	for range 50 {
		ann.ok("leave", `"room":"tea"`)
		ann.ok("join", `"room":"tea"`)
	}
	ann.ok("leave", `"room":"tea"`)
	if n := len(r.server.deserted); n != 1 {
		t.Errorf("one room stands %d times among those that were left", n)
	}
	r.server.times.linger = 0
	r.server.beatOnce()
	if n := r.server.rooms.count.Load(); n != 0 {
		t.Errorf("%d rooms are left", n)
	}
}
