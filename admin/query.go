package admin

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// query reads the parameters of a request: each once, none that is unknown. The first mistake is kept.
type query struct {
	values url.Values
	known  []string
	err    error
}

func (q *query) text(name string) string {
	q.known = append(q.known, name)
	if len(q.values[name]) > 1 {
		q.fail(Refuse("%s stands there %d times; allowed: once", name, len(q.values[name])))
	}
	return q.values.Get(name)
}

// word reads one of the allowed words, or nothing.
func (q *query) word(name string, allowed []string) string {
	text := q.text(name)
	if text != "" && !slices.Contains(allowed, text) {
		q.fail(Refuse("%s %q is unknown; allowed: %s", name, text, strings.Join(allowed, ", ")))
	}
	return text
}

// number reads a number up to most; without one it is the usual.
func (q *query) number(name string, usual, most int) int {
	text := q.text(name)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		q.fail(Refuse("%s %q is not a number from 1 to %d", name, text, most))
		return usual
	}
	return n
}

func (q *query) span(name string) (s Span) {
	if text := q.text(name); text != "" {
		if err := s.UnmarshalText([]byte(text)); err != nil {
			q.fail(Refuse("%s: %v", name, err))
		}
	}
	return s
}

// network reads an address or a network; the zero prefix is none.
func (q *query) network(name string) netip.Prefix {
	text := q.text(name)
	if text == "" {
		return netip.Prefix{}
	}
	network, err := ParseNetwork(text)
	q.fail(err)
	return network
}

func (q *query) fail(err error) {
	if q.err == nil {
		q.err = err
	}
}

// end is the first mistake, or a parameter that nobody asked for.
func (q *query) end() error {
	for name := range q.values {
		if !slices.Contains(q.known, name) {
			slices.Sort(q.known)
			q.fail(Refuse("the parameter %q is unknown; allowed: %s", name, strings.Join(q.known, ", ")))
		}
	}
	return q.err
}

// ParseNetwork reads an IP address or a network of them.
func ParseNetwork(text string) (netip.Prefix, error) {
	if ip, err := netip.ParseAddr(text); err == nil && ip.Zone() == "" {
		ip = ip.Unmap()
		return netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	network, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, Refuse("the address %q is none; allowed: an IP address, or a network such as 10.0.3.0/24 or 2001:db8::/64", text)
	}
	return network.Masked(), nil
}

// values writes parameters: pairs of a name and a text, of which empty ones are left out.
func values(pairs ...string) url.Values {
	v := url.Values{}
	for pair := range slices.Chunk(pairs, 2) {
		if pair[1] != "" {
			v.Set(pair[0], pair[1])
		}
	}
	return v
}

func numberText(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func spanText(s Span) string {
	if s == 0 {
		return ""
	}
	text, _ := s.MarshalText()
	return string(text)
}

func networkText(n netip.Prefix) string {
	if !n.IsValid() {
		return ""
	}
	return n.String()
}
