package client

import (
	"container/list"
	"context"
	"crypto/rand"
	"fmt"
	"time"
)

// outbox holds the messages that the server has not acknowledged, in the order in which they were given. Those under way stand among the
// first. Who uses it holds Client.mu.
type outbox struct {
	waiting  *list.List // of *Receipt
	bytes    int        // of their content
	underway int        // requests that have no answer
	held     *time.Timer
	refusals int // temporary ones, in a row
}

// Ack is the server's word for a message.
type Ack struct {
	Seq       uint64 // its number in the room; 0 in a room that is not recorded
	Stored    bool   // the room is recorded, and has it
	Duplicate bool   // it had been stored before, and this was a resend
}

// Receipt stands for a message that is on its way.
type Receipt struct {
	c       *Client
	request request
	element *list.Element
	sent    bool
	last    *Error // a temporary refusal
	forget  func() bool
	done    chan struct{}
	ack     Ack
	err     error
}

// PublishOption changes how a message is published.
type PublishOption func(*Receipt)

// WithKey gives a message a key of one's own, of 1 to 64 bytes, instead of a random one of 128 bits. Whoever publishes the same key in the same
// room again, as after a restart of a program, gets the acknowledgement of what was stored before.
func WithKey(key string) PublishOption { return func(r *Receipt) { r.request.Key = key } }

// Publish says something in a room and waits until the server acknowledges it. It need not be joined, if the server's policy allows that.
// The error is an [*Error] if the server refuses, ctx's if it ended before, or one of [ErrQueueFull], [ErrClosed] and [ErrBehind]. After ctx's end and
// the last two the message may have arrived or not; publish it again with the same key to be sure.
func (c *Client) Publish(ctx context.Context, room string, content Content, options ...PublishOption) (Ack, error) {
	r, err := c.Enqueue(ctx, room, content, options...)
	if err != nil {
		return Ack{}, err
	}
	return r.wait(ctx)
}

// Enqueue says something in a room and does not wait. Messages get there in the order in which they were given. When ctx ends the message is not sent
// any more if it was not acknowledged. The errors are those of Publish that need no server.
func (c *Client) Enqueue(ctx context.Context, room string, content Content, options ...PublishOption) (*Receipt, error) {
	r := &Receipt{c: c, request: request{Type: "publish", Room: room, Key: rand.Text()}, done: make(chan struct{})}
	for _, option := range options {
		option(r)
	}
	if err := content.into(&r.request); err != nil {
		return nil, err
	}
	if room == "" {
		return nil, &Error{Code: CodeName, Message: "a room has a name"}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.Phase == Closed {
		return nil, c.closedError()
	}
	o := &c.outbox
	if o.waiting.Len() >= c.options.Pending || o.bytes+len(content.bytes) > pendingBytesMax && o.waiting.Len() > 0 {
		return nil, ErrQueueFull
	}
	r.element = o.waiting.PushBack(r)
	o.bytes += len(content.bytes)
	r.forget = context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		r.end(Ack{}, ctx.Err())
		c.pump()
	})
	c.pump()
	return r, nil
}

// Key is the message's key.
func (r *Receipt) Key() string { return r.request.Key }

// Done is closed when the message was acknowledged or refused, or was given up.
func (r *Receipt) Done() <-chan struct{} { return r.done }

// Wait waits until Done and returns what the server said. If ctx ends first it returns ctx's error, and the message stays on its way.
func (r *Receipt) Wait(ctx context.Context) (Ack, error) {
	if err := r.c.await(ctx, r.done); err != nil {
		return Ack{}, err
	}
	return r.ack, r.err
}

// wait is Wait for who gives the message up with the wait.
func (r *Receipt) wait(ctx context.Context) (Ack, error) {
	if err := r.c.await(ctx, r.done); err != nil {
		r.c.mu.Lock()
		defer r.c.mu.Unlock()
		r.end(Ack{}, err)
	}
	return r.ack, r.err // both were set before done was closed
}

// end says what became of a message, once. mu is held.
func (r *Receipt) end(ack Ack, err error) {
	if r.element == nil {
		return
	}
	o := &r.c.outbox
	o.waiting.Remove(r.element)
	r.element = nil
	o.bytes -= r.size()
	if err != nil && r.last != nil {
		err = fmt.Errorf("%w; the server's last answer: %w", err, r.last)
	}
	r.ack, r.err = ack, err
	r.forget()
	close(r.done)
}

func (r *Receipt) size() int {
	switch {
	case r.request.Text != nil:
		return len(*r.request.Text)
	case r.request.Data != nil:
		return len(*r.request.Data)
	}
	return len(r.request.JSON)
}

// endAll gives all messages up.
func (o *outbox) endAll(err error) {
	for e := o.waiting.Front(); e != nil; e = o.waiting.Front() {
		e.Value.(*Receipt).end(Ack{}, err)
	}
}

// pump sends what may be sent now. mu is held.
func (c *Client) pump() {
	o := &c.outbox
	most := inFlightMax
	if rate := c.welcome.Limits.Rate; rate > 0 {
		most = min(most, rate)
	}
	for e := o.waiting.Front(); e != nil && c.conn != nil && o.held == nil && o.underway < most; {
		r := e.Value.(*Receipt)
		e = e.Next()
		if r.sent {
			continue
		}
		r.sent = true
		o.underway++
		c.request(&r.request, func(a *answer, err error) { r.answered(a, err) })
	}
}

// answered deals with the answer to a message, or with the lack of one.
func (r *Receipt) answered(a *answer, err error) {
	c, o := r.c, &r.c.outbox
	o.underway--
	r.sent = false
	if err == nil {
		o.refusals = 0
		r.end(Ack{Seq: a.Seq, Stored: a.Stored, Duplicate: a.Duplicate}, nil)
		c.pump()
		return
	}
	e, refused := err.(*Error)
	switch {
	case !refused: // the connection ended: it is sent on the next
	case e.temporary():
		r.last = e
		c.hold(e.Retry)
	default:
		r.last = nil
		r.end(Ack{}, e)
	}
	c.pump()
}

// hold sends nothing for a while, since the server asks for it.
func (c *Client) hold(wait time.Duration) {
	o := &c.outbox
	if o.held != nil {
		return
	}
	if wait == 0 {
		wait = c.options.backoff(o.refusals)
	}
	o.refusals++
	o.held = time.AfterFunc(wait, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		o.held = nil
		c.pump()
	})
}

// release ends a hold: another connection may be another server.
func (o *outbox) release() {
	if o.held != nil && o.held.Stop() {
		o.held = nil
	}
}
