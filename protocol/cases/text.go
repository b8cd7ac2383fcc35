package cases

import (
	"fmt"
	"unicode/utf8"
)

// goodText is UTF-8, at and around every border of the encoding.
var goodText = []string{
	"", "Hello", "Hello-µ@ßöäüàá-UTF-8!!", "κόσμε", "大象 🐘", "\x00", "\x7f",
	"\u0080", "\u07ff", "\u0800", "\u0fff", "\u1000", "\ucfff", "\ud000", "\ud7ff", "\ue000", "\uffff",
	"\ufffd", "\ufffe", "\ufeffHello", "\ufdd0", "\ufdef", "\U00010000", "\U0003ffff", "\U00040000", "\U000fffff", "\U00100000",
	"\U0001fffe", "\U0010ffff", "a\u0080b\u0800c\U00010000d", "\u0080\u0080\u0800\u0800\U00010000\U00010000",
}

// badText is not UTF-8. Where it stops being possible is not written here: see certain.
var badText = []string{
	// bytes that occur nowhere
	"\xc0\x80", "\xc1\xbf", "\xf5\x80\x80\x80", "\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80", "\xfe", "\xff",
	// continuations of nothing
	"\x80", "\xbf", "a\x80", "\u0080\x80", "\u0800\xbf", "\U00010000\x80",
	// overlong forms
	"\xe0\x80\x80", "\xe0\x9f\xbf", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf",
	// surrogates, alone and in pairs
	"\xed\xa0\x80", "\xed\xad\xbf", "\xed\xae\x80", "\xed\xaf\xbf", "\xed\xb0\x80", "\xed\xbe\x80", "\xed\xbf\xbf",
	"\xed\xa0\x80\xed\xb0\x80", "\xed\xaf\xbf\xed\xbf\xbf",
	// beyond the last character
	"\xf4\x90\x80\x80", "\xf4\xbf\xbf\xbf", "\xf7\xbf\xbf\xbf",
	// a character that another one interrupts
	"\xc3a", "\xe2\x82a", "\xe2a\x82", "\xf0\x9f\x90a", "\xf0\x9fa", "\xf0a", "\xe2\x82\xc3\xa4", "\xf0\x9f\x90\xf0\x9f\x90\x98",
	// a character that the end cuts
	"\xc3", "\xe2", "\xe2\x82", "\xf0", "\xf0\x9f", "\xf0\x9f\x90", "κόσμε\xce", "\xed", "\xe0\xa0", "\xf4\x8f\xbf",
	// good, bad, good
	"κόσμε\xed\xa0\x80edited", "κόσμε\xf4\x90\x80\x80edited",
}

// certain is the number of bytes after which no continuation can make the text UTF-8; 0 if only its end does.
// It tries them all, by the extremes of what each lead byte allows.
func certain(text []byte) int {
	from := 0 // the start of the character that n is in
	for n := 1; n <= len(text); n++ {
		switch {
		case utf8.Valid(text[from:n]):
			from = n
		case !possible(text[from:n], 3):
			return n
		}
	}
	return 0
}

func possible(b []byte, more int) bool {
	if utf8.Valid(b) {
		return true
	}
	for _, next := range []byte{0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf} {
		if more > 0 && possible(append(b[:len(b):len(b)], next), more-1) {
			return true
		}
	}
	return false
}

// texts: UTF-8 in one frame, in a frame for each byte, and in two at every place.
func texts() (out []Case) {
	for i, text := range goodText {
		name := fmt.Sprintf("text/good/%d", i)
		out = append(out, begin(name).message(Text, []byte(text)).goesOn())
		out = append(out, begin(name+"/binary").message(Binary, []byte(text)).goesOn())
		for _, cut := range cuts(text) {
			s := begin(fmt.Sprintf("%s/%d fragments/%d", name, len(cut), len(cut[0])))
			s.fragmentsOf(cut)
			out = append(out, s.says(Text, []byte(text)).goesOn())
		}
	}
	for i, text := range badText {
		name := fmt.Sprintf("text/bad/%d", i)
		out = append(out, begin(name).badFragments([]string{text}))
		out = append(out, begin(name+"/amid good").badFragments([]string{"Hello-µ@ßöäüàá-UTF-8!! " + text + " and so on"}))
		out = append(out, begin(name+"/binary").message(Binary, []byte(text)).goesOn())
		for _, cut := range cuts(text) {
			s := begin(fmt.Sprintf("%s/%d fragments/%d", name, len(cut), len(cut[0])))
			out = append(out, s.badFragments(cut))
		}
	}
	return append(out, longTexts()...)
}

// longTexts: errors far inside a frame, where a fast path must not pass over them.
func longTexts() (out []Case) {
	for _, at := range []int{0, 7, 8, 63, 64, 1000, 4095, 4096, 65531} {
		s := begin(fmt.Sprintf("text/long/bad at %d", at))
		text := s.textOf(65535)
		text = append(wholeUpTo(text, at), "\xed\xa0\x80"...)
		for len(text) < 65535 {
			text = append(text, 'x')
		}
		out = append(out, s.badFragments([]string{string(text)}))
	}
	return out
}

// wholeUpTo cuts b to n bytes or a few less, at the border of a character.
func wholeUpTo(b []byte, n int) []byte {
	for n > 0 && b[n]&0xc0 == 0x80 {
		n--
	}
	return b[:n:n]
}

// cuts are the ways to send a text in fragments: every byte its own, and in two at each place.
func cuts(text string) (out [][]string) {
	var single []string
	for i := range len(text) {
		single = append(single, text[i:i+1])
		out = append(out, []string{text[:i], text[i:]})
	}
	if len(single) > 2 {
		out = append(out, single)
	}
	return out
}

func (s *script) fragmentsOf(parts []string) {
	first := byte(Text)
	for i, part := range parts {
		if i == len(parts)-1 {
			first |= fin
		}
		s.frame(first, []byte(part))
		first = Continuation
	}
}

// badFragments sends a text that must be refused at the byte that makes it certain, in whichever fragment
// that is, or at the end of the message if it could still have gone on.
func (s *script) badFragments(parts []string) Case {
	whole := ""
	for _, part := range parts {
		whole += part
	}
	s.message(Text, []byte("first"))
	left := certain([]byte(whole))
	if left == 0 {
		s.fragmentsOf(parts)
		return s.fails("utf8", 1007, 0)
	}
	first := byte(Text)
	for i, part := range parts {
		if i == len(parts)-1 {
			first |= fin
		}
		s.frame(first, []byte(part))
		if left <= len(part) {
			return s.fails("utf8", 1007, len(part)-left)
		}
		left -= len(part)
		first = Continuation
	}
	panic("unreachable")
}
