package envelope_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"throng/protocol/envelope"
)

// records are messages, as they are stored, as they are read back, and as a client without the subprotocol gets them.
var records = []struct {
	name   string
	record envelope.Record
	stored string
	raw    string
	text   bool
}{
	{"text", record("", envelope.Text, "hi"), `{"v":1,"time":5,"user":"~k3","name":"Ann","text":"hi"}`, "hi", true},
	{"with a key", record("k1", envelope.Text, "hi"), `{"v":1,"time":5,"user":"~k3","name":"Ann","key":"k1","text":"hi"}`, "hi", true},
	{"nothing", record("", envelope.Text, ""), `{"v":1,"time":5,"user":"~k3","name":"Ann","text":""}`, "", true},
	{"escapes", record("", envelope.Text, "\"\\/\b\f\n\r\t\x00\x1f\x7fü\u2028😀"),
		`{"v":1,"time":5,"user":"~k3","name":"Ann","text":"\"\\/\u0008\u000c\n\r\t\u0000\u001f` + "\x7fü\u2028😀" + `"}`, "\"\\/\b\f\n\r\t\x00\x1f\x7fü\u2028😀", true},
	{"what is not UTF-8", record("", envelope.Text, "a\xffb"), `{"v":1,"time":5,"user":"~k3","name":"Ann","text":"a` + "\ufffd" + `b"}`, "a\ufffdb", true},
	{"JSON", record("", envelope.JSON, `{"a":[1,"x"]}`), `{"v":1,"time":5,"user":"~k3","name":"Ann","json":{"a":[1,"x"]}}`, `{"a":[1,"x"]}`, true},
	{"null", record("", envelope.JSON, `null`), `{"v":1,"time":5,"user":"~k3","name":"Ann","json":null}`, `null`, true},
	{"base64", record("", envelope.Data, `AP8=`), `{"v":1,"time":5,"user":"~k3","name":"Ann","data":"AP8="}`, "\x00\xff", false},
	{"binary", record("", envelope.Binary, "\x00\xff"), `{"v":1,"time":5,"user":"~k3","name":"Ann","data":"AP8="}`, "\x00\xff", false},
	{"no bytes", record("", envelope.Binary, ""), `{"v":1,"time":5,"user":"~k3","name":"Ann","data":""}`, "", false},
}

func record(key string, kind envelope.Kind, body string) envelope.Record {
	return envelope.Record{Time: 5, User: []byte("~k3"), Name: []byte("Ann"), Key: []byte(key), Body: envelope.Body{Kind: kind, Bytes: []byte(body)}}
}

func TestRecord(t *testing.T) {
	var got envelope.Record
	for _, test := range records {
		stored := envelope.AppendRecord(nil, &test.record)
		if string(stored) != test.stored {
			t.Errorf("%s: got %s, want %s", test.name, stored, test.stored)
		}
		if err := got.Parse(stored); err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if got.Time != 5 || string(got.User) != "~k3" || string(got.Name) != "Ann" || !bytes.Equal(got.Key, test.record.Key) {
			t.Errorf("%s: got %+v", test.name, got)
		}
		if again := envelope.AppendRecord(nil, &got); string(again) != test.stored {
			t.Errorf("%s: written again it is %s", test.name, again)
		}
		raw, text := got.AppendRaw([]byte("> "))
		if string(raw) != "> "+test.raw || text != test.text {
			t.Errorf("%s: without the subprotocol %q, %t; want %q, %t", test.name, raw, text, test.raw, test.text)
		}
		wrote(t, "message", envelope.AppendMessage(nil, "tea", 12, 9, stored), `{"type":"message","room":"tea","seq":12,"prev":9,`+test.stored[1:])
		wrote(t, "message", envelope.AppendEphemeral(nil, "@bob", stored), `{"type":"message","room":"@bob",`+test.stored[1:])
		if test.record.Key != nil && len(test.record.Key) == 0 {
			wrote(t, "signal", envelope.AppendSignal(nil, "tea", stored), `{"type":"signal","room":"tea",`+test.stored[1:])
		}
	}
}

