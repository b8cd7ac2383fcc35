package chat

import (
	"testing"

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
