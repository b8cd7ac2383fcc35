package web_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"throng/web"
)

// hall is a server of throng.v1 of another make, on the same port as the page. It keeps what is said in memory, numbers it through all
// rooms, and does what a test tells it to.
type hall struct {
	t      *testing.T
	addr   string
	server *http.Server
	came   chan time.Time // everybody who came, in order
	asked  chan frame     // every request but pings

	mu        sync.Mutex
	guests    map[*guest]bool
	rooms     map[string][]frame // what is kept
	seq       uint64
	forgetful bool              // nothing is kept
	deaf      bool              // what is said is neither taken nor answered
	refuse    map[string]string // type -> code of the error that answers it
}

type frame = map[string]any

// guest is a connection.
type guest struct {
	hall       *hall
	ws         *websocket.Conn
	user, name string
	rooms      map[string]bool
}

func newHall(t *testing.T) *hall {
	h := &hall{t: t, addr: "127.0.0.1:0", came: make(chan time.Time, 100), asked: make(chan frame, 10_000),
		guests: map[*guest]bool{}, rooms: map[string][]frame{}, refuse: map[string]string{}}
	h.open()
	t.Cleanup(h.shut)
	return h
}

func (h *hall) url(path string) string { return "http://" + h.addr + path }

// open listens, after shut on the same port as before.
func (h *hall) open() {
	h.t.Helper()
	l, err := net.Listen("tcp", h.addr)
	if err != nil {
		h.t.Fatal(err)
	}
	h.addr = l.Addr().String()
	h.server = &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	go h.server.Serve(l)
}

// shut is a server that has crashed: no Close frame, and nobody at the port. What was kept is kept.
func (h *hall) shut() {
	_ = h.server.Close()
	h.mu.Lock()
	defer h.mu.Unlock()
	for g := range h.guests {
		_ = g.ws.NetConn().Close()
	}
}

func (h *hall) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if websocket.IsWebSocketUpgrade(r) {
		h.seat(w, r)
		return
	}
	if r.URL.Path == "/healthz" {
		return
	}
	a, ok := web.Lookup(r.URL.Path)
	if !ok {
		http.NotFound(w, r)
		return
	}
	for _, header := range a.Headers {
		w.Header().Set(header[0], header[1])
	}
	if a.NotModified(r.Header.Get("If-None-Match")) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Type", a.ContentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(a.Body)))
	_, _ = w.Write(a.Body)
}

func (h *hall) seat(w http.ResponseWriter, r *http.Request) {
	up := websocket.Upgrader{Subprotocols: []string{"throng.v1"}} // the page's Origin is this host: gorilla checks that by itself
	ws, err := up.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer ws.Close()
	h.mu.Lock()
	session := r.URL.Query().Get("session")
	if session == "" {
		session = fmt.Sprintf("secret%d", h.seq+uint64(len(h.guests)))
	}
	g := &guest{h, ws, "~" + session, r.URL.Query().Get("name"), map[string]bool{}}
	if g.name == "" {
		g.name = "Guest " + session[len("secret"):]
	}
	h.guests[g] = true
	g.send(frame{"type": "welcome", "protocol": "throng.v1", "user": g.user, "name": g.name, "guest": true, "session": session,
		"node": "hall", "server": "hall", "heartbeat": 25_000, "limits": frame{"message": 65_536, "rooms": 100, "rate": 0}})
	h.mu.Unlock()
	h.came <- time.Now()
	for {
		var f frame
		if err := ws.ReadJSON(&f); err != nil {
			break
		}
		h.mu.Lock()
		h.answer(g, f)
		h.mu.Unlock()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.guests, g)
	for room := range g.rooms {
		h.present(room, frame{"left": []frame{g.person()}})
	}
}

func (g *guest) send(f frame)  { _ = g.ws.WriteJSON(f) }
func (g *guest) person() frame { return frame{"user": g.user, "name": g.name} }

func (h *hall) answer(g *guest, f frame) {
	kind, _ := f["type"].(string)
	room, _ := f["room"].(string)
	if kind != "ping" {
		h.asked <- f
	}
	if code := h.refuse[kind]; code != "" {
		g.send(frame{"type": "error", "id": f["id"], "room": room, "code": code, "message": "The hall says " + code, "hint": "Ask the hall"})
		return
	}
	ok := frame{"type": "ok", "id": f["id"], "room": room}
	switch kind {
	case "join":
		h.join(g, room, f, ok)
	case "leave":
		delete(g.rooms, room)
		g.send(ok)
		h.present(room, frame{"left": []frame{g.person()}})
	case "publish":
		h.publish(g, room, f, ok)
	case "signal":
		g.send(ok)
		s := frame{"type": "signal", "room": room, "user": g.user, "name": g.name, "text": f["text"], "json": f["json"]}
		h.tell(room, s, g)
	case "history":
		g.send(h.history(room, f, ok))
	case "members":
		ok["members"], ok["count"], ok["complete"] = h.people(room), len(h.people(room)), true
		g.send(ok)
	case "auth":
		g.name = f["name"].(string)
		ok["user"], ok["name"] = g.user, g.name
		g.send(ok)
		for room := range g.rooms {
			h.present(room, frame{"members": h.people(room)})
		}
	default:
		g.send(ok)
	}
}

