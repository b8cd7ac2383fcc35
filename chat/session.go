package chat

import (
	"sync"
	"time"

	"throng/engine"
	"throng/protocol"
	"throng/protocol/envelope"
)

// session is a connection that speaks throng.v1: who it is, and which rooms it is in. Owned by the connection's loop, but for what the comment says.
type session struct {
	server   *Server
	conn     *engine.Conn
	who      identity
	secret   string // a guest's session, told once in the welcome
	seats    []seat
	names    map[*room]string // what a room shows instead of who.name, where that was taken
	pasts    map[*room]past   // what is being replayed to it
	warned   bool             // that the token expires soon
	alarm    int64            // the second of the next look at it, 0: none
	authNext int64            // nanoseconds of the server's time: see authWait
	inFlight int              // publishes that the store has not answered
	held     bool             // no more requests are read until some are answered
	asked    int              // questions whose answers may be long, and are not taken yet
	heldBack bool             // no more requests are read until some of these are taken

	answers answers // any goroutine
}

// seat is a membership.
type seat struct {
	room   *room
	topic  *engine.Topic
	listed bool
}

const (
	// inFlightMax is how many publishes of a connection may wait for the store; then the connection is not read from until half of them are answered.
	inFlightMax = 256
	// askedMax is how many questions with long answers a connection may have open; then it is not read from until half of them are taken.
	askedMax = 4
	// longAnswer is the length from which on an answer waits until the socket takes it, instead of among what waits for slow readers.
	longAnswer = 8 << 10
	// requestBytesKept bounds what a request's buffers keep between requests.
	requestBytesKept = 64 << 10
)

// open greets the client. Before it nothing is sent.
func (s *session) open() {
	srv := s.server
	s.send(envelope.AppendWelcome(nil, &envelope.Welcome{
		User: s.who.user, Name: s.who.name, Guest: s.who.guest, Session: s.secret, Node: srv.cfg.Node, Server: srv.cfg.Version,
		Heartbeat: heartbeat, Limits: envelope.Limits{Message: srv.cfg.MaxMessage, Rooms: srv.cfg.RoomsPerConnection, Rate: srv.messageRate()},
		Expires: millis(s.who.expires),
	}))
	s.secret = ""
	s.watchExpiry()
}

// send gives the client one message, beside its rooms' own.
func (s *session) send(text []byte) { _ = s.conn.Send(protocol.OpText, text) }

// seat returns the connection's place in a room, nil if it is not in.
func (s *session) seat(name string) *seat {
	for i := range s.seats {
		if s.seats[i].room.name == name {
			return &s.seats[i]
		}
	}
	return nil
}

// add remembers a membership. The slice grows by a quarter: there may be very many of these.
func (s *session) add(place seat) {
	if n := len(s.seats); n == cap(s.seats) {
		s.seats = append(make([]seat, 0, n+n/4+1), s.seats...)
	}
	s.seats = append(s.seats, place)
}

// name returns what a room shows the user as.
func (s *session) name(r *room) string {
	if shown, ok := s.names[r]; ok {
		return shown
	}
	return s.who.name
}

// setShown remembers what a room shows the user as.
func (s *session) setShown(r *room, shown string) {
	switch {
	case shown == s.who.name:
		delete(s.names, r)
	case s.names == nil:
		s.names = map[*room]string{r: shown}
	default:
		s.names[r] = shown
	}
}

// close leaves all rooms. The engine has left their topics.
func (s *session) close(goodbye bool) {
	for i := range s.seats {
		s.seats[i].room.leave(&s.seats[i], s.who.user, goodbye)
	}
	s.seats, s.names = nil, nil
}

// answers are what the store said to a connection's publishes, until the loop comes by to pass it on. Any goroutine.
type answers struct {
	mu     sync.Mutex
	list   []answer
	posted bool
}

// answer is one of them.
type answer struct {
	id, key []byte
	room    string
	receipt Receipt
	err     error
}

// answered is told what the store says. Many answers are one visit of the loop.
func (s *session) answered(a answer) {
	s.answers.mu.Lock()
	s.answers.list = append(s.answers.list, a)
	first := !s.answers.posted
	s.answers.posted = true
	s.answers.mu.Unlock()
	if first {
		s.conn.Post(func(*engine.Conn) { s.passOn() })
	}
}

// passOn sends the answers that have come, and reads on if that was being waited for.
func (s *session) passOn() {
	s.answers.mu.Lock()
	list := s.answers.list
	s.answers.list, s.answers.posted = nil, false
	s.answers.mu.Unlock()
	b := buffers.Get().(*buffer)
	defer b.giveBack()
	b.text, b.ends = b.text[:0], b.ends[:0]
	for i := range list {
		a := &list[i]
		if a.err != nil {
			b.text = envelope.AppendError(b.text, a.id, []byte(a.room), a.key, refusalOf(a.err))
		} else {
			b.text = envelope.AppendPublished(b.text, a.id, a.room, a.receipt.Seq, a.receipt.Duplicate)
		}
		b.ends = append(b.ends, len(b.text))
	}
	_ = s.conn.SendAll(protocol.OpText, b.text, b.ends)
	s.inFlight -= len(list)
	if s.held && s.inFlight <= inFlightMax/2 {
		s.held = false
		s.conn.Proceed()
	}
}

// asks counts a question with an answer that may be long. Each needs one call of told.
func (s *session) asks() {
	if s.asked++; s.asked >= askedMax && !s.heldBack {
		s.heldBack = true
		s.conn.Hold()
	}
}

// told says that such a question is answered, and the answer on its way.
func (s *session) told() {
	s.asked--
	if s.heldBack && s.asked <= askedMax/2 {
		s.heldBack = false
		s.conn.Proceed()
	}
}

// sendLong sends the answer to such a question, as soon as the client takes it.
func (s *session) sendLong(text []byte) {
	if len(text) < longAnswer {
		s.send(text)
		s.told()
		return
	}
	s.conn.Replay(&longText{s, text})
}

// longText is one long answer, pulled when the socket has room.
type longText struct {
	session *session
	text    []byte
}

// Next implements engine.Source.
func (l *longText) Next() (op protocol.Opcode, data []byte, state engine.ReplayState) {
	if data, l.text = l.text, nil; data != nil {
		return protocol.OpText, data, engine.ReplayMore
	}
	l.session.told()
	return 0, nil, engine.ReplayDone
}

// millis is an instant as the wire has it, 0 for none.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// buffer is what a request or a message is built in.
type buffer struct {
	text, record, payload []byte
	ends                  []int // of several messages in text
	request               envelope.Request
	parsed                envelope.Record
}

// buffers are lent to whoever builds something, on whichever goroutine.
var buffers = sync.Pool{New: func() any { return new(buffer) }}
