package console

import (
	"errors"
	"fmt"

	"throng/admin"
)

// KickCmd closes connections.
type KickCmd struct {
	Target
	Who
	Code   int    `placeholder:"CODE" help:"Code of the Close frame: 1000, 1008, or 4000 to 4999. By default 4403, at which clients stay away."`
	Reason string `placeholder:"TEXT" help:"What the Close frame says, up to 123 bytes."`
	Yes    bool   `help:"Do not ask."`
	DryRun bool   `help:"Only say how many there are."`
}

// Validate says what is wrong with the flags.
func (c *KickCmd) Validate() error {
	if c.Who == (Who{}) {
		return errors.New("say whom: --id, --user, --address or --room")
	}
	_, err := c.network()
	return err
}

// Run does it.
func (c *KickCmd) Run(s *Screen) error {
	node, err := c.connect()
	if err != nil {
		return err
	}
	order := admin.Kick{ID: c.ID, User: c.User, Address: c.Address, Room: c.Room, Code: c.Code, Reason: c.Reason, DryRun: true}
	if c.DryRun || !c.Yes {
		would, err := c.send(node, order)
		if err != nil {
			return err
		}
		switch {
		case c.DryRun && c.JSON:
			return s.json(would)
		case c.DryRun:
			s.print("%s would be closed", plural(would.Matched, "connection"))
			return nil
		case would.Matched > 0 && s.In == nil:
			return fmt.Errorf("this would close %s; say --yes to do it", plural(would.Matched, "connection"))
		case would.Matched > 0 && !s.confirm(fmt.Sprintf("Close %s?", plural(would.Matched, "connection"))):
			return errors.New("nobody was kicked")
		}
	}
	order.DryRun = false
	done, err := c.send(node, order)
	if err != nil {
		return err
	}
	if c.JSON {
		return s.json(done)
	}
	s.print("%s closed", plural(done.Kicked, "connection"))
	return nil
}

func (c *KickCmd) send(node *client, order admin.Kick) (admin.Kicked, error) {
	ctx, cancel := withAskTime()
	defer cancel()
	return post[admin.Kicked](ctx, node, "kick", order)
}
