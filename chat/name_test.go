package chat

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"throng/protocol"
)

func TestRoomOf(t *testing.T) {
	for path, want := range map[string]string{
		"/":                                   "lobby",
		"/rooms/lobby":                        "lobby",
		"/rooms/%6cobby":                      "lobby",
		"/rooms/Lobby":                        "Lobby",
		"/rooms/a":                            "a",
		"/rooms/a_b~c:d.e-f":                  "a_b~c:d.e-f",
		"/rooms/a%3Ab%3ac":                    "a:b:c",
		"/rooms/.":                            ".",
		"/rooms/%2e":                          ".",
		"/rooms/%2E%2e":                       "..",
		"/rooms/聊天":                           "聊天",
		"/rooms/%E8%81%8A%E5%A4%A9":           "聊天",
		"/rooms/%e8\x81%8a%E5\xa4%A9":         "聊天",
		"/rooms/हिन्दी":                       "हिन्दी",
		"/rooms/ที่นี่":                       "ที่นี่",
		"/rooms/caf\u00e9":                    "caf\u00e9",
		"/rooms/cafe\u0301":                   "cafe\u0301", // another room: names are not normalized
		"/rooms/٣٤":                           "٣٤",
		"/rooms/𝒳":                            "𝒳",
		"/rooms/" + strings.Repeat("x", 64):   strings.Repeat("x", 64),
		"/rooms/" + strings.Repeat("%78", 64): strings.Repeat("x", 64),
		"/rooms/" + strings.Repeat("é", 32):   strings.Repeat("é", 32),
	} {
		if got, err := RoomOf([]byte(path)); err != nil || got != want {
			t.Errorf("%q: got %q, %v; want %q", path, got, err, want)
		}
	}
}

