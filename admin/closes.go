package admin

import (
	"net/netip"
	"net/url"
	"time"
)

// ClosesQuery says which ends are asked for.
type ClosesQuery struct {
	ID, User, Room string
	Address        netip.Prefix
	Reason         string
	Since          Span // how long ago, at most; 0 is as far as they are remembered
	Handshakes     bool // those who did not get in, instead
	Limit          int
}

// Values writes the query as parameters.
func (q ClosesQuery) Values() url.Values {
	v := values("id", q.ID, "user", q.User, "room", q.Room, "address", networkText(q.Address), "reason", q.Reason,
		"since", spanText(q.Since), "limit", numberText(q.Limit))
	if q.Handshakes {
		v.Set("handshakes", "true")
	}
	return v
}

func readClosesQuery(v url.Values) (ClosesQuery, error) {
	q := query{values: v}
	c := ClosesQuery{
		ID: q.text("id"), User: q.text("user"), Room: q.text("room"), Address: q.network("address"), Reason: q.text("reason"),
		Since: q.span("since"), Handshakes: q.word("handshakes", []string{"true", "false"}) == "true", Limit: q.number("limit", rowsUsual, rowsMax),
	}
	return c, q.end()
}

// Close is the end of one connection.
type Close struct {
	At       time.Time `json:"at"`
	ID       string    `json:"id"`
	Reason   string    `json:"reason"`  // the name that client, metrics and log have for it
	Code     int       `json:"code"`    // of the Close frame that was sent; 0: none was
	Meaning  string    `json:"meaning"` // a sentence
	Address  string    `json:"address"`
	User     string    `json:"user,omitempty"`
	Room     string    `json:"room,omitempty"` // the first of those it was in
	RoomsOf  int       `json:"rooms_of"`
	Lived    Seconds   `json:"lived_seconds"`
	Idle     Seconds   `json:"idle_seconds"` // for how long nothing had been heard of it
	LagBytes int       `json:"lag_bytes"`    // what it had not had
	BytesIn  uint64    `json:"received_bytes"`
	BytesOut uint64    `json:"sent_bytes"`
}

// ClosesPage is the newest of the ends that were asked for.
type ClosesPage struct {
	Closes []Close `json:"closes"`
}
