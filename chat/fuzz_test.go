package chat

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

// FuzzSession says anything to a session on a node that runs: each text gets exactly one answer, which the schema allows, and the connection goes on.
func FuzzSession(f *testing.F) {
	for _, seed := range []string{
		`{"type":"join","id":1,"room":"tea"}`, `{"type":"join","id":1,"room":"tea","last":3}`, `{"type":"leave","id":1,"room":"tea"}`,
		`{"type":"join","id":1,"room":"b","since":{"epoch":"first","seq":9007199254740991}}`, `{"type":"join","id":"x","room":"c","since":{"epoch":"old","seq":1},"last":9}`,
		`{"type":"publish","id":2,"room":"tea","key":"k","text":"x"}`, `{"type":"publish","id":2,"room":"@u","json":[1e3]}`, `{"type":"publish","id":2,"room":"live","data":"AP8B"}`,
		`{"type":"signal","id":3,"room":"tea","json":null}`, `{"type":"history","id":4,"room":"tea","before":1}`, `{"type":"history","id":4,"room":"tea","after":0,"limit":1}`,
		`{"type":"members","id":5,"room":"tea"}`, `{"type":"ping","id":6}`, `{"type":"auth","id":7,"name":"Ann"}`, `{"type":"auth","id":7,"token":"x"}`,
		`{"type":"dance","id":8}`, `{"type":"join"}`, `{`, ``, `[]`, `{"type":"publish","id":2,"room":"live","text":"\ud83d\ude00"}`, `{"type":"join","id":1,"room":"quiet"}`,
	} {
		f.Add([]byte(seed))
	}
	r := newRig(f, true, func(c *Config) {
		c.RoomsPerConnection = 20
		c.Policies = append([]Policy{{Name: "live", Match: []string{"live"}}, {Name: "quiet", Match: []string{"quiet"}, Join: Users}}, c.Policies...)
	})
	ws, _, err := r.dial(nil, nil)
	if err != nil {
		f.Fatal(err)
	}
	pings := 0
	f.Fuzz(func(t *testing.T, text []byte) {
		if !utf8.Valid(text) || len(text) > 32<<10 {
			return // the engine's to refuse
		}
		if err := ws.WriteMessage(websocket.TextMessage, text); err != nil {
			t.Fatal(err)
		}
		for answers := 0; answers == 0; {
			pings++
			answers = answersUntil(t, ws, fmt.Sprintf("fuzz %d", pings))
			if answers > 1 {
				t.Fatalf("%d answers", answers)
			}
		}
		pings++
		if n := answersUntil(t, ws, fmt.Sprintf("fuzz %d", pings)); n > 0 {
			t.Fatalf("%d answers more", n)
		}
	})
}

// answersUntil sends a ping and counts the answers before its own.
func answersUntil(t *testing.T, ws *websocket.Conn, id string) (n int) {
	t.Helper()
	if err := ws.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"type":"ping","id":%q}`, id)); err != nil {
		t.Fatal(err)
	}
	for {
		_ = ws.SetReadDeadline(time.Now().Add(patience))
		_, text, err := ws.ReadMessage()
		if err != nil {
			t.Fatalf("behind the request: %v", err)
		}
		fits(t, text)
		var m said
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		switch {
		case m.ID == id:
			return n
		case m.Type == "ok", m.Type == "error":
			n++
		}
	}
}
