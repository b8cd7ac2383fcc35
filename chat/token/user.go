package token

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// nameBytesMax is the longest name of a user, as of a room: an inbox is called after its user.
const nameBytesMax = 64

// The errors of names hold nothing of them.
var (
	errNameEmpty    = errors.New("the name of the user is empty")
	errNameLong     = errors.New("the name of the user is longer than 64 bytes")
	errNameInvalid  = errors.New("the name of the user is not valid UTF-8")
	errNameMark     = errors.New("the name of the user begins with a combining mark, which has no letter to stand on")
	errNameReserved = errors.New("the name of the user begins with ~ or @: these are guests and inboxes")
	errNameLetter   = errors.New("the name of the user has a character in it that is not allowed; allowed: letters, digits and _ ~ : . -")
)

// CheckUser says what is wrong with the name of a user who is not a guest. The rule is that of rooms, so that each user can have an inbox.
func CheckUser(name string) error {
	if strings.HasPrefix(name, guestPrefix) || strings.HasPrefix(name, "@") {
		return errNameReserved
	}
	return checkName(name)
}

// checkName is the rule of rooms. A test of package chat holds the two together.
func checkName(name string) error {
	switch {
	case name == "":
		return errNameEmpty
	case len(name) > nameBytesMax:
		return errNameLong
	case !utf8.ValidString(name):
		return errNameInvalid
	}
	for i, r := range name {
		if !inName(r) {
			return errNameLetter
		}
		if i == 0 && unicode.Is(unicode.M, r) {
			return errNameMark
		}
	}
	return nil
}

func inName(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return true
	case r == '_', r == '~', r == ':', r == '.', r == '-':
		return true
	case r < utf8.RuneSelf:
		return false
	}
	return unicode.In(r, unicode.L, unicode.M, unicode.Nd) && !isInvisible(r)
}

// isInvisible reports whether a letter or a mark shows nothing.
func isInvisible(r rune) bool {
	return unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// brailleBlank is a symbol by its class and shows nothing.
const brailleBlank = '\u2800'

// DisplayName makes of what somebody wants to be called what others are shown: on one line, without what cannot be seen or turns the text around
// it, and at most 64 bytes. "" if nothing is left.
func DisplayName(wish string) string {
	var b strings.Builder
	gap := false
	for _, r := range wish {
		if unicode.IsSpace(r) || r == brailleBlank {
			gap = b.Len() > 0
			continue
		}
		// Controls, formats, what has no character yet, and what shows nothing.
		if !unicode.IsGraphic(r) || r == utf8.RuneError || isInvisible(r) || b.Len() == 0 && unicode.Is(unicode.M, r) {
			continue
		}
		size := utf8.RuneLen(r)
		if gap {
			size++
		}
		if b.Len()+size > nameBytesMax {
			break
		}
		if gap {
			b.WriteByte(' ')
			gap = false
		}
		b.WriteRune(r)
	}
	return b.String()
}
