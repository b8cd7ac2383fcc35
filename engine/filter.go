package engine

import (
	"errors"
	"net/netip"
	"time"
	"unicode/utf8"

	"throng/timeouts"
)

// State is what a connection is doing, as lists show it.
type State string

// The states of a connection.
const (
	StateHandshake State = "handshake" // not upgraded yet
	StateOpen      State = "open"
	StateClosing   State = "closing" // the last word is said, TCP has not ended
)

func (c *Conn) stateNow() State {
	switch {
	case c.state == stateClosing, c.failed():
		return StateClosing
	case c.state == stateOpen:
		return StateOpen
	}
	return StateHandshake
}

// Filter says which connections are meant: those for which everything holds that
// is not zero.
type Filter struct {
	ID      ID            // this one
	User    string        // of this user, as the Describer names them
	Address netip.Prefix  // from this network; for a single address, all of its bits
	Topic   string        // subscribed to this topic
	State   State         // doing this
	MinIdle time.Duration // not heard for so long
	MinLag  int           // so many bytes behind, or more
}

// check says what is wrong with a filter, and brings the network into the form that
// addresses are held against.
func (f *Filter) check() error {
	switch f.State {
	case "", StateHandshake, StateOpen, StateClosing:
	default:
		return errors.New("engine: a state is handshake, open or closing")
	}
	if f.MinIdle < 0 || f.MinLag < 0 {
		return errors.New("engine: nobody is idle for less than no time, or less than nothing behind")
	}
	var err error
	f.Address, err = wantedNetwork(f.Address)
	return err
}

// wantedNetwork brings a network to look for into that form; none means all.
func wantedNetwork(p netip.Prefix) (netip.Prefix, error) {
	plain, ok := plainPrefix(p)
	if !ok && p != (netip.Prefix{}) {
		return p, errors.New("engine: the network to look for is none")
	}
	return plain, nil
}

// loops returns those on which something can match.
func (f *Filter) loops(e *Engine) []*loop {
	if f.ID == 0 {
		return e.loops
	}
	if i := f.ID.loop(); i < len(e.loops) {
		return e.loops[i : i+1]
	}
	return nil
}

// walk makes the walk over those connections of a loop that can match. Loop-owned.
func (f *Filter) walk(l *loop, visit func(c *Conn) (cost int)) *walk {
	w := l.walkConns(visit)
	if f.ID != 0 {
		w.next, w.end = min(int(f.ID.slot()), w.end), min(int(f.ID.slot())+1, w.end)
	}
	return w
}

// match holds a connection against the filter, the cheapest questions first.
// Loop-owned.
func (f *Filter) match(c *Conn) bool {
	return (f.ID == 0 || f.ID == c.ID()) &&
		(f.State == "" || f.State == c.stateNow()) &&
		(f.Address == netip.Prefix{} || f.Address.Contains(c.RemoteAddr().Addr())) &&
		(f.MinIdle == 0 || c.idle() >= f.MinIdle) &&
		(f.Topic == "" || c.joined(f.Topic) != nil) &&
		(f.MinLag == 0 || c.behind() >= f.MinLag) &&
		(f.User == "" || f.User == c.user())
}

// idle is for how long nothing was heard of the client that counts as life.
// Loop-owned.
func (c *Conn) idle() time.Duration {
	if c.timer == timeouts.None {
		return 0
	}
	return time.Duration(max(0, c.loop.now-c.loop.wheel.Touched(c.timer)))
}

// behind is how many bytes the client has not had: of its topics, and of what gnet
// holds for it. Loop-owned.
func (c *Conn) behind() (n int) {
	c.eachSeat(func(s *seat) { n += int(s.lane.log.head() - s.lane.subs[s.slot].cursor) })
	return n + c.buffered()
}

// buffered is what gnet holds for a connection, which then lags. Loop-owned.
func (c *Conn) buffered() int {
	if c.lagging == nil || c.gc == nil {
		return 0
	}
	return c.gc.OutboundBuffered()
}

// oldest is the age of the oldest byte that the client has not had, 0 if it has all.
// Loop-owned.
func (c *Conn) oldest() time.Duration {
	since := c.loop.now
	if c.lagging != nil && c.lagging.rest > 0 {
		since = c.lagging.rest
	}
	c.eachSeat(func(s *seat) {
		if ln := s.lane; ln.subs[s.slot].cursor < ln.log.head() {
			since = min(since, ln.log.markAt(ln.subs[s.slot].cursor).nanos)
		}
	})
	return time.Duration(max(0, c.loop.now-since))
}

// sent is how many bytes the connection's socket has taken. A pass touches nothing
// of the connections it writes to, so what their topics brought them is worked out:
// the cursor of each place, less what it was when the place was taken, which Join
// took off c.out. Loop-owned.
func (c *Conn) sent() uint64 {
	n := c.out - uint64(c.buffered())
	c.eachSeat(func(s *seat) { n += s.lane.subs[s.slot].cursor })
	return n
}

// user asks the Describer whose connection this is; "" before the upgrade and where
// there is none to ask. A panic costs the name and no connection: or one question of
// an operator's could close them all. Loop-owned.
func (c *Conn) user() (name string) {
	d := c.loop.engine.describer
	if d == nil || c.flags&flagAnnounced == 0 {
		return ""
	}
	defer func() {
		if p := recover(); p != nil {
			c.loop.panicked("Describe", p)
		}
	}()
	return d.Describe(c)
}

// listedBytesMax is how much is kept or shown of a string that a client chose.
const listedBytesMax = 128

// cut shortens a string to listedBytesMax, at the border of a character, so that
// nothing else of it is kept in memory.
func cut(s string) string {
	if len(s) <= listedBytesMax {
		return s
	}
	end := listedBytesMax
	for end > listedBytesMax-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return string([]byte(s[:end]))
}
