package protocol

import (
	"bytes"
	"iter"
)

// Request is a parsed request head: views into the octets it was parsed from, valid as long as
// those are. A loop needs one; Parse reuses it and allocates nothing once its list of header
// lines has grown to what clients send.
type Request struct {
	Method   []byte // case-sensitive: "get" is no GET
	Target   []byte // as sent
	Path     []byte // of the target, still percent-encoded; "*" for OPTIONS *
	RawQuery []byte // what follows the target's first '?'

	Major, Minor uint8 // 1.0, 1.1; a later 1.x is treated as 1.1

	Host   []byte // of an absolute target, otherwise the Host header; empty only in HTTP/1.0
	Origin []byte // the first Origin header, nil without one

	fields []field
	first  [headerKinds][]byte // the first value of each header we look at ourselves
	count  [headerKinds]int    // and on how many lines it stands
}

type field struct {
	kind        headerKind
	name, value []byte
}

// headerKind marks the headers that parsing and the upgrade look at: each line is recognised
// once, so that a look-up costs no comparison of names.
type headerKind uint8

const (
	headerOther headerKind = iota
	headerHost
	headerOrigin
	headerUpgrade
	headerConnection
	headerContentLength
	headerTransferEncoding
	headerKey
	headerVersion
	headerProtocol
	headerExtensions
	headerKinds
)

var (
	errIncomplete = &HandshakeError{Status: 400, Label: LabelBadRequest, Field: "head",
		Text: "the request head ends without a blank line, or goes on behind one"}
	errTooManyHeaders = &HandshakeError{Status: 431, Label: LabelHeadTooLarge, Field: "head",
		Text: "the request has too many header lines; send fewer"}
	errHeaderFolded = &HandshakeError{Status: 400, Label: LabelBadRequest, Field: "header",
		Text: "a header line starts with white space; folded lines are obsolete, send each header on one line"}
	errHeaderName = &HandshakeError{Status: 400, Label: LabelBadRequest, Field: "header",
		Text: "a header line is not \"name: value\"; the name is a token with the colon right behind it"}
	errHeaderValue = &HandshakeError{Status: 400, Label: LabelBadRequest, Field: "header",
		Text: "a header's value contains a control character; remove or encode it"}
	errBody = &HandshakeError{Status: 400, Label: LabelBadRequest, Field: "Content-Length",
		Text: "this server takes no request bodies; send no Content-Length but one 0"}
	errTransferEncoding = &HandshakeError{Status: 400, Label: LabelBadRequest, Field: "Transfer-Encoding",
		Text: "this server takes no request bodies; send no Transfer-Encoding"}
)

// Parse reads a complete head, as ScanHead delimits it. It is strict where RFC 9112 lets two
// parsers read one head in two ways. The error is a *HandshakeError; after one only Method is
// worth a look, and it is nil if the request line was at fault.
func (r *Request) Parse(head []byte, lim HeadLimits) error {
	*r = Request{fields: r.fields[:0]}
	if refusal := r.parse(head, lim); refusal != nil {
		return refusal
	}
	return nil
}

func (r *Request) parse(head []byte, lim HeadLimits) *HandshakeError {
	if lim.Bytes > 0 && len(head) > lim.Bytes {
		return errHeadLarge
	}
	line, rest, refusal := cutLine(bytes.TrimPrefix(head, []byte("\r\n")))
	if refusal != nil {
		return refusal
	}
	start, refusal := parseStartLine(line, lim)
	if refusal != nil {
		return refusal
	}
	r.Method, r.Target, r.Major, r.Minor = start.method, start.target, 1, start.minor
	if refusal := r.parseFields(rest, lim); refusal != nil {
		return refusal
	}
	if refusal := r.checkNoBody(); refusal != nil {
		return refusal
	}
	r.Origin = r.first[headerOrigin]
	return r.parseTarget()
}

// cutLine takes one line off the head, without its CR LF.
func cutLine(head []byte) (line, rest []byte, _ *HandshakeError) {
	lf := bytes.IndexByte(head, '\n')
	switch {
	case lf < 0:
		return nil, nil, errIncomplete
	case lf == 0 || head[lf-1] != '\r':
		return nil, nil, errBareLF
	}
	return head[:lf-1], head[lf+1:], nil
}

