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

// alarms are the sessions to be looked at, by the second. Any goroutine.
type alarms struct {
	mu sync.Mutex
	at map[int64][]*session
}

func (a *alarms) add(s *session, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.at == nil {
		a.at = make(map[int64][]*session)
	}
	a.at[at.Unix()+1] = append(a.at[at.Unix()+1], s)
}

// due takes out those whose time has come.
func (a *alarms) due(now time.Time) (list []*session) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for second, sessions := range a.at {
		if second <= now.Unix() {
			list = append(list, sessions...)
			delete(a.at, second)
		}
	}
	return list
}

// watchExpiry plans the next look at the session, if there is a reason for one.
func (s *session) watchExpiry() {
	now := s.server.clock()
	next := now.Add(lookAgain)
	switch {
	case s.who.user == "":
		next = now.Add(authTime)
	case s.who.expires.IsZero():
		return
	default:
		for _, at := range []time.Time{s.who.expires.Add(-expiryWarning), s.who.expires, s.who.expires.Add(expiryGrace)} {
			if at.After(now) && at.Before(next) {
				next = at
			}
		}
	}
	s.server.alarms.add(s, next)
}

// look acts on what the time has brought: it warns, and in the end sends away.
func (s *session) look() {
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

// ring looks at the sessions whose time has come.
func (s *Server) ringAlarms(now time.Time) {
	for _, one := range s.alarms.due(now) {
		if !one.gone.Load() {
			one.conn.Post(func(*engine.Conn) { one.look() })
		}
	}
}
