package main

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// incarnation is one process of a node, as long as it runs.
type incarnation struct {
	*node
	name    string        // of the node and its generation
	delay   time.Duration // its --drain-delay
	mu      sync.Mutex
	told    time.Time // when it was sent SIGTERM; zero before
	talkers []*talker
}

// sentFrom is the earliest that somebody with a slot can have been sent away. A slot is counted in whole milliseconds.
func (i *incarnation) sentFrom(slot time.Duration) time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.told.Add(i.delay + slot - time.Millisecond)
}

// talker says numbered lines on one incarnation, to which it is connected without the balancer.
type talker struct {
	id   int
	at   *incarnation
	conn *raw
	stop chan struct{}
	done sync.WaitGroup

	mu          sync.Mutex
	sent, heard []time.Time // of each line: before it was sent, after its speaker had it back
	fault       string
}

// town is what talkers and commuters have in common.
type town struct {
	mu      sync.Mutex
	talkers []*talker
}

// talk has somebody say something every so often until the end of the incarnation, until hush or until the end of the test.
func (w *town) talk(test *testing.T, at *incarnation, every time.Duration) {
	test.Helper()
	conn, err := dialRaw(at.addrs[0], "/", net.IPv4(127, 0, 0, 1), noHeader)
	if err != nil {
		test.Fatal(err)
	}
	w.mu.Lock()
	t := &talker{id: len(w.talkers), at: at, conn: conn, stop: make(chan struct{})}
	w.talkers = append(w.talkers, t)
	w.mu.Unlock()
	at.mu.Lock()
	at.talkers = append(at.talkers, t)
	at.mu.Unlock()
	t.done.Go(t.listen)
	t.done.Go(func() { t.speak(every) })
	test.Cleanup(func() {
		t.hush()
		_ = conn.Close()
		t.done.Wait()
	})
}

func (t *talker) speak(every time.Duration) {
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	for {
		select {
		case <-t.stop:
			return
		case <-ticks.C:
		}
		t.mu.Lock()
		line := fmt.Sprintf("%d %d", t.id, len(t.sent))
		t.sent = append(t.sent, time.Now())
		t.mu.Unlock()
		if t.conn.say(line) != nil {
			return
		}
	}
}

// listen waits for the talker's own lines to come back.
func (t *talker) listen() {
	for {
		first, payload, err := t.conn.next()
		if err != nil {
			return
		}
		if first == closeFrame {
			t.conn.goodbye(payload)
			return
		}
		id, number, err := parseLine(payload)
		if err == nil && id != t.id {
			continue
		}
		t.mu.Lock()
		if err != nil || number != len(t.heard) {
			t.fault = fmt.Sprintf("talker %d heard %q instead of its line %d", t.id, payload, len(t.heard))
		}
		t.heard = append(t.heard, time.Now())
		t.mu.Unlock()
	}
}

// hush ends the talking, and returns how many lines were said and how many of them came back to their speaker by now.
func (t *talker) hush() (sent, heard int) {
	select {
	case <-t.stop:
	default:
		close(t.stop)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.sent), len(t.heard)
}

// due are the lines that somebody must have who was there from one moment to another: sent after the one, and back at their speaker before the other.
func (t *talker) due(from, until time.Time) (first, end int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for first < len(t.sent) && !t.sent[first].After(from) {
		first++
	}
	end = first
	for end < len(t.heard) && t.heard[end].Before(until) {
		end++
	}
	return first, end
}

func parseLine(payload []byte) (id, number int, err error) {
	a, b, found := strings.Cut(string(payload), " ")
	if !found {
		return 0, 0, errors.New("no line")
	}
	if id, err = strconv.Atoi(a); err == nil {
		number, err = strconv.Atoi(b)
	}
	return id, number, err
}

// span is the lines of one talker that were heard: all of them from first to before end.
type span struct{ first, end int }

// stay is one connection of a commuter.
type stay struct {
	from, until time.Time
	came        farewell // of the stay before, at whose slot this one began
	slot        time.Duration
	heard       map[int]span
}

// commuter is a client that is there all the time, and comes back when it was told to.
type commuter struct {
	town *town
	addr string
	from net.IP
	quit chan struct{}

	mu     sync.Mutex
	conn   *raw
	stays  []*stay
	faults []string

	unreached, cut, refused *atomic.Int64 // tries that failed: without a connection, without an answer, with a 503
}

// live is the commuter's day.
func (c *commuter) live() {
	var bye farewell
	for {
		s := &stay{came: bye, heard: map[int]span{}}
		conn := c.enter()
		if conn == nil {
			return
		}
		s.from = time.Now()
		c.mu.Lock()
		c.conn, c.stays = conn, append(c.stays, s)
		c.mu.Unlock()
		select {
		case <-c.quit: // while it was on the way
			_ = conn.Close()
			return
		default:
		}
		ending, over := c.listen(conn, s)
		if over {
			return
		}
		slot, err := ending.turn()
		c.mu.Lock()
		s.until, s.slot = ending.at, slot
		c.conn = nil
		if err != nil {
			c.faults = append(c.faults, "not sent away with a slot: "+err.Error())
		}
		c.mu.Unlock()
		if !c.wait(time.Until(ending.at.Add(slot))) {
			return
		}
		bye = ending
	}
}

// wait returns false if the day is over.
func (c *commuter) wait(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-c.quit:
		return false
	}
}

