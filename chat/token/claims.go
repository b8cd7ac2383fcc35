package token

import (
	"math"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Claims are what a token says of its user.
type Claims struct {
	User    string    // the claim sub
	Name    string    // how others see the user: the claim name, or else User
	Expires time.Time // zero: never. What the token says, without the leeway
	// Rooms are the rooms that the user may join (claim rooms): names, or beginnings of names with a * behind. Nil, where the token has no such claim,
	// is no limit; an empty list is none of them.
	Rooms []string
	// Publish is the same for publishing (claim publish). Nil is as Rooms says.
	Publish []string
}

// Allows reports whether the token lets its user join a room. The own inbox is always open.
func (c *Claims) Allows(room string) bool {
	return c.Rooms == nil || room == inboxOf(c.User) || matches(c.Rooms, room)
}

// AllowsPublish reports whether the token lets its user publish to a room.
func (c *Claims) AllowsPublish(room string) bool {
	if c.Publish == nil {
		return c.Allows(room)
	}
	return matches(c.Publish, room)
}

func matches(patterns []string, room string) bool {
	for _, p := range patterns {
		if begin, open := strings.CutSuffix(p, "*"); p == room || open && strings.HasPrefix(room, begin) {
			return true
		}
	}
	return false
}

// inboxOf is the room of what is sent to a user.
func inboxOf(user string) string { return "@" + user }

// body is what a token says, before any of it is believed.
type body struct {
	subject, name, issuer      string
	audience                   jwt.ClaimStrings
	expires, notBefore, issued *jwt.NumericDate
	rooms, publish             []string
}

func readBody(text []byte) (*body, error) {
	m, err := readObject(text)
	if err != nil {
		return nil, refuse(BadClaims, "what the token says %s", err)
	}
	b := &body{}
	var exp, nbf, iat *float64
	for _, claim := range []struct {
		name string
		into any
	}{
		{"sub", &b.subject}, {"name", &b.name}, {"iss", &b.issuer}, {"aud", &b.audience}, {"exp", &exp}, {"nbf", &nbf}, {"iat", &iat},
		{"rooms", &b.rooms}, {"publish", &b.publish},
	} {
		if err := m.read(claim.name, claim.into); err != nil {
			return nil, refuse(BadClaims, "the token %s", err)
		}
	}
	for _, at := range []struct {
		name    string
		seconds *float64
		into    **jwt.NumericDate
	}{{"exp", exp, &b.expires}, {"nbf", nbf, &b.notBefore}, {"iat", iat, &b.issued}} {
		if at.seconds == nil {
			continue
		}
		if *at.into = date(*at.seconds); *at.into == nil {
			return nil, refuse(BadClaims, "the token has a %s that is no time; it is in seconds since 1970", at.name)
		}
	}
	return b, nil
}

// secondsMax is the end of the year 9999, after which times have no common spelling. Milliseconds by mistake are beyond it.
const secondsMax = 253402300799

// date is a time of RFC 7519, nil if there is none such. Parts of a second are left out: of an end that is never later than what was said.
func date(seconds float64) *jwt.NumericDate {
	if !(seconds >= 0 && seconds <= secondsMax) {
		return nil
	}
	return &jwt.NumericDate{Time: time.Unix(int64(math.Floor(seconds)), 0)}
}

// claims is what is left of a body that was found right.
func (b *body) claims() (Claims, error) {
	if b.subject == "" {
		return Claims{}, refuse(BadClaims, "the token does not say who its user is: the claim sub is missing or empty")
	}
	if err := CheckUser(b.subject); err != nil {
		return Claims{}, refuse(BadClaims, "%s (claim sub)", err)
	}
	for _, patterns := range [][]string{b.rooms, b.publish} {
		for _, p := range patterns {
			if !isPattern(p) {
				return Claims{}, refuse(BadClaims, "the claims rooms and publish are lists of names of rooms, or of how names begin with a * behind it, such as tea-*")
			}
		}
	}
	c := Claims{User: b.subject, Name: DisplayName(b.name), Rooms: b.rooms, Publish: b.publish}
	if c.Name == "" {
		c.Name = c.User
	}
	if b.expires != nil {
		c.Expires = b.expires.Time
	}
	return c, nil
}

// isPattern reports whether a pattern can mean a room: it may be an inbox, and need not be whole.
func isPattern(p string) bool {
	begin, open := strings.CutSuffix(p, "*")
	begin = strings.TrimPrefix(begin, "@")
	return begin == "" && open || checkName(begin) == nil
}

// GetExpirationTime is for the library's validator, as the others are.
func (b *body) GetExpirationTime() (*jwt.NumericDate, error) { return b.expires, nil }

// GetNotBefore is the claim nbf.
func (b *body) GetNotBefore() (*jwt.NumericDate, error) { return b.notBefore, nil }

// GetIssuedAt is the claim iat.
func (b *body) GetIssuedAt() (*jwt.NumericDate, error) { return b.issued, nil }

// GetIssuer is the claim iss.
func (b *body) GetIssuer() (string, error) { return b.issuer, nil }

// GetSubject is the claim sub.
func (b *body) GetSubject() (string, error) { return b.subject, nil }

// GetAudience is the claim aud.
func (b *body) GetAudience() (jwt.ClaimStrings, error) { return b.audience, nil }
