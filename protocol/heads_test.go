package protocol

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// What real clients send, as captured, with example.com for the host.
var realHeads = []struct{ name, head string }{
	{"Chrome", crlf(`GET /rooms/go?token=eyJhbGciOiJFZERTQSJ9 HTTP/1.1
Host: chat.example.com
Connection: Upgrade
Pragma: no-cache
Cache-Control: no-cache
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36
Upgrade: websocket
Origin: https://chat.example.com
Sec-WebSocket-Version: 13
Accept-Encoding: gzip, deflate, br, zstd
Accept-Language: en-GB,en;q=0.9,de;q=0.8
Cookie: session=0123456789abcdef0123456789abcdef; theme=dark
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==
Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits
Sec-WebSocket-Protocol: throng.v1

`)},
	{"Firefox", crlf(`GET / HTTP/1.1
Host: chat.example.com:8443
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0
Accept: */*
Accept-Language: en-GB,en;q=0.5
Accept-Encoding: gzip, deflate, br, zstd
Sec-WebSocket-Version: 13
Origin: https://chat.example.com:8443
Sec-WebSocket-Extensions: permessage-deflate
Sec-WebSocket-Key: q4xkcO32u266gldTuKaSOw==
Connection: keep-alive, Upgrade
Sec-Fetch-Dest: empty
Sec-Fetch-Mode: websocket
Sec-Fetch-Site: same-origin
Pragma: no-cache
Cache-Control: no-cache
Upgrade: websocket

`)},
	{"Node ws", crlf(`GET / HTTP/1.1
Sec-WebSocket-Version: 13
Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==
Connection: Upgrade
Upgrade: websocket
Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits
Host: 127.0.0.1:9000

`)},
	{"Python websockets", crlf(`GET / HTTP/1.1
Host: [::1]:9000
Upgrade: websocket
Connection: Upgrade
Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==
Sec-WebSocket-Version: 13
Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits
User-Agent: Python/3.12 websockets/13.1

`)},
	{"an nginx in between", crlf(`GET / HTTP/1.1
Upgrade: websocket
Connection: upgrade
Host: backend_1:9000
X-Forwarded-For: 2001:db8::1
Sec-WebSocket-Version: 13
Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==

`)},
}

const sampleKey = "dGhlIHNhbXBsZSBub25jZQ=="

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

// headOf makes a good handshake and then spoils it: "+Name: value" adds a line, "-Name" removes
// one, "Name: value" replaces one, "GET ..." is another request line. Every line gets its CR LF.
func headOf(changes ...string) string {
	start := "GET / HTTP/1.1"
	lines := []string{
		"Host: example.com", "Upgrade: websocket", "Connection: Upgrade",
		"Sec-WebSocket-Key: " + sampleKey, "Sec-WebSocket-Version: 13",
	}
	find := func(name string) int {
		return slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, name+":") })
	}
	for _, change := range changes {
		name, _, isHeader := strings.Cut(change, ":")
		switch {
		case change[0] == '+':
			lines = append(lines, change[1:])
		case change[0] == '-':
			i := find(change[1:])
			lines = slices.Delete(lines, i, i+1)
		case isHeader && find(name) >= 0:
			lines[find(name)] = change
		default:
			start = change
		}
	}
	return start + "\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
}

// Verdicts that are no refusal.
const (
	upgraded = 101
	plain    = 200
)

// judge does with a head what the server does with it.
func judge(r *Request, head string, lim HeadLimits) (status int, label string, err error) {
	end, err := ScanHead([]byte(head), 0, lim)
	if err == nil && end == 0 {
		return 0, "", nil
	}
	if err == nil {
		err = r.Parse([]byte(head)[:end], lim)
	}
	status = plain
	if err == nil && r.WantsUpgrade() {
		status, err = upgraded, r.CheckUpgrade()
	}
	if refusal, ok := errors.AsType[*HandshakeError](err); ok {
		return refusal.Status, refusal.Label, err
	}
	return status, "", err
}

// mustParse is for tests that are about something else than parsing.
func mustParse(t testing.TB, head string) *Request {
	t.Helper()
	r := new(Request)
	end, err := ScanHead([]byte(head), 0, DefaultHeadLimits())
	if err != nil || end != len(head) {
		t.Fatalf("ScanHead = %d, %v", end, err)
	}
	if err := r.Parse([]byte(head), DefaultHeadLimits()); err != nil {
		t.Fatalf("Parse: %v", err)
	}
	return r
}
