package admin

import (
	"net/url"
	"strings"
)

// RoomSorts are the orders that rooms can be asked for in; the most is first.
var RoomSorts = []string{"members", "rate", "lag"}

// RoomsQuery says which rooms are asked for.
type RoomsQuery struct {
	Match string // a name, or the beginning of names and a *; "" is all
	Sort  string // none is members
	Limit int
}

// Values writes the query as parameters.
func (q RoomsQuery) Values() url.Values {
	return values("match", q.Match, "sort", q.Sort, "limit", numberText(q.Limit))
}

func readRoomsQuery(v url.Values) (RoomsQuery, error) {
	q := query{values: v}
	r := RoomsQuery{Match: q.text("match"), Sort: q.word("sort", RoomSorts), Limit: q.number("limit", rowsUsual, rowsMax)}
	if strings.ContainsAny(strings.TrimSuffix(r.Match, "*"), "*?[") {
		q.fail(Refuse("match %q is not a name; allowed: the name of a room, or how names begin with a * behind it, such as tea-*", r.Match))
	}
	return r, q.end()
}

// Room is one room.
type Room struct {
	Name     string  `json:"name"`
	Members  int     `json:"members"`
	Loops    []int   `json:"loops"`     // members on each loop
	Rate     float64 `json:"rate"`      // messages a second, of late
	Messages uint64  `json:"messages"`  // since it came to be
	Lagging  int     `json:"lagging"`   // members that could not take all they were sent
	LagBytes int     `json:"lag_bytes"` // what the farthest of these has not had
	LogBytes int     `json:"log_bytes"` // kept for them
	Paused   bool    `json:"paused"`    // its speakers wait
}

// RoomsPage is the first of the rooms that were asked for.
type RoomsPage struct {
	Rooms []Room `json:"rooms"`
	Total int    `json:"total"` // rooms, whatever they are called
}
