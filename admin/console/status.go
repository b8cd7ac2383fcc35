package console

import (
	"context"
	"fmt"
	"time"

	"throng/admin"
)

// StatusCmd shows how a node is.
type StatusCmd struct {
	Target
	Watch time.Duration `placeholder:"EVERY" help:"Show it again and again, such as every 1s, until Ctrl-C."`
}

// watchLeast keeps a watch from being a load.
const watchLeast = 100 * time.Millisecond

// Validate says what is wrong with the flags.
func (c *StatusCmd) Validate() error {
	if c.Watch < 0 || c.Watch > 0 && c.Watch < watchLeast {
		return fmt.Errorf("--watch %s is too often; allowed: %s and more", c.Watch, watchLeast)
	}
	return nil
}

// Run does it.
func (c *StatusCmd) Run(s *Screen) error {
	node, err := c.connect()
	if err != nil {
		return err
	}
	ctx, cancel := interrupted()
	defer cancel()
	for first := true; ; first = false {
		status, err := ask(ctx, node)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		switch {
		case c.JSON && c.Watch == 0:
			return s.json(status)
		case c.JSON:
			err = s.json(status)
		case c.Watch > 0 && s.Terminal:
			fmt.Fprint(s.Out, "\x1b[H\x1b[2J")
		case !first:
			s.print("")
		}
		if err != nil {
			return err
		}
		if !c.JSON {
			showStatus(s, &status)
		}
		if c.Watch == 0 {
			return nil
		}
		select {
		case <-time.After(c.Watch):
		case <-ctx.Done():
			return nil
		}
	}
}

func ask(ctx context.Context, node *client) (admin.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	return get[admin.Status](ctx, node, "status", nil)
}

func showStatus(s *Screen, st *admin.Status) {
	row := func(name, format string, args ...any) {
		s.print("%s", fit(fmt.Sprintf("%-12s", name)+escaped(fmt.Sprintf(format, args...)), s.Width))
	}
	ready := "ready"
	if !st.Ready {
		ready = "not ready: " + st.Why
	}
	row("node", "%s, pid %d, %v", st.Node, st.PID, st.Listen)
	row("version", "throng %s, %s, gnet %s", st.Versions.Throng, st.Versions.Go, st.Versions.Gnet)
	row("up", "%s, %s", span(st.Uptime), ready)
	row("connections", "%s of at most %s; %s lagging, %s paused; %s", count(st.Connections.Open), count(st.Connections.Ceiling),
		count(st.Connections.Lagging), count(st.Connections.Paused), plural(st.Connections.Rooms, "room"))
	r := &st.Rates
	row("a second", "%s messages, %s deliveries, %s handshakes, %s closes", rate(r.Messages), rate(r.Deliveries), rate(r.Handshakes), rate(r.Closes))
	row("", "%s received, %s sent", size(r.BytesIn), size(r.BytesOut))
	row("lag", "loops %s, at most %s; oldest unsent byte %s", span(st.Lag.Loop), span(st.Lag.LoopMax), span(st.Lag.Oldest))
	memory := fmt.Sprintf("%s in use", size(st.Memory.InUse))
	if st.Memory.Mark > 0 {
		memory += fmt.Sprintf(", %s of the mark of %s", share(float64(st.Memory.InUse), float64(st.Memory.Mark)), size(st.Memory.Mark))
	}
	buffers := size(st.Memory.Buffers)
	if st.Memory.BuffersMax > 0 {
		buffers += " of " + size(st.Memory.BuffersMax)
	}
	row("memory", "%s; logs and buffers %s", memory, buffers)
	row("gc", "%s collections, %s of CPU time, last pause %s, heap %s", count(st.GC.Cycles), share(st.GC.CPU, 1), span(st.GC.LastPause), size(st.GC.Heap))
	for i, l := range st.Loops {
		blocked := ""
		if l.Blocked {
			blocked = ", BLOCKED"
		}
		row(fmt.Sprintf("loop %d", i), "%s open, %s lagging, lag at most %s%s", count(l.Open), count(l.Lagging), span(l.LagMax), blocked)
	}
	if st.Drain != nil {
		row("drain", "%s", progressText(*st.Drain))
	}
	if st.Shed != nil {
		row("shed", "%s", progressText(*st.Shed))
	}
	if len(st.Restart) > 0 {
		row("restart", "is needed for %v", st.Restart)
	}
}
