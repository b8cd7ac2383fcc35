package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// numbers runs every figure against every contender that it is asked of, round by round: what the machine does in the
// meantime then falls on all of them alike. Medians of the rounds make the tables.
type numbers struct {
	launcher *launcher
	self     []string // this program, up to a scenario's name
	field    []*contender
	lines    []row    // of the table
	columns  []string // what it calls the two servers of a line; none: bare and throng
	where    placement
	rounds   int
	progress func(string)
	runs     map[runKey][]run
	took     map[string]time.Duration // the last run of each figure
	notes    []string                 // what was left out, and why
}

type runKey struct {
	figure, server string
}

// run is one contender's result in one round, or why there is none.
type run struct {
	result *Result
	err    error
	steal  float64 // share of the machine that the hypervisor kept
	others float64 // share that processes not of this run took
}

// placement is who runs on which cores.
type placement string

const (
	// coresOwn: the server has one core and the client another, so that neither takes the other's.
	coresOwn placement = "own"
	// coresShared: both use all there are, as deployed.
	coresShared placement = "shared"
)

// loops is how many loops a throng gets: as many as it has cores for itself. Where client and server share all, half of them are the client's: a loop for
// each core would only take turns with it.
func (p placement) loops() int {
	if p == coresShared {
		return max(1, runtime.NumCPU()/2)
	}
	return 1
}

func (n *numbers) serverCPU() int {
	if n.where == coresShared {
		return anyCPU
	}
	return n.launcher.cpu(0)
}

func (n *numbers) clientCPU() int {
	if n.where == coresShared {
		return anyCPU
	}
	return n.launcher.cpu(1)
}

// String says it in the head of a table.
func (p placement) String() string {
	if p == coresShared {
		return "server and client share all cores"
	}
	return "server on one core, client on another"
}

// turn is one run that is to come.
type turn struct {
	round  int
	figure figure
	server *contender
}

// turns lists what is to be run, in its order.
func (n *numbers) turns(figures []figure) (all []turn) {
	for round := range n.rounds {
		for _, f := range figures {
			for _, c := range n.field {
				if f.asks(c.name) && (f.conns <= c.most || c.most == 0) {
					all = append(all, turn{round, f, c})
				}
			}
		}
	}
	return all
}

func (n *numbers) measure(ctx context.Context, figures []figure) error {
	n.runs, n.took = make(map[runKey][]run), make(map[string]time.Duration)
	n.noteTooMany(figures)
	all := n.turns(figures)
	for i, t := range all {
		key := runKey{t.figure.name, t.server.name}
		if t.server.out != "" || t.server.peer && failedAlways(n.runs[key]) {
			continue
		}
		where := fmt.Sprintf("round %d of %d, %s left: %s, %s", t.round+1, n.rounds, n.left(all[i:]), t.figure.name, t.server.name)
		n.progress(where)
		began := time.Now()
		one := n.one(ctx, t.figure, t.server, func(line string) { n.progress(where + ": " + line) })
		if ctx.Err() != nil {
			return errors.New("stopped")
		}
		if one.err != nil {
			n.progress(where + ": " + one.err.Error())
		} else {
			n.took[t.figure.name] = time.Since(began)
		}
		n.runs[key] = append(n.runs[key], one)
	}
	return nil
}

// noteTooMany says which figures a contender is left out of.
func (n *numbers) noteTooMany(figures []figure) {
	for _, c := range n.field {
		for _, f := range figures {
			if f.asks(c.name) && c.most > 0 && f.conns > c.most {
				n.notes = append(n.notes, fmt.Sprintf("%s, %s: left out, it holds %d connections at most and this takes %d", f.name, c.name, c.most, f.conns))
			}
		}
	}
}

// failedAlways: whoever failed the first time is not waited for again.
func failedAlways(runs []run) bool {
	return len(runs) > 0 && !slices.ContainsFunc(runs, func(r run) bool { return r.err == nil })
}

// left estimates how long the turns take: as long as the last of the same figure, or as was expected.
func (n *numbers) left(turns []turn) time.Duration {
	var sum time.Duration
	for _, t := range turns {
		if t.server.out != "" {
			continue
		}
		if took, ok := n.took[t.figure.name]; ok {
			sum += took
		} else {
			sum += t.figure.atMost + startAndEnd
		}
	}
	return sum.Round(time.Second)
}

const (
	startAndEnd = 3 * time.Second // of a server and a loader, as a guess
	loaderSlack = time.Minute     // for connecting and draining
)

// one starts a server, measures one figure on it, and ends it.
func (n *numbers) one(ctx context.Context, f figure, c *contender, progress func(string)) run {
	s, url, err := c.listening(ctx, n.launcher, n.serverCPU())
	if err != nil {
		if c.peer {
			c.out = err.Error()
		}
		return run{err: err}
	}
	defer s.stop(unix.SIGTERM)
	before := usage(s)
	r, err := n.load(ctx, f, url, s.pids(), progress)
	one := run{result: r, err: err}
	one.steal, one.others = before.until(usage(s))
	return one
}

// load runs the figure's scenario of this program in a process of its own.
func (n *numbers) load(ctx context.Context, f figure, url string, pids []int, progress func(string)) (*Result, error) {
	argv := append(slices.Clone(n.self), f.scenario...)
	argv = append(argv, "--url", url, "--json")
	for _, pid := range pids {
		argv = append(argv, "--pid", strconv.Itoa(pid))
	}
	c, err := n.launcher.start(n.clientCPU(), argv, progress)
	if err != nil {
		return nil, err
	}
	defer c.stop(os.Kill)
	return c.result(ctx, f.atMost+loaderSlack)
}
