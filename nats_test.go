package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
)

// beNATS in the environment turns the test's binary into a NATS server that listens on an address and stores in a folder, which stand in it.
const beNATS = "THRONG_TEST_NATS"

// serveNATS is that server. It runs until it is killed.
func serveNATS(where string) error {
	addr, dir, _ := strings.Cut(where, " ")
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return err
	}
	options := &natsserver.Options{ServerName: "nats", Host: tcp.IP.String(), Port: tcp.Port, JetStream: true, StoreDir: dir, NoSigs: true, JetStreamMaxStore: 1 << 50, JetStreamMaxMemory: 1 << 26}
	s, err := natsserver.NewServer(options)
	if err != nil {
		return err
	}
	s.Start()
	if !s.ReadyForConnections(patience) {
		return fmt.Errorf("the NATS server does not listen on %s", addr)
	}
	fmt.Println("ready")
	s.WaitForShutdown()
	return nil
}

// nats is a NATS server with JetStream, in a process of its own that can be killed and started again on the same address and folder.
type nats struct {
	t    *testing.T
	host *host // nil: this machine
	addr string
	dir  string
	cmd  *exec.Cmd
	log  output
}

func startNATS(t *testing.T, h *host, addr string) *nats {
	t.Helper()
	n := &nats{t: t, host: h, addr: addr, dir: t.TempDir()}
	n.start()
	t.Cleanup(func() {
		n.kill()
		if t.Failed() {
			t.Logf("NATS: %s", n.log.String())
		}
	})
	return n
}

func (n *nats) url() string { return "nats://" + n.addr }

func (n *nats) start() {
	n.t.Helper()
	n.cmd = n.host.on(command([]string{beNATS + "=" + n.addr + " " + n.dir}))
	stdout, err := n.cmd.StdoutPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	n.cmd.Stderr = &n.log
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	up := make(chan bool, 1)
	go func() { up <- bufio.NewScanner(stdout).Scan() }()
	select {
	case ok := <-up:
		if !ok {
			n.t.Fatalf("the NATS server does not start: %s", n.log.String())
		}
	case <-time.After(patience):
		n.t.Fatal("the NATS server does not start")
	}
}

func (n *nats) kill() {
	if n.cmd != nil {
		_ = n.cmd.Process.Kill()
		_ = n.cmd.Wait()
		n.cmd = nil
	}
}

// freeze stops the process where it stands, every thread of it, until thaw.
func (n *nats) freeze() {
	n.t.Helper()
	freeze(n.t, n.cmd.Process)
}

func (n *nats) thaw() { _ = n.cmd.Process.Signal(syscall.SIGCONT) }

// freeze stops a process, and returns when no thread of it runs any more.
func freeze(t *testing.T, p *os.Process) {
	t.Helper()
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.Pid))
		if err != nil || time.Now().After(end) {
			t.Fatal("the process does not stop: ", err)
		}
		stopped := 0
		for _, name := range threads {
			text, _ := os.ReadFile(name)
			if _, after, ok := strings.Cut(string(text), ") "); ok && after[0] == 'T' {
				stopped++
			}
		}
		if stopped == len(threads) {
			return
		}
	}
}
