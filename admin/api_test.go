package admin_test

import (
	"encoding/json"
	"errors"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"throng/admin"
)

func TestQuestionsArriveAsTheyWereAsked(t *testing.T) {
	_, socket, d := door(t, admin.Config{Addr: "127.0.0.1:0"})
	network, seq, oldest := netip.MustParsePrefix("10.0.0.0/8"), uint64(1<<63), uint64(0)
	for _, c := range []struct {
		path string
		q    interface{ Values() url.Values }
	}{
		{"connections", admin.ConnectionsQuery{ID: "0-1-a", User: "b&b", Room: "tea 聊", Address: network, State: "open", IdleAbove: admin.Span(90 * time.Second),
			LagAbove: 7, Sort: "lag", Limit: 3, Page: "x"}},
		{"connections", admin.ConnectionsQuery{Limit: 100, Sample: 10}},
		{"rooms", admin.RoomsQuery{Match: "tea-*", Sort: "rate", Limit: 9}},
		{"closes", admin.ClosesQuery{ID: "0-1-a", User: "b", Room: "c", Address: network, Reason: "slow", Since: admin.Span(time.Minute), Handshakes: true, Limit: 4}},
		{"history", admin.HistoryQuery{Room: "@bob", Before: 1 << 63, Limit: 1000}},
		{"history", admin.HistoryQuery{Room: "tea 聊", After: &seq, Limit: 50}},
		{"history", admin.HistoryQuery{Room: "tea", After: &oldest, Limit: 1}},
		{"members", admin.MembersQuery{Room: "tea&x=1"}},
	} {
		status, body := overSocket(t, socket, "GET", "/v1/"+c.path+"?"+c.q.Values().Encode(), "", "")
		if status != 200 || len(d.asked) == 0 || !reflect.DeepEqual(d.asked[len(d.asked)-1], c.q) {
			t.Errorf("%+v: %d %s, asked %+v", c.q, status, body, d.asked)
		}
	}
}

