package bench

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// TestHandshakesWithoutAnswer: a server that takes connections and says nothing has done something wrong.
func TestHandshakesWithoutAnswer(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for first := true; ; first = false {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer func() { _ = c.Close() }()
				if first { // the probe's
					_, _ = ws.Upgrade(c)
				}
				_, _ = io.Copy(io.Discard, c)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	r, err := Handshakes{Options: to("ws://" + l.Addr().String() + "/"), Concurrent: 3, For: 100 * time.Millisecond}.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if r.PerSecond != 0 || !strings.Contains(r.Faults.String(), "3 disconnected (no answer within") {
		t.Errorf("%.0f a second, faults %s", r.PerSecond, r.Faults)
	}
}
