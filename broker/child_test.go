package broker

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// The test binary started again is a process that can be killed: a NATS server, or a broker with a publisher.

const childEnv = "THRONG_BROKER_CHILD"

type childOrder struct {
	Server    bool
	Port      int
	Dir       string
	Name      string
	User      string
	Routes    string // of a cluster
	RoutePort int
	Config    string // a file that says all of this
	Always    bool
	Rooms     int
}

func child() {
	var order childOrder
	if err := json.Unmarshal([]byte(os.Getenv(childEnv)), &order); err != nil {
		panic(err)
	}
	go func() { // a child does not outlive its parent
		_, _ = os.Stdin.Read(make([]byte, 1))
		os.Exit(0)
	}()
	if order.Server {
		childServer(order)
	} else {
		childPublisher(order)
	}
}

func childServer(order childOrder) {
	options := &server.Options{ServerName: order.Name, Host: "127.0.0.1", Port: order.Port, JetStream: true, StoreDir: order.Dir, NoSigs: true,
		JetStreamMaxStore: 1 << 30, JetStreamMaxMemory: 1 << 26}
	if order.Config != "" {
		var err error
		if options, err = server.ProcessConfigFile(order.Config); err != nil {
			panic(err)
		}
		options.NoSigs = true
	}
	if order.User != "" {
		options.Username, options.Password = order.User, "secret"
	}
	if order.Routes != "" {
		options.Cluster = server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: order.RoutePort}
		options.Routes = server.RoutesFromStr(order.Routes)
	}
	s, err := server.NewServer(options)
	if err != nil {
		panic(err)
	}
	s.Start()
	if !s.ReadyForConnections(20 * time.Second) {
		panic("the server did not start")
	}
	fmt.Println("ready")
	s.WaitForShutdown()
}

// childPublisher publishes for ever and prints each acknowledged number with its text.
func childPublisher(order childOrder) {
	sync := time.Hour
	if order.Always {
		sync = 0
	}
	b, err := Open(context.Background(), Config{Dir: order.Dir, Sync: sync, Streams: []Stream{{Name: "main"}}, Logger: slog.New(slog.DiscardHandler)}, deaf{})
	if err != nil {
		panic(err)
	}
	out := make(chan string, 1<<16)
	go func() {
		for line := range out {
			fmt.Println(line)
		}
	}()
	places := make(chan struct{}, 64)
	for i := 0; ; i++ {
		places <- struct{}{}
		text := strconv.Itoa(i)
		b.Publish(0, "room"+strconv.Itoa(i%order.Rooms), "id"+text, []byte(text), func(a Ack, err error) {
			if err == nil {
				out <- fmt.Sprintf("%d %s", a.Seq, text)
			}
			<-places
		})
	}
}

// deaf hears nothing.
type deaf struct{}

func (deaf) Stored(int, string, Message)         {}
func (deaf) Gapped(int, string)                  {}
func (deaf) Cast(string, string, []byte)         {}
func (deaf) Asked(string, string, []byte) []byte { return nil }
func (deaf) NodeGone(string)                     {}
func (deaf) NodeCame(string)                     {}
func (deaf) Connected(bool)                      {}

// process is a child.
type process struct {
	t     testing.TB
	cmd   *exec.Cmd
	lines *bufio.Scanner
	ended atomic.Bool
}

func startChild(t testing.TB, order childOrder) *process {
	t.Helper()
	text, err := json.Marshal(order)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	cmd.Stderr = os.Stderr
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: cmd, lines: bufio.NewScanner(out)}
	t.Cleanup(p.kill)
	return p
}

// line is the next that the child prints; empty if it has ended.
func (p *process) line() string {
	if p.lines.Scan() {
		return p.lines.Text()
	}
	return ""
}

func (p *process) kill() {
	if p.ended.Swap(true) {
		return
	}
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// freeze stops the process where it stands, every thread of it.
func (p *process) freeze() {
	p.t.Helper()
	p.signal(syscall.SIGSTOP)
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		stopped := 0
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.cmd.Process.Pid))
		if err != nil || time.Now().After(end) {
			p.t.Fatal("the process did not stop: ", err)
		}
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

// natsServer is a NATS server in a process of its own, on a port and a folder that stay its own when it is started again.
type natsServer struct {
	*process
	order childOrder
}

func startNATS(t testing.TB, order childOrder) *natsServer {
	t.Helper()
	if order.Port == 0 {
		order.Port = freePort(t)
	}
	if order.Dir == "" {
		order.Dir = t.TempDir()
	}
	if order.Name == "" {
		order.Name = "server"
	}
	order.Server = true
	s := &natsServer{order: order}
	s.start(t)
	return s
}

func (s *natsServer) start(t testing.TB) {
	t.Helper()
	s.process = startChild(t, s.order)
	for line := s.line(); line != "ready"; line = s.line() {
		if line == "" {
			t.Fatal("the NATS server ended")
		}
	}
}

func (s *natsServer) url() string {
	return fmt.Sprintf("nats://127.0.0.1:%d", s.order.Port)
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
