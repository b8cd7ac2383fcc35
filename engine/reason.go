package engine

import "throng/protocol"

// Reason is why a connection ended. Every end has exactly one; it determines
// the close code, the metric's label and what tests expect.
type Reason uint8

// The ends of a connection. Codes are those of RFC 6455 section 7.4; the 44xx
// are throng's own, from the range that the RFC leaves to applications.
const (
	ReasonNone Reason = iota

	// Ends before the connection was open.
	ReasonProbe              // connected and closed without a byte: a balancer's check
	ReasonRequest            // a plain HTTP request was answered
	ReasonProxy              // a PROXY header that is malformed, missing, or not this peer's to send
	ReasonHandshakeTimeout   // no complete request within the handshake timeout
	ReasonBadRequest         // malformed request, or one that is no valid upgrade
	ReasonBadVersion         // Sec-WebSocket-Version other than 13
	ReasonHeadTooLarge       // request head, a header count or a URI over its limit
	ReasonOrigin             // the Origin header is not allowed
	ReasonRefused            // the handler refused the upgrade
	ReasonDraining           // refused because the server is about to stop
	ReasonAddressConnections // refused: its address has as many connections as it may have
	ReasonAddressHandshakes  // refused: its address has too many handshakes under way
	ReasonAddressRate        // refused: its address connects too often
	ReasonHandshakeRate      // refused: too many upgrades a second, of everybody together
	ReasonMemoryMark         // refused: the process uses too much memory
	ReasonCeiling            // refused at the connection ceiling

	// Ends by the peer.
	ReasonPeerClose // the peer sent a Close frame
	ReasonEOF       // the peer closed TCP without a Close frame
	ReasonReset     // the peer, or the network, reset the connection
	ReasonNoReply   // a Close frame of the application's was not answered in time

	// Offences against the protocol.
	ReasonProtocol      // RFC 6455 broken: masking, RSV, opcodes, fragmentation, lengths
	ReasonUTF8          // text that is not UTF-8
	ReasonCloseCode     // a Close frame with a code or length that is not allowed
	ReasonTooBig        // a message over the limit
	ReasonFragments     // a message of too many fragments
	ReasonInflateTooBig // a message that inflates to more than the limit
	ReasonInflate       // compressed data that does not inflate
	ReasonPingRate      // more pings than allowed
	ReasonFrameRate     // more pongs than the message rate allows
	ReasonRate          // more messages than the message rate allows
	ReasonByteRate      // more bytes than the byte rate allows
	ReasonMemory        // an unfinished message while the node is over its memory

	// Ends by the server.
	ReasonIdle         // nothing was heard for the idle timeout
	ReasonSlow         // could not keep up with what it was sent
	ReasonWriteTimeout // the kernel gave up on unacknowledged output
	ReasonPanic        // a panic while this connection was being served
	ReasonShutdown     // the server stops; the reason text says when to come back
	ReasonApplication  // Conn.Close by the handler
	ReasonShed         // moved to another server by Shed; the reason text says when to come back
	ReasonKicked       // closed by an operator

	reasonCount
)

