package envelope

import (
	"encoding/base64"
	"unicode/utf8"
)

// Kind is the form that the content of a message has.
type Kind uint8

// The kinds of content. Exactly one is in a message.
const (
	None   Kind = iota
	Text        // text, without escapes
	JSON        // any value, as JSON without space between
	Data        // base64, as it stands in an envelope
	Binary      // the bytes that the base64 is of: what a raw client sends
)

// Body is what somebody said.
type Body struct {
	Kind  Kind
	Bytes []byte
}

// append writes the body as the last field of an object that has others.
func (b Body) append(dst []byte) []byte {
	switch b.Kind {
	case Text:
		return appendText(append(dst, `,"text":`...), b.Bytes)
	case JSON:
		return append(append(dst, `,"json":`...), b.Bytes...)
	case Data:
		dst = append(append(dst, `,"data":"`...), b.Bytes...)
		return append(dst, '"')
	case Binary:
		dst = base64.StdEncoding.AppendEncode(append(dst, `,"data":"`...), b.Bytes)
		return append(dst, '"')
	}
	return dst
}

// appendRaw writes what a client without the subprotocol gets of the body.
func (b Body) appendRaw(dst []byte) (out []byte, text bool, err error) {
	switch b.Kind {
	case Text, JSON:
		return append(dst, b.Bytes...), true, nil
	case Data:
		out, err = base64.StdEncoding.AppendDecode(dst, b.Bytes)
		return out, false, err
	}
	return append(dst, b.Bytes...), false, nil
}

// isBase64 holds text against RFC 4648, section 4: the ordinary alphabet, padded, and no bits left over at the end. The standard
// library's decoder would let line breaks pass.
func isBase64(b []byte) bool {
	if len(b)%4 != 0 {
		return false
	}
	n := len(b)
	for pad := 0; pad < 2 && n > 0 && b[n-1] == '='; pad++ {
		n--
	}
	for _, c := range b[:n] {
		if sextets[c] < 0 {
			return false
		}
	}
	switch len(b) - n {
	case 1:
		return sextets[b[n-1]]&0b11 == 0
	case 2:
		return sextets[b[n-1]]&0b1111 == 0
	}
	return true
}

// sextets is what each letter of base64 stands for, -1 for what is none.
var sextets = func() (table [256]int8) {
	for c := range table {
		table[c] = -1
	}
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for i, c := range []byte(letters) {
		table[c] = int8(i)
	}
	return table
}()

// hasControl tells whether there is a control character in text: those of ASCII, or those of Latin-1, which in UTF-8 are C2 80 to C2 9F.
func hasControl(text []byte) bool {
	for i, c := range text {
		if c < 0x20 || c == 0x7f || c == 0xc2 && i+1 < len(text) && text[i+1] < 0xa0 {
			return true
		}
	}
	return false
}

// cut is the start of text, at most n bytes, and no half of a character.
func cut(text []byte, n int) []byte {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}