func TestQuestionsThatMakeNoSense(t *testing.T) {
	_, socket, d := door(t, admin.Config{Addr: "127.0.0.1:0"})
	for _, c := range []struct {
		request string
		body    string
		status  int
		part    string // of the error
	}{
		{"GET /v1/status?x=1", "", 400, `"x" is unknown`},
		{"GET /v1/connections?usr=bob", "", 400, `"usr" is unknown; allowed: address`},
		{"GET /v1/connections?user=a&user=b", "", 400, "once"},
		{"GET /v1/connections?address=10", "", 400, "10.0.3.0/24"},
		{"GET /v1/connections?state=dead", "", 400, "handshake, open, closing"},
		{"GET /v1/connections?sort=name", "", 400, "lag, idle, bytes, age"},
		{"GET /v1/connections?limit=1001", "", 400, "1 to 1000"},
		{"GET /v1/connections?limit=0", "", 400, "1 to 1000"},
		{"GET /v1/connections?idle_above=60", "", 400, "1m30s"},
		{"GET /v1/connections?sample=5&sort=age", "", 400, "sample"},
		{"GET /v1/rooms?match=*tea", "", 400, "tea-*"},
		{"GET /v1/closes?since=yesterday", "", 400, "duration"},
		{"GET /v1/closes?handshakes=1", "", 400, "true, false"},
		{"GET /v1/nothing", "", 404, "/v1/"},
		{"POST /v1/status", "", 405, "not allowed"},
		{"GET /v1/kick", "", 405, "POST"},
		{"POST /v1/kick", "", 400, "whom"},
		{"POST /v1/kick", `{"usr":"bob"}`, 400, `unknown field "usr"`},
		{"POST /v1/kick", `{"user":7}`, 400, "number"},
		{"POST /v1/kick", `{"user":"bob"} {}`, 400, "more than one"},
		{"POST /v1/kick", `{"user":"bob"`, 400, "not understood"},
		{"POST /v1/kick", `{"user":"bob","code":1002}`, 400, "4000 to 4999"},
		{"POST /v1/kick", `{"user":"bob","reason":"` + strings.Repeat("x", 124) + `"}`, 400, "123"},
		{"POST /v1/kick", `{"address":"bob"}`, 400, "address"},
		{"POST /v1/kick", `{"user":"` + strings.Repeat("x", 70000) + `"}`, 413, "65536"},
		{"POST /v1/say", `{"text":"x"}`, 400, "to whom"},
		{"POST /v1/say", `{"room":"a","all":true,"text":"x"}`, 400, "to whom"},
		{"POST /v1/say", `{"all":true}`, 400, "no text"},
		{"POST /v1/drain", `{"delay":"2h"}`, 400, "too long"},
		{"POST /v1/drain", `{"delay":5}`, 400, "delay"},
		{"POST /v1/shed", `{}`, 400, "how many"},
		{"POST /v1/shed", `{"share":0.1,"to":5}`, 400, "how many"},
		{"POST /v1/shed", `{"share":1.1}`, 400, "at most 1"},
		{"POST /v1/shed", `{"to":-1}`, 400, "fewer"},
		{"POST /v1/reload", `{"force":true}`, 400, "force"},
		{"GET /v1/publish", "", 405, "POST"},
		{"POST /v1/publish", "", 400, "where: give one of room and user"},
		{"POST /v1/publish", `{"room":"tea","user":"bob","text":"x"}`, 400, "where"},
		{"POST /v1/publish", `{"room":"tea"}`, 400, "what: give one of text, json and data"},
		{"POST /v1/publish", `{"room":"tea","text":"x","json":null}`, 400, "what"},
		{"POST /v1/publish", `{"room":"tea","text":"x","data":""}`, 400, "what"},
		{"POST /v1/publish", `{"room":"tea","text":null}`, 400, "what"},
		{"POST /v1/publish", `{"room":"tea","text":7}`, 400, "number"},
		{"POST /v1/publish", `{"room":"tea","data":"%"}`, 400, "base64"},
		{"POST /v1/publish", `{"room":"tea","text":"x","keys":"y"}`, 400, `unknown field "keys"`},
		{"POST /v1/publish", `{"room":"` + strings.Repeat("x", 66) + `","text":"x"}`, 400, "room has 66 bytes; allowed: at most 65"},
		{"POST /v1/publish", `{"user":"` + strings.Repeat("x", 65) + `","text":"x"}`, 400, "user has 65 bytes"},
		{"POST /v1/publish", `{"room":"tea","text":"x","key":"` + strings.Repeat("x", 65) + `"}`, 400, "key has 65 bytes"},
		{"POST /v1/publish", `{"room":"tea","text":"x","key":"a\n"}`, 400, "U+000A"},
		{"POST /v1/publish", `{"room":"tea","text":"x","as":"a\u0000"}`, 400, "U+0000"},
		{"POST /v1/publish", "{\"room\":\"tea\",\"text\":\"x\",\"name\":\"a\xff\"}", 400, "U+FFFD"},
		{"POST /v1/publish", `{"room":"tea","text":"` + strings.Repeat("x", 1<<20) + `"}`, 413, "1048576"},
		{"GET /v1/history", "", 400, "which room"},
		{"GET /v1/history?room=tea&before=0", "", 400, "leave before out"},
		{"GET /v1/history?room=tea&before=5&after=0", "", 400, "two questions"},
		{"GET /v1/history?room=tea&after=-1", "", 400, "not the seq"},
		{"GET /v1/history?room=tea&before=18446744073709551616", "", 400, "not the seq"},
		{"GET /v1/history?room=tea&limit=1001", "", 400, "1 to 1000"},
		{"GET /v1/history?room=tea&since=5", "", 400, `"since" is unknown; allowed: after, before, limit, room`},
		{"GET /v1/history?room=tea&room=cake", "", 400, "once"},
		{"GET /v1/history?room=a%0ab", "", 400, "U+000A"},
		{"POST /v1/history?room=tea", "", 405, "not allowed"},
		{"GET /v1/members", "", 400, "which room"},
		{"GET /v1/members?room=tea&limit=5", "", 400, `"limit" is unknown; allowed: room`},
	} {
		method, path, _ := strings.Cut(c.request, " ")
		status, text := overSocket(t, socket, method, path, "", c.body)
		var told struct{ Error string }
		if c.status != 405 {
			if err := json.Unmarshal([]byte(text), &told); err != nil {
				t.Errorf("%s %.60s: %q is no JSON: %v", c.request, c.body, text, err)
			}
			text = told.Error
		}
		if status != c.status || !strings.Contains(text, c.part) {
			t.Errorf("%s %.60s: %d %q, want %d %q", c.request, c.body, status, text, c.status, c.part)
		}
	}
	if len(d.asked)+len(d.orders) > 0 {
		t.Errorf("the operator was asked %v and told %v", d.asked, d.orders)
	}
}

