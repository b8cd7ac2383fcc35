// Package chat is what people do with the engine: they meet in rooms. A room is a topic of the engine under a name that a path asks for.
package chat

import (
	"bytes"
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"

	"throng/protocol"
)

// Lobby is the room of those who ask for none.
const Lobby = "lobby"

const (
	// nameBytesMax is enough for a sentence in Latin letters and for twenty Chinese characters; names stand in paths, logs and subjects.
	nameBytesMax = 64
	// rawBytesMax is the longest percent-encoded form of a name: each byte as %XX.
	rawBytesMax = 3 * nameBytesMax

	roomsPrefix = "/rooms/"

	// labelNotFound is what requests for paths that are nothing here are counted as.
	labelNotFound = "not_found"
)

const allowedText = "allowed: 1 to 64 bytes of UTF-8, percent-encoded or not: letters, digits and _ ~ : . -"

// The refusals of names and paths; one more, unlike these, names the character at fault.
var (
	errPath = &protocol.HandshakeError{Status: 404, Label: labelNotFound, Field: "path",
		Text: "there is nothing at this path; / is the room lobby, /rooms/NAME any other"}
	errReserved = &protocol.HandshakeError{Status: 403, Label: protocol.LabelName, Field: "path",
		Text: "names of rooms that begin with @ are reserved"}
	errNameEmpty   = badName("the name of the room is empty")
	errNameLong    = badName("the name of the room is longer than 64 bytes")
	errNameInvalid = badName("the name of the room is not valid UTF-8")
	errNameMark    = badName("the name of the room begins with a combining mark, which has no letter to stand on")
)

func badName(reason string) *protocol.HandshakeError {
	return &protocol.HandshakeError{Status: 400, Label: protocol.LabelName, Field: "path", Text: reason + "; " + allowedText}
}

// RoomOf is the name of the room that the path of an upgrade request asks for. The path is as it came, percent-encoded and without a query.
//
//	/              lobby
//	/rooms/NAME    NAME
//
// Paths are compared before they are decoded: an encoded slash is a bad letter of a name and never a border.
//
// Two names are one room if their bytes are the same. They are not normalized (Unicode's NFC): an é typed as one character and one typed as e and an
// accent are two rooms, so a page should normalize what people type before it asks.
func RoomOf(rawPath []byte) (name string, err *protocol.HandshakeError) {
	if len(rawPath) == 1 && rawPath[0] == '/' {
		return Lobby, nil
	}
	raw, ok := bytes.CutPrefix(rawPath, []byte(roomsPrefix))
	if !ok {
		return "", errPath
	}
	if len(raw) > rawBytesMax {
		return "", errNameLong
	}
	var buf [rawBytesMax]byte
	decoded, decodeErr := protocol.DecodePath(buf[:0], raw)
	if decodeErr != nil {
		if !errors.As(decodeErr, &err) {
			err = badName("the name of the room cannot be decoded")
		}
		return "", err
	}
	if err := checkName(decoded); err != nil {
		return "", err
	}
	return string(decoded), nil
}

// checkName holds a name against the rule for rooms.
func checkName(name []byte) *protocol.HandshakeError {
	switch {
	case len(name) == 0:
		return errNameEmpty
	case name[0] == '@':
		return errReserved
	case len(name) > nameBytesMax:
		return errNameLong
	case !utf8.Valid(name):
		return errNameInvalid
	}
	if first, _ := utf8.DecodeRune(name); unicode.Is(unicode.M, first) && inName(first) {
		return errNameMark
	}
	for _, r := range string(name) {
		if !inName(r) {
			return badName(fmt.Sprintf("the name of the room has a character in it that is not allowed (%U)", r))
		}
	}
	return nil
}

// inName reports whether r may stand in the name of a room. Marks are letters' parts in Hindi, Thai and many other scripts. Letters and marks that
// show nothing (fillers, variation selectors) are left out: two names that look the same should be the same.
func inName(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return true
	case r == '_', r == '~', r == ':', r == '.', r == '-':
		return true
	case r < utf8.RuneSelf:
		return false
	}
	return unicode.In(r, unicode.L, unicode.M, unicode.Nd) &&
		!unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// isInbox reports whether a room is a user's inbox.
func isInbox(name string) bool { return name != "" && name[0] == '@' }

// checkRoom holds the name of a room, or of an inbox, against the rule. The error says what is wrong with it.
func checkRoom(name []byte) *protocol.HandshakeError {
	if len(name) > 1 && name[0] == '@' {
		return checkName(name[1:])
	}
	return checkName(name)
}

// showable reports whether a character may stand in a display name: anything that shows, and plain spaces.
func showable(r rune) bool {
	return r == ' ' || unicode.IsGraphic(r) && !unicode.Is(unicode.Zs, r) &&
		!unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector, unicode.Cf)
}
