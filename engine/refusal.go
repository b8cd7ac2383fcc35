package engine

import (
	"math/rand/v2"

	"throng/protocol"
)

// unavailable is the 503 of a refusal that is over by itself. Its copies differ in
// Retry-After: those who were refused together shall not come back together.
type unavailable [retrySpread]*protocol.HandshakeError

// retrySpread is how many seconds Retry-After is spread over.
const retrySpread = 8

func newUnavailable(why Reason, text string, retryAfter int) *unavailable {
	u := new(unavailable)
	for i := range u {
		u[i] = protocol.Unavailable(why.String(), text, retryAfter+i)
	}
	return u
}

// one returns any of the copies.
func (u *unavailable) one() *protocol.HandshakeError { return u[rand.IntN(retrySpread)] }

var unavailables = [reasonCount]*unavailable{
	ReasonCeiling:            newUnavailable(ReasonCeiling, "this server has as many connections as it takes; try again", 5),
	ReasonAddressConnections: newUnavailable(ReasonAddressConnections, "your address has as many connections as it may have; close one, or try again", 5),
	ReasonAddressHandshakes:  newUnavailable(ReasonAddressHandshakes, "your address has too many handshakes under way; finish one, or try again", 1),
	ReasonAddressRate:        newUnavailable(ReasonAddressRate, "your address connects too often; try again", 5),
	ReasonHandshakeRate:      newUnavailable(ReasonHandshakeRate, "too many are connecting at once; try again", 1),
	ReasonMemoryMark:         newUnavailable(ReasonMemoryMark, "this server is short of memory; try again", 10),
}

// gateReasons are those that the gate itself refuses for, before a loop has the
// connection.
var gateReasons = []Reason{ReasonCeiling, ReasonAddressConnections, ReasonAddressHandshakes, ReasonAddressRate}

// turnedOnLoop is how many a loop may be telling at once to come back later; more
// are closed without a word. Telling takes until the client has closed, or the
// close timeout.
const turnedOnLoop = 256

// turnAway refuses a connection that may try again later.
func (c *Conn) turnAway(why Reason) {
	l := c.loop
	he := unavailables[why].one()
	if l.turning >= turnedOnLoop {
		l.stats.refusals.add(he.Label)
		l.engine.logRefusal(c, he)
		c.fail(why)
		return
	}
	l.turning++
	c.flags |= flagTurned
	c.refuse(he)
}

// mayUpgrade holds an upgrade against the limits that are global.
func (c *Conn) mayUpgrade() Reason {
	l := c.loop
	lim := l.limits
	switch {
	case l.engine.pressure.level.Load() >= pressureOver:
		return ReasonMemoryMark
	case lim.HandshakeRate > 0 && !l.engine.handshakes.take(l.entered, lim.HandshakeRate, lim.HandshakeBurst):
		return ReasonHandshakeRate
	}
	return ReasonNone
}
