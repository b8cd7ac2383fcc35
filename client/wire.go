package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"time"
	"unicode/utf8"
)

const subprotocol = "throng.v1"

// request is any message to the server.
type request struct {
	Type   string          `json:"type"`
	ID     uint64          `json:"id"`
	Room   string          `json:"room,omitempty"`
	Since  *Since          `json:"since,omitempty"`
	Last   int             `json:"last,omitempty"`
	Key    string          `json:"key,omitempty"`
	Text   *string         `json:"text,omitempty"`
	JSON   json.RawMessage `json:"json,omitempty"`
	Data   *[]byte         `json:"data,omitempty"`
	Before *uint64         `json:"before,omitempty"`
	After  *uint64         `json:"after,omitempty"`
	Limit  int             `json:"limit,omitempty"`
	Token  string          `json:"token,omitempty"`
	Name   string          `json:"name,omitempty"`
}

// marshal writes JSON on one line, and leaves <, > and & alone: no page shows it, and other clients get it as it is.
func marshal(value any) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), nil
}

// answer is any message from the server.
type answer struct {
	Type string `json:"type"`
	ID   number `json:"id"`
	Room string `json:"room"`

	// welcome, auth
	Protocol  string `json:"protocol"`
	User      string `json:"user"`
	Name      string `json:"name"`
	Guest     bool   `json:"guest"`
	Session   string `json:"session"`
	Node      string `json:"node"`
	Server    string `json:"server"`
	Heartbeat int64  `json:"heartbeat"`
	Limits    Limits `json:"limits"`
	Expires   int64  `json:"expires"`

	// ok to a join, a publish, a history; message; gap
	Epoch     string   `json:"epoch"`
	Seq       uint64   `json:"seq"`
	Prev      uint64   `json:"prev"`
	Recorded  bool     `json:"recorded"`
	Count     int      `json:"count"`
	Replay    *int     `json:"replay"`
	Stored    bool     `json:"stored"`
	Duplicate bool     `json:"duplicate"`
	Messages  []answer `json:"messages"`
	More      bool     `json:"more"`
	From      uint64   `json:"from"`
	To        uint64   `json:"to"`
	Oldest    uint64   `json:"oldest"`
	Reset     bool     `json:"reset"`

	// message, signal
	Time int64           `json:"time"`
	Key  string          `json:"key"`
	Text *string         `json:"text"`
	JSON json.RawMessage `json:"json"`
	Data *[]byte         `json:"data"`

	// presence, ok to members
	Joined   []Member  `json:"joined"`
	Left     []Member  `json:"left"`
	Members  *[]Member `json:"members"`
	Complete bool      `json:"complete"`

	// error, bye
	Code    word   `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint"`
	Retry   int64  `json:"retry"`
	Reason  string `json:"reason"`
	Again   bool   `json:"again"`
	In      int64  `json:"in"`
}

// number is an id. Ours are whole numbers from 1; whatever else comes is none of ours.
type number uint64

// UnmarshalJSON never fails: an id of somebody else's making is no id.
func (n *number) UnmarshalJSON(text []byte) error {
	v, err := strconv.ParseUint(string(text), 10, 53)
	if err != nil {
		v = 0
	}
	*n = number(v)
	return nil
}

// word is a code, which an error has as a word and a bye may have as a number.
type word string

// UnmarshalJSON takes both.
func (w *word) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '"' {
		return json.Unmarshal(text, (*string)(w))
	}
	*w = word(text)
	return nil
}

// known are the types of messages that the client understands. Others are not looked at.
var known = map[string]bool{
	"welcome": true, "ok": true, "error": true, "message": true, "signal": true, "presence": true, "gap": true, "bye": true,
}

// decode reads a message from the server.
func decode(text []byte) (*answer, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("throng: the server's text is not valid UTF-8")
	}
	a := &answer{}
	err := json.Unmarshal(text, a)
	var other *json.UnmarshalTypeError
	if errors.As(err, &other) && a.Type != "" && !known[a.Type] {
		return a, nil // of a newer protocol, which may call something else by a name that we know
	}
	if err != nil {
		return nil, errors.New("throng: the server's JSON makes no sense: " + err.Error())
	}
	return a, nil
}

func (a *answer) failure() *Error {
	return &Error{
		Code: string(a.Code), Message: a.Message, Hint: a.Hint, Room: a.Room, Key: a.Key,
		Retry: milliseconds(a.Retry, turnMax),
	}
}

func (a *answer) content() Content {
	switch {
	case a.Text != nil:
		return Content{kind: IsText, bytes: []byte(*a.Text)}
	case a.JSON != nil:
		return Content{kind: IsJSON, bytes: a.JSON}
	case a.Data != nil:
		return Content{kind: IsData, bytes: *a.Data}
	}
	return Content{}
}

func (a *answer) messageIn(room string) Message {
	return Message{
		Room: room, Seq: a.Seq, Prev: a.Prev, Time: time.UnixMilli(a.Time), User: a.User, Name: a.Name, Key: a.Key,
		Content: a.content(),
	}
}

// milliseconds is a time that the server told, as far as it is believed.
func milliseconds(n int64, most time.Duration) time.Duration {
	if n <= 0 {
		return 0
	}
	return time.Duration(min(n, most.Milliseconds())) * time.Millisecond
}

// moment is a time that the server told; zero if it did not.
func moment(ms int64) time.Time {
	if ms <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}
