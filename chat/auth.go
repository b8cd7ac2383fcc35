package chat

import (
	"errors"
	"time"

	"throng/protocol/envelope"
)

const (
	// authEvery and authBurst bound how often a connection says who it is. To check a signature holds a loop up for as long as dozens of other requests, and
	// a new name is news in a hundred rooms.
	authEvery = time.Second
	authBurst = 10
)

// auth gives the connection another identity's token, or a guest another name.
func (s *session) auth(req *envelope.Request) {
	if wait := s.authWait(); wait > 0 {
		s.refuse(req.ID, "", retryAfter(envelope.Errorf(envelope.Rate, "who you are need not be said so often"), wait))
		return
	}
	if len(req.Token) == 0 {
		s.rename(req)
		return
	}
	who, err := s.server.verify(string(req.Token), s.server.clock())
	switch {
	case errors.Is(err, errNoVerifier):
		s.refuse(req.ID, "", envelope.Errorf(envelope.Unauthorized, "%s", errTokens.Text))
		return
	case err != nil:
		s.server.stats.refusedTokens.Add(1)
		s.refuse(req.ID, "", envelope.Errorf(envelope.Unauthorized, "%s", err.Error()))
		return
	case !s.mayBecome(&who):
		s.refuse(req.ID, "", envelope.Errorf(envelope.Unauthorized, "the token is somebody else's: connect anew to be another user"))
		return
	}
	s.who, s.warned = who, false
	s.recheck()
	s.showAs(who.name)
	s.watchExpiry()
	s.send(envelope.AppendAuthed(nil, req.ID, s.who.user, s.who.name, millis(s.who.expires)))
}

// authWait is for how long the connection has to wait before it may say again who it is.
func (s *session) authWait() time.Duration {
	now := s.server.now()
	next := max(s.authNext, now)
	if wait := next - now - (authBurst-1)*int64(authEvery); wait > 0 {
		return time.Duration(wait)
	}
	s.authNext = next + int64(authEvery)
	return 0
}

// mayBecome reports whether the connection may go on as somebody: as whom it was, or as anybody if it has been nobody so far, or a guest who is in no room.
func (s *session) mayBecome(who *identity) bool {
	return s.who.user == "" || who.user == s.who.user || s.who.guest && len(s.seats) == 0
}

// recheck takes the connection out of rooms that its new token does not allow.
func (s *session) recheck() {
	for i := len(s.seats) - 1; i >= 0; i-- {
		if r := s.seats[i].room; !s.who.mayJoin(r.policy, r.name) {
			s.giveUp(i)
			s.refuse(nil, r.name, envelope.Errorf(envelope.Denied, "the new token does not allow this room; you have left it"))
		}
	}
}

// rename gives a guest another name, in all its rooms.
func (s *session) rename(req *envelope.Request) {
	name, ok := cleanName(string(req.Name))
	switch {
	case !s.who.guest:
		s.refuse(req.ID, "", envelope.Errorf(envelope.Denied, "your name is what your token says"))
		return
	case !ok:
		s.refuse(req.ID, "", envelope.Errorf(envelope.BadName, "%s", errGuestName.Text))
		return
	}
	s.who.name = name
	s.showAs(name)
	s.send(envelope.AppendAuthed(nil, req.ID, s.who.user, s.who.name, 0))
}

// showAs has all the connection's rooms show it by a name, or by one like it.
func (s *session) showAs(name string) {
	for i := range s.seats {
		r := s.seats[i].room
		shown := name
		if s.seats[i].listed {
			r.mu.Lock()
			shown = r.crowd.rename(s.who.user, name)
			r.stir()
			r.mu.Unlock()
		}
		s.setShown(r, shown)
	}
}