// reasonTable holds what a Reason determines. A code of 0 means that no Close
// frame is sent: the end came from the peer, or happened before the upgrade,
// or the socket takes no more bytes.
var reasonTable = [reasonCount]struct {
	label string
	code  uint16
	text  string
}{
	ReasonNone:               {"none", 0, ""},
	ReasonProbe:              {"probe", 0, ""},
	ReasonRequest:            {"request", 0, ""},
	ReasonProxy:              {"proxy", 0, ""},
	ReasonHandshakeTimeout:   {"timeout", 0, ""},
	ReasonBadRequest:         {"bad_request", 0, ""},
	ReasonBadVersion:         {"bad_version", 0, ""},
	ReasonHeadTooLarge:       {"head_too_large", 0, ""},
	ReasonOrigin:             {"origin", 0, ""},
	ReasonRefused:            {"refused", 0, ""},
	ReasonDraining:           {"draining", 0, ""},
	ReasonAddressConnections: {"address_connections", 0, ""},
	ReasonAddressHandshakes:  {"address_handshakes", 0, ""},
	ReasonAddressRate:        {"address_rate", 0, ""},
	ReasonHandshakeRate:      {"handshake_rate", 0, ""},
	ReasonMemoryMark:         {"memory_mark", 0, ""},
	ReasonCeiling:            {"ceiling", 0, ""},
	ReasonPeerClose:          {"peer_close", 0, ""},
	ReasonEOF:                {"eof", 0, ""},
	ReasonReset:              {"reset", 0, ""},
	ReasonNoReply:            {"no_reply", 0, ""},
	ReasonProtocol:           {"protocol_error", 1002, "protocol error"},
	ReasonUTF8:               {"utf8", 1007, "text is not UTF-8"},
	ReasonCloseCode:          {"close_code", 1002, "bad close frame"},
	ReasonTooBig:             {"too_big", 1009, "message too big"},
	ReasonFragments:          {"fragments", 1008, "too many fragments"},
	ReasonInflateTooBig:      {"inflate_too_big", 1009, "message inflates to too much"},
	ReasonInflate:            {"inflate", 1007, "bad deflate data"},
	ReasonPingRate:           {"ping_rate", 1008, "too many pings"},
	ReasonFrameRate:          {"frame_rate", 4429, "too many frames"},
	ReasonRate:               {"rate", 4429, "too many messages"},
	ReasonByteRate:           {"byte_rate", 4429, "too many bytes"},
	ReasonMemory:             {"memory", 1008, "short of memory; try again later"},
	ReasonIdle:               {"idle", 4408, "idle"},
	ReasonSlow:               {"slow", 0, ""},
	ReasonWriteTimeout:       {"write_timeout", 0, ""},
	ReasonPanic:              {"panic", 1011, "internal error"},
	ReasonShutdown:           {"shutdown", 1001, "restart"},
	ReasonApplication:        {"application", 1000, ""},
	ReasonShed:               {"shed", 1001, "rebalance"},
	ReasonKicked:             {"kicked", 4403, "kicked"},
}

// String returns the reason's label, as metrics and logs carry it.
func (r Reason) String() string { return reasonTable[r].label }

// Code returns the code that the server chooses for this end, or 0 where it
// chooses none: Conn.Close brings its own, and a peer's is sent back.
func (r Reason) Code() uint16 { return reasonTable[r].code }

// Reasons yields every reason there is, for tests and documentation.
func Reasons() []Reason {
	all := make([]Reason, 0, reasonCount-1)
	for r := ReasonNone + 1; r < reasonCount; r++ {
		all = append(all, r)
	}
	return all
}

// handshake reports whether the end came before the upgrade was complete.
func (r Reason) handshake() bool { return r >= ReasonProbe && r <= ReasonCeiling }

// evicted reports whether the server ended the connection for what the peer
// failed to do in time.
func (r Reason) evicted() bool { return r == ReasonIdle || r == ReasonSlow || r == ReasonWriteTimeout }

// reasonOfViolation names the end that a broken rule of the frame layer brings.
func reasonOfViolation(err error) Reason {
	v, ok := err.(protocol.Violation)
	if !ok {
		return ReasonProtocol
	}
	for r := ReasonProtocol; r <= ReasonInflate; r++ {
		if reasonTable[r].label == v.Label() {
			return r
		}
	}
	return ReasonProtocol
}

// reasonOfRefusal names the end that a refused handshake brings.
func reasonOfRefusal(err *protocol.HandshakeError) Reason {
	for r := ReasonHandshakeTimeout; r <= ReasonCeiling; r++ {
		if reasonTable[r].label == err.Label {
			return r
		}
	}
	return ReasonRefused
}
