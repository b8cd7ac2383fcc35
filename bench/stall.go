package bench

import "time"

// A stalled connection is one that got nothing for a second or more while others of its room were served. What it
// takes to tell is kept by the read, not by the message:
//
//	room.since ........ read ... read ... read ... room.served    no pause longer than busyPauseMax between them
//	             |------------- nothing for this one ---------|
//
// A server that is so busy that everybody waits for a second does not stall anyone: the time has to be several times
// what others of the room wait between two reads.
const (
	stalledAfter = time.Second
	stalledTimes = 4
	busyPauseMax = 500 * time.Millisecond
	busyMin      = 2 * time.Second // in which the room's period is learned
)

// arrived notes that a read brought a connection so many new messages.
func (w *worker) arrived(c *conn, t instant, messages uint64) {
	if messages == 0 || c.slow {
		return
	}
	r := &w.rooms[c.room]
	r.done += messages
	if t-r.served > busyPauseMax {
		r.since = t
	}
	if c.last >= r.since {
		gap := t - c.last
		if r.isStalled(gap, t) {
			w.stall(c)
		} else if r.period == 0 {
			r.period = max(gap, 1)
		} else {
			r.period += (gap - r.period) / 16
		}
	} else if r.isStalled(t-r.since, t) {
		w.stall(c)
	}
	r.served, c.last = t, t
	if c.back {
		c.back = false
		if w.storm != nil {
			w.storm.fed(t)
		}
	}
}

func (r *room) isStalled(gap time.Duration, t instant) bool {
	return gap >= stalledAfter && gap > stalledTimes*r.period && r.period > 0 && t-r.since >= busyMin
}

func (w *worker) stall(c *conn) {
	if !c.stalled {
		c.stalled = true
		w.check.faults.Stalled++
	}
}

// lookForStalled finds those who have not got anything up to now.
func (w *worker) lookForStalled() {
	if len(w.senders) == 0 && w.spec.Senders == 0 {
		return
	}
	for i := range w.conns {
		c := &w.conns[i]
		if c.state != connOpen || c.slow || c.stalled {
			continue
		}
		if r := &w.rooms[c.room]; r.isStalled(r.served-max(c.last, r.since), r.served) {
			w.stall(c)
		}
	}
}
