package envelope

import (
	"math/bits"
	"strings"
	"unicode/utf8"
)

// Strings of JSON, both ways. Reading takes every escape of RFC 8259, section 7. Writing
// escapes what has to be escaped, and nothing else: not slashes, and not U+2028, which
// JSON allows as it is.

type bytestring interface{ ~string | ~[]byte }

const (
	eachByte = 0x0101010101010101
	highBits = 0x80 * eachByte
)

// plain is how many bytes at the start of s stand for themselves between quotes: all up to the
// first quote, backslash or control character. It looks at eight bytes at once:
//
//	(w - 0x20 in each byte) &^ w     high bit set: the byte is below 0x20
//	w ^ '"' in each byte: the same with 1 instead of 0x20 finds zero bytes
//
// A borrow can set bits too many, but only above the first that is right, and no other is looked for.
func plain[S bytestring](s S) int {
	i := 0
	for ; i+8 <= len(s); i += 8 {
		b := s[i : i+8]
		w := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
			uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		quote, slash := w^('"'*eachByte), w^('\\'*eachByte)
		found := (w - 0x20*eachByte) &^ w
		found |= (quote - eachByte) &^ quote
		found |= (slash - eachByte) &^ slash
		if found &= highBits; found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for ; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' {
			break
		}
	}
	return i
}

// appendString writes s in quotes. What is not UTF-8 becomes U+FFFD: a client must be able to read it, whatever a file or a token held.
func appendString(dst []byte, s string) []byte {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\ufffd")
	}
	return appendQuoted(dst, s)
}

// appendText is appendString for bytes.
func appendText(dst, s []byte) []byte {
	if !utf8.Valid(s) {
		return appendString(dst, string(s))
	}
	return appendQuoted(dst, s)
}

func appendQuoted[S bytestring](dst []byte, s S) []byte {
	dst = append(dst, '"')
	for {
		n := plain(s)
		dst = append(dst, s[:n]...)
		if n == len(s) {
			return append(dst, '"')
		}
		dst = appendEscape(dst, s[n])
		s = s[n+1:]
	}
}

const hexDigits = "0123456789abcdef"

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}

// appendUnescaped writes what a string says that the scanner has found good, given without its quotes.
func appendUnescaped(dst, s []byte) []byte {
	for {
		n := plain(s)
		dst = append(dst, s[:n]...)
		if n == len(s) {
			return dst
		}
		r, size := unescape(s[n:])
		dst = utf8.AppendRune(dst, r)
		s = s[n+size:]
	}
}

// unescape reads the escape at the start of s, which is as long as it says; size 0 says that it is none, and the
// surrogates that it returns then have no partner.
func unescape(s []byte) (r rune, size int) {
	if len(s) < 2 {
		return 0, 0
	}
	switch c := s[1]; c {
	case '"', '\\', '/':
		return rune(c), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
		return unescapeUnit(s)
	}
	return 0, 0
}

// unescapeUnit reads \uXXXX, or two of them that are one character beyond U+FFFF.
func unescapeUnit(s []byte) (r rune, size int) {
	first, ok := hex4(s[2:])
	if !ok {
		return 0, 0
	}
	if first < 0xd800 || first > 0xdfff {
		return first, 6
	}
	if first < 0xdc00 && len(s) >= 12 && s[6] == '\\' && s[7] == 'u' {
		if second, ok := hex4(s[8:]); ok && second >= 0xdc00 && second <= 0xdfff {
			return 0x10000 + (first-0xd800)<<10 + (second - 0xdc00), 12
		}
	}
	return first, 0
}

// hex4 reads four hexadecimal digits.
func hex4(s []byte) (r rune, ok bool) {
	if len(s) < 4 {
		return 0, false
	}
	for _, c := range s[:4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
