// Package token says who somebody is. Users show a JSON Web Token (RFC 7519) that an application signed, guests a session that only they know.
//
// A token is believed when one of the keys of a file has signed it. Which algorithm that takes is decided by the key and never by the token: its header
// can only agree. So there is no way to a token without a signature ("alg": "none"), nor to one that is signed with a public key as if it were a secret.
//
// Nothing here blocks or keeps the time: files are read by New and Reload, and what time it is, is an argument.
package token

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// tokenBytesMax is four times a usual token of an identity provider, and fits a request's head beside everything else.
	tokenBytesMax = 4 << 10
	// leewayMax is more than clocks that anybody keeps differ by.
	leewayMax = 10 * time.Minute
)

// Config says which tokens are believed.
type Config struct {
	// File holds the keys: a secret, public keys as PEM, or a set of keys as JSON (RFC 7517).
	File string
	// Algorithms are those that may be used, of HS256, RS256, ES256 and EdDSA. None: whatever the keys are for.
	Algorithms []string
	// Issuer is who has to have made a token (claim iss). "": whoever has the key.
	Issuer string
	// Audience is who a token has to be for (claim aud), among others. "": whoever; set it where one key signs for several applications.
	Audience string
	// Leeway is by how much the clocks of this machine and of the one that signs may differ.
	Leeway time.Duration
	// NoExpiry lets tokens in that say no end (claim exp). A token that gets lost is then good until the key changes.
	NoExpiry bool
}

// Verifier tells tokens that are to be believed from others. Any goroutine.
type Verifier struct {
	cfg  Config
	keys atomic.Pointer[[]key]
}

// New reads the keys. What is wrong with them, or with the configuration, is said for whoever has to mend it.
func New(cfg Config) (*Verifier, error) {
	for _, name := range cfg.Algorithms {
		if methodOf(name) == nil {
			return nil, fmt.Errorf("the algorithm %q is unknown; allowed: %s", name, strings.Join(algorithms(), ", "))
		}
	}
	if cfg.Leeway < 0 || cfg.Leeway > leewayMax {
		return nil, fmt.Errorf("a leeway of %v makes no sense; allowed: 0s to %v", cfg.Leeway, leewayMax)
	}
	cfg.Algorithms = slices.Clone(cfg.Algorithms)
	v := &Verifier{cfg: cfg}
	if err := v.Reload(); err != nil {
		return nil, err
	}
	return v, nil
}

// Reload reads the keys anew. If something is wrong with them those before stay in force, all of them.
func (v *Verifier) Reload() error {
	keys, err := readKeys(v.cfg.File, v.cfg.Algorithms)
	if err != nil {
		return err
	}
	v.keys.Store(&keys)
	return nil
}

