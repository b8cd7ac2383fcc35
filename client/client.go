package client

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Client is a user's connection, which comes back. Make one with [New] or [Dial], and close it.
type Client struct {
	options  Options
	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	finished chan struct{}  // closed when the client's own goroutine has returned
	helpers  sync.WaitGroup // others

	arrived chan struct{} // there may be an event to take
	eased   chan struct{} // an event was taken, or a request waits: the reader may go on

	mu      sync.Mutex // of all that follows; conn.mu is taken within it
	state   State
	changed chan struct{} // closed and replaced when the state changes
	behind  chan struct{} // closed and replaced when those who wait are let go with ErrBehind
	err     error         // why the client is closed
	conn    *conn         // the connection, from welcome to end
	welcome Welcome
	name    string // the guest's wish
	session string
	calls   map[uint64]answered // requests on conn
	lastID  uint64
	waiting int // callers that wait for something from the server
	rooms   map[string]*Room
	order   []*Room // rooms as they were joined
	queue   queue
	outbox  outbox
	life    life
}

// answered is called once for a request, with mu held: with what the server said, or with an error that is an *Error if the server
// refuses, errLost or ErrTooLong if the connection ended before, ErrClosed if the client did.
type answered func(a *answer, err error)

// Welcome is what the server said of the connection that there is, or was last.
type Welcome struct {
	User      string        // the user's id; a guest's begins with ~
	Name      string        // how the user is called outside rooms
	Guest     bool          // there is no token
	Node      string        // which of several servers it is
	Server    string        // its version
	Heartbeat time.Duration // what the server asks for
	Expires   time.Time     // the token's end; zero if it has none
	Limits    Limits
}

// Limits are the server's; 0 means that it did not tell.
type Limits struct {
	Message int `json:"message"` // bytes of a request
	Rooms   int `json:"rooms"`   // that one connection may be in
	Rate    int `json:"rate"`    // messages a second
}

// New makes a client that connects at once, and until it is closed. The error is about the options.
func New(options Options) (*Client, error) {
	if err := options.settle(); err != nil {
		return nil, err
	}
	c := &Client{
		options: options, name: options.Name, session: options.Session,
		finished: make(chan struct{}), changed: make(chan struct{}), behind: make(chan struct{}),
		arrived: make(chan struct{}, 1), eased: make(chan struct{}, 1),
		calls: map[uint64]answered{}, rooms: map[string]*Room{},
		queue: queue{most: options.Events}, outbox: outbox{waiting: list.New()},
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	go c.run()
	return c, nil
}

// Dial makes a client and waits until the server has welcomed it. If the server does not want it, or ctx ends before, the client is closed, and the error
// says what was in the way. The client does not depend on ctx later.
func Dial(ctx context.Context, options Options) (*Client, error) {
	c, err := New(options)
	if err != nil {
		return nil, err
	}
	if err := c.online(ctx); err != nil {
		c.mu.Lock()
		if c.state.Phase != Closed && c.life.last != nil {
			err = fmt.Errorf("%w: %w", err, c.life.last)
		}
		c.mu.Unlock()
		c.Close()
		return nil, err
	}
	return c, nil
}

// Close says goodbye to the server, for up to a second, and ends everything: who waits gets [ErrClosed], what was not acknowledged is not sent
// again, and [Client.Events] ends when what it had is taken. It may be called several times, and always returns nil.
func (c *Client) Close() error {
	c.cancel()
	<-c.finished
	c.helpers.Wait()
	return nil
}

// State is what the client is doing.
func (c *Client) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// Err says why the client is closed: nil while it is not, and after Close, when nothing else closed it before.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Done is closed when the client is.
func (c *Client) Done() <-chan struct{} { return c.finished }

// Welcome is what the server said of the present connection or the last one. Before the first it is empty.
func (c *Client) Welcome() Welcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.welcome
}

