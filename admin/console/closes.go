package console

import (
	"strconv"
	"time"

	"throng/admin"
)

// ClosesCmd lists how connections ended.
type ClosesCmd struct {
	Target
	Who
	Reason     string        `placeholder:"NAME" help:"Ends with this reason, such as slow."`
	Since      time.Duration `placeholder:"TIME" help:"Ends of the last 10m, say. Without it, as far as they are remembered."`
	Handshakes bool          `help:"Instead, those who did not get in."`
	Limit      int           `default:"100" help:"How many to list, up to 1000."`
}

// Validate says what is wrong with the flags.
func (c *ClosesCmd) Validate() error {
	if err := checkLimit(c.Limit); err != nil {
		return err
	}
	_, err := c.network()
	return err
}

// Run does it.
func (c *ClosesCmd) Run(s *Screen) error {
	node, err := c.connect()
	if err != nil {
		return err
	}
	network, err := c.network()
	if err != nil {
		return err
	}
	ctx, cancel := withAskTime()
	defer cancel()
	list, err := get[admin.ClosesPage](ctx, node, "closes", admin.ClosesQuery{
		ID: c.ID, User: c.User, Room: c.Room, Address: network, Reason: c.Reason, Since: admin.Span(c.Since), Handshakes: c.Handshakes, Limit: c.Limit,
	}.Values())
	if err != nil {
		return err
	}
	if c.JSON {
		return s.json(list)
	}
	c.show(s, list.Closes)
	return nil
}

func (c *ClosesCmd) show(s *Screen, closes []admin.Close) {
	if len(closes) == 0 {
		s.print("no such end is remembered")
		if !c.Handshakes {
			s.print("those who did not get in are shown with --handshakes")
		}
		return
	}
	t := table{columns: []column{
		{name: "AT"}, {name: "REASON"}, {name: "CODE", right: true}, {name: "ADDRESS"}, {name: "USER", flex: true}, {name: "ROOM", flex: true},
		{name: "LIVED", right: true}, {name: "IDLE", right: true, extra: 3}, {name: "BEHIND", right: true, extra: 1},
		{name: "RECEIVED", right: true, extra: 5}, {name: "SENT", right: true, extra: 4}, {name: "ID", extra: 2},
	}}
	meanings, order := map[string]string{}, []string{}
	for i := range closes {
		e := &closes[i]
		code := "-"
		if e.Code != 0 {
			code = strconv.Itoa(e.Code)
		}
		t.add(e.At.Local().Format("15:04:05"), e.Reason, code, e.Address, e.User, roomsText(e.Room, min(1, e.RoomsOf), e.RoomsOf), span(e.Lived), span(e.Idle),
			size(e.LagBytes), size(e.BytesIn), size(e.BytesOut), e.ID)
		if meanings[e.Reason] == "" {
			order = append(order, e.Reason)
		}
		meanings[e.Reason] = e.Meaning
	}
	t.write(s)
	s.print("")
	for _, reason := range order {
		s.print("%s: %s", escaped(reason), escaped(meanings[reason]))
	}
}
