package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

func TestStartsWithNothingConfigured(t *testing.T) {
	for _, addr := range []string{":8080", "127.0.0.1:8081"} {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Skipf("skipped: %s is taken on this machine", addr)
		}
		_ = l.Close()
	}
	folder, err := os.MkdirTemp("", "throng") // nobody else's, as a socket needs it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	data := t.TempDir()
	n := start(t, command([]string{"RUNTIME_DIRECTORY=", "XDG_RUNTIME_DIR=" + folder, "STATE_DIRECTORY=", "XDG_DATA_HOME=" + data}))
	want := "throng: the chat page is http://localhost:8080/ and its WebSocket ws://localhost:8080/ (other rooms: /rooms/NAME)\n" +
		"throng: metrics and health are on http://127.0.0.1:8081/\n" +
		"throng: operators' commands go through " + folder + "/throng-8080.sock; see throng status\n" +
		"throng: messages are kept in " + data + "/throng/8080\n" +
		fmt.Sprintf("throng: up to %d connections", n.ceiling)
	if got := n.stdout.String(); !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "; stop with Ctrl-C\n") || strings.Count(got, "\n") != 5 {
		t.Errorf("printed\n%s\nwant\n%s and more", got, want)
	}
	m := join(t, n.url("/"))
	m.say(text("hello"))
	m.hears(text("hello"))
	m.leave()
	n.signal(syscall.SIGINT)
	if code := n.exit(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestSecondServerOnAnAddress(t *testing.T) {
	first := startNode(t)
	m := join(t, first.url("/"))
	public, private := first.addrs[0], first.private
	for what, c := range map[string]struct {
		args []string
		line string
	}{
		"--listen": {[]string{"--listen", public, "--admin", ""}, "throng: listen " + public + ": address already in use by "},
		"--admin":  {[]string{"--listen", "127.0.0.1:0", "--admin", private}, "throng: admin address " + private + ": "},
	} {
		got := run(t, nil, c.args...)
		if got.code == exitOK || got.stdout != "" || !strings.HasPrefix(got.stderr, c.line) || strings.Count(got.stderr, "\n") != 1 {
			t.Errorf("%s: exit code %d\n%s%s", what, got.code, got.stdout, got.stderr)
		}
		if !strings.Contains(got.stderr, "address already in use") {
			t.Errorf("%s does not say why: %s", what, got.stderr)
		}
		if pid := fmt.Sprintf("(pid %d)", first.cmd.Process.Pid); what == "--listen" && !strings.Contains(got.stderr, pid) {
			t.Errorf("%s does not say whose the address is: %s", what, got.stderr)
		}
	}
	m.say(text("still here"))
	m.hears(text("still here"))
}

func TestReusePort(t *testing.T) {
	first := startNode(t, "--reuse-port", "--admin", "")
	second := startNode(t, "--reuse-port", "--listen", first.addrs[0])
	if strings.Contains(first.stdout.String(), "metrics") {
		t.Errorf("a private port in spite of --admin '': %s", first.stdout.String())
	}
	// The kernel chooses by the client's port: with so many clients each server has some.
	var members []*member
	for range 40 {
		m := join(t, second.url("/"))
		m.say(text("hello"))
		members = append(members, m)
	}
	for _, m := range members {
		m.count(1)
	}
	f := second.until("some are in the second server", func(f figures) bool { return f["throng_connections"] > 0 })
	if f["throng_connections"] == float64(len(members)) {
		t.Error("all are in the second server")
	}
}

func TestBadSettingsStopTheStart(t *testing.T) {
	file := configFile(t, "idle-timout: 10s\n")
	for _, c := range []struct {
		environ []string
		args    []string
		words   []string
	}{
		{nil, []string{"--idle-timeout", "banana"}, []string{"idle-timeout", "banana"}},
		{nil, []string{"--max-message=-1"}, []string{"max-message", "-1"}},
		{nil, []string{"--max-mesage", "1KiB"}, []string{"max-mesage"}},
		{nil, []string{"--listen", "8080"}, []string{"listen", "8080"}},
		{nil, []string{"serv"}, []string{"serv"}},
		{[]string{"THRONG_IDLE_COUNTS=bytes"}, nil, []string{"THRONG_IDLE_COUNTS", "bytes", "frames", "messages"}},
		{nil, []string{"--config", file}, []string{file + ":1", "idle-timout", "idle-timeout"}},
		{nil, []string{"--max-connections", "90000000", "--admin", ""}, []string{"90000000", "ulimit"}},
		{nil, []string{"--listen", "192.0.2.1:0", "--admin", ""}, []string{"192.0.2.1"}},
	} {
		got := run(t, c.environ, c.args...)
		if got.code == exitOK || got.stdout != "" || strings.Count(got.stderr, "\n") != 1 || !strings.HasPrefix(got.stderr, "throng: ") {
			t.Errorf("%q: exit code %d, said\n%s%s", c.args, got.code, got.stdout, got.stderr)
		}
		for _, word := range c.words {
			if !strings.Contains(got.stderr, word) {
				t.Errorf("%q: %q is not in %s", c.args, word, got.stderr)
			}
		}
	}
}

func TestTwoAddresses(t *testing.T) {
	if l, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skip("skipped: this machine has no IPv6")
	} else {
		_ = l.Close()
	}
	n := startNode(t, "--listen", "127.0.0.1:0", "--listen", "[::1]:0")
	if len(n.addrs) != 2 || !strings.HasPrefix(n.addrs[1], "[::1]:") {
		t.Fatalf("listens on %q", n.addrs)
	}
	four, six := join(t, n.url("/")), join(t, "ws://"+n.addrs[1]+"/")
	six.say(text("from six"))
	four.hears(text("from six"))
	four.say(text("from four"))
	six.hears(text("from six"), text("from four"))
}

