package protocol

import (
	"bytes"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Origins is the policy on the Origin header (RFC 6455 10.1): which web pages may connect, with
// the cookies of whoever reads them. Browsers send the header and pages cannot forge it; other
// programs send what they like, so a request without it is allowed. The zero Origins allows no
// page at all.
type Origins struct {
	any      bool
	sameHost bool
	null     bool
	rules    []originRule
}

// originRule is an origin as browsers write it (RFC 6454 6.2): lower case, addresses in their
// short form. Without a scheme it stands for http and https, and port 0 for the default of each.
type originRule struct {
	scheme, host string
	port         int
}

// ParseOrigins reads the policy from its entries, any of which may allow a page:
//
//	same-host                   the host and port of the request's Host header; also for no entries
//	https://chat.example.com    this origin; a port is named if it is not the scheme's default
//	chat.example.com            this host with http and https on their default ports
//	chat.example.com:8443       this host and port, with http and https
//	null                        sandboxed frames and local files
//	*                           everything; cannot be combined
//
// Behind a balancer that ends TLS the server cannot see whether a page came by https, so same-host
// allows both; name the https origin to be strict.
func ParseOrigins(list []string) (Origins, error) {
	if len(list) == 0 {
		return Origins{sameHost: true}, nil
	}
	var o Origins
	for _, entry := range list {
		switch lowered := strings.ToLower(strings.TrimSpace(entry)); lowered {
		case "*":
			o.any = true
		case "same-host":
			o.sameHost = true
		case "null":
			o.null = true
		default:
			rule, err := parseOriginRule(lowered)
			if err != nil {
				return Origins{}, fmt.Errorf("origin %q: %w", entry, err)
			}
			o.rules = append(o.rules, rule)
		}
	}
	if o.any && len(list) > 1 {
		return Origins{}, fmt.Errorf(`origin "*" allows every page already; leave out the other %d`, len(list)-1)
	}
	return o, nil
}

func parseOriginRule(entry string) (originRule, error) {
	scheme, authority, hasScheme := strings.Cut(entry, "://")
	if !hasScheme {
		scheme, authority = "", entry
	} else if !isScheme([]byte(scheme)) {
		return originRule{}, fmt.Errorf("%q is no scheme; write https://HOST or http://HOST", scheme)
	}
	if i := strings.IndexAny(authority, "/?#"); i >= 0 {
		return originRule{}, fmt.Errorf("an origin ends after host and port; leave out %q", authority[i:])
	}
	host, port, ok := splitHostPort([]byte(authority))
	switch {
	case ok:
	case strings.Contains(authority, "*"):
		return originRule{}, fmt.Errorf(`no wildcards within an origin; list each host, or "*" alone for all`)
	case strings.Count(authority, ":") > 1 && !strings.Contains(authority, "["):
		return originRule{}, fmt.Errorf("an IPv6 address stands in brackets, as in https://[::1]:8443")
	default:
		return originRule{}, fmt.Errorf("%q is no host with an optional port; write names beyond ASCII as xn--", authority)
	}
	if hasScheme && port == 0 {
		port = defaultPort(scheme)
	}
	return originRule{scheme: scheme, host: canonicalHost(string(host)), port: port}, nil
}

// canonicalHost gives an IPv6 address the spelling that browsers give it (WHATWG URL, host
// serializing): the short form of RFC 5952, with an embedded IPv4 address in hexadecimal.
func canonicalHost(host string) string {
	if host[0] != '[' {
		return host
	}
	addr, err := netip.ParseAddr(host[1 : len(host)-1])
	if err != nil {
		return host
	}
	if addr.Is4In6() {
		b := addr.As16()
		return fmt.Sprintf("[::ffff:%x:%x]", int(b[12])<<8|int(b[13]), int(b[14])<<8|int(b[15]))
	}
	return "[" + addr.String() + "]"
}

// Allows tells whether a page of this origin may connect, given the request's host. It allocates
// nothing. A request without an Origin does not come from a page and is allowed.
func (o *Origins) Allows(origin, host []byte) bool {
	if len(origin) == 0 || o.any {
		return true
	}
	if string(origin) == "null" {
		return o.null
	}
	scheme, authority, found := bytes.Cut(origin, []byte("://"))
	if !found || !isScheme(scheme) {
		return false
	}
	name, port, ok := splitHostPort(authority)
	if !ok {
		return false
	}
	standard := defaultPort(scheme)
	if port == 0 {
		port = standard
	}
	if o.sameHost && standard != 0 && sameHost(name, port, host, standard) {
		return true
	}
	for i := range o.rules {
		if o.rules[i].matches(scheme, name, port, standard) {
			return true
		}
	}
	return false
}

// sameHost compares an origin with a Host header. A Host without a port means the default port of
// the scheme that the client used, which is taken to be the page's own.
func sameHost(name []byte, port int, host []byte, standard int) bool {
	hostName, hostPort, ok := splitHostPort(host)
	if hostPort == 0 {
		hostPort = standard
	}
	return ok && hostPort == port && equalFold(name, hostName)
}

func (rule *originRule) matches(scheme, name []byte, port, standard int) bool {
	wanted := rule.port
	switch {
	case rule.scheme == "" && standard == 0:
		return false
	case rule.scheme == "":
		if wanted == 0 {
			wanted = standard
		}
	case !equalFold(scheme, rule.scheme):
		return false
	}
	return wanted == port && equalFold(name, rule.host)
}

// defaultPort knows the schemes of web pages, and those of WebSockets, which some clients put into
// Origin. 0 is for every other scheme.
func defaultPort[T []byte | string](scheme T) int {
	switch {
	case equalFold(scheme, "http"), equalFold(scheme, "ws"):
		return 80
	case equalFold(scheme, "https"), equalFold(scheme, "wss"):
		return 443
	}
	return 0
}

// isScheme: a letter, then letters, digits, plus, minus and dot (RFC 3986 3.1).
func isScheme(b []byte) bool {
	for i, c := range b {
		letter := 'a' <= lower(c) && lower(c) <= 'z'
		if !letter && (i == 0 || strings.IndexByte("0123456789+-.", c) < 0) {
			return false
		}
	}
	return len(b) > 0
}

// String writes the policy the way ParseOrigins reads it.
func (o *Origins) String() string {
	var list []string
	if o.any {
		list = append(list, "*")
	}
	if o.sameHost {
		list = append(list, "same-host")
	}
	if o.null {
		list = append(list, "null")
	}
	for _, rule := range o.rules {
		entry := rule.host
		if rule.scheme != "" {
			entry = rule.scheme + "://" + entry
		}
		if rule.port != 0 && rule.port != defaultPort(rule.scheme) {
			entry += ":" + strconv.Itoa(rule.port)
		}
		list = append(list, entry)
	}
	return strings.Join(list, ", ")
}
