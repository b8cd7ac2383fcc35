package protocol

import (
	"bytes"
	"encoding/binary"
)

// What an octet may be part of. One table answers for every grammar of the request head, so that
// a look at an octet is one load and one mask.
const (
	octetToken = 1 << iota // a method, a header's name, a list element: RFC 9110 5.6.2
	octetValue             // a header's value: visible, obs-text, space, tab: RFC 9110 5.5
	// A request target: visible, without the fragment's '#'. RFC 3986 wants letters beyond ASCII
	// percent-encoded, but programs send UTF-8 as it is, and nothing here is misled by it.
	octetTarget
	octetHost // a host name: the unreserved characters of RFC 3986 2.3
	octetHex
)

var octets = octetTable()

func octetTable() (t [256]uint8) {
	for c := range t {
		alpha := 'a' <= c|0x20 && c|0x20 <= 'z' && c < 0x80
		digit := '0' <= c && c <= '9'
		if alpha || digit {
			t[c] |= octetToken | octetHost
		}
		if digit || 'a' <= c|0x20 && c|0x20 <= 'f' && c < 0x80 {
			t[c] |= octetHex
		}
		if c > 0x20 && c != 0x7f && c != '#' {
			t[c] |= octetTarget
		}
		if c >= 0x20 && c != 0x7f || c == '\t' {
			t[c] |= octetValue
		}
	}
	for _, c := range []byte("!#$%&'*+-.^_`|~") {
		t[c] |= octetToken
	}
	for _, c := range []byte("-._~") {
		t[c] |= octetHost
	}
	return t
}

// all tells whether every octet of b is of the class; an empty b is.
func all(b []byte, class uint8) bool {
	for _, c := range b {
		if octets[c]&class == 0 {
			return false
		}
	}
	return true
}

// isValue tells whether b may be a header's value. Values are most of a head, so it looks at eight
// octets at once for one below 0x20 or equal to 0x7f; the table decides where there is one, since
// it may be a tab.
func isValue(b []byte) bool {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for len(b) >= 8 {
		x := binary.LittleEndian.Uint64(b)
		del := x ^ ones*0x7f
		if ((x-ones*0x20)&^x|(del-ones)&^del)&tops != 0 && !all(b[:8], octetValue) {
			return false
		}
		b = b[8:]
	}
	return all(b, octetValue)
}

func isToken(b []byte) bool { return len(b) > 0 && all(b, octetToken) }

// equalFold compares the way HTTP does: ASCII letters without case, everything else as it is.
func equalFold[A, B []byte | string](a A, b B) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c | 0x20
	}
	return c
}

// trimOWS takes the optional white space (spaces and tabs, nothing else) off both ends.
func trimOWS(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for n := len(b); n > 0 && (b[n-1] == ' ' || b[n-1] == '\t'); n = len(b) {
		b = b[:n-1]
	}
	return b
}

// cutElement splits the first element off a comma-separated list. Elements may be empty: senders
// must not write such, recipients have to bear them (RFC 9110 5.6.1.2).
func cutElement(list []byte) (element, rest []byte) {
	element, rest, _ = bytes.Cut(list, []byte{','})
	return trimOWS(element), rest
}
