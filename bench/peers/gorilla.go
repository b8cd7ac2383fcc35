package main

import (
	"net/http"
	"time"

	"github.com/gorilla/websocket"
)

// The form of gorilla's chat example: a hub goroutine that owns the members of a room, and for each client one
// goroutine that reads and one that writes, with a buffered channel before it. The example joins waiting messages into
// one; here each stays a message of its own. A prepared message is encoded once for all.

const (
	gorillaBuffer  = 256 // the example's
	gorillaPatient = 10 * time.Second
)

type gorillaClient struct {
	conn *websocket.Conn
	out  *outbox[*websocket.PreparedMessage]
}

type gorillaHub struct {
	join, part chan *gorillaClient
	said       chan *websocket.PreparedMessage
	shut       chan struct{}
}

func startGorilla(listen string) (stop func(), err error) {
	upgrader := websocket.Upgrader{ReadBufferSize: 1024, WriteBufferSize: 1024}
	hubs := newRegistry(newGorillaHub, func(h *gorillaHub) { close(h.shut) })
	return serveHTTP(listen, func(w http.ResponseWriter, r *http.Request) {
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return // it has answered
		}
		hub := hubs.enter(r.URL.Path)
		c := &gorillaClient{conn, newOutbox[*websocket.PreparedMessage](gorillaBuffer)}
		hub.join <- c
		go c.write()
		go func() {
			c.read(hub)
			hub.part <- c
			hubs.leave(r.URL.Path)
		}()
	})
}

func newGorillaHub() *gorillaHub {
	h := &gorillaHub{
		join: make(chan *gorillaClient), part: make(chan *gorillaClient),
		said: make(chan *websocket.PreparedMessage), shut: make(chan struct{}),
	}
	go h.run()
	return h
}

func (h *gorillaHub) run() {
	members := make(map[*gorillaClient]bool)
	drop := func(c *gorillaClient) {
		if members[c] {
			delete(members, c)
			close(c.out.waiting)
		}
	}
	for {
		select {
		case c := <-h.join:
			members[c] = true
		case c := <-h.part:
			drop(c)
		case m := <-h.said:
			for c := range members {
				if !c.out.put(m, gorillaPatient) {
					drop(c)
				}
			}
		case <-h.shut:
			return
		}
	}
}

func (c *gorillaClient) read(hub *gorillaHub) {
	for {
		kind, message, err := c.conn.ReadMessage()
		if err != nil {
			return
		}
		prepared, err := websocket.NewPreparedMessage(kind, message)
		if err != nil {
			return
		}
		hub.said <- prepared
	}
}

// write ends the connection when it ends, and with it the reading.
func (c *gorillaClient) write() {
	defer func() {
		_ = c.conn.Close()
		close(c.out.gone)
	}()
	for m := range c.out.waiting {
		_ = c.conn.SetWriteDeadline(time.Now().Add(gorillaPatient))
		if c.conn.WritePreparedMessage(m) != nil {
			return
		}
	}
}
