package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/alecthomas/kong"

	"throng/chat"
	"throng/protocol"
)

// wrong is all that keeps a server from starting with this configuration, a line each. Settings are held against each other only once each of them
// is understood: a default that stands in for a bad value would be blamed otherwise.
func (s *settings) wrong(c *Config) []string {
	if len(s.problems) > 0 {
		return s.problems
	}
	return s.conflicts(c)
}

// conflicts is what settings, each allowed by itself, cannot be together.
func (s *settings) conflicts(c *Config) []string {
	var found []string
	conflict := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }

	for i, address := range c.Listen {
		for _, other := range c.Listen[:i] {
			if sameAddress(address, other) {
				conflict("%s names one address twice: %s and %s; allowed: each once (0.0.0.0, [::] and no host are all of them)",
					s.said("listen", strings.Join(c.Listen, ",")), other, address)
			}
		}
		if sameAddress(address, c.Admin) {
			conflict("%s is the address of %s; allowed: another port, or '' for none", s.said("admin", c.Admin), s.said("listen", address))
		}
	}
	if host, _, err := net.SplitHostPort(c.Admin); err == nil && c.AdminKeyFile == "" && reachesOthers(host) {
		conflict("%s can be reached from other machines and needs admin-key-file: whoever asks has to know that key, for metrics as well; or listen on 127.0.0.1",
			s.said("admin", c.Admin))
	}
	if err := chat.CheckPolicies(policies(c)); err != nil {
		conflict("%s: %v", s.said("room-policy", strings.Join(c.RoomPolicy, "; ")), err)
	}
	if c.Guests == "no" && c.TokenKeyFile == "" {
		conflict("%s lets nobody in without token-key-file: name the key that tokens are checked with, or let guests in", s.said("guests", c.Guests))
	}
	if len(c.NATS) > 0 && (c.NATSCert == "") != (c.NATSKey == "") {
		conflict("nats-cert and nats-key go together; allowed: both, or none")
	}
	if _, err := protocol.ParseOrigins(c.Origins); err != nil {
		conflict("%s: %v", s.said("origins", strings.Join(c.Origins, ",")), err)
	}
	if c.ProxyProtocol != "off" && len(c.ProxyTrust) == 0 {
		conflict("%s needs proxy-trust: without it nobody may send a PROXY header, and anybody could claim any address; name the balancers' networks, such as --proxy-trust 10.0.3.0/24",
			s.said("proxy-protocol", c.ProxyProtocol))
	}
	return found
}

// said is a setting with its value and where that comes from.
func (s *settings) said(name string, value any) string {
	return fmt.Sprintf("%s %v (%s)", name, value, s.from[name])
}

// sameAddress reports whether one process cannot listen on both. Port 0 is a new port each time.
func sameAddress(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	ipA, ipB := hostAddress(hostA), hostAddress(hostB)
	if ipA.IsValid() && ipB.IsValid() {
		return ipA == ipB || ipA.IsUnspecified() || ipB.IsUnspecified()
	}
	return ipA.IsUnspecified() || ipB.IsUnspecified() || strings.EqualFold(hostA, hostB)
}

// reachesOthers reports whether it is certain that a host is not this machine's loopback. What a name is shows when it is listened on.
func reachesOthers(host string) bool {
	ip := hostAddress(host)
	return ip.IsValid() && !ip.IsLoopback()
}

