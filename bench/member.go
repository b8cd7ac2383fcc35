package bench

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
)

// member is one worker: a process, or a goroutine of this one.
type member struct {
	n     int
	to    io.WriteCloser
	cmd   *exec.Cmd // nil: in this process
	tail  lineWriter
	ended chan struct{} // closed when it has ended, and all of its words have been passed on
}

// news is what a member said, or why it says nothing more.
type news struct {
	from int
	message
	err error
}

// here runs the worker in this process.
func (m *member) here(held func(int)) io.Reader {
	commands, to := io.Pipe()
	from, answers := io.Pipe()
	m.to = to
	go serveWorker(commands, answers, held)
	return from
}

// process runs the worker in a process of its own.
func (m *member) process(l *launcher, self []string) (io.Reader, error) {
	var err error
	if self == nil {
		if self, err = selfCommand(nil); err != nil {
			return nil, err
		}
	}
	m.cmd = exec.Command(self[0], append(self[1:len(self):len(self)], "worker")...)
	// In a group of its own: Ctrl-C is for the coordinator, who wants to hear from its workers what they have.
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	m.tail.line = func(string) {}
	m.cmd.Stderr = &m.tail
	from, err := m.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("a worker: %w", err)
	}
	if m.to, err = m.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("a worker: %w", err)
	}
	if err := l.begin(m.cmd, l.all); err != nil {
		return nil, fmt.Errorf("start a worker (%s): %w", self[0], err)
	}
	return from, nil
}

// tell gives a member a command. One that has ended is known from what it says no more.
func (m *member) tell(c command) {
	b, err := json.Marshal(c)
	if err != nil {
		panic(err) // our own types
	}
	_, _ = m.to.Write(append(b, '\n'))
}

// listen passes on what a member says.
func (c *crew) listen(m *member, from io.Reader) {
	defer close(m.ended)
	d := json.NewDecoder(bufio.NewReader(from))
	for {
		n := news{from: m.n}
		if n.err = d.Decode(&n.message); n.err != nil && m.cmd != nil {
			_, _ = io.Copy(io.Discard, from)
			err := m.cmd.Wait()
			if err == nil {
				err = errors.New("it said no more")
			}
			n.err = fmt.Errorf("process %d ended: %w %s", m.cmd.Process.Pid, err, strings.TrimSpace(m.tail.last()))
		}
		select {
		case c.news <- n:
		case <-c.over:
			if n.err == nil {
				continue
			}
		}
		if n.err != nil {
			return
		}
	}
}
