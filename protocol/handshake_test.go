package protocol

import (
	"strings"
	"testing"
)

// TestVerdicts holds each demand of RFC 6455 4.2.1 and RFC 9112 in its right and its wrong forms.
func TestVerdicts(t *testing.T) {
	bad, version, large := LabelBadRequest, LabelBadVersion, LabelHeadTooLarge
	tests := []struct {
		name   string
		head   string
		status int
		label  string
	}{
		{"everything right", headOf(), upgraded, ""},
		{"header names in any case", headOf("-Upgrade", "+uPGRADE: websocket", "-Host", "+HOST: example.com"), upgraded, ""},
		{"no white space behind the colon", headOf("Upgrade:websocket"), upgraded, ""},
		{"white space around a value", headOf("Upgrade: \t websocket \t"), upgraded, ""},

		{"method POST", headOf("POST / HTTP/1.1"), 405, bad},
		{"method HEAD", headOf("HEAD / HTTP/1.1"), 405, bad},
		{"method get", headOf("get / HTTP/1.1"), 405, bad},
		{"method CONNECT", headOf("CONNECT example.com:80 HTTP/1.1"), 405, bad},
		{"method no token", headOf("G@T / HTTP/1.1"), 400, bad},
		{"method of 33 letters", headOf(strings.Repeat("M", 33) + " / HTTP/1.1"), 501, bad},
		{"method of 32 letters", headOf(strings.Repeat("M", 32) + " / HTTP/1.1"), 405, bad},
		{"method empty", headOf(" / HTTP/1.1"), 400, bad},

		{"HTTP/1.0 upgrade", headOf("GET / HTTP/1.0"), 505, bad},
		{"HTTP/1.0 page", "GET / HTTP/1.0\r\n\r\n", plain, ""},
		{"HTTP/1.2", headOf("GET / HTTP/1.2"), upgraded, ""},
		{"HTTP/0.9", "GET /\r\n", 505, bad},
		{"HTTP/0.9 with a version", headOf("GET / HTTP/0.9"), 505, bad},
		{"HTTP/2 in words", headOf("GET / HTTP/2.0"), 505, bad},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, bad},
		{"no version, no GET", "EHLO example.com\r\n", 400, bad},
		{"version in small letters", headOf("GET / http/1.1"), 400, bad},
		{"version HTTP/1", headOf("GET / HTTP/1"), 400, bad},
		{"version HTTP/1.10", headOf("GET / HTTP/1.10"), 400, bad},
		{"version HTTP/1.x", headOf("GET / HTTP/1.x"), 400, bad},
		{"two spaces in the request line", headOf("GET  / HTTP/1.1"), 400, bad},
		{"space behind the request line", headOf("GET / HTTP/1.1 "), 400, bad},
		{"tab in the request line", headOf("GET\t/ HTTP/1.1"), 400, bad},
		{"one word", "HELLO\r\n", 400, bad},

		{"target with query", headOf("GET /a/b?c=d?e HTTP/1.1"), upgraded, ""},
		{"target whole URI", headOf("GET http://example.com/a HTTP/1.1"), upgraded, ""},
		{"target whole URI without path", headOf("GET WS://example.com?a HTTP/1.1"), upgraded, ""},
		{"target of another scheme", headOf("GET ftp://example.com/ HTTP/1.1"), 400, bad},
		{"target with user", headOf("GET http://me@example.com/ HTTP/1.1"), 400, bad},
		{"target without slash", headOf("GET rooms HTTP/1.1"), 400, bad},
		{"target * for OPTIONS", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", plain, ""},
		{"target * for GET", headOf("GET * HTTP/1.1"), 400, bad},
		{"target with fragment", headOf("GET /#a HTTP/1.1"), 400, bad},
		{"target beyond ASCII, as many clients send it", headOf("GET /\xc3\xa4 HTTP/1.1"), 101, ""},
		{"target with control character", headOf("GET /\x01 HTTP/1.1"), 400, bad},
		{"target at its limit", headOf("GET /" + strings.Repeat("a", 4095) + " HTTP/1.1"), upgraded, ""},
		{"target over its limit", headOf("GET /" + strings.Repeat("a", 4096) + " HTTP/1.1"), 414, large},

		{"Host missing", headOf("-Host"), 400, bad},
		{"Host missing on a page", "GET / HTTP/1.1\r\n\r\n", 400, bad},
		{"Host missing beside a whole URI", headOf("GET http://example.com/ HTTP/1.1", "-Host"), 400, bad},
		{"Host doubled", headOf("+Host: example.com"), 400, bad},
		{"Host doubled in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400, bad},
		{"Host empty", headOf("Host: "), 400, bad},
		{"Host of two", headOf("Host: a, b"), 400, bad},
		{"Host with user", headOf("Host: a@b"), 400, bad},
		{"Host with path", headOf("Host: a/b"), 400, bad},
		{"Host with port", headOf("Host: a:8080"), upgraded, ""},
		{"Host with empty port", headOf("Host: a:"), upgraded, ""},
		{"Host with port 65536", headOf("Host: a:65536"), 400, bad},
		{"Host with port 0", headOf("Host: a:0"), 400, bad},
		{"Host without name", headOf("Host: :80"), 400, bad},
		{"Host IPv6", headOf("Host: [2001:db8::1]:80"), upgraded, ""},
		{"Host IPv6 without brackets", headOf("Host: 2001:db8::1"), 400, bad},
		{"Host IPv6 left open", headOf("Host: [::1"), 400, bad},
		{"Host IPv6 with junk", headOf("Host: [::1]junk"), 400, bad},

		{"Upgrade missing", headOf("-Upgrade"), 400, bad},
		{"Upgrade to something else", headOf("Upgrade: h2c"), 400, bad},
		{"Upgrade in capitals, among others", headOf("Upgrade: h2c,, WebSocket"), upgraded, ""},
		{"Upgrade over two lines", headOf("Upgrade: h2c", "+Upgrade: websocket"), upgraded, ""},
		{"Upgrade as part of a word", headOf("Upgrade: websocket2"), 400, bad},
		{"Upgrade h2c on a page", "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", plain, ""},

		{"Connection missing", headOf("-Connection"), 400, bad},
		{"Connection close", headOf("Connection: close"), 400, bad},
		{"Connection among others", headOf("Connection: keep-alive , UPGRADE"), upgraded, ""},
		{"Connection over two lines", headOf("Connection: keep-alive", "+Connection: upgrade"), upgraded, ""},

		{"version missing", headOf("-Sec-WebSocket-Version"), 400, bad},
		{"version doubled", headOf("+Sec-WebSocket-Version: 13"), 400, bad},
		{"version doubled in a line", headOf("Sec-WebSocket-Version: 13, 13"), 400, bad},
		{"version empty", headOf("Sec-WebSocket-Version:"), 400, bad},
		{"version in words", headOf("Sec-WebSocket-Version: new"), 400, bad},
		{"version 8", headOf("Sec-WebSocket-Version: 8"), 426, version},
		{"version 14", headOf("Sec-WebSocket-Version: 14"), 426, version},
		{"version 013", headOf("Sec-WebSocket-Version: 013"), 426, version},

		{"key missing", headOf("-Sec-WebSocket-Key"), 400, bad},
		{"key doubled", headOf("+Sec-WebSocket-Key: " + sampleKey), 400, bad},
		{"key empty", headOf("Sec-WebSocket-Key: "), 400, bad},
		{"key of 15 bytes", headOf("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAA"), 400, bad},
		{"key of 17 bytes", headOf("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAA="), 400, bad},
		{"key of 18 bytes", headOf("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAAA"), 400, bad},
		{"key of 21 bytes", headOf("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAAAAAAA"), 400, bad},
		{"key without padding", headOf("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA"), 400, bad},
		{"key no base64, right length", headOf("Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!=="), 400, bad},
		{"key in the alphabet for URLs", headOf("Sec-WebSocket-Key: _-_-_-_-_-_-_-_-_-_-_w=="), 400, bad},
		{"key not canonical", headOf("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAB=="), 400, bad},

		{"subprotocols", headOf("+Sec-WebSocket-Protocol: a, b", "+Sec-WebSocket-Protocol: c"), upgraded, ""},
		{"subprotocols empty", headOf("+Sec-WebSocket-Protocol: "), upgraded, ""},
		{"subprotocol no token", headOf("+Sec-WebSocket-Protocol: a, b c"), 400, bad},
		{"extensions unknown", headOf("+Sec-WebSocket-Extensions: x; y=1, z"), upgraded, ""},
		{"extensions malformed", headOf("+Sec-WebSocket-Extensions: x; =1"), 400, bad},
		{"Origin doubled", headOf("+Origin: http://a", "+Origin: http://b"), 400, bad},

		{"space before a colon", headOf("Upgrade : websocket"), 400, bad},
		{"folded line", headOf("+X-Long: a\r\n b"), 400, bad},
		{"folded first line", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, bad},
		{"header without colon", headOf("+nonsense"), 400, bad},
		{"header without name", headOf("+: a"), 400, bad},
		{"header name no token", headOf("+X(Y): a"), 400, bad},
		{"header name beyond ASCII", headOf("+X\xc3\xa4: a"), 400, bad},
		{"NUL in a value", headOf("+X: a\x00b"), 400, bad},
		{"0x1f in a long value", headOf("+X: 0123456789\x1f123456789"), 400, bad},
		{"NUL in a long value", headOf("+X: 0123456789\x00123456789"), 400, bad},
		{"DEL in a long value", headOf("+X: 0123456789\x7f123456789"), 400, bad},
		{"tab in a long value", headOf("+X: 0123456789\t123456789\xff"), upgraded, ""},
		{"DEL in a value", headOf("+X: a\x7fb"), 400, bad},
		{"bare CR in a value", headOf("+X: a\rb"), 400, bad},
		{"tab and UTF-8 in a value", headOf("+X: a\tb \xc3\xa4"), upgraded, ""},
		{"bare LF behind a header", headOf("+X: a\nY: b"), 400, bad},
		{"bare LF everywhere", strings.ReplaceAll(headOf(), "\r", ""), 400, bad},
		{"LF CR LF", strings.Replace(headOf(), "\r\n\r\n", "\n\r\n", 1), 400, bad},

		{"Content-Length 0", headOf("+Content-Length: 0"), upgraded, ""},
		{"Content-Length 5", headOf("+Content-Length: 5"), 400, bad},
		{"Content-Length empty", headOf("+Content-Length: "), 400, bad},
		{"Content-Length doubled", headOf("+Content-Length: 0", "+Content-Length: 0"), 400, bad},
		{"Content-Length 5 on a page", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", 400, bad},
		{"chunked", headOf("+Transfer-Encoding: chunked"), 400, bad},
		{"chunked on a page", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, bad},

		{"an empty line before", "\r\n" + headOf(), upgraded, ""},
		{"two empty lines before", "\r\n\r\n" + headOf(), 400, bad},
		{"a bare LF before", "\n" + headOf(), 400, bad},
		{"a bare CR before", "\r" + headOf(), 400, bad},

		{"TLS ClientHello", "\x16\x03\x01", 400, bad},
		{"TLS, one octet", "\x16", 400, bad},
		{"SOCKS", "\x05\x01\x00", 400, bad},
		{"SSH", "SSH-2.0-OpenSSH_9.9\r\n", 400, bad},
		{"a PROXY header nobody expects", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", 400, bad},
		{"JSON", "{\"text\"", 400, bad},

		{"64 headers", headOf(manyHeaders(59)...), upgraded, ""},
		{"65 headers", headOf(manyHeaders(60)...), 431, large},
		{"head at its limit", headOf("+X: " + strings.Repeat("a", 8192-len(headOf("+X: ")))), upgraded, ""},
		{"head over its limit", headOf("+X: " + strings.Repeat("a", 8193-len(headOf("+X: ")))), 431, large},
		{"head without end", "GET / HTTP/1.1\r\nX: " + strings.Repeat("a", 1<<20), 431, large},
		{"target without end", "GET /" + strings.Repeat("a", 1<<20), 414, large},

		{"not complete", "GET / HTTP/1.1\r\nHost: a\r\n", 0, ""},
		{"not begun", "", 0, ""},
		{"half an empty line", "\r", 0, ""},
	}
	for _, real := range realHeads {
		tests = append(tests, struct {
			name   string
			head   string
			status int
			label  string
		}{real.name, real.head, upgraded, ""})
	}
	var r Request
	for _, test := range tests {
		status, label, err := judge(&r, test.head, DefaultHeadLimits())
		if status != test.status || label != test.label {
			t.Errorf("%s: %d %q (%v), want %d %q", test.name, status, label, err, test.status, test.label)
		}
	}
}

func manyHeaders(n int) []string {
	lines := make([]string, n)
	for i := range lines {
		lines[i] = "+X: a"
	}
	return lines
}

func TestNoLimits(t *testing.T) {
	head := headOf(append(manyHeaders(5000), "GET /"+strings.Repeat("a", 100_000)+" HTTP/1.1")...)
	if status, _, err := judge(new(Request), head, HeadLimits{}); status != upgraded {
		t.Fatalf("%d, %v", status, err)
	}
}

// TestFramesBehindTheHead: RFC 6455 4.1 lets a client send at once; what follows the head is not
// looked at, even where it would offend or outgrow the head's limit.
func TestFramesBehindTheHead(t *testing.T) {
	head := headOf()
	buf := append([]byte(head), strings.Repeat("\n\x00\r\n", 8<<10)...)
	if end, err := ScanHead(buf, 0, DefaultHeadLimits()); end != len(head) || err != nil {
		t.Fatalf("ScanHead = %d, %v, want %d", end, err, len(head))
	}
}

func TestAppendSwitching(t *testing.T) {
	r := mustParse(t, headOf("+Sec-WebSocket-Protocol: other, throng.v1"))
	base := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
	tests := []struct {
		subprotocol string
		deflate     DeflateParams
		want        string
	}{
		{"", DeflateParams{}, ""},
		{r.Subprotocol([]string{"throng.v1"}), DeflateParams{}, "\r\nSec-WebSocket-Protocol: throng.v1"},
		{"", DeflateParams{Enabled: true, WindowBits: 15},
			"\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover"},
		{"a", DeflateParams{Enabled: true, WindowBits: 9, EchoBits: true}, "\r\nSec-WebSocket-Protocol: a\r\nSec-WebSocket-Extensions: " +
			"permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9"},
	}
	for _, test := range tests {
		want := "before" + base + test.want + "\r\n\r\n"
		if got := string(AppendSwitching([]byte("before"), r, test.subprotocol, test.deflate)); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}

// greet is a whole handshake, as the server does it.
func greet(r *Request, dst, head []byte, policy *Origins, supported []string) ([]byte, bool) {
	end, err := ScanHead(head, 0, DefaultHeadLimits())
	if err != nil || end == 0 || r.Parse(head[:end], DefaultHeadLimits()) != nil {
		return dst, false
	}
	if !r.WantsUpgrade() || r.CheckUpgrade() != nil || !policy.Allows(r.Origin, r.Host) {
		return dst, false
	}
	return AppendSwitching(dst, r, r.Subprotocol(supported), r.NegotiateDeflate()), true
}

func TestHandshakeAllocatesNothing(t *testing.T) {
	policy, _ := ParseOrigins(nil)
	supported := []string{"throng.v1"}
	var r Request
	dst := make([]byte, 0, 512)
	for _, real := range realHeads {
		head := []byte(real.head)
		allocs := testing.AllocsPerRun(100, func() {
			if _, ok := greet(&r, dst, head, &policy, supported); !ok {
				t.Fatalf("%s: refused", real.name)
			}
		})
		if allocs != 0 {
			t.Errorf("%s: %v allocations", real.name, allocs)
		}
	}
}

func TestRefusingAllocatesNothing(t *testing.T) {
	var r Request
	for _, head := range []string{"\x16\x03\x01", headOf("Host: a b"), headOf("Sec-WebSocket-Key: short")} {
		buf := []byte(head)
		allocs := testing.AllocsPerRun(100, func() {
			if end, err := ScanHead(buf, 0, DefaultHeadLimits()); err == nil && r.Parse(buf[:end], DefaultHeadLimits()) == nil {
				_ = r.CheckUpgrade()
			}
		})
		if allocs != 0 {
			t.Errorf("%q: %v allocations", head[:3], allocs)
		}
	}
}

func BenchmarkHandshake(b *testing.B) {
	policy, _ := ParseOrigins(nil)
	supported := []string{"throng.v1"}
	var r Request
	dst := make([]byte, 0, 512)
	for _, real := range realHeads[:3] {
		head := []byte(real.head)
		b.Run(real.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(head)))
			for b.Loop() {
				if _, ok := greet(&r, dst, head, &policy, supported); !ok {
					b.Fatal("refused")
				}
			}
		})
	}
}

func BenchmarkScanAndParse(b *testing.B) {
	var r Request
	head := []byte(realHeads[0].head)
	b.Run("ScanHead", func(b *testing.B) {
		for b.Loop() {
			_, _ = ScanHead(head, 0, DefaultHeadLimits())
		}
	})
	b.Run("Parse", func(b *testing.B) {
		for b.Loop() {
			_ = r.Parse(head, DefaultHeadLimits())
		}
	})
	b.Run("CheckUpgrade", func(b *testing.B) {
		for b.Loop() {
			_ = r.CheckUpgrade()
		}
	})
	b.Run("AppendSwitching", func(b *testing.B) {
		dst := make([]byte, 0, 512)
		for b.Loop() {
			_ = AppendSwitching(dst, &r, "throng.v1", DeflateParams{})
		}
	})
}
