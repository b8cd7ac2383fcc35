package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/gobwas/ws"
)

// life is what the client remembers from one connection to the next. It belongs to run, but for last.
type life struct {
	address  int  // of options.URLs, the next one
	failures int  // in a row
	turns    int  // given out by the server, in a row, to connections that did not stand
	renewed  bool // a token was refused on a connection that had been welcomed, and another was asked for
	last     error
}

// ending is how a connection, or the attempt at one, ended.
type ending struct {
	err      error
	bye      *answer
	welcomed bool
	stood    time.Duration
}

// run connects, serves, waits, and again, until the client is closed.
func (c *Client) run() {
	defer close(c.finished)
	defer c.cancel()
	for {
		c.tell(State{Phase: Connecting})
		next := c.judge(c.connect())
		if c.ctx.Err() != nil {
			next = State{Phase: Closed}
		}
		if next.Phase == Waiting {
			c.tell(next)
			timer := time.NewTimer(time.Until(next.Until))
			select {
			case <-timer.C:
				continue
			case <-c.ctx.Done():
				timer.Stop()
				next = State{Phase: Closed}
			}
		}
		c.end(next)
		return
	}
}

// move tells another state. mu is held.
func (c *Client) move(s State) {
	c.state = s
	c.emit(s)
	close(c.changed)
	c.changed = make(chan struct{})
}

// end closes the client for good.
func (c *Client) end(s State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = s.Err
	err := c.closedError()
	c.outbox.endAll(err)
	for _, r := range c.order {
		r.fail(err)
	}
	c.move(s)
}

func (c *Client) tell(s State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.move(s)
}

// connect opens a connection and serves it to its end.
func (c *Client) connect() ending {
	address := c.options.URLs[c.life.address%len(c.options.URLs)]
	c.life.address++
	ctx, cancel := context.WithTimeout(c.ctx, c.options.Handshake)
	defer cancel()
	conn, err := c.dial(ctx, address)
	if err != nil {
		return ending{err: err}
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.fail(ctx.Err()) })
	welcome, err := conn.readWelcome()
	if !stop() || err != nil {
		return ending{err: conn.why(err), bye: conn.bye}
	}
	stop = context.AfterFunc(c.ctx, func() { conn.finish(ws.StatusNormalClosure, "", ErrClosed) })
	defer stop()
	began := time.Now()
	heartbeat := c.welcomed(conn, welcome)
	go conn.write(heartbeat, []byte(`{"type":"ping","id":0}`))
	err = conn.why(c.serve(conn))
	conn.finish(ws.StatusGoingAway, "", err)
	<-conn.gone
	c.lost(conn, err)
	return ending{err: err, bye: conn.bye, welcomed: true, stood: time.Since(began)}
}

// readWelcome reads up to the welcome. What is said instead of it is the error.
func (c *conn) readWelcome() (*answer, error) {
	var refused error
	for {
		text, err := c.read()
		if err != nil {
			if refused != nil {
				err = fmt.Errorf("%w; %w", refused, err)
			}
			return nil, err
		}
		a, err := decode(text)
		if err != nil {
			return nil, err
		}
		switch a.Type {
		case "welcome":
			return a, nil
		case "bye":
			c.bye = a
		case "error":
			refused = a.failure()
		default:
			return nil, errWelcome
		}
	}
}

// serve deals with what the server says, until it says no more.
func (c *Client) serve(conn *conn) error {
	for {
		text, err := conn.read()
		if err != nil {
			return err
		}
		a, err := decode(text)
		if err != nil {
			conn.finish(ws.StatusInvalidFramePayloadData, "", err)
			return err
		}
		if c.ctx.Err() != nil {
			continue // up to the server's Close frame
		}
		c.hear(conn, a)
		c.awaitEase(conn)
	}
}

