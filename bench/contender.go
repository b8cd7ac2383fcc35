package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// contender is a server that figures are measured on.
type contender struct {
	name string
	argv []string // ADDR and PORT in it where it should listen
	dir  string   // where it is started; "": here
	url  string   // with ADDR and PORT
	most int      // connections that it can hold; 0: as many as one likes
	peer bool     // somebody else's: when it fails the rest goes on without it
	out  string   // why it is not tried any more
}

// The contenders that are always known: the yardstick in its two forms, and the server under test.
const (
	barePlain = "plain"
	bareBatch = "batch"
	throng    = "throng"
)

const (
	contenderAddr = "127.0.0.1"
	contenderURL  = "ws://ADDR:PORT/"
)

// yardsticks are the bare server in its two forms; self is how this program is started for one of its scenarios.
func yardsticks(self []string) []*contender {
	ideal := func(name string, more ...string) *contender {
		argv := append(append([]string{}, self...), "ideal", "--listen", "ADDR:PORT")
		return &contender{name: name, argv: append(argv, more...), url: contenderURL}
	}
	return []*contender{ideal(barePlain), ideal(bareBatch, "--batch")}
}

// underTest is the server under test: this program's serve, or another command; nil for "none".
func underTest(command, flags string, where placement) (*contender, error) {
	c := &contender{name: throng, url: contenderURL}
	switch {
	case command == "none":
		return nil, nil
	case command == "":
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("this program's own path: %w", err)
		}
		c.argv = []string{self, "serve", "--listen", "ADDR:PORT", "--admin=", "--idle-timeout", "0"}
		if where == coresOwn {
			c.argv = append(c.argv, "--loops", "1")
		}
	case !strings.Contains(command, "PORT"):
		return nil, fmt.Errorf("--server %q: want the word PORT where the port goes", command)
	default:
		c.argv = strings.Fields(command)
	}
	c.argv = append(c.argv, strings.Fields(flags)...)
	return c, nil
}

// listening starts the contender on a free port, and returns once it takes connections there.
func (c *contender) listening(ctx context.Context, l *launcher, cpu int) (s *child, url string, err error) {
	port, err := freePort()
	if err != nil {
		return nil, "", err
	}
	filled := strings.NewReplacer("ADDR", contenderAddr, "PORT", strconv.Itoa(port))
	o := order{dir: c.dir, cpu: cpu}
	for _, word := range c.argv {
		o.argv = append(o.argv, filled.Replace(word))
	}
	s, err = l.launch(o)
	if err != nil {
		return nil, "", err
	}
	if err := s.awaitListening(ctx, port); err != nil {
		s.stop(unix.SIGKILL)
		return nil, "", fmt.Errorf("%s did not start: %w", c.name, err)
	}
	return s, filled.Replace(c.url), nil
}

// freePort finds a port that nobody listens on.
func freePort() (int, error) {
	l, err := net.Listen("tcp4", contenderAddr+":0")
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
		conn, err := net.DialTimeout("tcp4", net.JoinHostPort(contenderAddr, strconv.Itoa(port)), time.Second)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-c.exited:
			if said := strings.TrimSpace(c.stderr.last()); said != "" {
				return errors.New(said)
			}
			return fmt.Errorf("it ended at once: %v", c.cmd.ProcessState)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return fmt.Errorf("nobody listens on port %d after %s", port, patience)
}
