package admin

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Who may do what, where reading what was said counts as changing:
//
//	                     health   reading   changing
//	Unix socket          yes      yes       yes        the server's own user and root, as the kernel says
//	TCP, loopback        yes      yes       with key
//	TCP, elsewhere       yes      with key  with key
//
// A wrong key is refused wherever one was given. Nobody needs a Host to speak to a Unix socket, so guard.go looks at it on TCP only.

// errKeyNeeded keeps a server from a start, or from settings, that would open it to other machines.
var errKeyNeeded = errors.New("it can be reached from other machines, and there is no key that they would have to know")

// identify says who asks, and why they may not.
func (s *Server) identify(r *http.Request, changes bool) (Caller, *Refusal) {
	if p := peerOf(r.Context()); p.local {
		if !p.trusted() {
			s.strangers.note(s.logger, "somebody else's process on the operators' socket", slog.Int("uid", p.uid))
			return "", &Refusal{Status: http.StatusForbidden, Text: "this socket is for the server's own user and for root"}
		}
		return Caller(fmt.Sprintf("uid %d, pid %d", p.uid, p.pid)), nil
	}
	tried, gave := bearer(r)
	switch {
	case gave && s.key.fits(tried):
		return Caller("key from " + r.RemoteAddr), nil
	case gave && s.key.has():
		s.strangers.note(s.logger, "a wrong key for the private port", slog.String("from", r.RemoteAddr))
		return "", &Refusal{Status: http.StatusUnauthorized, Text: "the key is wrong; it is what the server's --admin-key-file holds"}
	case !changes && s.open:
		return Caller("anybody from " + r.RemoteAddr), nil
	case !s.key.has():
		return "", &Refusal{Status: http.StatusForbidden,
			Text: "this server has no key, so nobody can change anything over TCP, nor read what was said; use its Unix socket, or start it with --admin-key-file"}
	}
	return "", &Refusal{Status: http.StatusUnauthorized, Text: "this needs the server's key: send Authorization: Bearer KEY, or use its Unix socket"}
}

// bearer is the token of RFC 6750 section 2.1.
func bearer(r *http.Request) (token string, gave bool) {
	scheme, token, found := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(token), found && strings.EqualFold(scheme, "Bearer")
}

// reading lets those in who may read.
func (s *Server) reading(next http.Handler) http.Handler {
	return s.guard.wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, refusal := s.identify(r, false); refusal != nil {
			deny(w, r, refusal)
			return
		}
		next.ServeHTTP(w, r)
	}))
}

// deny tells a refusal: as JSON to those who asked for it, else as text.
func deny(w http.ResponseWriter, r *http.Request, refusal *Refusal) {
	if refusal.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="throng"`)
	}
	if strings.HasPrefix(r.URL.Path, apiPrefix) {
		w.Header().Set("Cache-Control", "no-store")
		answer(w, refusal.Status, errorBody{Error: refusal.Text, Details: refusal.Details})
		return
	}
	http.Error(w, refusal.Text, refusal.Status)
}

// doorBook keeps those who have no business here from filling the log: one line a second, with how many there were.
type doorBook struct {
	mu     sync.Mutex
	last   time.Time
	unsaid int
}

func (b *doorBook) note(logger *slog.Logger, what string, who slog.Attr) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := time.Now(); now.Sub(b.last) >= time.Second {
		logger.Warn(what, who, slog.Int("unsaid", b.unsaid))
		b.last, b.unsaid = now, 0
		return
	}
	b.unsaid++
}
