package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// secrets are what the tests' tokens are signed with.
const (
	secretOfTests = "a-secret-of-the-tests-that-is-long-enough"
	anotherSecret = "another-secret-which-is-long-enough-as-well"
)

// signed is a token of HS256, made by hand.
func signed(secret string, claims map[string]any) string {
	part := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	text := part(map[string]string{"alg": "HS256", "typ": "JWT"}) + "." + part(claims)
	sum := hmac.New(sha256.New, []byte(secret))
	sum.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(sum.Sum(nil))
}

// claims are those of somebody for so long, and what else is said.
func claims(user string, left time.Duration, more map[string]any) map[string]any {
	all := map[string]any{"sub": user, "exp": time.Now().Add(left).Unix()}
	for name, value := range more {
		all[name] = value
	}
	return all
}

// enveloped is a message of throng.v1, as far as these tests look at it.
type enveloped struct {
	Type, User, Name, Code, Room string
	Guest                        bool
	ID, Expires                  int64
}

// hello connects to a node with throng.v1, in a way that prepare chooses, and returns what the server says first.
func (n *node) hello(query url.Values, header http.Header, offers ...string) (*websocket.Conn, enveloped, int) {
	n.t.Helper()
	dialer := websocket.Dialer{HandshakeTimeout: patience, Subprotocols: append([]string{"throng.v1"}, offers...)}
	ws, res, err := dialer.Dial(n.url("/?"+query.Encode()), header)
	if err != nil {
		if res == nil {
			n.t.Fatal(err)
		}
		return nil, enveloped{}, res.StatusCode
	}
	n.t.Cleanup(func() { _ = ws.Close() })
	return ws, nextEnvelope(n.t, ws), res.StatusCode
}

// nextEnvelope reads what comes next, but for news of who is there.
func nextEnvelope(t *testing.T, ws *websocket.Conn) (m enveloped) {
	t.Helper()
	for m.Type == "" || m.Type == "presence" {
		m = enveloped{}
		_ = ws.SetReadDeadline(time.Now().Add(patience))
		_, text, err := ws.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		var loose struct {
			enveloped
			Code any
		}
		if err := json.Unmarshal(text, &loose); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		m = loose.enveloped
		m.Code, _ = loose.Code.(string)
	}
	return m
}

// tell sends a request and returns what comes next.
func tell(t *testing.T, ws *websocket.Conn, request string) enveloped {
	t.Helper()
	if err := ws.WriteMessage(websocket.TextMessage, []byte(request)); err != nil {
		t.Fatal(err)
	}
	return nextEnvelope(t, ws)
}

// TestTokens: who has a token is its user, wherever the token stands in the request; who has none, or a bad one, is not let in.
func TestTokens(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secretOfTests+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	n := startNode(t, "--token-key-file", file, "--token-issuer", "us", "--admin-socket", filepath.Join(t.TempDir(), "s"))
	good := signed(secretOfTests, claims("bob", time.Hour, map[string]any{"iss": "us", "name": "Bob B."}))
	for name, how := range map[string]func() (*websocket.Conn, enveloped, int){
		"header": func() (*websocket.Conn, enveloped, int) {
			return n.hello(nil, http.Header{"Authorization": {"Bearer " + good}})
		},
		"subprotocol": func() (*websocket.Conn, enveloped, int) { return n.hello(nil, nil, "throng.token."+good) },
		"query":       func() (*websocket.Conn, enveloped, int) { return n.hello(url.Values{"token": {good}}, nil) },
	} {
		ws, m, status := how()
		if status != 101 || m.User != "bob" || m.Name != "Bob B." || m.Guest || m.Expires == 0 || ws.Subprotocol() != "throng.v1" {
			t.Errorf("%s: status %d, %+v", name, status, m)
		}
	}
	if strings.Contains(n.stderr.String(), good) {
		t.Error("the token stands in the log")
	}
	for name, token := range map[string]string{
		"expired":        signed(secretOfTests, claims("bob", -time.Minute, map[string]any{"iss": "us"})),
		"another key":    signed(anotherSecret, claims("bob", time.Hour, map[string]any{"iss": "us"})),
		"another issuer": signed(secretOfTests, claims("bob", time.Hour, nil)),
		"a guest's name": signed(secretOfTests, claims("~bob", time.Hour, map[string]any{"iss": "us"})),
		"no algorithm":   "eyJhbGciOiJub25lIn0." + strings.Split(good, ".")[1] + ".",
	} {
		if _, m, status := n.hello(nil, http.Header{"Authorization": {"Bearer " + token}}); status != 401 {
			t.Errorf("%s: status %d, %+v", name, status, m)
		}
	}
	// A raw client is let in with a token only; one of throng.v1 may bring it in its first message.
	if _, res, err := tryJoin(t, n.url("/")); err == nil || res == nil || res.StatusCode != 401 {
		t.Errorf("a raw client without a token: %v, %v", res, err)
	}
	ws, m, _ := n.hello(nil, nil)
	if m.Type != "welcome" || m.User != "" {
		t.Errorf("without a token: %+v", m)
	}
	if m := tell(t, ws, `{"type":"join","id":1,"room":"tea"}`); m.Code != "unauthorized" {
		t.Errorf("a join before the token: %+v", m)
	}
	if m := tell(t, ws, `{"type":"auth","id":2,"token":"`+good+`"}`); m.Type != "ok" || m.User != "bob" {
		t.Errorf("the token as a message: %+v", m)
	}
	if m := tell(t, ws, `{"type":"join","id":3,"room":"tea"}`); m.Type != "ok" {
		t.Errorf("a join behind it: %+v", m)
	}
	rooms := signed(secretOfTests, claims("cleo", time.Hour, map[string]any{"iss": "us", "rooms": []string{"team.*"}}))
	ws, _, _ = n.hello(nil, nil, "throng.token."+rooms)
	if in, out := tell(t, ws, `{"type":"join","id":1,"room":"team.a"}`), tell(t, ws, `{"type":"join","id":2,"room":"tea"}`); in.Type != "ok" || out.Code != "denied" {
		t.Errorf("with claims about rooms: %+v, %+v", in, out)
	}
	rotate(t, n, file, good)
}

// rotate changes the key of a node that runs.
func rotate(t *testing.T, n *node, file, old string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(anotherSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	n.signal(syscall.SIGHUP)
	fresh := signed(anotherSecret, claims("bob", time.Hour, map[string]any{"iss": "us"}))
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		_, _, status := n.hello(nil, nil, "throng.token."+fresh)
		if status == 101 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("with the new key: status %d", status)
		}
	}
	if _, _, status := n.hello(nil, nil, "throng.token."+old); status != 401 {
		t.Errorf("a token of the old key: status %d", status)
	}
}
