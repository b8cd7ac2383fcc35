package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// tuesday is a rolling restart of three nodes behind HAProxy, with everybody connected and talking.
type tuesday struct {
	*testing.T
	clients      int
	delay        time.Duration // --drain-delay
	window       time.Duration // --drain-time
	full         bool          // not the small one of every day: times are held against what was promised
	town         town
	every        time.Duration // between two lines of a talker
	addrs        []string
	now          []*incarnation // by node
	before       []*incarnation // those that were restarted
	balancers    []*balancer
	commuters    []*commuter
	began, ended time.Time

	unreached, cut, refused atomic.Int64
}

const (
	// talkersAtOnce say something on each node. Each of them is sent away at some time of a drain, and chances are that one is among the last.
	talkersAtOnce = 4
	// clientsPerBalancer keeps a HAProxy below 20,000 descriptors.
	clientsPerBalancer = 7500
	// doors is how many connect at once in the beginning.
	doors = 32
)

// TestRollingRestart restarts all three nodes, one after the other. Whoever honours its slot is back at it; nobody is refused a connection; who stayed on a
// node has missed nothing and heard nothing twice. THRONG_RESTART says with how many clients (15000) and THRONG_RESTART_DRAIN over how long each node sends
// its people away (60s); a small one is the default, which judges what is counted strictly and times leniently.
func TestRollingRestart(t *testing.T) {
	d := &tuesday{T: t, clients: 300, delay: 3 * time.Second, window: 4 * time.Second, every: 200 * time.Millisecond}
	d.read()
	d.open()
	d.crowd()
	for node := range d.addrs {
		d.restart(node)
	}
	d.evening()
	d.judge()
}

// read looks at the environment.
func (d *tuesday) read() {
	if text := os.Getenv("THRONG_RESTART"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			d.Fatalf("THRONG_RESTART is %q; a number of clients such as 15000 is wanted", text)
		}
		d.clients, d.full, d.delay, d.every = n, true, 5*time.Second, 4*time.Second
	}
	if text := os.Getenv("THRONG_RESTART_DRAIN"); text != "" {
		window, err := time.ParseDuration(text)
		if err != nil || window <= 0 {
			d.Fatalf("THRONG_RESTART_DRAIN is %q; a time such as 60s is wanted", text)
		}
		d.window = window
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || int(limit.Cur) < d.clients+500 {
		d.Skipf("skipped: %d clients need more than %d descriptors (%v)", d.clients, limit.Cur, err)
	}
}

// open starts nodes and balancers.
func (d *tuesday) open() {
	d.addrs = freeAddresses(d.T, len(serverNames))
	d.now = make([]*incarnation, len(d.addrs))
	for i := range d.addrs {
		d.incarnate(i, 1)
	}
	for range 1 + (d.clients-1)/clientsPerBalancer {
		d.balancers = append(d.balancers, startHAProxy(d.T, d.addrs))
	}
	for i := range d.addrs {
		d.wait(i, "UP")
	}
}

// wait waits until each balancer finds a node in a state.
func (d *tuesday) wait(i int, state string) {
	for _, b := range d.balancers {
		b.becomes(serverNames[i], state)
	}
}

// incarnate starts a node, and people who talk on it.
func (d *tuesday) incarnate(i, generation int) {
	n := behindBalancer(d.T, d.addrs[i], "--drain-time", d.window.String(), "--drain-delay", d.delay.String())
	d.now[i] = &incarnation{node: n, name: fmt.Sprintf("%s, generation %d", serverNames[i], generation), delay: d.delay}
	d.talkOn(d.now[i])
}

func (d *tuesday) talkOn(at *incarnation) {
	for range talkersAtOnce {
		d.town.talk(d.T, at, d.every)
	}
}

// crowd brings the clients in.
func (d *tuesday) crowd() {
	var living sync.WaitGroup
	d.Cleanup(func() {
		for _, c := range d.commuters {
			c.home()
		}
		living.Wait()
	})
	for i := range d.clients {
		c := &commuter{town: &d.town, addr: d.balancers[i%len(d.balancers)].addr, from: visitor(i % 100), quit: make(chan struct{}),
			unreached: &d.unreached, cut: &d.cut, refused: &d.refused}
		d.commuters = append(d.commuters, c)
		living.Go(c.live)
		if i%doors == doors-1 {
			d.connected(i + 1 - doors)
		}
	}
	d.connected(d.clients)
	d.began = time.Now()
}

