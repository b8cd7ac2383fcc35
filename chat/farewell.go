package chat

import (
	"fmt"
	"strings"
	"time"

	"throng/engine"
	"throng/protocol"
	"throng/protocol/envelope"
)

// The close codes that are this package's to send, beside the engine's.
const (
	closeUnauthorized = 4401 // no token, or one that has expired
	closeDenied       = 4403 // not allowed
	closeUnavailable  = 4503 // the store cannot be reached: come back
)

// textExpired is why somebody is sent away who may come back with another token.
const textExpired = "token expired"

// textLater ends the engine's reasons for an end that is not the client's fault.
const textLater = "try again later"

// farewells say what a client of throng.v1 is to do after a close: come back, and when, or stay away. What has no entry may come back at once, and its backoff
// spreads those who do.
var farewells = map[uint16]struct {
	away bool
	in   time.Duration
}{
	1002:              {away: true}, // it would break the same rule again
	1007:              {away: true},
	1008:              {away: true},
	1009:              {away: true},
	closeUnauthorized: {away: true},
	closeDenied:       {away: true},
	4429:              {in: 2 * time.Second},
	closeUnavailable:  {in: time.Second},
}

// OnFarewell implements engine.Farewell: a client of throng.v1 is told why it is sent away, and whether to come back.
func (s *Server) OnFarewell(c *engine.Conn, code uint16, text string) (op protocol.Opcode, data []byte) {
	if _, ok := c.Value().(*session); !ok {
		return 0, nil
	}
	what := farewells[code]
	bye := envelope.Bye{Code: code, Reason: text, Again: !what.away || text == textExpired || strings.HasSuffix(text, textLater), In: what.in}
	if in, ok := reconnectIn(text); ok {
		bye.In = in
	}
	return protocol.OpText, envelope.AppendBye(nil, &bye)
}

// reconnectIn reads the turn that the engine's reasons for a restart and for a move to another server give.
func reconnectIn(text string) (in time.Duration, ok bool) {
	var word string
	var millis int64
	n, _ := fmt.Sscanf(text, "%s reconnect in %d ms", &word, &millis)
	return time.Duration(millis) * time.Millisecond, n == 2
}
