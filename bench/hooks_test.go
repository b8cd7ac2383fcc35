package bench

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// wrapping is a server with ways of its own: a path for each room, a subprotocol, a hello that comes first, messages
// as {"say":"..."} that go out as {"from":N,"said":"..."} in three fragments, and a word to everybody who comes.
type wrapping struct {
	mu    sync.Mutex
	rooms map[string][]net.Conn
	hello []string
	wrong []string
}

func (s *wrapping) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	upgrade := ws.HTTPUpgrader{Protocol: func(p string) bool { return p == "shout" }}
	c, _, _, err := upgrade.Upgrade(r, w)
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	hello, op, err := wsutil.ReadClientData(c)
	if err != nil {
		return // the probe
	}
	s.mu.Lock()
	if op != ws.OpText || !bytes.HasPrefix(hello, []byte("I am ")) {
		s.wrong = append(s.wrong, string(hello))
	}
	s.hello = append(s.hello, string(hello))
	s.rooms[r.URL.Path] = append(s.rooms[r.URL.Path], c)
	_ = wsutil.WriteServerText(c, []byte("welcome"))
	s.mu.Unlock()
	for {
		b, op, err := wsutil.ReadClientData(c)
		if err != nil {
			return
		}
		said, ok := bytes.CutPrefix(b, []byte(`{"at":"`+strings.Split(r.URL.Path, "/")[2]+`","say":"`))
		said, ok2 := bytes.CutSuffix(said, []byte(`"}`))
		s.mu.Lock()
		if !ok || !ok2 || op != ws.OpText {
			s.wrong = append(s.wrong, string(b))
		}
		_ = wsutil.WriteServerText(c, []byte("I have it"))
		for i, to := range s.rooms[r.URL.Path] {
			writeFragments(to, fmt.Appendf(nil, `{"from":%d,"said":"%s"}`, i, said))
		}
		s.mu.Unlock()
	}
}

// writeFragments sends a text in three frames with a ping between them.
func writeFragments(to net.Conn, b []byte) {
	third := len(b) / 3
	_ = ws.WriteFrame(to, ws.NewFrame(ws.OpText, false, b[:third]))
	_ = ws.WriteFrame(to, ws.NewPingFrame([]byte("?")))
	_ = ws.WriteFrame(to, ws.NewFrame(ws.OpContinuation, false, b[third:2*third]))
	_ = ws.WriteFrame(to, ws.NewFrame(ws.OpContinuation, true, b[2*third:]))
}

func TestHooks(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &wrapping{rooms: make(map[string][]net.Conn)}
	server := &http.Server{Handler: s}
	var done sync.WaitGroup
	done.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() {
		_ = server.Close()
		done.Wait()
	})
	o := Options{
		URL: []string{"ws://" + l.Addr().String() + "/"}, Path: "/at/{room}/now", Subprotocol: "shout", Hello: "I am {n} in {room}", Prefix: `{"at":"{room}","say":"`, Suffix: `"}`,
		Text: true, Payload: 100, Ack: "I have",
	}
	r, err := Load{Options: o, Conns: 6, Rooms: 2, Senders: 2, Rate: 50, For: 300 * time.Millisecond}.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if r.Faults.Any() || r.Deliveries == 0 || r.Latency == nil || r.Acked == 0 || r.Acked != r.Sent {
		t.Errorf("%d deliveries, faults %s", r.Deliveries, r.Faults)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.hello) // as they come in
	hello := []string{"I am 0 in e0", "I am 1 in e1", "I am 2 in e0", "I am 3 in e1", "I am 4 in e0", "I am 5 in e1"}
	if len(s.wrong) > 0 || !slices.Equal(s.hello, hello) || len(s.rooms["/at/e0/now"]) != 3 {
		t.Errorf("the server got %q, hello %q, rooms %d", s.wrong, s.hello, len(s.rooms))
	}
	// The server answers a greeting with one of its own: that is no reason to distrust the run.
	if slices.ContainsFunc(r.Notes, func(note string) bool { return strings.Contains(note, "left aside") }) {
		t.Errorf("notes %q", r.Notes)
	}
}
