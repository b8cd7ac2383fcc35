package console

import (
	"errors"

	"throng/admin"
)

// SayCmd sends a system message.
type SayCmd struct {
	Target
	Room string `placeholder:"NAME" help:"To this room, in the order of its messages."`
	All  bool   `help:"To everybody."`
	ID   string `name:"id" placeholder:"ID" help:"To the connection of this id."`
	Text string `arg:"" help:"What to say; it comes as a text message."`
}

// Validate says what is wrong with the flags.
func (c *SayCmd) Validate() error {
	to := 0
	for _, given := range []bool{c.Room != "", c.All, c.ID != ""} {
		if given {
			to++
		}
	}
	switch {
	case to != 1:
		return errors.New("say to whom: one of --room, --all and --id")
	case c.Text == "":
		return errors.New("there is no text to say")
	}
	return nil
}

// Run does it.
func (c *SayCmd) Run(s *Screen) error {
	node, err := c.connect()
	if err != nil {
		return err
	}
	ctx, cancel := withAskTime()
	defer cancel()
	said, err := post[admin.Said](ctx, node, "say", admin.Say{Room: c.Room, All: c.All, ID: c.ID, Text: c.Text})
	if err != nil {
		return err
	}
	if c.JSON {
		return s.json(said)
	}
	s.print("said to %s", plural(said.Heard, "connection"))
	return nil
}
