package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// signer is an application that gives out tokens of one algorithm.
type signer struct {
	method jwt.SigningMethod
	sign   any    // what it signs with
	file   string // what the server is given to check with
}

const theSecret = "a-secret-of-thirty-two-bytes-or-so"

// signers are made once: an RSA key takes its time.
var signers = sync.OnceValue(func() map[string]signer {
	one, err := rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	two, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	_, three, err := ed25519.GenerateKey(rand.Reader)
	must(err)
	return map[string]signer{
		"HS256": {jwt.SigningMethodHS256, []byte(theSecret), theSecret + "\n"},
		"RS256": {jwt.SigningMethodRS256, one, publicPEM(&one.PublicKey)},
		"ES256": {jwt.SigningMethodES256, two, publicPEM(&two.PublicKey)},
		"EdDSA": {jwt.SigningMethodEdDSA, three, publicPEM(three.Public())},
	}
})

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func publicPEM(public crypto.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(public)
	must(err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// token signs a header and a body as they are, well-formed or not.
func (s signer) token(header, body string) string {
	signed := encoded(header) + "." + encoded(body)
	signature, err := s.method.Sign(signed, s.sign)
	must(err)
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// says is a usual token of the signer's.
func (s signer) says(body string) string {
	return s.token(fmt.Sprintf(`{"alg":%q,"typ":"JWT"}`, s.method.Alg()), body)
}

func encoded(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// fileOf writes a file of keys.
func fileOf(t testing.TB, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func verifier(t testing.TB, text string, cfg Config) *Verifier {
	t.Helper()
	cfg.File = fileOf(t, text)
	v, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// now is when the tests take place.
var now = time.Unix(1_000_000, 0)

// bob is the body of a token that is good for a minute, and what more is put in.
func bob(more string) string { return `{"sub":"bob","exp":1000060` + more + `}` }

// refused looks for a reason, and that the error says nothing of what came.
func refused(t *testing.T, what string, v *Verifier, token string, at time.Time, want Reason) {
	t.Helper()
	claims, err := v.Verify(token, at)
	var refusal *Error
	if !errors.As(err, &refusal) || refusal.Reason != want {
		t.Errorf("%s: %+v, %v; want %s", what, claims, err, want)
		return
	}
	for part := range strings.SplitSeq(token, ".") {
		if len(part) > 8 && strings.Contains(refusal.Text, part[:8]) {
			t.Errorf("%s: %q repeats the token", what, refusal.Text)
		}
	}
}

func TestGoodTokens(t *testing.T) {
	for name, s := range signers() {
		v := verifier(t, s.file, Config{})
		if got := v.Algorithms(); !slices.Equal(got, []string{name}) {
			t.Errorf("%s: the key is for %v", name, got)
		}
		c, err := v.Verify(s.says(bob(`,"name":" Bob  B. ","rooms":["tea","team.*"],"publish":[]`)), now)
		if err != nil || c.User != "bob" || c.Name != "Bob B." || !c.Expires.Equal(now.Add(time.Minute)) || !slices.Equal(c.Rooms, []string{"tea", "team.*"}) || c.Publish == nil {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
		// As the library makes them, and with a key's name that a file without names cannot know.
		made := jwt.NewWithClaims(s.method, jwt.RegisteredClaims{Subject: "ann", ExpiresAt: jwt.NewNumericDate(now.Add(time.Second))})
		made.Header["kid"] = "one"
		text, err := made.SignedString(s.sign)
		if err != nil {
			t.Fatal(err)
		}
		if c, err := v.Verify(text, now); err != nil || c.User != "ann" || c.Name != "ann" || c.Rooms != nil || c.Publish != nil {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
}

// TestKnownToken is the example of RFC 8037 A.4 and A.5, by other hands: its signature is right, its body is no token's.
func TestKnownToken(t *testing.T) {
	v := verifier(t, `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`, Config{})
	const example = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc." +
		"hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
	refused(t, "the example", v, example, now, BadClaims)
	refused(t, "the example, changed", v, strings.Replace(example, ".hgy", ".hgz", 1), now, Signature)
}

// TestForged: nobody gets in without the key, whatever the header says.
func TestForged(t *testing.T) {
	all := signers()
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	stranger := signer{jwt.SigningMethodRS256, other, ""}
	hs, rs := all["HS256"], all["RS256"]
	unsigned := func(header string) string { return encoded(header) + "." + encoded(bob("")) + "." }
	good := rs.says(bob(""))
	parts := strings.Split(good, ".")
	forms := map[string]struct {
		token string
		want  Reason
	}{
		"wrong key":               {stranger.says(bob("")), Signature},
		"no algorithm":            {unsigned(`{"alg":"none"}`), Algorithm},
		"no algorithm, shouted":   {unsigned(`{"alg":"NONE"}`), Algorithm},
		"none at all":             {unsigned(`{"typ":"JWT"}`), Algorithm},
		"algorithm of a number":   {unsigned(`{"alg":0}`), Malformed},
		"algorithm null":          {unsigned(`{"alg":null}`), Malformed},
		"algorithm in other case": {rs.token(`{"alg":"rs256"}`, bob("")), Algorithm},
		"member in other case":    {rs.token(`{"ALG":"RS256"}`, bob("")), Algorithm},
		"two algorithms":          {rs.token(`{"alg":"none","alg":"RS256"}`, bob("")), Malformed},
		"public key as secret":    {signer{jwt.SigningMethodHS256, []byte(rs.file), ""}.says(bob("")), Algorithm},
		"... and says RS256":      {signer{jwt.SigningMethodHS256, []byte(rs.file), ""}.token(`{"alg":"RS256"}`, bob("")), Signature},
		"another hash":            {signer{jwt.SigningMethodRS512, rs.sign, ""}.says(bob("")), Algorithm},
		"PSS under another name":  {signer{jwt.SigningMethodPS256, rs.sign, ""}.token(`{"alg":"RS256"}`, bob("")), Signature},
		"critical":                {rs.token(`{"alg":"RS256","crit":["b64"],"b64":false}`, bob("")), Malformed},
		"no signature":            {parts[0] + "." + parts[1] + ".", Signature},
		"another's signature":     {parts[0] + "." + encoded(bob(`,"name":"x"`)) + "." + parts[2], Signature},
		"another's header":        {encoded(`{"alg":"RS256","a":1}`) + "." + parts[1] + "." + parts[2], Signature},
		"its own key":             {stranger.token(`{"alg":"RS256","jwk":{"kty":"RSA"},"jku":"http://127.0.0.1/","x5c":[]}`, bob("")), Signature},
		"two parts":               {parts[0] + "." + parts[1], Malformed},
		"four parts":              {good + ".", Malformed},
		"five parts":              {good + "..", Malformed},
		"empty":                   {"", Malformed},
		"dots":                    {"..", Malformed},
		"padding":                 {parts[0] + "=." + parts[1] + "." + parts[2], Malformed},
		"a line's end":            {good + "\n", Malformed},
		"a line's end inside":     {parts[0] + ".\n" + parts[1] + "." + parts[2], Malformed},
		"other letters":           {parts[0] + "." + parts[1] + ".+/" + parts[2][2:], Malformed},
		"a space":                 {" " + good, Malformed},
		"a header of a list":      {rs.token(`["RS256"]`, bob("")), Malformed},
		"a header and more":       {rs.token(`{"alg":"RS256"}{}`, bob("")), Malformed},
		"a header cut":            {rs.token(`{"alg":"RS256"`, bob("")), Malformed},
		"a header not UTF-8":      {rs.token("{\"alg\":\"RS256\",\"a\":\"\xff\"}", bob("")), Malformed},
		"JSON":                    {`{"sub":"bob"}`, Malformed},
		"huge":                    {rs.says(bob(`,"x":"` + strings.Repeat("x", tokenBytesMax) + `"`)), TooLong},
	}
	v := verifier(t, rs.file, Config{})
	if _, err := v.Verify(good, now); err != nil {
		t.Fatal(err)
	}
	for name, f := range forms {
		refused(t, name, v, f.token, now, f.want)
	}
	for end := range len(good) {
		if c, err := v.Verify(good[:end], now); err == nil {
			t.Errorf("cut to %d bytes it is still good: %+v", end, c)
		}
	}
	// Each algorithm's token to each other's key.
	for name, s := range all {
		for other, o := range all {
			if name != other {
				refused(t, name+" to "+other, verifier(t, o.file, Config{}), s.says(bob("")), now, Algorithm)
				refused(t, name+" as "+other, verifier(t, o.file, Config{}), s.token(`{"alg":"`+other+`"}`, bob("")), now, Signature)
			}
		}
	}
	refused(t, "another secret", verifier(t, hs.file, Config{}), signer{jwt.SigningMethodHS256, []byte(theSecret + "x"), ""}.says(bob("")), now, Signature)
}

// TestBitsMatter: no bit of a token can be another.
func TestBitsMatter(t *testing.T) {
	for name, s := range signers() {
		v, good := verifier(t, s.file, Config{}), s.says(bob(""))
		for i := range good {
			for _, letter := range "Ab" {
				if changed := good[:i] + string(letter) + good[i+1:]; changed != good {
					if _, err := v.Verify(changed, now); err == nil {
						t.Errorf("%s: letter %d of %s can be %c", name, i, good, letter)
					}
				}
			}
		}
	}
}

func TestBodies(t *testing.T) {
	s := signers()["HS256"]
	v := verifier(t, s.file, Config{})
	for _, c := range []struct{ what, body string }{
		{"no end", `{"sub":"bob"}`},
		{"end null", `{"sub":"bob","exp":null}`},
		{"end in words", `{"sub":"bob","exp":"tomorrow"}`},
		{"end in quotes", `{"sub":"bob","exp":"1000060"}`},
		{"end in milliseconds", `{"sub":"bob","exp":1000060000000}`},
		{"end beyond all numbers", `{"sub":"bob","exp":1e400}`},
		{"end beyond all times", `{"sub":"bob","exp":1e300}`},
		{"end below zero", `{"sub":"bob","exp":-1}`},
		{"not before in words", bob(`,"nbf":"now"`)},
		{"issued in words", bob(`,"iat":[]`)},
		{"two ends", bob(`,"exp":1000070`)},
		{"two subjects", bob(`,"sub":"ann"`)},
		{"two of a stranger's", bob(`,"x":1,"x":2`)},
		{"two by another spelling", bob(`,"s\u0075b":"ann"`)},
		{"no subject", `{"exp":1000060}`},
		{"subject in other case", `{"Sub":"bob","exp":1000060}`},
		{"subject empty", `{"sub":"","exp":1000060}`},
		{"subject null", `{"sub":null,"exp":1000060}`},
		{"subject a number", `{"sub":7,"exp":1000060}`},
		{"subject a guest", `{"sub":"~bob","exp":1000060}`},
		{"subject an inbox", `{"sub":"@bob","exp":1000060}`},
		{"subject with a space", `{"sub":"bob b","exp":1000060}`},
		{"subject with an end of line", `{"sub":"bob\n","exp":1000060}`},
		{"subject too long", `{"sub":"` + strings.Repeat("b", 65) + `","exp":1000060}`},
		{"subject half a character", `{"sub":"bob\ud800","exp":1000060}`},
		{"name a number", bob(`,"name":7`)},
		{"rooms a text", bob(`,"rooms":"tea"`)},
		{"rooms null", bob(`,"rooms":null`)},
		{"rooms with null", bob(`,"rooms":[null]`)},
		{"rooms with a number", bob(`,"rooms":["tea",7]`)},
		{"rooms with a bad name", bob(`,"rooms":["tea room"]`)},
		{"rooms with a star inside", bob(`,"rooms":["t*a"]`)},
		{"rooms with two stars", bob(`,"rooms":["t**"]`)},
		{"rooms with nobody's inbox", bob(`,"rooms":["@"]`)},
		{"publish with an empty name", bob(`,"publish":[""]`)},
		{"issuer a number", bob(`,"iss":7`)},
		{"audience a number", bob(`,"aud":7`)},
		{"audience with a number", bob(`,"aud":["a",7]`)},
		{"a list", `[]`},
		{"nothing", ``},
		{"a word", `"bob"`},
		{"null", `null`},
		{"cut", `{"sub":"bob","exp":1000060`},
		{"more behind", bob("") + "x"},
		{"not UTF-8", bob(",\"x\":\"\xff\"")},
		{"deep", bob(`,"x":` + strings.Repeat("[", 1500))},
	} {
		refused(t, c.what, v, s.says(c.body), now, BadClaims)
	}
	for _, body := range []string{
		bob(` , "x" : {"sub":"ann","sub":"eve"} `), bob(`,"SUB":"ann"`), `{"sub":"bob","exp":1000060.75}`, `{"sub":"bob","exp":1.00006e6}`,
		bob(`,"aud":"x","iss":"y"`), bob(`,"aud":[]`), bob(`,"rooms":["*","@*","@ann","~x","a*"]`), bob(`,"nbf":1000000,"iat":1000000`), bob(`,"nbf":0,"iat":0`),
	} {
		if c, err := v.Verify(s.says(body), now); err != nil || c.User != "bob" || !c.Expires.Equal(now.Add(time.Minute)) {
			t.Errorf("%s: %+v, %v", body, c, err)
		}
	}
}

func TestTimes(t *testing.T) {
	s := signers()["HS256"]
	strict, lenient := verifier(t, s.file, Config{}), verifier(t, s.file, Config{Leeway: 10 * time.Second})
	const good Reason = ""
	for _, c := range []struct {
		body            string
		at              time.Duration // from now
		strict, lenient Reason
	}{
		{bob(""), 0, good, good},
		{bob(""), 60*time.Second - 1, good, good},
		{bob(""), 60 * time.Second, Expired, good},
		{bob(""), 70*time.Second - 1, Expired, good},
		{bob(""), 70 * time.Second, Expired, Expired},
		{`{"sub":"bob","exp":0}`, 0, Expired, Expired},
		{bob(`,"nbf":1000010`), 10 * time.Second, good, good},
		{bob(`,"nbf":1000010`), 10*time.Second - 1, NotYet, good},
		{bob(`,"nbf":1000010`), -1, NotYet, NotYet},
		{bob(`,"iat":1000010`), 10*time.Second - 1, NotYet, good},
		{bob(`,"iat":1000010`), -1, NotYet, NotYet},
		{bob(`,"nbf":2000000`), time.Hour, NotYet, NotYet}, // and it has expired
	} {
		for v, want := range map[*Verifier]Reason{strict: c.strict, lenient: c.lenient} {
			if want != good {
				refused(t, c.body, v, s.says(c.body), now.Add(c.at), want)
			} else if claims, err := v.Verify(s.says(c.body), now.Add(c.at)); err != nil || !claims.Expires.Equal(now.Add(time.Minute)) {
				t.Errorf("%s at %v: %+v, %v", c.body, c.at, claims, err)
			}
		}
	}
	endless := verifier(t, s.file, Config{NoExpiry: true})
	if c, err := endless.Verify(s.says(`{"sub":"bob"}`), now); err != nil || !c.Expires.IsZero() {
		t.Errorf("without an end: %+v, %v", c, err)
	}
	refused(t, "an end is one where none is needed", endless, s.says(bob("")), now.Add(time.Hour), Expired)
}

func TestIssuerAndAudience(t *testing.T) {
	s := signers()["ES256"]
	v := verifier(t, s.file, Config{Issuer: "https://id.example", Audience: "chat"})
	const good Reason = ""
	for more, want := range map[string]Reason{
		`,"iss":"https://id.example","aud":"chat"`:                 good,
		`,"iss":"https://id.example","aud":["shop","chat"]`:        good,
		`,"iss":"https://id.example/","aud":"chat"`:                Issuer,
		`,"iss":"","aud":"chat"`:                                   Issuer,
		`,"aud":"chat"`:                                            Issuer,
		`,"iss":"https://id.example"`:                              Audience,
		`,"iss":"https://id.example","aud":"shop"`:                 Audience,
		`,"iss":"https://id.example","aud":"chats"`:                Audience,
		`,"iss":"https://id.example","aud":""`:                     Audience,
		`,"iss":"https://id.example","aud":[]`:                     Audience,
		`,"iss":"https://id.example","aud":"chat","nbf":1000010`:   NotYet,
		`,"iss":"https://evil.example","aud":"shop","nbf":1000010`: Issuer,
	} {
		if want != good {
			refused(t, more, v, s.says(bob(more)), now, want)
		} else if _, err := v.Verify(s.says(bob(more)), now); err != nil {
			t.Errorf("%s: %v", more, err)
		}
	}
	refused(t, "all is wrong, and it has expired", v, s.says(bob(`,"iss":"x"`)), now.Add(time.Hour), Issuer)
}

func TestAllows(t *testing.T) {
	all := Claims{User: "bob"}
	some := Claims{User: "bob", Rooms: []string{"tea", "team.*", "@ann"}}
	speaks := Claims{User: "bob", Rooms: []string{"tea", "news"}, Publish: []string{"tea", "log-*"}}
	none := Claims{User: "bob", Rooms: []string{}, Publish: []string{}}
	every := Claims{User: "bob", Rooms: []string{"*"}}
	for _, c := range []struct {
		who           *Claims
		room          string
		join, publish bool
	}{
		{&all, "tea", true, true}, {&all, "@ann", true, true}, {&all, "@bob", true, true},
		{&some, "tea", true, true}, {&some, "Tea", false, false}, {&some, "teas", false, false}, {&some, "team.", true, true}, {&some, "team.x", true, true},
		{&some, "team", false, false}, {&some, "team.*", true, true}, {&some, "", false, false}, {&some, "@ann", true, true}, {&some, "@bob", true, true}, {&some, "@eve", false, false},
		{&speaks, "tea", true, true}, {&speaks, "news", true, false}, {&speaks, "log-a", false, true}, {&speaks, "@bob", true, false},
		{&none, "tea", false, false}, {&none, "@bob", true, false}, {&none, "", false, false},
		{&every, "tea", true, true}, {&every, "@ann", true, true},
	} {
		if join, publish := c.who.Allows(c.room), c.who.AllowsPublish(c.room); join != c.join || publish != c.publish {
			t.Errorf("%+v in %q: %v, %v", c.who, c.room, join, publish)
		}
	}
}

// TestReload: a new key is in force when all of its file is right, and the old one goes with its file.
func TestReload(t *testing.T) {
	old, next := signers()["ES256"], signers()["EdDSA"]
	file := fileOf(t, old.file)
	v, err := New(Config{File: file})
	if err != nil {
		t.Fatal(err)
	}
	believes := func(what string, want ...signer) {
		t.Helper()
		for _, s := range []signer{old, next} {
			_, err := v.Verify(s.says(bob("")), now)
			if wanted := slices.ContainsFunc(want, func(w signer) bool { return w.method == s.method }); wanted != (err == nil) {
				t.Errorf("%s: %s: %v", what, s.method.Alg(), err)
			}
		}
	}
	write := func(text string) error {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return v.Reload()
	}
	believes("at first", old)
	if err := write(old.file + next.file); err != nil {
		t.Fatal(err)
	}
	believes("both", old, next)
	for _, broken := range []string{"", "short", next.file[:60], next.file + "-----BEGIN PUBLIC KEY-----\n", `{"keys":[]}`} {
		if err := write(broken); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%q: %v", broken, err)
		}
		believes("after what is broken", old, next)
	}
	if err := write(next.file); err != nil {
		t.Fatal(err)
	}
	believes("at last", next)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := v.Reload(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a file: %v", err)
	}
	believes("without a file", next)
}

func BenchmarkVerify(b *testing.B) {
	for _, name := range algorithms() {
		s := signers()[name]
		b.Run(name, func(b *testing.B) {
			v, token := verifier(b, s.file, Config{Issuer: "https://id.example", Audience: "chat"}), s.says(bob(`,"iss":"https://id.example","aud":"chat","name":"Bob","rooms":["tea","team.*"]`))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(token, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// jwkOf is a public key as JSON, with what more is put in.
func jwkOf(public crypto.PublicKey, more map[string]any) map[string]any {
	value := func(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
	j := map[string]any{}
	switch p := public.(type) {
	case *rsa.PublicKey:
		j = map[string]any{"kty": "RSA", "n": value(p.N.Bytes()), "e": "AQAB"}
	case *ecdsa.PublicKey:
		point, err := p.Bytes()
		must(err)
		size := (len(point) - 1) / 2
		j = map[string]any{"kty": "EC", "crv": p.Params().Name, "x": value(point[1 : 1+size]), "y": value(point[1+size:])}
	case ed25519.PublicKey:
		j = map[string]any{"kty": "OKP", "crv": "Ed25519", "x": value(p)}
	case []byte:
		j = map[string]any{"kty": "oct", "k": value(p)}
	}
	for name, v := range more {
		j[name] = v
	}
	return j
}

// set is a JSON Web Key Set.
func set(keys ...map[string]any) string {
	text, err := json.Marshal(map[string]any{"keys": append([]map[string]any{}, keys...)})
	must(err)
	return string(text)
}
