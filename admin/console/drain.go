package console

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"throng/admin"
)

// DrainCmd stops a node.
type DrainCmd struct {
	Target
	Delay  *time.Duration `placeholder:"TIME" help:"Be not ready for this long first, still accepting; by default as --drain-delay was set."`
	Time   *time.Duration `placeholder:"TIME" help:"Spread the closing over this long; by default as --drain-time was set."`
	NoWait bool           `help:"Begin it and do not wait until it is done."`
}

// Run does it.
func (c *DrainCmd) Run(s *Screen) error {
	node, err := c.connect()
	if err != nil {
		return err
	}
	ctx, cancel := interrupted()
	defer cancel()
	before, err := ask(ctx, node)
	if err != nil {
		return err
	}
	last, err := follow(ctx, s, node, c.JSON, c.NoWait, "drain", admin.Drain{Delay: toSpan(c.Delay), Time: toSpan(c.Time)})
	switch {
	case err != nil && ctx.Err() != nil:
		return errors.New("not waiting any more; the drain goes on")
	case err != nil || c.NoWait:
		return err
	case last.State != admin.Done:
		return fmt.Errorf("the node stopped before all were gone: %s", last.Error)
	}
	if err := c.gone(ctx, node, before.Instance); err != nil {
		return err
	}
	if !c.JSON {
		s.print("stopped")
	}
	return nil
}

const (
	// goneTime is how long a process may take to end once its drain is over, far above what it grants itself.
	goneTime = 10 * time.Second
	goneLook = 20 * time.Millisecond
)

// gone waits until the process does not answer any more, or another does in its place.
func (c *DrainCmd) gone(ctx context.Context, node *client, instance string) error {
	ctx, cancel := context.WithTimeout(ctx, goneTime)
	defer cancel()
	for {
		now, err := get[admin.Status](ctx, node, "status", nil)
		if ctx.Err() != nil {
			return errors.New("all are gone, and the process has not ended")
		}
		if err != nil || now.Instance != instance {
			return nil
		}
		time.Sleep(goneLook)
	}
}

func toSpan(d *time.Duration) *admin.Span { return (*admin.Span)(d) }

// follow shows how far something is that takes a while, and returns the last that was heard of it.
func follow(ctx context.Context, s *Screen, node *client, asJSON, noWait bool, path string, order any) (last admin.Progress, err error) {
	t := ticker{screen: s}
	defer t.end()
	err = node.follow(ctx, path, order, func(line []byte, p admin.Progress) (more bool) {
		last = p
		if asJSON {
			s.print("%s", bytes.TrimSpace(line))
		} else {
			t.line(path + ": " + progressText(p))
		}
		return !noWait && !p.Over()
	})
	return last, err
}

// progressText is a progress in a line.
func progressText(p admin.Progress) string {
	switch p.State {
	case admin.Waiting:
		return fmt.Sprintf("%s to go; still accepting, about %s in all", plural(p.Total, "connection"), span(p.Estimate))
	case admin.Moving:
		if p.Estimate == 0 && p.Left > 0 {
			return fmt.Sprintf("%s of %s left, all told; waiting for their answers", count(p.Left), plural(p.Total, "connection"))
		}
		return fmt.Sprintf("%s of %s left, about %s more", count(p.Left), plural(p.Total, "connection"), span(p.Estimate))
	case admin.Done:
		return fmt.Sprintf("done, %s left", count(p.Left))
	}
	return fmt.Sprintf("%s, %s left: %s", p.State, count(p.Left), escaped(p.Error))
}