// welcomed makes the connection the present one, and says on it what there is to say: the rooms first. It returns the heartbeat.
func (c *Client) welcomed(conn *conn, a *answer) time.Duration {
	heartbeat := milliseconds(a.Heartbeat, heartbeatMax)
	put(&heartbeat, heartbeatDefault)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn = conn
	c.welcome = Welcome{
		User: a.User, Name: a.Name, Guest: a.Guest, Node: a.Node, Server: a.Server,
		Heartbeat: heartbeat, Expires: moment(a.Expires), Limits: a.Limits,
	}
	if a.Session != "" {
		c.session = a.Session
	}
	c.move(State{Phase: Online})
	for _, r := range append([]*Room{}, c.order...) {
		r.enter()
	}
	c.pump()
	if c.options.Heartbeat > 0 {
		return c.options.Heartbeat
	}
	return max(heartbeat, heartbeatMin)
}

// lost takes leave of a connection: whoever waits for an answer is told.
func (c *Client) lost(conn *conn, err error) {
	cause := errLost
	if errors.Is(err, ErrTooLong) {
		cause = ErrTooLong
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn = nil
	for _, r := range c.order {
		r.lost()
	}
	calls := c.calls
	c.calls = map[uint64]answered{}
	for _, then := range calls {
		then(nil, cause)
	}
	c.outbox.release()
}

var turnPattern = regexp.MustCompile(`^(?:restart|rebalance); reconnect in (\d{1,9}) ms$`)

// turn is the wait that the end of a connection asks for.
func (e *ending) turn() (time.Duration, bool) {
	var closed *CloseError
	switch {
	case e.bye != nil && e.bye.Again && e.bye.In > 0:
		return milliseconds(e.bye.In, turnMax), true
	case errors.As(e.err, &closed) && closed.Code == int(ws.StatusGoingAway):
		if m := turnPattern.FindStringSubmatch(closed.Reason); m != nil {
			ms, _ := strconv.ParseInt(m[1], 10, 64) // nine digits at most
			return milliseconds(ms, turnMax), true
		}
	}
	return 0, false
}

// code is what the connection was closed with, by the Close frame or by the bye before it, and the error that says so.
func (e *ending) code() (int, error) {
	var closed *CloseError
	if errors.As(e.err, &closed) {
		return closed.Code, e.err
	}
	if e.bye != nil {
		code, _ := strconv.Atoi(string(e.bye.Code)) // a word: 0, which means nothing
		return code, fmt.Errorf("%w; %w", &CloseError{Code: code, Reason: e.bye.Reason}, e.err)
	}
	return 0, e.err
}

// unwanted: the server will not have us, or not with this token.
func (e *ending) unwanted(code int) (gone, token bool) {
	var refused *refusal
	switch {
	case errors.As(e.err, &refused) && refused.status == http.StatusUnauthorized, code == 4401:
		return true, true
	case errors.As(e.err, &refused) && refused.status == http.StatusForbidden, code == 4403:
		return true, false
	}
	return e.bye != nil && !e.bye.Again, false
}

// judge says what comes after a connection's end: waiting, or nothing.
func (c *Client) judge(e ending) State {
	l := &c.life
	stable := e.welcomed && e.stood >= stableAfter
	if stable {
		l.failures, l.turns, l.renewed = 0, 0, false
	}
	code, err := e.code()
	c.mu.Lock()
	l.last = err
	c.mu.Unlock()
	if gone, token := e.unwanted(code); gone {
		// A token may have expired while the machine slept. Another one is worth one attempt.
		if !token || !e.welcomed || c.options.Token == nil || l.renewed {
			return State{Phase: Closed, Err: err}
		}
		l.renewed = true
	}
	wait, isTurn := e.turn()
	if isTurn {
		if l.turns++; stable || l.turns <= 2 {
			return waiting(Restart, wait, err)
		}
		// One turn after the other, and none leads anywhere: that is a failure like any other.
	}
	var refused *refusal
	if errors.As(e.err, &refused) {
		wait = max(wait, refused.after)
	}
	why := Lost
	switch code {
	case 4408:
		why = Idle
	case 4429:
		why, wait = Fast, wait+fastPause
	}
	wait += c.options.backoff(l.failures)
	l.failures++
	return waiting(why, wait, err)
}

func waiting(why Why, wait time.Duration, err error) State {
	return State{Phase: Waiting, Why: why, Until: time.Now().Add(wait), Err: err}
}
