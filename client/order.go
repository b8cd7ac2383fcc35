package client

import "time"

// place is how far a recorded room's messages were handed out.
//
//	seen   a message is next if the one before it is not newer than seen; if it is, something is missing
//	fresh  nothing was handed out since seen was set: the first message may be older than it (a replay), and is no repeat
//	owed   the server's epoch, when it is another than ours and the gap that says so has not come
type place struct {
	epoch string
	seen  uint64
	fresh bool
	owed  string
}

// fetch is how a room gets what is missing. While it does, what comes is held.
type fetch struct {
	generation int // an answer to another generation's request is not heard
	underway   bool
	held       []item
	bytes      int
	dropped    bool // what was held became too much; it will be fetched
	attempts   int  // in a row that brought nothing
}

// item is a message or a gap, in the room's order.
type item struct {
	prev    uint64
	message Message
	gap     *Gap
}

const fetchAttempts = 3 // a store may be a little behind those who tell what is in it

// begin sets the place after a join.
func (r *Room) begin(a *answer, since *Since) {
	p := &r.place
	switch {
	case !a.Recorded:
		*p = place{}
	case since != nil && since.Epoch != a.Epoch:
		p.owed = a.Epoch
	case p.epoch == a.Epoch: // goes on where it was
	default:
		if p.epoch != "" {
			r.c.emit(Gap{Room: r.name, Epoch: a.Epoch, To: a.Seq, Reset: true})
		}
		*p = place{epoch: a.Epoch, seen: a.Seq, fresh: r.options.Last > 0}
	}
}

// take deals with what comes of a room.
func (r *Room) take(it item) {
	switch {
	case it.gap == nil && it.message.Seq == 0:
		r.c.emit(it.message)
		return
	case it.gap != nil && (it.gap.Reset || it.gap.Epoch != "" && it.gap.Epoch != r.place.epoch):
		r.reset(*it.gap)
		return
	case r.place.owed != "":
		r.reset(Gap{Room: r.name, Epoch: r.place.owed, To: it.prev, Reset: true})
	}
	if r.fetch.underway {
		r.hold(it)
		return
	}
	if it.gap == nil && r.missing(it) {
		r.hold(it)
		r.ask()
		return
	}
	r.hand(it)
}

// missing: something stands before it that was not handed out.
func (r *Room) missing(it item) bool { return it.prev > r.place.seen }

// hand hands an item out, unless it was before.
func (r *Room) hand(it item) {
	p := &r.place
	if it.gap != nil {
		if it.gap.To > p.seen {
			p.seen = it.gap.To
			r.c.emit(*it.gap)
		}
		return
	}
	if it.message.Seq <= p.seen && !p.fresh {
		return
	}
	p.seen, p.fresh = it.message.Seq, false
	r.c.emit(it.message)
}

// reset begins the room anew, with other numbers.
func (r *Room) reset(g Gap) {
	g.Reset = true
	r.place = place{epoch: g.Epoch, seen: g.To, fresh: true}
	r.fetch = fetch{generation: r.fetch.generation + 1}
	r.c.emit(g)
}

// hold keeps an item until what is missing before it has come. When it becomes too much only the newest is kept.
func (r *Room) hold(it item) {
	f := &r.fetch
	size := len(it.message.Content.bytes)
	if len(f.held) >= heldMax || f.bytes+size > heldBytesMax {
		clear(f.held)
		f.held, f.bytes, f.dropped = f.held[:0], 0, true
	}
	f.held = append(f.held, it)
	f.bytes += size
}

// ask fetches what follows the place.
func (r *Room) ask() {
	f := &r.fetch
	f.underway, f.dropped = true, false
	r.place.fresh = false
	after, generation := r.place.seen, f.generation
	r.c.request(&request{Type: "history", Room: r.name, After: &after, Limit: fetchSize}, func(a *answer, err error) {
		if r.fetch.generation == generation {
			r.fetched(a, err)
		}
	})
}

// fetched deals with a page of history.
func (r *Room) fetched(a *answer, err error) {
	f, before := &r.fetch, r.place.seen
	if e, again := temporary(err); again {
		r.askLater(e.Retry)
		return
	}
	if err != nil || a.Epoch != r.place.epoch {
		if _, refused := err.(*Error); refused || err == nil {
			r.settle() // it cannot be had, and that is told
		}
		return
	}
	r.refusals = 0
	for i := range a.Messages {
		m := &a.Messages[i]
		if m.Seq <= r.place.seen {
			continue
		}
		if m.Prev > r.place.seen {
			r.tell(m.Prev, m.Seq)
		}
		r.hand(item{message: m.messageIn(r.name)})
	}
	if len(f.held) == 0 || !r.missing(f.held[0]) {
		r.settle()
		return
	}
	if r.place.seen > before {
		f.attempts = 0
		r.ask()
		return
	}
	if f.attempts++; f.attempts < fetchAttempts || f.dropped {
		r.askLater(time.Duration(f.attempts) * 100 * time.Millisecond)
		return
	}
	r.settle()
}

func (r *Room) askLater(wait time.Duration) {
	generation := r.fetch.generation
	r.pause(wait, func() bool { return r.fetch.generation == generation }, r.ask)
}

// settle hands out what was held. If something is missing before the first, it cannot be had.
func (r *Room) settle() {
	held := r.fetch.held
	r.fetch = fetch{generation: r.fetch.generation + 1}
	for i, it := range held {
		if r.missing(it) {
			if i > 0 {
				for _, later := range held[i:] {
					r.hold(later)
				}
				r.ask()
				return
			}
			if it.gap == nil {
				r.tell(it.prev, it.message.Seq)
			}
		}
		r.hand(it)
	}
}

// tell says that everything up to a message is missing.
func (r *Room) tell(to, oldest uint64) {
	r.hand(item{gap: &Gap{Room: r.name, Epoch: r.place.epoch, From: r.place.seen + 1, To: to, Oldest: oldest}})
}
