package protocol

import (
	"bufio"
	"bytes"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestRequestFields(t *testing.T) {
	tests := []struct {
		name, head string
		want       [6]string // method, path, query, host, origin, one header X
	}{
		{"a path", "GET /a%20b?c=d HTTP/1.1\r\nHost: H:1\r\nOrigin: http://h\r\nX: 1\r\nx: 2\r\n\r\n",
			[6]string{"GET", "/a%20b", "c=d", "H:1", "http://h", "1"}},
		{"a whole URI overrules Host", "GET http://b/p?q HTTP/1.1\r\nHost: a\r\n\r\n", [6]string{"GET", "/p", "q", "b"}},
		{"a whole URI without path", "GET http://[::1]:80 HTTP/1.1\r\nHost: a\r\n\r\n", [6]string{"GET", "/", "", "[::1]:80"}},
		{"a whole URI with query only", "GET http://b?q/r HTTP/1.1\r\nHost: a\r\n\r\n", [6]string{"GET", "/", "q/r", "b"}},
		{"the first Origin", "GET / HTTP/1.1\r\nHost: a\r\nOrigin: b\r\nOrigin: c\r\n\r\n", [6]string{"GET", "/", "", "a", "b"}},
		{"two slashes are a path", "GET //b/c HTTP/1.1\r\nHost: a\r\n\r\n", [6]string{"GET", "//b/c", "", "a"}},
		{"dots stay", "GET /../x HTTP/1.1\r\nHost: a\r\n\r\n", [6]string{"GET", "/../x", "", "a"}},
		{"OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", [6]string{"OPTIONS", "*", "", "a"}},
		{"HTTP/1.0", "HEAD / HTTP/1.0\r\n\r\n", [6]string{"HEAD", "/"}},
	}
	for _, test := range tests {
		r := mustParse(t, test.head)
		got := [6]string{string(r.Method), string(r.Path), string(r.RawQuery), string(r.Host), string(r.Origin), string(r.Header("X"))}
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestHeaderAndValues(t *testing.T) {
	r := mustParse(t, "GET / HTTP/1.1\r\nHost: a\r\nCookie: b=c\r\nX-Empty:\r\nCOOKIE:\t d=e \r\n\r\n")
	var all []string
	for value := range r.Values("cookie") {
		all = append(all, string(value))
	}
	if !slices.Equal(all, []string{"b=c", "d=e"}) {
		t.Errorf("Values = %q", all)
	}
	for range r.Values("Cookie") {
		break
	}
	if v := r.Header("Cookie"); string(v) != "b=c" {
		t.Errorf("Header = %q", v)
	}
	if v := r.Header("X-Empty"); v == nil || len(v) != 0 {
		t.Errorf("an empty header is %q", v)
	}
	if v := r.Header("Missing"); v != nil {
		t.Errorf("a missing header is %q", v)
	}
}

// TestParseAlone: Parse is as strict when nobody scanned before.
func TestParseAlone(t *testing.T) {
	tests := []struct {
		name, head string
		lim        HeadLimits
		refusal    *HandshakeError
	}{
		{"nothing", "", HeadLimits{}, errIncomplete},
		{"an empty line", "\r\n", HeadLimits{}, errIncomplete},
		{"no blank line", "GET / HTTP/1.1\r\nHost: a\r\n", HeadLimits{}, errIncomplete},
		{"a second request", headOf() + headOf(), HeadLimits{}, errIncomplete},
		{"bare LF", "GET / HTTP/1.1\r\nHost: a\n\r\n", HeadLimits{}, errBareLF},
		{"LF for a blank line", "GET / HTTP/1.1\r\nHost: a\r\n\n", HeadLimits{}, errBareLF},
		{"too long a method", headOf(strings.Repeat("M", 33) + " / HTTP/1.1"), HeadLimits{}, errMethodLong},
		{"a folded line", headOf("+X: a\r\n b: c"), HeadLimits{}, errHeaderFolded},
		{"too large", headOf(), HeadLimits{Bytes: 20}, errHeadLarge},
		{"too long a target", headOf("GET /abc HTTP/1.1"), HeadLimits{URI: 3}, errURILong},
		{"too many headers", headOf(), HeadLimits{Headers: 4}, errTooManyHeaders},
	}
	var r Request
	for _, test := range tests {
		if err := r.Parse([]byte(test.head), test.lim); err != test.refusal {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// TestParseForgets: nothing of the last request is left in the next one.
func TestParseForgets(t *testing.T) {
	r := mustParse(t, headOf("GET /a?b HTTP/1.1", "+Origin: http://a", "+Sec-WebSocket-Protocol: c"))
	if err := r.Parse([]byte("GET / HTTP/1.0\r\n\r\n"), HeadLimits{}); err != nil {
		t.Fatal(err)
	}
	if r.WantsUpgrade() || r.Origin != nil || r.Host != nil || r.RawQuery != nil || r.Subprotocol([]string{"c"}) != "" {
		t.Errorf("left over: %+v", r)
	}
	if r.Parse([]byte("bad\r\n\r\n"), HeadLimits{}) == nil || r.Method != nil {
		t.Errorf("method %q of a request that was none", r.Method)
	}
}

func TestWantsUpgrade(t *testing.T) {
	tests := []struct {
		name string
		head string
		want bool
	}{
		{"handshake", headOf(), true},
		{"wrong method", headOf("POST / HTTP/1.1"), true},
		{"Upgrade removed on the way", headOf("-Upgrade"), true},
		{"page", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", false},
		{"HTTP/2 offered", "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n", false},
	}
	for _, test := range tests {
		if got := mustParse(t, test.head).WantsUpgrade(); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

func TestDecodePath(t *testing.T) {
	tests := []struct {
		raw, want string
		ok        bool
	}{
		{"", "", true},
		{"/rooms/go", "/rooms/go", true},
		{"/a%20b%2Fc%2fd", "/a b/c/d", true},
		{"%C3%a4%00%FF", "ä\x00\xff", true},
		{"/a+b/../c/./d", "/a+b/../c/./d", true},
		{"%2541", "%41", true},
		{"%", "", false}, {"/%4", "", false}, {"/%4g", "", false}, {"/%%41", "", false}, {"/%u0041", "", false}, {"/a%-1", "", false},
	}
	for _, test := range tests {
		got, err := DecodePath([]byte("x"), []byte(test.raw))
		if (err == nil) != test.ok || test.ok && string(got) != "x"+test.want {
			t.Errorf("%q: %q, %v", test.raw, got, err)
		}
	}
}

// FuzzDecodePath: the same as net/url, which also does not clean paths.
func FuzzDecodePath(f *testing.F) {
	f.Add("/a%20b%2Fc+d")
	f.Add("%%%4")
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := DecodePath(nil, []byte(raw))
		want, wantErr := url.PathUnescape(raw)
		if (err == nil) != (wantErr == nil) || err == nil && string(got) != want {
			t.Fatalf("%q: %q, %v; net/url: %q, %v", raw, got, err, want, wantErr)
		}
	})
}

// FuzzIPv6: the same as net/netip, but for zones, which mean nothing on another machine.
func FuzzIPv6(f *testing.F) {
	for _, s := range []string{"::", "::1", "1::", "2001:db8::1", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "::ffff:1.2.3.4",
		"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:7:1.2.3.4", "1::2::3", "0::0:0:0:0:0:0:0", "1::2:3:4:5:6:1.2.3.4", ":::", ":1", "1:", "12345::", "::01.2.3.4", "::1.2.3", "fe80::1%eth0", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		addr, err := netip.ParseAddr(s)
		want := err == nil && addr.Is6() && addr.Zone() == ""
		if got := isIPv6([]byte(s)); got != want {
			t.Fatalf("%q: %v, net/netip says %v", s, got, want)
		}
	})
}

// FuzzParse: every head that we take, net/http takes too and reads the same way. It is laxer in
// most things (bare LF, doubled lengths, hosts of any characters) and stricter in two: no empty
// line before the request line, and no bad percent-escape, which is DecodePath's to refuse.
func FuzzParse(f *testing.F) {
	for _, real := range realHeads {
		f.Add([]byte(real.head))
	}
	f.Add([]byte("\r\n" + headOf("GET http://[::1]:80/a?b HTTP/1.1", "+X:  a\t", "+x: b", "+Content-Length: 0")))
	f.Add([]byte("OPTIONS * HTTP/1.0\r\nPragma: no-cache\r\nTrailer: X\r\n\r\n"))
	f.Fuzz(func(t *testing.T, head []byte) {
		var r Request
		_, _, _ = judge(&r, string(head), DefaultHeadLimits())
		if r.Parse(head, HeadLimits{}) != nil {
			return
		}
		_ = r.CheckUpgrade()
		_ = r.NegotiateDeflate()
		if _, err := url.ParseRequestURI(string(r.Target)); err != nil {
			return
		}
		theirs, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(bytes.TrimPrefix(head, []byte("\r\n")))))
		if err != nil {
			t.Fatalf("net/http refuses: %v", err)
		}
		if theirs.Method != string(r.Method) || theirs.RequestURI != string(r.Target) || theirs.Host != string(r.Host) ||
			theirs.ProtoMajor != int(r.Major) || theirs.ProtoMinor != int(r.Minor) || theirs.URL.RawQuery != string(r.RawQuery) {
			t.Fatalf("ours: %s %s of %s; net/http: %s %s of %s", r.Method, r.Target, r.Host, theirs.Method, theirs.RequestURI, theirs.Host)
		}
		if len(theirs.TransferEncoding) > 0 || theirs.ContentLength > 0 {
			t.Fatalf("net/http sees a body")
		}
		compareHeaders(t, &r, theirs.Header)
	})
}

func compareHeaders(t *testing.T, r *Request, theirs http.Header) {
	ours := make(http.Header)
	for _, f := range r.fields {
		if !strings.EqualFold(string(f.name), "Host") {
			ours.Add(string(f.name), string(f.value))
		}
	}
	if _, sent := ours["Cache-Control"]; !sent {
		delete(theirs, "Cache-Control") // net/http makes one up for Pragma
	}
	if !maps.EqualFunc(ours, theirs, slices.Equal) {
		t.Fatalf("headers: ours %q, net/http %q", ours, theirs)
	}
	for name, values := range ours {
		if got := r.Header(name); string(got) != values[0] {
			t.Fatalf("Header(%q) = %q, want %q", name, got, values[0])
		}
	}
}
