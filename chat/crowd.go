package chat

import (
	"slices"
	"strconv"
	"time"
)

// crowd is who is in a room. Of this node's people those who have a name are listed, up to a bound; everybody else is counted. Other nodes tell what
// they count, and whom they list. Guarded by the room's lock.
//
//	enter ──▶ here ──────▶ told: joined
//	            │  ▲
//	       last │  │ comes back within the grace
//	 connection ▼  │
//	          going ──────▶ told: left, and forgotten
//
// What changes is told once a second, so that somebody whose network flaps is no news.
type crowd struct {
	people    []person
	byUser    map[string]int32 // over people, once they are many
	names     map[string]int32 // how often each display name is taken, likewise
	nameless  int              // connections that are not listed
	toldCount int              // the count that was told last
	elsewhere map[string]*outside
	changed   []string // users whose state may have to be told
}

// person is a user of this node in a room, with all devices.
type person struct {
	user, name string
	gone       int64 // nanoseconds since when no connection is here, 0: some are
	conns      int32
	told       bool // the others know of this user
	renamed    bool // but not by this name
}

// outside is what another node says of the room.
type outside struct {
	count  int
	people map[string]string // names by user; of those that it lists
}

const (
	// listedMax is how many people of a room a node lists. In a larger crowd nobody reads a list.
	listedMax = 500
	// indexedFrom is the size from which a crowd is looked up in maps.
	indexedFrom = 16
	// absenceGrace is how long somebody whose connections all ended still counts as here: long enough for a page to come back from a lost network.
	absenceGrace = 6 * time.Second
)

// enter adds a connection of a user. It returns the name that the room shows, and whether the user is listed: not if too many are.
func (c *crowd) enter(user, name string) (shown string, listed bool) {
	if i := c.find(user); i >= 0 {
		p := &c.people[i]
		p.conns++
		p.gone = 0
		return p.name, true
	}
	if len(c.people) >= listedMax {
		c.nameless++
		return name, false
	}
	shown = c.free(name)
	c.insert(person{user: user, name: shown, conns: 1})
	c.changed = append(c.changed, user)
	return shown, true
}

// leave takes a connection away. With the last one somebody who said goodbye is gone at once, anybody else after the grace.
func (c *crowd) leave(user string, listed, goodbye bool, now int64) {
	if !listed {
		c.nameless--
		return
	}
	i := c.find(user)
	if i < 0 {
		return
	}
	p := &c.people[i]
	if p.conns--; p.conns > 0 {
		return
	}
	p.gone = now
	if goodbye {
		p.gone = now - int64(absenceGrace)
	}
	c.changed = append(c.changed, user)
}

// rename gives somebody who is listed another name, and returns the one that the room shows.
func (c *crowd) rename(user, name string) (shown string) {
	i := c.find(user)
	if i < 0 {
		return name
	}
	p := &c.people[i]
	if p.name == name {
		return name
	}
	c.count(p.name, -1)
	p.name = ""
	shown = c.free(name)
	p.name = shown
	c.count(shown, +1)
	p.renamed = true
	c.changed = append(c.changed, user)
	return shown
}

// find returns a user's place, -1 if it is not listed.
func (c *crowd) find(user string) int {
	if c.byUser != nil {
		if i, ok := c.byUser[user]; ok {
			return int(i)
		}
		return -1
	}
	return slices.IndexFunc(c.people, func(p person) bool { return p.user == user })
}

func (c *crowd) insert(p person) {
	if len(c.people) == cap(c.people) && len(c.people) < indexedFrom { // two people are the usual crowd
		c.people = append(make([]person, 0, 2*len(c.people)+1), c.people...)
	}
	c.people = append(c.people, p)
	switch {
	case c.byUser != nil:
		c.byUser[p.user] = int32(len(c.people) - 1)
		c.count(p.name, +1)
	case len(c.people) > indexedFrom:
		c.byUser, c.names = make(map[string]int32), make(map[string]int32)
		for i, p := range c.people {
			c.byUser[p.user] = int32(i)
			c.count(p.name, +1)
		}
	}
}

// remove forgets a person.
func (c *crowd) remove(i int) {
	last := len(c.people) - 1
	gone := c.people[i]
	c.people[i] = c.people[last]
	c.people[last] = person{}
	c.people = c.people[:last]
	if c.byUser == nil {
		return
	}
	if i != last {
		c.byUser[c.people[i].user] = int32(i)
	}
	delete(c.byUser, gone.user)
	c.count(gone.name, -1)
}

// count keeps the books of names.
func (c *crowd) count(name string, by int32) {
	if c.names == nil {
		return
	}
	if c.names[name] += by; c.names[name] == 0 {
		delete(c.names, name)
	}
}

// taken reports whether somebody in the room is shown by a name already.
func (c *crowd) taken(name string) bool {
	if c.names != nil && c.names[name] > 0 {
		return true
	}
	if c.names == nil && slices.ContainsFunc(c.people, func(p person) bool { return p.name == name }) {
		return true
	}
	for _, o := range c.elsewhere {
		for _, other := range o.people {
			if other == name {
				return true
			}
		}
	}
	return false
}

// free returns the name, or, if somebody has it, the name with a number behind it.
func (c *crowd) free(name string) string {
	if !c.taken(name) {
		return name
	}
	for n := 2; ; n++ {
		if tried := name + " " + strconv.Itoa(n); !c.taken(tried) {
			return tried
		}
	}
}

// here is how many this node counts. Each listed user is one, every connection that is not listed too.
func (c *crowd) here() int { return len(c.people) + c.nameless }

// size is how many there are on all nodes. Somebody on two nodes is counted on both.
func (c *crowd) size() int {
	n := c.here()
	for _, o := range c.elsewhere {
		n += o.count
	}
	return n
}

// list calls f with everybody who is listed, on all nodes, each user once.
func (c *crowd) list(f func(user, name string)) {
	for i := range c.people {
		f(c.people[i].user, c.people[i].name)
	}
	for _, o := range c.elsewhere {
		for user, name := range o.people {
			if c.find(user) < 0 {
				f(user, name)
			}
		}
	}
}

// complete reports whether the list has everybody.
func (c *crowd) complete() bool {
	if c.nameless > 0 {
		return false
	}
	for _, o := range c.elsewhere {
		if o.count > len(o.people) {
			return false
		}
	}
	return true
}

// news returns whose coming and going is to be told now, and whether some must wait for the grace of those who are away.
func (c *crowd) news(now int64) (joined, left []person, waiting bool) {
	changed := c.changed
	c.changed = nil
	for _, user := range changed {
		i := c.find(user)
		if i < 0 {
			continue
		}
		p := &c.people[i]
		switch {
		case p.conns > 0 && (!p.told || p.renamed):
			p.told, p.renamed = true, false
			joined = append(joined, *p)
		case p.conns == 0 && now-p.gone < int64(absenceGrace):
			c.changed = append(c.changed, user)
		case p.conns == 0:
			if p.told {
				left = append(left, *p)
			}
			c.remove(i)
		}
	}
	return joined, left, len(c.changed) > 0
}

// empty reports whether nobody of this node is here, or might come back within the grace.
func (c *crowd) empty() bool { return len(c.people) == 0 && c.nameless == 0 }
