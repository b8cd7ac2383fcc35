package engine

import "throng/protocol"

// A replay brings a connection what was said before it came: messages that a Source
// hands over one by one, as fast as the socket takes them. Meanwhile the connection
// stands beside the passes, as a laggard does: what is said in its topics waits in
// their logs at its cursor, and comes when the last source has nothing more.
//
//	Replay ──▶ queue of the loop ──▶ a chunk is pulled ──▶ written ──┬─▶ taken: queue
//	               ▲        ▲                │                       ├─▶ cut: the laggards' epoll
//	               │        └── Continue ◀── ReplayWait              └─▶ last source done: the lanes
//	               └── the socket takes bytes again
//
// A chunk is whole frames. What the socket does not take of it goes to gnet, so that
// whatever else is sent to the connection stands between two messages.

// ReplayState says what a Source has.
type ReplayState uint8

// The states of a Source.
const (
	ReplayMore ReplayState = iota // a message
	ReplayWait                    // nothing yet: Continue says when to ask again
	ReplayDone                    // nothing any more
)

// Source has messages for one connection.
type Source interface {
	// Next hands over the next message, which is valid until the next call, or says
	// why there is none. It runs on the connection's loop and must not block, nor send
	// anything to the connection by itself.
	Next() (op protocol.Opcode, data []byte, state ReplayState)
}

// replay is what is still to be sent to a connection before its topics go on.
type replay struct {
	sources []Source
	queued  bool // stands in loop.replays
	asleep  bool // the first source said ReplayWait
	pulling bool // it is asked right now
	called  bool // and Continue was called meanwhile
}

// replayChunkBytes is what is pulled for one write: with the message that exceeds it,
// it is the most that gnet has to keep for a reader that stops.
const replayChunkBytes = 16 << 10

// Replay sends the connection a source's messages, in order and as its socket takes
// them, in plain frames. From now on until the source is done nothing of any topic is
// written to it; what is said meanwhile comes behind, in order. Several replays come
// one after the other. Send goes on, and what it sends stands between two messages.
//
// The rules for slow readers hold as for everybody who is behind: the connection is
// cut off when what its topics have for it becomes too old or too much. That is so
// while the source says ReplayWait as well. When the connection ends, the source is
// not asked any more; a Close frame stands behind what has been asked for.
// Loop-owned.
func (c *Conn) Replay(s Source) {
	c.loop.assertInTurn()
	if !c.Open() {
		return
	}
	c.stepAside()
	r := c.lagging.replay
	if r == nil {
		r = new(replay)
		c.lagging.replay = r
	}
	r.sources = append(r.sources, s)
	c.loop.queueReplay(c)
}

// Continue has a source that said ReplayWait asked again. Otherwise it does nothing.
// Loop-owned.
func (c *Conn) Continue() {
	c.loop.assertInTurn()
	if c.lagging == nil || c.lagging.replay == nil {
		return
	}
	r := c.lagging.replay
	r.called = r.pulling
	if r.asleep {
		r.asleep = false
		c.loop.queueReplay(c)
	}
}

// queueReplay has a replay go on with the loop's turn.
func (l *loop) queueReplay(c *Conn) {
	if r := c.lagging.replay; !r.queued && !r.asleep {
		r.queued = true
		l.replays = append(l.replays, c)
		l.bell.ring()
	}
}

// runReplays goes on with replays, a chunk each, for one slice in all. Loop-owned.
func (l *loop) runReplays() {
	if len(l.replays) == 0 {
		return
	}
	deadline := nanotime() + sliceNanos
	i := 0
	for ; i < len(l.replays) && nanotime() < deadline; i++ {
		c := l.replays[i]
		l.guarded(c, "replay", func() { c.replaySome(deadline) })
	}
	l.replays = dropFirst(l.replays, i)
	if len(l.replays) > 0 {
		l.bell.ring()
	}
	if cap(l.chunk) > scratchKept {
		l.chunk = nil
	}
}

// replaySome writes one chunk. A connection whose socket is full comes again when it
// takes bytes, one whose source waits with Continue.
func (c *Conn) replaySome(deadline int64) {
	if !c.Open() || c.lagging == nil || c.lagging.replay == nil {
		return
	}
	l, r := c.loop, c.lagging.replay
	r.queued = false
	if c.clogged() {
		return
	}
	n := c.pull(r, deadline)
	if !c.Open() {
		return
	}
	if len(l.chunk) > 0 {
		c.write(l.chunk)
		l.stats.deliveries += uint64(n)
	}
	switch {
	case !c.Open():
	case len(r.sources) == 0:
		c.lagging.replay = nil
		if !c.clogged() {
			c.catchUp()
		}
	case !c.clogged():
		l.queueReplay(c)
	}
}

// pull asks the sources for a chunk, and returns how many messages it is.
func (c *Conn) pull(r *replay, deadline int64) (n int) {
	l := c.loop
	l.chunk = l.chunk[:0]
	for len(r.sources) > 0 && len(l.chunk) < replayChunkBytes {
		r.pulling, r.called = true, false
		op, data, state := r.sources[0].Next()
		r.pulling = false
		switch state {
		case ReplayMore:
			l.chunk = protocol.AppendFrame(l.chunk, op, data)
			n++
		case ReplayWait:
			if !r.called {
				r.asleep = true
				return n
			}
		case ReplayDone:
			r.sources[0] = nil
			r.sources = r.sources[1:]
		}
		if !c.Open() || nanotime() >= deadline {
			break
		}
	}
	return n
}

// stopReplay forgets the sources of a connection that has given up its topics.
func (c *Conn) stopReplay() {
	if c.lagging == nil || c.lagging.replay == nil {
		return
	}
	c.lagging.replay = nil
	if !c.clogged() {
		c.recovered()
	}
}
