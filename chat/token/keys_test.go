package token

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func block(kind string, der []byte, err error) string {
	must(err)
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// certificate is a self-signed one, whose time is over.
func certificate(private *ecdsa.PrivateKey) string {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Unix(1, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	return block("CERTIFICATE", der, err)
}

func TestKeyFiles(t *testing.T) {
	all := signers()
	rs, es, ed := all["RS256"].sign.(*rsa.PrivateKey), all["ES256"].sign.(*ecdsa.PrivateKey), all["EdDSA"].sign.(ed25519.PrivateKey)
	for _, c := range []struct {
		what, text string
		want       string // algorithms
	}{
		{"a secret", theSecret, "HS256"},
		{"a secret from Windows", theSecret + "\r\n", "HS256"},
		{"a secret of 32 bytes", strings.Repeat("x", 32) + "\n", "HS256"},
		{"a public key", all["RS256"].file, "RS256"},
		{"with words around it", "the key of 2024\n" + all["ES256"].file + "\nbye\n", "ES256"},
		{"an RSA public key of PKCS 1", block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rs.PublicKey), nil), "RS256"},
		{"a certificate", certificate(es), "ES256"},
		{"three keys", all["RS256"].file + all["ES256"].file + all["EdDSA"].file, "ES256 EdDSA RS256"},
		{"a set", set(jwkOf(&rs.PublicKey, nil), jwkOf(&es.PublicKey, nil), jwkOf(ed.Public(), nil), jwkOf([]byte(theSecret), nil)), "ES256 EdDSA HS256 RS256"},
		{"one key alone", `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","use":"sig","alg":"EdDSA","key_ops":["verify"]}`, "EdDSA"},
		{"a set with padding", set(map[string]any{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo="}), "EdDSA"},
		{"a set with nulls", set(jwkOf(&es.PublicKey, map[string]any{"d": nil, "use": nil, "kid": nil, "x5c": nil})), "ES256"},
		{"a set with what is passed over", set(
			map[string]any{"kty": "new"}, map[string]any{}, map[string]any{"kty": "OKP", "crv": "Ed448", "x": "AA"}, map[string]any{"kty": "EC", "crv": "P-521", "x": "AA"},
			jwkOf(&rs.PublicKey, map[string]any{"use": "enc"}), jwkOf(&rs.PublicKey, map[string]any{"alg": "RS512"}), jwkOf(&rs.PublicKey, map[string]any{"key_ops": []string{"encrypt"}}),
			jwkOf(&es.PublicKey, map[string]any{"use": "sig", "alg": "ES256", "x5t": "x"})), "ES256"},
		{"two of one name for two algorithms", set(jwkOf(&rs.PublicKey, map[string]any{"kid": "a"}), jwkOf(&es.PublicKey, map[string]any{"kid": "a"})), "ES256 RS256"},
	} {
		v, err := New(Config{File: fileOf(t, c.text)})
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
		} else if got := strings.Join(v.Algorithms(), " "); got != c.want {
			t.Errorf("%s: for %s, want %s", c.what, got, c.want)
		}
	}
}

func TestKeyFilesThatAreWrong(t *testing.T) {
	all := signers()
	rs, es, ed := all["RS256"].sign.(*rsa.PrivateKey), all["ES256"].sign.(*ecdsa.PrivateKey), all["EdDSA"].sign.(ed25519.PrivateKey)
	weak := &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 1023, 1), E: 65537}
	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(ed)
	sec1, errSEC1 := x509.MarshalECPrivateKey(es)
	public, errPublic := x509.MarshalPKIXPublicKey(&es.PublicKey)
	must(errPublic)
	many := func(n int) (keys []map[string]any) {
		for i := range n {
			keys = append(keys, jwkOf([]byte(theSecret), map[string]any{"kid": fmt.Sprint(i)}))
		}
		return keys
	}
	if _, err := New(Config{File: fileOf(t, set(many(keysMax)...))}); err != nil {
		t.Error(err)
	}
	for _, c := range []struct{ what, text, part string }{
		{"empty", "", "is empty"},
		{"blank", " \n\n", "is empty"},
		{"a short secret", strings.Repeat("x", 31), "31 bytes; allowed: at least 32"},
		{"a short secret and an end of line", strings.Repeat("x", 31) + "\n", "31 bytes; allowed: at least 32"},
		{"a long line", strings.Repeat("x", 1025), "at most 1024"},
		{"a secret of two lines", theSecret + "\n" + theSecret + "\n", "one line of ASCII"},
		{"a secret with a space", theSecret + " x", "one line of ASCII"},
		{"a secret with a BOM", "\ufeff" + theSecret, "one line of ASCII"},
		{"DER", string(public), "-inform DER"},
		{"a public key without its lines", base64.StdEncoding.EncodeToString(public), "-----BEGIN PUBLIC KEY-----"},
		{"huge", strings.Repeat("x", fileBytesMax+1), "not a file of keys"},
		{"a private key", block("PRIVATE KEY", pkcs8, err), "openssl pkey -in KEY -pubout"},
		{"a private key of EC's", block("EC PRIVATE KEY", sec1, errSEC1), "private key"},
		{"a private key of RSA's", block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rs), nil), "private key"},
		{"a private key with a password", block("ENCRYPTED PRIVATE KEY", []byte("x"), nil), "private key"},
		{"a private key behind a public one", all["ES256"].file + block("PRIVATE KEY", pkcs8, err), "private key"},
		{"a request for a certificate", block("CERTIFICATE REQUEST", []byte("x"), nil), "public keys, or a certificate"},
		{"a public key of nothing", block("PUBLIC KEY", []byte("x"), nil), "not understood"},
		{"a cut public key", all["ES256"].file[:80], "cut or broken"},
		{"a broken one before a good one", "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----x\n" + all["ES256"].file, "cut or broken"},
		{"a chain", certificate(es) + certificate(es), "openssl x509"},
		{"a weak RSA key", publicPEM(weak), "1024 bits"},
		{"an RSA key with 1", publicPEM(&rsa.PublicKey{N: rs.N, E: 1}), "impossible"},
		{"another curve", publicPEM(&other.PublicKey), "P-384; allowed: P-256"},
		{"a set that is cut", `{"keys":[`, "JSON Web Key Set"},
		{"a set without keys", `{}`, "holds no keys"},
		{"a set of no keys", `{"keys":[]}`, "holds no keys"},
		{"a set of null", `{"keys":null}`, "keys that is not of the right kind"},
		{"a set of words", `{"keys":["a"]}`, "not a JSON object"},
		{"two sets", `{"keys":[],"keys":[]}`, "two members"},
		{"nothing that can be used", set(map[string]any{"kty": "new"}, jwkOf(&other.PublicKey, nil), jwkOf(&rs.PublicKey, map[string]any{"use": "enc"})),
			`key 1 is of the kind "new", key 2 is of the kind "EC P-384", key 3 is for the use "enc"`},
		{"a private key in a set", set(jwkOf(&es.PublicKey, map[string]any{"d": "x"})), "private key"},
		{"a short secret in a set", set(jwkOf([]byte("short"), nil)), "5 bytes"},
		{"no secret in a set", set(map[string]any{"kty": "oct"}), "0 bytes"},
		{"a weak key in a set", set(jwkOf(&es.PublicKey, nil), jwkOf(weak, nil)), "1024 bits; allowed: 2048 to 8192 (key 2"},
		{"an exponent of 1", set(jwkOf(&rs.PublicKey, map[string]any{"e": "AQ"})), "impossible"},
		{"no exponent", set(jwkOf(&rs.PublicKey, map[string]any{"e": ""})), "impossible"},
		{"a huge exponent", set(jwkOf(&rs.PublicKey, map[string]any{"e": "AQAAAAAB"})), "not understood"},
		{"no curve's point", set(jwkOf(&es.PublicKey, map[string]any{"x": strings.Repeat("A", 43)})), "not on the curve"},
		{"half a point", set(jwkOf(&es.PublicKey, map[string]any{"y": nil})), "32 bytes"},
		{"half an Ed25519 key", set(map[string]any{"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}), "32 bytes"},
		{"a number for a text", set(jwkOf(&es.PublicKey, map[string]any{"kid": 7})), "kid that is not"},
		{"two of one name", set(jwkOf(&es.PublicKey, map[string]any{"kid": "a"}), jwkOf(&es.PublicKey, map[string]any{"kid": "a"})), `the kid "a" for ES256`},
		{"too many", set(many(keysMax + 1)...), "17 keys; allowed: at most 16"},
	} {
		if v, err := New(Config{File: fileOf(t, c.text)}); err == nil || v != nil || !strings.Contains(err.Error(), c.part) || strings.Contains(err.Error(), theSecret) {
			t.Errorf("%s: %v, want %q", c.what, err, c.part)
		}
	}
}

func TestKeyFilesThatAreNone(t *testing.T) {
	folder := t.TempDir()
	pipe := filepath.Join(folder, "pipe")
	must(syscall.Mkfifo(pipe, 0o600))
	open := fileOf(t, theSecret)
	must(os.Chmod(open, 0o640))
	public := fileOf(t, signers()["RS256"].file)
	must(os.Chmod(public, 0o644))
	for file, part := range map[string]string{
		filepath.Join(folder, "none"): "no such file", folder: "not a plain file", pipe: "not a plain file", open: "chmod 600", public: "",
	} {
		if _, err := New(Config{File: file}); (err == nil) != (part == "") || err != nil && !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v, want %q", file, err, part)
		}
	}
	// systemd's mask of an access list looks like rights of the group.
	t.Setenv("CREDENTIALS_DIRECTORY", filepath.Dir(open))
	if _, err := New(Config{File: open}); err != nil {
		t.Error(err)
	}
}