// hostAddress is the IP that host is, or none for a name. All ways to say "every address" are one: Go listens on IPv4 and IPv6 for each.
func hostAddress(host string) netip.Addr {
	if host == "" || host == "0.0.0.0" {
		host = "::"
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	return ip.Unmap()
}

// memoryAtRest is what a server with nobody connected may have in use, with a margin.
const memoryAtRest = 24 << 20

// doubts is what works, and is probably not what was meant.
func doubts(c *Config) []string {
	var found []string
	doubt := func(doubtful bool, format string, args ...any) {
		if doubtful {
			found = append(found, fmt.Sprintf(format, args...))
		}
	}
	doubt(c.IdleCounts == "frames" && c.IdleTimeout > 0 && c.PingInterval >= c.IdleTimeout,
		"ping-interval %s is not below idle-timeout %s: pings come too late to keep anybody", showDuration(c.PingInterval), showDuration(c.IdleTimeout))
	doubt(c.MaxFrame > c.MaxMessage && c.MaxMessage > 0,
		"max-frame %s has no effect: max-message %s is reached first", c.MaxFrame, c.MaxMessage)
	doubt(c.MaxURI > c.MaxHead && c.MaxHead > 0,
		"max-uri %s has no effect: max-head %s is reached first", c.MaxURI, c.MaxHead)
	doubt(c.MaxMessage > c.MaxLog && c.MaxLog > 0,
		"max-message %s is above max-log %s: a reader that lags two such messages behind is cut off", c.MaxMessage, c.MaxLog)
	doubt(c.MessageBurst > 0 && c.MessageRate == 0,
		"message-burst %d has no effect: message-rate is 0 (off)", c.MessageBurst)
	doubt(c.ByteBurst > 0 && c.ByteRate == 0,
		"byte-burst %s has no effect: byte-rate is 0 (off)", c.ByteBurst)
	doubt(c.AddressBurst > 0 && c.AddressRate == 0,
		"address-burst %d has no effect: address-rate is 0 (off)", c.AddressBurst)
	doubt(c.HandshakeBurst > 0 && c.HandshakeRate == 0,
		"handshake-burst %d has no effect: handshake-rate is 0 (off)", c.HandshakeBurst)
	doubt(len(c.ProxyTrust) > 0 && c.ProxyProtocol == "off",
		"proxy-trust %s has no effect: proxy-protocol is off", strings.Join(c.ProxyTrust, ","))
	doubt(c.ProxyProtocol != "off" && slices.ContainsFunc(networks(c.ProxyTrust), func(p netip.Prefix) bool { return p.Bits() == 0 }),
		"proxy-trust %s trusts everybody: any client can claim any address", strings.Join(c.ProxyTrust, ","))
	for _, limit := range []struct {
		name  string
		value int
	}{{"max-per-address", c.MaxPerAddress}, {"address-rate", c.AddressRate}, {"max-handshakes-per-address", c.MaxHandshakesPerAddress}} {
		doubt(limit.value > 0 && c.ProxyProtocol == "off",
			"%s %d counts addresses as TCP has them, since proxy-protocol is off: behind a balancer everybody is one address", limit.name, limit.value)
	}
	doubt(c.MemoryMark > 0 && c.Memory > 0 && Bytes(c.Memory)/100*Bytes(c.MemoryMark) < memoryAtRest,
		"memory-mark %d: that much of memory %s is what the server uses by itself, so it may let nobody in", c.MemoryMark, c.Memory)
	doubt(c.Memory > 0 && Bytes(c.Memory)/4 < c.MaxLog,
		"memory %s: the quarter of it that all logs and buffers may take is less than a single max-log %s", c.Memory, c.MaxLog)
	doubt(len(c.NATS) == 0 && (c.NATSCreds != "" || c.NATSCA != "" || c.NATSCert != "" || c.NATSKey != ""),
		"nats-creds, nats-ca, nats-cert and nats-key have no effect without nats")
	doubt(len(c.NATS) == 0 && c.Replicas > 1, "replicas %d has no effect without nats: the store inside is one", c.Replicas)
	doubt(c.TokenKeyFile == "" && (c.TokenIssuer != "" || c.TokenAudience != ""), "token-issuer and token-audience have no effect without token-key-file")
	doubt(c.HandshakeTimeout == 0, "handshake-timeout 0: connections that never say anything are kept for ever")
	doubt(c.CloseTimeout == 0, "close-timeout 0: connections whose peer does not answer a Close are kept for ever")
	return found
}

// printConfig is throng check-config: the settings as a file that --config takes, each with where it comes from, and below what is wrong.
func printConfig(w io.Writer, ctx *kong.Context, c *Config, s *settings) int {
	group := ""
	for _, flag := range ctx.Selected().Flags {
		if flag.Name == "config" {
			continue
		}
		if flag.Group.Key != group {
			group = flag.Group.Key
			fmt.Fprintf(w, "# %s\n", group)
		}
		fmt.Fprintf(w, "%-40s # %s\n", flag.Name+": "+yamlValue(flag.Target.Interface()), oneLine(s.from[flag.Name].String()))
	}
	for _, doubt := range append(s.warnings, doubts(c)...) {
		fmt.Fprintf(w, "# warning: %s\n", oneLine(doubt))
	}
	wrong := s.wrong(c)
	for _, line := range wrong {
		fmt.Fprintf(w, "# wrong: %s\n", oneLine(line))
	}
	if len(wrong) > 0 {
		return exitWrong
	}
	return exitOK
}

// yamlValue writes a value so that YAML reads it back. Text is quoted as in JSON, which YAML understands.
func yamlValue(value any) string {
	switch value := value.(type) {
	case time.Duration:
		return showDuration(value)
	case string:
		return jsonText(value)
	case []string:
		quoted := make([]string, len(value))
		for i := range value {
			quoted[i] = jsonText(value[i])
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	}
	return fmt.Sprint(value)
}

func jsonText(value string) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // a string is always JSON
	}
	return string(text)
}

// oneLine keeps a message that quotes a path or an argument on its line.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}