func (h *hall) join(g *guest, room string, f, ok frame) {
	g.rooms[room] = true
	kept := h.rooms[room]
	ok["name"], ok["recorded"], ok["count"] = g.name, !h.forgetful, len(h.people(room))
	var replay []frame
	if !h.forgetful {
		ok["epoch"], ok["seq"] = "first", head(kept)
		if since, _ := f["since"].(frame); since != nil {
			replay = kept[slices.IndexFunc(append(kept, frame{"seq": ^uint64(0)}), func(m frame) bool { return m["seq"].(uint64) > number(since["seq"]) }):]
		} else {
			replay = kept[max(0, len(kept)-int(number(f["last"]))):]
		}
		ok["replay"] = len(replay)
	}
	g.send(ok)
	for _, m := range replay {
		g.send(envelope(room, m))
	}
	h.present(room, frame{"joined": []frame{g.person()}})
}

func (h *hall) publish(g *guest, room string, f, ok frame) {
	if h.deaf {
		return
	}
	for _, m := range h.rooms[room] {
		if m["user"] == g.user && m["key"] == f["key"] {
			ok["seq"], ok["stored"], ok["duplicate"] = m["seq"], true, true
			g.send(ok)
			return
		}
	}
	seq := h.add(room, frame{"user": g.user, "name": g.name, "key": f["key"], "text": f["text"], "json": f["json"]})
	ok["stored"] = !h.forgetful
	if !h.forgetful {
		ok["seq"] = seq
	}
	g.send(ok)
}

// add puts a message into a room. Between two messages of a room others' numbers are left out.
func (h *hall) add(room string, m frame) uint64 {
	h.seq += 3
	m["v"], m["time"] = 1, time.Now().UnixMilli()
	maps.DeleteFunc(m, func(_ string, v any) bool { return v == nil })
	if !h.forgetful {
		m["prev"], m["seq"] = head(h.rooms[room]), h.seq
		h.rooms[room] = append(h.rooms[room], m)
	}
	h.tell(room, envelope(room, m), nil)
	return h.seq
}

func (h *hall) history(room string, f, ok frame) frame {
	kept, limit := h.rooms[room], int(number(f["limit"]))
	if limit == 0 {
		limit = 50
	}
	found := slices.Clone(kept)
	if f["after"] != nil {
		found = slices.DeleteFunc(found, func(m frame) bool { return m["seq"].(uint64) <= number(f["after"]) })
		ok["more"] = len(found) > limit
		found = found[:min(limit, len(found))]
	} else {
		if f["before"] != nil {
			found = slices.DeleteFunc(found, func(m frame) bool { return m["seq"].(uint64) >= number(f["before"]) })
		}
		ok["more"] = len(found) > limit
		found = found[max(0, len(found)-limit):]
	}
	ok["epoch"], ok["messages"] = "first", found
	return ok
}

func (h *hall) tell(room string, f frame, but *guest) {
	for g := range h.guests {
		if g != but && g.rooms[room] {
			g.send(f)
		}
	}
}

func (h *hall) present(room string, f frame) {
	f["type"], f["room"], f["count"] = "presence", room, len(h.people(room))
	h.tell(room, f, nil)
}

func (h *hall) people(room string) []frame {
	people := []frame{}
	for g := range h.guests {
		if g.rooms[room] && !slices.ContainsFunc(people, func(p frame) bool { return p["user"] == g.user }) {
			people = append(people, g.person())
		}
	}
	return people
}

func head(kept []frame) uint64 {
	if len(kept) == 0 {
		return 0
	}
	return kept[len(kept)-1]["seq"].(uint64)
}

func envelope(room string, m frame) frame {
	e := maps.Clone(m)
	e["type"], e["room"] = "message", room
	return e
}

func number(v any) uint64 {
	n, _ := v.(float64)
	return uint64(n)
}

// What tests do with it.

// with changes the hall or looks at it.
func (h *hall) with(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
}

// says lets somebody who is not here say something.
func (h *hall) says(room, name, text string) {
	h.with(func() { h.add(room, frame{"user": strings.ToLower(name), "name": name, "text": text}) })
}

// dismiss sends everybody a bye and a Close, and says when.
func (h *hall) dismiss(code int, bye frame) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	for g := range h.guests {
		if bye != nil {
			bye["type"], bye["code"] = "bye", code
			g.send(bye)
		}
		_ = g.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Now().Add(time.Second))
	}
	return time.Now()
}

// arrival waits for the next one to come.
func (h *hall) arrival() time.Time {
	h.t.Helper()
	select {
	case at := <-h.came:
		return at
	case <-time.After(patience):
		h.t.Fatal("nobody came")
		return time.Time{}
	}
}

// request waits for the next request of a type.
func (h *hall) request(kind string) frame {
	h.t.Helper()
	for end := time.After(patience); ; {
		select {
		case f := <-h.asked:
			if f["type"] == kind {
				return f
			}
		case <-end:
			h.t.Fatalf("nobody asked for %s", kind)
			return nil
		}
	}
}

// nobody is sure that no one has come so far.
func (h *hall) nobody() {
	h.t.Helper()
	select {
	case <-h.came:
		h.t.Error("somebody came")
	default:
	}
}

// kept is what was said in a room, as JSON.
func (h *hall) kept(room string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var texts []any
	for _, m := range h.rooms[room] {
		texts = append(texts, m["text"])
	}
	b, _ := json.Marshal(texts)
	return string(b)
}
