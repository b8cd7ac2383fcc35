package main

import (
	"net/http"

	"github.com/lxzan/gws"
)

// The form of gws's documentation: a Broadcaster encodes a message once and puts it into each connection's queue of
// writes, which a goroutine works off while there is anything in it. The queue has no limit.

const gwsPath, gwsRoom = "path", "room"

type gwsHandler struct {
	gws.BuiltinEventHandler
	rooms *registry[*room[*gws.Conn]]
}

func startGws(listen string) (stop func(), err error) {
	handler := &gwsHandler{rooms: newRegistry(newRoom[*gws.Conn], nil)}
	upgrader := gws.NewUpgrader(handler, &gws.ServerOption{
		Authorize: func(r *http.Request, session gws.SessionStorage) bool {
			session.Store(gwsPath, r.URL.Path)
			return true
		},
	})
	return serveHTTP(listen, func(w http.ResponseWriter, r *http.Request) {
		conn, err := upgrader.Upgrade(w, r)
		if err != nil {
			return // it has answered
		}
		// The documentation wants a goroutine: the request's memory goes when its handler returns.
		go conn.ReadLoop()
	})
}

func fromSession[T any](c *gws.Conn, key string) T {
	v, _ := c.Session().Load(key)
	t, _ := v.(T)
	return t
}

// OnOpen puts the connection into its room.
func (h *gwsHandler) OnOpen(c *gws.Conn) {
	in := h.rooms.enter(fromSession[string](c, gwsPath))
	c.Session().Store(gwsRoom, in)
	in.add(c)
}

// OnClose takes it out.
func (h *gwsHandler) OnClose(c *gws.Conn, _ error) {
	fromSession[*room[*gws.Conn]](c, gwsRoom).remove(c)
	h.rooms.leave(fromSession[string](c, gwsPath))
}

// OnPing answers.
func (h *gwsHandler) OnPing(c *gws.Conn, payload []byte) { _ = c.WritePong(payload) }

// OnMessage broadcasts. The first Broadcast copies the message into a frame, so it may be given back here.
func (h *gwsHandler) OnMessage(c *gws.Conn, message *gws.Message) {
	defer func() { _ = message.Close() }()
	b := gws.NewBroadcaster(message.Opcode, message.Bytes())
	defer func() { _ = b.Close() }()
	fromSession[*room[*gws.Conn]](c, gwsRoom).each(func(to *gws.Conn) { _ = b.Broadcast(to) })
}
