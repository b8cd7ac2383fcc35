package protocol

import "bytes"

var (
	errHostMissing = &HandshakeError{Status: 400, Label: LabelBadRequest, Field: "Host",
		Text: "an HTTP/1.1 request needs a Host header"}
	errHostDoubled = &HandshakeError{Status: 400, Label: LabelBadRequest, Field: "Host",
		Text: "the request has more than one Host header; send one"}
	errHostMalformed = &HandshakeError{Status: 400, Label: LabelBadRequest, Field: "Host",
		Text: "the Host header is malformed; send a name or an address, and a port if it is not the default"}
)

// parseHost demands exactly one well-formed Host header, or at most one in HTTP/1.0, which did not
// know it (RFC 9112 3.2).
func (r *Request) parseHost() *HandshakeError {
	switch n := r.count[headerHost]; {
	case n > 1:
		return errHostDoubled
	case n == 0 && r.Minor == 0:
		return nil
	case n == 0:
		return errHostMissing
	}
	host := r.first[headerHost]
	if _, _, ok := splitHostPort(host); !ok {
		return errHostMalformed
	}
	r.Host = host
	return nil
}

// splitHostPort reads "host" or "host:port" (RFC 3986 3.2.2 and 3.2.3). The host is a name, an
// IPv4 address or an IPv6 address in brackets, which it keeps. Names are of the unreserved
// characters: the grammar's other ones stand in no name that is served, but a comma in a Host
// header tells of two that somebody joined, and an @ of an attempt to look like another.
// port is 0 if there is none; an empty one is none too.
func splitHostPort(b []byte) (host []byte, port int, ok bool) {
	colon := len(b)
	if len(b) > 0 && b[0] == '[' {
		end := bytes.IndexByte(b, ']')
		if end < 0 || !isIPv6(b[1:end]) {
			return nil, 0, false
		}
		colon = end + 1
	} else {
		if i := bytes.IndexByte(b, ':'); i >= 0 {
			colon = i
		}
		if colon == 0 || !all(b[:colon], octetHost) {
			return nil, 0, false
		}
	}
	if colon == len(b) {
		return b, 0, true
	}
	if b[colon] != ':' {
		return nil, 0, false
	}
	port, ok = parsePort(b[colon+1:])
	return b[:colon], port, ok
}

func parsePort(b []byte) (port int, ok bool) {
	if len(b) == 0 {
		return 0, true
	}
	port, ok = decimal(b, 65535)
	return port, ok && port > 0
}

// decimal reads digits, one at least, up to a maximum.
func decimal(b []byte, most int) (n int, ok bool) {
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		if n = n*10 + int(c-'0'); n > most {
			return 0, false
		}
	}
	return n, len(b) > 0
}

// isIPv6 knows the text of an IPv6 address without a zone: up to eight groups of up to four
// hexadecimal digits, one "::" for a run of zeros, and perhaps an IPv4 address in place of the
// last two groups (RFC 4291 2.2).
func isIPv6(b []byte) bool {
	groups, gap := 0, false
	if bytes.HasPrefix(b, []byte("::")) {
		gap, b = true, b[2:]
	}
	for len(b) > 0 {
		group, rest, more := bytes.Cut(b, []byte{':'})
		if !more && bytes.IndexByte(group, '.') >= 0 {
			return isIPv4(group) && fillsAddress(groups+2, gap)
		}
		if len(group) == 0 || len(group) > 4 || !all(group, octetHex) {
			return false
		}
		groups++
		switch {
		case more && len(rest) == 0:
			return false
		case more && rest[0] == ':':
			if gap {
				return false
			}
			gap, rest = true, rest[1:]
		}
		b = rest
	}
	return fillsAddress(groups, gap)
}

func fillsAddress(groups int, gap bool) bool { return groups < 8 && gap || groups == 8 && !gap }

func isIPv4(b []byte) bool {
	for dots := 0; ; dots++ {
		part, rest, more := bytes.Cut(b, []byte{'.'})
		if _, ok := decimal(part, 255); !ok || len(part) > 1 && part[0] == '0' {
			return false
		}
		if !more {
			return dots == 3
		}
		b = rest
	}
}
