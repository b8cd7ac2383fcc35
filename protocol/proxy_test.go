package protocol

import (
	"encoding/binary"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The parts that headers of version 2 are made of here.
const (
	localHead = proxyV2Signature + "\x20\x00" // LOCAL, UNSPEC
	tcp4Head  = proxyV2Signature + "\x21\x11"
	tcp6Head  = proxyV2Signature + "\x21\x21"
	unixHead  = proxyV2Signature + "\x21\x31"

	tcp4Addresses = "\xc0\x00\x02\x07" + "\xc6\x33\x64\x01" + "\xdc\x04" + "\x01\xbb" // 192.0.2.7, 198.51.100.1, 56324, 443
	tcp6Addresses = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" + "\xdc\x04" + "\x01\xbb"
	mappedAddresses = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02\x07" +
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc6\x33\x64\x01" + "\xdc\x04" + "\x01\xbb"

	noopTLV      = "\x04\x00\x00"
	authorityTLV = "\x02\x00\x10chat.example.com"

	// As HAProxy 2.6 sent them: to a TLS client's connection with all options, and as a check.
	haproxyTLS = tcp4Head + "\x00\x88\x7f\x00\x00\x4d\x7f\x00\x00\x01\xd5\x39\x88\xdf" + "\x03\x00\x04\xa4\x90\x3c\xfd" + authorityTLV +
		"\x05\x00\x18127.0.0.77:54585:26951:9" + "\x20\x00\x44\x01\x00\x00\x00\x00" + "\x21\x00\x07TLSv1.3" + "\x25\x00\x05EC256" +
		"\x24\x00\x11ecdsa-with-SHA256" + "\x23\x00\x16TLS_AES_256_GCM_SHA384"
	haproxyCheck = localHead + "\x00\x07" + "\x03\x00\x04\xa9\xb8\x7e\x8f"
)

// filled is a TLV of type NOOP that takes so many bytes.
func filled(n int) string {
	value := make([]byte, n)
	value[0] = 4
	binary.BigEndian.PutUint16(value[1:], uint16(n-proxyTLVBytes))
	return string(value)
}

// tcp is what a header of a known client is read as.
func tcp(version int, source, destination string) ProxyHeader {
	return ProxyHeader{Version: version, Source: netip.MustParseAddrPort(source), Destination: netip.MustParseAddrPort(destination)}
}

var (
	local1, local2 = ProxyHeader{Version: 1, Local: true}, ProxyHeader{Version: 2, Local: true}

	known1 = tcp(1, "192.0.2.7:56324", "198.51.100.1:443")
	known2 = tcp(2, "192.0.2.7:56324", "198.51.100.1:443")
)

var proxyHeaders = []struct {
	name, sent string
	want       ProxyHeader
}{
	{"the specification's example", "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", tcp(1, "192.168.0.1:56324", "192.168.0.11:443")},
	{"IPv4, shortest", "PROXY TCP4 0.0.0.0 1.2.3.4 0 0\r\n", tcp(1, "0.0.0.0:0", "1.2.3.4:0")},
	{"IPv4, longest", "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", tcp(1, "255.255.255.255:65535", "255.255.255.255:65535")},
	{"IPv6", "PROXY TCP6 2001:db8::7 2001:DB8:0:0::1 56324 443\r\n", tcp(1, "[2001:db8::7]:56324", "[2001:db8::1]:443")},
	{"IPv6, nothing but zeros", "PROXY TCP6 :: :: 1 65535\r\n", tcp(1, "[::]:1", "[::]:65535")},
	{"IPv6, longest", "PROXY TCP6 " + strings.Repeat(strings.Repeat("ffff:", 7)+"ffff ", 2) + "65535 65535\r\n",
		tcp(1, "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535")},
	{"IPv4 as IPv6", "PROXY TCP6 ::ffff:192.0.2.7 ::ffff:c633:6401 56324 443\r\n", known1},
	{"UNKNOWN", "PROXY UNKNOWN\r\n", local1},
	{"UNKNOWN with a space", "PROXY UNKNOWN \r\n", local1},
	{"UNKNOWN with addresses", "PROXY UNKNOWN 192.0.2.7 198.51.100.1 56324 443\r\n", local1},
	{"UNKNOWN with anything", "PROXY UNKNOWN PROXY TCP4 \x00\xff\t\x1b[2J\r\n", local1},
	{"UNKNOWN, longest", "PROXY UNKNOWN " + strings.Repeat("f", 107-14-2) + "\r\n", local1},

	{"TCP over IPv4", tcp4Head + "\x00\x0c" + tcp4Addresses, known2},
	{"TCP over IPv6", tcp6Head + "\x00\x24" + tcp6Addresses, tcp(2, "[2001:db8::7]:56324", "[2001:db8::1]:443")},
	{"TCP over IPv4 as IPv6", tcp6Head + "\x00\x24" + mappedAddresses, known2},
	{"a TLV", tcp4Head + "\x00\x1f" + tcp4Addresses + authorityTLV, known2},
	{"TLVs, one empty, one unknown", tcp4Head + "\x00\x14" + tcp4Addresses + noopTLV + "\xea\x00\x02\x01\x02", known2},
	{"TLVs up to the limit", tcp4Head + "\x04\x00" + tcp4Addresses + filled(1012), known2},
	{"HAProxy's TLVs with a checksum", haproxyTLS, tcp(2, "127.0.0.77:54585", "127.0.0.1:35039")},
	{"LOCAL", localHead + "\x00\x00", local2},
	{"LOCAL with a checksum", haproxyCheck, local2},
	{"LOCAL with addresses", proxyV2Signature + "\x20\x11\x00\x0c" + tcp4Addresses, local2},
	{"LOCAL with half an address", proxyV2Signature + "\x20\x21\x00\x02\x20\x01", local2},
	{"LOCAL of a family that does not exist", proxyV2Signature + "\x20\xff\x00\x01\xff", local2},
	{"LOCAL up to the limit", localHead + "\x04\x00" + strings.Repeat("\xff", 1024), local2},
	{"UNSPEC", proxyV2Signature + "\x21\x00\x00\x00", local2},
	{"UNSPEC with something", proxyV2Signature + "\x21\x00\x00\x02\xff\xff", local2},
	{"IPv4 over UNSPEC", proxyV2Signature + "\x21\x10\x00\x08" + tcp4Addresses[:8], local2},
	{"UNSPEC over TCP", proxyV2Signature + "\x21\x01\x00\x00", local2},
	{"UDP over IPv4", proxyV2Signature + "\x21\x12\x00\x0c" + tcp4Addresses, local2},
	{"UDP over IPv6", proxyV2Signature + "\x21\x22\x00\x27" + tcp6Addresses + noopTLV, local2},
	{"Unix stream", unixHead + "\x00\xd8" + strings.Repeat("/", 216), local2},
	{"Unix datagram with a TLV", proxyV2Signature + "\x21\x32\x00\xdb" + strings.Repeat("/", 216) + noopTLV, local2},
}

// TestParseProxy reads each header whole, with all kinds of bytes behind it, and byte by byte.
func TestParseProxy(t *testing.T) {
	for _, test := range proxyHeaders {
		for _, behind := range []string{"", "G", "GET / HTTP/1.1\r\n\r\n", "\r\n", test.sent, strings.Repeat("\xff", 70_000)} {
			sent := []byte(test.sent + behind)
			h, n, err := ParseProxy(sent)
			if h != test.want || n != len(test.sent) || err != nil {
				t.Errorf("%s: %+v, %d of %d bytes, %v; want %+v", test.name, h, n, len(test.sent), err, test.want)
			}
			if string(sent) != test.sent+behind {
				t.Errorf("%s: the bytes were changed", test.name)
			}
		}
		for k := range len(test.sent) {
			if h, n, err := ParseProxy([]byte(test.sent[:k])); h != (ProxyHeader{}) || n != 0 || err != nil {
				t.Errorf("%s: after %d of %d bytes %+v, %d, %v", test.name, k, len(test.sent), h, n, err)
			}
		}
	}
}

// A line of version 1 with these fields, or with this source.
func v1Line(fields string) string  { return "PROXY TCP4 " + fields + "\r\n" }
func v1Line6(source string) string { return "PROXY TCP6 " + source + " :: 1 2\r\n" }

const whole = 0

var proxyRefusals = []struct {
	name, sent string
	after      int // bytes; whole for all of them
	refusal    error
}{
	{"nothing of it", "\x16\x03\x01", 1, ErrNotProxy},
	{"GET", "GET / HTTP/1.1\r\n", 1, ErrNotProxy},
	{"POST", "POST / HTTP/1.1\r\n", 2, ErrNotProxy},
	{"PUT", "PUT / HTTP/1.1\r\n", 2, ErrNotProxy},
	{"PATCH", "PATCH / HTTP/1.1\r\n", 2, ErrNotProxy},
	{"PRI", "PRI * HTTP/2.0\r\n", 3, ErrNotProxy},
	{"PROPFIND", "PROPFIND / HTTP/1.1\r\n", 4, ErrNotProxy},
	{"small letters", "proxy TCP4 ", 1, ErrNotProxy},
	{"a longer word", "PROXYING / HTTP/1.1\r\n", 6, ErrNotProxy},
	{"a line end behind the word", "PROXY\r\n", 6, ErrNotProxy},
	{"a tab behind the word", "PROXY\tTCP4 ", 6, ErrNotProxy},
	{"an empty line, then GET", "\r\nGET / HTTP/1.1\r\n", 3, ErrNotProxy},
	{"two empty lines", "\r\n\r\nGET / HTTP/1.1\r\n", 5, ErrNotProxy},
	{"the signature but for its last byte", proxyV2Signature[:11] + "\r\x21\x11", 12, ErrNotProxy},

	{"two spaces before the protocol", "PROXY  TCP4 ", 7, errProxyFamily},
	{"UDP4", "PROXY UDP4 ", 8, errProxyFamily},
	{"TCP5", "PROXY TCP5 ", 10, errProxyFamily},
	{"TCP4 in small letters", "PROXY tcp4 ", 7, errProxyFamily},
	{"TCP4 and nothing else", "PROXY TCP4\r\n", 11, errProxyFamily},
	{"TCP46", "PROXY TCP46 ", 11, errProxyFamily},
	{"no protocol", "PROXY \r\n", 7, errProxyFamily},
	{"UNKNOWN and more", "PROXY UNKNOWNS\r\n", 14, errProxyFamily},
	{"UNKNOWN, bare LF", "PROXY UNKNOWN\n", 14, errProxyFamily},
	{"UNKNOWN, bare CR", "PROXY UNKNOWN\rGET", 15, errProxyLineEnd},
	{"UNKNOWN, bare LF behind something", "PROXY UNKNOWN a\n", whole, errProxyLineEnd},
	{"UNKNOWN, bare CR in something", "PROXY UNKNOWN a\rb\r\n", 17, errProxyLineEnd},
	{"UNKNOWN, too long", "PROXY UNKNOWN " + strings.Repeat("f", 107-14-1) + "\r\n", 106, errProxyLineLong},
	{"bare LF", "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\n", whole, errProxyLineEnd},
	{"bare CR", "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\rGET", 45, errProxyLineEnd},
	{"LF CR", "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\n\r", 44, errProxyLineEnd},
	{"no end", "PROXY TCP4 " + strings.Repeat("1", 200), 106, errProxyLineLong},
	{"no end but at the last moment", "PROXY TCP4 " + strings.Repeat("1", 107-11-2) + "\r\r", whole, errProxyLineEnd},

	{"no fields", v1Line(""), whole, errProxyFields},
	{"three fields", v1Line("192.0.2.7 198.51.100.1 56324"), whole, errProxyFields},
	{"five fields", v1Line("192.0.2.7 198.51.100.1 56324 443 1"), whole, errProxyFields},
	{"two spaces before an address", v1Line(" 192.0.2.7 198.51.100.1 56324 443"), whole, errProxyFields},
	{"two spaces before a port", v1Line("192.0.2.7 198.51.100.1 56324  443"), whole, errProxyFields},
	{"a space at the end", v1Line("192.0.2.7 198.51.100.1 56324 443 "), whole, errProxyFields},
	{"a tab for a space", v1Line("192.0.2.7\t198.51.100.1 56324 443"), whole, errProxyFields},
	{"a tab at the end", v1Line("192.0.2.7 198.51.100.1 56324 443\t"), whole, errProxyPort},

	{"no source", v1Line(" 198.51.100.1 56324 443"), whole, errProxyAddress},
	{"no destination", v1Line("192.0.2.7  56324 443"), whole, errProxyAddress},
	{"three octets", v1Line("192.0.2 198.51.100.1 56324 443"), whole, errProxyAddress},
	{"five octets", v1Line("192.0.2.7.1 198.51.100.1 56324 443"), whole, errProxyAddress},
	{"octet 256", v1Line("192.0.2.256 198.51.100.1 56324 443"), whole, errProxyAddress},
	{"octet with a leading zero", v1Line("192.0.2.07 198.51.100.1 56324 443"), whole, errProxyAddress},
	{"octet 00", v1Line("192.0.2.7 198.51.100.00 56324 443"), whole, errProxyAddress},
	{"octet empty", v1Line("192.0..7 198.51.100.1 56324 443"), whole, errProxyAddress},
	{"octet with a sign", v1Line("192.0.2.+7 198.51.100.1 56324 443"), whole, errProxyAddress},
	{"octet in hexadecimal", v1Line("0xc0.0.2.7 198.51.100.1 56324 443"), whole, errProxyAddress},
	{"a name", v1Line("localhost 198.51.100.1 56324 443"), whole, errProxyAddress},
	{"an address with its port", v1Line("192.0.2.7:1 198.51.100.1 56324 443"), whole, errProxyAddress},
	{"NUL behind an address", v1Line("192.0.2.7\x00 198.51.100.1 56324 443"), whole, errProxyAddress},
	{"IPv6 source in TCP4", v1Line("::1 198.51.100.1 56324 443"), whole, errProxyAddress},
	{"IPv6 destination in TCP4", v1Line("192.0.2.7 ::ffff:198.51.100.1 56324 443"), whole, errProxyAddress},
	{"IPv4 source in TCP6", v1Line6("192.0.2.7"), whole, errProxyAddress},
	{"IPv4 destination in TCP6", "PROXY TCP6 :: 192.0.2.7 1 2\r\n", whole, errProxyAddress},
	{"IPv6 in brackets", v1Line6("[::1]"), whole, errProxyAddress},
	{"IPv6 with a zone", v1Line6("fe80::1%eth0"), whole, errProxyAddress},
	{"IPv6 with a prefix length", v1Line6("2001:db8::/32"), whole, errProxyAddress},
	{"seven groups", v1Line6("1:2:3:4:5:6:7"), whole, errProxyAddress},
	{"nine groups", v1Line6("1:2:3:4:5:6:7:8:9"), whole, errProxyAddress},
	{"eight groups and a gap", v1Line6("1:2:3:4::5:6:7:8"), whole, errProxyAddress},
	{"two gaps", v1Line6("1::2::3"), whole, errProxyAddress},
	{"three colons", v1Line6("1:::2"), whole, errProxyAddress},
	{"a group of five digits", v1Line6("::00001"), whole, errProxyAddress},
	{"a group that is not hexadecimal", v1Line6("::g"), whole, errProxyAddress},

	{"port empty", v1Line("192.0.2.7 198.51.100.1 56324 "), whole, errProxyPort},
	{"port 65536", v1Line("192.0.2.7 198.51.100.1 65536 443"), whole, errProxyPort},
	{"port 2^64", v1Line("192.0.2.7 198.51.100.1 18446744073709551616 443"), whole, errProxyPort},
	{"port with a leading zero", v1Line("192.0.2.7 198.51.100.1 56324 0443"), whole, errProxyPort},
	{"port 00", v1Line("192.0.2.7 198.51.100.1 00 443"), whole, errProxyPort},
	{"port with a plus", v1Line("192.0.2.7 198.51.100.1 56324 +443"), whole, errProxyPort},
	{"port negative", v1Line("192.0.2.7 198.51.100.1 -1 443"), whole, errProxyPort},
	{"port in hexadecimal", v1Line("192.0.2.7 198.51.100.1 0x1 443"), whole, errProxyPort},
	{"port in words", v1Line("192.0.2.7 198.51.100.1 56324 https"), whole, errProxyPort},

	{"version 1 in binary", proxyV2Signature + "\x11\x11\x00\x0c", 13, errProxyVersion},
	{"version 3", proxyV2Signature + "\x31\x11\x00\x0c", 13, errProxyVersion},
	{"command 2", proxyV2Signature + "\x22\x11\x00\x0c", 13, errProxyCommand},
	{"command 15", proxyV2Signature + "\x2f\x00\x00\x00", 13, errProxyCommand},
	{"family 4", proxyV2Signature + "\x21\x41\x00\x0c", 14, errProxyTransport},
	{"transport 3", proxyV2Signature + "\x21\x13\x00\x0c", 14, errProxyTransport},
	{"one byte too many", tcp4Head + "\x04\x01", 16, errProxyLong},
	{"64 KiB", tcp4Head + "\xff\xff", 15, errProxyLong},
	{"LOCAL of 64 KiB", localHead + "\xff\xff", 15, errProxyLong},
	{"IPv4, one byte short", tcp4Head + "\x00\x0b" + tcp4Addresses, 16, errProxyShort},
	{"IPv4, no addresses", tcp4Head + "\x00\x00", 16, errProxyShort},
	{"IPv6, addresses of IPv4", tcp6Head + "\x00\x0c" + tcp4Addresses, 16, errProxyShort},
	{"IPv6, one byte short", tcp6Head + "\x00\x23" + tcp6Addresses, 16, errProxyShort},
	{"UDP over IPv4, one byte short", proxyV2Signature + "\x21\x12\x00\x0b" + tcp4Addresses, 16, errProxyShort},
	{"UDP over IPv6, one byte short", proxyV2Signature + "\x21\x22\x00\x23" + tcp6Addresses, 16, errProxyShort},
	{"Unix stream, one byte short", unixHead + "\x00\xd7" + strings.Repeat("/", 216), 16, errProxyShort},
	{"Unix datagram, one byte short", proxyV2Signature + "\x21\x32\x00\xd7" + strings.Repeat("/", 216), 16, errProxyShort},

	{"a TLV of one byte", tcp4Head + "\x00\x0d" + tcp4Addresses + "\x04", whole, errProxyTLV},
	{"a TLV of two bytes", tcp4Head + "\x00\x0e" + tcp4Addresses + "\x04\x00", whole, errProxyTLV},
	{"a TLV longer than the header", tcp4Head + "\x00\x11" + tcp4Addresses + "\x04\x00\x03ab", whole, errProxyTLV},
	{"a TLV of 64 KiB", tcp4Head + "\x00\x0f" + tcp4Addresses + "\x04\xff\xff", whole, errProxyTLV},
	{"a byte behind a TLV", tcp6Head + "\x00\x28" + tcp6Addresses + noopTLV + "\x00", whole, errProxyTLV},
	{"half a TLV behind UDP's addresses", proxyV2Signature + "\x21\x12\x00\x0d" + tcp4Addresses + "\x04", whole, errProxyTLV},
	{"a checksum of three bytes", tcp4Head + "\x00\x12" + tcp4Addresses + "\x03\x00\x03abc", whole, errProxyTLV},
	{"a checksum of five bytes", tcp4Head + "\x00\x14" + tcp4Addresses + "\x03\x00\x05abcde", whole, errProxyTLV},
	{"two checksums", tcp4Head + "\x00\x1a" + tcp4Addresses + "\x03\x00\x04\x00\x00\x00\x00\x03\x00\x04\x00\x00\x00\x00", whole, errProxyTLV},
	{"a checksum of nothing", tcp4Head + "\x00\x13" + tcp4Addresses + "\x03\x00\x04\x00\x00\x00\x00", whole, errProxyChecksum},
}

// TestParseProxyRefuses: what is wrong with a header, and how many bytes it takes to know.
func TestParseProxyRefuses(t *testing.T) {
	for _, test := range proxyRefusals {
		if test.after == whole {
			test.after = len(test.sent)
		}
		for k := range len(test.sent) + 1 {
			h, n, err := ParseProxy([]byte(test.sent[:k]))
			want := test.refusal
			if k < test.after {
				want = nil
			}
			if h != (ProxyHeader{}) || n != 0 || err != want {
				t.Fatalf("%s: after %d bytes %+v, %d, %v; want %v after %d", test.name, k, h, n, err, test.refusal, test.after)
			}
		}
	}
}

// TestProxyChecksum: no bit behind the first 16 bytes of a header with a checksum can be wrong.
func TestProxyChecksum(t *testing.T) {
	const tlvType = proxyV2HeadBytes + len(tcp4Addresses) // with another type there is no checksum
	for at := proxyV2HeadBytes; at < len(haproxyTLS); at++ {
		for bit := range 8 {
			sent := []byte(haproxyTLS)
			sent[at] ^= 1 << bit
			if h, n, err := ParseProxy(sent); at != tlvType && (n != 0 || err == nil) {
				t.Errorf("bit %d of byte %d: %+v, %d, %v", bit, at, h, n, err)
			}
		}
	}
}

// TestProxyErrorsForTheLog: one line each, with the version, that says nothing twice.
func TestProxyErrorsForTheLog(t *testing.T) {
	sentence := regexp.MustCompile(`^[ -~]{20,140}$`)
	seen := map[string]bool{}
	for _, e := range []*ProxyError{errProxyFamily, errProxyLineLong, errProxyLineEnd, errProxyFields, errProxyAddress, errProxyPort,
		errProxyVersion, errProxyCommand, errProxyTransport, errProxyLong, errProxyShort, errProxyTLV, errProxyChecksum} {
		if text := e.Error(); !sentence.MatchString(text) || !strings.Contains(text, "PROXY") || seen[text] {
			t.Errorf("version %d: %q", e.Version, text)
		}
		seen[e.Error()] = true
	}
	for _, limit := range []struct {
		e    *ProxyError
		most int
	}{{errProxyLineLong, proxyV1BytesMax}, {errProxyLong, proxyV2BlockBytesMax}} {
		if !strings.Contains(limit.e.Text, strconv.Itoa(limit.most)+" bytes") {
			t.Errorf("%q does not say that the limit is %d", limit.e.Text, limit.most)
		}
	}
}

func TestParseProxyAllocatesNothing(t *testing.T) {
	for _, test := range proxyHeaders {
		sent := []byte(test.sent + "GET / HTTP/1.1\r\n")
		if allocs := testing.AllocsPerRun(50, func() {
			_, n, err := ParseProxy(sent)
			if n != len(test.sent) || err != nil {
				t.Fatalf("%s: %d, %v", test.name, n, err)
			}
			_, _, _ = ParseProxy(sent[:n-1])
			_, _, _ = ParseProxy(sent[n:])
		}); allocs != 0 {
			t.Errorf("%s: %v allocations", test.name, allocs)
		}
	}
}
