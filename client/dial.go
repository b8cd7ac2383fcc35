package client

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/gobwas/ws"
)

// refusal is an answer to the handshake other than 101.
type refusal struct {
	status int
	after  time.Duration // when to try again; 0 if not told
}

// Error says the status.
func (r *refusal) Error() string {
	return "throng: the server refuses the connection: " + strconv.Itoa(r.status) + " " + http.StatusText(r.status)
}

// dial opens a connection that speaks throng.v1. The server has not said anything on it yet.
func (c *Client) dial(ctx context.Context, address string) (*conn, error) {
	token, err := c.askToken(ctx)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	query := u.Query()
	c.mu.Lock()
	for name, value := range map[string]string{"name": c.name, "session": c.session} {
		if value != "" && token == "" {
			query.Set(name, value)
		}
	}
	c.mu.Unlock()
	u.RawQuery = query.Encode()
	if u.Path == "" {
		u.Path = "/"
	}
	var refused *refusal
	var shy *shyConn
	dialer := ws.Dialer{
		Protocols: []string{subprotocol},
		NetDial:   c.options.NetDial,
		TLSConfig: c.options.TLS,
		WrapConn: func(socket net.Conn) net.Conn {
			shy = &shyConn{Conn: socket, left: handshakeBytesMax}
			return shy
		},
		OnStatusError: func(status int, _ []byte, answer io.Reader) {
			refused = &refusal{status: status, after: retryAfter(answer)}
		},
	}
	if token != "" {
		dialer.Header = ws.HandshakeHeaderHTTP{"Authorization": {"Bearer " + token}}
	}
	socket, ahead, shake, err := dialer.Dial(ctx, u.String())
	switch {
	case refused != nil:
		return nil, refused
	case err != nil:
		return nil, err
	case shake.Protocol != subprotocol:
		socket.Close()
		return nil, errProtocol
	}
	shy.trusts = true
	return newConn(socket, ahead, c.options.FrameMax), nil
}

// shyConn reads no more than so much until it is told that the peer can be trusted: a handshake's head has no bound of its own.
type shyConn struct {
	net.Conn
	left   int
	trusts bool
}

func (c *shyConn) Read(to []byte) (int, error) {
	if c.trusts {
		return c.Conn.Read(to)
	}
	if c.left == 0 {
		return 0, errHead
	}
	n, err := c.Conn.Read(to[:min(len(to), c.left)])
	c.left -= n
	return n, err
}

// retryAfter reads when a refused handshake may be tried again. What it reads of the answer is bounded.
func retryAfter(answer io.Reader) time.Duration {
	response, err := http.ReadResponse(bufio.NewReader(io.LimitReader(answer, 1<<14)), nil)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	seconds, err := strconv.ParseInt(response.Header.Get("Retry-After"), 10, 32)
	if err != nil {
		return 0
	}
	return milliseconds(seconds*1000, turnMax)
}

// askToken asks for a token on a goroutine of its own, since it may take its time and knows nothing of ctx.
func (c *Client) askToken(ctx context.Context) (string, error) {
	if c.options.Token == nil {
		return "", nil
	}
	type reply struct {
		token string
		err   error
	}
	replies := make(chan reply, 1)
	go func() {
		token, err := c.options.Token()
		if err == nil && token == "" {
			err = errors.New("throng: Options.Token gave no token")
		}
		replies <- reply{token, err}
	}()
	select {
	case r := <-replies:
		return r.token, r.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