func (r *Request) parseFields(rest []byte, lim HeadLimits) *HandshakeError {
	for {
		line, after, refusal := cutLine(rest)
		switch {
		case refusal != nil:
			return refusal
		case len(line) == 0 && len(after) > 0:
			return errIncomplete
		case len(line) == 0:
			return nil
		case lim.Headers > 0 && len(r.fields) >= lim.Headers:
			return errTooManyHeaders
		}
		name, value, refusal := parseField(line)
		if refusal != nil {
			return refusal
		}
		kind := kindOf(name)
		if r.count[kind] == 0 {
			r.first[kind] = value
		}
		r.count[kind]++
		r.fields = append(r.fields, field{kind, name, value})
		rest = after
	}
}

// parseField reads one header line. RFC 9112 5.1 and 5.2: white space between name and colon and
// lines continued by white space were read in more than one way, so servers refuse both. RFC 9110
// 5.5: CR, LF and NUL in a value are dangerous, the other control characters of no use.
func parseField(line []byte) (name, value []byte, _ *HandshakeError) {
	if line[0] == ' ' || line[0] == '\t' {
		return nil, nil, errHeaderFolded
	}
	colon := 0
	for colon < len(line) && octets[line[colon]]&octetToken != 0 {
		colon++
	}
	if colon == 0 || colon == len(line) || line[colon] != ':' {
		return nil, nil, errHeaderName
	}
	value = trimOWS(line[colon+1:])
	if !isValue(value) {
		return nil, nil, errHeaderValue
	}
	return line[:colon], value, nil
}

// kindOf recognises a header by its length first: only two of ours share one.
func kindOf(name []byte) headerKind {
	var kind headerKind
	var want string
	switch len(name) {
	case len("Host"):
		kind, want = headerHost, "host"
	case len("Origin"):
		kind, want = headerOrigin, "origin"
	case len("Upgrade"):
		kind, want = headerUpgrade, "upgrade"
	case len("Connection"):
		kind, want = headerConnection, "connection"
	case len("Content-Length"):
		kind, want = headerContentLength, "content-length"
	case len("Sec-WebSocket-Key"):
		kind, want = headerKey, "sec-websocket-key"
		if lower(name[0]) == 't' {
			kind, want = headerTransferEncoding, "transfer-encoding"
		}
	case len("Sec-WebSocket-Version"):
		kind, want = headerVersion, "sec-websocket-version"
	case len("Sec-WebSocket-Protocol"):
		kind, want = headerProtocol, "sec-websocket-protocol"
	case len("Sec-WebSocket-Extensions"):
		kind, want = headerExtensions, "sec-websocket-extensions"
	}
	if !equalFold(name, want) {
		return headerOther
	}
	return kind
}

// checkNoBody refuses what announces a body (RFC 9112 6): nothing served here takes one, and its
// octets would be read as frames or as the next request.
func (r *Request) checkNoBody() *HandshakeError {
	if r.count[headerTransferEncoding] > 0 {
		return errTransferEncoding
	}
	length := r.first[headerContentLength]
	if n := r.count[headerContentLength]; n > 1 || n == 1 && string(length) != "0" {
		return errBody
	}
	return nil
}

// Header returns the value of the first line of that name, without the white space around it, or
// nil. Names are compared without case.
func (r *Request) Header(name string) []byte {
	for value := range r.Values(name) {
		return value
	}
	return nil
}

// Values yields the value of every line of that name, in the order sent.
func (r *Request) Values(name string) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i := range r.fields {
			if f := &r.fields[i]; equalFold(f.name, name) && !yield(f.value) {
				return
			}
		}
	}
}

// elements yields the members of a list header, over all its lines (RFC 9110 5.3), without the
// empty ones.
func (r *Request) elements(kind headerKind) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i := range r.fields {
			if r.fields[i].kind != kind {
				continue
			}
			for rest := r.fields[i].value; len(rest) > 0; {
				var element []byte
				element, rest = cutElement(rest)
				if len(element) > 0 && !yield(element) {
					return
				}
			}
		}
	}
}

// lists tells whether a list header has that member, compared without case.
func (r *Request) lists(kind headerKind, member string) bool {
	if r.count[kind] == 0 {
		return false
	}
	for element := range r.elements(kind) {
		if equalFold(element, member) {
			return true
		}
	}
	return false
}
