package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// TestOverTCP: real sockets, with and without TLS, to a WebSocket of other hands. Nothing is left behind.
func TestOverTCP(t *testing.T) {
	before := runtime.NumGoroutine()
	upgrader := websocket.Upgrader{Subprotocols: []string{"throng.v1"}, EnableCompression: true}
	var served sync.WaitGroup
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		defer served.Done()
		socket, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer socket.Close()
		socket.WriteJSON(object{"type": "welcome", "user": "~ann", "heartbeat": 30000})
		for {
			var q object
			if err := socket.ReadJSON(&q); err != nil {
				if !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
					t.Errorf("the server read %v", err)
				}
				return
			}
			socket.WriteControl(websocket.PingMessage, []byte("here?"), time.Now().Add(time.Second))
			if q["type"] == "publish" {
				socket.WriteJSON(object{"type": "message", "room": q["room"], "seq": 2, "prev": 1, "text": q["text"]})
			}
			socket.WriteJSON(object{"type": "ok", "id": q["id"], "epoch": "e1", "seq": 1, "recorded": true, "stored": true})
		}
	})
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprint("tls ", secure), func(t *testing.T) {
			server := httptest.NewUnstartedServer(handler)
			var options Options
			if secure {
				server.StartTLS()
				pool := x509.NewCertPool()
				pool.AddCert(server.Certificate())
				options.TLS = &tls.Config{RootCAs: pool}
			} else {
				server.Start()
			}
			defer server.Close()
			options.URL = "ws" + strings.TrimPrefix(server.URL, "http")
			talk(t, options)
			served.Wait()
		})
	}
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			stacks := make([]byte, 1<<16)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

// talk joins tea, says something long, hears it, and goes.
func talk(t *testing.T, options Options) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c, err := Dial(ctx, options)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	tea, err := c.Join(ctx, "tea", JoinOptions{})
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("long ", 100_000)
	if _, err := tea.Publish(ctx, Text(long)); err != nil {
		t.Fatal(err)
	}
	for e := range c.Events(ctx) {
		if m, isMessage := e.(Message); isMessage {
			if m.Content.String() != long {
				t.Errorf("%d bytes of %d came", len(m.Content.Bytes()), len(long))
			}
			return
		}
	}
	t.Error("no message came")
}
