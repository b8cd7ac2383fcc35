package engine

import (
	"context"
	"errors"
	"time"
)

// Kick closes the open connections that match, with a code and a text (cut to 123
// bytes), and returns how many there were. A code of 0 is 4403, after which clients
// stay away; an empty text is "kicked". It asks for some condition: to send everybody
// away there is Drain. Any goroutine but a loop's.
func (e *Engine) Kick(ctx context.Context, f Filter, code uint16, text string) (n int, err error) {
	if err := f.check(); err != nil {
		return 0, err
	}
	if f == (Filter{State: f.State}) {
		return 0, errors.New("engine: say whom to kick; to send everybody away, drain")
	}
	if code == 0 {
		code = ReasonKicked.Code()
	}
	if code != 1000 && code != 1008 && (code < 4000 || code > 4999) {
		return 0, errors.New("engine: a kick closes with 1000, 1008 or a code from 4000 to 4999")
	}
	if text == "" {
		text = reasonTable[ReasonKicked].text
	}
	return e.each(ctx, f, func(c *Conn) bool {
		c.end(ReasonKicked, code, text)
		return true
	})
}

// Tell sends a message, in the form that each wants, to each open connection that matches, to it alone, and returns
// to how many; an empty filter means everybody. What comes to them at the same
// time by their topics may come before or behind it. Any goroutine but a loop's.
func (e *Engine) Tell(ctx context.Context, f Filter, what *Contents) (n int, err error) {
	if err := f.check(); err != nil {
		return 0, err
	}
	return e.each(ctx, f, func(c *Conn) bool {
		own := &what[c.Form()]
		return own.Op != 0 && c.Send(own.Op, own.Data) == nil
	})
}

// each calls act on the open connections that match, by walks, and counts those for
// which it said yes.
func (e *Engine) each(ctx context.Context, f Filter, act func(c *Conn) bool) (n int, err error) {
	counts := make([]int, len(e.loops))
	answered, err := e.onLoops(ctx, f.loops(e), func(l *loop) *walk {
		return f.walk(l, func(c *Conn) int {
			if !c.Open() || !f.match(c) {
				return costLook
			}
			l.guarded(c, "operator", func() {
				if act(c) {
					counts[l.index]++
				}
			})
			return costWrite
		})
	})
	for l := range answered {
		n += counts[l.index]
	}
	return n, err
}

// sayAgain is how long Say waits for a congested topic between two tries.
const sayAgain = 10 * time.Millisecond

// Say publishes to a topic from outside any connection, in the topic's order. While
// the topic is congested it waits, as a speaker does. It returns how many were
// subscribed. Any goroutine but a loop's.
func (e *Engine) Say(ctx context.Context, topic string, what *Contents) (subscribers int, err error) {
	for {
		subscribers = e.Subscribers(topic)
		err = e.publish(topic, what)
		if !errors.Is(err, ErrCongested) {
			return subscribers, err
		}
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-e.quit:
			return 0, ErrStopped
		case <-time.After(sayAgain):
		}
	}
}

// Subscribers returns how many connections are subscribed to a topic. Any goroutine.
func (e *Engine) Subscribers(topic string) int {
	if t := e.topics.find(topic); t != nil {
		return t.subscribers()
	}
	return 0
}
