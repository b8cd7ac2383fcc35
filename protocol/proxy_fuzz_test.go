package protocol

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"regexp"
	"strconv"
	"testing"
)

// appendProxy writes a header as a balancer does: the addresses as IPv4 only if both are, and in version 2 with two TLVs, one the checksum.
func appendProxy(dst []byte, h ProxyHeader) []byte {
	from, to := h.Source.Addr(), h.Destination.Addr()
	is4 := from.Is4() && to.Is4()
	if h.Version == 1 {
		switch {
		case h.Local:
			return append(dst, "PROXY UNKNOWN\r\n"...)
		case is4:
			dst = append(append(append(append(dst, "PROXY TCP4 "...), from.String()...), ' '), to.String()...)
		default:
			from, to = netip.AddrFrom16(from.As16()), netip.AddrFrom16(to.As16())
			dst = append(append(append(append(dst, "PROXY TCP6 "...), from.String()...), ' '), to.String()...)
		}
		dst = strconv.AppendUint(append(dst, ' '), uint64(h.Source.Port()), 10)
		dst = strconv.AppendUint(append(dst, ' '), uint64(h.Destination.Port()), 10)
		return append(dst, "\r\n"...)
	}
	start := len(dst)
	switch {
	case h.Local:
		return append(dst, localHead+"\x00\x00"...)
	case is4:
		dst = append(append(append(dst, tcp4Head+"\x00\x16"...), from.AsSlice()...), to.AsSlice()...)
	default:
		from16, to16 := from.As16(), to.As16()
		dst = append(append(append(dst, tcp6Head+"\x00\x2e"...), from16[:]...), to16[:]...)
	}
	dst = binary.BigEndian.AppendUint16(dst, h.Source.Port())
	dst = binary.BigEndian.AppendUint16(dst, h.Destination.Port())
	dst = append(dst, noopTLV+"\x03\x00\x04\x00\x00\x00\x00"...)
	sum := dst[len(dst)-4:]
	binary.BigEndian.PutUint32(sum, crc32cBitByBit(dst[start:]))
	return dst
}

// crc32cBitByBit is RFC 4960's checksum as its appendix B describes it: slow, and not our way to compute it.
func crc32cBitByBit(b []byte) uint32 {
	sum := ^uint32(0)
	for _, c := range b {
		sum ^= uint32(c)
		for range 8 {
			sum = sum>>1 ^ 0x82f63b78*(sum&1)
		}
	}
	return ^sum
}

var proxyLine = regexp.MustCompile(`^PROXY (?:UNKNOWN(?: [^\r\n]*)?|TCP([46]) ([^ \r\n]+) ([^ \r\n]+) (0|[1-9][0-9]*) (0|[1-9][0-9]*))\r\n`)

// proxyLineByRegexp reads version 1 in another way: the whole line at once, with the standard library's ideas of an address.
func proxyLineByRegexp(sent []byte) (h ProxyHeader, n int) {
	m := proxyLine.FindSubmatch(sent)
	switch {
	case m == nil || len(m[0]) > 107:
		return ProxyHeader{}, 0
	case m[1] == nil:
		return local1, len(m[0])
	}
	h.Version = 1
	for i, at := range []*netip.AddrPort{&h.Source, &h.Destination} {
		addr, err := netip.ParseAddr(string(m[2+i]))
		port, outside := strconv.ParseUint(string(m[4+i]), 10, 16)
		if err != nil || outside != nil || addr.Zone() != "" || addr.Is4() != (m[1][0] == '4') {
			return ProxyHeader{}, 0
		}
		*at = netip.AddrPortFrom(addr.Unmap(), uint16(port))
	}
	return h, len(m[0])
}

// FuzzParseProxy: a decision comes with the first bytes that allow it and stays with any that follow.
func FuzzParseProxy(f *testing.F) {
	for _, test := range proxyHeaders {
		f.Add([]byte(test.sent))
		f.Add([]byte(test.sent + "GET / HTTP/1.1\r\n\r\n"))
	}
	f.Add([]byte("PROXY TCP6 ::ffff:192.0.2.7 2001:db8::1 1 2\r\n"))
	f.Add([]byte("PROXY TCP4 192.0.2.7 ::1 01 2\r\r\n"))
	f.Add([]byte("\r\n\r\n"))
	f.Add([]byte("POST / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		before := bytes.Clone(sent)
		h, n, err := ParseProxy(sent)
		if !bytes.Equal(sent, before) {
			t.Fatal("the bytes were changed")
		}
		checkProxyResult(t, sent, h, n, err)
		decided := false
		for k := range min(len(sent), ProxyHeaderBytesMax) + 1 {
			hk, nk, errk := ParseProxy(sent[:k:k])
			if nk == 0 && errk == nil && !decided {
				continue
			}
			decided = true
			if hk != h || nk != n || errk != err {
				t.Fatalf("after %d bytes: %+v, %d, %v; after %d: %+v, %d, %v", k, hk, nk, errk, len(sent), h, n, err)
			}
		}
		if decided != (n > 0 || err != nil) || !decided && len(sent) >= ProxyHeaderBytesMax {
			t.Fatalf("after %d bytes, decided: %t; %d, %v", len(sent), decided, n, err)
		}
		if want, size := proxyLineByRegexp(sent); size > 0 && (h != want || n != size) || size == 0 && n > 0 && h.Version == 1 {
			t.Fatalf("%q: %+v, %d; by regexp %+v, %d", sent, h, n, want, size)
		}
		if n == 0 {
			return
		}
		again := appendProxy(nil, h)
		if h2, n2, err := ParseProxy(append(again, sent[n:]...)); h2 != h || n2 != len(again) || err != nil {
			t.Fatalf("%+v is written as %q and read as %+v, %d, %v", h, again, h2, n2, err)
		}
	})
}

// checkProxyResult holds a result against what every result has to be.
func checkProxyResult(t *testing.T, sent []byte, h ProxyHeader, n int, err error) {
	t.Helper()
	switch {
	case n < 0 || n > len(sent) || n > ProxyHeaderBytesMax:
		t.Fatalf("%d of %d bytes", n, len(sent))
	case n == 0 && h != ProxyHeader{}, n > 0 && err != nil:
		t.Fatalf("%+v, %d, %v", h, n, err)
	case n > 0 && (h.Local == h.Source.IsValid() || h.Local == h.Destination.IsValid() || h.Source.Addr().Is4In6()):
		t.Fatalf("%q: %+v", sent, h)
	}
	recognised := bytes.HasPrefix(sent, []byte("PROXY ")) || bytes.HasPrefix(sent, []byte("\r\n\r\n\x00\r\nQUIT\n"))
	if err == ErrNotProxy && recognised || err != nil && err != ErrNotProxy && !recognised || n > 0 && !recognised {
		t.Fatalf("%q: %d, %v", sent, n, err)
	}
}
