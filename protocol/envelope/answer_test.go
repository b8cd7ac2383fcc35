package envelope_test

import (
	"testing"
	"time"

	"throng/protocol/envelope"
)

var ann, bob = envelope.Person{User: "~k3", Name: "Ann"}, envelope.Person{User: "bob", Name: `Bob "B" Ü`}

const (
	annJSON = `{"user":"~k3","name":"Ann"}`
	bobJSON = `{"user":"bob","name":"Bob \"B\" Ü"}`
)

func TestWelcome(t *testing.T) {
	w := envelope.Welcome{User: "~k3", Name: "Ann", Guest: true, Session: "s3cret", Node: "n1", Server: "throng 1.0", Heartbeat: 30 * time.Second,
		Limits: envelope.Limits{Message: 65536, Rooms: 100, Rate: 20}}
	wrote(t, "welcome", envelope.AppendWelcome(nil, &w), `{"type":"welcome","protocol":"throng.v1","user":"~k3","name":"Ann","guest":true,"session":"s3cret",`+
		`"node":"n1","server":"throng 1.0","heartbeat":30000,"limits":{"message":65536,"rooms":100,"rate":20}}`)
	w = envelope.Welcome{User: "bob", Name: "Bob", Node: "n1", Server: "throng 1.0", Heartbeat: 1500 * time.Microsecond, Expires: 1790000000000}
	wrote(t, "welcome", envelope.AppendWelcome([]byte{}, &w), `{"type":"welcome","protocol":"throng.v1","user":"bob","name":"Bob","guest":false,`+
		`"node":"n1","server":"throng 1.0","heartbeat":2,"limits":{"message":0,"rooms":0,"rate":0},"expires":1790000000000}`)
}

func TestOK(t *testing.T) {
	id := []byte(`"a"`)
	wrote(t, "done", envelope.AppendOK(nil, id, "tea"), `{"type":"ok","id":"a","room":"tea"}`)
	wrote(t, "pong", envelope.AppendPong(nil, []byte("7"), 1790000000000), `{"type":"ok","id":7,"time":1790000000000}`)
	wrote(t, "authed", envelope.AppendAuthed(nil, id, "~k3", "Ann", 0), `{"type":"ok","id":"a","user":"~k3","name":"Ann"}`)
	wrote(t, "authed", envelope.AppendAuthed(nil, id, "bob", "Bob", 5), `{"type":"ok","id":"a","user":"bob","name":"Bob","expires":5}`)

	wrote(t, "joined", envelope.AppendJoined(nil, id, &envelope.Joined{Room: "tea", Name: "Ann", Count: 2}),
		`{"type":"ok","id":"a","room":"tea","recorded":false,"name":"Ann","count":2}`)
	wrote(t, "joined", envelope.AppendJoined(nil, id, &envelope.Joined{Room: "tea", Recorded: true, Epoch: "e1", Name: "Ann", Count: 1}),
		`{"type":"ok","id":"a","room":"tea","recorded":true,"epoch":"e1","seq":0,"name":"Ann","count":1,"replay":0}`)
	wrote(t, "joined", envelope.AppendJoined(nil, id, &envelope.Joined{Room: "tea", Recorded: true, Epoch: "e1", Seq: 3, Name: "Ann", Count: 1, Replay: -1}),
		`{"type":"ok","id":"a","room":"tea","recorded":true,"epoch":"e1","seq":3,"name":"Ann","count":1}`)
	wrote(t, "joined", envelope.AppendJoined(nil, id, &envelope.Joined{Room: "tea", Recorded: true, Epoch: "e1", Seq: 12, Name: "Ann 2", Count: 2, Replay: 3}),
		`{"type":"ok","id":"a","room":"tea","recorded":true,"epoch":"e1","seq":12,"name":"Ann 2","count":2,"replay":3}`)

	wrote(t, "published", envelope.AppendPublished(nil, id, "tea", 12, false), `{"type":"ok","id":"a","room":"tea","seq":12,"stored":true}`)
	wrote(t, "published", envelope.AppendPublished(nil, id, "tea", 12, true), `{"type":"ok","id":"a","room":"tea","seq":12,"stored":true,"duplicate":true}`)
	wrote(t, "published", envelope.AppendPublished(nil, id, "tea", 0, false), `{"type":"ok","id":"a","room":"tea","stored":false}`)

	wrote(t, "membersOf", envelope.AppendMembers(nil, id, "tea", 2, []envelope.Person{ann, bob}, true),
		`{"type":"ok","id":"a","room":"tea","count":2,"members":[`+annJSON+`,`+bobJSON+`],"complete":true}`)
	wrote(t, "membersOf", envelope.AppendMembers(nil, id, "tea", 9, nil, false), `{"type":"ok","id":"a","room":"tea","count":9,"members":[],"complete":false}`)

	one := []byte(`{"v":1,"time":5,"user":"~k3","name":"Ann","text":"hi"}`)
	two := []byte(`{"v":1,"time":6,"user":"bob","name":"Bob","key":"k","json":{"a":1}}`)
	wrote(t, "historyOf", envelope.AppendHistory(nil, id, "tea", "e1", []envelope.Stored{{9, 0, one}, {12, 9, two}}, true),
		`{"type":"ok","id":"a","room":"tea","epoch":"e1","messages":[{"seq":9,"prev":0,`+string(one[1:])+`,{"seq":12,"prev":9,`+string(two[1:])+`],"more":true}`)
	wrote(t, "historyOf", envelope.AppendHistory(nil, id, "tea", "", nil, false), `{"type":"ok","id":"a","room":"tea","messages":[],"more":false}`)
}

