package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// launcher starts the processes of a run. It keeps one thread for itself: a child inherits the CPUs of the thread
// that starts it, and dies by the kernel's hand when that thread does, so that nothing outlives a run that was killed.
type launcher struct {
	asks chan func()
	all  unix.CPUSet
	cpus []int // those this process may use
}

func newLauncher() (*launcher, error) {
	l := &launcher{asks: make(chan func())}
	if err := unix.SchedGetaffinity(0, &l.all); err != nil {
		return nil, fmt.Errorf("the CPUs of this process: %w", err)
	}
	l.cpus = ownCPUs()
	go func() {
		runtime.LockOSThread()
		for ask := range l.asks {
			ask()
		}
	}()
	return l, nil
}

func (l *launcher) close() { close(l.asks) }

// cpu is the n-th CPU that may be used, or the last.
func (l *launcher) cpu(n int) int { return l.cpus[min(n, len(l.cpus)-1)] }

const anyCPU = -1

// order is what to start, and where.
type order struct {
	argv []string
	dir  string // "": here
	temp string // removed once it has been stopped; "": nothing
	cpu  int    // the only one it may use, or anyCPU
	// progress is told each line of its standard error; nil: nobody.
	progress func(string)
}

// child is a started process.
type child struct {
	cmd     *exec.Cmd
	temp    string
	stdout  bytes.Buffer
	stderr  lineWriter
	exited  chan struct{}
	err     error // valid once exited is closed
	sending chan struct{}
}

// lineWriter keeps the last lines of a process's standard error, and passes each on.
type lineWriter struct {
	mu   sync.Mutex
	rest []byte
	tail []string
	line func(string)
}

func (w *lineWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rest = append(w.rest, b...)
	for {
		line, rest, ok := bytes.Cut(w.rest, []byte("\n"))
		if !ok {
			return len(b), nil
		}
		const keep = 5
		w.tail = append(w.tail[max(0, len(w.tail)-keep+1):], string(line))
		w.line(string(line))
		w.rest = rest
	}
}

func (w *lineWriter) last() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(append(w.tail, string(w.rest)), "\n")
}

// start runs argv on one CPU (Go programs with one thread of Go code), or on any.
func (l *launcher) start(cpu int, argv []string, progress func(string)) (*child, error) {
	return l.launch(order{argv: argv, cpu: cpu, progress: progress})
}

// launch starts a process in a group of its own, which what it starts in turn belongs to as well.
func (l *launcher) launch(o order) (*child, error) {
	c := &child{cmd: exec.Command(o.argv[0], o.argv[1:]...), temp: o.temp, exited: make(chan struct{}), sending: make(chan struct{})}
	var once sync.Once
	c.stderr.line = func(line string) {
		if strings.HasSuffix(line, progressSending[len("%d"):]) {
			once.Do(func() { close(c.sending) })
		}
		if o.progress != nil {
			o.progress(line)
		}
	}
	c.cmd.Dir, c.cmd.Stdout, c.cmd.Stderr = o.dir, &c.stdout, &c.stderr
	c.cmd.WaitDelay = pipesLeft
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	set := l.all
	if o.cpu != anyCPU {
		set = unix.CPUSet{}
		set.Set(o.cpu)
		c.cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	}
	if err := l.begin(c.cmd, set); err != nil {
		return nil, fmt.Errorf("start %s: %w", o.argv[0], err)
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.exited)
	}()
	return c, nil
}

// begin starts a command from the launcher's thread, on these CPUs.
func (l *launcher) begin(cmd *exec.Cmd, on unix.CPUSet) error {
	started := make(chan error)
	l.asks <- func() {
		err := unix.SchedSetaffinity(0, &on)
		if err == nil {
			err = cmd.Start()
		}
		started <- err
	}
	return <-started
}

// pipesLeft is how long a process that has ended may leave its output open to what it started.
const pipesLeft = time.Second

// stop asks the process and what it started to end, and ends what does not.
func (c *child) stop(sig os.Signal) {
	const patience = 3 * time.Second
	group := -c.cmd.Process.Pid
	defer func() {
		_ = unix.Kill(group, unix.SIGKILL)
		if c.temp != "" {
			_ = os.RemoveAll(c.temp)
		}
	}()
	select {
	case <-c.exited:
		return
	default:
	}
	_ = unix.Kill(group, sig.(syscall.Signal))
	select {
	case <-c.exited:
	case <-time.After(patience):
		_ = unix.Kill(group, unix.SIGKILL)
		<-c.exited
	}
}

// listens returns once the process takes connections there.
func (c *child) listens(ctx context.Context, at netip.AddrPort, patience time.Duration) error {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		conn, err := net.DialTimeout("tcp", at.String(), time.Second)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-c.exited:
			return errors.New(c.lastWords())
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
	return fmt.Errorf("nobody listens on %s after %s", at, patience)
}

// lastWords is what a process that has ended said last.
func (c *child) lastWords() string {
	if said := strings.TrimSpace(c.stderr.last()); said != "" {
		return said
	}
	return fmt.Sprintf("it said nothing: %v", c.cmd.ProcessState)
}

// pids are the process and what it started that still runs.
func (c *child) pids() []int {
	own := c.cmd.Process.Pid
	all := []int{own}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return all
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == own {
			continue
		}
		if group, err := unix.Getpgid(pid); err == nil && group == own {
			all = append(all, pid)
		}
	}
	return all
}

// result waits for a loader to end and reads what it reports.
func (c *child) result(ctx context.Context, atMost time.Duration) (*Result, error) {
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	select {
	case <-c.exited:
	case <-ctx.Done():
		c.stop(os.Interrupt)
		return nil, fmt.Errorf("the loader did not end: %w", context.Cause(ctx))
	}
	if c.err != nil {
		return nil, errors.New(strings.TrimSpace(c.stderr.last()))
	}
	var r Result
	if err := json.NewDecoder(io.Reader(&c.stdout)).Decode(&r); err != nil {
		return nil, fmt.Errorf("the loader's report: %w", err)
	}
	return &r, nil
}
