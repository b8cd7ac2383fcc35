package chat

import (
	"strings"
	"testing"
	"time"

	"throng/chat/token"
	"throng/protocol"
)

// The header wins over the subprotocol, and that over the query.
func TestCredentials(t *testing.T) {
	const key = "Sec-WebSocket-Protocol: "
	for _, test := range []struct {
		query   string
		headers []string
		want    credentials
	}{
		{"", nil, credentials{}},
		{"?token=q&name=Ann&session=s", nil, credentials{"q", "s", "Ann"}},
		{"?token=q", []string{key + "throng.v1, throng.token.p"}, credentials{token: "p"}},
		{"?token=q", []string{key + "throng.token.p", "Authorization: Bearer h"}, credentials{token: "h"}},
		{"?token=q", []string{"Authorization: bEaReR   h "}, credentials{token: "h"}},
		{"?token=q", []string{"Authorization: Basic aGk="}, credentials{token: "q"}},
		{"?token=q", []string{"Authorization: Bearer"}, credentials{token: "q"}},
		{"", []string{key + "throng.v1", key + "throng.token.a.b.c"}, credentials{token: "a.b.c"}},
		{"?name=J%C3%BCrgen+K", nil, credentials{name: "Jürgen K"}},
		{"?name=%zz&token=q", nil, credentials{token: "q"}},
		{"?name=a;token=b", nil, credentials{}},
		{"?name=a&name=b", nil, credentials{name: "a"}},
	} {
		head := "GET /" + test.query + " HTTP/1.1\r\nHost: x\r\n" + strings.Join(append(test.headers, ""), "\r\n") + "\r\n"
		var r protocol.Request
		if err := r.Parse([]byte(head), protocol.HeadLimits{Bytes: 8 << 10, Headers: 64, URI: 4 << 10}); err != nil {
			t.Fatalf("%q: %v", head, err)
		}
		if got := credentialsOf(&r); got != test.want {
			t.Errorf("%q: %+v; want %+v", head, got, test.want)
		}
	}
}

// Who somebody is by what they bring, with and without guests and tokens.
func TestIdentify(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	session := token.NewSession()
	for _, test := range []struct {
		name           string
		tokens, guests bool
		c              credentials
		user, shown    string
		refused        *protocol.HandshakeError
	}{
		{"guest", false, true, credentials{name: " Ann  Lee ", session: session}, token.Guest(session), "Ann Lee", nil},
		{"guest without a name", false, true, credentials{session: session}, token.Guest(session), guestName, nil},
		{"bad name", false, true, credentials{name: "a\u202eb"}, "", "", errGuestName},
		{"bad session", false, true, credentials{session: "mine"}, "", "", errSession},
		{"token where none are taken", false, true, credentials{token: "bob/1900000000"}, "", "", errTokens},
		{"token", true, false, credentials{token: "bob/1900000000"}, "bob", "bob", nil},
		{"token with a name", true, true, credentials{token: "bob/1900000000//Bob", name: "Eve"}, "bob", "Bob", nil},
		{"expired", true, true, credentials{token: "bob/1799999999"}, "", "", errToken},
		{"forged, with a session", true, true, credentials{token: "x", session: session}, "", "", errToken},
		{"nobody", true, false, credentials{session: session, name: "Ann"}, "", "", nil},
	} {
		cfg := DefaultConfig()
		if cfg.Guests = test.guests; test.tokens {
			cfg.Tokens = plainTokens{}
		}
		s, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		who, secret, refused := s.identify(test.c, now)
		if refused != test.refused || refused == nil && (who.user != test.user || who.name != test.shown) {
			t.Errorf("%s: %q called %q, %v; want %q, %q, %v", test.name, who.user, who.name, refused, test.user, test.shown, test.refused)
		}
		if refused == nil && who.guest != (secret != "") {
			t.Errorf("%s: guest %v with the session %q", test.name, who.guest, secret)
		}
		s.Close()
	}
}