// enter connects, and tries again until it is in.
func (c *commuter) enter() *raw {
	for {
		conn, err := dialRaw(c.addr, "/", c.from, "")
		if err == nil {
			return conn
		}
		again := 100 * time.Millisecond
		var no *refusal
		switch {
		case errors.Is(err, errUnreached):
			c.unreached.Add(1)
		case errors.As(err, &no):
			c.refused.Add(1)
			again = max(again, no.retryAfter)
		default:
			c.cut.Add(1)
		}
		if !c.wait(again) {
			return nil
		}
	}
}

// listen hears what is said until the end of the stay. over says that it is the day's.
func (c *commuter) listen(conn *raw, s *stay) (bye farewell, over bool) {
	for {
		first, payload, err := conn.next()
		select {
		case <-c.quit:
			_ = conn.Close()
			return bye, true
		default:
		}
		if err != nil {
			_ = conn.Close()
			return farewell{at: time.Now()}, false
		}
		if first == closeFrame {
			return conn.goodbye(payload), false
		}
		id, number, err := parseLine(payload)
		c.mu.Lock()
		h, known := s.heard[id]
		switch {
		case err != nil:
			c.faults = append(c.faults, fmt.Sprintf("heard %q", payload))
		case !known:
			s.heard[id] = span{number, number + 1}
		case number != h.end:
			c.faults = append(c.faults, fmt.Sprintf("line %d of talker %d came after line %d", number, id, h.end-1))
			fallthrough
		default:
			s.heard[id] = span{h.first, number + 1}
		}
		c.mu.Unlock()
	}
}

// home ends the commuter's day.
func (c *commuter) home() {
	close(c.quit)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		_ = c.conn.Close()
	}
}

// missed says what the commuter should have heard and did not, while it stayed in one place.
func (c *commuter) missed() (found []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	found = append(found, c.faults...)
	for _, s := range c.stays {
		at := c.town.where(s)
		if at == nil {
			if until := s.until; until.IsZero() || until.Sub(s.from) > 5*time.Second {
				found = append(found, fmt.Sprintf("heard nothing in %v", time.Since(s.from)))
			}
			continue
		}
		until := time.Now().Add(time.Hour)
		if !s.until.IsZero() {
			until = at.sentFrom(s.slot)
		}
		at.mu.Lock()
		talkers := at.talkers
		at.mu.Unlock()
		for id := range s.heard {
			if c.town.talker(id).at != at {
				found = append(found, fmt.Sprintf("heard talker %d on %s", id, at.name))
			}
		}
		for _, t := range talkers {
			first, end := t.due(s.from, until)
			if h := s.heard[t.id]; first < end && (h.first > first || h.end < end) {
				found = append(found, fmt.Sprintf("on %s lines %d to %d of talker %d are due, heard were %d to %d", at.name, first, end-1, t.id, h.first, h.end-1))
			}
		}
	}
	return found
}

func (w *town) talker(id int) *talker {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.talkers[id]
}

// where is the incarnation on which a stay is: that of a talker that was heard there.
func (w *town) where(s *stay) *incarnation {
	for id := range s.heard {
		return w.talker(id).at
	}
	return nil
}

// TestCommuterMisses: whoever judges others is judged too.
func TestCommuterMisses(t *testing.T) {
	noon := time.Now()
	at := func(ms int) time.Time { return noon.Add(time.Duration(ms) * time.Millisecond) }
	here, there := &incarnation{name: "here", told: at(900), delay: 0}, &incarnation{name: "there"}
	w := &town{}
	for id, i := range []*incarnation{here, here, there} {
		talker := &talker{id: id, at: i}
		for line := range 10 { // one every 100 ms, and back after 10
			talker.sent, talker.heard = append(talker.sent, at(100*line)), append(talker.heard, at(100*line+10))
		}
		w.talkers, i.talkers = append(w.talkers, talker), append(i.talkers, talker)
	}
	for what, c := range map[string]struct {
		from, until, slot int // until 0: still there; sent away is at told and the slot
		heard             map[int]span
		want              string
	}{
		"all":                      {250, 0, 0, map[int]span{0: {3, 10}, 1: {3, 10}}, ""},
		"one more at each end":     {250, 0, 0, map[int]span{0: {2, 11}, 1: {3, 10}}, ""},
		"all until sent away":      {250, 905, 5, map[int]span{0: {3, 9}, 1: {3, 9}}, ""},
		"not the first":            {250, 0, 0, map[int]span{0: {4, 10}, 1: {3, 10}}, "lines 3 to 9 of talker 0 are due, heard were 4 to 9"},
		"not the last":             {250, 0, 0, map[int]span{0: {3, 10}, 1: {3, 9}}, "lines 3 to 9 of talker 1 are due, heard were 3 to 8"},
		"not the last before":      {250, 950, 50, map[int]span{0: {3, 9}, 1: {3, 10}}, "lines 3 to 9 of talker 0 are due, heard were 3 to 8"},
		"nothing of one":           {250, 0, 0, map[int]span{0: {3, 10}}, "talker 1 are due"},
		"nothing":                  {250, 0, 0, nil, "heard nothing"},
		"somebody of another node": {250, 0, 0, map[int]span{0: {3, 10}, 1: {3, 10}, 2: {3, 10}}, "heard talker"},
	} {
		s := &stay{from: at(c.from), slot: time.Duration(c.slot) * time.Millisecond, heard: c.heard}
		if c.until > 0 {
			s.until = at(c.until)
		}
		missed := (&commuter{town: w, stays: []*stay{s}}).missed()
		if got := strings.Join(missed, "; "); (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", what, got, c.want)
		}
	}
}
