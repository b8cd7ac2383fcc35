package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The tests of this package that start with a node run the server as people do: as a process, over sockets, ended by signals. The process is the
// test's own binary, so a race that the detector finds in it is found too.

// beThrong in the environment turns the test's binary into throng.
const beThrong = "THRONG_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(beThrong) == "1" {
		_ = os.Unsetenv(beThrong)
		if where := os.Getenv(beNATS); where != "" {
			complain(os.Stderr, fmt.Sprint(serveNATS(where)))
			os.Exit(exitWrong)
		}
		main()
		os.Exit(exitOK)
	}
	os.Exit(m.Run())
}

// patience is for a busy machine: nothing that works waits so long.
const patience = 30 * time.Second

// missing skips a test that needs a program which is not installed, or fails it where everything has to be.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("THRONG_REQUIRE_ALL") == "1" {
		t.Fatalf("%s is not installed, and THRONG_REQUIRE_ALL=1", what)
	}
	t.Skipf("skipped: %s is not installed", what)
}

// command is throng with these arguments, and with no settings from the environment but those given.
func command(environ []string, args ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, envPrefix) })
	cmd.Env = append(append(cmd.Env, environ...), beThrong+"=1", "GORACE=atexit_sleep_ms=10") // 1,000 otherwise, for races nobody waits for
	// A test that is killed leaves no server behind.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// output is what a process says, while it says it.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// node is one running server.
type node struct {
	t       *testing.T
	cmd     *exec.Cmd
	addrs   []string // public, host:port
	private string   // "" if there is none
	ceiling int
	stdout  output
	stderr  output
	exited  chan struct{}
}

// startNode runs a server until the end of the test. It listens on free ports and has two loops unless told otherwise.
func startNode(t *testing.T, args ...string) *node {
	t.Helper()
	return start(t, command(nil, withDefaults(t, args)...))
}

func withDefaults(t *testing.T, args []string) []string {
	t.Helper()
	for name, value := range map[string]string{"--listen": "127.0.0.1:0", "--admin": "127.0.0.1:0", "--admin-socket": "", "--loops": "2", "--data-dir": t.TempDir()} {
		if !slices.Contains(args, name) {
			args = append(args, name, value)
		}
	}
	return args
}

// start runs a command that is or becomes a server, and waits until it is up.
func start(t *testing.T, cmd *exec.Cmd) *node {
	t.Helper()
	n := &node{t: t, cmd: cmd, exited: make(chan struct{})}
	up := make(chan struct{})
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = &n.stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go n.follow(stdout, up)
	t.Cleanup(n.bury)
	select {
	case <-up:
	case <-n.exited:
		t.Fatalf("the server did not start: %s", cmd.ProcessState)
	case <-time.After(patience):
		t.Fatal("the server does not start")
	}
	return n
}

var announced = regexp.MustCompile(`(?:its WebSocket ws|metrics and health are on http)://([^/]+)/|up to (\d+) connections`)

// follow reads what the server prints until it has ended.
func (n *node) follow(stdout io.Reader, up chan<- struct{}) {
	for lines := bufio.NewScanner(io.TeeReader(stdout, &n.stdout)); lines.Scan(); {
		m := announced.FindStringSubmatch(lines.Text())
		switch {
		case m == nil:
		case m[2] != "":
			n.ceiling, _ = strconv.Atoi(m[2])
			close(up)
		case strings.HasPrefix(m[0], "its"):
			n.addrs = append(n.addrs, m[1])
		default:
			n.private = m[1]
		}
	}
	_ = n.cmd.Wait() // its state is looked at by who cares
	close(n.exited)
}

// bury ends the process if it still runs, and looks at what it left.
func (n *node) bury() {
	_ = n.cmd.Process.Kill()
	<-n.exited
	for _, word := range []string{"DATA RACE", "panic", "fatal error"} {
		if strings.Contains(n.stderr.String(), word) {
			n.t.Errorf("the server's log has %q in it", word)
		}
	}
	if n.t.Failed() {
		n.t.Logf("process %d: %s\n%s%s", n.cmd.Process.Pid, n.cmd.ProcessState, n.stdout.String(), shortened(n.stderr.String()))
	}
}