func TestConfigThatIsWrong(t *testing.T) {
	file := fileOf(t, signers()["RS256"].file+signers()["ES256"].file)
	for _, c := range []struct {
		cfg  Config
		part string
	}{
		{Config{Algorithms: []string{"none"}}, `"none" is unknown; allowed: HS256, RS256, ES256, EdDSA`},
		{Config{Algorithms: []string{"RS512"}}, "unknown"},
		{Config{Algorithms: []string{"HS256", "EdDSA"}}, "no key for any of the allowed algorithms: HS256, EdDSA"},
		{Config{Leeway: -1}, "leeway"},
		{Config{Leeway: time.Hour}, "0s to 10m"},
	} {
		c.cfg.File = file
		if _, err := New(c.cfg); err == nil || !strings.Contains(err.Error(), c.part) {
			t.Errorf("%+v: %v, want %q", c.cfg, err, c.part)
		}
	}
	v, err := New(Config{File: file, Algorithms: []string{"ES256"}})
	if err != nil || !slices.Equal(v.Algorithms(), []string{"ES256"}) {
		t.Fatalf("%v, %v", v, err)
	}
	refused(t, "a key for an algorithm that is not allowed", v, signers()["RS256"].says(bob("")), now, Algorithm)
}

// TestKeysByName: a token that names its key is tried with no other of the set.
func TestKeysByName(t *testing.T) {
	all := signers()
	es, ed := all["ES256"], all["EdDSA"]
	second, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	next := signer{es.method, second, ""}
	named := func(s signer, kid string) string {
		return s.token(`{"alg":"`+s.method.Alg()+`","kid":`+kid+`}`, bob(""))
	}
	name := func(kid string) map[string]any { return map[string]any{"kid": kid} }
	v := verifier(t, set(jwkOf(&es.sign.(*ecdsa.PrivateKey).PublicKey, name("old")), jwkOf(&second.PublicKey, name("new")), jwkOf(ed.sign.(ed25519.PrivateKey).Public(), name("ed"))), Config{})
	const good Reason = ""
	for _, c := range []struct {
		what, token string
		want        Reason
	}{
		{"old", named(es, `"old"`), good}, {"new", named(next, `"new"`), good}, {"no name, old", es.says(bob("")), good}, {"no name, new", next.says(bob("")), good},
		{"an empty name", named(next, `""`), good}, {"another's name", named(es, `"new"`), Signature}, {"another algorithm's name", named(es, `"ed"`), Algorithm},
		{"an unknown name", named(es, `"older"`), UnknownKey}, {"a name in other case", named(es, `"Old"`), UnknownKey}, {"a path", named(es, `"../../dev/null"`), UnknownKey},
		{"a number", named(es, `7`), Malformed}, {"null", named(es, `null`), Malformed}, {"two names", es.token(`{"alg":"ES256","kid":"new","kid":"old"}`, bob("")), Malformed},
	} {
		if c.want != good {
			refused(t, c.what, v, c.token, now, c.want)
		} else if _, err := v.Verify(c.token, now); err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	// The key of the name is there, and so is one that has none.
	v = verifier(t, set(jwkOf(&es.sign.(*ecdsa.PrivateKey).PublicKey, nil), jwkOf(&second.PublicKey, name("new"))), Config{})
	for what, token := range map[string]string{"its own": named(next, `"new"`), "the nameless key's": named(es, `"any"`)} {
		if _, err := v.Verify(token, now); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// FuzzKeys: a file is understood or refused, and what is refused is told without what it holds.
func FuzzKeys(f *testing.F) {
	for _, s := range signers() {
		f.Add([]byte(s.file))
	}
	f.Add([]byte(set(jwkOf([]byte(theSecret), nil), map[string]any{"kty": "RSA", "n": "AA", "e": "AQAB"})))
	f.Add([]byte("-----BEGIN PUBLIC KEY-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := parseKeys(text)
		if (err == nil) != (len(keys) > 0) || len(keys) > keysMax && err == nil {
			t.Fatalf("%d keys, %v", len(keys), err)
		}
		for _, k := range keys {
			if secret, is := k.material.([]byte); is && len(secret) < secretBytesMin {
				t.Fatalf("a secret of %d bytes", len(secret))
			}
		}
		if again, _ := parseKeys(bytes.Clone(text)); len(again) != len(keys) && err == nil {
			t.Fatalf("%d keys, then %d", len(keys), len(again))
		}
	})
}
