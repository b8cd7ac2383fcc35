package engine

// seat is a connection's place in a lane.
type seat struct {
	lane *lane
	slot uint32
}

func (s *seat) setTrouble(on bool) {
	at := &s.lane.subs[s.slot]
	if at.trouble != on {
		at.trouble = on
		if on {
			s.lane.addLaggard()
		} else {
			s.lane.lagging--
		}
	}
}

// eachSeat calls f with each place the connection has.
func (c *Conn) eachSeat(f func(*seat)) {
	if c.seat0.lane != nil {
		f(&c.seat0)
	}
	others := c.others()
	for i := range others {
		f(&others[i])
	}
}

// others returns the places that the connection has besides its first.
func (c *Conn) others() []seat {
	if c.extra == nil || c.extra.seats == nil {
		return nil
	}
	return *c.extra.seats
}

// seat returns the connection's place in a lane.
func (c *Conn) seat(ln *lane) *seat {
	if c.seat0.lane == ln {
		return &c.seat0
	}
	others := c.others()
	for i := range others {
		if others[i].lane == ln {
			return &others[i]
		}
	}
	return nil
}

// Join subscribes the connection to a topic: it gets every message published
// from now on. Joining twice is joining once. It returns nil if the
// connection is closing. Loop-owned.
func (c *Conn) Join(name string) *Topic {
	c.loop.assertInTurn()
	if !c.Open() {
		return nil
	}
	ln, _ := c.takeSeat(name)
	return ln.local.topic
}

// JoinAt is Join for a topic whose messages have positions (Engine.PublishAt), and
// says where in them the subscription begins: of the messages with a position the
// connection gets from the topic exactly those above pos, each once, in order. None
// at or below pos comes to it that way, not even one that was on its way to the loop
// when JoinAt was called; so whoever fetches those from elsewhere, to be sent first
// (Replay), has them all. Messages without a position come from now on, as with Join.
//
// The engine forgets positions with a topic's last subscriber on a loop. So head is
// called, behind the subscription, if nobody of the same loop, form and encoding
// stands there already, and says what position the topic's last message has, 0
// for none. It must be called from under the lock, or whatever else puts calls of
// PublishAt for the topic in a row: each message is counted in head either before or
// after a call of head, together with its PublishAt. JoinAt holds no lock of the
// engine's meanwhile. head must not use the engine.
//
// Where JoinAt is used for a topic, Join is not: a lane that was begun by Join, and
// has had no message with a position yet, does not know what is on its way to it, and
// some of what head counted may come once more.
//
// Joining twice is joining once; pos is then that of the last message that the
// connection has had or is still to be written. It returns nil and 0 if the
// connection is closing. Loop-owned.
func (c *Conn) JoinAt(name string, head func() uint64) (t *Topic, pos uint64) {
	c.loop.assertInTurn()
	if !c.Open() {
		return nil, 0
	}
	ln, first := c.takeSeat(name)
	switch {
	case first: // what is in the mailbox is not above head, and is skipped
		ln.pos, ln.placed = head(), true
	case !ln.placed && ln.pos == 0:
		return ln.local.topic, head()
	}
	return ln.local.topic, ln.pos
}

// takeSeat gives the connection a place in a topic, unless it has one, and reports
// whether it is the first of the lane.
func (c *Conn) takeSeat(name string) (ln *lane, first bool) {
	if s := c.joined(name); s != nil {
		return s.lane, false
	}
	l := c.loop
	t := l.engine.topics.enter(l.engine, name)
	ln, first = t.subscribe(l, c)
	s := seat{lane: ln, slot: uint32(ln.add(c, c.lagging != nil))}
	c.out -= ln.log.head()
	if c.seat0.lane == nil {
		c.seat0 = s
		return ln, first
	}
	x := c.need()
	if x.seats == nil {
		x.seats = new([]seat)
	}
	*x.seats = append(*x.seats, s)
	return ln, first
}

// joined returns the place in a topic of a name, nil if the connection has none.
func (c *Conn) joined(name string) (at *seat) {
	c.eachSeat(func(s *seat) {
		if s.lane.local.topic.name == name {
			at = s
		}
	})
	return at
}

// Leave ends the subscription to a topic. What was published before and not yet
// written is not delivered. Loop-owned.
func (c *Conn) Leave(t *Topic) {
	c.loop.assertInTurn()
	if t == nil {
		return
	}
	if c.seat0.lane != nil && c.seat0.lane.local.topic == t {
		c.stand(&c.seat0)
		c.seat0 = seat{}
		return
	}
	others := c.others()
	for i := range others {
		if s := &others[i]; s.lane.local.topic == t {
			c.stand(s)
			last := len(others) - 1
			others[i], others[last] = others[last], seat{}
			*c.extra.seats = others[:last]
			return
		}
	}
}

// stand gives up one place.
func (c *Conn) stand(s *seat) {
	t, slot, ln := s.lane.local.topic, int(s.slot), s.lane
	c.out += ln.subs[slot].cursor
	t.unsubscribe(c.loop, c.outfit)
	ln.remove(c.loop, slot)
}

// leaveAll gives up every place. Never during a slice.
func (c *Conn) leaveAll() {
	c.eachSeat(c.stand)
	c.seat0 = seat{}
	if c.extra != nil {
		c.extra.seats = nil
	}
}