// shortened cuts the lines of a log that carry stacks.
func shortened(log string) string {
	const lineBytesMax = 2000
	var short strings.Builder
	for line := range strings.Lines(log) {
		if len(line) > lineBytesMax {
			line = line[:lineBytesMax] + "...\n"
		}
		short.WriteString(line)
	}
	return short.String()
}

func (n *node) signal(s syscall.Signal) {
	n.t.Helper()
	if err := n.cmd.Process.Signal(s); err != nil {
		n.t.Fatal(err)
	}
}

// exit waits for the end of the process and returns its exit code.
func (n *node) exit() int {
	n.t.Helper()
	select {
	case <-n.exited:
	case <-time.After(patience):
		n.t.Fatal("the server does not end")
	}
	return n.cmd.ProcessState.ExitCode()
}

// running reports whether the process is still there.
func (n *node) running() bool {
	select {
	case <-n.exited:
		return false
	default:
		return true
	}
}

func (n *node) url(path string) string { return "ws://" + n.addrs[0] + path }

// ended is a command that was run to its end.
type ended struct {
	code           int
	stdout, stderr string
}

// run runs throng with arguments that keep it from serving.
func run(t *testing.T, environ []string, args ...string) ended {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := command(environ, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	err := cmd.Wait()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return ended{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// ask sends a request as it is written, with \n for CRLF, and returns the answer with its body read.
func (n *node) ask(addr, request string) (*http.Response, string) {
	n.t.Helper()
	res, body, err := exchange(addr, request)
	if err != nil {
		n.t.Fatalf("%q: %v", request, err)
	}
	return res, body
}

func exchange(addr, request string) (*http.Response, string, error) {
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, strings.ReplaceAll(request, "\n", "\r\n")); err != nil {
		return nil, "", err
	}
	method, _, _ := strings.Cut(request, " ")
	res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res, string(body), err
}

// get asks the private port.
func (n *node) get(path string) (*http.Response, string) {
	n.t.Helper()
	return n.ask(n.private, "GET "+path+" HTTP/1.1\nHost: "+n.private+"\nConnection: close\n\n")
}

// figures are the samples of a scrape, by name and labels as they are written.
type figures map[string]float64

func (n *node) figures() figures {
	n.t.Helper()
	res, body := n.get("/metrics")
	if res.StatusCode != http.StatusOK {
		n.t.Fatalf("/metrics: %s", res.Status)
	}
	f := figures{}
	for line := range strings.Lines(body) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		i := strings.LastIndexByte(line, ' ')
		value, err := strconv.ParseFloat(line[i+1:], 64)
		if err != nil {
			n.t.Fatalf("/metrics: %q", line)
		}
		f[line[:i]] = value
	}
	return f
}

// until waits for a condition on the figures, which are up to a tick old, and returns them.
func (n *node) until(what string, holds func(figures) bool) figures {
	n.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		f := n.figures()
		if holds(f) {
			return f
		}
		if time.Now().After(end) {
			n.t.Fatalf("never: %s\n%s", what, f)
		}
	}
}

// become waits for certain figures.
func (n *node) become(want figures) {
	n.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		f, wrong := n.figures(), ""
		for _, name := range slices.Sorted(maps.Keys(want)) {
			if f[name] != want[name] {
				wrong += fmt.Sprintf("%s is %v, want %v\n", name, f[name], want[name])
			}
		}
		if wrong == "" {
			return
		}
		if time.Now().After(end) {
			n.t.Fatal(wrong)
		}
	}
}

// String lists throng's own figures that are not zero, without the buckets.
func (f figures) String() string {
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(f)) {
		if strings.HasPrefix(name, "throng_") && !strings.Contains(name, "_bucket{") && f[name] != 0 {
			fmt.Fprintf(&text, "%s %v\n", name, f[name])
		}
	}
	return text.String()
}
