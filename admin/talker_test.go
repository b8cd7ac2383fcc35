package admin_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"throng/admin"
)

// TestWithoutTalker: a server without rooms that remember says so, to those who may ask.
func TestWithoutTalker(t *testing.T) {
	_, addr := start(t, admin.Config{Operator: &desk{}, Key: theKey})
	for request, body := range map[string]string{"GET /v1/history?room=tea": "", "GET /v1/members?room=tea": "", "POST /v1/publish": `{"room":"tea","text":"x"}`} {
		for key, want := range map[string]int{theKey: 501, theKey + "x": 401} {
			head := fmt.Sprintf("Host: %s\nConnection: close\nAuthorization: Bearer %s\nContent-Length: %d", addr, key, len(body))
			res, text := ask(t, addr, request+" HTTP/1.1\n"+head+"\n\n"+body)
			if res.StatusCode != want || want == 501 && !strings.Contains(text, `"this server does not offer publish, history and members"`) {
				t.Errorf("%s: %d %s", request, res.StatusCode, text)
			}
		}
	}
}

// TestRefusalsOfTheTalker are told as they are.
func TestRefusalsOfTheTalker(t *testing.T) {
	_, socket, d := door(t, admin.Config{Addr: "127.0.0.1:0"})
	d.err = &admin.Refusal{Status: 503, Text: "unavailable, try again"}
	for request, body := range map[string]string{"GET /v1/history?room=tea": "", "GET /v1/members?room=tea": "", "POST /v1/publish": `{"room":"tea","text":"x"}`} {
		method, path, _ := strings.Cut(request, " ")
		if status, text := overSocket(t, socket, method, path, "", body); status != 503 || !strings.Contains(text, "try again") {
			t.Errorf("%s: %d %s", request, status, text)
		}
	}
}

// TestMessagesAsJSON: a message holds one of three, also where that is empty, and what is not there is not written.
func TestMessagesAsJSON(t *testing.T) {
	empty, hello := "", "<hello>"
	for want, message := range map[string]admin.Message{
		`{"seq":7,"prev":5,"time":1,"user":"bob","name":"Bob","key":"k","text":"\u003chello\u003e"}`: {Seq: 7, Prev: 5, Time: 1, User: "bob", Name: "Bob", Key: "k", Content: admin.Content{Text: &hello}},
		`{"seq":7,"prev":0,"time":0,"user":"","name":"","text":""}`:                                  {Seq: 7, Content: admin.Content{Text: &empty}},
		`{"seq":7,"prev":0,"time":0,"user":"","name":"","json":null}`:                                {Seq: 7, Content: admin.Content{JSON: json.RawMessage("null")}},
		`{"seq":7,"prev":0,"time":0,"user":"","name":"","json":{"n":12345678901234567890}}`:          {Seq: 7, Content: admin.Content{JSON: json.RawMessage(`{"n":12345678901234567890}`)}},
		`{"seq":7,"prev":0,"time":0,"user":"","name":"","data":""}`:                                  {Seq: 7, Content: admin.Content{Data: []byte{}}},
		`{"seq":7,"prev":0,"time":0,"user":"","name":"","data":"AP8="}`:                              {Seq: 7, Content: admin.Content{Data: []byte{0, 255}}},
	} {
		got, err := json.Marshal(message)
		var again admin.Message
		if err != nil || string(got) != want || json.Unmarshal(got, &again) != nil || !reflect.DeepEqual(again, message) {
			t.Errorf("%s, %v; want %s; and again %+v", got, err, want, again)
		}
	}
}
