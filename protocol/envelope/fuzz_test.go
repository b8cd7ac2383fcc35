package envelope_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"throng/protocol/envelope"
)

// stricter are the faults of texts that encoding/json takes, or may take.
var stricter = []string{"half of a surrogate pair", "not UTF-8", "too large for a double", "levels deep", "something else than an object"}

// FuzzRequest: what is taken is JSON, says to encoding/json what it says to us, and is allowed by the schema. What is refused as not JSON is none, or
// refused by one of a few rules more. Nothing depends on what was parsed before.
func FuzzRequest(f *testing.F) {
	for _, test := range goodRequests {
		f.Add([]byte(test.text))
	}
	for _, test := range badRequests {
		f.Add([]byte(test.text))
	}
	for _, test := range hostile {
		if len(test.text) < 1000 {
			f.Add([]byte(test.text))
		}
	}
	var used envelope.Request
	f.Fuzz(func(t *testing.T, text []byte) {
		before := bytes.Clone(text)
		var fresh envelope.Request
		err := fresh.Parse(text)
		again := used.Parse(text)
		switch {
		case !bytes.Equal(text, before):
			t.Fatalf("the text was changed to %q", text)
		case (err == nil) != (again == nil), err != nil && *err != *again, shown(&fresh) != shown(&used):
			t.Fatalf("%s:\n\tgot  %s, %v\n\tthen %s, %v", text, shown(&fresh), err, shown(&used), again)
		}
		valid := json.Valid(text)
		if err == nil {
			if !valid {
				t.Fatalf("%q is not JSON and was taken", text)
			}
			compareWithJSON(t, text, &fresh)
			return
		}
		if message, syntax := strings.CutPrefix(err.Message, "the message is not as JSON has to be: "); syntax && valid && !containsAny(message, stricter) {
			t.Fatalf("%q is JSON; %s", text, message)
		}
		answer := envelope.AppendError(nil, fresh.ID, fresh.Room, fresh.Key, err)
		if err := strict().validate("error", answer); err != nil || !utf8.Valid(answer) {
			t.Fatal(err)
		}
	})
}

func containsAny(s string, some []string) bool {
	for _, one := range some {
		if strings.Contains(s, one) {
			return true
		}
	}
	return false
}

// compareWithJSON reads a request that was taken with the standard library.
func compareWithJSON(t *testing.T, text []byte, r *envelope.Request) {
	t.Helper()
	if err := published().validate("client", text); err != nil {
		t.Fatal(err)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatal(err)
	}
	for _, one := range []struct {
		name string
		got  []byte
	}{{"room", r.Room}, {"key", r.Key}, {"token", r.Token}, {"name", r.Name}, {"text", bodyIf(r, envelope.Text)}, {"data", bodyIf(r, envelope.Data)}, {"type", []byte(r.Type.String())}} {
		var want string
		if one.got == nil {
			continue
		}
		if err := json.Unmarshal(fields[one.name], &want); err != nil || string(one.got) != want {
			t.Fatalf("%s: %s is %q, want %q, %v", text, one.name, one.got, want, err)
		}
	}
	if !bytes.Equal(r.ID, fields["id"]) {
		t.Fatalf("%s: id is %s, want %s", text, r.ID, fields["id"])
	}
	if r.HasSince {
		var want map[string]any
		decoder := json.NewDecoder(bytes.NewReader(fields["since"]))
		if err := decoder.Decode(&want); err != nil || string(r.Since.Epoch) != want["epoch"] || float64(r.Since.Seq) != want["seq"] {
			t.Fatalf("%s: since is %q, %d; want %v, %v", text, r.Since.Epoch, r.Since.Seq, want, err)
		}
	}
	if r.Body.Kind == envelope.JSON {
		var want bytes.Buffer
		if err := json.Compact(&want, fields["json"]); err != nil || !bytes.Equal(want.Bytes(), r.Body.Bytes) {
			t.Fatalf("%s: json is %s, want %s, %v", text, r.Body.Bytes, want.Bytes(), err)
		}
	}
}

// bodyIf is the content of a request if it is of a kind.
func bodyIf(r *envelope.Request, kind envelope.Kind) []byte {
	if r.Body.Kind != kind {
		return nil
	}
	return r.Body.Bytes
}