// User is the id of the client's user, "" before the first welcome.
func (c *Client) User() string { return c.Welcome().User }

// Session is a guest's secret, with which another client is the same user: see [Options.Session]. It is "" before the first welcome, and with a token.
func (c *Client) Session() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session
}

// Rename gives a guest another name, now and after reconnects, and returns the name that the server gave.
func (c *Client) Rename(ctx context.Context, name string) (string, error) {
	a, err := c.ask(ctx, request{Type: "auth", Name: name})
	if err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.name, c.welcome.Name = name, a.Name
	return a.Name, nil
}

// Ping asks the server for its time, and waits for the answer.
func (c *Client) Ping(ctx context.Context) (time.Time, error) {
	a, err := c.ask(ctx, request{Type: "ping"})
	if err != nil {
		return time.Time{}, err
	}
	return time.UnixMilli(a.Time), nil
}

// online waits for a connection.
func (c *Client) online(ctx context.Context) error {
	for {
		c.mu.Lock()
		changed, there, closed := c.changed, c.conn != nil, c.state.Phase == Closed
		err := c.closedError()
		c.mu.Unlock()
		if closed {
			return err
		}
		if there {
			return nil
		}
		if err := c.await(ctx, changed); err != nil {
			return err
		}
	}
}

// await waits for something that only comes from the server.
func (c *Client) await(ctx context.Context, done <-chan struct{}) error {
	c.mu.Lock()
	c.waiting++
	behind := c.behind
	c.mu.Unlock()
	ring(c.eased)
	defer func() {
		c.mu.Lock()
		c.waiting--
		c.mu.Unlock()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-behind:
		return ErrBehind
	}
}

// ask sends a request that changes nothing when it is sent twice, as often as it needs, and waits for its answer.
func (c *Client) ask(ctx context.Context, r request) (*answer, error) {
	for {
		if err := c.online(ctx); err != nil {
			return nil, err
		}
		a, err := c.askOnce(ctx, r)
		if !errors.Is(err, errLost) && !errors.Is(err, ErrOffline) {
			return a, err
		}
	}
}

// askOnce sends a request on the present connection, if there is one.
func (c *Client) askOnce(ctx context.Context, r request) (*answer, error) {
	type reply struct {
		a   *answer
		err error
	}
	done := make(chan struct{})
	var got reply
	c.mu.Lock()
	if c.conn == nil {
		err := ErrOffline
		if c.state.Phase == Closed {
			err = c.closedError()
		}
		c.mu.Unlock()
		return nil, err
	}
	c.request(&r, func(a *answer, err error) {
		got = reply{a, err}
		close(done)
	})
	c.mu.Unlock()
	if err := c.await(ctx, done); err != nil {
		return nil, err
	}
	return got.a, got.err
}

// request sends a request on the connection that there is, with mu held. It may call back before it returns.
func (c *Client) request(r *request, then answered) (id uint64) {
	c.lastID++
	r.ID = c.lastID
	text, err := marshal(r)
	most := c.welcome.Limits.Message
	switch {
	case err != nil:
		then(nil, &Error{Code: CodeBadRequest, Message: err.Error(), Room: r.Room})
	case most > 0 && len(text) > most:
		then(nil, &Error{
			Code: CodeTooBig, Room: r.Room, Key: r.Key, Hint: "say less at once",
			Message: fmt.Sprintf("the request has %d bytes, and the server takes %d", len(text), most),
		})
	default:
		c.calls[r.ID] = then
		c.conn.send(text)
	}
	return r.ID
}

// closedError is what requests get when the client is closed. mu is held.
func (c *Client) closedError() error {
	if c.err != nil {
		return fmt.Errorf("%w: %w", ErrClosed, c.err)
	}
	return ErrClosed
}

// ring rings a bell that is answered once however often it was rung.
func ring(bell chan<- struct{}) {
	select {
	case bell <- struct{}{}:
	default:
	}
}
