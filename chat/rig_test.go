package chat

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"throng/engine"
)

// rig is a node with rooms in it, on a loopback port.
type rig struct {
	t      testing.TB
	server *Server
	engine *engine.Engine
	store  *fakeStore
	addr   string
}

// newRig starts one. change may be nil; without a store nothing is recorded.
func newRig(t testing.TB, recorded bool, change func(*Config)) *rig {
	t.Helper()
	return newTunedRig(t, recorded, change, func(*Server) {})
}

// newTunedRig is newRig for a server whose times are changed.
func newTunedRig(t testing.TB, recorded bool, change func(*Config), tune func(*Server)) *rig {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Policies = DefaultPolicies(recorded)
	cfg.Node, cfg.Version = "n1", "throng test"
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	tune(s)
	r := &rig{t: t, server: s}
	if recorded {
		r.store = newFakeStore(s, 1)
		s.UseStore(r.store)
	}
	ec := engine.DefaultConfig()
	ec.Listen, ec.Loops = []string{"127.0.0.1:0"}, 2
	ec.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	if r.engine, err = engine.New(ec, s); err != nil {
		t.Fatal(err)
	}
	s.Serve(r.engine)
	r.engine.Start()
	r.addr = r.engine.Addrs()[0].String()
	t.Cleanup(func() {
		r.engine.Close()
		s.Close()
		if r.store != nil {
			r.store.close()
		}
	})
	return r
}

// patience is how long something that must come is waited for.
const patience = 10 * time.Second

// person1 is a client of throng.v1 in a test: it says requests and reads what comes, in order.
type talker struct {
	t  testing.TB
	ws *websocket.Conn
	id int
	// later are messages that came while an answer was waited for.
	later []said
}

// said is any message of the server's, as a client reads it.
type said struct {
	Type, Room, Message, Hint, User, Name, Epoch, Text, Session, Protocol, Key, Reason string
	ID, Code                                                                           any
	Seq, Prev, From, To, Oldest                                                        uint64
	Stored, Duplicate, Recorded, Guest, More, Complete, Again, Reset                   bool
	Count, Replay, Retry                                                               int
	JSON                                                                               json.RawMessage
	Data                                                                               string
	Messages                                                                           []said
	Members, Joined, Left                                                              []struct{ User, Name string }
}

func (r *rig) dial(query url.Values, header http.Header) (*websocket.Conn, *http.Response, error) {
	d := websocket.Dialer{Subprotocols: []string{Subprotocol}, HandshakeTimeout: patience}
	return d.Dial("ws://"+r.addr+"/?"+query.Encode(), header)
}

// talker connects one and reads its welcome.
func (r *rig) talker(name, session string) (*talker, said) {
	r.t.Helper()
	q := url.Values{"name": {name}}
	if session != "" {
		q.Set("session", session)
	}
	ws, _, err := r.dial(q, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	k := &talker{t: r.t, ws: ws}
	r.t.Cleanup(func() { _ = ws.Close() })
	return k, k.next("welcome")
}

// read returns whatever comes next.
func (k *talker) read() said {
	k.t.Helper()
	if len(k.later) > 0 {
		m := k.later[0]
		k.later = k.later[1:]
		return m
	}
	return k.fromWire()
}

func (k *talker) fromWire() (m said) {
	k.t.Helper()
	_ = k.ws.SetReadDeadline(time.Now().Add(patience))
	_, text, err := k.ws.ReadMessage()
	if err != nil {
		k.t.Fatalf("reading: %v", err)
	}
	if err := json.Unmarshal(text, &m); err != nil {
		k.t.Fatalf("%q is no JSON: %v", text, err)
	}
	fits(k.t, text)
	return m
}

// next returns the next message of a type, passing over presence.
func (k *talker) next(kind string) said {
	k.t.Helper()
	for {
		m := k.read()
		if m.Type == kind {
			return m
		}
		if m.Type != "presence" {
			k.t.Fatalf("got %+v; want a message of type %s", m, kind)
		}
	}
}

// say sends a request without waiting for its answer, and returns its id.
func (k *talker) say(kind string, fields string) int {
	k.t.Helper()
	k.id++
	if fields != "" {
		fields = "," + fields
	}
	if err := k.ws.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"type":%q,"id":%d%s}`, kind, k.id, fields)); err != nil {
		k.t.Fatal(err)
	}
	return k.id
}

// ask sends a request and returns its answer; what comes before it is kept for later.
func (k *talker) ask(kind string, fields string) said {
	k.t.Helper()
	id := k.say(kind, fields)
	for {
		m := k.fromWire()
		if m.ID == float64(id) {
			return m
		}
		k.later = append(k.later, m)
	}
}

// ok is ask for a request that must succeed.
func (k *talker) ok(kind string, fields string) said {
	k.t.Helper()
	m := k.ask(kind, fields)
	if m.Type != "ok" {
		k.t.Fatalf("%s %s: %+v", kind, fields, m)
	}
	return m
}

// refused is ask for one that must fail with a code.
func (k *talker) refused(code, kind string, fields string) {
	k.t.Helper()
	if m := k.ask(kind, fields); m.Type != "error" || m.Code != code || m.Hint == "" || m.Message == "" {
		k.t.Errorf("%s %s: got %+v; want the error %s with a message and a hint", kind, fields, m, code)
	}
}

// raw connects a client that speaks no throng.v1.
func (r *rig) raw(room string) *websocket.Conn {
	r.t.Helper()
	ws, _, err := websocket.DefaultDialer.Dial("ws://"+r.addr+"/rooms/"+url.PathEscape(room), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = ws.Close() })
	return ws
}

// hears fails unless a raw client hears exactly this next.
func hears(t *testing.T, ws *websocket.Conn, kind int, want string) {
	t.Helper()
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	got, text, err := ws.ReadMessage()
	if err != nil || got != kind || string(text) != want {
		t.Fatalf("heard %d %q, %v; want %d %q", got, text, err, kind, want)
	}
}
