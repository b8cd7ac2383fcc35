package admin

import (
	"net/netip"
	"net/url"
)

const (
	// rowsUsual are on a page of those who do not say how many, rowsMax on the longest there is.
	rowsUsual = 100
	rowsMax   = 1000
)

// States are those that connections can be asked for by.
var States = []string{"handshake", "open", "closing"}

// ConnectionSorts are the orders that connections can be asked for in; the most is first.
var ConnectionSorts = []string{"lag", "idle", "bytes", "age"}

// ConnectionsQuery says which connections are asked for: those for which everything holds that is given.
type ConnectionsQuery struct {
	ID, User, Room string
	Address        netip.Prefix
	State          string
	IdleAbove      Span
	LagAbove       int    // bytes
	Sort           string // none: as they stand on their loops, the cheapest and the steadiest to page through
	Limit          int
	Page           string // what an earlier page had as Next
	Sample         int    // instead of a page, so many of those that match, each with the same chance
}

// Values writes the query as parameters.
func (q ConnectionsQuery) Values() url.Values {
	return values("id", q.ID, "user", q.User, "room", q.Room, "address", networkText(q.Address), "state", q.State,
		"idle_above", spanText(q.IdleAbove), "lag_above", numberText(q.LagAbove), "sort", q.Sort,
		"limit", numberText(q.Limit), "page", q.Page, "sample", numberText(q.Sample))
}

func readConnectionsQuery(v url.Values) (ConnectionsQuery, error) {
	q := query{values: v}
	c := ConnectionsQuery{
		ID: q.text("id"), User: q.text("user"), Room: q.text("room"), Address: q.network("address"), State: q.word("state", States),
		IdleAbove: q.span("idle_above"), LagAbove: q.number("lag_above", 0, 1<<40), Sort: q.word("sort", ConnectionSorts),
		Limit: q.number("limit", rowsUsual, rowsMax), Page: q.text("page"), Sample: q.number("sample", 0, rowsMax),
	}
	if c.Sample > 0 && (c.Page != "" || c.Sort != "") {
		q.fail(Refuse("a sample has no order and no second page; leave sort and page out"))
	}
	return c, q.end()
}

// Connection is one connection, as it was when its loop was asked.
type Connection struct {
	ID       string   `json:"id"` // for as long as the server runs; kick and say take it
	Address  string   `json:"address"`
	User     string   `json:"user,omitempty"`
	Rooms    []string `json:"rooms"` // the first few
	RoomsOf  int      `json:"rooms_of"`
	State    string   `json:"state"`
	Paused   bool     `json:"paused"` // it is not read from for the moment
	Encoding string   `json:"encoding"`
	Age      Seconds  `json:"age_seconds"`
	Idle     Seconds  `json:"idle_seconds"` // since it was last heard
	Lag      Seconds  `json:"lag_seconds"`  // age of its oldest byte that is not sent
	LagBytes int      `json:"lag_bytes"`    // what it has not had
	BytesIn  uint64   `json:"received_bytes"`
	BytesOut uint64   `json:"sent_bytes"`
}

// ConnectionsPage is a part of the connections that were asked for.
type ConnectionsPage struct {
	Connections []Connection `json:"connections"`
	Matched     int          `json:"matched"` // on all pages together
	Total       int          `json:"total"`   // connections, whatever they are
	Next        string       `json:"next,omitempty"`
}
