package engine_test

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"throng/engine"
	"throng/protocol"
)

// TestProtocolDocument: every end that there is stands in docs/PROTOCOL.md once, with the code that it has.
func TestProtocolDocument(t *testing.T) {
	text, err := os.ReadFile("../docs/PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{} // code by name, "" for none
	note := func(section string, row *regexp.Regexp) {
		_, rest, _ := strings.Cut(string(text), "<!-- "+section+" -->")
		table, _, found := strings.Cut(rest, "<!-- /"+section+" -->")
		if !found {
			t.Fatalf("there is no section %q", section)
		}
		for _, m := range row.FindAllStringSubmatch(table, -1) {
			if _, twice := documented[m[2]]; twice {
				t.Errorf("%s stands there twice", m[2])
			}
			documented[m[2]] = m[1]
		}
	}
	note("closes", regexp.MustCompile("(?m)^\\| (\\d+) \\| `([a-z_0-9]+)` \\|"))
	note("ends", regexp.MustCompile("(?m)^()\\| `([a-z_0-9]+)` \\|"))

	for _, r := range engine.Reasons() {
		want := ""
		if r.Code() != 0 {
			want = strconv.Itoa(int(r.Code()))
		}
		got, found := documented[r.String()]
		if delete(documented, r.String()); !found {
			t.Errorf("%s is not there", r)
		} else if got != want {
			t.Errorf("%s: the document says %q, the code %q", r, got, want)
		}
	}
	for name := range documented {
		t.Errorf("there is no end called %s", name)
	}
	for v := protocol.ReservedBits; v <= protocol.InflateCorrupt; v++ {
		if !strings.Contains(string(text), "`"+v.Error()+"`") {
			t.Errorf("the reason text %q is not there", v.Error())
		}
	}
}
