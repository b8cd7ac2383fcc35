package token

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// fileBytesMax is far more than a set of keys with their certificates has.
	fileBytesMax = 256 << 10
	// keysMax bounds how many keys a token that names none is tried with. Providers have two or three.
	keysMax = 16
	// secretBytesMin is what RFC 7518 3.2 demands: as many as the hash has.
	secretBytesMin = 32
	// secretBytesMax keeps a file that is no secret, named by mistake, from being one.
	secretBytesMax = 1 << 10
	// rsaBitsMin is RFC 7518 3.3; above rsaBitsMax a signature would take milliseconds.
	rsaBitsMin, rsaBitsMax = 2048, 8192
)

// pemBegin is how each piece of PEM begins.
const pemBegin = "-----BEGIN "

// methods are what keys can be for.
var methods = []jwt.SigningMethod{jwt.SigningMethodHS256, jwt.SigningMethodRS256, jwt.SigningMethodES256, jwt.SigningMethodEdDSA}

func algorithms() (names []string) {
	for _, m := range methods {
		names = append(names, m.Alg())
	}
	return names
}

// methodOf is nil for what is not one of the four.
func methodOf(name string) jwt.SigningMethod {
	for _, m := range methods {
		if m.Alg() == name {
			return m
		}
	}
	return nil
}

// key is one that signatures are checked with, and what for.
type key struct {
	kid      string // "" has no name
	method   jwt.SigningMethod
	material any // as the method wants it
}

// readKeys reads a file of keys, and leaves out those for other algorithms than the allowed; none allowed is all.
func readKeys(file string, allowed []string) ([]key, error) {
	text, mode, err := readFile(file)
	if err != nil {
		return nil, err
	}
	keys, err := parseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("%s %w", file, err)
	}
	secret := slices.ContainsFunc(keys, func(k key) bool { return k.method == jwt.SigningMethodHS256 })
	if secret && mode.Perm()&0o077 != 0 && !isCredential(file) {
		return nil, fmt.Errorf("%s holds a secret and can be read by others than its owner (mode %04o); change that with chmod 600 %s, and the secret too if they may have read it",
			file, mode.Perm(), file)
	}
	if len(allowed) > 0 {
		keys = slices.DeleteFunc(keys, func(k key) bool { return !slices.Contains(allowed, k.method.Alg()) })
		if len(keys) == 0 {
			return nil, fmt.Errorf("%s has no key for any of the allowed algorithms: %s", file, strings.Join(allowed, ", "))
		}
	}
	return keys, nil
}

func readFile(name string) (text []byte, mode os.FileMode, err error) {
	info, err := os.Stat(name) // before it is opened: that could wait for ever if it is a pipe
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s is not a plain file", name)
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = file.Close() }()
	text, err = io.ReadAll(io.LimitReader(file, fileBytesMax+1))
	if err == nil && len(text) > fileBytesMax {
		err = fmt.Errorf("%s is longer than %d bytes: not a file of keys", name, fileBytesMax)
	}
	return text, info.Mode(), err
}

// isCredential reports whether systemd keeps the file for this service (see systemd.exec(5), LoadCredential=). Nobody else gets into the folder, and
// what looks like rights of the group there is the mask of an access list.
func isCredential(file string) bool {
	folder := os.Getenv("CREDENTIALS_DIRECTORY")
	return folder != "" && filepath.Dir(filepath.Clean(file)) == filepath.Clean(folder)
}

// parseKeys finds out what a file is. Its errors go on from the file's name.
func parseKeys(text []byte) (keys []key, err error) {
	switch trimmed := bytes.TrimSpace(text); {
	case len(trimmed) == 0:
		return nil, errors.New("is empty")
	case trimmed[0] == '{':
		keys, err = parseSet(trimmed)
	case bytes.Contains(text, []byte(pemBegin)):
		keys, err = parsePEM(text)
	default:
		keys, err = parseSecret(text)
	}
	if err == nil && len(keys) > keysMax {
		err = fmt.Errorf("holds %d keys; allowed: at most %d", len(keys), keysMax)
	}
	return keys, err
}

