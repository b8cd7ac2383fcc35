package engine

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"throng/protocol"
)

// Limits are the limits that can be changed while the engine runs. In each of
// them 0 means off.
//
// What is in force is one value behind one atomic pointer, never written to once
// it is there. A loop loads the pointer at the beginning of each callback, so
// that a callback sees one set of limits; the gate loads it for each connection.
type Limits struct {
	// MaxConnections is the ceiling. Auto takes what the descriptor limit
	// leaves after a reserve for the server's own files. A lower one than before
	// lets nobody in until enough have left by themselves.
	MaxConnections int

	Origins    protocol.Origins
	ProxyTrust []netip.Prefix // networks whose PROXY headers are believed

	HandshakeTimeout time.Duration // from accept to the complete request, not extended by progress
	IdleTimeout      time.Duration // silence of a client until it is closed with 4408
	PingInterval     time.Duration // silence of a client until it is pinged, and between pings
	CloseTimeout     time.Duration // from our Close frame until TCP is ended by us
	WriteTimeout     time.Duration // age of the oldest unsent byte at which a reader is cut off

	MessageRate  float64 // messages per second and connection
	MessageBurst int     // messages that may come at once when MessageRate is on
	ByteRate     float64 // bytes per second and connection, as they come from the socket
	ByteBurst    int
	PingRate     float64 // pings per second and connection
	PingBurst    int

	AddressConnections int     // connections of one address
	AddressHandshakes  int     // of these, those that are not upgraded yet
	AddressRate        float64 // new connections per second and address
	AddressBurst       int
	HandshakeRate      float64 // upgrades per second, of everybody together
	HandshakeBurst     int

	// MemoryMark is how much memory the process may use before upgrades are
	// refused, in bytes.
	MemoryMark int64
}

// defaultLimits returns the defaults.
func defaultLimits() Limits {
	return Limits{
		MaxConnections:   Auto,
		HandshakeTimeout: 5 * time.Second,  // a phone on a bad link needs 2; an attacker gets no more
		IdleTimeout:      60 * time.Second, // twice a ping and its answer
		PingInterval:     25 * time.Second, // below the 30 s after which some NATs forget a flow
		CloseTimeout:     2 * time.Second,
		WriteTimeout:     10 * time.Second,
		PingRate:         10,
		PingBurst:        50,
	}
}

const (
	// burstSeconds of a rate may come at once where no burst is given.
	burstSeconds = 5
	// rateMax is beyond what anything can reach, and fillSecondsMax what still can be
	// counted in nanoseconds.
	rateMax        = 1e12
	fillSecondsMax = 2e9
	// byteBurstMin lets through what comes with one read, and a long message.
	byteBurstMin = 64 << 10
)

// check completes the limits and says what is wrong with them.
func (lim *Limits) check() error {
	for _, b := range []struct {
		what  string
		rate  float64
		burst *int
		least int
	}{
		{"messages", lim.MessageRate, &lim.MessageBurst, 1},
		{"bytes", lim.ByteRate, &lim.ByteBurst, byteBurstMin},
		{"pings", lim.PingRate, &lim.PingBurst, 1},
		{"connections of an address", lim.AddressRate, &lim.AddressBurst, 1},
		{"upgrades", lim.HandshakeRate, &lim.HandshakeBurst, 1},
	} {
		switch {
		case !(b.rate >= 0 && b.rate <= rateMax) || *b.burst < 0:
			return fmt.Errorf("engine: a rate of %g %s with a burst of %d; allowed are rates up to %g, and neither below 0", b.rate, b.what, *b.burst, rateMax)
		case b.rate > 0 && *b.burst == 0:
			*b.burst = max(b.least, int(burstSeconds*b.rate))
		}
		if b.rate > 0 && float64(*b.burst)/b.rate > fillSecondsMax {
			return fmt.Errorf("engine: a burst of %d %s at a rate of %g would take more than a lifetime to come again", *b.burst, b.what, b.rate)
		}
	}
	if lim.ByteRate > 0 {
		lim.ByteBurst = max(lim.ByteBurst, readBytes) // or no full read would ever be let through
	}
	if lim.MaxConnections < Auto || lim.AddressConnections < 0 || lim.AddressHandshakes < 0 || lim.MemoryMark < 0 {
		return errors.New("engine: a limit is below 0")
	}
	for _, d := range []time.Duration{lim.HandshakeTimeout, lim.IdleTimeout, lim.PingInterval, lim.CloseTimeout, lim.WriteTimeout} {
		if d < 0 {
			return fmt.Errorf("engine: a timeout of %s; it cannot be below 0", d)
		}
	}
	return lim.checkTrust()
}

// checkTrust brings the trusted networks into the form that addresses are held
// against: masked, and IPv4 as IPv4.
func (lim *Limits) checkTrust() error {
	lim.ProxyTrust = slices.Clone(lim.ProxyTrust)
	for i, p := range lim.ProxyTrust {
		var ok bool
		if lim.ProxyTrust[i], ok = plainPrefix(p); !ok {
			return errors.New("engine: a trusted network is none")
		}
	}
	return nil
}

// plainPrefix masks a network and makes IPv4 of what is IPv4 within IPv6. It
// reports whether it is a network.
func plainPrefix(p netip.Prefix) (plain netip.Prefix, ok bool) {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), p.IsValid()
}

// liveLimits are the limits in force, and what follows from them.
type liveLimits struct {
	Limits
	ceiling int64 // connections allowed at once
}

// trusts reports whether a PROXY header from an address is believed.
func (lim *liveLimits) trusts(r remote) bool {
	ip := r.addr()
	for _, p := range lim.ProxyTrust {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// countAddresses reports whether anything is limited by address.
func (lim *liveLimits) countAddresses() bool {
	return lim.AddressConnections > 0 || lim.AddressHandshakes > 0 || lim.AddressRate > 0
}

// Limits returns the limits in force. Any goroutine.
func (e *Engine) Limits() Limits {
	lim := e.limits.Load().Limits
	lim.ProxyTrust = slices.Clone(lim.ProxyTrust)
	return lim
}

// SetLimits puts other limits in force, all of them or, if it returns an error,
// none. They hold for those who are connected as well, from their next callback
// on, with two exceptions: nobody is sent away because there are more connections
// than allowed now, and the handshake timeout of a connection is that of its
// accept. Any goroutine.
func (e *Engine) SetLimits(lim Limits) error {
	next, err := e.prepare(lim)
	if err != nil {
		return err
	}
	last := e.limits.Swap(next)
	if last.IdleTimeout != next.IdleTimeout || last.PingInterval != next.PingInterval {
		for _, l := range e.loops {
			l.box.putTask(func(l *loop) {
				l.limits = l.engine.limits.Load() // the turn may have begun with the last
				l.stale = len(l.conns)
			})
			l.bell.ring()
		}
	}
	return nil
}

// prepare checks limits and works out what follows from them.
func (e *Engine) prepare(lim Limits) (*liveLimits, error) {
	if err := lim.check(); err != nil {
		return nil, err
	}
	if e.cfg.Proxy != ProxyOff && len(lim.ProxyTrust) == 0 {
		return nil, errors.New("engine: PROXY headers are read, and no network is trusted to send them; name the balancers' networks")
	}
	ceiling, err := e.gate.ceilingOf(lim.MaxConnections)
	if err != nil {
		return nil, err
	}
	return &liveLimits{Limits: lim, ceiling: ceiling}, nil
}
