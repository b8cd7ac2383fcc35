package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"throng/admin"
	"throng/engine"
)

// The commands of operators, each against a node, through its socket.

// desk is a node with a socket for its operators.
type desk struct {
	*node
	socket string
}

func startDesk(t *testing.T, args ...string) *desk {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	return &desk{startNode(t, append([]string{"--admin-socket", socket}, args...)...), socket}
}

// operate runs a command for the node.
func (d *desk) operate(args ...string) ended {
	d.t.Helper()
	return run(d.t, nil, append(args, "--admin", "unix:"+d.socket)...)
}

// does is operate for what has to succeed.
func (d *desk) does(args ...string) string {
	d.t.Helper()
	got := d.operate(args...)
	if got.code != exitOK || got.stderr != "" {
		d.t.Fatalf("throng %q: exit code %d\n%s%s", args, got.code, got.stdout, got.stderr)
	}
	return got.stdout
}

// answers is does for an answer in JSON.
func answers[T any](d *desk, args ...string) (got T) {
	d.t.Helper()
	text := d.does(append(args, "--json")...)
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		d.t.Fatalf("throng %q: %v in %s", args, err, text)
	}
	return got
}

// fails is operate for what has to be refused, with some words.
func (d *desk) fails(code int, words string, args ...string) {
	d.t.Helper()
	if got := d.operate(args...); got.code != code || !strings.Contains(got.stderr, words) || strings.Count(got.stderr, "\n") != 1 {
		d.t.Errorf("throng %q: exit code %d, want %d and %q\n%s%s", args, got.code, code, words, got.stdout, got.stderr)
	}
}

func TestStatusCommand(t *testing.T) {
	d := startDesk(t)
	join(t, d.url("/"))
	join(t, d.url("/rooms/tea"))
	d.become(figures{"throng_connections": 2})
	s := answers[admin.Status](d, "status")
	c := s.Connections
	if c.Open != 2 || c.Rooms != 2 || c.Ceiling != d.ceiling || s.PID != d.cmd.Process.Pid || !s.Ready || len(s.Loops) != 2 || len(s.Listen) != 1 || s.Listen[0] != d.addrs[0] {
		t.Errorf("%+v", s)
	}
	if s.Memory.InUse <= 0 || s.Memory.Mark <= 0 || s.Versions.Go == "" || s.Uptime <= 0 || s.Instance == "" || s.Drain != nil || s.Shed != nil {
		t.Errorf("%+v", s)
	}
	text := d.does("status")
	for _, part := range []string{"connections 2 of at most ", "; 2 rooms", "ready\n", "loop 1 "} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in\n%s", part, text)
		}
	}
	// Reading is open on the private port, too, and the socket is not a place for anything else.
	if got := run(t, nil, "status", "--admin", d.private); got.code != exitOK || !strings.Contains(got.stdout, "connections 2 of") {
		t.Errorf("over TCP: %+v", got)
	}
	if got := run(t, nil, "status", "--admin", d.addrs[0]); got.code != exitWrong || !strings.Contains(got.stderr, "--admin names the private one") {
		t.Errorf("of the public port: %+v", got)
	}
}

