package broker

import "strings"

// The names of rooms are anybody's; subjects have dots, stars and spaces that mean something. So a room is one token of a subject, in which letters,
// digits, - and _ stand for themselves and every other byte is = and two hexadecimal digits. Each room has one token and each token at most one room.

const (
	storeSubject = "throng.store." // + stream . room: what is to be stored
	roomSubject  = "throng.room."  // + stream . room: what was stored
	castSubject  = "throng.cast"   // to all nodes; + . room: to those that watch the room
	askSubject   = "throng.ask"
	nodeSubject  = "throng.node"

	upperHex = "0123456789ABCDEF"
)

func standsForItself(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// appendToken appends the token of a room.
func appendToken(dst []byte, room string) []byte {
	for i := 0; i < len(room); i++ {
		if c := room[i]; standsForItself(c) {
			dst = append(dst, c)
		} else {
			dst = append(dst, '=', upperHex[c>>4], upperHex[c&15])
		}
	}
	return dst
}

// subjectOf is the subject of a room below a prefix.
func subjectOf(prefix, room string) string {
	return string(appendToken(append(make([]byte, 0, len(prefix)+len(room)+16), prefix...), room))
}

// roomOf is the room that a token stands for. A token that appendToken does not make stands for none.
func roomOf(token string) (room string, ok bool) {
	at := strings.IndexByte(token, '=')
	if at < 0 {
		at = len(token)
	}
	for i := range at {
		if !standsForItself(token[i]) {
			return "", false
		}
	}
	if at == len(token) {
		return token, token != ""
	}
	name := append(make([]byte, 0, len(token)), token[:at]...)
	for i := at; i < len(token); i++ {
		c := token[i]
		if c != '=' {
			if !standsForItself(c) {
				return "", false
			}
			name = append(name, c)
			continue
		}
		if i+2 >= len(token) {
			return "", false
		}
		high, low := strings.IndexByte(upperHex, token[i+1]), strings.IndexByte(upperHex, token[i+2])
		if high < 0 || low < 0 || standsForItself(byte(high<<4|low)) {
			return "", false
		}
		name = append(name, byte(high<<4|low))
		i += 2
	}
	return string(name), true
}
