package protocol

import (
	"bytes"
	"sync"
	"testing"
	"unicode/utf8"
)

// beginnings holds every proper beginning of a character's encoding: what text may end with while more comes.
// It is made from the characters, not from the rules.
var beginnings = sync.OnceValue(func() map[string]bool {
	all := map[string]bool{}
	for r := rune(0); r <= utf8.MaxRune; r += 64 { // the last byte tells 64 characters apart
		if r >= 0xd800 && r <= 0xdfff {
			continue
		}
		for b := utf8.AppendRune(nil, r); len(b) > 1; {
			b = b[:len(b)-1]
			all[string(b)] = true
		}
	}
	return all
})

// certainBad is the reference: how many bytes of b it takes until nothing that follows can make it UTF-8; 0
// if something can.
func certainBad(b []byte) int {
	from := 0
	for n := 1; n <= len(b); n++ {
		if utf8.Valid(b[from:n]) {
			from = n
		} else if !beginnings()[string(b[from:n])] {
			return n
		}
	}
	return 0
}

// streamBad is what utf8Stream says, byte by byte.
func streamBad(b []byte) (at int, u utf8Stream) {
	for i := range b {
		if !u.write(b[i : i+1]) {
			return i + 1, u
		}
	}
	return 0, u
}

// Every sequence of one and two bytes, and those of three and four that start like a long character, with the
// later bytes at the borders of all ranges.
func TestUTF8StreamEverySequence(t *testing.T) {
	border := []byte{0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xe0, 0xff}
	check := func(b []byte) {
		at, u := streamBad(b)
		if want := certainBad(b); at != want {
			t.Fatalf("% x: refused at byte %d, want %d", b, at, want)
		}
		if ok := at == 0 && u.atBorder(); ok != utf8.Valid(b) {
			t.Fatalf("% x: valid %v, want %v", b, ok, !ok)
		}
		var whole utf8Stream
		if ok := whole.write(b); ok != (at == 0) || ok && whole.need != u.need {
			t.Fatalf("% x: in one piece %v %v, byte by byte %v", b, ok, whole, u)
		}
	}
	for a := range 256 {
		check([]byte{byte(a)})
		for b := range 256 {
			check([]byte{byte(a), byte(b)})
			atBorder := bytes.Contains(border, []byte{byte(b)})
			if a < 0xc0 || !atBorder && !lendingExact { // the race run is slow
				continue
			}
			for _, c := range border {
				check([]byte{byte(a), byte(b), c})
				if a < 0xe0 || !atBorder {
					continue
				}
				for _, d := range border {
					check([]byte{byte(a), byte(b), c, d})
				}
			}
		}
	}
}

// Every character of Unicode, in one piece and cut everywhere.
func TestUTF8StreamEveryCharacter(t *testing.T) {
	step := rune(1)
	if !lendingExact { // the race run need not look at each
		step = 37
	}
	for r := rune(0); r <= utf8.MaxRune; r += step {
		if r >= 0xd800 && r <= 0xdfff {
			surrogate := []byte{0xed, byte(0x80 | r>>6&0x3f), byte(0x80 | r&0x3f)}
			if at, _ := streamBad(surrogate); at != 2 {
				t.Fatalf("surrogate %x: refused at byte %d, want 2", r, at)
			}
			continue
		}
		b := utf8.AppendRune(nil, r)
		for cut := range len(b) {
			var u utf8Stream
			if !u.write(b[:cut]) || u.atBorder() != (cut == 0) || !u.write(b[cut:]) || !u.atBorder() {
				t.Fatalf("%x cut at %d", r, cut)
			}
		}
	}
}

func FuzzUTF8Stream(f *testing.F) {
	f.Add([]byte("κόσμε\xed\xa0\x80edited"), uint16(3), uint16(7))
	f.Add([]byte("Hello-µ@ßöäüàá-UTF-8!!"), uint16(7), uint16(1))
	f.Fuzz(func(t *testing.T, text []byte, a, b uint16) {
		i := int(a) % (len(text) + 1)
		j := i + int(b)%(len(text)-i+1)
		var u utf8Stream
		ok := u.write(text[:i]) && u.write(text[i:j]) && u.write(text[j:]) && u.atBorder()
		if ok != utf8.Valid(text) {
			t.Errorf("%q cut at %d and %d: %v", text, i, j, ok)
		}
	})
}