// TestConnectionsCommand: a list of thousands is whole, whatever the pages and the order.
func TestConnectionsCommand(t *testing.T) {
	people := 3000
	if testing.Short() {
		people = 300
	}
	d := startDesk(t, "--idle-timeout", "0", "--ping-interval", "0")
	if d.ceiling < people {
		t.Skipf("skipped: this machine lets in %d", d.ceiling)
	}
	standBy(t, d.addrs[0], "/rooms/crowd", people)
	in := join(t, d.url("/rooms/tea"))
	in.say(text("hello"))
	in.count(1)
	for _, args := range [][]string{nil, {"--sort", "age"}, {"--sort", "idle"}} {
		list := answers[admin.ConnectionsPage](d, append([]string{"connections", "--limit", "100000"}, args...)...)
		ids := map[string]bool{}
		for _, c := range list.Connections {
			ids[c.ID] = true
		}
		if len(ids) != people+1 || len(list.Connections) != people+1 || list.Matched != people+1 || list.Next != "" {
			t.Errorf("%q: %d rows, %d ids of %d connections; %d match", args, len(list.Connections), len(ids), people+1, list.Matched)
		}
	}
	first := answers[admin.ConnectionsPage](d, "connections", "--limit", "10")
	second := answers[admin.ConnectionsPage](d, "connections", "--limit", "10", "--page", first.Next)
	if len(first.Connections) != 10 || len(second.Connections) != 10 || first.Connections[9].ID == second.Connections[0].ID {
		t.Errorf("pages of %d and %d", len(first.Connections), len(second.Connections))
	}
	if sample := answers[admin.ConnectionsPage](d, "connections", "--sample", "50"); len(sample.Connections) != 50 || sample.Total != people+1 {
		t.Errorf("a sample of %d of %d", len(sample.Connections), sample.Total)
	}
	one := answers[admin.ConnectionsPage](d, "connections", "--room", "tea")
	if len(one.Connections) != 1 || one.Total != people+1 || one.Connections[0].Rooms[0] != "tea" || one.Connections[0].BytesIn == 0 || one.Connections[0].BytesOut == 0 {
		t.Errorf("in tea: %+v", one)
	}
	for _, args := range [][]string{
		{"--address", "127.0.0.0/8"}, {"--state", "open"}, {"--idle-above", "1ms", "--room", "crowd"},
	} {
		if got := answers[admin.ConnectionsPage](d, append([]string{"connections", "--limit", "1"}, args...)...); got.Matched < people {
			t.Errorf("%q: %d match", args, got.Matched)
		}
	}
	for _, args := range [][]string{{"--address", "192.0.2.1"}, {"--user", "bob"}, {"--state", "closing"}, {"--lag-above", "1KiB"}, {"--idle-above", "1h"}} {
		if got := answers[admin.ConnectionsPage](d, append([]string{"connections"}, args...)...); got.Matched != 0 || len(got.Connections) != 0 {
			t.Errorf("%q: %+v", args, got)
		}
	}
	if text := d.does("connections", "--room", "tea"); !strings.Contains(text, "tea") || !strings.Contains(text, "1 listed, 1 match, of ") {
		t.Errorf("printed\n%s", text)
	}
	d.fails(exitWrong, "page: ", "connections", "--page", "nonsense")
	d.fails(exitUsage, "--sort", "connections", "--sort", "name")
	d.fails(exitUsage, "10.0.3.0/24", "connections", "--address", "ten")
}

