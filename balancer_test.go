package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The balancers of these tests run with the files that deploy/ has for them. Only what is another machine's is changed: addresses, paths, users and
// numbers of descriptors. So the files themselves are under test.

// installed finds a program, also where only an administrator's path leads.
func installed(t *testing.T, program string) string {
	t.Helper()
	for _, name := range []string{program, "/usr/sbin/" + program, "/usr/local/sbin/" + program} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	missing(t, program)
	return ""
}

// freeAddresses are addresses of this machine on which nobody listens. They could be taken before they are used; the kernel hands out others first.
func freeAddresses(t *testing.T, n int) []string {
	t.Helper()
	var addrs []string
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		addrs = append(addrs, ln.Addr().String())
	}
	return addrs
}

// adapted is a file of deploy/ with patterns replaced, each of which has to be in it, written to a new folder.
func adapted(t *testing.T, file string, changes ...string) string {
	t.Helper()
	text := readText(os.DirFS("."), "deploy/"+file)
	for i := 0; i < len(changes); i += 2 {
		pattern := regexp.MustCompile(changes[i])
		if !pattern.MatchString(text) {
			t.Fatalf("deploy/%s has no %s", file, pattern)
		}
		text = pattern.ReplaceAllString(text, changes[i+1])
	}
	path := filepath.Join(t.TempDir(), file)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// balancer is a running HAProxy or nginx.
type balancer struct {
	t      *testing.T
	addr   string // where clients connect
	socket string // of HAProxy's commands
}

// startHAProxy runs deploy/haproxy.cfg before three nodes.
func startHAProxy(t *testing.T, nodes []string) *balancer {
	t.Helper()
	program := installed(t, "haproxy")
	b := &balancer{t: t, addr: freeAddresses(t, 1)[0]}
	dir, err := os.MkdirTemp("", "haproxy") // t.TempDir is too long a name for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	b.socket = filepath.Join(dir, "socket")
	file := adapted(t, "haproxy.cfg",
		`(?m)^ *(user|group|chroot) .*\n`, "",
		`(?m)^ *log /dev/log .*`, "    log stdout format raw local0",
		`/run/haproxy/admin\.sock`, b.socket,
		`fd-hard-limit 1048576`, "fd-hard-limit 20000", // 10,000 clients
		`bind :80 `, "bind "+b.addr+" ",
		`10\.0\.3\.11:8080`, nodes[0],
		`10\.0\.3\.12:8080`, nodes[1],
		`10\.0\.3\.13:8080`, nodes[2])
	b.run(exec.Command(program, "-db", "-f", file))
	return b
}

// startNginx runs deploy/nginx.conf before three nodes.
func startNginx(t *testing.T, nodes []string) *balancer {
	t.Helper()
	program := installed(t, "nginx")
	b := &balancer{t: t, addr: freeAddresses(t, 1)[0]}
	dir := t.TempDir()
	file := adapted(t, "nginx.conf",
		`(?m)^user .*\n`, "",
		`/run/nginx\.pid`, dir+"/pid",
		`/var/log/nginx/error\.log`, "stderr",
		`worker_rlimit_nofile 262144`, "worker_rlimit_nofile 1024",
		`worker_connections 131072`, "worker_connections 1000",
		`listen 80 `, "listen "+b.addr+" ",
		`10\.0\.3\.11:8080`, nodes[0],
		`10\.0\.3\.12:8080`, nodes[1],
		`10\.0\.3\.13:8080`, nodes[2])
	check, err := exec.Command(program, "-t", "-e", "stderr", "-c", file).CombinedOutput()
	if strings.Contains(string(check), `unknown directive "stream"`) {
		missing(t, "nginx's stream module (libnginx-mod-stream)")
	}
	if err != nil {
		t.Fatalf("nginx -t: %v\n%s", err, check)
	}
	b.run(exec.Command(program, "-e", "stderr", "-c", file, "-g", "daemon off; master_process off;"))
	return b
}

// run starts the program, ends it with the test, and waits until it listens.
func (b *balancer) run(cmd *exec.Cmd) {
	b.t.Helper()
	var said output
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	b.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-exited
		if b.t.Failed() {
			const bytesMax = 10_000
			text := said.String()
			b.t.Logf("%s: %s\n%s", cmd.Path, cmd.ProcessState, text[max(0, len(text)-bytesMax):])
		}
	})
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", b.addr); err == nil {
			_ = c.Close()
			if b.socket == "" {
				return
			}
			if _, err := os.Stat(b.socket); err == nil { // HAProxy puts it in its place when it already listens
				return
			}
		}
		select {
		case <-exited:
			b.t.Fatalf("%s does not start: %s", cmd.Path, cmd.ProcessState)
		default:
		}
		if time.Now().After(end) {
			b.t.Fatalf("%s does not listen", cmd.Path)
		}
	}
}

// states asks HAProxy how it finds its servers, by name: UP, DOWN, or on the way from one to the other.
func (b *balancer) states() map[string]string {
	b.t.Helper()
	c, err := net.Dial("unix", b.socket)
	if err != nil {
		b.t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, "show stat\n"); err != nil {
		b.t.Fatal(err)
	}
	table, err := io.ReadAll(c)
	if err != nil {
		b.t.Fatal(err)
	}
	const name, status = 1, 17 // columns
	states := map[string]string{}
	for line := range strings.Lines(string(table)) {
		if columns := strings.Split(line, ","); len(columns) > status && columns[0] == "throng" {
			states[columns[name]] = columns[status]
		}
	}
	return states
}

// becomes waits until HAProxy finds a server in a state.
func (b *balancer) becomes(server, want string) {
	b.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		states := b.states()
		if states[server] == want {
			return
		}
		if time.Now().After(end) {
			b.t.Fatalf("HAProxy never finds server %s %s: %v", server, want, states)
		}
	}
}

// behindBalancer starts a node with the settings of deploy/, on an address of its own.
func behindBalancer(t *testing.T, addr string, more ...string) *node {
	t.Helper()
	args := append([]string{"--config", "deploy/throng.yaml", "--listen", addr}, more...)
	return start(t, command(nil, withDefaults(t, args)...))
}

// serverNames are those of deploy/haproxy.cfg.
var serverNames = []string{"one", "two", "three"}

// threeNodes starts as many, and says where they are.
func threeNodes(t *testing.T, more ...string) ([]*node, []string) {
	t.Helper()
	addrs := freeAddresses(t, len(serverNames))
	var nodes []*node
	for _, addr := range addrs {
		nodes = append(nodes, behindBalancer(t, addr, more...))
	}
	return nodes, addrs
}

// visitor is an address of this machine that nobody else has.
func visitor(i int) net.IP { return net.IPv4(127, 0, 0, byte(50+i)) }

// seen waits until one of the nodes has a word on the end of a connection from an address, which it writes at --log-level debug.
func seen(t *testing.T, nodes []*node, from net.IP) {
	t.Helper()
	line := regexp.MustCompile(fmt.Sprintf(`"connection ended".*"remote":"%s:\d+"`, regexp.QuoteMeta(from.String())))
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		for _, n := range nodes {
			if line.MatchString(n.stderr.String()) {
				return
			}
		}
		if time.Now().After(end) {
			t.Fatalf("no node has a word on a connection from %v", from)
		}
	}
}
