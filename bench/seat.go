package bench

// The seating of a run, which every worker works out for itself. With R rooms, connection i sits in room i mod R as
// its member number i div R; room r is one target's, r mod T, because a server of several processes that do not know of
// each other has each room in one of them. Without rooms every target has a room of its own: R is T. The senders of a
// room are spread evenly over its members, and counted through all rooms:
//
//	sender e of room r    is number e*R + r of all    and connection r + (e*members/each)*R

// groups is how many rooms there are.
func (s *spec) groups() int {
	if s.Rooms > 0 {
		return s.Rooms
	}
	return max(len(s.Targets), 1)
}

func (s *spec) room(conn int) int { return conn % s.groups() }

// each is the number of senders in a room.
func (s *spec) each() int { return s.Senders / s.groups() }

// members is the number of connections in a room.
func (s *spec) members() int { return s.Conns / s.groups() }

// seat gives each connection of this worker what it follows, and finds its senders, in the order of their numbers.
func (l *load) seat(w *worker) {
	s := &w.spec
	each, groups := s.each(), s.groups()
	if each == 0 {
		return
	}
	next := make([]uint32, len(w.conns)*each)
	for i := range w.conns {
		w.conns[i].next = next[i*each : (i+1)*each : (i+1)*each]
	}
	for e := range each {
		for r := range groups {
			at := r + e*s.members()/each*groups
			if at < s.Lo || at >= s.Hi {
				continue
			}
			c := &w.conns[at-s.Lo]
			c.sender = int32(e)
			l.senders = append(l.senders, sender{number: e*groups + r, conn: c})
		}
	}
}
