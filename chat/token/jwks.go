package token

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// parseSet takes a JSON Web Key Set (RFC 7517), or one key alone. Keys for what is not done here are passed over, as the RFC says (section 5): a provider
// lists all of its own. One that should be good and is not fails the whole.
func parseSet(text []byte) ([]key, error) {
	o, err := readObject(text)
	if err != nil {
		return nil, fmt.Errorf("%w; a JSON Web Key Set begins with {\"keys\": [", err)
	}
	members := []json.RawMessage{text}
	if _, single := o["kty"]; !single {
		members = nil
		if err := o.read("keys", &members); err != nil {
			return nil, err
		}
	}
	var keys []key
	var passed []string
	for i, member := range members {
		k, why, err := parseJWK(member)
		if err != nil {
			return nil, fmt.Errorf("%w (key %d of the set)", err, i+1)
		}
		if why != "" {
			passed = append(passed, fmt.Sprintf("key %d %s", i+1, why))
			continue
		}
		if k.kid != "" && slices.ContainsFunc(keys, func(other key) bool { return other.kid == k.kid && other.method == k.method }) {
			return nil, fmt.Errorf("holds two keys with the kid %q for %s", k.kid, k.method.Alg())
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		if len(passed) == 0 {
			return nil, errors.New(`holds no keys; a JSON Web Key Set has them under "keys"`)
		}
		return nil, fmt.Errorf("holds no key that can be used: %s", strings.Join(passed[:min(len(passed), keysMax)], ", "))
	}
	return keys, nil
}

// jwk is one key of a set. All values are base64url.
type jwk struct {
	kty, crv, use, alg, kid string
	ops                     []string
	n, e, x, y, k           string
}

// parseJWK reads one key, and says why it is passed over if it is.
func parseJWK(text []byte) (k key, passed string, err error) {
	o, err := readObject(text)
	if err != nil {
		return k, "", fmt.Errorf("holds something among its keys that %w", err)
	}
	// Some tools write what they have not as null.
	maps.DeleteFunc(o, func(_ string, value json.RawMessage) bool { return string(value) == "null" })
	var j jwk
	for _, m := range []struct {
		name string
		into any
	}{
		{"kty", &j.kty}, {"crv", &j.crv}, {"use", &j.use}, {"alg", &j.alg}, {"kid", &j.kid}, {"key_ops", &j.ops},
		{"n", &j.n}, {"e", &j.e}, {"x", &j.x}, {"y", &j.y}, {"k", &j.k},
	} {
		if err := o.read(m.name, m.into); err != nil {
			return k, "", err
		}
	}
	if _, private := o["d"]; private && j.kty != "oct" {
		return k, "", errors.New(`holds a private key, which only whoever signs should have; leave out its "d" and what follows from it`)
	}
	if j.use != "" && j.use != "sig" {
		return k, fmt.Sprintf("is for the use %q", j.use), nil
	}
	if j.ops != nil && !slices.Contains(j.ops, "verify") {
		return k, "is not for verifying (key_ops)", nil
	}
	k, passed, err = j.key()
	if err != nil || passed != "" {
		return k, passed, err
	}
	if j.alg != "" && j.alg != k.method.Alg() {
		return k, fmt.Sprintf("is for the algorithm %q", j.alg), nil
	}
	k.kid = j.kid
	return k, "", nil
}

// key makes a key of what its kind needs.
func (j *jwk) key() (k key, passed string, err error) {
	switch {
	case j.kty == "oct":
		secret, err := number(j.k)
		if err != nil || len(secret) < secretBytesMin {
			return k, "", fmt.Errorf("holds a secret of %d bytes; allowed: at least %d, as base64url", len(secret), secretBytesMin)
		}
		return key{method: jwt.SigningMethodHS256, material: secret}, "", nil
	case j.kty == "RSA":
		k, err = j.rsa()
	case j.kty == "EC" && j.crv == "P-256":
		k, err = j.ec()
	case j.kty == "OKP" && j.crv == "Ed25519":
		x, err := number(j.x)
		if err != nil || len(x) != ed25519.PublicKeySize {
			return k, "", errors.New("holds an Ed25519 key that is none: its x is not 32 bytes of base64url")
		}
		return key{method: jwt.SigningMethodEdDSA, material: ed25519.PublicKey(x)}, "", nil
	default:
		return k, fmt.Sprintf("is of the kind %q", strings.TrimSpace(j.kty+" "+j.crv)), nil
	}
	return k, "", err
}

func (j *jwk) rsa() (key, error) {
	n, errN := number(j.n)
	e, errE := number(j.e)
	exponent := new(big.Int).SetBytes(e)
	if errN != nil || errE != nil || !exponent.IsInt64() || exponent.Int64() > math.MaxInt32 {
		return key{}, errors.New("holds an RSA key that is none: its n or e is not understood")
	}
	return keyOf(&rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent.Int64())})
}

func (j *jwk) ec() (key, error) {
	const coordinate = 32
	x, errX := number(j.x)
	y, errY := number(j.y)
	if errX != nil || errY != nil || len(x) != coordinate || len(y) != coordinate {
		return key{}, errors.New("holds a P-256 key that is none: its x or y is not 32 bytes of base64url")
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
	if err != nil {
		return key{}, errors.New("holds a P-256 key that is none: its point is not on the curve")
	}
	return keyOf(public)
}

// number decodes a value. Some tools leave their padding on.
func number(text string) ([]byte, error) {
	return base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
}
