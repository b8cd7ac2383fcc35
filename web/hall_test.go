package web_test

import (
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"throng/web"
)

// hall is a chat server of another make, on the same port as the page: what is said under a path
// goes to everyone under that path.
type hall struct {
	t      *testing.T
	addr   string
	server *http.Server
	joined chan join // everybody who came, in order

	mu      sync.Mutex
	members map[*websocket.Conn]string
	deaf    bool // what is said goes nowhere
}

type join struct {
	path string
	at   time.Time
}

func newHall(t *testing.T) *hall {
	h := &hall{t: t, addr: "127.0.0.1:0", joined: make(chan join, 100), members: map[*websocket.Conn]string{}}
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

// shut is a server that has crashed: no Close frame, and nobody at the port.
func (h *hall) shut() {
	_ = h.server.Close()
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.members {
		_ = c.NetConn().Close()
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
	up := websocket.Upgrader{} // the page's Origin is this host: gorilla checks that by itself
	c, err := up.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer c.Close()
	h.mu.Lock()
	h.members[c] = r.URL.Path
	h.mu.Unlock()
	h.joined <- join{r.URL.Path, time.Now()}
	for {
		kind, body, err := c.ReadMessage()
		if err != nil {
			break
		}
		h.mu.Lock()
		deaf := h.deaf
		h.mu.Unlock()
		if !deaf {
			h.say(r.URL.Path, kind, body)
		}
	}
	h.mu.Lock()
	delete(h.members, c)
	h.mu.Unlock()
}

func (h *hall) say(path string, kind int, body []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c, where := range h.members {
		if where == path {
			_ = c.WriteMessage(kind, body)
		}
	}
}

// dismiss sends everybody a Close and says when.
func (h *hall) dismiss(code int, reason string) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.members {
		_ = c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(time.Second))
	}
	return time.Now()
}

func (h *hall) setDeaf(deaf bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deaf = deaf
}

// arrival waits for the next one to come.
func (h *hall) arrival() join {
	h.t.Helper()
	select {
	case j := <-h.joined:
		return j
	case <-time.After(20 * time.Second):
		h.t.Fatal("nobody came")
		return join{}
	}
}

// nobody is sure that no one has come so far.
func (h *hall) nobody() {
	h.t.Helper()
	select {
	case j := <-h.joined:
		h.t.Errorf("somebody came to %s", j.path)
	default:
	}
}
