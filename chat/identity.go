package chat

import (
	"bytes"
	"errors"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"throng/chat/token"
	"throng/protocol"
)

// identity is who a connection is: a user with a token, a guest, or nobody yet.
type identity struct {
	user, name string
	guest      bool
	claims     *token.Claims // nil for guests
	expires    time.Time     // zero: never
}

// Verifier holds tokens against the keys that are configured.
type Verifier interface {
	Verify(token string, now time.Time) (token.Claims, error)
}

const (
	// guestName is what those are called who say nothing about themselves.
	guestName = "guest"
	// Subprotocol is the name of the envelope protocol, as clients offer it.
	Subprotocol = "throng.v1"
	// tokenPrefix is how a browser, which cannot set headers, offers its token beside it.
	tokenPrefix = "throng.token."
)

var (
	errToken = &protocol.HandshakeError{Status: 401, Label: labelAuth, Field: "token",
		Text: "the token is not valid; fetch a new one and connect again"}
	errNoToken = &protocol.HandshakeError{Status: 401, Label: labelAuth, Field: "token",
		Text: "a token is needed here: Authorization: Bearer TOKEN, or the subprotocol throng.token.TOKEN beside throng.v1"}
	errTokens = &protocol.HandshakeError{Status: 401, Label: labelAuth, Field: "token",
		Text: "this server takes no tokens, since it has no key to check them with; connect without one"}
	errSession = &protocol.HandshakeError{Status: 400, Label: labelAuth, Field: "session",
		Text: "the session is none that this server gave; leave it out to get a new one"}
	errGuestName = &protocol.HandshakeError{Status: 400, Label: protocol.LabelName, Field: "name",
		Text: "the name is not usable: 1 to 64 bytes of UTF-8 without control characters"}
)

// labelAuth is what refused tokens are counted as.
const labelAuth = "auth"

// credentials are what an upgrade request says about who is asking.
type credentials struct{ token, session, name string }

// credentialsOf reads them: the header wins over the subprotocol, that over the query, which is there for those who can do nothing else.
func credentialsOf(r *protocol.Request) (c credentials) {
	if len(r.RawQuery) > 0 {
		query, _ := url.ParseQuery(string(r.RawQuery)) // what is malformed is as good as missing
		c = credentials{token: query.Get("token"), session: query.Get("session"), name: query.Get("name")}
	}
	for offered := range r.Protocols() {
		if text, ok := bytes.CutPrefix(offered, []byte(tokenPrefix)); ok {
			c.token = string(text)
		}
	}
	if scheme, text, ok := strings.Cut(string(r.Header("Authorization")), " "); ok && strings.EqualFold(scheme, "Bearer") {
		c.token = strings.TrimSpace(text)
	}
	return c
}

// identify says who a connection is. A user of "" is nobody yet: a client of throng.v1 may still send its token as the first message.
func (s *Server) identify(c credentials, now time.Time) (who identity, secret string, refused *protocol.HandshakeError) {
	switch {
	case c.token != "":
		who, err := s.verify(c.token, now)
		if err != nil {
			s.stats.refusedTokens.Add(1)
			return who, "", refusalOfToken(err)
		}
		return who, "", nil
	case !s.cfg.Guests:
		return identity{}, "", nil
	}
	who = identity{guest: true, name: guestName}
	if c.name != "" {
		name, ok := cleanName(c.name)
		if !ok {
			return who, "", errGuestName
		}
		who.name = name
	}
	if secret = c.session; secret == "" {
		secret = token.NewSession()
	} else if !token.ValidSession(secret) {
		return who, "", errSession
	}
	who.user = token.Guest(secret)
	return who, secret, nil
}

var errNoVerifier = errors.New("chat: no key to check tokens with")

// verify holds a token against the keys.
func (s *Server) verify(text string, now time.Time) (identity, error) {
	if s.cfg.Tokens == nil {
		return identity{}, errNoVerifier
	}
	claims, err := s.cfg.Tokens.Verify(text, now)
	if err != nil {
		return identity{}, err
	}
	who := identity{user: claims.User, name: claims.Name, claims: &claims, expires: claims.Expires}
	if who.name == "" {
		who.name = claims.User
	}
	return who, nil
}

func refusalOfToken(err error) *protocol.HandshakeError {
	if errors.Is(err, errNoVerifier) {
		return errTokens
	}
	return errToken
}

// may reports whether somebody belongs to a group.
func (who *identity) may(group Who, member bool) bool {
	switch group {
	case Anyone:
		return true
	case Members:
		return member
	case Users:
		return !who.guest
	}
	return false
}

// mayJoin reports whether somebody may be in a room. An inbox is its owner's alone.
func (who *identity) mayJoin(p *Policy, room string) bool {
	if isInbox(room) {
		return room[1:] == who.user
	}
	return who.may(p.Join, false) && (who.claims == nil || who.claims.Allows(room))
}

// mayPublish reports whether somebody may say something in a room. Whoever may not join one may not speak in it either, but for inboxes.
func (who *identity) mayPublish(p *Policy, room string, member bool) bool {
	if isInbox(room) {
		return who.may(p.Publish, true) && (who.claims == nil || who.claims.Publish == nil || who.claims.AllowsPublish(room))
	}
	return who.may(p.Publish, member) && who.mayJoin(p, room) && (who.claims == nil || who.claims.AllowsPublish(room))
}

// displayBytesMax is the longest display name.
const displayBytesMax = 64

// cleanName trims a display name, and reports whether it can be shown.
func cleanName(text string) (string, bool) {
	text = strings.Join(strings.Fields(text), " ")
	if text == "" || len(text) > displayBytesMax || !utf8.ValidString(text) {
		return "", false
	}
	for _, r := range text {
		if !showable(r) {
			return "", false
		}
	}
	return text, true
}
