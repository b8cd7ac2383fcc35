package web_test

import (
	"slices"
	"strings"
	"testing"

	"throng/web"
)

const sizeMax = 100_000 // the page and all that it loads, before any compression

// served is the page and all that it loads.
var served = []string{"/", "/page.js", "/talks.js", "/log.js", "/lists.js", "/face.js", "/throng.js", "/throng.css", "/throng.svg"}

func TestLookup(t *testing.T) {
	const html, script = "text/html; charset=utf-8", "text/javascript; charset=utf-8"
	for path, want := range map[string]string{
		"/":                    html,
		"/rooms/lobby":         html,
		"/rooms/聊天":            html,
		"/rooms/%E8%81%8A":     html,
		"/page.js":             script,
		"/throng.js":           script,
		"/talks.js":            script,
		"/log.js":              script,
		"/lists.js":            script,
		"/face.js":             script,
		"/throng.d.ts":         "text/plain; charset=utf-8",
		"/throng.css":          "text/css; charset=utf-8",
		"/throng.svg":          "image/svg+xml",
		"":                     "",
		"/rooms":               "",
		"/rooms/":              "",
		"/rooms/a/b":           "",
		"/page.html":           "",
		"/web.go":              "",
		"/../web.go":           "",
		"//throng.js":          "",
		"/throng.js/":          "",
		"/favicon.ico":         "",
		"/healthz":             "",
		"http://x/throng.js":   "",
		"/throng.js?version=1": "",
	} {
		a, ok := web.Lookup(path)
		if ok != (want != "") || (ok && (a.ContentType != want || len(a.Body) == 0)) {
			t.Errorf("%q: %v %q, %d bytes; want %q", path, ok, a.ContentType, len(a.Body), want)
		}
	}
}

func TestHeadersLetNothingInFromOutside(t *testing.T) {
	tags := map[string]bool{}
	for _, path := range served {
		a, _ := web.Lookup(path)
		headers := map[string]string{}
		for _, h := range a.Headers {
			if _, twice := headers[h[0]]; twice || h[0] == "Content-Type" || h[0] == "Content-Length" {
				t.Errorf("%s: %s does not belong here", path, h[0])
			}
			headers[h[0]] = h[1]
		}
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff",
			"X-Frame-Options":        "DENY",
			"Referrer-Policy":        "no-referrer",
			"Cache-Control":          "no-cache",
		} {
			if headers[name] != want {
				t.Errorf("%s: %s: %q, want %q", path, name, headers[name], want)
			}
		}
		checkPolicy(t, headers["Content-Security-Policy"])
		tag := headers["ETag"]
		if len(tag) < 10 || tag[0] != '"' || !strings.HasSuffix(tag, `"`) || tags[tag] {
			t.Errorf("%s: ETag %s", path, tag)
		}
		tags[tag] = true
	}
}

// checkPolicy reads a policy as a browser does: everything is from this server or from nowhere.
func checkPolicy(t *testing.T, policy string) {
	t.Helper()
	directives := map[string][]string{}
	for part := range strings.SplitSeq(policy, ";") {
		if words := strings.Fields(part); len(words) > 0 {
			directives[words[0]] = words[1:]
		}
	}
	for _, name := range []string{"default-src", "base-uri", "form-action", "frame-ancestors", "trusted-types"} {
		if !slices.Equal(directives[name], []string{"'none'"}) {
			t.Errorf("%s: %q", name, directives[name])
		}
	}
	for name, sources := range directives {
		for _, source := range sources {
			if source != "'none'" && source != "'self'" && name != "require-trusted-types-for" {
				t.Errorf("%s allows %s", name, source)
			}
		}
	}
}

// The policy holds for what is served, but a page that needs what it forbids would be broken.
func TestPageHasNothingInlineOrForeign(t *testing.T) {
	size := 0
	for _, path := range served {
		a, _ := web.Lookup(path)
		size += len(a.Body)
		text := strings.ReplaceAll(string(a.Body), "http://www.w3.org/2000/svg", "") // a name, not an address
		for _, bad := range []string{"http://", "https://", "url(", "@import", "innerHTML", "outerHTML",
			"insertAdjacentHTML", "document.write", "eval(", "new Function", "<style", " style=", " onclick=", "javascript:"} {
			if strings.Contains(text, bad) {
				t.Errorf("%s contains %q", path, bad)
			}
		}
	}
	if size > sizeMax {
		t.Errorf("the page has grown to %d bytes, over %d", size, sizeMax)
	}
	t.Logf("%d bytes", size)
}

func TestNotModified(t *testing.T) {
	a, _ := web.Lookup("/")
	b, _ := web.Lookup("/page.js")
	tag := func(a web.Asset) string {
		i := slices.IndexFunc(a.Headers, func(h [2]string) bool { return h[0] == "ETag" })
		return a.Headers[i][1]
	}
	for header, want := range map[string]bool{
		"":                            false,
		tag(a):                        true,
		"W/" + tag(a):                 true,
		tag(b) + " , " + tag(a):       true,
		"*":                           true,
		tag(b):                        false,
		strings.Trim(tag(a), `"`):     false,
		tag(a)[:8] + `"`:              false,
		`"` + strings.Repeat("x", 99): false,
	} {
		if a.NotModified(header) != want {
			t.Errorf("If-None-Match: %s: %v", header, !want)
		}
	}
}
