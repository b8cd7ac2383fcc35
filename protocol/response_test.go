package protocol

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestResponses, as net/http reads them: status, headers and body come out as they went in, and the length
// of a body that is not sent is told where it must be.
func TestResponses(t *testing.T) {
	page := &Response{Status: 200, ContentType: "text/html", Headers: [][2]string{{"ETag", `"1"`}, {"X", "a\r\nEvil: b\x00"}}, Body: []byte("page")}
	tests := []struct {
		name, method string
		resp         *Response
		body         string
		length       string
	}{
		{"GET", "GET", page, "page", "4"},
		{"HEAD", "HEAD", page, "", "4"},
		{"no request", "", page, "page", "4"},
		{"no body", "GET", &Response{Status: 404}, "", "0"},
		{"204", "GET", &Response{Status: 204, Body: []byte("x")}, "", ""},
		{"304", "GET", &Response{Status: 304, Body: []byte("x")}, "", ""},
		{"an unknown status", "GET", &Response{Status: 299}, "", "0"},
	}
	for _, test := range tests {
		var r *Request
		if test.method != "" {
			r = mustParse(t, test.method+" / HTTP/1.0\r\n\r\n")
		}
		raw := AppendResponse(nil, test.resp, r)
		got, body := readResponse(t, raw, test.method)
		if got.StatusCode != test.resp.Status || body != test.body || got.Header.Get("Content-Length") != test.length || got.Proto != "HTTP/1.1" {
			t.Errorf("%s: %q", test.name, raw)
		}
		if !got.Close || got.Header.Get("X-Content-Type-Options") != "nosniff" || got.Header.Get("Evil") != "" {
			t.Errorf("%s: %q", test.name, raw)
		}
	}
	raw := string(AppendResponse([]byte("before "), page, nil))
	want := "before HTTP/1.1 200 OK\r\nConnection: close\r\nX-Content-Type-Options: nosniff\r\nContent-Type: text/html\r\n" +
		"Content-Length: 4\r\nETag: \"1\"\r\nX: a  Evil: b \r\n\r\npage"
	if raw != want {
		t.Errorf("got  %q\nwant %q", raw, want)
	}
}

func readResponse(t *testing.T, raw []byte, method string) (*http.Response, string) {
	t.Helper()
	in := bufio.NewReader(bytes.NewReader(raw))
	resp, err := http.ReadResponse(in, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	if rest, _ := io.ReadAll(in); len(rest) > 0 {
		t.Fatalf("%q: %q is left over", raw, rest)
	}
	return resp, string(body)
}

func TestRefusals(t *testing.T) {
	tests := []struct {
		refusal *HandshakeError
		status  int
		header  string
		value   string
	}{
		{errKey, 400, "Retry-After", ""},
		{ErrOrigin, 403, "Upgrade", ""},
		{errUpgradeMethod, 405, "Allow", "GET"},
		{errVersionUnknown, 426, "Sec-Websocket-Version", "13"},
		{errVersionUnknown, 426, "Upgrade", "websocket"},
		{errVersionUnknown, 426, "Connection", "close, Upgrade"},
		{errHeadLarge, 431, "Cache-Control", "no-store"},
		{Unavailable(LabelDraining, "restarting; come back", 7), 503, "Retry-After", "7"},
		{Unavailable(LabelCeiling, "full; come back", 0), 503, "Retry-After", ""},
		{errHTTPVersion, 505, "Content-Type", "text/plain; charset=utf-8"},
	}
	for _, test := range tests {
		resp := test.refusal.Response()
		raw := AppendResponse(nil, &resp, nil)
		got, body := readResponse(t, raw, "GET")
		connection := got.Header.Get(test.header)
		if test.header == "Connection" { // net/http takes it out of the headers
			connection = headerLine(string(raw), "Connection")
		}
		if got.StatusCode != test.status || connection != test.value || body != test.refusal.Text+"\n" {
			t.Errorf("%v: %q", test.refusal, raw)
		}
		if !strings.HasSuffix(got.Status, http.StatusText(test.status)) {
			t.Errorf("reason phrase %q", got.Status)
		}
		if !strings.Contains(test.refusal.Error(), test.refusal.Text) {
			t.Errorf("Error() = %q", test.refusal.Error())
		}
	}
}

func headerLine(raw, name string) string {
	_, rest, _ := strings.Cut(raw, "\r\n"+name+": ")
	value, _, _ := strings.Cut(rest, "\r\n")
	return value
}

func TestStatusTexts(t *testing.T) {
	for status := range 600 {
		// net/http keeps the name that 414 had before RFC 9110.
		if text := statusText(status); !strings.HasSuffix(http.StatusText(status), text) {
			t.Errorf("%d is %q", status, text)
		}
	}
}
