package chat

import (
	"throng/engine"
	"throng/protocol"
)

// Server is the engine's handler: it brings people into the room that their path
// names and passes on what they say. The zero value serves rooms and health, and
// no page.
type Server struct {
	// Page returns the page or asset under a path, if there is one. etag is what
	// the client has already.
	Page func(path, etag string) (protocol.Response, bool)
	// Ready reports whether new clients should be sent here, and why not.
	Ready func() (ok bool, why string)
}

// OnUpgrade lets everybody into every room that has a good name.
func (s *Server) OnUpgrade(c *engine.Conn, r *protocol.Request) (subprotocol string, err error) {
	room, refused := RoomOf(r.Path)
	if refused != nil {
		return "", refused
	}
	c.SetValue(room)
	return "", nil
}

// OnOpen joins the room.
func (s *Server) OnOpen(c *engine.Conn) { c.SetValue(c.Join(c.Value().(string))) }

// OnMessage gives everybody in the room what one of them said.
func (s *Server) OnMessage(c *engine.Conn, op protocol.Opcode, data []byte) {
	c.Publish(c.Value().(*engine.Topic), op, data)
}

// OnClose has nothing to do: the engine has left the room.
func (s *Server) OnClose(*engine.Conn, engine.Reason) {}

var (
	errMethod = &protocol.HandshakeError{Status: 405, Label: protocol.LabelBadRequest, Field: "method",
		Text: "only GET, HEAD and OPTIONS are answered here"}
	errNoPage = &protocol.HandshakeError{Status: 404, Label: labelNotFound, Field: "path",
		Text: "there is nothing at this path; / is the chat page, /rooms/NAME a room"}
)

// allow lists the methods of the public port's plain requests.
const allow = "GET, HEAD, OPTIONS"

// OnRequest answers plain requests on the public port: health, for balancers,
// and the page.
func (s *Server) OnRequest(r *protocol.Request) protocol.Response {
	method := string(r.Method)
	if method != "GET" && method != "HEAD" && method != "OPTIONS" {
		resp := errMethod.Response()
		resp.Headers = [][2]string{{"Allow", allow}, {"Cache-Control", "no-store"}}
		return resp
	}
	switch path := string(r.Path); path {
	case "/healthz":
		return health(true, "")
	case "/readyz":
		return health(s.ready())
	case "/", "*":
		if method == "OPTIONS" {
			return s.options()
		}
	}
	return s.page(r, method)
}

// options is the answer to OPTIONS /, with which HAProxy checks a server that it
// was told nothing about: what a balancer wants to know then is what /readyz says.
func (s *Server) options() protocol.Response {
	if ok, why := s.ready(); !ok {
		return health(false, why)
	}
	return noContent()
}

func (s *Server) ready() (ok bool, why string) {
	if s.Ready == nil {
		return true, ""
	}
	return s.Ready()
}

func (s *Server) page(r *protocol.Request, method string) protocol.Response {
	if s.Page != nil {
		if resp, ok := s.Page(string(r.Path), string(r.Header("If-None-Match"))); ok {
			if method == "OPTIONS" {
				return noContent()
			}
			return resp
		}
	}
	return errNoPage.Response()
}

// noContent says what can be asked, and nothing else.
func noContent() protocol.Response {
	return protocol.Response{Status: 204, Headers: [][2]string{{"Allow", allow}}}
}

// health is the answer to a balancer's question.
func health(ok bool, why string) protocol.Response {
	resp := protocol.Response{Status: 200, ContentType: "text/plain; charset=utf-8", Headers: [][2]string{{"Cache-Control", "no-store"}, {"Allow", allow}}, Body: []byte("ok\n")}
	if !ok {
		resp.Status, resp.Body = 503, []byte(why+"\n")
	}
	return resp
}
