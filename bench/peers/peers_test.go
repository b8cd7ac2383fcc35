package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/sys/unix"
)

const (
	patience = time.Minute
	python   = "/usr/bin/python3" // Debian's, which the package with websockets belongs to
)

// others are the servers that are not in Go: a command, and the file without which it cannot run.
var others = map[string]struct {
	command []string
	needs   string
}{
	"bun":    {[]string{"node/node_modules/.bin/bun", "node/bun.js"}, "node/node_modules/.bin/bun"},
	"node":   {[]string{"node", "node/ws.js"}, "node/node_modules/ws"},
	"php":    {[]string{"php", "php/server.php"}, "php/server.php"},
	"python": {[]string{python, "python/server.py"}, "python/server.py"},
}

func TestConformance(t *testing.T) {
	for name, p := range peers {
		t.Run(name, func(t *testing.T) {
			listen := freeAddress(t)
			stop, err := p.start(listen)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(stop)
			conform(t, listen)
		})
	}
	for name, other := range others {
		t.Run(name, func(t *testing.T) {
			listen := freeAddress(t)
			startOther(t, other.command, other.needs, listen)
			conform(t, listen)
		})
	}
}

// absent leaves a test out where the machine lacks what the server is written in; with THRONG_REQUIRE_ALL it fails.
func absent(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("THRONG_REQUIRE_ALL") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// startOther runs a server that is not in Go.
func startOther(t *testing.T, command []string, needs, listen string) {
	t.Helper()
	if _, err := exec.LookPath(command[0]); err != nil {
		absent(t, err.Error())
	}
	if _, err := os.Stat(needs); errors.Is(err, fs.ErrNotExist) {
		absent(t, needs+" is not installed; peers.yaml has the command")
	}
	if command[0] == python && exec.Command(python, "-c", "import websockets").Run() != nil {
		absent(t, python+" has no websockets")
	}
	cmd := exec.Command(command[0], append(command[1:], "--listen", listen)...)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(unix.SIGTERM)
		if err := cmd.Wait(); t.Failed() {
			t.Logf("%v: %s", err, said.String())
		}
	})
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", listen)
		if err == nil {
			_ = c.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func conform(t *testing.T, listen string) {
	t.Run("broadcasts", func(t *testing.T) { broadcasts(t, listen) })
	t.Run("keeps order", func(t *testing.T) { keepsOrder(t, listen) })
	t.Run("forgets who left", func(t *testing.T) { forgets(t, listen) })
	t.Run("loses nothing in the middle", func(t *testing.T) { losesNothing(t, listen) })
	t.Run("only rooms", func(t *testing.T) {
		_, answer, err := websocket.DefaultDialer.Dial("ws://"+listen+"/elsewhere", nil)
		if err == nil || answer == nil || answer.StatusCode != http.StatusNotFound {
			t.Errorf("a path that is no room: %v, %v", answer, err)
		}
	})
}

// broadcasts: what is said comes unchanged to everybody in the room, and to nobody else.
func broadcasts(t *testing.T, listen string) {
	ann, bob := dial(t, listen, "/"), dial(t, listen, "/")
	eve := dial(t, listen, "/rooms/elsewhere")
	for _, said := range []message{
		{websocket.TextMessage, "hello, wörld"},
		{websocket.BinaryMessage, "\x00\xff\xfe"},
		{websocket.BinaryMessage, strings.Repeat("\x80", 200)},
		{websocket.TextMessage, strings.Repeat("a", 20_000)},
	} {
		ann.say(said)
		ann.expect(said)
		bob.expect(said)
	}
	in := message{websocket.TextMessage, strings.Repeat("fragments ", 100)}
	bob.sayInFragments(in)
	bob.expect(in)
	ann.expect(in)
	if err := ann.conn.WriteControl(websocket.PingMessage, []byte("?"), time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	ann.say(in)
	ann.expect(in)
	if ann.pong != "?" {
		t.Errorf("the pong says %q", ann.pong)
	}
	only := message{websocket.TextMessage, "in another room"}
	eve.say(only)
	eve.expect(only)
}

// keepsOrder: two talk at the same time, a third gets what each of them said in its order, all of it.
func keepsOrder(t *testing.T, listen string) {
	const each = 2000
	ann, bob, eve := dial(t, listen, "/rooms/order"), dial(t, listen, "/rooms/order"), dial(t, listen, "/rooms/order")
	for _, c := range []*client{ann, bob} {
		go func() {
			for i := range each {
				_ = c.conn.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, "%p %d", c, i))
			}
		}()
		go c.drain()
	}
	next := map[string]int{}
	for range 2 * each {
		var who string
		var n int
		if _, err := fmt.Sscan(eve.next().text, &who, &n); err != nil {
			t.Fatal(err)
		}
		if n != next[who] {
			t.Fatalf("got number %d of %s, want %d", n, who, next[who])
		}
		next[who]++
	}
}

