package client

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
)

// conn is one connection. One goroutine reads it, the client's own; one writes, and watches the time. Who wants to send leaves
// the frame in out.
type conn struct {
	net.Conn
	in     *bufio.Reader
	limit  int // of a message, in bytes
	opened time.Time
	pulse  pulse
	wake   chan struct{} // there is something to write
	gone   chan struct{} // closed when the writer has returned

	mu     sync.Mutex // taken within Client.mu
	out    []byte     // whole frames
	pong   []byte     // of the newest ping; nil: none is due
	ending bool       // no frame follows what is in out
	err    error      // why this side ended it

	// of the reader, and of nobody else
	bye       *answer // the server said that it ends the connection
	renewing  bool    // another token is on its way; under Client.mu
	fragments bytes.Buffer
	midway    bool // the first fragment of a message has come, and the last has not
	payload   [ws.MaxControlFramePayloadSize]byte
	header    [ws.MaxHeaderSize]byte
}

// pulse is when something was heard and said, in nanoseconds since the connection was opened.
type pulse struct {
	heard, said atomic.Int64
	deaf        atomic.Bool // the reader does not read, so nothing can be heard
}

func newConn(socket net.Conn, ahead *bufio.Reader, limit int) *conn {
	if ahead == nil {
		ahead = bufio.NewReader(socket)
	}
	return &conn{Conn: socket, in: ahead, limit: limit, opened: time.Now(), wake: make(chan struct{}, 1), gone: make(chan struct{})}
}

// since is the time on this connection's clock.
func (c *conn) since() int64 { return int64(time.Since(c.opened)) }

// send leaves a message for the writer.
func (c *conn) send(text []byte) {
	c.pulse.said.Store(c.since())
	c.mu.Lock()
	if !c.ending {
		c.out = appendFrame(c.out, ws.OpText, text)
	}
	c.mu.Unlock()
	c.ring()
}

// finish leaves a Close frame for the writer, which then ends the connection. Only the first one counts.
func (c *conn) finish(code ws.StatusCode, reason string, err error) {
	c.mu.Lock()
	if !c.ending {
		var body []byte
		if !code.Empty() {
			body = ws.NewCloseFrameBody(code, reason)
		}
		c.out = appendFrame(c.out, ws.OpClose, body)
		c.ending = true
		c.err = err
		c.SetWriteDeadline(time.Now().Add(farewellMax)) // for what is being written, too
	}
	c.mu.Unlock()
	c.ring()
}

// fail ends the connection without a word.
func (c *conn) fail(err error) {
	c.mu.Lock()
	if c.err == nil {
		c.err = err
	}
	c.ending = true
	c.mu.Unlock()
	c.Conn.Close()
	c.ring()
}

// why is what ended the connection: this side's reason if it has one, since what the reader then gets is only the consequence.
func (c *conn) why(read error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	return read
}

func (c *conn) ring() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// write is the writer: it writes what was left for it, and at each beat looks at the pulse. It returns when the connection ends. Behind
// a Close frame it leaves the reader a moment for the server's: to close a socket with unread input is a reset, which may overtake the frame.
func (c *conn) write(heartbeat time.Duration, ping []byte) {
	defer close(c.gone)
	beat := time.NewTimer(heartbeat)
	defer beat.Stop()
	var writing []byte
	for {
		select {
		case <-c.wake:
		case <-beat.C:
			next, err := c.pulse.look(c.since(), heartbeat, func() { c.send(ping) })
			if err != nil {
				c.fail(err)
				return
			}
			beat.Reset(next)
		}
		c.mu.Lock()
		writing, c.out = c.out, writing[:0]
		ending, patience := c.ending, 2*heartbeat
		if ending {
			patience = farewellMax
		}
		c.SetWriteDeadline(time.Now().Add(patience))
		if c.pong != nil && !ending {
			writing = appendFrame(writing, ws.OpPong, c.pong)
			c.pong = nil
		}
		c.mu.Unlock()
		if len(writing) > 0 {
			if _, err := c.Conn.Write(writing); err != nil {
				c.fail(err)
				return
			}
		}
		if ending {
			c.SetReadDeadline(time.Now().Add(farewellMax))
			return
		}
		if cap(writing) > 1<<16 {
			writing = nil
		}
	}
}

