package bench

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"throng/bench/report"
)

// Rooms is a load on many rooms, and beside them a large one that is flooded.
type Rooms struct {
	Load
	Flood        int // receivers in the large room; 0: there is none
	FloodSenders int
	FloodWindow  int // messages that each flooder has under way
	PairNice     int // priority of the rooms' client beside a flood
}

const (
	floodBuildUp = time.Second // between the flood's first message and the rooms'
	childSlack   = time.Minute // for connecting and draining
)

// Run loads the rooms, and beside them floods a large one if that is wanted. The flood is a process of its own: rooms
// that wait behind their own client's work would say nothing of the server.
func (cfg Rooms) Run(ctx context.Context) (*report.Result, error) {
	if cfg.Rooms < 1 {
		return nil, fmt.Errorf("--rooms %d: want at least 1", cfg.Rooms)
	}
	if cfg.Flood == 0 {
		return cfg.Load.Run(ctx)
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	l, err := newLauncher()
	if err != nil {
		return nil, err
	}
	defer l.close()
	flood, err := cfg.startFlood(ctx, l)
	if err != nil {
		return nil, err
	}
	defer flood.stop(os.Kill)
	cancel := context.AfterFunc(ctx, func() { _ = flood.cmd.Process.Signal(os.Interrupt) })
	defer cancel()
	refused := renice(cfg.PairNice) // not before: the flood would have inherited it
	r, err := cfg.Load.Run(ctx)
	if err != nil {
		return nil, err
	}
	if refused != nil {
		r.Notes = append(r.Notes, "priority as it was: "+refused.Error())
	}
	if cancel() {
		_ = flood.cmd.Process.Signal(os.Interrupt)
	}
	if r.Flood, err = flood.result(context.WithoutCancel(ctx), childSlack); err != nil {
		return nil, fmt.Errorf("the flood: %w", err)
	}
	r.ServerEach = 0 // the server works for the flood
	r.Flood.Scenario = "flood"
	r.Flood.Notes = withoutEarly(r.Flood.Notes)
	return r, nil
}

func (cfg *Rooms) check() error {
	switch {
	case cfg.Flood < 0:
		return fmt.Errorf("--flood %d: want 0 or more", cfg.Flood)
	case cfg.FloodSenders < 1 || cfg.FloodSenders > cfg.Flood:
		return fmt.Errorf("--flood-senders %d: want 1 to %d, the receivers of the flood", cfg.FloodSenders, cfg.Flood)
	case cfg.FloodWindow < 1:
		return fmt.Errorf("--flood-window %d: want 1 or more", cfg.FloodWindow)
	}
	return cfg.Load.check()
}

// withoutEarly leaves out that the flood was ended: that is how it ends.
func withoutEarly(notes []string) (kept []string) {
	for _, n := range notes {
		if n != noteEarly {
			kept = append(kept, n)
		}
	}
	return kept
}

// startFlood returns once the large room is flooded.
func (cfg *Rooms) startFlood(ctx context.Context, l *launcher) (*child, error) {
	argv, err := cfg.floodCommand()
	if err != nil {
		return nil, err
	}
	flood, err := l.start(anyCPU, argv, func(line string) {
		if cfg.Progress != nil {
			cfg.Progress("flood: " + line)
		}
	})
	if err != nil {
		return nil, err
	}
	select {
	case <-flood.sending:
		select {
		case <-time.After(floodBuildUp):
		case <-ctx.Done():
		}
		return flood, nil
	case <-flood.exited:
		_, err = flood.result(ctx, time.Second)
		err = fmt.Errorf("the flood ended early: %w", err)
	case <-time.After(childSlack):
		err = fmt.Errorf("the flood's %d connections were not open within %s", cfg.Flood, childSlack)
	case <-ctx.Done():
		err = errStopped
	}
	flood.stop(os.Kill)
	return nil, err
}

// floodCommand is the closed loop in the room "flood", for as long as the rooms may take.
func (cfg *Rooms) floodCommand() ([]string, error) {
	argv := cfg.self
	if argv == nil {
		var err error
		if argv, err = selfCommand(nil); err != nil {
			return nil, err
		}
	}
	path := cfg.Path
	if path == "" {
		path = defaultRoomPath
	}
	argv = append(argv[:len(argv):len(argv)], "broadcast", "--json", "--url", cfg.URL[0], "--path", strings.ReplaceAll(path, roomWord, "flood"),
		"--conns", strconv.Itoa(cfg.Flood), "--senders", strconv.Itoa(cfg.FloodSenders), "--in-flight", strconv.Itoa(cfg.FloodSenders*cfg.FloodWindow),
		"--payload", strconv.Itoa(cfg.Payload), "--warmup", "0s", "--for", (cfg.Warmup + cfg.For + 2*childSlack).String())
	for _, one := range [][2]string{{"--subprotocol", cfg.Subprotocol}, {"--hello", cfg.Hello}, {"--prefix", cfg.Prefix}, {"--suffix", cfg.Suffix}, {"--ack", cfg.Ack}} {
		if one[1] != "" {
			argv = append(argv, one[0]+"="+one[1])
		}
	}
	if cfg.Text {
		argv = append(argv, "--text")
	}
	for _, pid := range cfg.PID {
		argv = append(argv, "--pid", strconv.Itoa(pid))
	}
	return argv, nil
}
