package chat

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"throng/protocol"
)

// Whoever says more than a room's members can take is not read from, member or not, whatever is said: nothing piles up before a loop that is busy.
func TestFloodIsPaced(t *testing.T) {
	for _, kind := range []string{"signal", "publish"} {
		t.Run(kind, func(t *testing.T) {
			busy, blocked := make(chan struct{}), make(chan struct{})
			r := newRig(t, false, func(c *Config) {
				c.Page = func(string, string) (protocol.Response, bool) {
					close(blocked)
					<-busy
					return protocol.Response{Status: 204}, true
				}
			})
			for range 8 { // on both loops
				k, _ := r.talker("Ann", "")
				k.ok("join", `"room":"tea"`)
			}
			all := make([]*talker, 8)
			for i := range all {
				all[i], _ = r.talker("Eve", "")
			}
			go func() {
				if resp, err := http.Get("http://" + r.addr + "/"); err == nil {
					_ = resp.Body.Close()
				}
			}()
			<-blocked
			defer close(busy)
			eve := all[0].ws
			for _, k := range all { // one of them is on the loop that is not busy
				k.say("ping", "")
				_ = k.ws.SetReadDeadline(time.Now().Add(time.Second))
				if _, _, err := k.ws.ReadMessage(); err == nil {
					eve = k.ws
					break
				}
			}
			text := strings.Repeat("x", 32<<10)
			for i := range 2000 {
				_ = eve.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
				if err := eve.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"type":%q,"id":%d,"room":"tea","text":%q}`, kind, i, text)); err != nil {
					return // it is paced
				}
			}
			t.Errorf("64 MiB of %ss were taken while a loop was busy", kind)
		})
	}
}

// A client that asks for much and reads slowly is waited for, and not cut off: its questions are read as its answers are taken.
func TestManyHistories(t *testing.T) {
	r := newRig(t, true, nil)
	ann, _ := r.talker("Ann", "")
	for range 40 {
		ann.ok("publish", fmt.Sprintf(`"room":"tea","text":%q`, strings.Repeat("x", 8<<10)))
	}
	ann.ok("join", `"room":"tea"`)
	bob, _ := r.talker("Bob", "")
	go func() {
		for i := range 100 {
			if bob.ws.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"type":"history","id":%d,"room":"tea"}`, i)) != nil {
				return
			}
		}
	}()
	time.Sleep(200 * time.Millisecond) // in which more is asked for than the buffers between take
	seen := map[any]bool{}
	for range 100 {
		m := bob.next("ok")
		if len(m.Messages) < 10 || !m.More {
			t.Fatalf("got a history of %d messages, more: %v", len(m.Messages), m.More)
		}
		seen[m.ID] = true
	}
	if len(seen) != 100 {
		t.Errorf("%d of 100 questions were answered", len(seen))
	}
}

// Rooms that are only asked about are not made.
func TestAskingMakesNoRooms(t *testing.T) {
	r := newRig(t, true, nil)
	ann, _ := r.talker("Ann", "")
	for i := range 20 {
		room := fmt.Sprintf(`"room":"r%d"`, i)
		ann.ok("history", room)
		ann.ok("members", room)
		ann.ok("publish", room+`,"text":"x"`)
		ann.ok("signal", room+`,"text":"x"`)
		if h := ann.ok("history", room); len(h.Messages) != 1 || h.Epoch == "" {
			t.Errorf("the history of room %d is %+v", i, h)
		}
	}
	if n := r.server.rooms.count.Load(); n != 0 {
		t.Errorf("%d rooms were made", n)
	}
}
