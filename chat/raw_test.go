package chat

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"throng/protocol"
)

// What a policy says of who may speak holds for raw clients too, also while nobody else listens.
func TestRawStage(t *testing.T) {
	for _, publish := range []Who{Users, Nobody} {
		r := newRig(t, false, func(c *Config) {
			c.Policies = append([]Policy{{Name: "stage", Match: []string{"stage"}, Publish: publish}}, c.Policies...)
		})
		listener, speaker := r.raw("stage"), r.raw("stage")
		if err := speaker.WriteMessage(websocket.TextMessage, []byte("me!")); err != nil {
			t.Fatal(err)
		}
		if _, _, err := speaker.ReadMessage(); !websocket.IsCloseError(err, closeDenied) {
			t.Errorf("publish=%s: a raw guest who spoke got %v", publish, err)
		}
		if err := r.engine.Publish("stage", protocol.OpText, []byte("the play")); err != nil {
			t.Fatal(err)
		}
		hears(t, listener, websocket.TextMessage, "the play")
	}
}

// However many come in the same moment, no more are in than may be.
func TestFullForRaw(t *testing.T) {
	r := newRig(t, false, func(c *Config) {
		c.Policies = append([]Policy{{Name: "small", Match: []string{"small"}, MaxMembers: 2}}, c.Policies...)
	})
	for range 20 {
		var all sync.WaitGroup
		in := make(chan *websocket.Conn, 16)
		for range 16 {
			all.Go(func() {
				if ws, _, err := websocket.DefaultDialer.Dial("ws://"+r.addr+"/rooms/small", nil); err == nil {
					in <- ws
				}
			})
		}
		all.Wait()
		close(in)
		small := r.server.rooms.find("small")
		if n := small.members(); n != 2 {
			t.Fatalf("%d are in a room for two", n)
		}
		for ws := range in {
			_ = ws.Close()
		}
		for end := time.Now().Add(patience); small.members() > 0; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("somebody is left in the room")
			}
		}
	}
}

// A raw client hears everything that is said from its 101 on, also while its room is still being opened.
func TestRawHearsTheBeginning(t *testing.T) {
	r := newRig(t, true, nil)
	ann, _ := r.talker("Ann", "")
	for i := range 50 {
		room := fmt.Sprintf("r%d", i)
		ann.ok("publish", fmt.Sprintf(`"room":%q,"text":"long ago"`, room))
		old := r.raw(room)
		for n := range 20 {
			if err := old.WriteMessage(websocket.TextMessage, fmt.Append(nil, n)); err != nil {
				t.Fatal(err)
			}
		}
		for n := range 20 {
			hears(t, old, websocket.TextMessage, fmt.Sprint(n))
		}
		_ = old.Close()
	}
}
