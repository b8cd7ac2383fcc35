package token

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// FuzzVerify: a stranger's text is no token, whatever the keys are, and the refusal is one.
func FuzzVerify(f *testing.F) {
	var all []*Verifier
	for _, s := range signers() {
		all = append(all, verifier(f, s.file, Config{Issuer: "a", Audience: "b"}))
		f.Add(s.says(bob("")))
	}
	f.Add("..")
	f.Add("eyJhbGciOiJub25lIn0.eyJzdWIiOiJib2IifQ.")
	f.Add(encoded(`{"alg":"HS256","kid":"a"}`) + "." + encoded(bob("")) + ".AA")
	f.Fuzz(func(t *testing.T, token string) {
		for _, v := range all {
			_, err := v.Verify(token, now)
			var refusal *Error
			if !errors.As(err, &refusal) || refusal.Text == "" || refusal.Reason == "" {
				t.Fatalf("%q: %v", token, err)
			}
		}
	})
}

// FuzzClaims signs whatever comes, so that it is read: a token that is believed keeps every rule.
func FuzzClaims(f *testing.F) {
	s := signers()["HS256"]
	v := verifier(f, s.file, Config{Leeway: time.Second})
	for _, more := range []string{"", `,"name":"Bob","rooms":["tea","t*"],"publish":[]`, `,"aud":["a"],"iss":"b","nbf":1,"iat":1.5`, `,"x":{"a":[1e9,null]}`, `,"sub":"ann"`} {
		f.Add(`{"alg":"HS256"}`, bob(more))
	}
	f.Fuzz(func(t *testing.T, header, body string) {
		c, err := v.Verify(s.token(header, body), now)
		if err != nil {
			if refusal := (*Error)(nil); !errors.As(err, &refusal) {
				t.Fatal(err)
			}
			return
		}
		if !strings.Contains(header, "HS256") && !strings.Contains(header, `\u`) || CheckUser(c.User) != nil || c.Expires.IsZero() || !now.Before(c.Expires.Add(time.Second)) {
			t.Fatalf("%s says %s: %+v", header, body, c)
		}
		if c.Name != c.User {
			checkShown(t, c.Name)
		}
		for _, p := range append(c.Rooms, c.Publish...) {
			if len(p) > nameBytesMax+2 || p == "" {
				t.Fatalf("%q is a pattern", p)
			}
		}
		if !c.Allows("@" + c.User) {
			t.Fatal("the inbox is closed")
		}
	})
}