// forgets: the others are served as before when somebody left, politely or not.
func forgets(t *testing.T, listen string) {
	ann := dial(t, listen, "/rooms/left")
	for i := range 20 {
		bob := dial(t, listen, "/rooms/left")
		ann.expectHello()
		if i%2 == 0 {
			bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
			if err := bob.conn.WriteControl(websocket.CloseMessage, bye, time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
		}
		_ = bob.conn.Close()
		said := message{websocket.TextMessage, fmt.Sprint("still here ", i)}
		ann.say(said)
		ann.expect(said)
	}
}

// losesNothing: who reads late gets everything from the first message on, up to the end or until the server cut it off.
func losesNothing(t *testing.T, listen string) {
	const messages, size = 2000, 8 << 10
	ann, bob := dial(t, listen, "/rooms/slow"), dial(t, listen, "/rooms/slow")
	ann.expectHello()
	go func() {
		padding := strings.Repeat(".", size)
		for i := range messages {
			_ = ann.conn.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, "%d %s", i, padding))
		}
	}()
	go ann.drain()
	time.Sleep(300 * time.Millisecond)
	_ = bob.conn.SetReadDeadline(time.Now().Add(patience))
	for i := range messages {
		_, text, err := bob.conn.ReadMessage()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("nothing after message %d, and no end", i)
		}
		if err != nil {
			t.Logf("cut off after message %d: %v", i, err)
			return
		}
		var n int
		if _, err := fmt.Sscan(string(text[:min(len(text), 10)]), &n); err != nil || n != i {
			t.Fatalf("got message %d, want %d", n, i)
		}
	}
}

type message struct {
	kind int
	text string
}

// client is somebody in a room.
type client struct {
	t    *testing.T
	conn *websocket.Conn
	pong string
}

const hello = "hello from a newcomer"

// dial enters a room and waits until the server knows of it, which is when the newcomer hears itself.
func dial(t *testing.T, listen, path string) *client {
	t.Helper()
	// A small buffer, so that sayInFragments has fragments.
	dialer := websocket.Dialer{HandshakeTimeout: patience, WriteBufferSize: 64}
	conn, _, err := dialer.Dial("ws://"+listen+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	c := &client{t: t, conn: conn}
	conn.SetPongHandler(func(text string) error {
		c.pong = text
		return nil
	})
	c.say(message{websocket.TextMessage, hello})
	c.expectHello()
	return c
}

func (c *client) say(m message) {
	c.t.Helper()
	if err := c.conn.WriteMessage(m.kind, []byte(m.text)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) sayInFragments(m message) {
	c.t.Helper()
	w, err := c.conn.NextWriter(m.kind)
	if err != nil {
		c.t.Fatal(err)
	}
	for i := 0; i < len(m.text); i += 100 {
		if _, err := w.Write([]byte(m.text[i:min(i+100, len(m.text))])); err != nil {
			c.t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) next() message {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	kind, text, err := c.conn.ReadMessage()
	if err != nil {
		c.t.Fatal(err)
	}
	return message{kind, string(text)}
}

// expect passes over those who come in, and wants this message next.
func (c *client) expect(want message) {
	c.t.Helper()
	got := c.next()
	for got.text == hello {
		got = c.next()
	}
	if got != want {
		c.t.Fatalf("got %.60q (kind %d), want %.60q (kind %d)", got.text, got.kind, want.text, want.kind)
	}
}

func (c *client) expectHello() {
	c.t.Helper()
	if got := c.next(); got.text != hello {
		c.t.Fatalf("got %.60q, want the newcomer's hello", got.text)
	}
}

func (c *client) drain() {
	for {
		if _, _, err := c.conn.ReadMessage(); err != nil {
			return
		}
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func TestArguments(t *testing.T) {
	for _, args := range [][]string{nil, {"nobody"}, {"gws", "--no-such-flag"}} {
		if err := run(args); err == nil {
			t.Errorf("%q were taken", args)
		}
	}
	for name := range peers {
		if err := run([]string{name, "--listen", "127.0.0.1:no"}); err == nil {
			t.Errorf("%s took a port that is none", name)
		}
	}
}