// A prober knows no WebSocket and speaks any HTTP.
func TestHealthOnBothPorts(t *testing.T) {
	n := startNode(t)
	for _, addr := range []string{n.addrs[0], n.private} {
		for _, path := range []string{"/healthz", "/readyz"} {
			for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
				for _, version := range []string{"HTTP/1.0\n", "HTTP/1.1\nHost: a.prober\n"} {
					request := method + " " + path + " " + version + "\n"
					res, body := n.ask(addr, request)
					if res.StatusCode != http.StatusOK && (method != "OPTIONS" || res.StatusCode != http.StatusNoContent) {
						t.Errorf("%s: %q: %s", addr, request, res.Status)
					}
					if (method == "GET") != (body == "ok\n" || body == "ready\n") && method != "OPTIONS" {
						t.Errorf("%s: %q: body %q", addr, request, body)
					}
					if allow := res.Header.Get("Allow"); method == "OPTIONS" && allow != "GET, HEAD, OPTIONS" {
						t.Errorf("%s: %q: Allow: %q", addr, request, allow)
					}
				}
			}
		}
	}
	for _, version := range []string{"HTTP/1.0\n", "HTTP/1.1\nHost: x\n"} {
		for method, length := range map[string]bool{"GET": true, "HEAD": false} {
			res, body := n.ask(n.addrs[0], method+" / "+version+"\n")
			if res.StatusCode != http.StatusOK || strings.Contains(body, "<title>throng</title>") != length || res.ContentLength == 0 {
				t.Errorf("%s / %q: %s, %d bytes", method, version, res.Status, len(body))
			}
		}
		if res, _ := n.ask(n.addrs[0], "OPTIONS / "+version+"\n"); res.StatusCode != http.StatusNoContent {
			t.Errorf("OPTIONS / %q: %s", version, res.Status)
		}
	}
	// Connecting and leaving without a byte is a probe, too.
	for range 3 {
		c, err := net.Dial("tcp", n.addrs[0])
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
	f := n.until("three probes", func(f figures) bool { return f[`throng_probes_total{reason="probe"}`] == 3 })
	for name, value := range f {
		if strings.HasPrefix(name, "throng_handshake_failed_total") && value != 0 || strings.HasPrefix(name, "throng_offences_total") && value != 0 {
			t.Errorf("%s %v", name, value)
		}
	}
	if log := n.stderr.String(); log != "" {
		t.Errorf("logged: %s", log)
	}
}

