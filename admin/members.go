package admin

import "net/url"

// MembersQuery says of which room the members are asked for.
type MembersQuery struct {
	Room string
}

// Values writes the query as parameters.
func (q MembersQuery) Values() url.Values { return values("room", q.Room) }

func readMembersQuery(v url.Values) (MembersQuery, error) {
	q := query{values: v}
	return MembersQuery{Room: q.room()}, q.end()
}

// Member is somebody in a room, once however many devices they have there.
type Member struct {
	User string `json:"user"`
	Name string `json:"name"`
}

// MembersPage is who is in a room.
type MembersPage struct {
	Room     string   `json:"room"`
	Count    int      `json:"count"`
	Members  []Member `json:"members"`
	Complete bool     `json:"complete"` // all of them; else a sample
}
