package console

import (
	"errors"
	"strconv"
	"time"

	"throng/admin"
)

// HistoryCmd lists what was said in a room.
type HistoryCmd struct {
	Target
	Room   string  `placeholder:"NAME" help:"The room; @USER is a user's inbox."`
	Before uint64  `placeholder:"SEQ" help:"Those before this one. Without it and --after, the newest."`
	After  *uint64 `placeholder:"SEQ" help:"Those after this one; 0 is from the oldest on."`
	Limit  int     `default:"50" help:"How many to list, up to 1000."`
}

// Validate says what is wrong with the flags.
func (c *HistoryCmd) Validate() error {
	switch {
	case c.Room == "":
		return errors.New("say which room: --room")
	case c.Before != 0 && c.After != nil:
		return errors.New("--before and --after are two questions; give one of them")
	}
	return checkLimit(c.Limit)
}

// Run does it.
func (c *HistoryCmd) Run(s *Screen) error {
	node, err := c.connect()
	if err != nil {
		return err
	}
	ctx, cancel := withAskTime()
	defer cancel()
	page, err := get[admin.HistoryPage](ctx, node, "history", admin.HistoryQuery{Room: c.Room, Before: c.Before, After: c.After, Limit: c.Limit}.Values())
	if err != nil {
		return err
	}
	if c.JSON {
		return s.json(page)
	}
	c.show(s, &page)
	return nil
}

func (c *HistoryCmd) show(s *Screen, page *admin.HistoryPage) {
	t := table{columns: []column{
		{name: "SEQ", right: true}, {name: "AT", extra: 1}, {name: "USER", flex: true}, {name: "NAME", flex: true, extra: 2}, {name: "MESSAGE", flex: true},
	}}
	for i := range page.Messages {
		m := &page.Messages[i]
		t.add(strconv.FormatUint(m.Seq, 10), time.UnixMilli(m.Time).Local().Format(time.DateTime), m.User, m.Name, contentText(&m.Content))
	}
	if len(t.rows) > 0 {
		t.write(s)
	}
	s.print("%s listed", plural(len(page.Messages), "message"))
	if !page.More || len(page.Messages) == 0 {
		return
	}
	if c.After != nil {
		s.print("more with --after=%d", page.Messages[len(page.Messages)-1].Seq)
		return
	}
	s.print("more with --before=%d", page.Messages[0].Seq)
}

// contentText is a message on one line.
func contentText(c *admin.Content) string {
	switch {
	case c.Text != nil:
		return *c.Text
	case c.JSON != nil:
		return string(c.JSON)
	}
	return "(" + size(len(c.Data)) + " of data)"
}
