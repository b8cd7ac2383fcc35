package bench

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"time"
)

// Fairness measures two people in a small room while a large one is flooded beside them. Flood and pair are
// processes of their own: a pair that waits behind its own client's work would say nothing of the server.
type Fairness struct {
	URL     string // the server; the rooms are /rooms/flood and /rooms/pair
	Conns   int    // in the flooded room
	Senders int
	Window  int // messages that each flooder has under way: as fast as the server hands them back
	Payload int
	For     time.Duration
	PID     int
	Self    []string // the command of this program that the scenarios' names follow
	CPU     int      // for both client processes, or anyCPU
	Nice    int      // of the pair
	// Progress is told what the two say.
	Progress func(string, ...any)
}

const (
	floodBuildUp = time.Second // between the flood's first message and the pair's
	childSlack   = time.Minute // for connecting and draining
	pairRate     = 100         // messages a second of each of the two
)

// Run floods, lets the pair talk, and reports the flood with the pair in it.
func (cfg Fairness) Run(ctx context.Context, l *launcher) (*Result, error) {
	base, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("url %q: %w", cfg.URL, err)
	}
	room := func(name string) string { u := *base; u.Path = "/rooms/" + name; return u.String() }
	said := func(line string) {
		if cfg.Progress != nil {
			cfg.Progress("%s", line)
		}
	}
	flood, err := l.start(cfg.CPU, cfg.command("broadcast", room("flood"), cfg.Conns, cfg.Senders,
		"--in-flight", strconv.Itoa(cfg.Senders*cfg.Window), "--for", (cfg.For+childSlack).String(), "--warmup", "0s",
		"--pid", strconv.Itoa(cfg.PID)), said)
	if err != nil {
		return nil, err
	}
	defer flood.stop(os.Kill)
	select {
	case <-flood.sending:
	case <-flood.exited:
		_, err := flood.result(ctx, time.Second)
		return nil, fmt.Errorf("the flood ended early: %w", err)
	case <-time.After(childSlack):
		return nil, fmt.Errorf("the flood's %d connections were not open within %s", cfg.Conns, childSlack)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	time.Sleep(floodBuildUp)
	pair, err := l.start(cfg.CPU, cfg.command("open", room("pair"), 2, 2,
		"--rate", strconv.Itoa(pairRate), "--for", cfg.For.String(), fmt.Sprintf("--nice=%d", cfg.Nice)), said)
	if err != nil {
		return nil, err
	}
	defer pair.stop(os.Kill)
	two, err := pair.result(ctx, cfg.For+childSlack)
	if err != nil {
		return nil, fmt.Errorf("the pair: %w", err)
	}
	_ = flood.cmd.Process.Signal(os.Interrupt)
	r, err := flood.result(ctx, childSlack)
	if err != nil {
		return nil, fmt.Errorf("the flood: %w", err)
	}
	r.Scenario, r.Pair = "fairness", two
	return r, nil
}

func (cfg Fairness) command(scenario, url string, conns, senders int, more ...string) []string {
	argv := append(append([]string{}, cfg.Self...), scenario, "--url", url, "--json",
		"--conns", strconv.Itoa(conns), "--senders", strconv.Itoa(senders), "--payload", strconv.Itoa(cfg.Payload))
	return append(argv, more...)
}