// parseSecret takes one line of text. Anything else that somebody puts there without marks could be a public key in another form, and whoever has
// that would sign with it.
func parseSecret(text []byte) ([]key, error) {
	text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
	switch {
	case bytes.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		return nil, errors.New("is neither a secret (one line of ASCII without spaces), nor PEM, nor a JSON Web Key Set; a key in DER is made PEM with openssl pkey -pubin -inform DER")
	case isBareKey(text):
		return nil, errors.New("holds a key without the lines that say so; put -----BEGIN PUBLIC KEY----- before it and -----END PUBLIC KEY----- behind")
	case len(text) < secretBytesMin:
		return nil, fmt.Errorf("holds a secret of %d bytes; allowed: at least %d, such as the output of head -c 48 /dev/urandom | base64 -w0", len(text), secretBytesMin)
	case len(text) > secretBytesMax:
		return nil, fmt.Errorf("holds a line of %d bytes; allowed for a secret: at most %d", len(text), secretBytesMax)
	}
	return []key{{method: jwt.SigningMethodHS256, material: bytes.Clone(text)}}, nil
}

// isBareKey reports whether a text is a key's DER in base64, as some providers show theirs.
func isBareKey(text []byte) bool {
	der, err := base64.StdEncoding.DecodeString(string(text))
	if err != nil {
		return false
	}
	for _, parse := range []func([]byte) error{
		func(d []byte) error { _, err := x509.ParsePKIXPublicKey(d); return err },
		func(d []byte) error { _, err := x509.ParsePKCS1PublicKey(d); return err },
		func(d []byte) error { _, err := x509.ParseCertificate(d); return err },
		func(d []byte) error { _, err := x509.ParsePKCS8PrivateKey(d); return err },
	} {
		if parse(der) == nil {
			return true
		}
	}
	return false
}

var errPrivate = errors.New("holds a private key, which only whoever signs should have; put the public one there: openssl pkey -in KEY -pubout")

// parsePEM takes public keys, several where one replaces another, or one certificate, of which nothing but the key is looked at. Of several
// certificates all but one belong to those who issued it, and their keys sign no tokens.
func parsePEM(text []byte) (keys []key, err error) {
	begun, certificates := bytes.Count(text, []byte(pemBegin)), 0
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		var public any
		switch {
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			return nil, errPrivate
		case block.Type == "PUBLIC KEY":
			public, err = x509.ParsePKIXPublicKey(block.Bytes)
		case block.Type == "RSA PUBLIC KEY":
			public, err = x509.ParsePKCS1PublicKey(block.Bytes)
		case block.Type == "CERTIFICATE":
			certificates++
			var certificate *x509.Certificate
			if certificate, err = x509.ParseCertificate(block.Bytes); err == nil {
				public = certificate.PublicKey
			}
		default:
			return nil, fmt.Errorf("holds a %q; allowed: public keys, or a certificate", block.Type)
		}
		if err != nil {
			return nil, fmt.Errorf("holds a %s that is not understood: %w", block.Type, err)
		}
		k, err := keyOf(public)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	switch {
	case len(keys) != begun: // what is broken is passed over by pem.Decode
		return nil, errors.New("holds PEM that is cut or broken")
	case certificates > 1:
		return nil, errors.New("holds several certificates; leave the one whose key signs the tokens, or take public keys: openssl x509 -in CERTIFICATE -noout -pubkey")
	}
	return keys, nil
}

// keyOf finds what a public key is for, and whether it is good for it.
func keyOf(public any) (key, error) {
	switch p := public.(type) {
	case *rsa.PublicKey:
		if bits := p.N.BitLen(); bits < rsaBitsMin || bits > rsaBitsMax {
			return key{}, fmt.Errorf("holds an RSA key of %d bits; allowed: %d to %d", bits, rsaBitsMin, rsaBitsMax)
		}
		// With 1 everything would be its own signature.
		if p.E < 3 || p.E%2 == 0 || p.N.Bit(0) == 0 {
			return key{}, errors.New("holds an RSA key that is none: its exponent or modulus is impossible")
		}
		return key{method: jwt.SigningMethodRS256, material: p}, nil
	case *ecdsa.PublicKey:
		if p.Curve != elliptic.P256() {
			return key{}, fmt.Errorf("holds a key on the curve %s; allowed: P-256", p.Curve.Params().Name)
		}
		return key{method: jwt.SigningMethodES256, material: p}, nil
	case ed25519.PublicKey:
		return key{method: jwt.SigningMethodEdDSA, material: p}, nil
	}
	return key{}, errors.New("holds a key of a kind that is not used here; allowed: RSA, EC on P-256, Ed25519")
}
