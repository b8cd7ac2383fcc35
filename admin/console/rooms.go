package console

import (
	"fmt"

	"throng/admin"
)

// RoomsCmd lists rooms.
type RoomsCmd struct {
	Target
	Match string `placeholder:"NAME" help:"The room of this name, or those whose names begin with what stands before a *, such as 'tea-*'."`
	Sort  string `enum:"members,rate,lag" default:"members" help:"The most first, by members, rate or lag."`
	Limit int    `default:"100" help:"How many to list, up to 1000."`
}

// Validate says what is wrong with the flags.
func (c *RoomsCmd) Validate() error { return checkLimit(c.Limit) }

func checkLimit(n int) error {
	if n < 1 || n > pageMax {
		return fmt.Errorf("--limit %d is not a number from 1 to %d", n, pageMax)
	}
	return nil
}

// Run does it.
func (c *RoomsCmd) Run(s *Screen) error {
	node, err := c.connect()
	if err != nil {
		return err
	}
	ctx, cancel := withAskTime()
	defer cancel()
	list, err := get[admin.RoomsPage](ctx, node, "rooms", admin.RoomsQuery{Match: c.Match, Sort: c.Sort, Limit: c.Limit}.Values())
	if err != nil {
		return err
	}
	if c.JSON {
		return s.json(list)
	}
	t := table{columns: []column{
		{name: "ROOM", flex: true}, {name: "MEMBERS", right: true}, {name: "A SECOND", right: true}, {name: "LAGGING", right: true},
		{name: "BEHIND", right: true}, {name: "LOG", right: true, extra: 2}, {name: "MESSAGES", right: true, extra: 1}, {name: ""},
	}}
	for _, r := range list.Rooms {
		paused := ""
		if r.Paused {
			paused = "speakers wait"
		}
		t.add(r.Name, count(r.Members), rate(r.Rate), count(r.Lagging), size(r.LagBytes), size(r.LogBytes), count(r.Messages), paused)
	}
	if len(t.rows) > 0 {
		t.write(s)
	}
	s.print("%s listed, of %s", count(len(list.Rooms)), plural(list.Total, "room"))
	return nil
}
