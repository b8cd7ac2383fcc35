package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestSoak has clients connect, say something and leave, half of them with a Close and half with an RST, and then wants the server to be what it was.
// THRONG_SOAK says for how long (20s) or how often (200000); a short run is the default.
func TestSoak(t *testing.T) {
	enough := soakLength(t)
	n := startNode(t, "--keep-closes", "500") // full before the first look
	soak(t, n, times(1000))                   // what is made once and kept: pools, pages, stacks
	before := n.rest()
	began := time.Now()
	cycles := soak(t, n, enough)
	t.Logf("%d cycles in %v", cycles, time.Since(began).Round(time.Millisecond))

	// Not all is given back at once: a goroutine ends a moment after its connection.
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		after := n.rest()
		wrong := after.more(before)
		if wrong == "" {
			break
		}
		if time.Now().After(end) {
			_, stacks := n.get("/debug/pprof/goroutine?debug=1")
			t.Fatalf("%s\n%s", wrong, stacks)
		}
	}
	// A write to a connection that was reset uses the error up, and then it looks as if it had just ended.
	cut := []string{`throng_closed_total{reason="reset"}`, `throng_closed_total{reason="eof"}`}
	f := n.until("every end is counted", func(f figures) bool {
		return f[cut[0]]+f[cut[1]]+f[`throng_closed_total{reason="peer_close"}`] == float64(cycles+1000)
	})
	if half := float64(cycles+1000) / 2; f[cut[0]]+f[cut[1]] < half-1 || f[cut[0]]+f[cut[1]] > half+1 {
		t.Errorf("of %d cycles\n%s", cycles, f)
	}
	for _, name := range []string{"throng_panics_total", "throng_room_panics_total", "throng_accept_errors_total", "throng_lagging_connections", `throng_closed_total{reason="no_reply"}`} {
		if f[name] != 0 {
			t.Errorf("%s is %v", name, f[name])
		}
	}
}

// soakLength reads THRONG_SOAK: it returns what says, of a cycle's number, whether there should be another.
func soakLength(t *testing.T) func(cycle int64) bool {
	setting := os.Getenv("THRONG_SOAK")
	if setting == "" {
		setting = "3s"
	}
	if cycles, err := strconv.ParseInt(setting, 10, 64); err == nil {
		return times(cycles)
	}
	long, err := time.ParseDuration(setting)
	if err != nil {
		t.Fatalf("THRONG_SOAK is %q; a time such as 20s or a number of cycles is wanted", setting)
	}
	end := sync.OnceValue(func() time.Time { return time.Now().Add(long) })
	return func(int64) bool { return time.Now().Before(end()) }
}

func times(cycles int64) func(int64) bool { return func(cycle int64) bool { return cycle < cycles } }

// soak runs cycles until there are enough, and waits until the server has seen the last client go.
func soak(t *testing.T, n *node, another func(cycle int64) bool) int64 {
	t.Helper()
	var cycles atomic.Int64
	var running sync.WaitGroup
	for range 16 {
		running.Go(func() {
			for {
				i := cycles.Add(1) - 1
				if !another(i) {
					cycles.Add(-1)
					return
				}
				if err := cycle(n.addrs[0], i); err != nil {
					t.Errorf("cycle %d: %v", i, err)
					return
				}
			}
		})
	}
	running.Wait()
	n.until("all have gone", func(f figures) bool { return f["throng_connections_accepted_now"] == 0 })
	return cycles.Load()
}

// cycle is one client: it connects, says something, hears it among what others say, and leaves.
func cycle(addr string, i int64) error {
	// Every address of 127/8 is this machine: with more of them there are ports enough.
	dialer := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+i%100))}}
	c, err := dialer.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	own := fmt.Sprintf("this is cycle %d", i)
	hello := fmt.Sprintf("GET /rooms/%d HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", i%7, addr)
	if _, err := c.Write(append([]byte(hello), frame(textFrame, own)...)); err != nil {
		return err
	}
	r := bufio.NewReaderSize(c, 1024)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("refused: %s", res.Status)
	}
	for heard := ""; heard != own; {
		if heard, err = nextText(r); err != nil {
			return err
		}
	}
	if i%2 == 1 {
		return c.(*net.TCPConn).SetLinger(0)
	}
	if _, err := c.Write(frame(closeFrame, "\x03\xe8")); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r) // the Close, behind what others said, and then the server closes first
	return err
}

// nextText reads a short text message of the server.
func nextText(r *bufio.Reader) (string, error) {
	head := make([]byte, 2)
	if _, err := io.ReadFull(r, head); err != nil {
		return "", err
	}
	if head[0] != textFrame || head[1] > 125 {
		return "", fmt.Errorf("a frame that begins with % x", head)
	}
	body := make([]byte, head[1])
	_, err := io.ReadFull(r, body)
	return string(body), err
}

// rest is what a server holds when nobody is connected.
type rest struct {
	descriptors []string
	goroutines  int
	heap        float64 // bytes
}

func (n *node) rest() rest {
	n.t.Helper()
	for range 2 { // the second collection empties what pools have kept over the first
		if res, _ := n.get("/debug/pprof/heap?gc=1"); res.StatusCode != http.StatusOK {
			n.t.Fatalf("collecting garbage: %s", res.Status)
		}
	}
	r := rest{heap: n.figures()["go_memstats_heap_alloc_bytes"], descriptors: n.descriptors()}
	_, profile := n.get("/debug/pprof/goroutine?debug=1")
	if _, err := fmt.Sscanf(profile, "goroutine profile: total %d", &r.goroutines); err != nil {
		n.t.Fatalf("%.100q: %v", profile, err)
	}
	return r
}

// more says what is held beyond what was held before.
func (r rest) more(before rest) string {
	const heapSlackBytes = 1 << 20
	var wrong []string
	if len(r.descriptors) > len(before.descriptors) {
		wrong = append(wrong, fmt.Sprintf("descriptors: %q, before: %q", r.descriptors, before.descriptors))
	}
	if r.goroutines > before.goroutines {
		wrong = append(wrong, fmt.Sprintf("%v goroutines, before: %v", r.goroutines, before.goroutines))
	}
	if r.heap > before.heap+heapSlackBytes {
		wrong = append(wrong, fmt.Sprintf("%v bytes of heap, before: %v", r.heap, before.heap))
	}
	return strings.Join(wrong, "\n")
}
