package console

import (
	"throng/admin"
)

// ReloadCmd has a node read its settings anew.
type ReloadCmd struct {
	Target
}

// Run does it.
func (c *ReloadCmd) Run(s *Screen) error {
	node, err := c.connect()
	if err != nil {
		return err
	}
	ctx, cancel := withAskTime()
	defer cancel()
	done, err := post[admin.Reloaded](ctx, node, "reload", struct{}{})
	if err != nil {
		return err
	}
	if c.JSON {
		return s.json(done)
	}
	for _, change := range done.Changed {
		s.print("changed: %s: %s -> %s", escaped(change.Name), escaped(change.From), escaped(change.To))
	}
	for _, change := range done.Restart {
		s.print("needs a restart: %s: %s -> %s", escaped(change.Name), escaped(change.From), escaped(change.To))
	}
	for _, w := range done.Warnings {
		s.print("warning: %s", escaped(w))
	}
	if len(done.Changed)+len(done.Restart) == 0 {
		s.print("nothing has changed")
	}
	return nil
}