func TestOrdersArriveWithWhoGaveThem(t *testing.T) {
	addr, socket, d := door(t, admin.Config{Addr: "127.0.0.1:0", Key: theKey})
	delay, none, to := admin.Span(5*time.Second), admin.Span(0), 0
	hello, empty := "hello", ""
	for _, c := range []struct {
		path, body string
		want       any
	}{
		{"kick", `{"user":"bob","address":"10.0.0.1","code":4403,"reason":"bye","dry_run":true}`,
			admin.Kick{User: "bob", Address: "10.0.0.1", Code: 4403, Reason: "bye", DryRun: true}},
		{"say", `{"room":"tea","text":"hello"}`, admin.Say{Room: "tea", Text: "hello"}},
		{"drain", "", admin.Drain{}},
		{"drain", `{"delay":"5s","time":"0s"}`, admin.Drain{Delay: &delay, Time: &none}},
		{"shed", `{"to":0,"over":"5s"}`, admin.Shed{To: &to, Over: &delay}},
		{"shed", `{"stop":true}`, "stop"},
		{"reload", "{}", "reload"},
		{"publish", `{"room":"tea","text":"hello","key":"k1","as":"bob","name":"Bob B."}`,
			admin.Publish{Room: "tea", Content: admin.Content{Text: &hello}, Key: "k1", As: "bob", Name: "Bob B."}},
		{"publish", `{"user":"bob","text":""}`, admin.Publish{User: "bob", Content: admin.Content{Text: &empty}}},
		{"publish", `{"room":"@bob","json":{"n":12345678901234567890, "a":[]}}`,
			admin.Publish{Room: "@bob", Content: admin.Content{JSON: json.RawMessage(`{"n":12345678901234567890, "a":[]}`)}}},
		{"publish", `{"room":"tea","json":null}`, admin.Publish{Room: "tea", Content: admin.Content{JSON: json.RawMessage("null")}}},
		{"publish", `{"room":"tea","data":""}`, admin.Publish{Room: "tea", Content: admin.Content{Data: []byte{}}}},
		{"publish", `{"room":"tea","data":"AP8="}`, admin.Publish{Room: "tea", Content: admin.Content{Data: []byte{0, 255}}}},
	} {
		if status, body := overSocket(t, socket, "POST", "/v1/"+c.path, "", c.body); status != 200 {
			t.Errorf("%s %s: %d %s", c.path, c.body, status, body)
		}
		if got, by, _ := d.last(); !reflect.DeepEqual(got, c.want) || !strings.HasPrefix(string(by), "uid ") {
			t.Errorf("%s %s: %+v by %s", c.path, c.body, got, by)
		}
	}
	ask(t, addr, "POST /v1/reload HTTP/1.1\nHost: "+addr+"\nConnection: close\nContent-Length: 0\nAuthorization: Bearer "+theKey+"\n\n")
	if _, by, _ := d.last(); !strings.HasPrefix(string(by), "key from 127.0.0.1:") || strings.Contains(string(by), theKey) {
		t.Errorf("by %s", by)
	}
}

func TestErrorsOfTheOperator(t *testing.T) {
	_, socket, d := door(t, admin.Config{Addr: "127.0.0.1:0"})
	for want, err := range map[int]error{
		409: &admin.Refusal{Status: 409, Text: "no", Details: []string{"one", "two"}},
		500: errors.New("a fault"),
	} {
		d.err = err
		status, body := overSocket(t, socket, "POST", "/v1/reload", "", "")
		var told struct {
			Error   string
			Details []string
		}
		if json.Unmarshal([]byte(body), &told) != nil || status != want || told.Error != err.Error() || len(told.Details) != map[int]int{409: 2}[want] {
			t.Errorf("%v: %d %s", err, status, body)
		}
	}
}

// TestProgress: what takes a while is told a line at a time, each change at once, to the end.
func TestProgress(t *testing.T) {
	_, socket, d := door(t, admin.Config{Addr: "127.0.0.1:0"})
	d.looks = []admin.Progress{
		{State: admin.Waiting, Total: 9, Left: 9, Estimate: admin.Seconds(1500 * time.Millisecond)},
		{State: admin.Waiting, Total: 9, Left: 9}, {State: admin.Moving, Total: 9, Left: 5}, {State: admin.Done, Total: 9},
	}
	status, body := overSocket(t, socket, "POST", "/v1/drain", "", "")
	want := `{"state":"waiting","total":9,"left":9,"estimate_seconds":1.5}` + "\n" +
		`{"state":"moving","total":9,"left":5,"estimate_seconds":0}` + "\n" + `{"state":"done","total":9,"left":0,"estimate_seconds":0}` + "\n"
	if status != 200 || body != want {
		t.Errorf("%d\n%swant\n%s", status, body, want)
	}
}
