package chat

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"throng/engine"
	"throng/protocol"
)

// Config is what a Server is made of. Take DefaultConfig and change what must differ.
type Config struct {
	// Page returns the page or asset under a path, if there is one. etag is what
	// the client has already.
	Page func(path, etag string) (protocol.Response, bool)
	// Policies are asked in their order; the last is for every room that none matches.
	Policies []Policy
	// Tokens checks tokens; nil: none are taken.
	Tokens Verifier
	// Guests lets in who has no token.
	Guests bool

	RoomsPerConnection int
	RecentBytes        int64 // of recent messages that all rooms keep in memory
	MaxMessage         int   // told to clients

	Node, Version string
	Clock         func() time.Time // nil: time.Now
	Logger        *slog.Logger     // nil: slog.Default()
}

// DefaultConfig returns the defaults: guests, and rooms that are not recorded.
func DefaultConfig() Config {
	return Config{Policies: DefaultPolicies(false), Guests: true, RoomsPerConnection: 100, RecentBytes: 64 << 20, MaxMessage: 64 << 10}
}

// Server is the engine's handler: it knows who people are and brings them into
// rooms, where they hear what the others say.
//
// It is made with New, given its Store, if it has one, with UseStore, and its engine with
// Serve, in this order; then connections may come.
type Server struct {
	cfg      Config
	policies policies
	engine   *engine.Engine
	store    Store
	rooms    *rooms
	errands  errands // to the store
	asking   errands // to other nodes
	alarms   alarms
	stats    counters
	clock    func() time.Time
	times    times
	began    time.Time
	ctx      context.Context // ends with Close
	stop     context.CancelFunc
	beating  sync.WaitGroup

	recentBytes counter // held by all rooms

	mu       sync.Mutex // guards the lists of rooms that the next beat looks at
	newsOf   []*room
	deserted []*room
	retry    []*room
	came     []string // nodes that have to be asked who is in their rooms
	tellAll  bool     // the other nodes have to be told anew who is here
}

// New makes a server. Errors say which policy is wrong, and why.
func New(cfg Config) (*Server, error) {
	if len(cfg.Policies) == 0 {
		return nil, errors.New("chat: there is no policy for rooms")
	}
	list, err := newPolicies(cfg.Policies)
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, policies: list, rooms: newRooms(), clock: cfg.Clock, times: usualTimes,
		errands: errands{atOnce: errandsAtOnce}, asking: errands{atOnce: questionsAtOnce}}
	if s.clock == nil {
		s.clock = time.Now
	}
	s.cfg.Logger = cmp.Or(s.cfg.Logger, slog.Default())
	s.errands.panicked, s.asking.panicked = s.panicked, s.panicked
	s.began = s.clock()
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s, nil
}

// Streams are the policies that record, in the order of their streams' numbers.
func (s *Server) Streams() []Policy {
	var list []Policy
	for _, p := range s.policies {
		if p.stream >= 0 {
			list = append(list, p)
		}
	}
	return list
}

// UseStore gives the server what its rooms are recorded in. Before Serve.
func (s *Server) UseStore(store Store) { s.store = store }

// Serve gives the server the engine that it is the handler of, and begins to
// keep its rooms. Before the engine's Start.
func (s *Server) Serve(e *engine.Engine) {
	s.engine = e
	s.beating.Add(1)
	go s.beat()
}

// Close ends what the server does beside the engine's callbacks. Callbacks of the engine that come later find nothing to do.
func (s *Server) Close() {
	s.stop()
	s.errands.close()
	s.asking.close()
	s.beating.Wait()
}

// now is the time since the server began, in nanoseconds, and never 0.
func (s *Server) now() int64 { return int64(s.clock().Sub(s.began)) + 1 }

// heartbeat is how long a client hears nothing before it should ask whether it is still heard. It has nothing to do with the idle limit, which the question
// is not there to keep away.
const heartbeat = 30 * time.Second

// messageRate is how many messages a second a client may send, 0 for no limit.
func (s *Server) messageRate() int { return int(s.engine.Limits().MessageRate) }

