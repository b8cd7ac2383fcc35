package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

func pageOf(t *testing.T, r ...*Result) string {
	t.Helper()
	var b bytes.Buffer
	if err := WriteHTML(&b, r...); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestPageStandsAlone: the page loads nothing, and holds the document that it shows.
func TestPageStandsAlone(t *testing.T) {
	for name, runs := range samplePages() {
		page := pageOf(t, runs...)
		shown, document := cutDocument(t, page)
		got, err := Read(strings.NewReader(document))
		if err != nil || !reflect.DeepEqual(got, runs) {
			t.Errorf("%s: the document in the page is not the results (%v)", name, err)
		}
		for _, way := range []string{`(?i)<(link|img|iframe|object|base)\b`, `(?i)\s(src|srcset|action)\s*=`, `\burl\(`, `@import`, `https?:`} {
			if found := regexp.MustCompile(way).FindString(strings.ReplaceAll(shown, "&lt;img src=x", "")); found != "" {
				t.Errorf("%s: the page reaches out with %q", name, found)
			}
		}
		expectWellFormed(t, name, shown)
	}
}

// cutDocument parts the embedded document from the rest of the page.
func cutDocument(t *testing.T, page string) (rest, document string) {
	t.Helper()
	before, after, found := strings.Cut(page, `<script type="application/json" id="document">`)
	document, after, ends := strings.Cut(after, "</script>")
	if !found || !ends {
		t.Fatal("the page has no document")
	}
	return before + after, document
}

// expectWellFormed: elements that were opened are closed, in order. The page keeps to XML's rules so that this can be told.
func expectWellFormed(t *testing.T, name, page string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(strings.ReplaceAll(page, pageScript, "")))
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
	}
}

// TestPageEscapes: names, addresses, reasons and notes of others stay text.
func TestPageEscapes(t *testing.T) {
	r := sampleClosed()
	const hostile = `"'><script>alert(1)</script><svg onload=alert(2)>` + "\x00\u2028"
	r.Name, r.Scenario, r.URL, r.Notes = hostile, hostile, []string{hostile, "javascript:alert(3)"}, []string{hostile}
	r.Settings, r.Machine.CPU, r.Machine.Kernel = []Setting{{hostile, hostile}}, hostile, hostile
	r.Faults.Disconnected = map[string]int{hostile: 1}
	r.Slow, r.Storm = &Slow{CutOff: map[string]int{hostile: 1}}, &Storm{Refused: map[string]int{hostile: 2}}
	for _, page := range []string{pageOf(t, r), pageOf(t, r, r)} {
		if n := strings.Count(page, "<script"); n != 2 {
			t.Errorf("the page has %d scripts, want its own 2", n)
		}
		if strings.Contains(page, "<svg onload") || strings.Contains(page, "href=\"javascript") {
			t.Error("text of others became a part of the page")
		}
	}
}

// TestPageSays: what a reader must find.
func TestPageSays(t *testing.T) {
	good := pageOf(t, sampleBroadcast(1))
	for _, want := range []string{
		"<h1>throng</h1>", "Nothing lost, doubled, reordered or changed", "<dt>deliveries</dt><dd><b>1.00</b> M/s</dd>", "from the plan", "uncorrected",
		`role="img"`, "<title>Latency by percentile</title>", "99.99 %", "open loop: 100 messages/s from 10 senders", "Shaded: connecting",
		"<h4>CPU, in cores</h4>", "<h4>Memory of the server</h4>", "<h4>Batches</h4>", "<h4>Connections</h4>", "AMD EPYC 7B13", "prefers-color-scheme: dark",
	} {
		if !strings.Contains(good, want) {
			t.Errorf("a good run's page does not have %q", want)
		}
	}
	if strings.Contains(good, "distrust this run") {
		t.Error("a good run is distrusted")
	}
	bad := pageOf(t, sampleClosed())
	for _, want := range []string{"<b>Faults:</b> 1,234 lost", "Reasons to distrust this run", "bound by the client", "closed loop: 400 messages in flight"} {
		if !strings.Contains(bad, want) {
			t.Errorf("a bad run's page does not have %q", want)
		}
	}
	storm := pageOf(t, sampleStorm())
	for _, want := range []string{"The storm: who is back when", "Evictions: how late", "The flooded room beside them", "<dt>all back</dt><dd><b>2.61</b> s</dd>"} {
		if !strings.Contains(storm, want) {
			t.Errorf("a storm's page does not have %q", want)
		}
	}
	rounds := pageOf(t, samplePages()["rounds"]...)
	for _, want := range []string{"3 runs of the bench", "in 1 of 3 runs", `<a href="#run-3">throng, round 2</a>`, `<section id="run-3">`} {
		if !strings.Contains(rounds, want) {
			t.Errorf("the page of several runs does not have %q", want)
		}
	}
	if plain := pageOf(t, &Result{Scenario: "idle"}); !strings.Contains(plain, "No connection was lost") || strings.Contains(plain, "<figure") {
		t.Error("a run without samples has no plot, and its page must do without")
	}
	if err := WriteHTML(io.Discard); err == nil {
		t.Error("a page of nothing")
	}
}
