package protocol

import "bytes"

// A request head as it arrives, and what is judged where:
//
//	CRLF                          at most one, before the request line (RFC 9112 2.2)
//	GET /rooms/go HTTP/1.1 CRLF   method and target while they arrive, the line at its LF
//	Host: example.com      CRLF   every line's end while it arrives, the rest in Request.Parse
//	CRLF                          the blank line: the head is complete
//
// ScanHead is called with each packet and judges a head by its shortest telling prefix: where the
// packets were cut cannot change the answer, and no octet is searched twice (each line once more
// at most). What cannot become a request, such as a TLS ClientHello on the plain port, is refused
// with its first octets; nobody waits for a blank line that will not come.

// HeadLimits bounds what a client may send before it is known to be one. 0 switches a bound off.
type HeadLimits struct {
	Bytes   int // the whole head, blank line included
	Headers int // header lines
	URI     int // the request target
}

// DefaultHeadLimits returns the bounds for public servers. The head fits in half of a loop's read buffer. Browsers send 15 to 20
// header lines and about 600 bytes; proxies and cookies add to both.
//
// The target gets half of the head: a browser's WebSocket cannot set headers, so a token travels
// in the query, and identity providers make tokens of 2 to 3 KiB.
func DefaultHeadLimits() HeadLimits { return HeadLimits{Bytes: 8 << 10, Headers: 64, URI: 4 << 10} }

// methodBytesMax is more than any registered method needs (UPDATEREDIRECTREF has 17 letters).
// With it, looking at the start of the request line again costs a constant.
const methodBytesMax = 32

var (
	errGarbage = &HandshakeError{Status: 400, Label: LabelBadRequest, Field: "request line",
		Text: "this is not an HTTP request; is it TLS, or another protocol, on a plain HTTP port?"}
	errMethodLong = &HandshakeError{Status: 501, Label: LabelBadRequest, Field: "method",
		Text: "the request method is longer than any we know; use GET"}
	errURILong = &HandshakeError{Status: 414, Label: LabelHeadTooLarge, Field: "target",
		Text: "the request target is too long; shorten the path or the query"}
	errHeadLarge = &HandshakeError{Status: 431, Label: LabelHeadTooLarge, Field: "head",
		Text: "the request head is too large; send fewer or shorter headers and cookies"}
	errBareLF = &HandshakeError{Status: 400, Label: LabelBadRequest, Field: "line end",
		Text: "a line of the request head ends in a bare LF; end each line with CR LF"}
)

// HeadEnd returns the index just behind the blank line that ends the request head, or -1. It looks
// only at what came since the last call, when buf had from bytes: the search is resumed, never
// repeated, and any split of the stream finds the same end.
func HeadEnd(buf []byte, from int) int {
	from = max(from-len("\r\n\r"), 0)
	if from >= len(buf) {
		return -1
	}
	i := bytes.Index(buf[from:], []byte("\r\n\r\n"))
	if i < 0 {
		return -1
	}
	return from + i + len("\r\n\r\n")
}

// ScanHead judges what has arrived so far of a request head: end > 0 says that the head is
// complete and ends there, 0 says to go on waiting, and an error (a *HandshakeError) says to
// refuse now. from is the length of buf at the last call, 0 at the first.
//
// It finds the head's borders and what is certain early; Request.Parse judges the rest.
func ScanHead(buf []byte, from int, lim HeadLimits) (end int, err error) {
	seen := buf
	if lim.Bytes > 0 {
		seen = buf[:min(len(buf), lim.Bytes)]
	}
	from = min(max(from, 0), len(seen))
	start, refusal := scanStart(seen, from, lim)
	if refusal != nil {
		return 0, refusal
	}
	end, refusal = scanLines(seen, start, from, lim)
	if refusal != nil {
		return 0, refusal
	}
	if end > 0 {
		return end, nil
	}
	if lim.Bytes > 0 && len(buf) >= lim.Bytes {
		return 0, errHeadLarge
	}
	return 0, nil
}

// scanStart judges the request line before it is complete, and returns where it starts: behind
// the one empty line that RFC 9112 2.2 asks servers to overlook.
func scanStart(seen []byte, from int, lim HeadLimits) (start int, _ *HandshakeError) {
	if len(seen) > 0 && seen[0] == '\r' {
		if len(seen) > 1 && seen[1] != '\n' {
			return 0, errGarbage
		}
		start = 2
	}
	space := start
	for {
		switch {
		case space >= len(seen):
			return start, nil
		case space > start && seen[space] == ' ':
			return start, scanTarget(seen, space+1, from, lim)
		case octets[seen[space]]&octetToken == 0:
			return start, errGarbage
		case space-start == methodBytesMax:
			return start, errMethodLong
		}
		space++
	}
}

// scanTarget refuses a target that outgrew its limit. It looks once: when the first octet too
// many has arrived. A line end among those octets is for scanLines to judge.
func scanTarget(seen []byte, target, from int, lim HeadLimits) *HandshakeError {
	if lim.URI <= 0 || len(seen)-target <= lim.URI || from-target > lim.URI {
		return nil
	}
	if bytes.ContainsAny(seen[target:][:lim.URI+1], " \n") {
		return nil
	}
	return errURILong
}

// scanLines judges the lines that ended since the last call, up to the blank one, behind which the
// head ends: none may end in a bare LF, and the request line is parsed as soon as it is there,
// since whoever speaks HTTP/0.9 or the HTTP/2 preface sends no blank line, or not the one that
// ends a head.
//
// RFC 9112 2.2 would let us take a bare LF for a line end. We do not: a proxy in front that does
// not sees other lines than we do, and that difference is what request smuggling is made of.
func scanLines(seen []byte, start, from int, lim HeadLimits) (end int, _ *HandshakeError) {
	begin := max(from, start)
	for line := begin; line < len(seen); {
		lf := bytes.IndexByte(seen[line:], '\n')
		if lf < 0 {
			return 0, nil
		}
		lf += line
		switch {
		case seen[lf-1] != '\r':
			return 0, errBareLF
		case seen[lf-2] == '\n':
			return lf + 1, nil
		case line == begin && bytes.LastIndexByte(seen[start:line], '\n') < 0:
			if _, refusal := parseStartLine(seen[start:lf-1], lim); refusal != nil {
				return 0, refusal
			}
		}
		line = lf + 1
	}
	return 0, nil
}
