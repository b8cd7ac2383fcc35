package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	coder "github.com/coder/websocket"
	"github.com/gorilla/websocket"
)

// guest is a WebSocket client that other people wrote: in Go, JavaScript or Python. All take the same orders and tell the same events.
type guest struct {
	t      *testing.T
	obey   func(order) error
	events chan event
}

// order is what a guest is to do: say a text or binary message, in fragments if there is more than one part, or ping.
type order struct {
	Do   string   `json:"do"` // text, binary or ping
	Data []string `json:"data"`
}

// event is what a guest tells: open with the extensions in use, text, binary, pong, and close with its code and reason. Binary is in hex.
type event struct {
	Event string `json:"event"`
	Data  string `json:"data"`
	Code  int    `json:"code"`
}

// guests are all of them, each with a way to connect, offering permessage-deflate or not.
var guests = []struct {
	name    string
	connect func(t *testing.T, url string, deflate bool) *guest
}{
	{"gorilla", gorillaGuest},
	{"coder", coderGuest},
	{"node ws", nodeGuest},
	{"python websockets", pythonGuest},
}

func newGuest(t *testing.T) *guest { return &guest{t: t, events: make(chan event, 100)} }

func (g *guest) do(what string, data ...string) {
	g.t.Helper()
	if err := g.obey(order{what, data}); err != nil {
		g.t.Fatalf("%s: %v", what, err)
	}
}

// next is what happens next.
func (g *guest) next() event {
	g.t.Helper()
	select {
	case e := <-g.events:
		return e
	case <-time.After(patience):
		g.t.Fatal("nothing happens")
		return event{}
	}
}

func (g *guest) expect(what, data string) {
	g.t.Helper()
	if e := g.next(); e.Event != what || e.Data != data {
		g.t.Fatalf("%s %.100q (code %d), want %s %.100q", e.Event, e.Data, e.Code, what, data)
	}
}

// opened waits for the connection and checks what it negotiated.
func (g *guest) opened(deflate bool) {
	g.t.Helper()
	if e := g.next(); e.Event != "open" || strings.Contains(e.Data, "permessage-deflate") != deflate {
		g.t.Fatalf("%+v, want deflate: %v", e, deflate)
	}
}

func (g *guest) heard(kind int, body []byte) {
	if kind == websocket.TextMessage {
		g.events <- event{Event: "text", Data: string(body)}
	} else {
		g.events <- event{Event: "binary", Data: hex.EncodeToString(body)}
	}
}

func gorillaGuest(t *testing.T, url string, deflate bool) *guest {
	dialer := websocket.Dialer{HandshakeTimeout: patience, EnableCompression: deflate}
	ws, res, err := dialer.Dial(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.Close() })
	g := newGuest(t)
	ws.SetPongHandler(func(payload string) error {
		g.events <- event{Event: "pong", Data: payload}
		return nil
	})
	g.events <- event{Event: "open", Data: res.Header.Get("Sec-WebSocket-Extensions")}
	g.obey = func(o order) error { return gorillaObeys(ws, o) }
	go func() {
		for {
			kind, body, err := ws.ReadMessage()
			if c := (*websocket.CloseError)(nil); errors.As(err, &c) {
				g.events <- event{"close", c.Text, c.Code}
			}
			if err != nil {
				return
			}
			g.heard(kind, body)
		}
	}()
	return g
}

func gorillaObeys(ws *websocket.Conn, o order) error {
	kind, data := unpack(o)
	switch {
	case o.Do == "ping":
		return ws.WriteControl(websocket.PingMessage, data[0], time.Now().Add(patience))
	case len(data) == 1:
		return ws.WriteMessage(kind, data[0])
	}
	// gorilla makes fragments only of what outgrows its buffer. These go around it, and with a ping in between.
	var frames []byte
	for i, part := range data {
		first := byte(0)
		if i == 0 {
			first = byte(kind)
		}
		if i == len(data)-1 {
			first |= lastPart
		}
		frames = append(append(frames, frame(first, string(part))...), frame(pongFrame, "by the way")...)
	}
	_, err := ws.NetConn().Write(frames)
	return err
}

