package chat

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"throng/chat/token"
)

// fakeClock stands still until it is moved.
type fakeClock struct {
	mu sync.Mutex
	at time.Time
}

func newFakeClock() *fakeClock { return &fakeClock{at: time.Unix(1_800_000_000, 0)} }

func (c *fakeClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *fakeClock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// plainTokens takes tokens that say what they mean: USER/EXPIRES, EXPIRES in seconds since 1970, and behind that the rooms and the name, if any.
type plainTokens struct{}

func (plainTokens) Verify(text string, now time.Time) (claims token.Claims, err error) {
	parts := strings.Split(text, "/")
	if len(parts) < 2 {
		return claims, errors.New("forged")
	}
	seconds, _ := strconv.ParseInt(parts[1], 10, 64)
	claims.User, claims.Expires = parts[0], time.Unix(seconds, 0)
	if len(parts) > 2 && parts[2] != "" {
		claims.Rooms = strings.Split(parts[2], ",")
	}
	if len(parts) > 3 {
		claims.Name = parts[3]
	}
	if !claims.Expires.After(now) {
		return claims, errors.New("expired")
	}
	return claims, nil
}

// tokenRig is a node where everybody needs a token, and where time stands still.
type tokenRig struct {
	*rig
	clock *fakeClock
}

func newTokenRig(t *testing.T) *tokenRig {
	clock := newFakeClock()
	return newGuestRig(t, clock, false)
}

// newGuestRig is the same where guests are let in, or not. Nothing happens by itself.
func newGuestRig(t *testing.T, clock *fakeClock, guests bool) *tokenRig {
	r := newTunedRig(t, true, func(c *Config) {
		c.Clock, c.Tokens, c.Guests = clock.now, plainTokens{}, guests
	}, func(s *Server) { s.times.beat = time.Hour })
	return &tokenRig{r, clock}
}

// ring looks at the alarms as the beat does.
func (r *tokenRig) ring() { r.server.ringAlarms(r.clock.now()) }

func (r *tokenRig) token(user string, valid time.Duration) string {
	return fmt.Sprintf("%s/%d", user, r.clock.now().Add(valid).Unix())
}

// holder is a client with a token.
type holder struct {
	*talker
	r *tokenRig
}

func (r *tokenRig) bearer(user string, valid time.Duration) *holder {
	r.t.Helper()
	ws, _, err := r.dial(nil, http.Header{"Authorization": {"Bearer " + r.token(user, valid)}})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = ws.Close() })
	h := &holder{&talker{t: r.t, ws: ws}, r}
	if hello := h.next("welcome"); hello.User != user || hello.Guest {
		r.t.Fatalf("%s is welcomed as %+v", user, hello)
	}
	return h
}

// auth brings a fresh token.
func (h *holder) auth(user string, valid time.Duration) said {
	h.t.Helper()
	return h.ok("auth", fmt.Sprintf(`"token":%q`, h.r.token(user, valid)))
}

// nobody is a client without a token.
func (r *tokenRig) nobody() (*talker, said) {
	r.t.Helper()
	ws, _, err := r.dial(nil, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = ws.Close() })
	k := &talker{t: r.t, ws: ws}
	return k, k.next("welcome")
}

// rawBearer is a raw client with a token.
func (r *tokenRig) rawBearer(room, user string, valid time.Duration) *websocket.Conn {
	r.t.Helper()
	ws, _, err := websocket.DefaultDialer.Dial("ws://"+r.addr+"/rooms/"+url.PathEscape(room), http.Header{"Authorization": {"Bearer " + r.token(user, valid)}})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = ws.Close() })
	return ws
}

// closedWith fails unless the next thing is a Close with this code.
func closedWith(t *testing.T, ws *websocket.Conn, code int) {
	t.Helper()
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	for {
		_, text, err := ws.ReadMessage()
		if err == nil {
			t.Logf("before the end: %s", text)
			continue
		}
		if !websocket.IsCloseError(err, code) {
			t.Errorf("the connection ended with %v; want %d", err, code)
		}
		return
	}
}
