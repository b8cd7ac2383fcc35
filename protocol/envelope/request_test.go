package envelope_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"throng/protocol/envelope"
)

// shown is a request in a form that tests can compare.
func shown(r *envelope.Request) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", r.Type, r.ID)
	for _, one := range []struct {
		name string
		text []byte
	}{{"room", r.Room}, {"key", r.Key}, {"token", r.Token}, {"name", r.Name}} {
		if one.text != nil {
			fmt.Fprintf(&b, " %s=%q", one.name, one.text)
		}
	}
	if kind := r.Body.Kind; kind != envelope.None {
		fmt.Fprintf(&b, " %s=%q", []string{"", "text", "json", "data", "binary"}[kind], r.Body.Bytes)
	}
	if r.HasSince {
		fmt.Fprintf(&b, " since=%q/%d", r.Since.Epoch, r.Since.Seq)
	}
	if r.HasBefore {
		fmt.Fprintf(&b, " before=%d", r.Before)
	}
	if r.HasAfter {
		fmt.Fprintf(&b, " after=%d", r.After)
	}
	if r.Last != 0 {
		fmt.Fprintf(&b, " last=%d", r.Last)
	}
	if r.Limit != 0 {
		fmt.Fprintf(&b, " limit=%d", r.Limit)
	}
	return b.String()
}

var long = strings.Repeat("x", 64)

// goodRequests are requests, and what they say.
var goodRequests = []struct{ text, says string }{
	{`{"type":"join","id":1,"room":"tea"}`, `join 1 room="tea"`},
	{`{"type":"join","id":"a","room":"tea","last":0}`, `join "a" room="tea"`},
	{`{"type":"join","id":"a","room":"tea","last":1000}`, `join "a" room="tea" last=1000`},
	{`{"type":"join","id":0,"room":"@~k3","since":{"epoch":"e1","seq":12}}`, `join 0 room="@~k3" since="e1"/12`},
	{`{"type":"join","id":0,"room":"tea","since":{"seq":0,"then":{"seq":1},"epoch":"\u0065"},"last":5}`, `join 0 room="tea" since="e"/0 last=5`},
	{`{"type":"join","id":0,"room":"tea","since":{"epoch":"e","seq":9007199254740991}}`, `join 0 room="tea" since="e"/9007199254740991`},
	{`{"type":"leave","id":9007199254740991,"room":"tea"}`, `leave 9007199254740991 room="tea"`},
	{`{"type":"publish","id":1,"room":"tea","text":"hi"}`, `publish 1 room="tea" text="hi"`},
	{`{"type":"publish","id":1,"room":"tea","text":"","key":"k"}`, `publish 1 room="tea" key="k" text=""`},
	{`{"type":"publish","id":1,"room":"tea","text":"\"\\\/\b\f\n\r\t\u0000\u00e9\u20AC\ud83d\ude00"}`, `publish 1 room="tea" text="\"\\/\b\f\n\r\t\x00é€😀"`},
	{`{"type":"publish","id":1,"room":"tea","text":"12345678\n12345678é\n"}`, `publish 1 room="tea" text="12345678\n12345678é\n"`},
	{"{\"type\":\"publish\",\"id\":1,\"room\":\"tea\",\"text\":\"\u2028\u0080\x7f\ufeff\uffff\"}", `publish 1 room="tea" text="\u2028\u0080\x7f\ufeff\uffff"`},
	{`{"type":"publish","id":1,"room":"tea","json":null}`, `publish 1 room="tea" json="null"`},
	{`{"type":"publish","id":1,"room":"tea","json":{"a":[1,-2.5e3,"x y"]}}`, `publish 1 room="tea" json="{\"a\":[1,-2.5e3,\"x y\"]}"`},
	{`{"type":"publish","id":1,"room":"tea","json": { "a" : [ 1 , "x \" y" , {} , [ ] ] } }`, `publish 1 room="tea" json="{\"a\":[1,\"x \\\" y\",{},[]]}"`},
	{`{"type":"publish","id":1,"room":"tea","json":{"text":1,"text":2,"type":"x"}}`, `publish 1 room="tea" json="{\"text\":1,\"text\":2,\"type\":\"x\"}"`},
	{`{"type":"publish","id":1,"room":"tea","json":1e308}`, `publish 1 room="tea" json="1e308"`},
	{`{"type":"publish","id":1,"room":"tea","json":1e-999}`, `publish 1 room="tea" json="1e-999"`},
	{`{"type":"publish","id":1,"room":"tea","data":""}`, `publish 1 room="tea" data=""`},
	{`{"type":"publish","id":1,"room":"tea","data":"AA=="}`, `publish 1 room="tea" data="AA=="`},
	{`{"type":"publish","id":1,"room":"tea","data":"a\/+z"}`, `publish 1 room="tea" data="a/+z"`},
	{`{"type":"publish","id":1,"room":"tea","data":"aGk=","limit":"many","since":3}`, `publish 1 room="tea" data="aGk="`},
	{`{"type":"signal","id":1,"room":"tea","json":{"typing":true},"key":7}`, `signal 1 room="tea" json="{\"typing\":true}"`},
	{`{"type":"history","id":1,"room":"tea"}`, `history 1 room="tea" limit=50`},
	{`{"type":"history","id":1,"room":"tea","before":1,"limit":1000}`, `history 1 room="tea" before=1 limit=1000`},
	{`{"type":"history","id":1,"room":"tea","after":0,"limit":1}`, `history 1 room="tea" after=0 limit=1`},
	{`{"type":"members","id":1,"room":"聊天"}`, `members 1 room="聊天"`},
	{`{"type":"ping","id":"p"}`, `ping "p"`},
	{"\t{ \"type\" : \"ping\" ,\r\n\"id\" : 3 } \n", `ping 3`},
	{`{"typ\u0065":"p\u0069ng","\u0069d":"\u0061"}`, `ping "\u0061"`},
	{`{"type":"ping","id":1,"x":1,"x":2,"":3,"room":5}`, `ping 1`},
	{`{"type":"ping","id":"` + long + `"}`, `ping "` + long + `"`},
	{`{"type":"auth","id":1,"token":"a.b.c"}`, `auth 1 token="a.b.c"`},
	{`{"type":"auth","id":1,"name":"Ann Müller"}`, `auth 1 name="Ann Müller"`},
	{`{"type":"ping","id":1,"x":` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + `}`, `ping 1`},
	{`{"type":"ping","id":1,"x":` + strings.Repeat("9", 308) + `}`, `ping 1`},
	{`{"type":"ping","id":1,"x":0.` + strings.Repeat("9", 1000) + `}`, `ping 1`},
}

