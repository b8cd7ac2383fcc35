package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"
)

// A rig is a server of our own under a client: each connection plays the next script. All of it stands in a bubble of synctest, so
// that time costs nothing, and a goroutine that outlives its test fails it.
type rig struct {
	t       *testing.T
	options Options
	scripts []func(*peer)
	clients []*Client
	began   time.Time

	mu     sync.Mutex
	dials  []time.Duration // when the client came, since the test began
	hosts  []string
	served sync.WaitGroup
}

// inBubble runs a test with a rig. Connections beyond the scripts are refused.
func inBubble(t *testing.T, test func(t *testing.T, r *rig), scripts ...func(*peer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, scripts: scripts, began: time.Now()}
		r.options = Options{URL: "ws://server/", NetDial: r.dial}
		defer func() {
			for _, c := range r.clients {
				c.Close()
			}
			r.served.Wait()
		}()
		test(t, r)
	})
}

func (r *rig) dial(_ context.Context, _, host string) (net.Conn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.dials)
	r.dials = append(r.dials, time.Since(r.began))
	r.hosts = append(r.hosts, host)
	if n >= len(r.scripts) || r.scripts[n] == nil {
		return nil, errors.New("no server")
	}
	near, far := net.Pipe()
	r.served.Go(func() {
		p := &peer{Conn: far, t: r.t, in: bufio.NewReader(far)}
		defer far.Close()
		r.scripts[n](p)
		p.drain()
	})
	return near, nil
}

// client makes a client of the rig's options, closed at the end of the test.
func (r *rig) client(t *testing.T) *Client {
	t.Helper()
	c, err := New(r.options)
	if err != nil {
		t.Fatal(err)
	}
	r.clients = append(r.clients, c)
	return c
}

func (r *rig) dialed() []time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]time.Duration{}, r.dials...)
}

// peer is the server's end of a connection.
type peer struct {
	net.Conn
	t     *testing.T
	in    *bufio.Reader
	query *http.Request
	cuts  bool // the script has ended the connection
}

type object = map[string]any

// giveUp ends a script that cannot go on, and the test with it.
func (p *peer) giveUp(format string, args ...any) {
	p.t.Errorf("server: "+format, args...)
	p.cut()
	runtime.Goexit()
}

// upgrade answers the handshake.
func (p *peer) upgrade() {
	request, err := http.ReadRequest(p.in)
	if err != nil {
		p.giveUp("%v", err)
	}
	p.query = request
	if request.Header.Get("Sec-WebSocket-Protocol") != "throng.v1" {
		p.t.Errorf("the client offers %q", request.Header["Sec-Websocket-Protocol"])
	}
	p.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: throng.v1\r\n\r\n", acceptOf(request.Header.Get("Sec-WebSocket-Key")))
}

// welcome answers the handshake and welcomes.
func (p *peer) welcome(more ...object) {
	p.upgrade()
	p.say(object{
		"type": "welcome", "protocol": "throng.v1", "user": "~ann", "name": "Ann", "guest": true, "session": "secret", "node": "n1",
		"server": "throng test", "heartbeat": 30000, "limits": object{"message": 65536, "rooms": 20, "rate": 0},
	}, more...)
}

func (p *peer) write(format string, args ...any) {
	if _, err := fmt.Fprintf(p.Conn, format, args...); err != nil {
		runtime.Goexit() // the client has gone; the test says whether it should have
	}
}

func (p *peer) frame(h ws.Header, payload []byte) {
	h.Length = max(h.Length, int64(len(payload)))
	if err := ws.WriteHeader(p.Conn, h); err != nil {
		runtime.Goexit()
	}
	if len(payload) > 0 {
		if _, err := p.Conn.Write(payload); err != nil {
			runtime.Goexit()
		}
	}
}

// say sends a message; what is in more goes before.
func (p *peer) say(o object, more ...object) {
	all := object{}
	for _, from := range append([]object{o}, more...) {
		for k, v := range from {
			all[k] = v
		}
	}
	text, err := json.Marshal(all)
	if err != nil {
		p.giveUp("%v", err)
	}
	p.text(string(text))
}

func (p *peer) text(text string) { p.frame(ws.Header{Fin: true, OpCode: ws.OpText}, []byte(text)) }

// frameIn reads a frame.
func (p *peer) frameIn() (ws.Frame, error) {
	h, err := ws.ReadHeader(p.in)
	if err != nil {
		return ws.Frame{}, err
	}
	if err := ws.CheckHeader(h, ws.StateServerSide); err != nil {
		p.giveUp("%v", err)
	}
	f := ws.Frame{Header: h, Payload: make([]byte, h.Length)}
	if _, err := io.ReadFull(p.in, f.Payload); err != nil {
		return f, err
	}
	return ws.UnmaskFrameInPlace(f), nil
}

