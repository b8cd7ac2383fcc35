package bench

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// HandshakesCmd measures accepted handshakes.
type HandshakesCmd struct {
	URL        string        `name:"url" help:"Server, as ws://HOST:PORT/PATH." required:"" placeholder:"URL"`
	Concurrent int           `help:"Handshakes under way at a time." default:"100"`
	For        time.Duration `help:"How long to measure." default:"5s"`
	Warmup     time.Duration `help:"How long to run before." default:"1s"`
	Output     `embed:""`
}

// Run measures and prints.
func (c *HandshakesCmd) Run() error {
	return c.report(func(ctx context.Context) (*Result, error) {
		return Handshakes{URL: c.URL, Concurrent: c.Concurrent, For: c.For, Warmup: c.Warmup, PID: c.PID, Progress: plainProgress}.Run(ctx)
	})
}

// IdleCmd measures the memory of connections that say nothing.
type IdleCmd struct {
	URL    string        `name:"url" help:"Server, as ws://HOST:PORT/PATH." required:"" placeholder:"URL"`
	Conns  int           `help:"Connections in the end." default:"19000"`
	Base   int           `help:"Connections at the first look." default:"10000"`
	Settle time.Duration `help:"Time to wait before each look." default:"10s"`
	Output `embed:""`
}

// Run measures and prints.
func (c *IdleCmd) Run() error {
	return c.report(func(ctx context.Context) (*Result, error) {
		return Idle{URL: c.URL, Base: c.Base, Conns: c.Conns, Settle: c.Settle, PID: c.PID, Progress: plainProgress}.Run(ctx)
	})
}

// FairnessCmd measures a pair beside a flood.
type FairnessCmd struct {
	URL     string        `name:"url" help:"Server, as ws://HOST:PORT/; the rooms are /rooms/flood and /rooms/pair." required:"" placeholder:"URL"`
	Conns   int           `help:"Receivers in the flooded room." default:"15000"`
	Senders int           `help:"How many of them flood it." default:"10"`
	Window  int           `help:"Messages that each of them has under way; it sends the next when one came back." default:"100"`
	Payload int           `help:"Bytes of a message, 28 or more." default:"32"`
	For     time.Duration `help:"How long to measure." default:"10s"`
	Words   []string      `kong:"-"` // what comes before a scenario's name on this program's command line; default bench
	Output  `embed:""`
}

// Run measures and prints. The pair runs at priority -5, or --nice.
func (c *FairnessCmd) Run() error {
	self, err := selfCommand(c.Words)
	if err != nil {
		return err
	}
	l, err := newLauncher()
	if err != nil {
		return err
	}
	defer l.close()
	nice := c.Nice
	if c.Nice == 0 {
		nice = pairNice
	}
	c.Nice = 0
	return c.report(func(ctx context.Context) (*Result, error) {
		return Fairness{
			URL: c.URL, Conns: c.Conns, Senders: c.Senders, Window: c.Window, Payload: c.Payload, For: c.For,
			PID: c.PID, Self: self, CPU: anyCPU, Nice: nice, Progress: plainProgress,
		}.Run(ctx, l)
	})
}

// NumbersCmd prints the table.
type NumbersCmd struct {
	Server      string   `help:"Command of the server under test, PORT in it where the port goes; none: the yardstick alone. Default: this program's serve." placeholder:"COMMAND"`
	ServerFlags string   `help:"More flags for it." placeholder:"FLAGS"`
	Only        []string `help:"Only these figures: ${enum}." enum:"in-flight-10,in-flight-400,open,echo,handshakes,idle,fairness" placeholder:"NAME"`
	Rounds      int      `help:"Rounds, interleaved; the table has their medians." default:"3"`
	Short       bool     `help:"One short round: an impression, not a measurement."`
	JSON        bool     `help:"Print the table and every run as JSON."`
	Words       []string `kong:"-"` // what comes before a scenario's name on this program's command line; default bench
}

// Run measures and prints the table.
func (c *NumbersCmd) Run() error {
	if c.Rounds < 1 {
		return fmt.Errorf("--rounds %d: want 1 or more", c.Rounds)
	}
	self, err := selfCommand(c.Words)
	if err != nil {
		return err
	}
	server, err := serverArgs(c.Server, c.ServerFlags)
	if err != nil {
		return err
	}
	l, err := newLauncher()
	if err != nil {
		return err
	}
	defer l.close()
	show := newProgress(os.Stderr)
	n := &numbers{launcher: l, self: self, throng: server, rounds: c.Rounds, short: c.Short, progress: show.line}
	if c.Short {
		n.rounds = 1
	}
	chosen := slices.DeleteFunc(figures(c.Short), func(f figure) bool { return len(c.Only) > 0 && !slices.Contains(c.Only, f.name) })
	ctx, cancel := interrupted()
	defer cancel()
	err = n.measure(ctx, chosen)
	show.end()
	if err != nil {
		return err
	}
	t := n.table(chosen)
	if len(l.cpus) < 2 {
		t.Notes = append(t.Notes, "one CPU only: server and client shared it")
	}
	return t.write(os.Stdout, c.JSON)
}

// selfCommand is how this program is started for one of its scenarios.
func selfCommand(words []string) ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("this program's own path: %w", err)
	}
	if words == nil {
		words = []string{"bench"}
	}
	return append([]string{self}, words...), nil
}

func plainInto(line func(string)) func(string, ...any) {
	return func(format string, a ...any) { line(fmt.Sprintf(format, a...)) }
}

// progress shows what goes on: one line rewritten on a terminal, else a line each.
type progress struct {
	mu    sync.Mutex
	out   *os.File
	width int // of the terminal; 0: none
}

func newProgress(out *os.File) *progress {
	p := &progress{out: out}
	if term.IsTerminal(int(out.Fd())) {
		p.width = 80
		if w, _, err := term.GetSize(int(out.Fd())); err == nil && w > 0 {
			p.width = w
		}
	}
	return p
}

func (p *progress) line(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.width == 0 {
		fmt.Fprintln(p.out, text)
		return
	}
	text, _, _ = strings.Cut(text, "\n")
	fmt.Fprintf(p.out, "\r\x1b[K%.*s", p.width-1, text)
}

func (p *progress) end() {
	if p.width > 0 {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
