package protocol

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"
)

// reasonBytesMax is what a Close can hold beside its code.
const reasonBytesMax = controlBytesMax - 2

// mayBeSent reports whether a Close frame may carry the code.
func mayBeSent(code uint16) bool {
	switch {
	// Section 7.4.1: 1005, 1006 and 1015 stand for ends without a code; they must not be set by an
	// endpoint. 1004 is reserved and has no meaning.
	case code == 1004 || code == 1005 || code == 1006 || code == 1015:
		return false
	// Section 7.4.1 defines 1000 to 1011; 1012 to 1014 were registered with IANA later.
	case code >= 1000 && code <= 1014:
		return true
	// Section 7.4.2: 3000 to 3999 are for libraries and frameworks, 4000 to 4999 for private use. Below
	// 1000 nothing is used, up to 2999 all else is kept for the protocol, beyond 4999 nothing is defined.
	default:
		return code >= 3000 && code <= 4999
	}
}

// parseClose takes a whole Close payload apart.
func parseClose(payload []byte) (code uint16, reason []byte, v Violation) {
	// Section 5.5.1: the body may be empty; if there is one, it starts with a code of two bytes.
	switch len(payload) {
	case 0:
		return 0, nil, 0
	case 1:
		return 0, nil, BadCloseLength
	}
	code, reason = binary.BigEndian.Uint16(payload), payload[2:]
	if !mayBeSent(code) {
		return 0, nil, BadCloseCode
	}
	// Section 5.5.1: what follows the code is UTF-8.
	if !utf8.Valid(reason) {
		return 0, nil, BadCloseReason
	}
	return code, reason, 0
}

// AppendClose appends a server's Close frame. A reason that is too long is cut at the border of a character;
// bytes in it that are not UTF-8 are replaced. Code 0 makes an empty Close. A code that must not be sent is a
// programmer's error: AppendClose panics.
func AppendClose(dst []byte, code uint16, reason string) []byte {
	if code == 0 {
		return AppendHeader(dst, OpClose, false, 0)
	}
	if !mayBeSent(code) {
		panic(fmt.Sprintf("protocol: close code %d must not be sent", code))
	}
	reason = cutReason(strings.ToValidUTF8(reason, string(utf8.RuneError)))
	dst = AppendHeader(dst, OpClose, false, 2+len(reason))
	return append(binary.BigEndian.AppendUint16(dst, code), reason...)
}

func cutReason(reason string) string {
	if len(reason) <= reasonBytesMax {
		return reason
	}
	end := reasonBytesMax
	for !utf8.RuneStart(reason[end]) {
		end--
	}
	return reason[:end]
}