// next reads a request. The script ends if the client is gone, or says goodbye.
func (p *peer) next() object {
	f, err := p.frameIn()
	if err != nil {
		runtime.Goexit()
	}
	switch f.Header.OpCode {
	case ws.OpClose:
		p.frame(ws.Header{Fin: true, OpCode: ws.OpClose}, f.Payload)
		runtime.Goexit()
	case ws.OpText:
	default:
		p.giveUp("a frame of kind %d", f.Header.OpCode)
	}
	var o object
	if err := json.Unmarshal(f.Payload, &o); err != nil {
		p.giveUp("%v in %s", err, f.Payload)
	}
	if err := clientSchema().Validate(map[string]any(o)); err != nil {
		p.giveUp("the client says %s, which the schema does not allow: %v", f.Payload, err)
	}
	return o
}

// expect reads a request of a type.
func (p *peer) expect(kind string) object {
	o := p.next()
	if o["type"] != kind {
		p.giveUp("%v instead of %s", o, kind)
	}
	return o
}

// ok answers a request.
func (p *peer) ok(request object, more ...object) {
	p.say(object{"type": "ok", "id": request["id"], "room": request["room"]}, more...)
}

func (p *peer) refuse(request object, code string, more ...object) {
	p.say(object{"type": "error", "id": request["id"], "room": request["room"], "code": code, "message": "no", "hint": "wait"}, more...)
}

// joins answers a join of a recorded room whose newest message has this number, and returns the request.
func (p *peer) joins(head int, more ...object) object {
	q := p.expect("join")
	p.ok(q, append([]object{{"epoch": "e1", "seq": head, "recorded": true, "name": "Ann", "count": 1}}, more...)...)
	return q
}

// message says something in a room.
func (p *peer) message(room string, seq, prev int) {
	p.say(messageOf(seq, prev), object{"type": "message", "room": room})
}

func messageOf(seq, prev int) object {
	return object{"seq": seq, "prev": prev, "v": 1, "time": 1000 * seq, "user": "~bob", "name": "Bob", "text": fmt.Sprint("m", seq)}
}

func (p *peer) close(code int, reason string) {
	p.frame(ws.Header{Fin: true, OpCode: ws.OpClose}, ws.NewCloseFrameBody(ws.StatusCode(code), reason))
}

func (p *peer) cut() {
	p.cuts = true
	p.Conn.Close()
}

// drain takes what the client says until it has gone, and answers a Close frame.
func (p *peer) drain() {
	for !p.cuts {
		f, err := p.frameIn()
		if err != nil {
			return
		}
		if f.Header.OpCode == ws.OpClose {
			p.frame(ws.Header{Fin: true, OpCode: ws.OpClose}, f.Payload)
			return
		}
	}
}

// serves plays on: it welcomes and then answers pings until the client goes.
func serves(p *peer) {
	p.welcome()
	for {
		p.ok(p.expect("ping"), object{"time": 1})
	}
}

// answers takes a request and gives this for an answer.
func answers(text string) func(*peer) {
	return func(p *peer) {
		if _, err := http.ReadRequest(p.in); err != nil {
			p.giveUp("%v", err)
		}
		p.write("%s", text)
		p.cut()
	}
}

// soon is a context for what should not take long; in a bubble it costs nothing if it does.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// events takes so many events of the room's kinds, and renders them: m7 for a message, gap 3-5, joined, again, left.
func events(t *testing.T, c *Client, n int) string {
	t.Helper()
	var got []string
	for e := range c.Events(soon(t)) {
		switch e := e.(type) {
		case Message:
			got = append(got, e.Content.String())
		case Gap:
			text := fmt.Sprintf("gap %d-%d", e.From, e.To)
			if e.Reset {
				text = "reset " + e.Epoch
			}
			got = append(got, text)
		case Joined:
			if e.Again {
				got = append(got, "again")
			}
		case Left:
			got = append(got, "left")
		case Notice:
			got = append(got, e.Err.Code)
		}
		if len(got) >= n {
			break
		}
	}
	return strings.Join(got, " ")
}

// sees checks that such events come, and no other.
func sees(t *testing.T, c *Client, want string) {
	t.Helper()
	if got := events(t, c, len(strings.Split(strings.NewReplacer("gap ", "gap_", "reset ", "reset_").Replace(want), " "))); got != want {
		t.Errorf("the client tells %q; want %q", got, want)
	}
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.queue.events[c.queue.head:] {
		if _, isMessage := e.(Message); isMessage {
			t.Errorf("and then %v", e)
		}
	}
}

// becomes waits for a phase, and returns the state.
func becomes(t *testing.T, c *Client, phase Phase) State {
	t.Helper()
	for {
		c.mu.Lock()
		s, changed := c.state, c.changed
		c.mu.Unlock()
		if s.Phase == phase {
			return s
		}
		select {
		case <-changed:
		case <-soon(t).Done():
			t.Fatalf("the client is %v and does not become %v", s, phase)
		}
	}
}

// online makes a client that is online, and in a room if one is named.
func (r *rig) online(t *testing.T, rooms ...string) *Client {
	t.Helper()
	c := r.client(t)
	becomes(t, c, Online)
	for _, room := range rooms {
		if _, err := c.Join(soon(t), room, JoinOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return c
}
