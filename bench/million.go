package bench

import (
	"fmt"
	"math"
	"time"
)

// Million says how to hold a great many connections that say nothing, on servers that the run starts itself:
//
//	connect ────▶ hold ────▶ say ────▶ evict
//	at a steady   nothing    each room  the servers' idle limit ends all,
//	rate          happens    once       in the order in which they last spoke
//
// A process holds no more connections than its descriptors, so there are many servers and as many workers as it takes;
// each server has rooms of its own. The idle limit has to be longer than everything before the eviction, or the first
// would go while the last are still coming.
type Million struct {
	Conns       int
	PerRoom     int
	Servers     int           // 0: as many as descriptors demand
	ConnectRate float64       // connections a second, of all workers together
	Hold        time.Duration // in silence, after the last has come
	IdleTimeout time.Duration // of the servers; 0: chosen by the sizes
	Server      []string      // their command, ADDR and TIMEOUT in it
	Self        []string      // how this program's bench is started, for the workers
	Progress    func(string)  // may be nil

	workers int // 0: as many as descriptors demand
}

// millionPlan is what follows from the sizes and from what a process may hold.
type millionPlan struct {
	servers, workers, rooms int
	say                     time.Duration // in which the rooms speak, one after the other
	idle                    time.Duration // the servers' limit
	why                     string        // how idle was chosen
}

const (
	// perProcessMax keeps processes alike on machines with high limits: more of them use more cores.
	perProcessMax = 19000
	// serverFiles is what a server keeps of its descriptors for itself, acceptors first of all.
	serverFiles = 512
	// connectSlack: the estimate assumes that connecting takes so much longer than its rate says.
	connectSlack = 1.5
	// saidPerSecond is how many deliveries a second the rooms are made to cause, a pace that two cores keep easily.
	saidPerSecond = 100000
	// idleMargin is for what stands still between the phases: looks at memory, the machine itself.
	idleMargin = 20 * time.Second
)

// plan sizes the run, for processes that may hold so many descriptors.
func (m *Million) plan(descriptors int) (p millionPlan, err error) {
	switch {
	case m.Conns < 1 || m.PerRoom < 1 || m.Conns%m.PerRoom != 0:
		return p, fmt.Errorf("--conns %d: want a multiple of --per-room %d", m.Conns, m.PerRoom)
	case m.ConnectRate == 0 || !countable(m.ConnectRate):
		return p, fmt.Errorf("--connect-rate %g: want more than 0", m.ConnectRate)
	case m.Hold <= 0:
		return p, fmt.Errorf("--for %s: want more than 0", m.Hold)
	case m.Servers < 0:
		return p, fmt.Errorf("--servers %d: want 1 or more, or 0 for as many as it takes", m.Servers)
	}
	p.rooms = m.Conns / m.PerRoom
	most := min(perProcessMax, descriptors-serverFiles)
	if most < m.PerRoom {
		return p, fmt.Errorf("a process may hold %d descriptors, which is too few for a room of %d: raise it (ulimit -n %d)", descriptors, m.PerRoom, m.PerRoom+serverFiles)
	}
	if p.workers = m.workers; p.workers == 0 {
		p.workers = (m.Conns + most - 1) / most
	}
	if p.servers = m.Servers; p.servers == 0 {
		p.servers = (p.rooms + most/m.PerRoom - 1) / (most / m.PerRoom)
	}
	each := (p.rooms + p.servers - 1) / p.servers * m.PerRoom
	if each > descriptors-serverFiles {
		return p, fmt.Errorf("--servers %d: each would hold %d connections and may hold %d descriptors: want %d servers",
			p.servers, each, descriptors, (p.rooms+most/m.PerRoom-1)/(most/m.PerRoom))
	}
	if p.rooms < p.servers {
		return p, fmt.Errorf("--servers %d: want at most one for each of %d rooms", p.servers, p.rooms)
	}
	p.say = max(time.Second, seconds(math.Ceil(float64(m.Conns)/saidPerSecond)))
	p.idle, p.why = m.IdleTimeout, "as --idle-timeout says"
	if p.idle == 0 {
		connect := m.connecting()
		p.idle = (connect + m.Hold + p.say + idleMargin).Round(time.Second)
		p.why = fmt.Sprintf("%s to connect (%g a second, and half as long again), %s to hold, %s to speak, %s in hand", connect, m.ConnectRate, m.Hold, p.say, idleMargin)
	}
	if left := p.beforeSilence(m); left <= 0 {
		return p, fmt.Errorf("--idle-timeout %s: want more than %s, which holding and speaking take, and the time to connect", p.idle, m.Hold+p.say)
	}
	return p, nil
}

// connecting is how long connecting is reckoned to take.
func (m *Million) connecting() time.Duration {
	return seconds(math.Ceil(float64(m.Conns) / m.ConnectRate * connectSlack))
}

// beforeSilence is how long connecting may take, so that nobody is evicted before everything is said.
func (p *millionPlan) beforeSilence(m *Million) time.Duration { return p.idle - m.Hold - p.say }

// tooSlow says, while connecting, that the first will be evicted before the last has spoken. Judged are the time that
// has passed and, once a tenth is there, the time that the rest will take at the rate so far.
func (p *millionPlan) tooSlow(m *Million, open int, passed time.Duration) error {
	most := p.beforeSilence(m)
	whole := passed
	if open*10 >= m.Conns {
		whole = time.Duration(float64(passed) / float64(open) * float64(m.Conns))
	}
	if whole <= most {
		return nil
	}
	advice := seconds(math.Ceil((whole*3/2 + m.Hold + p.say + idleMargin).Seconds()))
	return fmt.Errorf("%d of %d connections after %s: at this rate the servers' idle limit of %s would evict the first before all have spoken; start again with --idle-timeout %s",
		open, m.Conns, passed.Round(time.Second), p.idle, advice)
}
