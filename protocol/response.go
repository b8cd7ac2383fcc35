package protocol

import (
	"slices"
	"strconv"
)

// The labels under which refused handshakes are counted. Parsing and checking give those of the
// first group; the others are for whoever refuses a request that is well-formed.
const (
	LabelBadRequest   = "bad_request"
	LabelBadVersion   = "bad_version"
	LabelHeadTooLarge = "head_too_large"

	LabelOrigin   = "origin"
	LabelName     = "name"
	LabelCeiling  = "ceiling"
	LabelDraining = "draining"
)

// HandshakeError is a refusal of a request, with all that the answer, the metric and the log need.
// Those that this package returns are shared: compare them, never change them.
type HandshakeError struct {
	Status     int
	Label      string // what it is counted as, one of the Label constants
	Field      string // which header or part was at fault; never the client's own words
	Text       string // what is wrong and what to do, in one line
	RetryAfter int    // seconds, 0 for none
}

var (
	// ErrOrigin is for the request that Origins does not allow.
	ErrOrigin = &HandshakeError{Status: 403, Label: LabelOrigin, Field: "Origin",
		Text: "pages of this origin may not connect; the server's list of origins does not name it"}
)

// Unavailable is the refusal of a server that cannot take a client now but will later: 503, with
// the seconds after which to try again (RFC 9110 10.2.3).
func Unavailable(label, text string, retryAfter int) *HandshakeError {
	return &HandshakeError{Status: 503, Label: label, Text: text, RetryAfter: retryAfter}
}

// Error names the status and the part at fault, for logs.
func (e *HandshakeError) Error() string {
	text := "handshake refused with " + strconv.Itoa(e.Status)
	if e.Field != "" {
		text += " (" + e.Field + ")"
	}
	return text + ": " + e.Text
}

// Response is the answer that tells the client: the text, and the headers that RFC 9110 demands
// of the status. 405 names the one method of the handshake (15.5.6), 426 the protocol to upgrade
// to (15.5.22) and the version we speak (RFC 6455 4.4). None of them may be cached.
func (e *HandshakeError) Response() Response {
	resp := Response{
		Status:      e.Status,
		ContentType: "text/plain; charset=utf-8",
		Headers:     [][2]string{{"Cache-Control", "no-store"}},
		Body:        append([]byte(e.Text), '\n'),
	}
	switch e.Status {
	case 405:
		resp.Headers = append(resp.Headers, [2]string{"Allow", "GET"})
	case 426:
		resp.Headers = append(resp.Headers, [2]string{"Upgrade", "websocket"}, [2]string{"Sec-WebSocket-Version", "13"})
	}
	if e.RetryAfter > 0 {
		resp.Headers = append(resp.Headers, [2]string{"Retry-After", strconv.Itoa(e.RetryAfter)})
	}
	return resp
}

// Response is a complete answer to a plain request, or to a handshake that is refused.
type Response struct {
	Status      int
	ContentType string
	Headers     [][2]string // beyond those that AppendResponse writes itself
	Body        []byte
}

// AppendResponse appends the answer to r, which is nil if no request could be read. Every answer
// ends the connection: there is one request on each, and a body's end is never in doubt, not even
// for HTTP/1.0. The status line says HTTP/1.1 to those too (RFC 9112 2.3: the version is the
// server's own).
//
// There is no Date: RFC 9110 6.6.1 exempts servers without a clock, and this package has none.
// Who has one adds it to the headers.
func AppendResponse(dst []byte, resp *Response, r *Request) []byte {
	dst = slices.Grow(dst, 512+len(resp.Body))
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(resp.Status), 10)
	dst = append(dst, ' ')
	dst = append(dst, statusText(resp.Status)...)
	if resp.Status == 426 {
		// Whoever sends Upgrade has to list it in Connection (RFC 9110 7.8).
		dst = appendHeader(dst, "Connection", "close, Upgrade")
	} else {
		dst = appendHeader(dst, "Connection", "close")
	}
	dst = appendHeader(dst, "X-Content-Type-Options", "nosniff")
	if resp.ContentType != "" {
		dst = appendHeader(dst, "Content-Type", resp.ContentType)
	}
	// 204 has no length, and a length with 304 would be of the page that is not sent (8.6).
	hasBody := resp.Status >= 200 && resp.Status != 204 && resp.Status != 304
	if hasBody {
		dst = append(dst, "\r\nContent-Length: "...)
		dst = strconv.AppendInt(dst, int64(len(resp.Body)), 10)
	}
	for _, h := range resp.Headers {
		dst = appendHeader(dst, h[0], h[1])
	}
	dst = append(dst, "\r\n\r\n"...)
	if hasBody && (r == nil || string(r.Method) != "HEAD") {
		dst = append(dst, resp.Body...)
	}
	return dst
}

// appendHeader starts the next line. A control character in a value becomes a space, so that no
// value, wherever it came from, can end its line and write headers of its own.
func appendHeader(dst []byte, name, value string) []byte {
	dst = append(dst, "\r\n"...)
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	at := len(dst)
	dst = append(dst, value...)
	for i := at; i < len(dst); i++ {
		if octets[dst[i]]&octetValue == 0 {
			dst[i] = ' '
		}
	}
	return dst
}

// statusText has the statuses this server sends. RFC 9112 4: the phrase may be empty, and clients
// ignore it.
func statusText(status int) string {
	switch status {
	case 200:
		return "OK"
	case 204:
		return "No Content"
	case 304:
		return "Not Modified"
	case 400:
		return "Bad Request"
	case 401:
		return "Unauthorized"
	case 403:
		return "Forbidden"
	case 404:
		return "Not Found"
	case 405:
		return "Method Not Allowed"
	case 408:
		return "Request Timeout"
	case 414:
		return "URI Too Long"
	case 426:
		return "Upgrade Required"
	case 429:
		return "Too Many Requests"
	case 431:
		return "Request Header Fields Too Large"
	case 500:
		return "Internal Server Error"
	case 501:
		return "Not Implemented"
	case 503:
		return "Service Unavailable"
	case 505:
		return "HTTP Version Not Supported"
	}
	return ""
}
