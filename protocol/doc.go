// Package protocol turns the bytes of a WebSocket connection into meaning and
// back: the request and its answer, frames and messages, permessage-deflate.
// It does no I/O, knows no clock and starts no goroutine; everything it needs
// to know comes as an argument.
//
//	bytes in   ScanHead ▶ Request.Parse ▶ CheckUpgrade        head.go, request.go, handshake.go
//	           Decoder.Next, an Event a call                  decoder.go
//	bytes out  AppendSwitching, AppendResponse                handshake.go, response.go
//	           AppendFrame, AppendDeflated, AppendClose       frame.go, deflate.go, close.go
//
// What is refused is refused by name: a [HandshakeError] carries the HTTP status
// and the words for the client, a [Violation] the close code.
package protocol
