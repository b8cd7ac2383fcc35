package admin_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"throng/admin"
)

const theKey = "0123456789abcdef"

// door is a server with everything that can be asked for, on TCP and on a Unix socket.
func door(t *testing.T, cfg admin.Config) (addr, socket string, d *desk) {
	t.Helper()
	d = &desk{looks: []admin.Progress{{State: admin.Done}}}
	cfg.Operator, cfg.Talker = d, d
	cfg.Socket = filepath.Join(t.TempDir(), "s")
	_, addr = start(t, cfg)
	return addr, cfg.Socket, d
}

// overSocket is ask by way of a Unix socket.
func overSocket(t *testing.T, path, method, target, head, body string) (int, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}}}
	request, err := http.NewRequest(method, "http://a.stranger"+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if name, value, found := strings.Cut(head, ": "); found {
		request.Header.Set(name, value)
	}
	res, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// TestWhoMayDoWhat asks for one thing of each kind with all that can be said of oneself, wherever the server can stand.
func TestWhoMayDoWhat(t *testing.T) {
	const nothing, right, wrong, basic = "", "Authorization: Bearer " + theKey, "Authorization: Bearer 0123456789abcdeX", "Authorization: Basic " + theKey
	const health, reads, metrics, changes, said = "GET /healthz", "GET /v1/status", "GET /metrics", "POST /v1/reload", "GET /v1/history?room=tea"
	for where, cfg := range map[string]admin.Config{
		"loopback, no key": {Addr: "127.0.0.1:0"},
		"loopback, key":    {Addr: "127.0.0.1:0", Key: theKey},
		"elsewhere, key":   {Addr: "0.0.0.0:0", Key: theKey},
	} {
		addr, socket, _ := door(t, cfg)
		_, port, _ := net.SplitHostPort(addr)
		addr = "127.0.0.1:" + port
		want := map[string][5]int{ // of health, reading, metrics, changing, and reading what was said
			"loopback, no key" + nothing: {200, 200, 200, 403, 403},
			"loopback, no key" + right:   {200, 200, 200, 403, 403},
			"loopback, no key" + wrong:   {200, 200, 200, 403, 403},
			"loopback, key" + nothing:    {200, 200, 200, 401, 401},
			"loopback, key" + right:      {200, 200, 200, 200, 200},
			"loopback, key" + wrong:      {200, 401, 401, 401, 401},
			"loopback, key" + basic:      {200, 200, 200, 401, 401},
			"elsewhere, key" + nothing:   {200, 401, 401, 401, 401},
			"elsewhere, key" + right:     {200, 200, 200, 200, 200},
			"elsewhere, key" + wrong:     {200, 401, 401, 401, 401},
			"elsewhere, key" + basic:     {200, 401, 401, 401, 401},
		}
		for i, what := range []string{health, reads, metrics, changes, said} {
			method, path, _ := strings.Cut(what, " ")
			for _, says := range []string{nothing, right, wrong, basic} {
				status, known := want[where+says]
				if !known {
					continue
				}
				head := "Host: " + addr + "\nConnection: close\n"
				if says != "" {
					head += says + "\n"
				}
				res, body := ask(t, addr, what+" HTTP/1.1\n"+head+"Content-Length: 0\n\n")
				if res.StatusCode != status[i] {
					t.Errorf("%s: %s with %q: %d %s, want %d", where, what, says, res.StatusCode, body, status[i])
				}
				if res.StatusCode == 401 && !strings.HasPrefix(res.Header.Get("WWW-Authenticate"), "Bearer") {
					t.Errorf("%s: %s with %q does not say how", where, what, says)
				}
				for _, evil := range []string{"Host: rebound.example\n", "Host: " + addr + "\nOrigin: http://" + addr + "\n"} {
					res, body := ask(t, addr, what+" HTTP/1.1\nConnection: close\nContent-Length: 0\n"+right+"\n"+evil+"\n")
					if refused := res.StatusCode == 403; refused == (what == health) {
						t.Errorf("%s: %s with %q: %d %s", where, what, evil, res.StatusCode, body)
					}
				}
				// The kernel says who is on the socket; no key matters, and no Host, but an Origin does.
				if status, body := overSocket(t, socket, method, path, says, ""); status != 200 {
					t.Errorf("%s, socket: %s with %q: %d %s", where, what, says, status, body)
				}
			}
			if status, _ := overSocket(t, socket, method, path, "Origin: null", ""); (status == 403) == (what == health) {
				t.Errorf("%s, socket: %s with an Origin: %d", where, what, status)
			}
		}
	}
}

// TestTheKeyCanChange: a key that is replaced is none any more.
func TestTheKeyCanChange(t *testing.T) {
	s, addr := start(t, admin.Config{Key: theKey, Operator: &desk{}})
	try := func(key string) int {
		res, _ := ask(t, addr, "POST /v1/reload HTTP/1.1\nHost: "+addr+"\nConnection: close\nContent-Length: 0\nAuthorization: bearer "+key+"\n\n")
		return res.StatusCode
	}
	s.SetKey("another-key-of-the-test")
	if old, new := try(theKey), try("another-key-of-the-test"); old != 401 || new != 200 {
		t.Errorf("the old key: %d, the new: %d", old, new)
	}
	s.SetKey("")
	if status := try("another-key-of-the-test"); status != 403 {
		t.Errorf("without a key: %d", status)
	}
}

// lockedBuffer is a log that is written by many.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// TestWrongKeysAreLogged, but not each of them, and not what was tried.
func TestWrongKeysAreLogged(t *testing.T) {
	var log lockedBuffer
	_, addr := start(t, admin.Config{Key: theKey, Operator: &desk{}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	began := time.Now()
	for range 20 {
		ask(t, addr, "GET /v1/status HTTP/1.1\nHost: "+addr+"\nConnection: close\nAuthorization: Bearer hunter2-hunter2-hunter2\n\n")
	}
	lines, most := strings.Count(log.String(), "a wrong key"), 1+int(time.Since(began)/time.Second)
	if lines < 1 || lines > most {
		t.Errorf("%d lines, at most %d expected", lines, most)
	}
	if strings.Contains(log.String(), "hunter2") || strings.Contains(log.String(), theKey) || !strings.Contains(log.String(), "from=127.0.0.1:") {
		t.Errorf("the log:\n%s", log.String())
	}
}

// TestKeyFiles: a key is a file's only if nobody else can read it, and if it is one.
func TestKeyFiles(t *testing.T) {
	for _, c := range []struct {
		text string
		mode os.FileMode
		want string // the key, or a part of the error behind a !
	}{
		{theKey, 0o600, theKey},
		{theKey + "\n", 0o400, theKey},
		{theKey + "\r\n", 0o600, theKey},
		{theKey + "\n", 0o640, "!chmod 600"},
		{theKey + "\n", 0o604, "!chmod 600"},
		{theKey[1:] + "\n", 0o600, "!at least 16"},
		{"", 0o600, "!at least 16"},
		{theKey + "\n" + theKey, 0o600, "!one line"},
		{"two words of one key", 0o600, "!one line"},
		{"schlüsselschlüssel", 0o600, "!one line"},
		{strings.Repeat("k", 1025), 0o600, "!not a key"},
	} {
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, c.mode); err != nil {
			t.Fatal(err)
		}
		key, err := admin.ReadKey(path)
		if part, wrong := strings.CutPrefix(c.want, "!"); wrong {
			if err == nil || !strings.Contains(err.Error(), part) || key != "" {
				t.Errorf("%q, mode %o: %q, %v", c.text, c.mode, key, err)
			}
		} else if err != nil || key != c.want {
			t.Errorf("%q, mode %o: %q, %v", c.text, c.mode, key, err)
		}
	}
	for _, path := range []string{t.TempDir(), "/nowhere/key"} {
		if _, err := admin.ReadKey(path); err == nil {
			t.Errorf("%s holds a key", path)
		}
	}
	// systemd shows the mask of an access list as the group's rights.
	folder := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", folder)
	if err := os.WriteFile(filepath.Join(folder, "key"), []byte(theKey), 0o440); err != nil {
		t.Fatal(err)
	}
	if key, err := admin.ReadKey(filepath.Join(folder, "key")); err != nil || key != theKey {
		t.Errorf("a credential: %q, %v", key, err)
	}
}

// TestSocket: it is its owner's alone, replaces what was left behind and nothing else, and is gone at the end.
func TestSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	_ = left.Close()

	old := syscall.Umask(0)
	s, err := admin.Listen(admin.Config{Socket: path})
	syscall.Umask(old)
	if err != nil {
		t.Fatalf("in place of one that was left behind: %v", err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if _, err := admin.Listen(admin.Config{Socket: path}); err == nil || !strings.Contains(err.Error(), "another server") {
		t.Errorf("a second server: %v", err)
	}
	if s.Addr() != nil || s.Socket() != path {
		t.Errorf("listens on %v, %q", s.Addr(), s.Socket())
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("left behind: %v", err)
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Listen(admin.Config{Socket: path}); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("in place of a file: %v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "precious" {
		t.Errorf("the file: %q, %v", text, err)
	}
}

// TestSocketPath: a socket stands where nobody else can have put it.
func TestSocketPath(t *testing.T) {
	private, public := filepath.Join(t.TempDir(), "private"), filepath.Join(t.TempDir(), "public")
	for path, mode := range map[string]os.FileMode{private: 0o700, public: 0o755} {
		if err := os.Mkdir(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	environment := func(pairs map[string]string) func(string) string {
		return func(name string) string { return pairs[name] }
	}
	shared := t.TempDir()
	t.Setenv("TMPDIR", shared)
	for _, c := range []struct {
		pairs map[string]string
		want  string
	}{
		{map[string]string{"RUNTIME_DIRECTORY": "/run/throng:/run/b", "XDG_RUNTIME_DIR": private}, "/run/throng/admin.sock"},
		{map[string]string{"XDG_RUNTIME_DIR": private}, private + "/throng-8080.sock"},
		{map[string]string{"XDG_RUNTIME_DIR": public}, "own"},
		{nil, "own"},
	} {
		got, err := admin.SocketPath(environment(c.pairs), "8080", true)
		if c.want == "own" {
			c.want = filepath.Join(shared, filepath.Base(filepath.Dir(got)), "8080.sock")
			if info, err := os.Stat(filepath.Dir(got)); err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("the folder: %v, %v", info, err)
			}
		}
		if err != nil || got != c.want {
			t.Errorf("%v: %q, %v; want %q", c.pairs, got, err, c.want)
		}
	}
	got, _ := admin.SocketPath(environment(nil), "8080", true)
	if err := os.Chmod(filepath.Dir(got), 0o755); err != nil {
		t.Fatal(err)
	}
	if got, err := admin.SocketPath(environment(nil), "8080", true); err == nil {
		t.Errorf("in a folder that others look into: %q", got)
	}
	if err := os.Remove(filepath.Dir(got)); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(private, filepath.Dir(got)); err != nil {
		t.Fatal(err)
	}
	if got, err := admin.SocketPath(environment(nil), "8080", true); err == nil {
		t.Errorf("behind a link of somebody's: %q", got)
	}
}
