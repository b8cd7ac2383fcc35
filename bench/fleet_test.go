package bench

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// The test binary is also the servers of a fleet.
func init() {
	if len(os.Args) == 4 && os.Args[1] == "as-rooms" {
		if err := asRooms(os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// roomsServer is the least that a fleet's server has to be: rooms by path, and an end for who is silent. It stands in
// for throng, whose engine cannot be started here without leaving goroutines behind.
type roomsServer struct {
	idle  time.Duration
	mu    sync.Mutex
	rooms map[string][]net.Conn
}

func asRooms(listen, idle string) error {
	limit, err := time.ParseDuration(idle)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp4", listen)
	if err != nil {
		return err
	}
	s := &roomsServer{idle: limit, rooms: make(map[string][]net.Conn)}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go s.serve(c)
	}
}

func (s *roomsServer) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	path := ""
	up := ws.Upgrader{OnRequest: func(uri []byte) error { path = string(uri); return nil }}
	if _, err := up.Upgrade(c); err != nil {
		return
	}
	s.mu.Lock()
	s.rooms[path] = append(s.rooms[path], c)
	s.mu.Unlock()
	for {
		_ = c.SetReadDeadline(time.Now().Add(s.idle))
		b, op, err := wsutil.ReadClientData(c)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			s.mu.Lock()
			_ = ws.WriteFrame(c, ws.NewCloseFrame(ws.NewCloseFrameBody(4408, "idle")))
			s.mu.Unlock()
		}
		if err != nil {
			return
		}
		s.mu.Lock()
		for _, member := range s.rooms[path] {
			_ = wsutil.WriteServerMessage(member, op, b)
		}
		s.mu.Unlock()
	}
}

// asFleet is the command of such a server.
func asFleet(t *testing.T) []string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{self, "as-rooms", "ADDR", "TIMEOUT"}
}

func TestFleet(t *testing.T) {
	l, err := newLauncher()
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	f, err := startFleet(t.Context(), l, 3, []string{asFleet(t)[0], "as-rooms", "ADDR", "1m"})
	if err != nil {
		t.Fatal(err)
	}
	defer f.stop()
	if len(f.addrs) != 3 || f.addrs[0].Addr() == f.addrs[2].Addr() || f.ended() != nil {
		t.Errorf("%v, %v", f.addrs, f.ended())
	}
	w, err := newWatch(f.pids(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if seen, err := w.lookPSS(); err != nil || seen.pss < 3<<20 || seen.fds < 3*4 {
		t.Errorf("%+v, %v", seen, err)
	}
	_ = f.servers[1].cmd.Process.Kill()
	<-f.servers[1].exited
	if err := f.ended(); err == nil || !strings.Contains(err.Error(), f.addrs[1].String()) {
		t.Errorf("got %v", err)
	}
	if _, err := w.look(); err == nil || !strings.Contains(err.Error(), "has ended") {
		t.Errorf("got %v", err)
	}
}

func TestFleetThatDoesNotStart(t *testing.T) {
	l, err := newLauncher()
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	if _, err := startFleet(t.Context(), l, 2, []string{"sh", "-c", "echo no room at ADDR >&2; exit 1"}); err == nil || !strings.Contains(err.Error(), "no room at 127.0.0.1:") {
		t.Errorf("got %v", err)
	}
	if _, err := startFleet(t.Context(), l, 2, []string{"nothing-of-this-name"}); err == nil {
		t.Error("a command that is not there was started")
	}
}