// The figures after a traffic of which everything is known.
func TestMetricsAreTrue(t *testing.T) {
	n := startNode(t, "--idle-timeout", "0", "--ping-interval", "0")
	const people, lines, body = 6, 50, "0123456789"
	var members []*member
	for range people {
		members = append(members, join(t, n.url("/rooms/figures")))
	}
	other := join(t, n.url("/"))
	for range lines {
		members[0].say(text(body))
	}
	for _, m := range members {
		m.count(lines)
	}
	if _, res, err := tryJoin(t, n.url("/rooms/%40bob")); err == nil || res == nil || res.StatusCode != http.StatusForbidden {
		t.Errorf("@bob: %v", err)
	}
	members[1].leave()
	_ = members[2].ws.NetConn().Close() // a FIN without a Close
	members[3].cut()
	if _, err := members[4].ws.NetConn().Write([]byte{textFrame, 1, 'x'}); err != nil { // not masked
		t.Fatal(err)
	}
	if bye := members[4].end(); bye.code != websocket.CloseProtocolError {
		t.Errorf("the unmasked frame: %+v", bye)
	}
	n.ask(n.addrs[0], "GET /healthz HTTP/1.0\n\n")

	n.become(figures{
		"throng_connections":                                        3,
		"throng_topics":                                             2,
		"throng_accepts_total":                                      people + 3,
		"throng_upgrades_total":                                     people + 1,
		"throng_messages_total":                                     lines,
		"throng_deliveries_total":                                   lines * people,
		"throng_batch_messages_sum":                                 lines * people,
		`throng_closed_total{reason="peer_close"}`:                  1,
		`throng_closed_total{reason="eof"}`:                         1,
		`throng_closed_total{reason="reset"}`:                       1,
		`throng_offences_total{reason="protocol_error"}`:            1,
		`throng_handshake_failed_total{reason="name"}`:              1,
		`throng_handshake_failed_total{reason="ceiling"}`:           0,
		`throng_evicted_total{reason="idle"}`:                       0,
		"throng_panics_total":                                       0,
		"throng_room_panics_total":                                  0,
		"throng_accept_errors_total":                                0,
		"throng_lagging_connections":                                0,
		"promhttp_metric_handler_errors_total{cause=\"gathering\"}": 0,
	})
	f := n.figures()
	if writes := f["throng_batch_messages_count"]; writes < people || writes > lines*people || f["throng_writes_total"] < writes {
		t.Errorf("%v writes of messages among %v", writes, f["throng_writes_total"])
	}
	if got := f["throng_sent_bytes_total"]; got < float64(lines*people*len(body)) {
		t.Errorf("%v bytes sent", got)
	}
	if got := f["throng_received_bytes_total"]; got < float64(lines*len(body)) {
		t.Errorf("%v bytes received", got)
	}
	_, page := n.get("/metrics")
	problems, err := promlint.New(strings.NewReader(page)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v %v", err, problems)
	}
	if heard := other.all(); len(heard) > 0 {
		t.Errorf("another room heard %q", heard)
	}
}

// cut ends the connection with an RST.
func (m *member) cut() {
	m.t.Helper()
	if err := m.ws.NetConn().(*net.TCPConn).SetLinger(0); err != nil {
		m.t.Fatal(err)
	}
	_ = m.ws.NetConn().Close()
	<-m.gone
}

func TestVersionOfTheProcess(t *testing.T) {
	got := run(t, nil, "version")
	if got.code != exitOK || !strings.HasPrefix(got.stdout, "throng ") || got.stderr != "" {
		t.Errorf("%+v", got)
	}
	got = run(t, []string{"THRONG_PING_INTERVAL=2m"}, "check-config")
	if got.code != exitOK || !strings.Contains(got.stdout, "ping-interval: 2m ") {
		t.Errorf("%+v", got)
	}
}

// descriptors lists what the process has open.
func (n *node) descriptors() []string {
	n.t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", n.cmd.Process.Pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		n.t.Fatal(err)
	}
	var open []string
	for _, e := range entries {
		if target, err := os.Readlink(dir + "/" + e.Name()); err == nil {
			open = append(open, target)
		}
	}
	slices.Sort(open)
	return open
}

// within fails a test if something took longer than it may even on a busy machine.
func within(t *testing.T, limit time.Duration, what string, since time.Time) {
	t.Helper()
	if took := time.Since(since); took > limit {
		t.Errorf("%s took %v, more than %v", what, took, limit)
	}
}