// connected waits until so many are.
func (d *tuesday) connected(want int) {
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		n := 0
		for _, c := range d.commuters {
			c.mu.Lock()
			if c.conn != nil {
				n++
			}
			c.mu.Unlock()
		}
		if n >= want {
			return
		}
		if time.Now().After(end) {
			d.Fatalf("%d of %d are connected", n, want)
		}
	}
}

// restart ends a node, and has another process take its place as soon as it is gone.
func (d *tuesday) restart(i int) {
	old := d.now[i]
	d.talkOn(old) // the others may be the first to be sent away
	old.mu.Lock()
	old.told = time.Now()
	old.mu.Unlock()
	old.signal(syscall.SIGTERM)
	select {
	case <-old.exited:
	case <-time.After(old.delay + d.window + patience):
		d.Fatalf("%s does not end", old.name)
	}
	if code := old.exit(); code != exitOK {
		d.Errorf("%s: exit code %d", old.name, code)
	}
	d.before = append(d.before, old)
	d.incarnate(i, 2)
	d.wait(i, "UP")
}

// evening waits until all are back, lets the talkers end, and waits until all that was said has been heard.
func (d *tuesday) evening() {
	for end := time.Now().Add(2 * d.window); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if d.back() {
			break
		}
	}
	d.connected(d.clients)
	d.ended = time.Now()
	time.Sleep(2 * d.every) // for those who came last
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if d.silent() && !slices.ContainsFunc(d.commuters, func(c *commuter) bool { return len(c.missed()) > 0 }) {
			return
		}
	}
}

// back reports whether nobody is on the way.
func (d *tuesday) back() bool {
	return !slices.ContainsFunc(d.commuters, func(c *commuter) bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.conn == nil
	})
}

// silent reports whether nobody talks any more, and nothing of it is under way.
func (d *tuesday) silent() bool {
	quiet := true
	for _, at := range d.now {
		for _, t := range at.talkers {
			sent, heard := t.hush()
			quiet = quiet && sent == heard
		}
	}
	return quiet
}

// wave is what one drain brought about.
type wave struct {
	of    *incarnation
	slots []time.Duration // of those who were sent away, sorted
	late  []time.Duration // after their slot were they back, sorted
	back  []time.Time
}

// paced is how many a second were sent away.
func (w *wave) paced(window time.Duration) float64 { return float64(len(w.slots)) / window.Seconds() }

// waves sorts the stays of all commuters by the drain that they came from.
func (d *tuesday) waves() []*wave {
	var all []*wave
	by := map[*incarnation]*wave{}
	for _, at := range d.before {
		by[at] = &wave{of: at}
		all = append(all, by[at])
	}
	for _, c := range d.commuters {
		c.mu.Lock()
		for i, s := range c.stays[1:] {
			w := by[d.town.where(c.stays[i])]
			if w == nil {
				continue // it has heard nothing there, which is reported elsewhere if it was for long
			}
			slot := c.stays[i].slot
			w.slots = append(w.slots, slot)
			w.back = append(w.back, s.from)
			w.late = append(w.late, s.from.Sub(s.came.at.Add(slot)))
		}
		c.mu.Unlock()
	}
	for _, w := range all {
		slices.Sort(w.slots)
		slices.Sort(w.late)
	}
	return all
}

