package protocol

import "bytes"

var (
	errRequestLine = &HandshakeError{Status: 400, Label: LabelBadRequest, Field: "request line",
		Text: "the request line is not \"METHOD target HTTP/1.1\" with single spaces"}
	errHTTPVersion = &HandshakeError{Status: 505, Label: LabelBadRequest, Field: "HTTP version",
		Text: "this server speaks HTTP/1.1 and 1.0; send \"HTTP/1.1\" in the request line"}
	errTarget = &HandshakeError{Status: 400, Label: LabelBadRequest, Field: "target",
		Text: "the request target is malformed; send a path that starts with / and percent-encode what is not visible ASCII"}
	errConnect = &HandshakeError{Status: 405, Label: LabelBadRequest, Field: "method",
		Text: "this server is no proxy; send GET"}
	errEscape = &HandshakeError{Status: 400, Label: LabelBadRequest, Field: "target",
		Text: "the path has a % without two hexadecimal digits behind it; write % itself as %25"}
)

// startLine is a request line of HTTP/1: METHOD SP target SP HTTP/1.minor (RFC 9112 3).
type startLine struct {
	method, target []byte
	minor          uint8
}

func parseStartLine(line []byte, lim HeadLimits) (startLine, *HandshakeError) {
	method, rest, found := bytes.Cut(line, []byte{' '})
	if !found || !isToken(method) {
		return startLine{}, errRequestLine
	}
	if len(method) > methodBytesMax {
		return startLine{}, errMethodLong
	}
	target, version, found := bytes.Cut(rest, []byte{' '})
	if lim.URI > 0 && len(target) > lim.URI {
		return startLine{}, errURILong
	}
	if !found && string(method) == "GET" && len(target) > 0 && target[0] == '/' {
		return startLine{}, errHTTPVersion // HTTP/0.9 had no version
	}
	if !isVersion(version) {
		return startLine{}, errRequestLine
	}
	if version[len("HTTP/")] != '1' {
		return startLine{}, errHTTPVersion
	}
	if len(target) == 0 || !all(target, octetTarget) {
		return startLine{}, errTarget
	}
	return startLine{method: method, target: target, minor: version[len("HTTP/1.")] - '0'}, nil
}

// isVersion: "HTTP" in capitals, one digit, a dot, one digit (RFC 9112 2.3).
func isVersion(b []byte) bool {
	return len(b) == len("HTTP/1.1") && string(b[:5]) == "HTTP/" && b[6] == '.' &&
		'0' <= b[5] && b[5] <= '9' && '0' <= b[7] && b[7] <= '9'
}

var rootPath = []byte("/")

// parseTarget takes the target apart, by its forms in RFC 9112 3.2: a path; a whole URI, as sent
// to a proxy, which servers must understand too and whose authority then counts instead of the
// Host header; "*" for OPTIONS. An authority alone belongs to CONNECT.
func (r *Request) parseTarget() *HandshakeError {
	if refusal := r.parseHost(); refusal != nil {
		return refusal
	}
	path := r.Target
	switch {
	case string(r.Method) == "CONNECT":
		return errConnect
	case path[0] == '/':
	case string(path) == "*" && string(r.Method) == "OPTIONS":
	default:
		scheme, rest, found := bytes.Cut(path, []byte("://"))
		if !found || defaultPort(scheme) == 0 {
			return errTarget
		}
		slash := bytes.IndexAny(rest, "/?")
		if slash < 0 {
			slash = len(rest)
		}
		if _, _, ok := splitHostPort(rest[:slash]); !ok {
			return errTarget
		}
		r.Host, path = rest[:slash], rest[slash:]
	}
	r.Path, r.RawQuery, _ = bytes.Cut(path, []byte{'?'})
	if len(r.Path) == 0 {
		r.Path = rootPath
	}
	return nil
}

// DecodePath appends raw to dst with its percent-escapes undone (RFC 3986 2.1). A % without two
// hexadecimal digits is an error (a *HandshakeError). Nothing else is touched: "+" stays a plus,
// "." and ".." stay segments, and since an escape may stand for a slash, whoever splits a path
// splits it before decoding.
func DecodePath(dst, raw []byte) ([]byte, error) {
	for {
		i := bytes.IndexByte(raw, '%')
		if i < 0 {
			return append(dst, raw...), nil
		}
		if len(raw) < i+3 || !all(raw[i+1:i+3], octetHex) {
			return dst, errEscape
		}
		dst = append(dst, raw[:i]...)
		dst = append(dst, unhex(raw[i+1])<<4|unhex(raw[i+2]))
		raw = raw[i+3:]
	}
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}
