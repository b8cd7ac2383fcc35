package main

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/lesismal/nbio/logging"
	"github.com/lesismal/nbio/nbhttp"
	"github.com/lesismal/nbio/nbhttp/websocket"
)

// The form of nbio's examples: its own HTTP engine over epoll, in the mode it has unless told otherwise, where a write
// that the socket does not take is kept by the connection. Beyond nbioUnsent the engine closes the connection.

const (
	nbioUnsent  = 6 << 20 // that of its quick start
	nbioLoadMax = 1 << 20
)

// nbioMember is the session of a connection: its room, and what that is called.
type nbioMember struct {
	in   *room[*websocket.Conn]
	path string
}

func startNbio(listen string) (stop func(), err error) {
	logging.SetLevel(logging.LevelError)
	rooms := newRegistry(newRoom[*websocket.Conn], nil)
	upgrader := websocket.NewUpgrader()
	upgrader.KeepaliveTime = 0
	upgrader.OnMessage(func(c *websocket.Conn, kind websocket.MessageType, text []byte) {
		if m, ok := c.SessionWithLock().(nbioMember); ok {
			m.in.each(func(to *websocket.Conn) { _ = to.WriteMessage(kind, text) })
		}
	})
	upgrader.OnClose(func(c *websocket.Conn, _ error) {
		if m, ok := c.SessionWithLock().(nbioMember); ok {
			m.in.remove(c)
			rooms.leave(m.path)
		}
	})
	// The engine waits for ever when it cannot listen by itself.
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, err
	}
	engine := nbhttp.NewEngine(nbhttp.Config{
		Network: "tcp", Addrs: []string{listen}, Listen: func(string, string) (net.Listener, error) { return l, nil },
		MaxLoad: nbioLoadMax, MaxWriteBufferSize: nbioUnsent, ReleaseWebsocketPayload: true,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !isRoom(r.URL.Path) {
				http.NotFound(w, r)
				return
			}
			conn, err := upgrader.Upgrade(w, r, nil)
			if err != nil {
				return // it has answered
			}
			in := rooms.enter(r.URL.Path)
			conn.SetSession(nbioMember{in, r.URL.Path})
			in.add(conn)
		}),
	})
	if err := engine.Start(); err != nil {
		return nil, err
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = engine.Shutdown(ctx)
	}, nil
}