// TestRecordOfAnotherAge: what a newer node stores is readable, and its clients get all of it.
func TestRecordOfAnotherAge(t *testing.T) {
	stored := `{"v":2,"time":5,"user":"~k3","name":"Ann","color":{"r":1},"text":"hi","more":[true]}`
	var got envelope.Record
	if err := got.Parse([]byte(stored)); err != nil || string(got.Body.Bytes) != "hi" {
		t.Fatalf("got %+v, %v", got, err)
	}
	message := envelope.AppendMessage(nil, "tea", 12, 9, []byte(stored))
	if want := `{"type":"message","room":"tea","seq":12,"prev":9,` + stored[1:]; string(message) != want {
		t.Errorf("got %s, want %s", message, want)
	}
	if err := published().validate("message", message); err != nil {
		t.Error(err)
	}
}

func TestRecordRefused(t *testing.T) {
	for _, stored := range []string{
		``, `{}`, `[]`, `null`, `{"v":1`, ` {"v":1,"time":5,"user":"a","name":"b","text":"c"}`, `{"v":1,"time":5,"user":"a","name":"b","text":"c"} `,
		`{"v":1,"time":5,"user":"a","name":"b", "text":"c"}`,
		`{"v":0,"time":5,"user":"a","name":"b","text":"c"}`,
		`{"v":"1","time":5,"user":"a","name":"b","text":"c"}`,
		`{"v":1,"time":-5,"user":"a","name":"b","text":"c"}`,
		`{"v":1,"time":5.5,"user":"a","name":"b","text":"c"}`,
		`{"time":5,"user":"a","name":"b","text":"c"}`,
		`{"v":1,"user":"a","name":"b","text":"c"}`,
		`{"v":1,"time":5,"name":"b","text":"c"}`,
		`{"v":1,"time":5,"user":"a","text":"c"}`,
		`{"v":1,"time":5,"user":"a","name":"b"}`,
		`{"v":1,"time":5,"user":1,"name":"b","text":"c"}`,
		`{"v":1,"time":5,"user":"a","name":null,"text":"c"}`,
		`{"v":1,"time":5,"user":"a","name":"b","key":"","text":"c"}`,
		`{"v":1,"time":5,"user":"a","name":"b","text":5}`,
		`{"v":1,"time":5,"user":"a","name":"b","data":"c"}`,
		`{"v":1,"time":5,"user":"a","name":"b","text":"c","json":1}`,
		`{"v":1,"time":5,"user":"a","name":"b","text":"c","text":"d"}`,
		`{"v":1,"time":5,"user":"a","name":"b","text":"c","user":"d"}`,
		`{"v":1,"time":5,"user":"a","name":"b","text":"c","seq":1}`,
		`{"v":1,"time":5,"user":"a","name":"b","text":"c","type":"bye"}`,
		`{"v":1,"time":5,"user":"a","name":"b","text":"c","room":"x"}`,
		`{"v":1,"time":5,"user":"a","name":"b","text":"\ud800"}`,
		"{\"v\":1,\"time\":5,\"user\":\"a\",\"name\":\"b\",\"text\":\"\xff\"}",
		`{"v":1,"time":5,"user":"a","name":"b","json":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}`,
	} {
		var r envelope.Record
		if err := r.Parse([]byte(stored)); err == nil {
			t.Errorf("%s was taken", stored)
		}
	}
}