// standBy holds connections in a room that say and hear nothing.
func standBy(t *testing.T, addr, room string, people int) {
	t.Helper()
	request := "GET " + room + " HTTP/1.1\r\nHost: " + addr + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
	enter := func() error {
		c, err := net.DialTimeout("tcp", addr, patience)
		if err != nil {
			return err
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(patience))
		if _, err := io.WriteString(c, request); err != nil {
			return err
		}
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err == nil && res.StatusCode != http.StatusSwitchingProtocols {
			err = errors.New(res.Status)
		}
		return err
	}
	var coming sync.WaitGroup
	const doors = 32
	for door := range doors {
		coming.Go(func() {
			for i := door; i < people; i += doors {
				if err := enter(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	coming.Wait()
}

func TestRoomsCommand(t *testing.T) {
	d := startDesk(t)
	for room, people := range map[string]int{"tea-green": 3, "tea-black": 2, "coffee": 1} {
		for range people {
			join(t, d.url("/rooms/"+room))
		}
	}
	names := func(args ...string) (names []string) {
		for _, r := range answers[admin.RoomsPage](d, append([]string{"rooms"}, args...)...).Rooms {
			names = append(names, fmt.Sprint(r.Name, " ", r.Members))
		}
		return names
	}
	d.become(figures{"throng_connections": 6})
	if got := names(); !reflect.DeepEqual(got, []string{"tea-green 3", "tea-black 2", "coffee 1"}) {
		t.Errorf("got %q", got)
	}
	if got := names("--match", "tea-*", "--limit", "1"); !reflect.DeepEqual(got, []string{"tea-green 3"}) {
		t.Errorf("got %q", got)
	}
	if got := names("--match", "coffee", "--sort", "lag"); !reflect.DeepEqual(got, []string{"coffee 1"}) {
		t.Errorf("got %q", got)
	}
	if text := d.does("rooms"); !strings.Contains(text, "3 listed, of 3 rooms") {
		t.Errorf("printed\n%s", text)
	}
	d.fails(exitWrong, "tea-*", "rooms", "--match", "*tea")
}

// TestClosesCommand: whoever was disconnected can be told why.
func TestClosesCommand(t *testing.T) {
	d := startDesk(t, "--close-timeout", "1s")
	join(t, d.url("/rooms/tea")).leave()
	bad := join(t, d.url("/"))
	if _, err := bad.ws.NetConn().Write([]byte{textFrame, 1, 'x'}); err != nil { // not masked
		t.Fatal(err)
	}
	bad.end()
	if _, _, err := tryJoin(t, d.url("/rooms/%40bob")); err == nil {
		t.Error("@bob is a room")
	}
	d.until("two have gone", func(f figures) bool {
		return f[`throng_closed_total{reason="peer_close"}`] == 1 && f[`throng_offences_total{reason="protocol_error"}`] == 1
	})
	list := answers[admin.ClosesPage](d, "closes")
	if len(list.Closes) != 2 {
		t.Fatalf("%+v", list)
	}
	last := list.Closes[0]
	if last.Reason != "protocol_error" || last.Code != 1002 || last.Room != "lobby" || last.Meaning == "" || !strings.HasPrefix(last.Address, "127.0.0.1:") {
		t.Errorf("%+v", last)
	}
	if one := answers[admin.ClosesPage](d, "closes", "--room", "tea", "--reason", "peer_close", "--address", "127.0.0.1", "--since", "10m"); len(one.Closes) != 1 {
		t.Errorf("%+v", one)
	}
	if refused := answers[admin.ClosesPage](d, "closes", "--handshakes"); len(refused.Closes) != 1 || refused.Closes[0].Reason != "refused" {
		t.Errorf("%+v", refused)
	}
	if text := d.does("closes"); !strings.Contains(text, "protocol_error: The client broke the rules") {
		t.Errorf("printed\n%s", text)
	}
	if text := d.does("closes", "--user", "bob"); !strings.Contains(text, "no such end") {
		t.Errorf("printed\n%s", text)
	}
	d.fails(exitWrong, `did you mean "slow"?`, "closes", "--reason", "slwo")
}

// TestMeanings: every end there is has a sentence.
func TestMeanings(t *testing.T) {
	for _, r := range engine.Reasons() {
		if m := meanings[r]; !strings.HasSuffix(m, ".") || strings.Contains(m, "\n") {
			t.Errorf("%s means %q", r, m)
		}
	}
}

func TestKickCommand(t *testing.T) {
	d := startDesk(t)
	bob, ann, eve := join(t, d.url("/rooms/tea")), join(t, d.url("/rooms/tea")), join(t, d.url("/"))
	d.become(figures{"throng_connections": 3})
	if text := d.does("kick", "--room", "tea", "--dry-run"); text != "2 connections would be closed\n" {
		t.Errorf("printed %q", text)
	}
	d.fails(exitWrong, "--yes", "kick", "--room", "tea")
	d.fails(exitUsage, "whom", "kick", "--yes")
	d.fails(exitWrong, "4000 to 4999", "kick", "--room", "tea", "--yes", "--code", "1002")
	if text := d.does("kick", "--room", "tea", "--yes", "--code", "4404", "--reason", "no tea today"); text != "2 connections closed\n" {
		t.Errorf("printed %q", text)
	}
	for _, m := range []*member{bob, ann} {
		if bye := m.end(); bye.code != 4404 || bye.reason != "no tea today" {
			t.Errorf("%+v", bye)
		}
	}
	if _, over := eve.over(); over {
		t.Error("somebody else was kicked")
	}
	list := answers[admin.ConnectionsPage](d, "connections", "--state", "open")
	if got := answers[admin.Kicked](d, "kick", "--id", list.Connections[0].ID, "--yes"); got.Kicked != 1 {
		t.Errorf("%+v", got)
	}
	if bye := eve.end(); bye.code != 4403 {
		t.Errorf("%+v", bye)
	}
	if log := d.stderr.String(); strings.Count(log, "operator: kick") != 2 || !strings.Contains(log, "uid "+strconv.Itoa(os.Getuid())) || strings.Contains(log, "no tea today") {
		t.Errorf("logged\n%s", log)
	}
}

func TestSayCommand(t *testing.T) {
	d := startDesk(t)
	bob, ann := join(t, d.url("/rooms/tea")), join(t, d.url("/"))
	d.become(figures{"throng_connections": 2})
	if text := d.does("say", "--room", "tea", "the kettle is on"); text != "said to 1 connection\n" {
		t.Errorf("printed %q", text)
	}
	bob.hears(text("the kettle is on"))
	if got := answers[admin.Said](d, "say", "--all", "closing soon"); got.Heard != 2 {
		t.Errorf("%+v", got)
	}
	bob.hears(text("the kettle is on"), text("closing soon"))
	ann.hears(text("closing soon"))
	list := answers[admin.ConnectionsPage](d, "connections", "--room", "lobby")
	d.does("say", "--id", list.Connections[0].ID, "to you")
	ann.hears(text("closing soon"), text("to you"))
	d.does("kick", "--id", list.Connections[0].ID, "--yes")
	ann.end()
	d.fails(exitWrong, "no open connection", "say", "--id", list.Connections[0].ID, "hello?")
	d.fails(exitUsage, "to whom", "say", "hello?")
	if log := d.stderr.String(); strings.Contains(log, "kettle") || strings.Count(log, "operator: say") != 4 {
		t.Errorf("logged\n%s", log)
	}
}

// TestDrainCommand: it is what SIGTERM is, waits for the end of the process, and can be looked at by others.
func TestDrainCommand(t *testing.T) {
	const people, window = 20, 2 * time.Second
	d := startDesk(t, "--drain-delay", "0s", "--drain-time", "1h")
	var members []*member
	for range people {
		members = append(members, join(t, d.url("/")))
	}
	d.become(figures{"throng_connections": people})
	began := time.Now()
	first := d.operateSoon("drain", "--delay", "300ms", "--time", window.String())
	for answers[admin.Status](d, "status").Drain == nil {
		time.Sleep(10 * time.Millisecond)
	}
	if _, ready := d.get("/readyz"); ready == "ready\n" {
		t.Error("ready while it drains")
	}
	d.fails(exitWrong, "already", "drain", "--time", "1s")
	d.fails(exitWrong, "already", "shed", "--count", "1")
	second := d.operateSoon("drain", "--json")
	checkTurns(t, members, began, window)
	for _, w := range []*waiting{first, second} {
		if got := w.wait(); got.code != exitOK {
			t.Errorf("%+v", got)
		}
	}
	if d.running() {
		select {
		case <-d.exited:
		case <-time.After(time.Second): // the kernel may take a moment to tell the parent
			t.Error("the command ended before the process")
		}
	}
	if code := d.exit(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	out := first.wait().stdout
	if !regexp.MustCompile(`(?s)^drain: 20 connections to go; .*\ndrain: 20 of 20 connections left, .*\ndrain: done, 0 left\nstopped\n$`).MatchString(out) {
		t.Errorf("printed\n%s", out)
	}
	if out := second.wait().stdout; !strings.Contains(out, `"joined":true`) || !strings.Contains(out, `"state":"done"`) {
		t.Errorf("the second printed\n%s", out)
	}
	if log := d.stderr.String(); !strings.Contains(log, "stopping") || !strings.Contains(log, "uid ") {
		t.Errorf("logged\n%s", log)
	}
}

// TestDrainGoesOnWithoutItsOperator, and a signal still cuts it short.
func TestDrainGoesOnWithoutItsOperator(t *testing.T) {
	d := startDesk(t, "--drain-time", "1h")
	m := join(t, d.url("/"))
	d.become(figures{"throng_connections": 1})
	if text := d.does("drain", "--no-wait"); !strings.HasPrefix(text, "drain: 1 of 1 connection left, ") {
		t.Errorf("printed %q", text)
	}
	if s := answers[admin.Status](d, "status"); s.Drain == nil || s.Ready {
		t.Errorf("%+v", s)
	}
	watcher := d.operateSoon("drain")
	for !strings.Contains(watcher.stdout.String(), "left") {
		time.Sleep(10 * time.Millisecond)
	}
	d.signal(syscall.SIGTERM)
	if code := d.exit(); code != exitWrong {
		t.Errorf("exit code %d", code)
	}
	if got := watcher.wait(); got.code != exitWrong || !strings.Contains(got.stderr, "stopped at once by a second signal") {
		t.Errorf("who watched: %+v", got)
	}
	m.end()
}

func TestShedCommand(t *testing.T) {
	d := startDesk(t)
	var members []*member
	for range 20 {
		members = append(members, join(t, d.url("/")))
	}
	gone := func() (n int) {
		for _, m := range members {
			if bye, over := m.over(); over {
				n++
				if !regexp.MustCompile(`^rebalance; reconnect in \d+ ms$`).MatchString(bye.reason) || bye.code != 1001 {
					t.Errorf("%+v", bye)
				}
			}
		}
		return n
	}
	d.become(figures{"throng_connections": 20})
	for _, c := range []struct {
		how  string
		want int
	}{{"--share=25%", 5}, {"--to=12", 8}, {"--count=2", 10}} {
		if text := d.does("shed", c.how, "--over", "100ms"); !strings.Contains(text, "shed: done") {
			t.Errorf("%s printed\n%s", c.how, text)
		}
		d.become(figures{"throng_connections": float64(20 - c.want)})
		if n := gone(); n != c.want {
			t.Errorf("%s: %d have gone, want %d", c.how, n, c.want)
		}
	}
	d.fails(exitWrong, "no shed", "shed", "--stop")
	watcher := d.operateSoon("shed", "--count", "10", "--over", "1h")
	for answers[admin.Status](d, "status").Shed == nil {
		time.Sleep(10 * time.Millisecond)
	}
	d.fails(exitWrong, "already", "shed", "--count", "1")
	d.does("shed", "--stop")
	if got := watcher.wait(); got.code != exitWrong || !strings.Contains(got.stderr, "an operator stopped it") {
		t.Errorf("%+v", got)
	}
	// The next goes on when nobody looks.
	d.does("shed", "--count", "10", "--over", "300ms", "--no-wait")
	d.become(figures{"throng_connections": 0})
	if n := gone(); n != 20 {
		t.Errorf("%d have gone", n)
	}
}

// waiting is a command that takes a while.
type waiting struct {
	t              *testing.T
	cmd            *exec.Cmd
	stdout, stderr output
	done           chan struct{}
}

func (d *desk) operateSoon(args ...string) *waiting {
	d.t.Helper()
	w := &waiting{t: d.t, cmd: command(nil, append(args, "--admin", "unix:"+d.socket)...), done: make(chan struct{})}
	w.cmd.Stdout, w.cmd.Stderr = &w.stdout, &w.stderr
	if err := w.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	go func() {
		_ = w.cmd.Wait() // its state is looked at
		close(w.done)
	}()
	d.t.Cleanup(func() {
		_ = w.cmd.Process.Kill()
		<-w.done
	})
	return w
}

func (w *waiting) wait() ended {
	w.t.Helper()
	select {
	case <-w.done:
	case <-time.After(patience):
		w.t.Fatalf("%q does not end", w.cmd.Args[1:])
	}
	return ended{w.cmd.ProcessState.ExitCode(), w.stdout.String(), w.stderr.String()}
}

// TestOthersMayNot: the socket is for the server's user, by its mode and by what the kernel says.
func TestOthersMayNot(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("skipped: only root can become somebody else")
	}
	folder, err := os.MkdirTemp("", "throng")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	program, socket := filepath.Join(folder, "throng"), filepath.Join(folder, "s")
	if err := os.WriteFile(program, self, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	startNode(t, "--admin-socket", socket)
	asNobody := func(args ...string) (int, string) {
		const nobody = 65534
		cmd := exec.Command(program, append(args, "--admin", "unix:"+socket)...)
		cmd.Dir, cmd.Env = "/", []string{beThrong + "=1"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		said, _ := cmd.CombinedOutput() // its code is looked at
		return cmd.ProcessState.ExitCode(), string(said)
	}
	if code, said := asNobody("status"); code != exitWrong || !strings.Contains(said, "no permission on unix:"+socket+", which is for uid 0") {
		t.Errorf("exit code %d: %s", code, said)
	}
	if err := os.Chmod(socket, 0o666); err != nil {
		t.Fatal(err)
	}
	if code, said := asNobody("status"); code != exitWrong || !strings.Contains(said, "the server's own user and for root") {
		t.Errorf("exit code %d: %s", code, said)
	}
}
