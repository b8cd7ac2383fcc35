package client

import (
	"context"
	"iter"
	"time"
)

// queue holds the events that nobody has taken yet, oldest first. Who uses it holds Client.mu.
type queue struct {
	events []Event // those before head are taken
	head   int
	bytes  int // of content
	most   int
	taken  uint64
}

func (q *queue) length() int { return len(q.events) - q.head }

// full: there are so many times as many as there may be.
func (q *queue) full(times int) bool {
	return q.length() >= times*q.most || q.bytes >= times*eventBytesMax
}

func (q *queue) push(e Event) {
	if n := len(q.events); q.length() > 0 {
		_, isState := e.(State)
		if _, wasState := q.events[n-1].(State); isState && wasState {
			q.events[n-1] = e
			return
		}
	}
	q.events = append(q.events, e)
	q.bytes += weight(e)
}

func (q *queue) pop() (Event, bool) {
	if q.length() == 0 {
		return nil, false
	}
	e := q.events[q.head]
	q.events[q.head] = nil
	q.head++
	q.taken++
	q.bytes -= weight(e)
	if q.head == len(q.events) || q.head >= 1024 && 2*q.head >= len(q.events) {
		n := copy(q.events, q.events[q.head:])
		clear(q.events[n:])
		q.events, q.head = q.events[:n], 0
	}
	return e, true
}

// weight is how many bytes an event counts.
func weight(e Event) int {
	switch e := e.(type) {
	case Message:
		return len(e.Content.bytes)
	case Signal:
		return len(e.Content.bytes)
	case Presence:
		return 64 * (len(e.Joined) + len(e.Left) + len(e.Members))
	}
	return 0
}

// emit gives an event to who takes them. mu is held.
func (c *Client) emit(e Event) {
	if _, isNotice := e.(Notice); isNotice && c.queue.full(1) {
		return // who does not take events does not want these
	}
	c.queue.push(e)
	ring(c.arrived)
}

// Events takes events as they come, until ctx ends or the client is closed and has no more. Several may take them; each event goes to one.
func (c *Client) Events(ctx context.Context) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		defer ring(c.arrived) // this one may have heard the bell and not taken the event
		for ctx.Err() == nil {
			c.mu.Lock()
			e, taken := c.queue.pop()
			more, closed := c.queue.length() > 0, c.state.Phase == Closed
			c.mu.Unlock()
			if more || closed {
				ring(c.arrived) // for others who take them
			}
			switch {
			case taken:
				ring(c.eased)
				if !yield(e) {
					return
				}
			case closed:
				return
			default:
				select {
				case <-c.arrived:
				case <-ctx.Done():
				}
			}
		}
	}
}

// awaitEase is where the reader waits while too many events stand in the queue: the socket is not read meanwhile. While somebody waits for an answer
// the queue may grow beyond its bound, and if it does not move at all in ten seconds who waits is let go, since the events' taker may be among them.
func (c *Client) awaitEase(conn *conn) {
	var patience <-chan time.Time
	var taken uint64
	for {
		c.mu.Lock()
		over := c.queue.full(overrunFactor)
		pause := over || c.queue.full(1) && c.waiting == 0
		stuck := over && c.waiting > 0
		moved := c.queue.taken != taken
		taken = c.queue.taken
		c.mu.Unlock()
		if !pause {
			break
		}
		conn.pulse.deaf.Store(true)
		switch {
		case !stuck:
			patience = nil
		case moved || patience == nil:
			patience = time.After(behindAfter)
		}
		select {
		case <-c.eased:
		case <-c.ctx.Done():
			return
		case <-conn.gone:
			return
		case <-patience:
			patience = nil
			c.mu.Lock()
			close(c.behind)
			c.behind = make(chan struct{})
			c.mu.Unlock()
		}
	}
	if conn.pulse.deaf.Load() {
		conn.pulse.heard.Store(conn.since())
		conn.pulse.deaf.Store(false)
	}
}
