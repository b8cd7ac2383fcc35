package admin_test

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"throng/admin"
)

// start serves on a free loopback port; closing it again, and leaving no goroutine, is checked at the end.
func start(t *testing.T, cfg admin.Config) (s *admin.Server, addr string) {
	t.Helper()
	before := runtime.NumGoroutine()
	if cfg.Addr == "" {
		cfg.Addr = "127.0.0.1:0"
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s, err := admin.Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		s.Serve()
		close(served)
	}()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("Close: %v", err)
		}
		<-served
		http.DefaultClient.CloseIdleConnections()
		for end := time.Now().Add(3 * time.Second); runtime.NumGoroutine() > before; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				stacks := make([]byte, 1<<20)
				t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before,
					stacks[:runtime.Stack(stacks, true)])
			}
		}
	})
	return s, s.Addr().String()
}

// ask sends one request as written and returns the response with its body read.
func ask(t *testing.T, addr, request string) (*http.Response, string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, strings.ReplaceAll(request, "\n", "\r\n")); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	return res, string(body)
}

// get is ask for the plain case.
func get(t *testing.T, addr, path string) (*http.Response, string) {
	t.Helper()
	return ask(t, addr, "GET "+path+" HTTP/1.1\nHost: "+addr+"\nConnection: close\n\n")
}

func TestHealthAnswersProbersOfAllKinds(t *testing.T) {
	_, addr := start(t, admin.Config{})
	for _, path := range []string{"/healthz", "/readyz"} {
		body := map[string]string{"/healthz": "ok\n", "/readyz": "ready\n"}[path]
		for _, c := range []struct {
			request string
			status  int
			body    string
		}{
			{"GET " + path + " HTTP/1.1\nHost: a.stranger\n\n", 200, body},
			{"GET " + path + " HTTP/1.1\nHost: x\nOrigin: http://a.stranger\n\n", 200, body},
			{"GET " + path + "?verbose=1 HTTP/1.0\n\n", 200, body},
			{"HEAD " + path + " HTTP/1.1\nHost: x\n\n", 200, ""},
			{"HEAD " + path + " HTTP/1.0\n\n", 200, ""},
			{"OPTIONS " + path + " HTTP/1.1\nHost: x\n\n", 204, ""},
			{"OPTIONS " + path + " HTTP/1.0\n\n", 204, ""},
			{"POST " + path + " HTTP/1.1\nHost: x\nContent-Length: 0\n\n", 405, "method not allowed\n"},
			{"GET " + path + " HTTP/1.1\n\n", 400, "400 Bad Request: missing required Host header"},
		} {
			res, got := ask(t, addr, c.request)
			if res.StatusCode != c.status || got != c.body {
				t.Errorf("%q: %d %q, want %d %q", c.request, res.StatusCode, got, c.status, c.body)
			}
			if res.StatusCode == 204 || res.StatusCode == 405 {
				if allow := res.Header.Get("Allow"); allow != "GET, HEAD, OPTIONS" {
					t.Errorf("%q: Allow: %q", c.request, allow)
				}
			}
		}
	}
}

func TestReadinessSaysWhyNot(t *testing.T) {
	var why string
	var mu sync.Mutex
	_, addr := start(t, admin.Config{Ready: func() (bool, string) {
		mu.Lock()
		defer mu.Unlock()
		return why == "", why
	}})
	if res, body := get(t, addr, "/readyz"); res.StatusCode != 200 {
		t.Errorf("ready: %d %q", res.StatusCode, body)
	}
	mu.Lock()
	why = "draining"
	mu.Unlock()
	if res, body := get(t, addr, "/readyz"); res.StatusCode != 503 || body != "draining\n" {
		t.Errorf("draining: %d %q", res.StatusCode, body)
	}
	if res, _ := get(t, addr, "/healthz"); res.StatusCode != 200 {
		t.Errorf("not ready, yet alive: %d", res.StatusCode)
	}
}

func TestPagesOfOthersAreRefused(t *testing.T) {
	_, addr := start(t, admin.Config{})
	_, port, _ := net.SplitHostPort(addr)
	for _, path := range []string{"/", "/metrics", "/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/symbol", "/nowhere"} {
		welcome := 200
		if path == "/nowhere" {
			welcome = 404
		}
		for _, c := range []struct {
			head string
			want int
		}{
			{"Host: " + addr, welcome},
			{"Host: localhost:" + port, welcome},
			{"Host: LOCALHOST", welcome},
			{"Host: 127.0.0.1:9999", welcome}, // through a tunnel
			{"Host: [::1]:" + port, welcome},
			{"Host: ::1", welcome},
			{"Host: " + addr + "\nSec-Fetch-Site: none", welcome},
			{"Host: " + addr + "\nSec-Fetch-Site: same-origin", welcome},
			{"Host: rebound.example:" + port, 403},
			{"Host: localhost.rebound.example", 403},
			{"Host: 127.0.0.1.rebound.example", 403},
			{"Host: 192.0.2.7:" + port, 403},
			{"Host: 0.0.0.0:" + port, 403},
			{"Host:", 403},
			{"Host: " + addr + "\nOrigin: http://rebound.example", 403},
			{"Host: " + addr + "\nOrigin: null", 403},
			{"Host: " + addr + "\nOrigin:", 403},
			{"Host: " + addr + "\nOrigin: http://" + addr, 403},
			{"Host: " + addr + "\nSec-Fetch-Site: cross-site", 403},
			{"Host: " + addr + "\nSec-Fetch-Site: same-site", 403},
		} {
			res, _ := ask(t, addr, "GET "+path+" HTTP/1.1\nConnection: close\n"+c.head+"\n\n")
			if res.StatusCode != c.want {
				t.Errorf("%s with %q: %d, want %d", path, c.head, res.StatusCode, c.want)
			}
		}
	}
	// The target may carry the host, too; it counts then, not the header.
	if res, _ := ask(t, addr, "GET http://rebound.example/metrics HTTP/1.1\nHost: "+addr+"\n\n"); res.StatusCode != 403 {
		t.Errorf("absolute target: %d", res.StatusCode)
	}
}

