package main

import (
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// systemd is the other end of the notifications.
type systemd struct {
	t      *testing.T
	socket *net.UnixConn
	path   string
}

func listenAsSystemd(t *testing.T, path string) *systemd {
	t.Helper()
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	return &systemd{t, socket, path}
}

// next returns the lines of the next message, or nil if none comes in time.
func (s *systemd) next(wait time.Duration) []string {
	s.t.Helper()
	_ = s.socket.SetReadDeadline(time.Now().Add(wait))
	message := make([]byte, 4096)
	n, err := s.socket.Read(message)
	if err != nil {
		return nil
	}
	return strings.Split(string(message[:n]), "\n")
}

// hears waits for a message that has each of these lines, or begins a line with it where it ends in =, and returns it.
func (s *systemd) hears(want ...string) []string {
	s.t.Helper()
	for {
		lines := s.next(patience)
		if lines == nil {
			s.t.Fatalf("systemd never hears %q", want)
		}
		missed := slices.ContainsFunc(want, func(line string) bool {
			return !slices.ContainsFunc(lines, func(l string) bool { return l == line || strings.HasSuffix(line, "=") && strings.HasPrefix(l, line) })
		})
		if !missed {
			return lines
		}
	}
}

// value is what a message says under a name.
func value(lines []string, name string) string {
	for _, line := range lines {
		if v, ok := strings.CutPrefix(line, name+"="); ok {
			return v
		}
	}
	return ""
}

// A server that systemd started, from the beginning to the end.
func TestSystemdIsTold(t *testing.T) {
	for what, path := range map[string]string{"a path": filepath.Join(t.TempDir(), "notify"), "an abstract name": "@throng-test-" + strconv.Itoa(os.Getpid())} {
		t.Run(what, func(t *testing.T) {
			s := listenAsSystemd(t, path)
			n := start(t, command([]string{"NOTIFY_SOCKET=" + path, "WATCHDOG_USEC=400000"}, withDefaults(t, []string{"--drain-time", "0", "--close-timeout", "1m"})...))
			if status := value(s.hears("READY=1", "STATUS="), "STATUS"); status != "0 connections of at most "+strconv.Itoa(n.ceiling) {
				t.Errorf("the first status: %q", status)
			}
			if got, _, err := exchange(n.addrs[0], "GET /readyz HTTP/1.0\n\n"); err != nil || got.StatusCode != 200 {
				t.Errorf("it says that it is ready, and is not: %v %v", got, err)
			}
			for range 3 {
				s.hears("WATCHDOG=1")
			}
			guest, err := dialRaw(n.addrs[0], "/", net.IPv4(127, 0, 0, 1), "") // who says no goodbye, and so keeps the drain going
			if err != nil {
				t.Fatal(err)
			}
			defer guest.Close()
			n.signal(syscall.SIGTERM)
			extended, err := strconv.Atoi(value(s.hears("STOPPING=1", "EXTEND_TIMEOUT_USEC="), "EXTEND_TIMEOUT_USEC"))
			if err != nil || extended < 1_000_000 {
				t.Errorf("the stop may take %d more microseconds (%v)", extended, err)
			}
			s.hears("WATCHDOG=1")
			if status := value(s.hears("STATUS=", "EXTEND_TIMEOUT_USEC="), "STATUS"); !strings.HasPrefix(status, "draining, 1 of 1 connections left, about ") {
				t.Errorf("the status while draining: %q", status)
			}
			_ = guest.Close()
			if code := n.exit(); code != exitOK {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// A server that cannot tell systemd anything serves all the same, and says so once.
func TestSystemdIsGone(t *testing.T) {
	n := start(t, command([]string{"NOTIFY_SOCKET=" + filepath.Join(t.TempDir(), "nobody"), "WATCHDOG_USEC=100000"}, withDefaults(t, nil)...))
	m := join(t, n.url("/"))
	time.Sleep(300 * time.Millisecond)
	m.say(text("hello"))
	m.hears(text("hello"))
	m.leave()
	n.signal(syscall.SIGTERM)
	if code := n.exit(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if lines := strings.Count(n.stderr.String(), "systemd is not told"); lines != 1 {
		t.Errorf("%d lines about it in the log", lines)
	}
}

// notifierTo makes one that speaks to a socket.
func notifierTo(s *systemd, environ map[string]string) *notifier {
	return newNotifier(func(name string) string {
		if name == "NOTIFY_SOCKET" {
			return s.path
		}
		return environ[name]
	}, slog.New(slog.NewTextHandler(io.Discard, nil)))
}

// A server with a blocked loop does not say that it is alive, and says so again when the loop goes on.
func TestWatchdogOfABlockedLoop(t *testing.T) {
	s := listenAsSystemd(t, filepath.Join(t.TempDir(), "notify"))
	n := notifierTo(s, map[string]string{"WATCHDOG_USEC": "200000"})
	var silence atomic.Int64
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		n.attend(end, func() time.Duration { return time.Duration(silence.Load()) }, func() string { return "" })
		close(ended)
	}()
	s.hears("WATCHDOG=1")
	silence.Store(int64(100 * time.Millisecond))
	for s.next(500*time.Millisecond) != nil { // one may be on its way
	}
	silence.Store(0)
	s.hears("WATCHDOG=1")
	close(end)
	<-ended
}

func TestWatchdogOfAnother(t *testing.T) {
	s := listenAsSystemd(t, filepath.Join(t.TempDir(), "notify"))
	for what, c := range map[string]struct {
		environ map[string]string
		want    time.Duration
	}{
		"nobody's":   {nil, 0},
		"anybody's":  {map[string]string{"WATCHDOG_USEC": "20000000"}, 20 * time.Second},
		"ours":       {map[string]string{"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": strconv.Itoa(os.Getpid())}, 20 * time.Second},
		"another's":  {map[string]string{"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "1"}, 0},
		"not a time": {map[string]string{"WATCHDOG_USEC": "-1"}, 0},
	} {
		if got := notifierTo(s, c.environ).watch; got != c.want {
			t.Errorf("%s watchdog: %v, want %v", what, got, c.want)
		}
	}
}

// Between the two messages of a reload systemd knows that it is under way.
func TestSystemdIsToldOfAReload(t *testing.T) {
	s := listenAsSystemd(t, filepath.Join(t.TempDir(), "notify"))
	n := notifierTo(s, nil)
	n.reloading()
	n.ready("2 settings changed")
	if lines := s.next(patience); value(lines, "RELOADING") != "1" {
		t.Errorf("first %q", lines)
	}
	if lines := s.next(patience); value(lines, "READY") != "1" || value(lines, "STATUS") != "2 settings changed" {
		t.Errorf("then %q", lines)
	}
}
