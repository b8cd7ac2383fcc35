package protocol

import (
	"encoding/binary"
	"hash/crc32"
	"net/netip"
)

// A header of version 2, in network order throughout:
//
//	 0                   12              13                14        16
//	+-------------------+-------+-------+--------+--------+---------+- - - - - - - - - - - - - - -+
//	| signature,        |version|command| family |protocol| length  | block, of that length       |
//	| 12 octets         |   2   | 0, 1  | 0 to 3 | 0 to 2 | 16 bits | addresses, then TLVs        |
//	+-------------------+-------+-------+--------+--------+---------+- - - - - - - - - - - - - - -+
//
//	family, protocol   0x11 TCP, 0x12 UDP over IPv4: source, destination, their ports; 12 octets
//	                   0x21 TCP, 0x22 UDP over IPv6: the same; 36 octets
//	                   0x31, 0x32 Unix sockets: two paths; 216 octets
//	                   0 in either place: UNSPEC, the block is anything
//	TLV                type, length in 16 bits, value

// proxyV2Signature was chosen to be no start of anything else: a request may have an empty line
// before it, but not two, and no NUL.
const proxyV2Signature = "\r\n\r\n\x00\r\nQUIT\n"

const (
	proxyV2HeadBytes = 16
	// proxyV2BlockBytesMax is twice what the specification wants headers to fit in (one TCP segment
	// of 536 bytes). A balancer that adds all it knows as TLVs (host name, TLS with the client's
	// name, unique id, checksum) sends about that; nobody needs to make us wait for 64 KiB.
	proxyV2BlockBytesMax = 1024
)

// Commands, families with protocols, and the types of TLV that are looked at.
const (
	proxyCommandLocal = 0
	proxyCommandProxy = 1

	proxyTCP4 = 0x11
	proxyTCP6 = 0x21

	proxyTLVBytes  = 3 // type and length
	proxyTLVCRC32C = 3
)

var (
	errProxyVersion = &ProxyError{Version: 2,
		Text: "the binary PROXY header is of a version other than 2"}
	errProxyCommand = &ProxyError{Version: 2,
		Text: "the PROXY header has a command other than LOCAL and PROXY"}
	errProxyTransport = &ProxyError{Version: 2,
		Text: "the PROXY header names an address family or a transport that does not exist"}
	errProxyLong = &ProxyError{Version: 2,
		Text: "the PROXY header declares more than 1024 bytes; let the balancer send fewer TLVs"}
	errProxyShort = &ProxyError{Version: 2,
		Text: "the PROXY header declares fewer bytes than the addresses of its family take"}
	errProxyTLV = &ProxyError{Version: 2,
		Text: "the TLVs of the PROXY header do not fill it exactly, or its checksum is not one of four bytes"}
	errProxyChecksum = &ProxyError{Version: 2,
		Text: "the checksum of the PROXY header is wrong: it was changed on its way, or made wrongly"}
)

// parseProxyV2 reads a header that may start with proxyV2Signature.
func parseProxyV2(b []byte) (h ProxyHeader, n int, _ *ProxyError) {
	size, refusal := proxyV2Size(b)
	if refusal != nil || size == 0 || len(b) < size {
		return h, 0, refusal
	}
	b = b[:size]
	h = ProxyHeader{Version: 2, Local: true}
	// Section 2.2: the block of a LOCAL is discarded, its family ignored; the same is done with
	// what has no known form. Nothing in there is used, so nothing is judged.
	addresses := proxyAddressBytes(b[13])
	if b[12]&0xf == proxyCommandLocal || addresses == 0 {
		return h, size, nil
	}
	if refusal := checkProxyTLVs(b, proxyV2HeadBytes+addresses); refusal != nil {
		return h, 0, refusal
	}
	// A receiver may fall back to UNSPEC for a valid family that it does not support. No client of
	// ours speaks UDP, and a Unix socket's path is no address that could be limited or logged.
	block := b[proxyV2HeadBytes:]
	switch b[13] {
	case proxyTCP4:
		h.Local = false
		h.Source = proxyAddrPort(netip.AddrFrom4([4]byte(block)), block[8:])
		h.Destination = proxyAddrPort(netip.AddrFrom4([4]byte(block[4:])), block[10:])
	case proxyTCP6:
		h.Local = false
		h.Source = proxyAddrPort(netip.AddrFrom16([16]byte(block)), block[32:])
		h.Destination = proxyAddrPort(netip.AddrFrom16([16]byte(block[16:])), block[34:])
	}
	return h, size, nil
}

// proxyV2Size judges the first 16 octets, each as it arrives, and returns how long the whole header
// is once that is known. A length that is too much is refused before its bytes arrive.
func proxyV2Size(b []byte) (size int, _ *ProxyError) {
	if len(b) <= 12 {
		return 0, nil
	}
	version, command := b[12]>>4, b[12]&0xf
	switch {
	case version != 2:
		return 0, errProxyVersion
	case command > proxyCommandProxy:
		return 0, errProxyCommand
	case len(b) <= 13:
		return 0, nil
	case command == proxyCommandProxy && (b[13]>>4 > 3 || b[13]&0xf > 2):
		return 0, errProxyTransport
	case len(b) > 14 && int(b[14])<<8 > proxyV2BlockBytesMax:
		return 0, errProxyLong
	case len(b) < proxyV2HeadBytes:
		return 0, nil
	}
	length := int(binary.BigEndian.Uint16(b[14:]))
	switch {
	case length > proxyV2BlockBytesMax:
		return 0, errProxyLong
	case command == proxyCommandProxy && length < proxyAddressBytes(b[13]):
		return 0, errProxyShort
	}
	return proxyV2HeadBytes + length, nil
}

// proxyAddressBytes is what the addresses of a family with a protocol take, 0 where that is not
// specified.
func proxyAddressBytes(transport byte) int {
	switch transport {
	case 0x11, 0x12:
		return 2*4 + 2*2
	case 0x21, 0x22:
		return 2*16 + 2*2
	case 0x31, 0x32:
		return 2 * 108
	}
	return 0
}

func proxyAddrPort(addr netip.Addr, port []byte) netip.AddrPort {
	return netip.AddrPortFrom(addr.Unmap(), binary.BigEndian.Uint16(port))
}

// checkProxyTLVs walks over the TLVs of a whole header, from at to its end: they have to fill it,
// and what they say is skipped, except for the checksum.
func checkProxyTLVs(header []byte, at int) *ProxyError {
	checksum := 0
	for at < len(header) {
		if len(header)-at < proxyTLVBytes {
			return errProxyTLV
		}
		kind, length := header[at], int(binary.BigEndian.Uint16(header[at+1:]))
		at += proxyTLVBytes
		if length > len(header)-at {
			return errProxyTLV
		}
		if kind == proxyTLVCRC32C {
			if length != crc32.Size || checksum > 0 {
				return errProxyTLV
			}
			checksum = at
		}
		at += length
	}
	if checksum > 0 && binary.BigEndian.Uint32(header[checksum:]) != proxyChecksum(header, checksum) {
		return errProxyChecksum
	}
	return nil
}

var (
	castagnoli   = crc32.MakeTable(crc32.Castagnoli)
	zeroChecksum [crc32.Size]byte
)

// proxyChecksum is the CRC32C of a header, taken as if there were zeros where the checksum itself
// stands (section 2.2.3).
func proxyChecksum(header []byte, at int) uint32 {
	sum := crc32.Update(0, castagnoli, header[:at])
	sum = crc32.Update(sum, castagnoli, zeroChecksum[:])
	return crc32.Update(sum, castagnoli, header[at+crc32.Size:])
}
