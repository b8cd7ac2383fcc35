package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// numbers runs every figure against every server that it is asked of, round by round: what the machine does in the
// meantime then falls on all of them alike. Medians of the rounds make the table.
type numbers struct {
	launcher *launcher
	self     []string
	throng   []string // the server's command, PORT in it
	rounds   int
	short    bool
	progress func(string)
	runs     map[runKey][]run
}

type runKey struct {
	figure, server string
}

// run is one server's result in one round, or why there is none.
type run struct {
	result *Result
	err    error
	steal  float64 // share of the machine that the hypervisor kept
	others float64 // share that processes not of this run took
}

// The servers that are compared.
const (
	barePlain = "plain"
	bareBatch = "batch"
	throng    = "throng"
)

func (n *numbers) measure(ctx context.Context, figures []figure) error {
	n.runs = make(map[runKey][]run)
	for round := range n.rounds {
		for _, f := range figures {
			for _, server := range f.servers {
				if server == throng && n.throng == nil {
					continue
				}
				where := fmt.Sprintf("round %d of %d: %s, %s", round+1, n.rounds, f.name, server)
				n.progress(where)
				one := n.one(ctx, f, server, func(line string) { n.progress(where + ": " + line) })
				if ctx.Err() != nil {
					return errors.New("stopped")
				}
				if one.err != nil {
					n.progress(where + ": " + one.err.Error())
				}
				key := runKey{f.name, server}
				n.runs[key] = append(n.runs[key], one)
			}
		}
	}
	return nil
}

// one starts a server, measures one figure on it, and ends it.
func (n *numbers) one(ctx context.Context, f figure, server string, progress func(string)) run {
	port, err := freePort()
	if err != nil {
		return run{err: err}
	}
	s, err := n.launcher.start(n.launcher.cpu(0), n.serverCommand(server, port), nil)
	if err != nil {
		return run{err: err}
	}
	defer s.stop(unix.SIGTERM)
	if err := s.awaitListening(ctx, port); err != nil {
		return run{err: fmt.Errorf("%s did not start: %w", server, err)}
	}
	before := usage(s)
	r, err := f.run(ctx, n, place{url: fmt.Sprintf("ws://127.0.0.1:%d/", port), pid: s.cmd.Process.Pid, progress: progress})
	one := run{result: r, err: err}
	one.steal, one.others = before.until(usage(s))
	return one
}

func (n *numbers) serverCommand(server string, port int) []string {
	switch listen := fmt.Sprintf("127.0.0.1:%d", port); server {
	case barePlain:
		return append(slices.Clone(n.self), "ideal", "--listen", listen)
	case bareBatch:
		return append(slices.Clone(n.self), "ideal", "--batch", "--listen", listen)
	}
	argv := slices.Clone(n.throng)
	for i := range argv {
		argv[i] = strings.ReplaceAll(argv[i], "PORT", strconv.Itoa(port))
	}
	return argv
}

// freePort finds a port that nobody listens on.
func freePort() (int, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("a port for the server: %w", err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// awaitListening returns once the server takes connections.
func (c *child) awaitListening(ctx context.Context, port int) error {
	const patience = 10 * time.Second
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		conn, err := net.DialTimeout("tcp4", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-c.exited:
			return errors.New(strings.TrimSpace(c.stderr.last()))
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return fmt.Errorf("nobody listens on port %d after %s", port, patience)
}

// place is where a figure is measured.
type place struct {
	url      string
	pid      int
	progress func(string)
}

// loader runs a scenario of this program in a process of its own, on the client's CPU.
func (n *numbers) loader(ctx context.Context, p place, atMost time.Duration, scenario string, flags ...string) (*Result, error) {
	argv := append(slices.Clone(n.self), scenario, "--url", p.url, "--pid", strconv.Itoa(p.pid), "--json")
	c, err := n.launcher.start(n.launcher.cpu(1), append(argv, flags...), p.progress)
	if err != nil {
		return nil, err
	}
	defer c.stop(os.Kill)
	return c.result(ctx, atMost+childSlack)
}

// serverArgs is the command of the server under test.
func serverArgs(command, flags string) ([]string, error) {
	if command == "none" {
		return nil, nil
	}
	if command == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("this program's own path: %w", err)
		}
		argv := []string{self, "serve", "--listen", "127.0.0.1:PORT", "--loops", "1", "--admin=", "--idle-timeout", "0"}
		return append(argv, strings.Fields(flags)...), nil
	}
	if !strings.Contains(command, "PORT") {
		return nil, fmt.Errorf("--server %q: want the word PORT where the port goes", command)
	}
	return append(strings.Fields(command), strings.Fields(flags)...), nil
}
