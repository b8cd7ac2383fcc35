package console

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"throng/admin"
)

// Who says which connections are meant: those for which everything holds that is given.
type Who struct {
	ID      string `name:"id" placeholder:"ID" help:"The connection of this id."`
	User    string `placeholder:"NAME" help:"Connections of this user."`
	Address string `placeholder:"NETWORK" help:"Connections from this address or network, such as 10.0.3.0/24."`
	Room    string `placeholder:"NAME" help:"Connections in this room."`
}

// network is the address as a network, the zero one for none.
func (w *Who) network() (n netip.Prefix, err error) {
	if w.Address != "" {
		n, err = admin.ParseNetwork(w.Address)
	}
	return n, err
}

// ConnectionsCmd lists connections.
type ConnectionsCmd struct {
	Target
	Who
	State     string        `enum:",handshake,open,closing" default:"" help:"Connections in this state: handshake, open or closing."`
	IdleAbove time.Duration `placeholder:"TIME" help:"Connections not heard of for this long."`
	LagAbove  Size          `placeholder:"SIZE" help:"Connections that have not had so many bytes, such as 64KiB, or 1 for all that lag."`
	Sort      string        `enum:",lag,idle,bytes,age" default:"" help:"The most first, by lag, idle, bytes or age."`
	Limit     int           `default:"100" help:"How many to list."`
	Page      string        `placeholder:"NEXT" help:"Go on where an earlier list ended."`
	Sample    int           `placeholder:"N" help:"Instead of a list, up to 1000 of those that match, each with the same chance."`
}

// Validate says what is wrong with the flags.
func (c *ConnectionsCmd) Validate() error {
	if c.Limit < 1 || c.Sample < 0 {
		return fmt.Errorf("--limit and --sample are numbers from 1 on")
	}
	_, err := c.network()
	return err
}

// pageMax is the longest page that a node has.
const pageMax = 1000

// Run does it.
func (c *ConnectionsCmd) Run(s *Screen) error {
	node, err := c.connect()
	if err != nil {
		return err
	}
	network, err := c.network()
	if err != nil {
		return err
	}
	query := admin.ConnectionsQuery{
		ID: c.ID, User: c.User, Room: c.Room, Address: network, State: c.State, IdleAbove: admin.Span(c.IdleAbove), LagAbove: int(c.LagAbove),
		Sort: c.Sort, Page: c.Page, Sample: c.Sample,
	}
	list := admin.ConnectionsPage{Connections: []admin.Connection{}}
	for {
		if c.Sample == 0 {
			query.Limit = min(pageMax, c.Limit-len(list.Connections))
		}
		ctx, cancel := withAskTime()
		page, err := get[admin.ConnectionsPage](ctx, node, "connections", query.Values())
		cancel()
		if err != nil {
			return err
		}
		list.Connections = append(list.Connections, page.Connections...)
		list.Matched, list.Total, list.Next = page.Matched, page.Total, page.Next
		if page.Next == "" || c.Sample > 0 || len(list.Connections) >= c.Limit {
			break
		}
		query.Page = page.Next
	}
	if c.JSON {
		return s.json(list)
	}
	showConnections(s, &list)
	return nil
}

func showConnections(s *Screen, list *admin.ConnectionsPage) {
	t := table{columns: []column{
		{name: "ID"}, {name: "ADDRESS"}, {name: "USER", flex: true}, {name: "ROOM", flex: true}, {name: "STATE"},
		{name: "AGE", right: true, extra: 3}, {name: "IDLE", right: true}, {name: "LAG", right: true}, {name: "BEHIND", right: true},
		{name: "RECEIVED", right: true, extra: 2}, {name: "SENT", right: true, extra: 1}, {name: "ENCODING", extra: 4},
	}}
	for i := range list.Connections {
		c := &list.Connections[i]
		state := c.State
		if c.Paused {
			state += ", paused"
		}
		t.add(c.ID, c.Address, c.User, roomsText(strings.Join(c.Rooms, " "), len(c.Rooms), c.RoomsOf), state, span(c.Age), span(c.Idle), span(c.Lag),
			size(c.LagBytes), size(c.BytesIn), size(c.BytesOut), c.Encoding)
	}
	if len(t.rows) > 0 {
		t.write(s)
	}
	s.print("%s listed, %s match, of %s", count(len(list.Connections)), count(list.Matched), plural(list.Total, "connection"))
	if list.Next != "" {
		s.print("more with --page=%s", escaped(list.Next))
	}
}

// roomsText says how many rooms there are besides those that are shown.
func roomsText(shown string, n, of int) string {
	if of > n {
		return fmt.Sprintf("%s +%d", shown, of-n)
	}
	return shown
}
