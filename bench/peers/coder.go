package main

import (
	"context"
	"net/http"
	"time"

	"github.com/coder/websocket"
)

// The form of coder's chat example: a set of subscribers under a lock, each with a buffered channel and a goroutine
// that writes what comes out of it, with a timeout on each write.

const (
	coderBuffer  = 16 // the example's
	coderPatient = 5 * time.Second
)

type coderMessage struct {
	kind websocket.MessageType
	text []byte
}

type coderClient struct {
	conn *websocket.Conn
	out  *outbox[coderMessage]
}

func startCoder(listen string) (stop func(), err error) {
	rooms := newRegistry(newRoom[*coderClient], nil)
	return serveHTTP(listen, func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return // it has answered
		}
		in := rooms.enter(r.URL.Path)
		defer rooms.leave(r.URL.Path)
		c := &coderClient{conn, newOutbox[coderMessage](coderBuffer)}
		in.add(c)
		defer in.remove(c)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go c.write(ctx)
		c.read(ctx, in)
	})
}

func (c *coderClient) read(ctx context.Context, in *room[*coderClient]) {
	defer func() { _ = c.conn.CloseNow() }()
	for {
		kind, text, err := c.conn.Read(ctx)
		if err != nil {
			return
		}
		m := coderMessage{kind, text}
		in.each(func(to *coderClient) {
			if !to.out.put(m, coderPatient) {
				go func() { _ = to.conn.Close(websocket.StatusPolicyViolation, "too slow to keep up") }()
			}
		})
	}
}

func (c *coderClient) write(ctx context.Context) {
	defer close(c.out.gone)
	for {
		select {
		case m := <-c.out.waiting:
			if c.writeOne(ctx, m) != nil {
				_ = c.conn.CloseNow()
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

func (c *coderClient) writeOne(ctx context.Context, m coderMessage) error {
	ctx, cancel := context.WithTimeout(ctx, coderPatient)
	defer cancel()
	return c.conn.Write(ctx, m.kind, m.text)
}
