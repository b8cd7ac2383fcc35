package chat

import (
	"net/url"
	"testing"
	"unicode"
	"unicode/utf8"

	"throng/chat/token"
)

// TestUsersAndRoomsShareTheirLetters: what is in one rule is in the other, so that each user can have an inbox and each pattern of a token can mean a room.
func TestUsersAndRoomsShareTheirLetters(t *testing.T) {
	differ := func(name string) {
		_, refused := RoomOf([]byte(roomsPrefix + url.PathEscape(name)))
		if wrong := token.CheckUser(name); (wrong == nil) != (refused == nil) {
			t.Errorf("%q: as a room %v, as a user %v", name, refused, wrong)
		}
	}
	for r := rune(0); r <= unicode.MaxRune; r++ {
		alike := r > 0x1ffff && r>>9 != 0xe0000>>9 && r&0xffff < 0xfff0 // ideographs, nothing, and private use: every 257th will do
		if !utf8.ValidRune(r) || alike && r%257 != 0 {
			continue
		}
		differ("a" + string(r))
		if r != '~' { // begins the names of guests
			differ(string(r) + "a")
		}
	}
	for _, name := range []string{"", "\xff", string(make([]byte, nameBytesMax+1))} {
		differ(name)
	}
}
