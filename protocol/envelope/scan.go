package envelope

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// The scanner finds the members of one object, and holds all that stands in it against RFC 8259:
//
//	{ "type" : "publish" , "json" : { "a" : [ 1 , 2 ] } }
//	  └ name   └ value     └ name   └ value, spaced
//
// Values are not taken apart; they are pieces of the text, of which it is known that they are good. Beyond
// the RFC it refuses what other readers stumble over: more than DepthMax levels, escaped surrogates without
// a partner, and numbers that no double can hold. Only the caller knows which names may not come twice.

type kind uint8

const (
	isString kind = iota + 1
	isNumber
	isObject
	isArray
	isWord // true, false, null
)

// value is a piece of the text, from at up to end.
type value struct {
	at, end int
	kind    kind
	escaped bool // a string with backslashes in it
	spaced  bool // an object or array with space in it that means nothing
}

type scanner struct {
	data   []byte
	at     int
	depth  int
	spaces int    // bytes of space passed
	begun  bool   // next has found a member
	fault  string // what is wrong at at; once set, nothing goes on
}

// open steps into the object that is all of the text.
func (s *scanner) open() bool {
	switch {
	case bytes.HasPrefix(s.data, []byte("\xef\xbb\xbf")):
		return s.fail("a byte order mark, which JSON does not have,")
	case !utf8.Valid(s.data):
		for r, size := utf8.DecodeRune(s.data); r != utf8.RuneError || size != 1; r, size = utf8.DecodeRune(s.data[s.at:]) {
			s.at += size
		}
		return s.fail("a byte that is not UTF-8")
	}
	s.space()
	switch {
	case s.at == len(s.data):
		return s.fail("no object")
	case s.data[s.at] != '{':
		return s.fail("something else than an object")
	}
	s.at++
	s.depth = 1
	return true
}

// next finds the next member of the object. It is false at the object's end, behind which nothing may follow, and where the text is not good.
func (s *scanner) next(name, v *value) bool {
	s.space()
	if s.is('}') && !s.begun {
		return s.close()
	}
	if s.begun {
		switch {
		case s.is('}'):
			return s.close()
		case !s.is(','):
			return s.fail("no comma and no } where one has to be")
		}
		s.at++
		s.space()
	}
	s.begun = true
	return s.member(name, v)
}

func (s *scanner) close() bool {
	s.at++
	s.space()
	if s.at < len(s.data) {
		return s.fail("something behind the end of the object")
	}
	return false
}

// member reads a name and its value.
func (s *scanner) member(name, v *value) bool {
	if !s.is('"') {
		return s.fail("no name in double quotes where one has to be")
	}
	if !s.value(name) {
		return false
	}
	s.space()
	if !s.is(':') {
		return s.fail("no colon where one has to be")
	}
	s.at++
	s.space()
	return s.value(v)
}

// value reads any value.
func (s *scanner) value(v *value) bool {
	if s.at == len(s.data) {
		return s.fail(faultEnd)
	}
	*v = value{at: s.at}
	spaces, ok := s.spaces, false
	switch c := s.data[s.at]; {
	case c == '"':
		v.kind = isString
		v.escaped, ok = s.text()
	case c == '{':
		v.kind = isObject
		ok = s.nested('}')
	case c == '[':
		v.kind = isArray
		ok = s.nested(']')
	case c == '-' || '0' <= c && c <= '9':
		v.kind = isNumber
		ok = s.number()
	default:
		v.kind = isWord
		ok = s.word("true") || s.word("false") || s.word("null") || s.fail("no value where one has to be")
	}
	v.end, v.spaced = s.at, s.spaces != spaces
	return ok
}

// nested reads an object or an array inside the object.
func (s *scanner) nested(end byte) bool {
	if s.depth == DepthMax {
		return s.fail("an object or array that is more than " + strconv.Itoa(DepthMax) + " levels deep")
	}
	s.depth++
	s.at++
	s.space()
	if s.is(end) {
		s.at++
		s.depth--
		return true
	}
	for {
		var name, v value
		if end == '}' && !s.member(&name, &v) || end == ']' && !s.value(&v) {
			return false
		}
		s.space()
		switch {
		case s.is(end):
			s.at++
			s.depth--
			return true
		case !s.is(','):
			return s.fail("no comma and no " + string(rune(end)) + " where one has to be")
		}
		s.at++
		s.space()
	}
}

