package envelope_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"throng/protocol/envelope"
)

var update = flag.Bool("update", false, "write into docs/PROTOCOL.md what is copied there from the code and the schema")

const document = "../../docs/PROTOCOL.md"

func readDocument(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// keepSection holds what stands between the markers of a name against what should, or, with -update, writes it there.
func keepSection(t *testing.T, name, want string) {
	t.Helper()
	before, rest, _ := strings.Cut(readDocument(t), "<!-- "+name+" -->\n")
	got, after, found := strings.Cut(rest, "<!-- /"+name+" -->\n")
	switch {
	case !found:
		t.Errorf("%s has no section <!-- %s --> to <!-- /%s -->", document, name, name)
	case got == want:
	case *update:
		text := before + "<!-- " + name + " -->\n" + want + "<!-- /" + name + " -->\n" + after
		if err := os.WriteFile(document, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("the section %q of %s is out of date: make docs writes it anew", name, document)
	}
}

// occasions say when each code is sent.
var occasions = map[envelope.Code]string{
	envelope.BadRequest:    "not JSON, or not a request as it is described here",
	envelope.UnknownType:   "a type that the server does not know",
	envelope.BadName:       "a room or a person cannot be called that",
	envelope.Denied:        "this user may not join the room, read it, or publish to it",
	envelope.NotJoined:     "what was asked needs membership of the room",
	envelope.AlreadyJoined: "a join with a replay, of a room that this connection is in",
	envelope.TooManyRooms:  "this connection is in as many rooms as it may be",
	envelope.Full:          "the room has as many members as it may have",
	envelope.TooBig:        "the message is larger than the room takes",
	envelope.Rate:          "too many messages; who goes on is closed with 4429",
	envelope.Unavailable:   "the store or the other nodes cannot be reached; whether the message was stored is not known",
	envelope.StoreFull:     "the store has no place for another message",
	envelope.Unauthorized:  "a token that is not good",
	envelope.TokenExpiring: "without an id: the token ends soon",
	envelope.TokenExpired:  "the token has ended; 4401 follows",
	envelope.Conflict:      "the key stands for a message with another content",
	envelope.Internal:      "a fault of the server",
}

// TestProtocolErrors keeps the document's table of errors equal to the code's.
func TestProtocolErrors(t *testing.T) {
	var table strings.Builder
	table.WriteString("| code | when | hint |\n| --- | --- | --- |\n")
	for _, code := range envelope.Codes() {
		if occasions[code] == "" {
			t.Errorf("nothing says when %s is sent", code)
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", code, occasions[code], code.Hint())
	}
	keepSection(t, "errors", "\n"+table.String()+"\n")
}

// TestProtocolMessages keeps the document's list of all messages equal to the schema.
func TestProtocolMessages(t *testing.T) {
	var table strings.Builder
	table.WriteString("From the client; a field with `?` may be missing:\n\n| type | fields |\n| --- | --- |\n")
	for _, name := range referred(t, "client", "oneOf") {
		table.WriteString(row(t, name, ""))
	}
	table.WriteString("\nFrom the server:\n\n| type | fields |\n| --- | --- |\n")
	answers := map[string]string{
		"joined": "join", "done": "leave, signal", "published": "publish", "historyOf": "history", "membersOf": "members", "pong": "ping", "authed": "auth",
	}
	for _, name := range referred(t, "server", "anyOf") {
		if name != "ok" {
			table.WriteString(row(t, name, ""))
			continue
		}
		for _, name := range referred(t, name, "anyOf") {
			if answers[name] == "" {
				t.Errorf("nothing says what %s is the answer to", name)
			}
			table.WriteString(row(t, name, ", to "+answers[name]))
		}
	}
	keepSection(t, "messages", "\n"+table.String()+"\n")
}

// definition is a piece of the schema, in so far as the document shows it. The fields are in the order of the schema.
type definition struct {
	Required     []string
	Ref          string `json:"$ref"`
	OneOf, AnyOf []choice
	Properties   json.RawMessage
}

type choice struct {
	Ref      string `json:"$ref"`
	Required []string
}

func define(t *testing.T, name string) (d definition) {
	t.Helper()
	var schema struct {
		Defs map[string]definition `json:"$defs"`
	}
	if err := json.Unmarshal(envelope.Schema, &schema); err != nil {
		t.Fatal(err)
	}
	return schema.Defs[name]
}

// referred lists the definitions that one is a choice of.
func referred(t *testing.T, name, choice string) (names []string) {
	t.Helper()
	d := define(t, name)
	some := d.OneOf
	if choice == "anyOf" {
		some = d.AnyOf
	}
	for _, one := range some {
		names = append(names, strings.TrimPrefix(one.Ref, "#/$defs/"))
	}
	return names
}

// row writes the fields of a definition.
func row(t *testing.T, name, to string) string {
	t.Helper()
	d := define(t, name)
	var kind string
	var fields, either []string
	for _, one := range d.OneOf {
		either = append(either, one.Required...)
	}
	if d.Ref == "#/$defs/content" {
		either = []string{"text", "json", "data"}
	}
	decoder := json.NewDecoder(bytes.NewReader(d.Properties))
	_, _ = decoder.Token() // the brace
	for decoder.More() {
		field, _ := decoder.Token()
		var value struct{ Const string }
		var raw json.RawMessage
		if err := decoder.Decode(&raw); err != nil {
			t.Fatal(err)
		}
		_ = json.Unmarshal(raw, &value) // only type has such a constant
		switch {
		case field == "type":
			kind = value.Const
		case slices.Contains(either, field.(string)):
		case slices.Contains(d.Required, field.(string)):
			fields = append(fields, "`"+field.(string)+"`")
		default:
			fields = append(fields, "`"+field.(string)+"`?")
		}
	}
	if len(either) > 0 {
		fields = append(fields, "one of `"+strings.Join(either, "`, `")+"`")
	}
	return fmt.Sprintf("| `%s`%s | %s |\n", kind, to, strings.Join(fields, ", "))
}

// answerTo is the definition of the ok that each request gets.
var answerTo = map[envelope.Type]string{
	envelope.Join: "joined", envelope.Leave: "done", envelope.Publish: "published", envelope.Signal: "done",
	envelope.History: "historyOf", envelope.Members: "membersOf", envelope.Ping: "pong", envelope.Auth: "authed",
}

// A reader reads the document's examples as a client and a server would.
type reader struct {
	t       *testing.T
	asked   map[string]envelope.Request // by id
	places  map[string]uint64           // by room: where its messages have got to
	covered map[string]bool
}

// TestProtocolExamples: each line of an example is what its side may send, each request is answered once by what belongs to it, each message follows
// the one before it or a gap, and there is an example of everything.
func TestProtocolExamples(t *testing.T) {
	covered := map[string]bool{}
	for _, block := range regexp.MustCompile("(?s)```throng\\.v1\n(.*?)```").FindAllStringSubmatch(readDocument(t), -1) {
		r := reader{t, map[string]envelope.Request{}, map[string]uint64{}, covered}
		for line := range strings.Lines(block[1]) {
			side, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			switch side {
			case ">":
				r.request(text)
			case "<":
				r.heard(text)
			default:
				t.Errorf("%q is of neither side", line)
			}
		}
		for id := range r.asked {
			t.Errorf("the request %s is not answered in\n%s", id, block[1])
		}
	}
	for _, one := range envelope.Types() {
		if !covered["> "+one.String()] {
			t.Errorf("there is no example of the request %s", one)
		}
		if !covered["ok to "+one.String()] {
			t.Errorf("there is no example of an answer to %s", one)
		}
	}
	for _, name := range referred(t, "server", "anyOf") {
		if !covered["< "+name] {
			t.Errorf("there is no example of the message %s", name)
		}
	}
}

func (r *reader) request(text string) {
	r.t.Helper()
	var request envelope.Request
	if err := request.Parse([]byte(text)); err != nil {
		r.t.Errorf("%s: %v", text, err)
		return
	}
	if err := strict().validate("client", []byte(text)); err != nil {
		r.t.Error(err)
	}
	r.covered["> "+request.Type.String()] = true
	r.asked[string(request.ID)] = request
	if request.HasSince {
		r.places[string(request.Room)] = request.Since.Seq
	}
}

// said is what the examples are looked at for.
type said struct {
	Type, Room, Hint string
	Code             any // of an error, or of a bye
	ID               json.RawMessage
	Seq, Prev        uint64
	From, To         uint64
	Reset            bool
	Messages         []struct{ Seq, Prev uint64 }
}

func (r *reader) heard(text string) {
	r.t.Helper()
	var m said
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		r.t.Errorf("%s: %v", text, err)
		return
	}
	r.covered["< "+m.Type] = true
	shape := m.Type
	if m.ID != nil {
		request, waits := r.asked[string(m.ID)]
		if !waits {
			r.t.Errorf("nobody waits for %s", text)
		}
		delete(r.asked, string(m.ID))
		if m.Type == "ok" {
			r.answered(&request, &m)
			shape = answerTo[request.Type]
		}
	}
	if err := strict().validate(shape, []byte(text)); err != nil {
		r.t.Error(err)
	}
	switch m.Type {
	case "error":
		r.hint(&m)
	case "message", "signal":
		r.written(&m, text)
		r.follows(&m)
	case "gap":
		if place := r.places[m.Room]; !m.Reset && m.From != place+1 {
			r.t.Errorf("%s begins elsewhere than behind %d", text, place)
		}
		r.places[m.Room] = m.To
		if m.Reset {
			delete(r.places, m.Room)
		}
	}
}

// answered follows where a room's messages have got to.
func (r *reader) answered(request *envelope.Request, m *said) {
	r.covered["ok to "+request.Type.String()] = true
	if request.Type == envelope.Join && !request.HasSince && request.Last == 0 && m.Seq > 0 {
		r.places[m.Room] = m.Seq
	}
	for i := 1; i < len(m.Messages); i++ {
		if m.Messages[i].Prev != m.Messages[i-1].Seq {
			r.t.Errorf("the history jumps to %d", m.Messages[i].Seq)
		}
	}
}

// follows holds a message against the one before it.
func (r *reader) follows(m *said) {
	if place, known := r.places[m.Room]; m.Seq > 0 && known && (m.Prev > place || m.Seq <= place) {
		r.t.Errorf("message %d of %s follows %d, and the place is %d", m.Seq, m.Room, m.Prev, place)
	}
	if m.Seq > 0 {
		r.places[m.Room] = m.Seq
	}
}

// written writes a message again from its record.
func (r *reader) written(m *said, text string) {
	at := strings.Index(text, `"v":`)
	stored := []byte("{" + text[max(at, 0):])
	var record envelope.Record
	if err := record.Parse(stored); err != nil {
		r.t.Errorf("%s: %v", text, err)
	}
	again := envelope.AppendMessage(nil, m.Room, m.Seq, m.Prev, envelope.AppendRecord(nil, &record))
	switch {
	case m.Type == "signal":
		again = envelope.AppendSignal(nil, m.Room, stored)
	case m.Seq == 0:
		again = envelope.AppendEphemeral(nil, m.Room, stored)
	}
	if string(again) != text {
		r.t.Errorf("we write %s, and the document has %s", again, text)
	}
}

func (r *reader) hint(m *said) {
	for _, code := range envelope.Codes() {
		if code.String() == m.Code && code.Hint() != m.Hint {
			r.t.Errorf("the hint of %s is %q, and the document has %q", m.Code, code.Hint(), m.Hint)
		}
	}
}
