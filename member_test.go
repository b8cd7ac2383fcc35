package main

import (
	"encoding/binary"
	"errors"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// said is one message.
type said struct {
	kind int // websocket.TextMessage or BinaryMessage
	body string
}

func (s said) String() string { return s.body }

func text(body string) said { return said{websocket.TextMessage, body} }

// farewell is how a connection ended: with the Close that was received, or code 0.
type farewell struct {
	code   int
	reason string
	at     time.Time
}

// member is somebody in a room, by way of gorilla's client.
type member struct {
	t    *testing.T
	ws   *websocket.Conn
	gone chan struct{} // closed at the end, when bye is known

	mu    sync.Mutex
	heard []said
	when  []time.Time // each was heard
	pings int
	bye   farewell
}

// join brings somebody into the room of a path, with other handlers than gorilla's own if prepare sets them.
func join(t *testing.T, url string, prepare ...func(*websocket.Conn)) *member {
	t.Helper()
	m, res, err := tryJoin(t, url, prepare...)
	if err != nil {
		t.Fatalf("%s: %v (%v)", url, err, res)
	}
	return m
}

// tryJoin is join for where there may be no room.
func tryJoin(t *testing.T, url string, prepare ...func(*websocket.Conn)) (*member, *http.Response, error) {
	dialer := websocket.Dialer{HandshakeTimeout: patience}
	ws, res, err := dialer.Dial(url, nil)
	if err != nil {
		return nil, res, err
	}
	m := &member{t: t, ws: ws, gone: make(chan struct{})}
	t.Cleanup(func() {
		_ = ws.Close()
		<-m.gone
	})
	pong := ws.PingHandler()
	ws.SetPingHandler(func(payload string) error {
		m.mu.Lock()
		m.pings++
		m.mu.Unlock()
		return pong(payload)
	})
	for _, f := range prepare {
		f(ws)
	}
	go m.listen()
	return m, res, nil
}

func (m *member) listen() {
	defer close(m.gone)
	defer m.ws.Close() // the server waits for it
	for {
		kind, body, err := m.ws.ReadMessage()
		m.mu.Lock()
		if err != nil {
			m.bye.at = time.Now()
			if c := (*websocket.CloseError)(nil); errors.As(err, &c) {
				m.bye.code, m.bye.reason = c.Code, c.Text
			}
			m.mu.Unlock()
			return
		}
		m.heard, m.when = append(m.heard, said{kind, string(body)}), append(m.when, time.Now())
		m.mu.Unlock()
	}
}

func (m *member) say(what said) {
	m.t.Helper()
	if err := m.ws.WriteMessage(what.kind, []byte(what.body)); err != nil {
		m.t.Fatalf("saying %.40q: %v", what.body, err)
	}
}

// all is what was heard so far.
func (m *member) all() []said {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.heard)
}

// count waits until so many messages were heard in all, and returns them.
func (m *member) count(want int) []said {
	m.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		got := m.all()
		if len(got) >= want {
			return got
		}
		if _, over := m.over(); over || time.Now().After(end) {
			m.t.Fatalf("%d messages heard, want %d; the end: %+v", len(got), want, m.bye)
		}
	}
}

// hears waits for messages, which have to be exactly all that was heard so far.
func (m *member) hears(want ...said) {
	m.t.Helper()
	if got := m.count(len(want)); !slices.Equal(got, want) {
		m.t.Fatalf("heard %.200q, want %.200q", got, want)
	}
}

// over reports whether the connection has ended, and how.
func (m *member) over() (farewell, bool) {
	select {
	case <-m.gone:
		return m.bye, true
	default:
		return farewell{}, false
	}
}

// end waits for the end of the connection.
func (m *member) end() farewell {
	m.t.Helper()
	select {
	case <-m.gone:
	case <-time.After(patience):
		m.t.Fatal("the connection does not end")
	}
	return m.bye
}

// leave goes politely.
func (m *member) leave() {
	m.t.Helper()
	_ = m.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(patience))
	m.end()
}

// frame is a client's frame (RFC 6455 section 5.2) for what gorilla does not do: the first byte as it stands, and a mask of zeros. It is for
// payloads of at most 65,535 bytes.
func frame(first byte, payload string) []byte {
	const masked = 0x80
	b := []byte{first}
	if len(payload) < 126 {
		b = append(b, masked|byte(len(payload)))
	} else {
		b = binary.BigEndian.AppendUint16(append(b, masked|126), uint16(len(payload)))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

// The first bytes of frames: the FIN bit and the opcode.
const (
	part       = 0x00
	textPart   = 0x01
	lastPart   = 0x80
	textFrame  = 0x81
	closeFrame = 0x88
	pingFrame  = 0x89
	pongFrame  = 0x8a
)