// text reads a string.
func (s *scanner) text() (escaped, ok bool) {
	s.at++
	for {
		s.at += plain(s.data[s.at:])
		switch {
		case s.at == len(s.data):
			return false, s.fail(faultEnd)
		case s.data[s.at] == '"':
			s.at++
			return escaped, true
		case s.data[s.at] != '\\':
			return false, s.fail("a control character in a string, which has to be escaped there,")
		}
		escaped = true
		r, size := unescape(s.data[s.at:])
		switch {
		case size > 0:
			s.at += size
		case r != 0:
			return false, s.fail("half of a surrogate pair, which is no character,")
		default:
			return false, s.fail("a backslash with something behind it that is no escape")
		}
	}
}

// number reads a number: RFC 8259, section 6.
func (s *scanner) number() bool {
	start, exponent := s.at, false
	if s.is('-') {
		s.at++
	}
	if s.is('0') {
		s.at++
	} else if !s.digits() {
		return false
	}
	if s.is('.') {
		s.at++
		if !s.digits() {
			return false
		}
	}
	if s.is('e') || s.is('E') {
		exponent = true
		s.at++
		if s.is('+') || s.is('-') {
			s.at++
		}
		if !s.digits() {
			return false
		}
	}
	const certain = 300 // so many digits without an exponent are in a double's range
	if exponent || s.at-start > certain {
		if _, err := strconv.ParseFloat(string(s.data[start:s.at]), 64); err != nil {
			s.at = start
			return s.fail("a number that is too large for a double")
		}
	}
	return true
}

func (s *scanner) digits() bool {
	start := s.at
	for s.at < len(s.data) && '0' <= s.data[s.at] && s.data[s.at] <= '9' {
		s.at++
	}
	return s.at > start || s.fail("no digit where a number needs one")
}

func (s *scanner) word(w string) bool {
	if !bytes.HasPrefix(s.data[s.at:], []byte(w)) {
		return false
	}
	s.at += len(w)
	return true
}

// space passes what may stand between everything.
func (s *scanner) space() {
	start := s.at
	for s.at < len(s.data) {
		switch s.data[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
			continue
		}
		break
	}
	s.spaces += s.at - start
}

func (s *scanner) is(c byte) bool { return s.at < len(s.data) && s.data[s.at] == c }

const faultEnd = "an end in the middle"

func (s *scanner) fail(fault string) bool {
	s.fault = fault
	return false
}

// report says what was wrong and where.
func (s *scanner) report() string {
	fault := s.fault
	if s.at == len(s.data) && len(s.data) > 0 {
		fault = faultEnd
	}
	return fmt.Sprintf("the message is not as JSON has to be: %s at byte %d", fault, s.at)
}

// name is a member's name for a switch to look up. A name with escapes is as good as one without, or it could come twice. One
// that is longer than the scratch with every letter escaped is none that anybody looks for.
func (s *scanner) name(v *value, scratch []byte) []byte {
	name := s.data[v.at+1 : v.end-1]
	if !v.escaped || len(name) > cap(scratch)*len(`\u0000`) {
		return name
	}
	return appendUnescaped(scratch, name)
}

// appendCompact writes a good value without the space that means nothing.
func appendCompact(dst, v []byte) []byte {
	for i := 0; i < len(v); {
		switch v[i] {
		case ' ', '\t', '\n', '\r':
			i++
		case '"':
			n := stringBytes(v[i:])
			dst = append(dst, v[i:i+n]...)
			i += n
		default:
			dst = append(dst, v[i])
			i++
		}
	}
	return dst
}

// stringBytes is how many bytes the good string at the start of v takes, with its quotes.
func stringBytes(v []byte) int {
	n := 1
	for {
		n += plain(v[n:])
		if v[n] == '"' {
			return n + 1
		}
		n += 2 // the backslash, and what it escapes or the u of it
	}
}