// unpack is the parts of an order as bytes, and the kind of message.
func unpack(o order) (kind int, data [][]byte) {
	kind = websocket.TextMessage
	if o.Do == "binary" {
		kind = websocket.BinaryMessage
	}
	for _, part := range o.Data {
		b := []byte(part)
		if kind == websocket.BinaryMessage {
			b, _ = hex.DecodeString(part)
		}
		data = append(data, b)
	}
	return kind, data
}

func coderGuest(t *testing.T, url string, deflate bool) *guest {
	options := &coder.DialOptions{CompressionMode: coder.CompressionDisabled}
	if deflate {
		options.CompressionMode, options.CompressionThreshold = coder.CompressionContextTakeover, 64
	}
	ws, res, err := coder.Dial(t.Context(), url, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.CloseNow() })
	ws.SetReadLimit(1 << 20)
	g := newGuest(t)
	g.events <- event{Event: "open", Data: res.Header.Get("Sec-WebSocket-Extensions")}
	g.obey = func(o order) error { return coderObeys(t.Context(), g, ws, o) }
	go func() {
		for {
			kind, body, err := ws.Read(context.Background())
			if c := (coder.CloseError{}); errors.As(err, &c) {
				g.events <- event{"close", c.Reason, int(c.Code)}
			}
			if err != nil {
				return
			}
			g.heard(int(kind), body)
		}
	}()
	return g
}

func coderObeys(ctx context.Context, g *guest, ws *coder.Conn, o order) error {
	kind, data := unpack(o)
	if o.Do == "ping" { // the payload is coder's own; it returns when that came back
		err := ws.Ping(ctx)
		g.events <- event{Event: "pong", Data: o.Data[0]}
		return err
	}
	w, err := ws.Writer(ctx, coder.MessageType(kind))
	if err != nil {
		return err
	}
	for _, part := range data { // each a frame
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return w.Close()
}

func nodeGuest(t *testing.T, url string, deflate bool) *guest {
	modules := nodeModules()
	if modules == nil {
		missing(t, "node with the module ws")
	}
	cmd := exec.Command("node", "testdata/client.cjs", url)
	cmd.Env = append(os.Environ(), *modules)
	return foreignProcess(t, cmd, deflate)
}

// nodeModules is the environment in which node finds the module ws, nil if in none.
var nodeModules = sync.OnceValue(func() *string {
	paths := []string{os.Getenv("THRONG_NODE_MODULES")}
	if global, err := exec.Command("npm", "root", "-g").Output(); err == nil {
		paths = append(paths, strings.TrimSpace(string(global)))
	}
	variable := "NODE_PATH=" + strings.Join(paths, ":")
	cmd := exec.Command("node", "-e", "require('ws')")
	cmd.Dir, cmd.Env = "testdata", append(os.Environ(), variable) // testdata/node_modules is found by itself
	if cmd.Run() != nil {
		return nil
	}
	return &variable
})

func pythonGuest(t *testing.T, url string, deflate bool) *guest {
	python := pythonWithWebsockets()
	if python == "" {
		missing(t, "python3 with the module websockets")
	}
	return foreignProcess(t, exec.Command(python, "testdata/client.py", url), deflate)
}

// pythonWithWebsockets is the first Python that has the module: the distribution's own may not be the first in the path.
var pythonWithWebsockets = sync.OnceValue(func() string {
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(python, "-c", "import websockets").Run() == nil {
			return python
		}
	}
	return ""
})

