package console

import (
	"errors"

	"throng/admin"
)

// MembersCmd lists who is in a room.
type MembersCmd struct {
	Target
	Room string `placeholder:"NAME" help:"The room."`
}

// Validate says what is wrong with the flags.
func (c *MembersCmd) Validate() error {
	if c.Room == "" {
		return errors.New("say which room: --room")
	}
	return nil
}

// Run does it.
func (c *MembersCmd) Run(s *Screen) error {
	node, err := c.connect()
	if err != nil {
		return err
	}
	ctx, cancel := withAskTime()
	defer cancel()
	page, err := get[admin.MembersPage](ctx, node, "members", admin.MembersQuery{Room: c.Room}.Values())
	if err != nil {
		return err
	}
	if c.JSON {
		return s.json(page)
	}
	t := table{columns: []column{{name: "USER", flex: true}, {name: "NAME", flex: true}}}
	for _, m := range page.Members {
		t.add(m.User, m.Name)
	}
	if len(t.rows) > 0 {
		t.write(s)
	}
	sample := ""
	if !page.Complete {
		sample = "; these are some of them"
	}
	s.print("%s listed, of %s%s", count(len(page.Members)), plural(page.Count, "member"), sample)
	return nil
}