// later calls f after a while, unless the server has been closed by then.
func (s *Server) later(wait time.Duration, f func()) {
	time.AfterFunc(wait, func() {
		if s.ctx.Err() == nil {
			f()
		}
	})
}

// OnUpgrade finds out who is asking, and for which room.
func (s *Server) OnUpgrade(c *engine.Conn, r *protocol.Request) (subprotocol string, err error) {
	name, refused := RoomOf(r.Path)
	if refused != nil {
		return "", refused
	}
	who, secret, refused := s.identify(credentialsOf(r), s.clock())
	if refused != nil {
		return "", refused
	}
	if r.Subprotocol([]string{Subprotocol}) != "" {
		c.SetForm(engine.Enveloped)
		c.SetValue(&session{server: s, conn: c, who: who, secret: secret})
		return Subprotocol, nil
	}
	p := s.policies.of(name)
	switch {
	case who.user == "":
		return "", errNoToken
	case !who.mayJoin(p, name):
		return "", errDenied
	case p.MaxMembers > 0 && s.crowded(p, name):
		return "", errFull
	}
	c.SetValue(&newcomer{name, who})
	return "", nil
}

// newcomer is a raw client between its upgrade and its room.
type newcomer struct {
	room string
	who  identity
}

// crowded reports whether a room has as many members as it may have.
func (s *Server) crowded(p *Policy, name string) bool {
	r := s.rooms.find(name)
	return r != nil && r.members() >= p.MaxMembers
}

// OnOpen greets a client of throng.v1, and brings any other into its room.
func (s *Server) OnOpen(c *engine.Conn) {
	switch v := c.Value().(type) {
	case *session:
		v.open()
	case *newcomer:
		s.enterRaw(c, v.room, v.who)
	}
}

// OnMessage carries out a request, or gives everybody in the room what one of them said.
func (s *Server) OnMessage(c *engine.Conn, op protocol.Opcode, data []byte) {
	if v, ok := c.Value().(*session); ok {
		v.request(op, data)
		return
	}
	s.hearRaw(c, op, data)
}

// OnClose takes a connection out of its rooms; the engine has taken it out of their topics.
func (s *Server) OnClose(c *engine.Conn, why engine.Reason) {
	if v, ok := c.Value().(*session); ok {
		v.close(why == engine.ReasonPeerClose)
		return
	}
	if r := roomOfRaw(c.Value()); r != nil {
		r.leaveRaw()
	}
}

// Describe implements engine.Describer: it says who a connection's user is.
func (s *Server) Describe(c *engine.Conn) string {
	switch v := c.Value().(type) {
	case *session:
		return v.who.user
	case *speaker:
		return v.who.user
	}
	return ""
}

var (
	errMethod = &protocol.HandshakeError{Status: 405, Label: protocol.LabelBadRequest, Field: "method",
		Text: "only GET, HEAD and OPTIONS are answered here"}
	errDenied = &protocol.HandshakeError{Status: 403, Label: protocol.LabelName, Field: "path",
		Text: "you may not join this room"}
	errFull = &protocol.HandshakeError{Status: 503, Label: protocol.LabelCeiling, Field: "path", RetryAfter: 10,
		Text: "this room has as many members as it may have; try again later, or another room"}
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
		return health(s.Ready())
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
	if ok, why := s.Ready(); !ok {
		return health(false, why)
	}
	return noContent()
}

// Ready reports whether new clients should be sent here, and why not: not by the engine's word, nor while nothing can be stored. Any goroutine.
func (s *Server) Ready() (ok bool, why string) {
	if s.engine == nil {
		return false, "the server is about to start"
	}
	if ok, why = s.engine.Ready(); ok && s.store != nil {
		return s.store.Ready()
	}
	return ok, why
}

func (s *Server) page(r *protocol.Request, method string) protocol.Response {
	if s.cfg.Page != nil {
		if resp, ok := s.cfg.Page(string(r.Path), string(r.Header("If-None-Match"))); ok {
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
