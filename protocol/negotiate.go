package protocol

import (
	"bytes"
	"iter"
	"strconv"
)

// Protocols yields the subprotocols the client offered, in its order, over all header lines.
func (r *Request) Protocols() iter.Seq[[]byte] { return r.elements(headerProtocol) }

// Subprotocol returns the first subprotocol offered that is among the supported ones, or "". The
// client's order counts (RFC 6455 1.9), and names are compared with case.
func (r *Request) Subprotocol(supported []string) string {
	for offered := range r.Protocols() {
		for _, name := range supported {
			if string(offered) == name {
				return name
			}
		}
	}
	return ""
}

func (r *Request) protocolsWellFormed() bool {
	for name := range r.Protocols() {
		if !isToken(name) {
			return false
		}
	}
	return true
}

// DeflateParams is what was agreed on about permessage-deflate (RFC 7692). Neither side keeps its
// window from one message to the next, so compressors can be shared and a frame made once for
// everybody; the answer always says so.
type DeflateParams struct {
	Enabled    bool
	WindowBits uint8 // our window towards the client, 8 to 15; 15 unless the client asked for less
	EchoBits   bool  // the client named server_max_window_bits, so the answer must
	// ClientBits is how far the client would let us shrink its own window, 8 to 15, or 0 if it did
	// not say. We do not ask it to: our inflaters take any window.
	ClientBits uint8
}

const (
	deflateName      = "permessage-deflate"
	serverNoTakeover = "server_no_context_takeover"
	clientNoTakeover = "client_no_context_takeover"
	serverMaxBits    = "server_max_window_bits"
	clientMaxBits    = "client_max_window_bits"
	windowBitsMax    = 15
)

// appendAnswer appends the accepted extension. 7692 7.1.1 lets a server name either
// no-takeover parameter unasked; server_max_window_bits is named if it was asked for (7.1.2.1).
func (d DeflateParams) appendAnswer(dst []byte) []byte {
	dst = append(dst, deflateName+"; "+serverNoTakeover+"; "+clientNoTakeover...)
	if d.EchoBits {
		dst = append(dst, "; "+serverMaxBits+"="...)
		dst = strconv.AppendUint(dst, uint64(d.WindowBits), 10)
	}
	return dst
}

// NegotiateDeflate takes the first offer of permessage-deflate that is acceptable (RFC 7692 5.1
// and 7.1): an offer with an unknown, doubled or badly valued parameter is declined, and the next
// one is looked at. The zero DeflateParams says that there was none.
func (r *Request) NegotiateDeflate() DeflateParams {
	for i := range r.fields {
		if r.fields[i].kind != headerExtensions {
			continue
		}
		s := offerScanner{rest: r.fields[i].value}
		for name := s.offer(); name != nil; name = s.offer() {
			if d := s.deflateOffer(); d.Enabled && string(name) == deflateName {
				return d
			}
		}
	}
	return DeflateParams{}
}

// deflateOffer reads the parameters of one offer, all of them, and tells what they come to.
func (s *offerScanner) deflateOffer() DeflateParams {
	d := DeflateParams{Enabled: true, WindowBits: windowBitsMax}
	var takeover [2]bool
	for name, value := s.parameter(); name != nil; name, value = s.parameter() {
		bits, ok := windowBits(value)
		switch string(name) {
		case serverNoTakeover:
			ok = value == nil && !takeover[0]
			takeover[0] = true
		case clientNoTakeover:
			ok = value == nil && !takeover[1]
			takeover[1] = true
		case serverMaxBits:
			ok = ok && !d.EchoBits
			d.WindowBits, d.EchoBits = bits, true
		case clientMaxBits:
			if value == nil {
				bits, ok = windowBitsMax, true
			}
			ok = ok && d.ClientBits == 0
			d.ClientBits = bits
		default:
			ok = false
		}
		d.Enabled = d.Enabled && ok
	}
	if s.malformed || !d.Enabled {
		return DeflateParams{}
	}
	return d
}

// windowBits reads 8 to 15 in decimal without a leading zero (RFC 7692 7.1.2).
func windowBits(value []byte) (bits uint8, ok bool) {
	n, ok := decimal(value, windowBitsMax)
	return uint8(n), ok && n >= 8 && value[0] != '0'
}

// extensionsWellFormed holds the header against the grammar of RFC 6455 9.1, which says to fail
// the handshake on a value that does not conform. That an extension is unknown does no harm.
func (r *Request) extensionsWellFormed() bool {
	for i := range r.fields {
		if r.fields[i].kind != headerExtensions {
			continue
		}
		s := offerScanner{rest: r.fields[i].value}
		for s.offer() != nil {
			for name, _ := s.parameter(); name != nil; name, _ = s.parameter() {
			}
		}
		if s.malformed {
			return false
		}
	}
	return true
}

// offerScanner walks over one line of Sec-WebSocket-Extensions (RFC 6455 9.1):
//
//	permessage-deflate; server_max_window_bits=10; client_max_window_bits, x-other; a="b"
//	offer               parameter                  parameter               offer    parameter
//
// Parameters have to be read to their end before the next offer. At the first violation of the
// grammar it marks the line as malformed and yields nothing more.
type offerScanner struct {
	rest      []byte
	malformed bool
}

// offer returns the next extension's name, or nil at the end. Empty list members are overlooked.
func (s *offerScanner) offer() []byte {
	for s.skip(',') {
	}
	if len(s.rest) == 0 {
		return nil
	}
	return s.token()
}

// parameter returns the next parameter of the current offer, with the quotes around its value
// removed, or nil behind the last one. A value of nil means that there is none.
func (s *offerScanner) parameter() (name, value []byte) {
	if !s.skip(';') {
		if len(s.rest) > 0 && s.rest[0] != ',' {
			s.fail()
		}
		return nil, nil
	}
	name = s.token()
	if name == nil || !s.skip('=') {
		return name, nil
	}
	if len(s.rest) > 0 && s.rest[0] == '"' {
		value = s.quoted()
	} else {
		value = s.token()
	}
	if value == nil {
		return nil, nil
	}
	return name, value
}

// skip passes over white space and, if it comes next, one separator and the white space behind.
func (s *offerScanner) skip(separator byte) bool {
	s.rest = trimOWS(s.rest)
	if len(s.rest) == 0 || s.rest[0] != separator {
		return false
	}
	s.rest = trimOWS(s.rest[1:])
	return true
}

func (s *offerScanner) token() []byte {
	n := 0
	for n < len(s.rest) && octets[s.rest[n]]&octetToken != 0 {
		n++
	}
	if n == 0 {
		return s.fail()
	}
	token := s.rest[:n]
	s.rest = s.rest[n:]
	return token
}

// quoted reads a quoted value. What is inside has to be a token again, so no quote, comma or
// semicolon hides there. A backslash before a token's character would be legal; nobody writes it,
// and it counts as malformed.
func (s *offerScanner) quoted() []byte {
	end := bytes.IndexByte(s.rest[1:], '"')
	if end < 0 || !isToken(s.rest[1:1+end]) {
		return s.fail()
	}
	value := s.rest[1 : 1+end]
	s.rest = s.rest[end+2:]
	return value
}

func (s *offerScanner) fail() []byte {
	s.rest, s.malformed = nil, true
	return nil
}
