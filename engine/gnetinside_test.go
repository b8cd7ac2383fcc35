package engine

import (
	"net"
	"testing"
	"time"

	"throng/protocol"
)

// addressed says whether gnet still has addresses of the connection.
type addressed struct{ left chan bool }

func (h addressed) OnOpen(c *Conn) { h.left <- c.gc.RemoteAddr() != nil || c.gc.LocalAddr() != nil }

func (addressed) OnMessage(*Conn, protocol.Opcode, []byte) {}

func (addressed) OnClose(*Conn, Reason) {}

// TestGnetInside fails when a new gnet keeps its poller or its addresses
// elsewhere: without the poller the engine does not start.
func TestGnetInside(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Listen, cfg.Loops = []string{"127.0.0.1:0"}, 1
	h := addressed{make(chan bool, 1)}
	e, err := New(cfg, h)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	e.Start()
	nc, err := net.Dial("tcp", e.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_, _ = nc.Write([]byte("GET / HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"))
	select {
	case left := <-h.left:
		if left {
			t.Fatal("gnet still holds the connection's addresses: 192 bytes each for nothing")
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the connection did not open")
	}
}
