package engine

import (
	"net"
	"os"
	"reflect"
	"regexp"
	"testing"
	"time"

	"throng/protocol"
)

// addressed says whether gnet keeps what nobody reads of the connection.
type addressed struct{ left chan bool }

func (h addressed) OnOpen(c *Conn) {
	h.left <- c.gc.RemoteAddr() != nil || c.gc.LocalAddr() != nil || c.gc.SafeContext() != nil || c.loop.unused.callback == 0 ||
		!reflect.ValueOf(c.gc).Elem().FieldByName("pollAttachment").FieldByName("Callback").IsNil()
}

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
			t.Fatal("gnet holds addresses, a context or a callback of the connection: up to 240 bytes each for nothing")
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the connection did not open")
	}
}

// TestGnetVersion fails when go.mod asks for another gnet than the one whose functions
// are called by name: nobody else would notice that their parameters have changed.
func TestGnetVersion(t *testing.T) {
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^\s*(?:require )?github.com/panjf2000/gnet/v2 (\S+)$`).FindAllSubmatch(mod, -1)
	if len(m) != 1 || string(m[0][1]) != gnetVersion {
		t.Errorf("go.mod asks for gnet %q, and engine/gnetinside.go describes %s: compare newStreamConn and register0 before changing it", m, gnetVersion)
	}
	if regexp.MustCompile(`(?m)^\s*(?:replace )?github.com/panjf2000/gnet/v2.*=>`).Match(mod) {
		t.Error("go.mod replaces gnet")
	}
	if err := checkGnetVersion(); err != nil {
		t.Error(err)
	}
}
