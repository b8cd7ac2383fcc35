package console

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// command is one of ours.
type command interface {
	Validate() error
	Run(*Screen) error
}

// TestApplicationCommands: what they ask the node, and how its answer looks.
func TestApplicationCommands(t *testing.T) {
	seq, oldest := uint64(12), uint64(0)
	const messages = `{"room":"tea","epoch":"e","more":true,"messages":[` +
		`{"seq":9,"prev":5,"time":0,"user":"bob","name":"Bob B.","text":"two\nlines\u001b[2J"},` +
		`{"seq":12,"prev":9,"time":0,"user":"~g","name":"Eve","json":{"likes":3}},{"seq":13,"prev":12,"time":0,"user":"","name":"","data":"AP8="}]}`
	for _, c := range []struct {
		cmd     func(Target) command
		answer  string
		request string
		shown   []string
	}{
		{func(t Target) command {
			return &PublishCmd{Target: t, Room: "tea", Kind: "text", Content: "hi", Key: "k", As: "bob", Name: "Bob"}
		},
			`{"room":"tea","seq":12,"stored":true}`, `POST /v1/publish {"room":"tea","text":"hi","key":"k","as":"bob","name":"Bob"}`, []string{"stored in tea as 12\n"}},
		{func(t Target) command {
			return &PublishCmd{Target: t, User: "bob", Kind: "json", Content: `{"likes": 3}`}
		},
			`{"room":"@bob","seq":12,"stored":true,"duplicate":true}`, `POST /v1/publish {"user":"bob","json":{"likes":3}}`, []string{"is in @bob already, as 12\n"}},
		{func(t Target) command { return &PublishCmd{Target: t, Room: "tea", Kind: "data", Content: "AP8="} },
			`{"room":"tea","stored":false}`, `POST /v1/publish {"room":"tea","data":"AP8="}`, []string{"said in tea, where nothing is stored\n"}},
		{func(t Target) command { t.JSON = true; return &PublishCmd{Target: t, Room: "tea", Kind: "text"} },
			`{"room":"tea","stored":false}`, `POST /v1/publish {"room":"tea","text":""}`, []string{`"stored": false`}},
		{func(t Target) command { return &HistoryCmd{Target: t, Room: "tea", Limit: 50} }, messages, "GET /v1/history?limit=50&room=tea ",
			[]string{"SEQ  AT", "two\\nlines\\x1b[2J\n", `{"likes":3}`, "(2 B of data)", "3 messages listed\nmore with --before=9\n"}},
		{func(t Target) command { return &HistoryCmd{Target: t, Room: "@bob", After: &seq, Limit: 3} }, messages, "GET /v1/history?after=12&limit=3&room=%40bob ",
			[]string{"more with --after=13\n"}},
		{func(t Target) command { return &HistoryCmd{Target: t, Room: "tea", After: &oldest, Limit: 3} }, `{"messages":[]}`, "GET /v1/history?after=0&limit=3&room=tea ",
			[]string{"0 messages listed\n"}},
		{func(t Target) command { return &HistoryCmd{Target: t, Room: "tea", Before: 12, Limit: 3} }, `{"messages":[]}`, "GET /v1/history?before=12&limit=3&room=tea ",
			[]string{"0 messages listed\n"}},
		{func(t Target) command { return &MembersCmd{Target: t, Room: "tea"} }, `{"count":2,"members":[{"user":"bob","name":"Bob"},{"user":"~g","name":"E\u202eve"}],"complete":true}`,
			"GET /v1/members?room=tea ", []string{"USER  NAME\nbob   Bob\n", "~g    E\\u202eve\n", "2 listed, of 2 members\n"}},
		{func(t Target) command { return &MembersCmd{Target: t, Room: "tea"} }, `{"count":1204,"members":[{"user":"bob","name":"Bob"}],"complete":false}`,
			"GET /v1/members?room=tea ", []string{"1 listed, of 1,204 members; these are some of them\n"}},
	} {
		asked := ""
		node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			asked = r.Method + " " + r.URL.String() + " " + string(body)
			_, _ = io.WriteString(w, c.answer)
		}))
		var out bytes.Buffer
		cmd := c.cmd(Target{Admin: node.Listener.Addr().String()})
		if err := cmd.Validate(); err != nil {
			t.Errorf("%+v: %v", cmd, err)
		}
		err := cmd.Run(&Screen{Out: &out})
		node.Close()
		if err != nil || asked != c.request {
			t.Errorf("%+v: %v, asked %s", cmd, err, asked)
		}
		for _, part := range c.shown {
			if !strings.Contains(out.String(), part) {
				t.Errorf("%s: %q is not in\n%s", c.request, part, out.String())
			}
		}
	}
}

// TestApplicationCommandsThatMakeNoSense are refused before a node is asked.
func TestApplicationCommandsThatMakeNoSense(t *testing.T) {
	seq := uint64(1)
	for part, cmd := range map[string]command{
		"--room and --user":      &PublishCmd{Kind: "text", Content: "x"},
		"one of --room":          &PublishCmd{Room: "tea", User: "bob", Kind: "text", Content: "x"},
		"not JSON":               &PublishCmd{Room: "tea", Kind: "json", Content: "{likes: 3}"},
		"not base64":             &PublishCmd{Room: "tea", Kind: "data", Content: "%"},
		"which room: --room":     &HistoryCmd{Limit: 50},
		"two questions":          &HistoryCmd{Room: "tea", Before: 5, After: &seq, Limit: 50},
		"a number from 1 to 100": &HistoryCmd{Room: "tea", Limit: 0},
		"say which room":         &MembersCmd{},
	} {
		if err := cmd.Validate(); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%+v: %v, want %q", cmd, err, part)
		}
	}
}
