package chat

import (
	"sync"
	"time"

	"throng/engine"
	"throng/protocol/envelope"
)

const (
	// expiryWarning is how long before its end a token is warned of, and expiryGrace how long after it the connection is still served: a client has a
	// minute and a half to bring another.
	expiryWarning = time.Minute
	expiryGrace   = 30 * time.Second
	// authTime is how long a connection without a token may take to bring one.
	authTime = 5 * time.Second
	// lookAgain bounds how far ahead a look at a session is planned, so that one that has ended is not kept until its token would have.
	lookAgain = time.Minute
)

// alarms are the connections to be looked at, by the second. Each stands there once; a look that another has come before is none. Any goroutine.
type alarms struct {
	mu sync.Mutex
	at map[int64][]mortal
}

// mortal is a connection that time can end.
type mortal interface {
	connection() *engine.Conn
	look(second int64) // for the alarm of that second; loop-owned
}

func (a *alarms) add(m mortal, second int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.at == nil {
		a.at = make(map[int64][]mortal)
	}
	a.at[second] = append(a.at[second], m)
}

// due takes out those of a second whose time has come, and reports false if there are none.
func (a *alarms) due(now time.Time) (second int64, list []mortal, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for second, list = range a.at {
		if second <= now.Unix() {
			delete(a.at, second)
			return second, list, true
		}
	}
	return 0, nil, false
}

// watchExpiry plans the next look at the session, if there is a reason for one.
func (s *session) watchExpiry() {
	now := s.server.clock()
	var next time.Time
	switch {
	case s.who.user == "":
		next = now.Add(authTime)
	case s.who.expires.IsZero():
		s.alarm = 0
		return
	case !s.warned && s.who.expires.Sub(now) <= expiryWarning: // it came with a token that ends soon
		next = now
	default:
		next = s.who.nextLook(now)
	}
	if second := next.Unix() + 1; second != s.alarm {
		s.alarm = second
		s.server.alarms.add(s, second)
	}
}

// nextLook is when something about the token is to be done, or to be looked at again.
func (who *identity) nextLook(now time.Time) time.Time {
	next := now.Add(lookAgain)
	for _, at := range []time.Time{who.expires.Add(-expiryWarning), who.expires, who.expires.Add(expiryGrace)} {
		if at.After(now) && at.Before(next) {
			next = at
		}
	}
	return next
}

func (s *session) connection() *engine.Conn { return s.conn }

// look acts on what the time has brought: it warns, and in the end sends away.
func (s *session) look(second int64) {
	if second != s.alarm {
		return
	}
	s.alarm = 0
	now := s.server.clock()
	left := s.who.expires.Sub(now)
	switch {
	case s.who.user == "":
		s.conn.Close(closeUnauthorized, "no token came in time")
		return
	case s.who.expires.IsZero():
		return
	case left <= -expiryGrace:
		s.send(envelope.AppendError(nil, nil, nil, nil, envelope.Errorf(envelope.TokenExpired, "the token has expired")))
		s.conn.Close(closeUnauthorized, textExpired)
		return
	case left <= expiryWarning && !s.warned:
		s.warned = true
		s.send(envelope.AppendError(nil, nil, nil, nil, retryAfter(envelope.Errorf(envelope.TokenExpiring, "the token expires soon"), max(0, left+expiryGrace))))
	}
	s.watchExpiry()
}

// ringAlarms looks at the connections whose time has come.
func (s *Server) ringAlarms(now time.Time) {
	for {
		second, list, ok := s.alarms.due(now)
		if !ok {
			return
		}
		for _, m := range list {
			m.connection().Post(func(*engine.Conn) { m.look(second) })
		}
	}
}

// watchExpiry plans the next look at a raw client with a token. It cannot be warned.
func (sp *speaker) watchExpiry() {
	if !sp.who.expires.IsZero() {
		srv := sp.room.server
		srv.alarms.add(sp, sp.who.nextLook(srv.clock()).Unix()+1)
	}
}

func (sp *speaker) connection() *engine.Conn { return sp.conn }

func (sp *speaker) look(int64) {
	if sp.room.server.clock().Sub(sp.who.expires) < expiryGrace {
		sp.watchExpiry()
		return
	}
	sp.conn.Close(closeUnauthorized, textExpired)
}
