package protocol

import (
	"errors"
	"net/netip"
)

// What a TCP balancer puts in front of a connection to say for whom it was made: a header of
// HAProxy's PROXY protocol, in one of its two versions.
//
//	version 1   PROXY TCP4 192.168.0.1 192.168.0.11 56324 443 CR LF    proxy_v1.go
//	            PROXY TCP6 2001:db8::7 2001:db8::1 56324 443 CR LF
//	            PROXY UNKNOWN anything CR LF
//	version 2   binary, with room for more than addresses              proxy_v2.go
//
// ParseProxy is called with everything that has arrived, until it decides. It decides by the
// shortest telling prefix: where the packets were cut cannot change the answer, and what follows
// cannot either. Looking at the start again with each packet costs little: a header has no more
// than ProxyHeaderBytesMax octets.
//
// Whoever may send a header can claim any address. So it is for the caller to ask first whether
// the peer is a balancer that was named to us; the header cannot tell.

// ProxyHeader is what a balancer says about a connection.
type ProxyHeader struct {
	// Source is the client, Destination the address it connected to. An IPv4 address written as an
	// IPv6 one, as balancers with one listener for both have it, is the IPv4 address here: limits
	// that count IPv6 clients by prefix would take all of IPv4 for one.
	Source, Destination netip.AddrPort
	// Local says that there are no addresses to use, and that the socket's own are meant: the
	// balancer speaks for itself (LOCAL: a health check), or does not know the client's address in
	// a form that TCP has (UNKNOWN, UNSPEC, a Unix socket, UDP).
	Local bool
	// Version is 1 or 2.
	Version int
}

// ProxyHeaderBytesMax is the most that a PROXY header can take: of as many bytes ParseProxy always
// knows what they are.
const ProxyHeaderBytesMax = max(proxyV1BytesMax, proxyV2HeadBytes+proxyV2BlockBytesMax)

// ErrNotProxy is for bytes that cannot be the start of a PROXY header. Where headers are optional,
// they are the client's.
var ErrNotProxy = errors.New("the connection does not start with a PROXY protocol header; " +
	"tell the balancer to send one (send-proxy-v2 in HAProxy, proxy_protocol in nginx)")

// ProxyError is the refusal of bytes that start as a PROXY header and are none. Those that this
// package returns are shared: compare them, never change them.
type ProxyError struct {
	Version int    // of the header, 1 or 2
	Text    string // what is wrong, in one line for the log; never the peer's own words
}

// Error says what is wrong with the header.
func (e *ProxyError) Error() string { return e.Text }

// ParseProxy judges what has arrived so far of a connection that may start with a PROXY header:
// n > 0 says that the header is h and takes n bytes, what follows is the client's; n == 0 without
// an error says to go on waiting. The error is ErrNotProxy, or a *ProxyError: close without an
// answer, the peer speaks the protocol wrongly. b is only read, and not kept.
func ParseProxy(b []byte) (h ProxyHeader, n int, err error) {
	var refusal *ProxyError
	switch {
	case mayStart(b, proxyV1Start):
		h, n, refusal = parseProxyV1(b)
	case mayStart(b, proxyV2Signature):
		h, n, refusal = parseProxyV2(b)
	default:
		return ProxyHeader{}, 0, ErrNotProxy
	}
	switch {
	case refusal != nil:
		return ProxyHeader{}, 0, refusal
	case n == 0:
		return ProxyHeader{}, 0, nil
	}
	return h, n, nil
}

// mayStart tells whether b starts with all of start, or with as much of it as has arrived.
func mayStart(b []byte, start string) bool {
	n := min(len(b), len(start))
	return string(b[:n]) == start[:n]
}