// foreignProcess is a guest in a process of its own, with orders on its standard input and events on its standard output.
func foreignProcess(t *testing.T, cmd *exec.Cmd, deflate bool) *guest {
	if deflate {
		cmd.Args = append(cmd.Args, "deflate")
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	g := newGuest(t)
	orders := json.NewEncoder(stdin)
	g.obey = func(o order) error { return orders.Encode(o) }
	told := make(chan struct{})
	go func() {
		defer close(told)
		g.follow(stdout)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-told
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%q: %s", cmd.Args, stderr.String())
		}
	})
	return g
}

// follow passes on what a process tells.
func (g *guest) follow(stdout io.Reader) {
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			e = event{Event: "nonsense", Data: lines.Text()}
		}
		g.events <- e
	}
}

// Long enough to be compressed by all, and with letters of several bytes.
var long = strings.Repeat("Wir saßen im Garten und redeten über 聊天. ", 60)

func TestForeignClientsChat(t *testing.T) {
	n := startNode(t, "--compress")
	rooms := []struct {
		path    string
		deflate bool
		host    *member
	}{
		{"/", false, join(t, n.url("/"))},
		{"/rooms/聊天", true, join(t, n.url("/rooms/%E8%81%8A%E5%A4%A9"))},
	}
	for _, kind := range guests {
		for _, room := range rooms {
			t.Run(kind.name+" in "+room.path, func(t *testing.T) {
				g := kind.connect(t, n.url(room.path), room.deflate)
				g.opened(room.deflate)
				converse(t, room.host, g)
			})
		}
	}
}

// converse has a guest and a host say all sorts of things. Each hears all of it, in one order, and nothing else.
func converse(t *testing.T, host *member, g *guest) {
	before := len(host.all())
	host.say(text("hello, guest"))
	g.expect("text", "hello, guest")
	g.do("text", "hello, 主人")
	g.expect("text", "hello, 主人")
	g.do("binary", "00ff10")
	g.expect("binary", "00ff10")
	host.say(said{websocket.BinaryMessage, "\x80\x00"})
	g.expect("binary", "8000")
	g.do("ping", "are you there?")
	g.expect("pong", "are you there?")
	g.do("text", "in ", "three", " parts")
	g.expect("text", "in three parts")
	g.do("binary", "01", "02")
	g.expect("binary", "0102")
	for range 3 { // with context takeover, the later ones refer to the earlier
		g.do("text", long)
		g.expect("text", long)
	}
	host.say(text(long))
	g.expect("text", long)
	host.say(text(""))
	g.expect("text", "")

	want := []said{text("hello, guest"), text("hello, 主人"), {websocket.BinaryMessage, "\x00\xff\x10"}, {websocket.BinaryMessage, "\x80\x00"},
		text("in three parts"), {websocket.BinaryMessage, "\x01\x02"}, text(long), text(long), text(long), text(long), text("")}
	got := host.count(before + len(want))[before:]
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("the host heard %.100q, want %.100q", got[i], want[i])
		}
	}
	if len(got) > len(want) {
		t.Errorf("the host heard %d messages, want %d", len(got), len(want))
	}
}

var restart = regexp.MustCompile(`^restart; reconnect in (\d+) ms$`)

func TestForeignClientsAreToldWhy(t *testing.T) {
	idle := startNode(t, "--idle-timeout", "1s", "--ping-interval", "0")
	for _, kind := range guests {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			g := kind.connect(t, idle.url("/"), true)
			g.opened(false) // the server does not compress unless told
			if e := g.next(); e != (event{"close", "idle", 4408}) {
				t.Errorf("%+v", e)
			}

			stopping := startNode(t, "--drain-time", "200ms", "--compress")
			g = kind.connect(t, stopping.url("/rooms/聊天"), true)
			g.opened(true)
			stopping.signal(syscall.SIGTERM)
			if e := g.next(); e.Event != "close" || e.Code != websocket.CloseGoingAway || !restart.MatchString(e.Data) {
				t.Errorf("%+v", e)
			}
			if code := stopping.exit(); code != exitOK {
				t.Errorf("exit code %d", code)
			}
		})
	}
}