// judge holds what happened against what was promised.
func (d *tuesday) judge() {
	waves := d.waves()
	d.report(waves)
	if n := d.unreached.Load(); n > 0 {
		d.Errorf("%d connections were refused", n)
	}
	if n := d.cut.Load(); n > 0 {
		d.Errorf("%d connections ended without an answer", n)
	}
	missed := 0
	for i, c := range d.commuters {
		for _, what := range c.missed() {
			if missed++; missed <= 10 {
				d.Errorf("client %d: %s", i, what)
			}
		}
	}
	for _, t := range d.town.talkers {
		if t.fault != "" {
			d.Error(t.fault)
		}
	}
	if missed > 10 {
		d.Errorf("and %d more", missed-10)
	}
	for _, w := range waves {
		d.judgeWave(w)
	}
	if !d.full {
		return
	}
	if n, allowed, at := d.busiest(waves); n > allowed {
		d.Errorf("%d came back in second %d, more than twice the paced rate, %d", n, at, allowed)
	}
}

// judgeWave looks at one drain. What clients were told is exact; when they were back depends on the machine.
func (d *tuesday) judgeWave(w *wave) {
	if len(w.slots) < d.clients/4 {
		d.Errorf("%s: only %d of %d were there", w.of.name, len(w.slots), d.clients)
		return
	}
	allowed := int(2*w.paced(d.window)) + 1
	for first, end := 0, 0; end < len(w.slots); end++ {
		for w.slots[end]-w.slots[first] >= time.Second {
			first++
		}
		if n := end + 1 - first; n > allowed {
			d.Errorf("%s: %d were told to come back within a second", w.of.name, n)
			break
		}
	}
	if last := w.slots[len(w.slots)-1]; last > d.window {
		d.Errorf("%s: a slot of %v", w.of.name, last)
	}
	late := patience
	if d.full {
		late = 2 * time.Second
	}
	if worst := w.late[len(w.late)-1]; worst > late {
		d.Errorf("%s: somebody was back %v after their slot", w.of.name, worst)
	}
}

// busiest finds the second in which most came back measured by how many may, which is twice the rate of the fastest drain of which people are on their way.
func (d *tuesday) busiest(waves []*wave) (n, allowed, at int) {
	seconds := int(d.ended.Sub(d.began)/time.Second) + 1
	count, may := make([]int, seconds), make([]int, seconds)
	for _, w := range waves {
		for _, back := range w.back {
			count[int(back.Sub(d.began)/time.Second)]++
		}
		from := w.of.sentFrom(0).Sub(d.began)
		for s := int(from / time.Second); s < min(seconds, int((from+2*d.window+2*time.Second)/time.Second)+1); s++ {
			may[s] = max(may[s], int(2*w.paced(d.window))+1)
		}
	}
	worst := -1.0
	for s := range count {
		if share := float64(count[s]) / float64(max(1, may[s])); count[s] > 0 && share > worst {
			worst, n, allowed, at = share, count[s], may[s], s
		}
	}
	return n, allowed, at
}

// report prints the day.
func (d *tuesday) report(waves []*wave) {
	var text strings.Builder
	fmt.Fprintf(&text, "%d clients, %d balancers, drains of %v; %.0f s\n", d.clients, len(d.balancers), d.window, d.ended.Sub(d.began).Seconds())
	fmt.Fprintf(&text, "%-22s %9s %8s %14s %10s %10s\n", "restarted", "sent away", "a second", "late: median", "p99", "worst")
	for _, w := range waves {
		if n := len(w.late); n > 0 {
			fmt.Fprintf(&text, "%-22s %9d %8.1f %14v %10v %10v\n", w.of.name, n, w.paced(d.window),
				w.late[n/2].Round(time.Millisecond), w.late[n*99/100].Round(time.Millisecond), w.late[n-1].Round(time.Millisecond))
		}
	}
	n, allowed, at := d.busiest(waves)
	fmt.Fprintf(&text, "busiest second: %d came back in second %d; twice the paced rate is %d\n", n, at, allowed)
	said, heard := 0, 0
	for _, t := range d.town.talkers {
		sent, _ := t.hush()
		said += sent
	}
	for _, c := range d.commuters {
		c.mu.Lock()
		for _, s := range c.stays {
			for _, h := range s.heard {
				heard += h.end - h.first
			}
		}
		c.mu.Unlock()
	}
	fmt.Fprintf(&text, "%d lines said, heard %d times; %d connections refused, %d cut, %d answered 503",
		said, heard, d.unreached.Load(), d.cut.Load(), d.refused.Load())
	d.Log(text.String())
}