func TestTakenPortStopsTheStart(t *testing.T) {
	_, addr := start(t, admin.Config{})
	_, err := admin.Listen(admin.Config{Addr: addr})
	if err == nil {
		t.Fatal("the same port twice")
	}
	for _, part := range []string{addr, "address already in use"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
	for _, bad := range []string{"", "8081", "127.0.0.1", "127.0.0.1:70000"} {
		if s, err := admin.Listen(admin.Config{Addr: bad}); err == nil {
			t.Errorf("%q was listened on", bad)
			_ = s.Close(t.Context())
		}
	}
}

func TestClosedWithoutServing(t *testing.T) {
	s, err := admin.Listen(admin.Config{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	again, err := admin.Listen(admin.Config{Addr: s.Addr().String()})
	if err != nil {
		t.Fatalf("the port is still taken: %v", err)
	}
	_ = again.Close(t.Context())
	again.Serve() // returns
}

func TestReachableFromElsewhereNeedsAKey(t *testing.T) {
	for addr, needed := range map[string]bool{"127.0.0.1:0": false, "localhost:0": false, "0.0.0.0:0": true, ":0": true} {
		for _, key := range []string{"", "a-key-of-the-test"} {
			s, err := admin.Listen(admin.Config{Addr: addr, Key: key})
			if err == nil {
				if err := s.CheckKey(""); needed != (err != nil) {
					t.Errorf("%s: without its key: %v", addr, err)
				}
				_ = s.Close(t.Context())
			}
			if refused := err != nil; refused != (needed && key == "") {
				t.Errorf("%s with the key %q: %v", addr, key, err)
			}
		}
	}
}

func TestIndexAndProfiles(t *testing.T) {
	_, addr := start(t, admin.Config{})
	if res, body := get(t, addr, "/"); res.StatusCode != 200 || !strings.Contains(body, "/metrics") ||
		res.Header.Get("Content-Security-Policy") == "" {
		t.Errorf("/: %d %q", res.StatusCode, body)
	}
	if res, body := get(t, addr, "/debug/pprof/"); res.StatusCode != 200 || !strings.Contains(body, "goroutine") {
		t.Errorf("pprof: %d %q", res.StatusCode, body)
	}
	if res, body := get(t, addr, "/debug/pprof/goroutine?debug=1"); res.StatusCode != 200 || !strings.Contains(body, "goroutine profile") {
		t.Errorf("goroutines: %d %q", res.StatusCode, body)
	}
	for _, seconds := range []string{"301", "1e9", "-1", "0", "NaN", "many"} {
		if res, _ := get(t, addr, "/debug/pprof/profile?seconds="+seconds); res.StatusCode != 400 {
			t.Errorf("%s seconds: %d", seconds, res.StatusCode)
		}
	}
	if res, body := ask(t, addr, "POST /debug/pprof/symbol HTTP/1.1\nHost: "+addr+"\nContent-Length: 3\nConnection: close\n\n0x1"); res.StatusCode != 200 ||
		!strings.HasPrefix(body, "num_symbols") {
		t.Errorf("symbol: %d %q", res.StatusCode, body)
	}
}

func TestCloseEndsAProfile(t *testing.T) {
	s, addr := start(t, admin.Config{})
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "GET /debug/pprof/trace?seconds=200 HTTP/1.1\r\nHost: localhost\r\n\r\n")
	// The trace's head comes as soon as it runs.
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
}

func TestCloseCutsWhoStays(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	s, addr := start(t, admin.Config{Ready: func() (bool, string) {
		close(entered)
		<-leave
		return true, ""
	}})
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "GET /readyz HTTP/1.0\r\n\r\n")
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Close(ctx); err != context.Canceled {
		t.Errorf("Close: %v", err)
	}
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("the connection lives on: %v", err)
	}
	close(leave)
}

// The 65th connection is not refused: it is served as soon as one of the others goes.
func TestConnectionsBeyondTheBoundWait(t *testing.T) {
	_, addr := start(t, admin.Config{})
	var held []net.Conn
	for range 64 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		// Answered, so accepted; then kept alive.
		_, _ = io.WriteString(c, "HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
		if _, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: "HEAD"}); err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	late, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	_, _ = io.WriteString(late, "GET /healthz HTTP/1.0\r\n\r\n")
	_ = late.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := late.Read(make([]byte, 1)); !os.IsTimeout(err) {
		t.Fatalf("the 65th was served: %d bytes, %v", n, err)
	}
	held[0].Close()
	_ = late.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := late.Read(make([]byte, 1)); err != nil {
		t.Fatalf("the 65th was not served when there was room: %v", err)
	}
}
