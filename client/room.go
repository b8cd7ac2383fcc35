package client

import (
	"context"
	"slices"
	"time"
)

// Since is a place in a recorded room, between a message and the next: the room's epoch, which [Joined] and [Gap] tell, and the message's Seq.
type Since struct {
	Epoch string `json:"epoch"`
	Seq   uint64 `json:"seq"`
}

// JoinOptions say where in a recorded room to begin. The zero value begins with what is said after joining.
type JoinOptions struct {
	Since Since // replay all that follows; needs an epoch
	Last  int   // replay so many, up to 1,000; Since goes before
}

// Room is a room that the client is in, and will be in again after each reconnect, until Leave, or until [Left] says that the server does not want it.
type Room struct {
	c       *Client
	name    string
	options JoinOptions
	ready   chan struct{} // closed when the server has answered the first time
	err     error         // what it answered, if not ok

	// What follows is under Client.mu.
	answered bool
	waiters  int // in Join
	joined   bool
	again    bool // it was joined before
	recorded bool
	alias    string
	refusals int // temporary ones, in a row
	place    place
	fetch    fetch
}

// Join brings the client into a room and waits until it is there, through reconnects if need be, and while the server answers that it cannot just now. A
// room that is joined already is given as it is. If ctx ends before, the room is left again. The error may also be an [*Error], [ErrClosed] or [ErrBehind].
func (c *Client) Join(ctx context.Context, room string, options JoinOptions) (*Room, error) {
	if room == "" {
		return nil, &Error{Code: CodeName, Message: "a room has a name"}
	}
	c.mu.Lock()
	if c.state.Phase == Closed {
		defer c.mu.Unlock()
		return nil, c.closedError()
	}
	r := c.rooms[room]
	if r == nil {
		r = &Room{c: c, name: room, options: options, ready: make(chan struct{})}
		r.place = place{epoch: options.Since.Epoch, seen: options.Since.Seq}
		c.rooms[room] = r
		c.order = append(c.order, r)
		if c.conn != nil {
			r.enter()
		}
	}
	r.waiters++
	c.mu.Unlock()

	err := c.await(ctx, r.ready)
	c.mu.Lock()
	defer c.mu.Unlock()
	r.waiters--
	if r.answered {
		err = r.err
	} else if r.waiters == 0 {
		r.quit(func(*answer, error) {})
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Inbox joins the room of what others say to the client's user alone.
func (c *Client) Inbox(ctx context.Context, options JoinOptions) (*Room, error) {
	if err := c.online(ctx); err != nil {
		return nil, err
	}
	return c.Join(ctx, "@"+c.User(), options)
}

// Name is the room's name.
func (r *Room) Name() string { return r.name }

// Alias is how the client's user is called in the room.
func (r *Room) Alias() string {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	return r.alias
}

// Recorded says whether the room stores what is said.
func (r *Room) Recorded() bool {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	return r.recorded
}

// Epoch is the room's epoch, "" if it is not recorded.
func (r *Room) Epoch() string {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	return r.place.epoch
}

// Publish is [Client.Publish] in this room.
func (r *Room) Publish(ctx context.Context, content Content, options ...PublishOption) (Ack, error) {
	return r.c.Publish(ctx, r.name, content, options...)
}

// Enqueue is [Client.Enqueue] in this room.
func (r *Room) Enqueue(ctx context.Context, content Content, options ...PublishOption) (*Receipt, error) {
	return r.c.Enqueue(ctx, r.name, content, options...)
}

// Signal tells everybody in the room something that is not stored, this client too. It is sent once, and only if there is a connection: else the error is [ErrOffline].
func (r *Room) Signal(ctx context.Context, content Content) error {
	q := request{Type: "signal", Room: r.name}
	if err := content.into(&q); err != nil {
		return err
	}
	_, err := r.c.askOnce(ctx, q)
	if err == errLost {
		err = ErrOffline
	}
	return err
}

// History is [Client.History] of this room.
func (r *Room) History(ctx context.Context, query HistoryQuery) (Page, error) {
	return r.c.History(ctx, r.name, query)
}

// Members is [Client.Members] of this room.
func (r *Room) Members(ctx context.Context) (Members, error) { return r.c.Members(ctx, r.name) }

// Leave leaves the room. None of its events comes after it, but for those that stand in the queue. Without a connection there is nothing to wait for.
func (r *Room) Leave(ctx context.Context) error {
	done := make(chan struct{})
	var failed error
	r.c.mu.Lock()
	r.quit(func(_ *answer, err error) {
		if e, refused := err.(*Error); refused && e.Code != CodeNotJoined {
			failed = e
		}
		close(done)
	})
	r.c.mu.Unlock()
	if err := r.c.await(ctx, done); err != nil {
		return err
	}
	return failed
}

// quit takes the room out of the client. mu is held.
func (r *Room) quit(then answered) {
	if r.c.rooms[r.name] != r {
		then(nil, nil)
		return
	}
	r.remove()
	if r.c.conn == nil {
		then(nil, nil)
		return
	}
	r.c.request(&request{Type: "leave", Room: r.name}, then)
}

func (r *Room) remove() {
	r.lost()
	delete(r.c.rooms, r.name)
	r.c.order = slices.DeleteFunc(r.c.order, func(other *Room) bool { return other == r })
}

// fail tells those who wait in Join that there will be no room.
func (r *Room) fail(err error) {
	if !r.answered {
		r.answered, r.err = true, err
		close(r.ready)
	}
}

// enter asks to join, on the connection that there is. mu is held.
func (r *Room) enter() {
	conn := r.c.conn
	q := request{Type: "join", Room: r.name}
	if r.place.fresh && r.options.Last > 0 || r.place.epoch == "" {
		q.Last = r.options.Last
	} else {
		q.Since = &Since{Epoch: r.place.epoch, Seq: r.place.seen}
	}
	r.c.request(&q, func(a *answer, err error) {
		if r.c.rooms[r.name] != r {
			return // left meanwhile
		}
		e, refused := err.(*Error)
		switch {
		case err == nil:
			r.entered(a, q.Since)
		case refused && e.temporary():
			r.pause(e.Retry, func() bool { return r.c.conn == conn && r.c.rooms[r.name] == r && !r.joined }, r.enter)
		case refused:
			r.remove()
			if r.answered {
				r.c.emit(Left{Room: r.name, Err: e})
			}
			r.fail(e)
		}
	})
}

// pause does something again after a while, if it still makes sense.
func (r *Room) pause(wait time.Duration, sensible func() bool, what func()) {
	if wait == 0 {
		wait = r.c.options.backoff(r.refusals)
	}
	r.refusals++
	time.AfterFunc(wait, func() {
		r.c.mu.Lock()
		defer r.c.mu.Unlock()
		if sensible() {
			what()
		}
	})
}

// entered: the server says where the room stands.
func (r *Room) entered(a *answer, since *Since) {
	r.joined, r.recorded, r.alias, r.refusals = true, a.Recorded, a.Name, 0
	replay := -1
	if a.Replay != nil {
		replay = *a.Replay
	}
	r.c.emit(Joined{
		Room: r.name, Again: r.again, Epoch: a.Epoch, Seq: a.Seq, Recorded: a.Recorded, Name: a.Name, Count: a.Count, Replay: replay,
	})
	r.again = true
	r.begin(a, since)
	if !r.answered {
		r.answered = true
		close(r.ready)
	}
}

// lost: the connection on which the room was joined is gone.
func (r *Room) lost() {
	r.joined = false
	r.fetch = fetch{generation: r.fetch.generation + 1}
}
