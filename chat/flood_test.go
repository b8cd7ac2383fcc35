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