func TestServerSpeaks(t *testing.T) {
	wrote(t, "presence", envelope.AppendPresence(nil, "tea", &envelope.Presence{Count: 2, Joined: []envelope.Person{bob}, Left: []envelope.Person{ann}}),
		`{"type":"presence","room":"tea","count":2,"joined":[`+bobJSON+`],"left":[`+annJSON+`]}`)
	wrote(t, "presence", envelope.AppendPresence(nil, "tea", &envelope.Presence{Count: 1, Whole: true, Members: []envelope.Person{ann}, Complete: true}),
		`{"type":"presence","room":"tea","count":1,"members":[`+annJSON+`],"complete":true}`)
	wrote(t, "presence", envelope.AppendPresence(nil, "tea", &envelope.Presence{Count: 5000, Whole: true}),
		`{"type":"presence","room":"tea","count":5000,"members":[],"complete":false}`)

	wrote(t, "gap", envelope.AppendGap(nil, "tea", &envelope.Gap{Epoch: "e1", From: 3, To: 8, Oldest: 9}),
		`{"type":"gap","room":"tea","epoch":"e1","from":3,"to":8,"oldest":9}`)
	wrote(t, "gap", envelope.AppendGap(nil, "tea", &envelope.Gap{Epoch: "e2", To: 40, Oldest: 2, Reset: true}),
		`{"type":"gap","room":"tea","epoch":"e2","from":0,"to":40,"oldest":2,"reset":true}`)

	wrote(t, "bye", envelope.AppendBye(nil, &envelope.Bye{Code: 1001, Reason: "restart; reconnect in 4200 ms", Again: true, In: 4200 * time.Millisecond}),
		`{"type":"bye","code":1001,"reason":"restart; reconnect in 4200 ms","again":true,"in":4200}`)
	wrote(t, "bye", envelope.AppendBye(nil, &envelope.Bye{Code: 4403, Reason: "kicked"}),
		`{"type":"bye","code":4403,"reason":"kicked","again":false,"in":0}`)
}

func TestError(t *testing.T) {
	err := envelope.Errorf(envelope.Rate, "more than %d a second", 20)
	err.Retry = 1500 * time.Millisecond
	wrote(t, "error", envelope.AppendError(nil, []byte("7"), []byte("tea"), []byte("k1"), err),
		`{"type":"error","id":7,"room":"tea","code":"rate","message":"more than 20 a second","hint":"`+envelope.Rate.Hint()+`","retry":1500,"key":"k1"}`)
	wrote(t, "error", envelope.AppendError(nil, nil, nil, nil, envelope.ErrBinary),
		`{"type":"error","code":"bad_request","message":"`+envelope.ErrBinary.Message+`","hint":"`+envelope.BadRequest.Hint()+`"}`)
	if got, want := err.Error(), "rate: more than 20 a second"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestCodes: each code has a name of its own and says what to do.
func TestCodes(t *testing.T) {
	names, hints := map[string]bool{}, map[string]bool{}
	for _, code := range envelope.Codes() {
		name, hint := code.String(), code.Hint()
		if name == "" || names[name] {
			t.Errorf("the code %d is called %q", code, name)
		}
		if len(hint) < 20 || hint[len(hint)-1] != '.' || hints[hint] {
			t.Errorf("%s has no hint of its own that is a sentence: %q", name, hint)
		}
		names[name], hints[hint] = true, true
		wrote(t, "error", envelope.AppendError(nil, nil, nil, nil, envelope.Errorf(code, "m")), `{"type":"error","code":"`+name+`","message":"m","hint":"`+hint+`"}`)
	}
}