// look says when to look again, and has a ping sent if nothing was heard or said for a heartbeat. A server may count only messages as signs of
// life, so who only listens says something too.
func (p *pulse) look(now int64, heartbeat time.Duration, ping func()) (time.Duration, error) {
	beat := int64(heartbeat)
	if p.deaf.Load() {
		p.heard.Store(now)
	}
	heard, said := p.heard.Load(), p.said.Load()
	if now-heard >= 2*beat {
		return 0, errSilent
	}
	pinged := said > heard && said-heard >= beat // since the silence became one
	if now-said >= beat || now-heard >= beat && !pinged {
		ping()
		said = now
	}
	next := said + beat
	if now-heard < beat {
		next = min(next, heard+beat)
	} else {
		next = min(next, heard+2*beat)
	}
	return time.Duration(max(next-now, int64(time.Millisecond))), nil
}

// read returns the next message, which is good until the next read. What comes between its fragments is dealt with.
func (c *conn) read() ([]byte, error) {
	if c.fragments.Cap() > 1<<16 {
		c.fragments = bytes.Buffer{}
	}
	c.fragments.Reset()
	for {
		h, err := ws.ReadHeaderBuffer(c.in, c.header[:])
		if err != nil {
			return nil, err
		}
		state := ws.StateClientSide
		if c.midway {
			state = state.Set(ws.StateFragmented)
		}
		if err := ws.CheckHeader(h, state); err != nil {
			c.finish(ws.StatusProtocolError, err.Error(), err)
			return nil, err
		}
		if h.OpCode.IsControl() {
			if err := c.control(h); err != nil {
				return nil, err
			}
			continue
		}
		if h.OpCode == ws.OpBinary {
			c.finish(ws.StatusUnsupportedData, "", errProtocol)
			return nil, errProtocol
		}
		if h.Length > int64(c.limit-c.fragments.Len()) {
			c.finish(ws.StatusMessageTooBig, "", ErrTooLong)
			return nil, ErrTooLong
		}
		if err := c.take(h.Length); err != nil {
			return nil, err
		}
		c.pulse.heard.Store(c.since())
		c.midway = !h.Fin
		if h.Fin {
			return c.fragments.Bytes(), nil
		}
	}
}

// take adds a frame's payload to the message. Room is made for what has come, not for what is announced, and each part is a sign of life.
func (c *conn) take(length int64) error {
	for length > 0 {
		n, err := io.CopyN(&c.fragments, c.in, min(length, 1<<16))
		if err != nil {
			return noEnd(err)
		}
		length -= n
		c.pulse.heard.Store(c.since())
	}
	return nil
}

// control deals with a ping, a pong or a Close.
func (c *conn) control(h ws.Header) error {
	payload := c.payload[:h.Length]
	if _, err := io.ReadFull(c.in, payload); err != nil {
		return noEnd(err)
	}
	c.pulse.heard.Store(c.since())
	switch h.OpCode {
	case ws.OpPing: // only the newest needs an answer, so that pings faster than the socket pile up nothing
		c.mu.Lock()
		c.pong = append([]byte{}, payload...)
		c.mu.Unlock()
		c.ring()
	case ws.OpClose:
		code, reason := ws.ParseCloseFrameData(payload)
		if len(payload) > 0 {
			if err := ws.CheckCloseFrameData(code, reason); err != nil {
				c.finish(ws.StatusProtocolError, "", err)
				return err
			}
		}
		end := &CloseError{Code: int(code), Reason: reason}
		c.finish(code, "", end)
		return end
	}
	return nil
}

// noEnd: an end within a frame is not the end of a stream.
func noEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// appendFrame adds a whole masked frame.
func appendFrame(to []byte, op ws.OpCode, payload []byte) []byte {
	h := ws.Header{Fin: true, OpCode: op, Masked: true, Mask: ws.NewMask(), Length: int64(len(payload))}
	var head bytes.Buffer
	if err := ws.WriteHeader(&head, h); err != nil {
		panic(err) // only a length below nothing is refused
	}
	to = append(to, head.Bytes()...)
	start := len(to)
	to = append(to, payload...)
	ws.Cipher(to[start:], h.Mask, 0)
	return to
}
