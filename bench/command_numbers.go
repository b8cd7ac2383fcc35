package bench

import (
	"fmt"
	"os"
)

// NumbersCmd prints the table.
type NumbersCmd struct {
	Contest `embed:""`
}

// Run measures and prints the table.
func (c *NumbersCmd) Run() error {
	show := newProgress(os.Stderr)
	n, err := c.ready(show)
	if err != nil {
		return err
	}
	defer n.launcher.close()
	measured := chosen(figures(c.Short), c.Only)
	ctx, cancel := interrupted()
	defer cancel()
	err = n.measure(ctx, measured)
	show.end()
	if err != nil {
		return err
	}
	return n.table(measured).write(os.Stdout, c.JSON)
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
