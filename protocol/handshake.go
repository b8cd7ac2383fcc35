package protocol

import (
	"crypto/sha1"
	"encoding/base64"
)

// The opening handshake of RFC 6455, from the server's side:
//
//	ScanHead        until the head is complete, or certain to be refused
//	Request.Parse   HTTP: lines, headers, host, no body
//	WantsUpgrade    no: a page, a health check. Yes:
//	CheckUpgrade    what section 4.2.1 demands of the client
//	Origins.Allows  who may embed us (10.1)
//	Subprotocol, NegotiateDeflate, AppendSwitching: the answer of 4.2.2

var (
	errUpgradeMethod = &HandshakeError{Status: 405, Label: LabelBadRequest, Field: "method",
		Text: "a WebSocket upgrade is a GET request"}
	errUpgradeVersion = &HandshakeError{Status: 505, Label: LabelBadRequest, Field: "HTTP version",
		Text: "a WebSocket upgrade needs HTTP/1.1; a proxy in front may have to be told to use it"}
	errUpgradeHeader = &HandshakeError{Status: 400, Label: LabelBadRequest, Field: "Upgrade",
		Text: "the Upgrade header does not name websocket; a proxy in front may have removed it"}
	errConnectionHeader = &HandshakeError{Status: 400, Label: LabelBadRequest, Field: "Connection",
		Text: "the Connection header does not name Upgrade; a proxy in front may have replaced it"}
	errKey = &HandshakeError{Status: 400, Label: LabelBadRequest, Field: "Sec-WebSocket-Key",
		Text: "Sec-WebSocket-Key has to be there once: 16 random bytes in base64, 24 characters"}
	errVersionHeader = &HandshakeError{Status: 400, Label: LabelBadRequest, Field: "Sec-WebSocket-Version",
		Text: "Sec-WebSocket-Version has to be there once, with one number; send 13"}
	errVersionUnknown = &HandshakeError{Status: 426, Label: LabelBadVersion, Field: "Sec-WebSocket-Version",
		Text: "this server speaks version 13 of the WebSocket protocol (RFC 6455)"}
	errProtocolHeader = &HandshakeError{Status: 400, Label: LabelBadRequest, Field: "Sec-WebSocket-Protocol",
		Text: "Sec-WebSocket-Protocol has to be a list of tokens, separated by commas"}
	errExtensionsHeader = &HandshakeError{Status: 400, Label: LabelBadRequest, Field: "Sec-WebSocket-Extensions",
		Text: "Sec-WebSocket-Extensions has to be a list of the form \"name; parameter=value, name\""}
	errOriginDoubled = &HandshakeError{Status: 400, Label: LabelBadRequest, Field: "Origin",
		Text: "the request has more than one Origin header; send one"}
)

// WantsUpgrade tells whether the request is meant as a WebSocket handshake: its Upgrade header
// names websocket, or it carries a header that only handshakes have. The second catches proxies
// that drop Upgrade: their users should read what is wrong, not receive a web page.
func (r *Request) WantsUpgrade() bool {
	return r.lists(headerUpgrade, "websocket") || r.count[headerKey] > 0 || r.count[headerVersion] > 0
}

// CheckUpgrade holds the request against RFC 6455 4.2.1, point by point. Key and version may
// stand there once only (11.3.1, 11.3.5); Upgrade and Connection are lists and may come on several
// lines. Whether origin and path are welcome is not judged here. The error is a *HandshakeError.
func (r *Request) CheckUpgrade() error {
	if refusal := r.checkUpgrade(); refusal != nil {
		return refusal
	}
	return nil
}

func (r *Request) checkUpgrade() *HandshakeError {
	switch {
	case string(r.Method) != "GET":
		return errUpgradeMethod
	case r.Minor == 0:
		return errUpgradeVersion
	case !r.lists(headerUpgrade, "websocket"):
		return errUpgradeHeader
	case !r.lists(headerConnection, "upgrade"):
		return errConnectionHeader
	}
	if refusal := r.checkVersion(); refusal != nil {
		return refusal
	}
	switch {
	case r.count[headerKey] != 1 || !isKey(r.first[headerKey]):
		return errKey
	case r.count[headerOrigin] > 1:
		return errOriginDoubled
	case !r.protocolsWellFormed():
		return errProtocolHeader
	case !r.extensionsWellFormed():
		return errExtensionsHeader
	}
	return nil
}

// checkVersion: 4.4 wants an unknown version answered with the known one, which a status line of
// 426 and its headers do. A version that is no number, or two, is no version.
func (r *Request) checkVersion() *HandshakeError {
	version := r.first[headerVersion]
	if _, ok := decimal(version, 255); !ok || r.count[headerVersion] != 1 {
		return errVersionHeader
	}
	if string(version) != "13" {
		return errVersionUnknown
	}
	return nil
}

var strictBase64 = base64.StdEncoding.Strict()

// isKey: the base64 of exactly 16 bytes (4.2.1, point 5), in its one canonical spelling.
func isKey(key []byte) bool {
	var nonce [18]byte
	if len(key) != 24 {
		return false
	}
	n, err := strictBase64.Decode(nonce[:], key)
	return err == nil && n == 16
}

// acceptGUID is what section 1.3 has every server append to the key, so that nothing but a
// WebSocket server can answer by accident.
const acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// appendAccept appends the value of Sec-WebSocket-Accept for a key (4.2.2, point 5.4).
func appendAccept(dst, key []byte) []byte {
	var buf [24 + len(acceptGUID)]byte
	sum := sha1.Sum(append(append(buf[:0], key...), acceptGUID...))
	return base64.StdEncoding.AppendEncode(dst, sum[:])
}

// AppendSwitching appends the 101 that opens the WebSocket, for a request that passed
// CheckUpgrade: subprotocol as Subprotocol chose it ("" for none), d as NegotiateDeflate did (the
// zero DeflateParams for none). No Date: a 1xx needs none.
func AppendSwitching(dst []byte, r *Request, subprotocol string, d DeflateParams) []byte {
	dst = append(dst, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	dst = appendAccept(dst, r.first[headerKey])
	if subprotocol != "" {
		dst = append(dst, "\r\nSec-WebSocket-Protocol: "...)
		dst = append(dst, subprotocol...)
	}
	if d.Enabled {
		dst = append(dst, "\r\nSec-WebSocket-Extensions: "...)
		dst = d.appendAnswer(dst)
	}
	return append(dst, "\r\n\r\n"...)
}
