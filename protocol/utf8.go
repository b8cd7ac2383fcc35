package protocol

import "unicode/utf8"

// utf8Stream checks text that arrives in pieces and refuses it at the first byte after which it can no
// longer become UTF-8. Between pieces it remembers only what an unfinished character still needs:
//
//	after     need  next byte     because otherwise (RFC 3629 section 4)
//	C2..DF    1     80..BF        C0 and C1 could only be overlong
//	E0        2     A0..BF        overlong
//	E1..EF    2     80..BF
//	ED        2     80..9F        a surrogate, D800 to DFFF
//	F0        3     90..BF        overlong
//	F1..F3    3     80..BF
//	F4        3     80..8F        beyond 10FFFF
//
// The bytes after the next one are 80..BF. The zero value stands at the border of a character.
type utf8Stream struct {
	need   uint8
	lo, hi byte
}

// write checks the next piece. Whole characters go to utf8.Valid, which is fast; only a character that the
// border of the piece cuts is looked at byte by byte.
func (u *utf8Stream) write(b []byte) bool {
	for u.need > 0 && len(b) > 0 {
		if !u.step(b[0]) {
			return false
		}
		b = b[1:]
	}
	whole := len(b) - unfinished(b)
	if !utf8.Valid(b[:whole]) {
		return false
	}
	for _, c := range b[whole:] {
		if !u.step(c) {
			return false
		}
	}
	return true
}

// atBorder reports whether the text may end here.
func (u *utf8Stream) atBorder() bool { return u.need == 0 }

// step takes one byte.
func (u *utf8Stream) step(c byte) bool {
	if u.need > 0 {
		if c < u.lo || c > u.hi {
			return false
		}
		u.need--
		u.lo, u.hi = 0x80, 0xbf
		return true
	}
	u.lo, u.hi = 0x80, 0xbf
	switch {
	case c < 0x80:
	case c < 0xc2 || c > 0xf4:
		return false
	case c < 0xe0:
		u.need = 1
	case c < 0xf0:
		u.need = 2
	default:
		u.need = 3
	}
	switch c {
	case 0xe0:
		u.lo = 0xa0
	case 0xed:
		u.hi = 0x9f
	case 0xf0:
		u.lo = 0x90
	case 0xf4:
		u.hi = 0x8f
	}
	return true
}

// unfinished is how many bytes at the end of b belong to a character that b does not hold to its end: 0 to 3.
// Whether they can become a character at all is not its concern.
func unfinished(b []byte) int {
	for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
		c := b[len(b)-i]
		switch {
		case c < 0x80:
			return 0
		case c < 0xc0: // inside a character: look further back
		case c >= 0xf0, c >= 0xe0 && i < 3, i < 2:
			return i
		default:
			return 0
		}
	}
	return 0
}