func TestRequest(t *testing.T) {
	var r envelope.Request // one for all: nothing of one request may be seen in the next
	for _, test := range goodRequests {
		if err := r.Parse([]byte(test.text)); err != nil {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		if got := shown(&r); got != test.says {
			t.Errorf("%s:\n\tgot  %s\n\twant %s", test.text, got, test.says)
		}
		if err := published().validate("client", []byte(test.text)); err != nil {
			t.Error(err)
		}
	}
}

// badRequests are refused. passes says that the schema cannot tell why.
var badRequests = []struct {
	text   string
	code   envelope.Code
	id     string // that the answer has
	says   string // in the message
	passes bool
}{
	{`{"id":1}`, envelope.BadRequest, "1", "type is missing", false},
	{`{"type":7,"id":1}`, envelope.BadRequest, "1", "type is not a string", false},
	{`{"type":"shout","id":1}`, envelope.UnknownType, "1", `the type "shout"`, false},
	{`{"type":"","id":1}`, envelope.UnknownType, "1", `the type ""`, false},
	{`{"type":"Ping","id":1}`, envelope.UnknownType, "1", `the type "Ping"`, false},
	{`{"type":"none","id":1}`, envelope.UnknownType, "1", `the type "none"`, false},
	{`{"type":"` + strings.Repeat("é", 50) + `","id":1}`, envelope.UnknownType, "1", `the type "` + strings.Repeat("é", 32) + `"`, false},
	{`{"type":"shout"}`, envelope.BadRequest, "", "id is missing", false},
	{`{"type":"ping"}`, envelope.BadRequest, "", "id is missing", false},
	{`{"type":"ping","id":null}`, envelope.BadRequest, "", "id is not good", false},
	{`{"type":"ping","id":-1}`, envelope.BadRequest, "", "id is not good", false},
	{`{"type":"ping","id":-0}`, envelope.BadRequest, "", "id is not good", true},
	{`{"type":"ping","id":1.5}`, envelope.BadRequest, "", "id is not good", false},
	{`{"type":"ping","id":1.0}`, envelope.BadRequest, "", "id is not good", true},
	{`{"type":"ping","id":1e3}`, envelope.BadRequest, "", "id is not good", true},
	{`{"type":"ping","id":9007199254740992}`, envelope.BadRequest, "", "id is not good", false},
	{`{"type":"ping","id":18446744073709551617}`, envelope.BadRequest, "", "id is not good", false},
	{`{"type":"ping","id":[1]}`, envelope.BadRequest, "", "id is not good", false},
	{`{"type":"ping","id":""}`, envelope.BadRequest, "", "id is not good", false},
	{`{"type":"ping","id":"x` + long + `"}`, envelope.BadRequest, "", "id is not good", false},
	{`{"type":"ping","id":"` + strings.Repeat("é", 33) + `"}`, envelope.BadRequest, "", "id is not good", true},
	{`{"type":"ping","id":"a\u0000"}`, envelope.BadRequest, "", "id is not good", false},
	{`{"type":"ping","id":"a\u0085"}`, envelope.BadRequest, "", "id is not good", false},
	{`{"type":"ping","id":1,"id":2}`, envelope.BadRequest, "", "id is there twice", true},
	{`{"type":"ping","id":1,"type":"ping"}`, envelope.BadRequest, "1", "type is there twice", true},
	{`{"type":"ping","id":1,"typ\u0065":"ping"}`, envelope.BadRequest, "1", "type is there twice", true},
	{`{"type":"ping","id":1,"text":1,"text":1}`, envelope.BadRequest, "1", "text is there twice", true},
	{`{"type":"join","id":1}`, envelope.BadRequest, "1", "room is missing", false},
	{`{"type":"join","id":1,"room":null}`, envelope.BadRequest, "1", "room is not a string", false},
	{`{"type":"join","id":1,"room":""}`, envelope.BadName, "1", "room is empty", false},
	{`{"type":"join","id":1,"room":"xx` + long + `"}`, envelope.BadName, "1", "room is longer than 65 bytes", false},
	{`{"type":"join","id":1,"room":"a\nb"}`, envelope.BadName, "1", "control", false},
	{`{"type":"join","id":1,"room":"a\u007fb"}`, envelope.BadName, "1", "control", false},
	{`{"type":"join","id":1,"room":"tea","last":-1}`, envelope.BadRequest, "1", "last is not a whole number from 0 to 1000", false},
	{`{"type":"join","id":1,"room":"tea","last":1001}`, envelope.BadRequest, "1", "last is not", false},
	{`{"type":"join","id":1,"room":"tea","last":"1"}`, envelope.BadRequest, "1", "last is not", false},
	{`{"type":"join","id":1,"room":"tea","last":1e2}`, envelope.BadRequest, "1", "last is not", true},
	{`{"type":"join","id":1,"room":"tea","since":null}`, envelope.BadRequest, "1", "since is not", false},
	{`{"type":"join","id":1,"room":"tea","since":"e"}`, envelope.BadRequest, "1", "since is not", false},
	{`{"type":"join","id":1,"room":"tea","since":{}}`, envelope.BadRequest, "1", "since is not", false},
	{`{"type":"join","id":1,"room":"tea","since":{"epoch":"e"}}`, envelope.BadRequest, "1", "since is not", false},
	{`{"type":"join","id":1,"room":"tea","since":{"seq":1}}`, envelope.BadRequest, "1", "since is not", false},
	{`{"type":"join","id":1,"room":"tea","since":{"epoch":1,"seq":1}}`, envelope.BadRequest, "1", "since is not", false},
	{`{"type":"join","id":1,"room":"tea","since":{"epoch":"","seq":1}}`, envelope.BadRequest, "1", "since is not", false},
	{`{"type":"join","id":1,"room":"tea","since":{"epoch":"e","seq":-1}}`, envelope.BadRequest, "1", "since is not", false},
	{`{"type":"join","id":1,"room":"tea","since":{"epoch":"e","seq":1,"seq":2}}`, envelope.BadRequest, "1", "since is not", true},
	{`{"type":"join","id":1,"room":"tea","since":{"epoch":"e","epoch":"e","seq":1}}`, envelope.BadRequest, "1", "since is not", true},
	{`{"type":"publish","id":1,"room":"tea"}`, envelope.BadRequest, "1", "exactly one of text, json and data", false},
	{`{"type":"publish","id":1,"room":"tea","text":"a","json":1}`, envelope.BadRequest, "1", "exactly one of text, json and data", false},
	{`{"type":"publish","id":1,"room":"tea","text":"a","json":1,"data":""}`, envelope.BadRequest, "1", "exactly one of text, json and data", false},
	{`{"type":"publish","id":1,"room":"tea","text":1}`, envelope.BadRequest, "1", "text is not a string", false},
	{`{"type":"publish","id":1,"room":"tea","data":1}`, envelope.BadRequest, "1", "data is not a string", false},
	{`{"type":"publish","id":1,"room":"tea","data":"a"}`, envelope.BadRequest, "1", "base64", false},
	{`{"type":"publish","id":1,"room":"tea","data":"aGk"}`, envelope.BadRequest, "1", "base64", false},
	{`{"type":"publish","id":1,"room":"tea","data":"aG=="}`, envelope.BadRequest, "1", "base64", true}, // bits left over
	{`{"type":"publish","id":1,"room":"tea","data":"a==="}`, envelope.BadRequest, "1", "base64", false},
	{`{"type":"publish","id":1,"room":"tea","data":"===="}`, envelope.BadRequest, "1", "base64", false},
	{`{"type":"publish","id":1,"room":"tea","data":"AA==AA=="}`, envelope.BadRequest, "1", "base64", false},
	{`{"type":"publish","id":1,"room":"tea","data":"a-_z"}`, envelope.BadRequest, "1", "base64", false},
	{`{"type":"publish","id":1,"room":"tea","data":"aGkh\n\n\n\n"}`, envelope.BadRequest, "1", "base64", false},
	{`{"type":"publish","id":1,"room":"tea","text":"a","key":""}`, envelope.BadRequest, "1", "key is empty", false},
	{`{"type":"publish","id":1,"room":"tea","text":"a","key":5}`, envelope.BadRequest, "1", "key is not a string", false},
	{`{"type":"publish","id":1,"room":"tea","text":"a","key":"x` + long + `"}`, envelope.BadRequest, "1", "key is longer than 64 bytes", false},
	{`{"type":"publish","id":1,"room":"tea","text":"a","key":"\t"}`, envelope.BadRequest, "1", "key has a control character", false},
	{`{"type":"signal","id":1,"room":"tea"}`, envelope.BadRequest, "1", "exactly one of text, json and data", false},
	{`{"type":"history","id":1,"room":"tea","before":2,"after":1}`, envelope.BadRequest, "1", "before and after", false},
	{`{"type":"history","id":1,"room":"tea","before":0}`, envelope.BadRequest, "1", "before is not a whole number from 1", false},
	{`{"type":"history","id":1,"room":"tea","after":-1}`, envelope.BadRequest, "1", "after is not", false},
	{`{"type":"history","id":1,"room":"tea","after":99999999999999999999}`, envelope.BadRequest, "1", "after is not", false},
	{`{"type":"history","id":1,"room":"tea","limit":0}`, envelope.BadRequest, "1", "limit is not a whole number from 1 to 1000", false},
	{`{"type":"history","id":1,"room":"tea","limit":1001}`, envelope.BadRequest, "1", "limit is not", false},
	{`{"type":"auth","id":1}`, envelope.BadRequest, "1", "exactly one of token and name", false},
	{`{"type":"auth","id":1,"token":"t","name":"n"}`, envelope.BadRequest, "1", "exactly one of token and name", false},
	{`{"type":"auth","id":1,"token":5}`, envelope.BadRequest, "1", "token is not a string", false},
	{`{"type":"auth","id":1,"token":"` + strings.Repeat("t", 8193) + `"}`, envelope.BadRequest, "1", "token is longer", false},
	{`{"type":"auth","id":1,"name":""}`, envelope.BadName, "1", "name is empty", false},
	{`{"type":"auth","id":1,"name":"a\u009fb"}`, envelope.BadName, "1", "name has a control character", false},
}

func TestRequestRefused(t *testing.T) {
	var r envelope.Request
	for _, test := range badRequests {
		err := r.Parse([]byte(test.text))
		if err == nil {
			t.Errorf("%s was taken as %s", test.text, shown(&r))
			continue
		}
		if err.Code != test.code || string(r.ID) != test.id || !strings.Contains(err.Message, test.says) {
			t.Errorf("%s:\n\tgot  %q, %v\n\twant %q, %s: %s", test.text, r.ID, err, test.id, test.code, test.says)
		}
		answer := envelope.AppendError(nil, r.ID, r.Room, r.Key, err)
		if err := strict().validate("error", answer); err != nil {
			t.Error(err)
		}
		if err := published().validate("client", []byte(test.text)); (err == nil) != test.passes {
			t.Errorf("the schema says of %s: %v", test.text, err)
		}
	}
}

// hostile are texts that are not JSON, or that other readers of JSON stumble over.
var hostile = []struct{ text, says string }{
	{"", "no object at byte 0"},
	{"   ", "an end in the middle at byte 3"},
	{"[]", "something else than an object at byte 0"},
	{" 5", "something else than an object at byte 1"},
	{`"{}"`, "something else than an object"},
	{"\ufeff{}", "a byte order mark"},
	{"{\x00}", "no name in double quotes where one has to be at byte 1"},
	{"\x00{}", "something else than an object at byte 0"},
	{"{}\x00", "something behind the end of the object at byte 2"},
	{"{} {}", "something behind the end of the object at byte 3"},
	{"{}}", "something behind the end of the object at byte 2"},
	{"{", "an end in the middle at byte 1"},
	{`{"a`, "an end in the middle"},
	{`{"a"`, "an end in the middle"},
	{`{"a":`, "an end in the middle"},
	{`{"a":1`, "an end in the middle"},
	{`{"a":1,`, "an end in the middle"},
	{`{"a":"\`, "backslash"},
	{`{"a":tru`, "no value where one has to be at byte 5"},
	{`{"a":1,}`, "no name in double quotes where one has to be at byte 7"},
	{`{,"a":1}`, "no name in double quotes"},
	{`{"a":[1,]}`, "no value where one has to be at byte 8"},
	{`{"a":[,1]}`, "no value where one has to be"},
	{`{"a":[1 2]}`, "no comma and no ] where one has to be at byte 8"},
	{`{"a":{"b":1 "c":2}}`, "no comma and no } where one has to be"},
	{`{"a":1 "b":2}`, "no comma and no } where one has to be at byte 7"},
	{`{"a" 1}`, "no colon where one has to be at byte 5"},
	{`{a:1}`, "no name in double quotes"},
	{`{'a':1}`, "no name in double quotes"},
	{`{1:1}`, "no name in double quotes"},
	{`{"a":'b'}`, "no value where one has to be"},
	{`{"a":1} // note`, "something behind the end of the object at byte 8"},
	{`{/* note */"a":1}`, "no name in double quotes"},
	{"{\"a\":1\v}", "no comma and no }"},
	{"{\"a\":1\u00a0}", "no comma and no }"},
	{"{\"a\":\"b\nc\"}", "a control character in a string, which has to be escaped there, at byte 7"},
	{"{\"a\":\"b\x00c\"}", "a control character in a string"},
	{"{\"a\":\"1234567\x1f\"}", "a control character in a string, which has to be escaped there, at byte 13"},
	{`{"a":NaN}`, "no value where one has to be"},
	{`{"a":Infinity}`, "no value where one has to be"},
	{`{"a":-Infinity}`, "no digit where a number needs one"},
	{`{"a":undefined}`, "no value where one has to be"},
	{`{"a":True}`, "no value where one has to be"},
	{`{"a":truex}`, "no comma and no }"},
	{`{"a":01}`, "no comma and no } where one has to be at byte 6"},
	{`{"a":-}`, "no digit where a number needs one at byte 6"},
	{`{"a":+1}`, "no value where one has to be"},
	{`{"a":.5}`, "no value where one has to be"},
	{`{"a":1.}`, "no digit where a number needs one at byte 7"},
	{`{"a":1e}`, "no digit where a number needs one at byte 7"},
	{`{"a":1e+}`, "no digit where a number needs one at byte 8"},
	{`{"a":0x10}`, "no comma and no }"},
	{`{"a":1_000}`, "no comma and no }"},
	{`{"a":1e309}`, "a number that is too large for a double at byte 5"},
	{`{"a":-1E+999999999999999999999}`, "a number that is too large for a double at byte 5"},
	{`{"a":[1,` + strings.Repeat("9", 400) + `]}`, "a number that is too large for a double at byte 8"},
	{`{"a":"\x41"}`, "a backslash with something behind it that is no escape at byte 6"},
	{`{"a":"\u12"}`, "no escape"},
	{`{"a":"\u12g4"}`, "no escape"},
	{`{"a":"\U0041"}`, "no escape"},
	{`{"a":"\ud800"}`, "half of a surrogate pair, which is no character, at byte 6"},
	{`{"a":"\udc00\ud800"}`, "half of a surrogate pair"},
	{`{"a":"\ud800\u0041"}`, "half of a surrogate pair"},
	{`{"a":"\ud800\ud800"}`, "half of a surrogate pair"},
	{`{"a":"\ud83dx\ude00"}`, "half of a surrogate pair"},
	{`{"\ud800":1}`, "half of a surrogate pair"},
	{"{\"a\":\"\xff\"}", "a byte that is not UTF-8 at byte 6"},
	{"{\"a\":\"é\xc0\xaf\"}", "a byte that is not UTF-8 at byte 8"},
	{"{\"a\":\"\xed\xa0\x80\"}", "a byte that is not UTF-8"},
	{"{\"a\":\"\xf4\x90\x80\x80\"}", "a byte that is not UTF-8"},
	{"{\"a\":\"\xe2\x82\"}", "a byte that is not UTF-8"},
	{"{\xff:1}", "a byte that is not UTF-8 at byte 1"},
	{`{"a":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}`, "more than 32 levels deep at byte 36"},
	{`{"a":` + strings.Repeat(`{"b":`, 100000), "more than 32 levels deep"},
	{strings.Repeat("[", 100000), "something else than an object"},
	{strings.Repeat(`{"a":`, 100000), "more than 32 levels deep"},
}

// TestHostile: what is wrong in the text itself is refused without an id, whatever else stands in it, and with the place.
func TestHostile(t *testing.T) {
	var r envelope.Request
	for _, test := range hostile {
		name := test.text[:min(len(test.text), 60)]
		err := r.Parse([]byte(test.text))
		if err == nil {
			t.Errorf("%q was taken", name)
			continue
		}
		if err.Code != envelope.BadRequest || r.ID != nil || !strings.Contains(err.Message, test.says) {
			t.Errorf("%q: got %q, %v; want %q", name, r.ID, err, test.says)
		}
		if err := strict().validate("error", envelope.AppendError(nil, r.ID, r.Room, r.Key, err)); err != nil {
			t.Error(err)
		}
		if len(test.text) < 2 || test.text[0] != '{' {
			continue
		}
		in := `{"type":"ping","id":1,` + test.text[1:] // the same behind what is good
		if err := r.Parse([]byte(in)); test.text != "{,\"a\":1}" && (err == nil || err.Code != envelope.BadRequest || r.ID != nil) {
			t.Errorf("%q: got %q, %v", in[:min(len(in), 80)], r.ID, err)
		}
	}
}

// TestRequestCut: no beginning of a request is one.
func TestRequestCut(t *testing.T) {
	var r envelope.Request
	for _, test := range goodRequests {
		text := strings.TrimSpace(test.text)
		for n := range len(text) {
			if err := r.Parse([]byte(text[:n])); err == nil {
				t.Errorf("%q was taken", text[:n])
			}
			if json.Valid([]byte(text[:n])) {
				t.Errorf("%q is JSON", text[:n])
			}
		}
	}
}
