package bench

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// contender is a server that figures are measured on.
type contender struct {
	name string
	argv []string // ADDR and PORT in it where it should listen, DIR where a folder for it alone goes
	dir  string   // where it is started; "": here
	url  string   // with ADDR and PORT
	most int      // connections that it can hold; 0: as many as one likes
	ours bool     // what its runs say of themselves is told
	peer bool     // somebody else's: when it fails the rest goes on without it
	out  string   // why it is not tried any more
}

// The contenders that are always known: the yardstick in its two forms, and the server under test.
const (
	barePlain = "plain"
	bareBatch = "batch"
	throng    = "throng"
)

// dirWord stands for a folder that is made for the server and removed after it.
const dirWord = "DIR"

const contenderURL = "ws://ADDR:PORT/"

var contenderIP = netip.AddrFrom4([4]byte{127, 0, 0, 1})

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
	c := &contender{name: throng, url: contenderURL, ours: true}
	switch {
	case command == "none":
		return nil, nil
	case command == "":
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("this program's own path: %w", err)
		}
		c.argv = []string{self, "serve", "--listen", "ADDR:PORT", "--admin=", "--idle-timeout", "0", "--record", "none"}
		c.argv = append(c.argv, "--loops", strconv.Itoa(where.loops()))
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
	at, err := freeAddr(contenderIP)
	if err != nil {
		return nil, "", err
	}
	o := order{dir: c.dir, cpu: cpu}
	if slices.Contains(c.argv, dirWord) {
		if o.temp, err = os.MkdirTemp("", "throng-bench-"); err != nil {
			return nil, "", err
		}
	}
	filled := strings.NewReplacer("ADDR", at.Addr().String(), "PORT", strconv.Itoa(int(at.Port())), dirWord, o.temp)
	for _, word := range c.argv {
		o.argv = append(o.argv, filled.Replace(word))
	}
	s, err = l.launch(o)
	if err != nil {
		_ = os.RemoveAll(o.temp)
		return nil, "", err
	}
	const patience = 10 * time.Second
	if err := s.listens(ctx, at, patience); err != nil {
		s.stop(unix.SIGKILL)
		return nil, "", fmt.Errorf("%s did not start: %w", c.name, err)
	}
	return s, filled.Replace(c.url), nil
}
