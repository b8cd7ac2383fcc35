package engine

import (
	"errors"
	"log/slog"

	"throng/protocol"
)

// ProxyMode says whether connections start with a PROXY header, in which a
// balancer tells the address of the client.
type ProxyMode uint8

const (
	// ProxyOff takes no headers: one is a malformed request.
	ProxyOff ProxyMode = iota
	// ProxyOptional takes a header from a trusted network. A connection without one
	// is served as what it is.
	ProxyOptional
	// ProxyRequired serves nobody without a header from a trusted network.
	ProxyRequired
)

// What stands before the request when Config.Proxy is on, and what it gets:
//
//	from a network that is   trusted                     not trusted
//	one header               its source is the client    closed
//	LOCAL, UNKNOWN           the socket's own address    closed
//	a second header          closed                      closed
//	a malformed header       closed                      closed
//	none                     served, if optional         served, if optional
//	nothing at all           a probe                     a probe
//
// Closed is at once and without an answer: whoever is wrong here is a balancer
// that is set up wrongly, or somebody who claims to be one. All of it is within
// the handshake timeout.

var (
	errProxyTwice     = errors.New("a second PROXY header; only one balancer of a chain may add one, or each must take off that of the one before")
	errProxyUntrusted = errors.New("a PROXY header from an address that is not trusted; if this is a balancer, add it to the trusted networks")
)

// proxyV1Sure and proxyV2Sure are how many bytes of a header leave no doubt that it
// is one: "PROXY ", and the signature of version 2.
const (
	proxyV1Sure = 6
	proxyV2Sure = 12
)

// receiveProxy takes what comes before it is known to be the request.
func (c *Conn) receiveProxy(data []byte) {
	c.flags |= flagHalfDone
	if c.extra != nil && c.extra.held != nil {
		c.hold(data)
		data = c.extra.held
		c.extra.held = nil
		defer c.loop.pool.put(data)
	}
	rest, done, err := c.readProxy(data)
	switch {
	case err != nil:
		c.loop.engine.logProxy(c, err)
		c.fail(ReasonProxy)
	case c.state != stateHead || c.failed(): // its address has too many connections
	case done:
		c.flags &^= flagDoorstep
		c.receiveHead(rest)
	case len(rest) > 0:
		c.hold(rest)
	}
}

// readProxy reads a header, and looks whether another follows. It returns what
// is left, and whether that is the request's.
func (c *Conn) readProxy(data []byte) (rest []byte, done bool, err error) {
	l := c.loop
	trusted := c.flags&flagProxied != 0 || l.limits.trusts(c.remote)
	for {
		h, n, err := protocol.ParseProxy(data)
		first := c.flags&flagProxied == 0
		if err == protocol.ErrNotProxy {
			if first && l.engine.cfg.Proxy == ProxyRequired {
				return nil, false, err
			}
			return data, true, nil
		}
		sure := err != nil || n > 0 || len(data) >= proxyV2Sure || len(data) >= proxyV1Sure && data[0] == 'P'
		switch {
		case sure && !trusted:
			return nil, false, errProxyUntrusted
		case sure && !first:
			return nil, false, errProxyTwice
		case err != nil || n == 0:
			return data, false, err
		}
		data = data[n:]
		c.flags |= flagProxied
		c.introduce(&h)
		if len(data) == 0 { // a balancer's check may end here
			c.flags &^= flagHalfDone
			return nil, false, nil
		}
		if c.state != stateHead || c.failed() {
			return nil, false, nil
		}
	}
}

// introduce makes the header's source the connection's address, from which on
// limits by address hold for it. A balancer that speaks for itself is not limited:
// with LOCAL, or, as version 1 has no such word, with its own address.
func (c *Conn) introduce(h *protocol.ProxyHeader) {
	if h.Local {
		return
	}
	l, balancer := c.loop, c.remote
	l.engine.uncountAddress(c, l.entered) // it is there if the balancer was not trusted yet at accept
	if c.remote = remoteOf(h.Source); c.remote.ip == balancer.ip {
		return
	}
	if why := l.engine.countAddress(c, l.limits, l.entered); why != ReasonNone {
		c.turnAway(why)
	}
}

// logProxy says who was closed for a PROXY header. It is a warning, once a
// second, because the cause is most likely a balancer of the operator's own.
func (e *Engine) logProxy(c *Conn, err error) {
	if n, ok := e.proxyLines.admits(nanotime()); ok {
		e.cfg.Logger.Warn("a connection was closed for its PROXY header", slog.String("remote", c.RemoteAddr().String()),
			slog.String("error", err.Error()), slog.Uint64("so far", n))
	}
}
