package protocol

import (
	"bytes"
	"net/netip"
	"unsafe"
)

// proxyV1Start is what tells a header of version 1 from a request. "P" may become POST, PUT, PATCH
// or PROPFIND, "PR" still PROPFIND; a method PROXY does not exist.
const proxyV1Start = "PROXY "

// proxyV1BytesMax is what section 2.1 computes for the longest line, CR LF included: UNKNOWN with
// two IPv6 addresses and two ports, all written out.
const proxyV1BytesMax = 107

var (
	errProxyFamily = &ProxyError{Version: 1,
		Text: "the PROXY line names no protocol that there is: TCP4, TCP6 or UNKNOWN, with one space on either side"}
	errProxyLineLong = &ProxyError{Version: 1,
		Text: "the PROXY line does not end within 107 bytes"}
	errProxyLineEnd = &ProxyError{Version: 1,
		Text: "the PROXY line ends in a bare CR or LF; it has to end with CR LF"}
	errProxyFields = &ProxyError{Version: 1,
		Text: "the PROXY line has not four fields behind its protocol, each behind one space: two addresses and two ports"}
	errProxyAddress = &ProxyError{Version: 1,
		Text: "an address of the PROXY line is malformed, or of another family than the line names"}
	errProxyPort = &ProxyError{Version: 1,
		Text: "a port of the PROXY line is not a number from 0 to 65535 without leading zeros"}
)

// parseProxyV1 reads a line that may start with proxyV1Start. Section 2.1: what does not match
// exactly is refused, as soon as possible.
func parseProxyV1(b []byte) (h ProxyHeader, n int, _ *ProxyError) {
	if len(b) <= len(proxyV1Start) {
		return h, 0, nil
	}
	family := b[len(proxyV1Start):]
	h = ProxyHeader{Version: 1}
	switch {
	case mayStart(family, "TCP4 "), mayStart(family, "TCP6 "):
	case mayStart(family, "UNKNOWN "), mayStart(family, "UNKNOWN\r"):
		// The sender speaks the protocol and cannot say more. The rest of the line is to be ignored.
		h.Local = true
	default:
		return h, 0, errProxyFamily
	}
	n, refusal := proxyLineEnd(b)
	if refusal != nil || n == 0 || h.Local {
		return h, n, refusal
	}
	fields := family[len("TCP4 ") : n-len(proxyV1Start)-len("\r\n")]
	return h, n, h.parseFields(fields, family[3] == '4')
}

// proxyLineEnd returns the index behind the line's CR LF, or 0 while that has not arrived. Section
// 2.1: a single CR or LF ends no line. Nor does it stand in one, not even behind UNKNOWN: a reader
// that is less strict would see the client's bytes start there.
func proxyLineEnd(b []byte) (end int, _ *ProxyError) {
	const crAtMost = proxyV1BytesMax - len("\r\n")
	i := bytes.IndexAny(b[:min(len(b), crAtMost+1)], "\r\n")
	switch {
	case i < 0 && len(b) > crAtMost:
		return 0, errProxyLineLong
	case i < 0:
		return 0, nil
	case b[i] == '\n':
		return 0, errProxyLineEnd
	case i+1 == len(b):
		return 0, nil
	case b[i+1] != '\n':
		return 0, errProxyLineEnd
	}
	return i + len("\r\n"), nil
}

// parseFields reads what is between protocol and CR LF.
func (h *ProxyHeader) parseFields(fields []byte, is4 bool) *ProxyError {
	space := []byte{' '}
	if bytes.Count(fields, space) != 3 {
		return errProxyFields
	}
	source, rest, _ := bytes.Cut(fields, space)
	destination, rest, _ := bytes.Cut(rest, space)
	sourcePort, destinationPort, _ := bytes.Cut(rest, space)

	from, ok1 := parseProxyAddr(source, is4)
	to, ok2 := parseProxyAddr(destination, is4)
	if !ok1 || !ok2 {
		return errProxyAddress
	}
	fromPort, ok1 := parseProxyPort(sourcePort)
	toPort, ok2 := parseProxyPort(destinationPort)
	if !ok1 || !ok2 {
		return errProxyPort
	}
	h.Source, h.Destination = netip.AddrPortFrom(from, fromPort), netip.AddrPortFrom(to, toPort)
	return nil
}

// parseProxyAddr reads an address of the line's family. The specification's IPv6 addresses have
// nothing but groups; the IPv4 tail is allowed too, since balancers write what inet_ntop gives
// them, and that is ::ffff:192.0.2.1 for an IPv4 client of a listener for both.
func parseProxyAddr(text []byte, is4 bool) (netip.Addr, bool) {
	if is4 && !isIPv4(text) || !is4 && !isIPv6(text) {
		return netip.Addr{}, false
	}
	// ParseAddr wants a string; it keeps none of an address without a zone, and there is none.
	addr, err := netip.ParseAddr(unsafe.String(unsafe.SliceData(text), len(text)))
	return addr.Unmap(), err == nil
}

// parseProxyPort reads a port without a leading zero, which some would read as octal.
func parseProxyPort(text []byte) (uint16, bool) {
	port, ok := decimal(text, 65535)
	return uint16(port), ok && (len(text) == 1 || text[0] != '0')
}