func TestRoomOfRefuses(t *testing.T) {
	const name, notFound, request = protocol.LabelName, "not_found", protocol.LabelBadRequest
	for _, test := range []struct {
		path   string
		status int
		label  string
		text   string // part of the reason
	}{
		{"/rooms/@bob", 403, name, "reserved"},
		{"/rooms/%40bob", 403, name, "reserved"},
		{"/rooms/@", 403, name, "reserved"},
		{"/rooms/bob@home", 400, name, "(U+0040)"},
		{"/rooms/", 400, name, "empty"},
		{"/rooms//", 400, name, "(U+002F)"},
		{"/rooms/a/", 400, name, "(U+002F)"},
		{"/rooms/a/b", 400, name, "(U+002F)"},
		{"/rooms/a%2Fb", 400, name, "(U+002F)"},
		{"/rooms/a%5Cb", 400, name, "(U+005C)"},
		{"/rooms/a%00b", 400, name, "(U+0000)"},
		{"/rooms/a%0Ab", 400, name, "(U+000A)"},
		{"/rooms/a%7F", 400, name, "(U+007F)"},
		{"/rooms/a%C2%85", 400, name, "(U+0085)"},
		{"/rooms/a%20b", 400, name, "(U+0020)"},
		{"/rooms/a+b", 400, name, "(U+002B)"},
		{"/rooms/a?b", 400, name, "(U+003F)"},
		{"/rooms/a*", 400, name, "(U+002A)"},
		{"/rooms/a>", 400, name, "(U+003E)"},
		{"/rooms/%2540bob", 400, name, "(U+0025)"}, // decoded once
		{"/rooms/😀", 400, name, "(U+1F600)"},
		{"/rooms/½", 400, name, "(U+00BD)"},
		{"/rooms/a\u200db", 400, name, "(U+200D)"},
		{"/rooms/a\u202eb", 400, name, "(U+202E)"},
		{"/rooms/a\ufe0f", 400, name, "(U+FE0F)"},
		{"/rooms/a\u3164", 400, name, "(U+3164)"},
		{"/rooms/\ufffd", 400, name, "(U+FFFD)"},
		{"/rooms/\u0301", 400, name, "combining mark"},
		{"/rooms/%C0%AF", 400, name, "UTF-8"},       // overlong slash
		{"/rooms/%E0%80%AF", 400, name, "UTF-8"},    // overlong slash
		{"/rooms/%ED%A0%80", 400, name, "UTF-8"},    // surrogate
		{"/rooms/%F4%90%80%80", 400, name, "UTF-8"}, // beyond Unicode
		{"/rooms/%E8%81", 400, name, "UTF-8"},       // cut
		{"/rooms/\xff", 400, name, "UTF-8"},
		{"/rooms/" + strings.Repeat("x", 65), 400, name, "64 bytes"},
		{"/rooms/" + strings.Repeat("%78", 65), 400, name, "64 bytes"},
		{"/rooms/" + strings.Repeat("x", 1000), 400, name, "64 bytes"},
		{"/rooms/" + strings.Repeat("é", 33), 400, name, "64 bytes"},
		{"/rooms/a%", 400, request, "%"},
		{"/rooms/a%4", 400, request, "%"},
		{"/rooms/a%zz", 400, request, "%"},
		{"", 404, notFound, "/rooms/NAME"},
		{"//", 404, notFound, "/rooms/NAME"},
		{"/rooms", 404, notFound, "/rooms/NAME"},
		{"/Rooms/a", 404, notFound, "/rooms/NAME"},
		{"/%72ooms/a", 404, notFound, "/rooms/NAME"},
		{"/rooms%2Fa", 404, notFound, "/rooms/NAME"},
		{"//rooms/a", 404, notFound, "/rooms/NAME"},
		{"/./", 404, notFound, "/rooms/NAME"},
		{"/favicon.ico", 404, notFound, "/rooms/NAME"},
		{"rooms/a", 404, notFound, "/rooms/NAME"},
		{"*", 404, notFound, "/rooms/NAME"},
	} {
		got, err := RoomOf([]byte(test.path))
		if err == nil {
			t.Errorf("%q is the room %q", test.path, got)
			continue
		}
		if got != "" || err.Status != test.status || err.Label != test.label || !strings.Contains(err.Text, test.text) {
			t.Errorf("%q: got %q, %d %s %q; want %d %s %q", test.path, got, err.Status, err.Label, err.Text, test.status, test.label, test.text)
		}
		if strings.ContainsFunc(err.Text, unicode.IsControl) || !utf8.ValidString(err.Text) {
			t.Errorf("%q: the text has controls in it: %q", test.path, err.Text)
		}
	}
}

// FuzzRoomOf: what is accepted keeps the rule, and is the same room however it is written.
func FuzzRoomOf(f *testing.F) {
	for _, path := range []string{"/", "/rooms/聊天", "/rooms/%E8%81%8A", "/rooms/%40bob", "/rooms/a%00b", "/rooms/%2e", "/rooms/%C0%AF", "/rooms/%", "/rooms"} {
		f.Add([]byte(path))
	}
	f.Fuzz(func(t *testing.T, path []byte) {
		before := string(path)
		name, err := RoomOf(path)
		if string(path) != before {
			t.Fatalf("%q was changed to %q", before, path)
		}
		if err != nil {
			if name != "" || err.Text == "" || err.Status < 400 || err.Status > 404 {
				t.Fatalf("%q: %q, %+v", path, name, err)
			}
			return
		}
		if len(name) < 1 || len(name) > 64 || !utf8.ValidString(name) || name[0] == '@' {
			t.Fatalf("%q is the room %q", path, name)
		}
		for _, r := range name {
			if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) && !strings.ContainsRune("_~:.-", r) {
				t.Fatalf("%q is the room %q, with %U in it", path, name, r)
			}
		}
		bytewise := ""
		for _, b := range []byte(name) {
			bytewise += fmt.Sprintf("%%%02x", b)
		}
		for _, again := range []string{name, url.PathEscape(name), bytewise} {
			if got, err := RoomOf([]byte("/rooms/" + again)); err != nil || got != name {
				t.Fatalf("%q is the room %q, which written %q is %q, %v", path, name, again, got, err)
			}
		}
	})
}
