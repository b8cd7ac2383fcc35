package admin

import (
	"encoding/json"
	"net/url"
	"strconv"
	"unicode"
	"unicode/utf8"
)

// Content is what a message holds: one of the three.
type Content struct {
	Text *string         `json:"text,omitempty"`
	JSON json.RawMessage `json:"json,omitempty"` // any value
	Data []byte          `json:"data,omitzero"`  // bytes, as base64
}

// Publish is something to be said in a room or to a user.
type Publish struct {
	Room string `json:"room,omitempty"`
	User string `json:"user,omitempty"` // instead of a room: this user's inbox
	Content
	Key  string `json:"key,omitempty"`  // the same key again is the same message, so that it can be sent again when no answer came
	As   string `json:"as,omitempty"`   // the user in whose name; without one, the server's
	Name string `json:"name,omitempty"` // how others are shown who said it; without one, As
}

const (
	// nameBytesMax is the longest name of a room or a user, and of a key.
	nameBytesMax = 64
	// inboxMark begins the rooms that are users' inboxes.
	inboxMark = "@"
)

func (p Publish) check() error {
	contents := 0
	for _, given := range []bool{p.Text != nil, p.JSON != nil, p.Data != nil} {
		if given {
			contents++
		}
	}
	switch {
	case (p.Room == "") == (p.User == ""):
		return Refuse("it does not say where: give one of room and user")
	case contents != 1:
		return Refuse("it does not say what: give one of text, json and data")
	}
	for _, f := range []struct {
		name, value string
		most        int
	}{{"room", p.Room, nameBytesMax + len(inboxMark)}, {"user", p.User, nameBytesMax}, {"key", p.Key, nameBytesMax}, {"as", p.As, nameBytesMax}, {"name", p.Name, nameBytesMax}} {
		if err := checkWord(f.name, f.value, f.most); err != nil {
			return err
		}
	}
	return nil
}

// checkWord refuses what can be no name of anything. What more makes a name is known elsewhere.
func checkWord(name, value string, most int) error {
	if len(value) > most {
		return Refuse("%s has %d bytes; allowed: at most %d", name, len(value), most)
	}
	for _, r := range value {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return Refuse("%s has a character in it that cannot be seen (%U)", name, r)
		}
	}
	return nil
}

// Published is what became of it.
type Published struct {
	Room      string `json:"room"`
	Seq       uint64 `json:"seq,omitempty"` // its place in the room; none where nothing is stored
	Stored    bool   `json:"stored"`
	Duplicate bool   `json:"duplicate,omitempty"` // its key was there already: it was not said again, and Seq is the first one's
}

// HistoryQuery says which messages of a room are asked for: the newest, those before one, or those after one.
type HistoryQuery struct {
	Room   string
	Before uint64  // 0: not asked for
	After  *uint64 // 0 is from the oldest on; nil: not asked for
	Limit  int
}

// historyUsual are told to those who do not say how many.
const historyUsual = 50

// Values writes the query as parameters.
func (q HistoryQuery) Values() url.Values {
	before, after := "", ""
	if q.Before != 0 {
		before = strconv.FormatUint(q.Before, 10)
	}
	if q.After != nil {
		after = strconv.FormatUint(*q.After, 10)
	}
	return values("room", q.Room, "before", before, "after", after, "limit", numberText(q.Limit))
}

func readHistoryQuery(v url.Values) (HistoryQuery, error) {
	q := query{values: v}
	h := HistoryQuery{Room: q.room(), Limit: q.number("limit", historyUsual, rowsMax)}
	if before := q.seq("before"); before != nil {
		if h.Before = *before; h.Before == 0 {
			q.fail(Refuse("there is nothing before 0; leave before out for the newest"))
		}
	}
	if h.After = q.seq("after"); h.After != nil && h.Before != 0 {
		q.fail(Refuse("before and after are two questions; give one of them"))
	}
	return h, q.end()
}

// room reads the room that is asked for.
func (q *query) room() string {
	room := q.text("room")
	if room == "" {
		q.fail(Refuse("it does not say which room: give room"))
	}
	q.fail(checkWord("room", room, nameBytesMax+len(inboxMark)))
	return room
}

// seq reads the place of a message, nil where none is given.
func (q *query) seq(name string) *uint64 {
	text := q.text(name)
	if text == "" {
		return nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		q.fail(Refuse("%s %q is not the seq of a message", name, text))
	}
	return &n
}

// Message is one message as it is stored. The fields are those of the protocol throng.v1.
type Message struct {
	Seq  uint64 `json:"seq"`
	Prev uint64 `json:"prev"` // the seq of the one before it in the room; 0: none is known
	Time int64  `json:"time"` // milliseconds since 1970
	User string `json:"user"`
	Name string `json:"name"`
	Key  string `json:"key,omitempty"`
	Content
}

// HistoryPage is a part of what was said in a room, the oldest first.
type HistoryPage struct {
	Room     string    `json:"room"`
	Epoch    string    `json:"epoch"` // seqs of another epoch mean nothing here
	Messages []Message `json:"messages"`
	More     bool      `json:"more"` // there is more on the side that was asked for
}
