package main

import "throng/engine"

// meanings say in a sentence why a connection ended, to whoever asks for a user who asks. docs/OPERATIONS.md has them from here.
var meanings = map[engine.Reason]string{
	engine.ReasonProbe:              "Somebody connected and left without a word, as balancers do to see whether the port is open.",
	engine.ReasonRequest:            "A plain HTTP request was answered; the connection was for nothing else.",
	engine.ReasonProxy:              "The PROXY header was malformed or missing, or came from a network that is not in proxy-trust.",
	engine.ReasonHandshakeTimeout:   "The upgrade request was not complete within handshake-timeout: a very slow network, or somebody who only holds connections.",
	engine.ReasonBadRequest:         "The upgrade request was malformed; the client is no WebSocket client, or a proxy in between changed the request.",
	engine.ReasonBadVersion:         "The client asked for a version of WebSocket other than 13.",
	engine.ReasonHeadTooLarge:       "The upgrade request was longer than max-head, max-headers or max-uri allow; large cookies are the usual cause.",
	engine.ReasonOrigin:             "The web page that opened the connection is not in origins.",
	engine.ReasonRefused:            "The path is no room, or the room's name is not allowed; or the token is not good, or does not let its user in; or the room is full.",
	engine.ReasonDraining:           "This server was about to stop and took nobody in.",
	engine.ReasonAddressConnections: "The address had as many connections as max-per-address allows.",
	engine.ReasonAddressHandshakes:  "The address had more unfinished handshakes than max-handshakes-per-address allows.",
	engine.ReasonAddressRate:        "The address connected more often than address-rate allows.",
	engine.ReasonHandshakeRate:      "More clients than handshake-rate allows came at once, of everybody together; they try again.",
	engine.ReasonMemoryMark:         "The server's memory in use was over memory-mark, so it took nobody in.",
	engine.ReasonCeiling:            "The server was full: max-connections, or the descriptors that it may have.",
	engine.ReasonPeerClose:          "The client said goodbye: a page that was closed or left, or a program that ended.",
	engine.ReasonEOF:                "The client ended TCP without a goodbye: a program that was stopped, or a proxy in between that closed for it.",
	engine.ReasonReset:              "The client or the network reset the connection: a crash, a network that changed, or a firewall that forgot it.",
	engine.ReasonNoReply:            "The client was told to go and did not answer in time.",
	engine.ReasonProtocol:           "The client broke the rules of WebSocket framing; it is defective, or something in between changed its bytes.",
	engine.ReasonUTF8:               "The client sent text that is not UTF-8.",
	engine.ReasonCloseCode:          "The client said goodbye with a code that may not be sent.",
	engine.ReasonTooBig:             "The client sent a message longer than max-message or a frame longer than max-frame.",
	engine.ReasonFragments:          "The client cut a message into more pieces than max-fragments allows.",
	engine.ReasonInflateTooBig:      "The client sent a compressed message that is longer than max-message when it is inflated.",
	engine.ReasonInflate:            "The client sent compressed data that is corrupt.",
	engine.ReasonPingRate:           "The client sent more pings than ping-rate allows.",
	engine.ReasonFrameRate:          "The client sent more pongs than message-rate allows.",
	engine.ReasonRate:               "The client sent more messages than message-rate allows.",
	engine.ReasonByteRate:           "The client sent more bytes than byte-rate allows.",
	engine.ReasonMemory:             "The server's buffers were full, and the client was in the middle of a long message.",
	engine.ReasonIdle:               "Nothing was heard of the client for idle-timeout: it is asleep, out of reach, or gone without a word.",
	engine.ReasonSlow:               "The client took what it was sent more slowly than others said it, until it was further behind than write-timeout or max-log allow.",
	engine.ReasonWriteTimeout:       "The network did not acknowledge what was sent for tcp-user-timeout: the client is out of reach.",
	engine.ReasonPanic:              "A fault of the server's own; the log has its stack. Report it.",
	engine.ReasonShutdown:           "The server stopped; the client was told when to come back.",
	engine.ReasonApplication:        "The rooms closed the connection, with a code: 4401 for a token that ended or did not come, 4403 for speaking where that is not allowed, 4503 for a store that could not be reached. Or the program that uses the engine as a library did.",
	engine.ReasonShed:               "An operator had connections moved to other servers; the client was told when to come back.",
	engine.ReasonKicked:             "An operator closed the connection.",
}

// reasonNames are the names of all reasons.
func reasonNames() []string {
	var names []string
	for _, r := range engine.Reasons() {
		names = append(names, r.String())
	}
	return names
}