// Algorithms are those that the keys in force are for, each once.
func (v *Verifier) Algorithms() (names []string) {
	for _, k := range *v.keys.Load() {
		names = append(names, k.method.Alg())
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Verify says who a token is of. An error is an *Error: it can be shown to whoever sent the token, and holds nothing of it.
func (v *Verifier) Verify(token string, now time.Time) (Claims, error) {
	if len(token) > tokenBytesMax {
		return Claims{}, refuse(TooLong, "the token is longer than %d bytes", tokenBytesMax)
	}
	s, err := split(token)
	if err != nil {
		return Claims{}, err
	}
	head, err := readHeader(s.header)
	if err != nil {
		return Claims{}, err
	}
	if err := v.signed(s, head); err != nil {
		return Claims{}, err
	}
	b, err := readBody(s.body)
	if err != nil {
		return Claims{}, err
	}
	if err := v.judge(b, now); err != nil {
		return Claims{}, err
	}
	return b.claims()
}

// segments are the parts of a token.
type segments struct {
	header, body, signature []byte // decoded
	signed                  string // what the signature is of
}

// split takes a token apart. Go's decoder of base64 passes over ends of lines, and without Strict over bits that mean nothing: a token would have
// several spellings.
func split(token string) (s segments, err error) {
	header, rest, two := strings.Cut(token, ".")
	body, signature, three := strings.Cut(rest, ".")
	switch {
	case token == "":
		return s, refuse(Malformed, "the token is empty")
	case !two || !three || strings.Contains(signature, "."):
		return s, refuse(Malformed, "the token does not have the three parts of a signed JSON Web Token (RFC 7515)")
	case strings.ContainsAny(token, "\r\n"):
		return s, refuse(Malformed, "the token has more than one line")
	}
	s.signed = token[:len(token)-len(signature)-1]
	encoding := base64.RawURLEncoding.Strict()
	for _, part := range []struct {
		text string
		into *[]byte
	}{{header, &s.header}, {body, &s.body}, {signature, &s.signature}} {
		if *part.into, err = encoding.DecodeString(part.text); err != nil {
			return s, refuse(Malformed, "the token is not base64url as RFC 7515 has it")
		}
	}
	return s, nil
}

// header is what a token says of its signature.
type header struct{ alg, kid string }

func readHeader(text []byte) (h header, err error) {
	m, err := readObject(text)
	if err != nil {
		return h, refuse(Malformed, "the header of the token %s", err)
	}
	// What is critical has to be understood (RFC 7515 4.1.11), and nothing that could be is.
	if _, there := m["crit"]; there {
		return h, refuse(Malformed, "the header of the token has critical parts, which are not supported")
	}
	if err := m.read("alg", &h.alg); err != nil {
		return h, refuse(Malformed, "the header of the token %s", err)
	}
	if err := m.read("kid", &h.kid); err != nil {
		return h, refuse(Malformed, "the header of the token %s", err)
	}
	return h, nil
}

// signed tries those of the keys that the header can mean. A token that names its key is tried with that one, and with those that have no name.
func (v *Verifier) signed(s segments, h header) error {
	named, tried := false, false
	for _, k := range *v.keys.Load() {
		if h.kid != "" && k.kid != "" && h.kid != k.kid {
			continue
		}
		named = true
		if k.method.Alg() != h.alg {
			continue
		}
		tried = true
		if k.method.Verify(s.signed, s.signature, k.material) == nil {
			return nil
		}
	}
	switch {
	case !named:
		return refuse(UnknownKey, "the token is signed with a key that this server does not know")
	case !tried:
		return refuse(Algorithm, "the token says another algorithm than its key is for; here that is %s", strings.Join(v.Algorithms(), ", "))
	}
	return refuse(Signature, "the signature of the token is wrong")
}

// judge holds what a token says against what is asked for, and against the time. That it is too old is said last: a fresh one helps only if all else is right.
func (v *Verifier) judge(b *body, now time.Time) error {
	switch {
	case b.expires == nil && !v.cfg.NoExpiry:
		return refuse(BadClaims, "the token has no end: the claim exp is missing")
	case b.issuer == "" && v.cfg.Issuer != "":
		return refuse(Issuer, "the token does not say who made it: the claim iss is missing")
	}
	options := []jwt.ParserOption{jwt.WithTimeFunc(func() time.Time { return now }), jwt.WithLeeway(v.cfg.Leeway), jwt.WithIssuedAt()}
	if v.cfg.Issuer != "" {
		options = append(options, jwt.WithIssuer(v.cfg.Issuer))
	}
	if v.cfg.Audience != "" {
		options = append(options, jwt.WithAudience(v.cfg.Audience))
	}
	err := jwt.NewValidator(options...).Validate(b)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jwt.ErrTokenInvalidIssuer):
		return refuse(Issuer, "the token was made by somebody else than this server trusts (claim iss)")
	case errors.Is(err, jwt.ErrTokenInvalidAudience), errors.Is(err, jwt.ErrTokenRequiredClaimMissing): // one that is empty is missing to the library
		return refuse(Audience, "the token is not for this server (claim aud)")
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return refuse(NotYet, "the token is not valid yet (claims nbf and iat); if it was made just now, the clocks differ")
	case errors.Is(err, jwt.ErrTokenExpired):
		return refuse(Expired, "the token has expired; get a fresh one")
	}
	return refuse(BadClaims, "the claims of the token are wrong")
}
