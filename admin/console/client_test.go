package console

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// answering is a node that gives one answer to everything.
func answering(t *testing.T, status int, body string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// TestWhatToDo: each way not to reach a node says what to do about it.
func TestWhatToDo(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = free.Close()
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mute.Close() })
	go func() {
		for {
			c, err := mute.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "220 mail ESMTP\r\n")
			_ = c.Close()
		}
	}()
	for _, c := range []struct{ admin, part string }{
		{free.Addr().String(), "nobody listens on " + free.Addr().String()},
		{"unix:" + filepath.Join(t.TempDir(), "none"), "nobody listens on unix:"},
		{"8081", "allowed: host:port, or unix:PATH"},
		{mute.Addr().String(), "does not answer as a node's private port does"},
		{answering(t, 404, "404 page not found\n"), "too old, or another port"},
		{answering(t, 404, `{"error":"there is no such thing; there are status"}`), "the node is too old for this command"},
		{answering(t, 401, `{"error":"this needs the server's key"}`), "--admin-key-file"},
		{answering(t, 422, `{"error":"no","details":["one","two\u001b"]}`), `no; one; two\x1b`},
		{answering(t, 200, "<html>"), "not understood"},
		{answering(t, 302, ""), "too old, or another port"},
	} {
		var out bytes.Buffer
		err := (&StatusCmd{Target: Target{Admin: c.admin}}).Run(&Screen{Out: &out})
		if err == nil || !strings.Contains(err.Error(), c.part) || out.Len() > 0 {
			t.Errorf("%s: %v, %q; want %q", c.admin, err, out.String(), c.part)
		}
	}
}

// TestTheKeyGoesNowhereElse: it is sent to the address that was named, not to a socket, and not after a redirection.
func TestTheKeyGoesNowhereElse(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	heard := ""
	note := func(w http.ResponseWriter, r *http.Request) {
		heard = r.Header.Get("Authorization")
		_, _ = io.WriteString(w, `{"node":"here"}`)
	}
	tcp := httptest.NewServer(http.HandlerFunc(note))
	defer tcp.Close()
	elsewhere := httptest.NewServer(http.RedirectHandler(tcp.URL+"/v1/status", http.StatusTemporaryRedirect))
	defer elsewhere.Close()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	unix := &http.Server{Handler: http.HandlerFunc(note)}
	go func() { _ = unix.Serve(l) }()
	defer func() { _ = unix.Close() }()
	for _, c := range []struct{ admin, want string }{
		{tcp.Listener.Addr().String(), "Bearer 0123456789abcdef"}, {"unix:" + socket, ""}, {elsewhere.Listener.Addr().String(), ""},
	} {
		heard = ""
		err := (&StatusCmd{Target: Target{Admin: c.admin, AdminKeyFile: key}}).Run(&Screen{Out: io.Discard})
		if heard != c.want || (err == nil) != (c.admin != elsewhere.Listener.Addr().String()) {
			t.Errorf("%s heard %q: %v", c.admin, heard, err)
		}
	}
}

// TestKickAsks: nobody is closed without a yes.
func TestKickAsks(t *testing.T) {
	for _, c := range []struct {
		answer string // "-" where there is nobody to ask
		yes    bool
		kicked bool
	}{{"y\n", false, true}, {"yes\n", false, true}, {"\n", false, false}, {"n\n", false, false}, {"", false, false}, {"-", false, false}, {"-", true, true}} {
		kicked := false
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			kicked = kicked || !bytes.Contains(body, []byte(`"dry_run":true`))
			_, _ = io.WriteString(w, `{"matched":3,"kicked":3}`)
		}))
		screen := &Screen{Out: io.Discard, Err: io.Discard, In: strings.NewReader(c.answer)}
		if c.answer == "-" {
			screen.In = nil
		}
		err := (&KickCmd{Target: Target{Admin: s.Listener.Addr().String()}, Who: Who{User: "bob"}, Yes: c.yes}).Run(screen)
		s.Close()
		if kicked != c.kicked || (err == nil) != c.kicked {
			t.Errorf("%q, --yes %v: kicked %v, %v", c.answer, c.yes, kicked, err)
		}
	}
}