// FuzzRecord: what is published is what is stored, what is replayed, and what those without the subprotocol get.
func FuzzRecord(f *testing.F) {
	f.Add(int64(5), "~k3", "Ann", "k", uint8(1), []byte("hi \"there\"\n"), "tea", uint64(12), uint64(9))
	f.Add(int64(1790000000000), "bob", "Bob\x00ü\xff", "", uint8(2), []byte(`{"a":[1,2.5e3]}`), "@~k3", uint64(1), uint64(0))
	f.Add(int64(0), "", "", "", uint8(3), []byte("AP8="), "l\xff", uint64(1<<53-1), uint64(7))
	f.Add(int64(7), "u", "n", "k", uint8(4), []byte("\x00\xff\x80"), "", uint64(3), uint64(2))
	f.Fuzz(func(t *testing.T, time int64, user, name, key string, kind uint8, body []byte, room string, seq, prev uint64) {
		if time < 0 || time > envelope.IntegerMax || seq == 0 {
			return
		}
		in := envelope.Record{Time: time, User: []byte(user), Name: []byte(name), Key: []byte(key), Body: bodyOf(envelope.Kind(kind), body)}
		if in.Body.Kind == envelope.None {
			return
		}
		stored := envelope.AppendRecord(nil, &in)
		var out envelope.Record
		if err := out.Parse(stored); err != nil {
			t.Fatalf("%s: %v", stored, err)
		}
		for _, pair := range [][2]string{{user, string(out.User)}, {name, string(out.Name)}, {key, string(out.Key)}} {
			if want := strings.ToValidUTF8(pair[0], "\ufffd"); pair[1] != want {
				t.Fatalf("%s: got %q, want %q", stored, pair[1], want)
			}
		}
		want, isText := in.Body.Bytes, true
		switch in.Body.Kind {
		case envelope.Text:
			want = bytes.ToValidUTF8(want, []byte("\ufffd"))
		case envelope.Data:
			want, _ = base64.StdEncoding.DecodeString(string(want)) // bodyOf has looked
			isText = false
		case envelope.Binary:
			isText = false
		}
		if raw, text := out.AppendRaw(nil); !bytes.Equal(raw, want) || text != isText {
			t.Fatalf("%s: without the subprotocol %q, %t; want %q, %t", stored, raw, text, want, isText)
		}
		if again := envelope.AppendRecord(nil, &out); !bytes.Equal(again, stored) {
			t.Fatalf("%s written again is %s", stored, again)
		}
		checkMessage(t, envelope.AppendMessage(nil, room, seq, prev, stored), room, seq, prev, &out)
	})
}

// bodyOf makes a body of bytes, if they can be one of that kind.
func bodyOf(kind envelope.Kind, b []byte) envelope.Body {
	var r envelope.Request
	text := `{"type":"signal","id":1,"room":"r",`
	switch kind {
	case envelope.Text, envelope.Binary:
		return envelope.Body{Kind: kind, Bytes: b}
	case envelope.JSON:
		text += `"json":` + string(b) + `}`
	case envelope.Data:
		text += `"data":"` + string(b) + `"}`
	}
	if r.Parse([]byte(text)) != nil || r.Body.Kind != kind {
		return envelope.Body{}
	}
	return envelope.Body{Kind: kind, Bytes: bytes.Clone(r.Body.Bytes)}
}

// checkMessage reads a message as a client does.
func checkMessage(t *testing.T, message []byte, room string, seq, prev uint64, want *envelope.Record) {
	t.Helper()
	var got struct {
		Type, Room, User, Name, Key string
		Seq, Prev                   uint64
		V, Time                     int64
		Text, Data                  *string
		JSON                        json.RawMessage
	}
	if err := json.Unmarshal(message, &got); err != nil {
		t.Fatalf("%s: %v", message, err)
	}
	if got.Type != "message" || got.Room != strings.ToValidUTF8(room, "\ufffd") || got.Seq != seq || got.Prev != prev || got.V != 1 || got.Time != want.Time ||
		got.User != string(want.User) || got.Name != string(want.Name) || got.Key != string(want.Key) {
		t.Fatalf("%s: got %+v, want %+v", message, got, want)
	}
	content := got.JSON
	switch {
	case got.Text != nil:
		content = []byte(*got.Text)
	case got.Data != nil:
		content = []byte(*got.Data)
	}
	if !bytes.Equal(content, want.Body.Bytes) {
		t.Fatalf("%s: the content is %q, want %q", message, content, want.Body.Bytes)
	}
}

// FuzzStoredBytes: whatever a store holds, what Parse takes becomes a message that a client can read.
func FuzzStoredBytes(f *testing.F) {
	for _, test := range records {
		f.Add([]byte(test.stored))
	}
	f.Add([]byte(`{"v":2,"time":5,"user":"~k3","name":"Ann","color":{"r":1},"text":"hi","more":[true]}`))
	f.Fuzz(func(t *testing.T, stored []byte) {
		var r envelope.Record
		if r.Parse(stored) != nil {
			return
		}
		r.AppendRaw(nil)
		var fields map[string]json.RawMessage
		message := envelope.AppendMessage(nil, "tea", 12, 9, stored)
		if err := json.Unmarshal(message, &fields); err != nil || string(fields["seq"]) != "12" || string(fields["type"]) != `"message"` {
			t.Fatalf("%s: %v", message, err)
		}
	})
}
