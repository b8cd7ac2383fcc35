package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"throng/admin"
)

// TestLiveSettings changes each setting by itself: what is marked as live reaches something that reload changes, and nothing else does.
func TestLiveSettings(t *testing.T) {
	other := map[string]string{ // values that are no defaults
		"listen": ":1", "loops": "3", "reuse-port": "true", "origins": "*", "proxy-protocol": "optional", "proxy-trust": "10.0.0.0/8", "config": "",
		"idle-counts": "messages", "compress": "true", "max-connections": "5", "max-fragments": "9", "memory": "2GiB", "admin": "127.0.0.1:1",
		"admin-socket": "/run/a", "admin-key-file": "/etc/a", "log-level": "debug", "log-format": "json", "record": "none", "keep-bytes": "1MiB", "data-dir": "/srv/a", "sync": "always",
		"room-policy": "tea match=tea", "nats": "nats://127.0.0.1:1", "nats-creds": "/etc/a", "nats-ca": "/etc/a", "nats-cert": "/etc/a", "nats-key": "/etc/a",
		"replicas": "3", "node": "a", "token-key-file": "/etc/a", "token-issuer": "a", "token-audience": "a", "guests": "yes",
	}
	before := mustServe(t, nil, "--memory=1GiB").Config
	for i, name := range settingNames() {
		after, value := *before, other[name]
		if value == "" && name != "config" {
			value = map[reflect.Kind]string{reflect.Int: "7", reflect.Int64: "7s"}[reflect.ValueOf(after).Field(i).Kind()]
			if _, isSize := reflect.ValueOf(after).Field(i).Interface().(Bytes); isSize {
				value = "32KiB"
			}
		}
		if name == "config" {
			continue
		}
		args := []string{"--memory=1GiB", "--" + name + "=" + value}
		if name == "proxy-protocol" {
			args = append(args, "--proxy-trust=10.0.0.0/8")
			trusting := mustServe(t, nil, "--memory=1GiB", "--proxy-trust=10.0.0.0/8").Config
			after = *mustServe(t, nil, args...).Config
			if d := differences(trusting, &after); len(d) != 1 || d[0].live {
				t.Errorf("%s: %+v", name, d)
			}
			continue
		}
		after = *mustServe(t, nil, args...).Config
		found := differences(before, &after)
		if len(found) != 1 || found[0].Name != name || found[0].From == found[0].To {
			t.Errorf("%s=%s: %+v", name, value, found)
			continue
		}
		reaches := !reflect.DeepEqual(engineLimits(before), engineLimits(&after)) || logLevel(before) != logLevel(&after) ||
			before.DrainDelay != after.DrainDelay || before.DrainTime != after.DrainTime || before.AdminKeyFile != after.AdminKeyFile
		if name == "memory" {
			reaches = false // only its mark, which reload leaves at the memory that the server was started with
		}
		if found[0].live != reaches {
			t.Errorf("%s is live: %v, and reload changes something by it: %v", name, found[0].live, reaches)
		}
	}
}

// writeFile gives a file a new text.
func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestReloadCommand(t *testing.T) {
	key := configFile(t, "0123456789abcdef\n")
	file := configFile(t, "idle-timeout: 60s\nadmin-key-file: "+key+"\n")
	d := startDesk(t, "--config", file, "--ping-interval", "0")
	stays := join(t, d.url("/"))
	if text := d.does("reload"); text != "nothing has changed\n" {
		t.Errorf("printed\n%s", text)
	}

	// What is wrong anywhere changes nothing anywhere.
	for text, words := range map[string]string{
		"max-per-address: 1\nidle-timeout: banana\n":    "idle-timeout",
		"max-per-address: 1\nidle-timout: 1s\n":         `did you mean "idle-timeout"?`,
		"max-per-address: 1\nproxy-protocol: required":  "needs proxy-trust",
		"max-per-address: 1\nadmin-key-file: /nowhere":  "admin-key-file: open /nowhere",
		"max-per-address: 1\nmax-connections: 90000000": "90000000",
		"max-per-address: 1\n[":                         "not YAML",
	} {
		writeFile(t, file, text)
		d.fails(exitWrong, words, "reload")
		late, _, err := tryJoin(t, d.url("/"))
		if err != nil {
			t.Fatalf("%q: the limit of addresses is on: %v", text, err)
		}
		late.leave()
	}
	if f := d.figures(); f["throng_connections_ceiling"] != float64(d.ceiling) {
		t.Errorf("the ceiling is %v, was %d", f["throng_connections_ceiling"], d.ceiling)
	}

	writeFile(t, file, "max-per-address: 1\nidle-timeout: 1s\nlog-level: debug\nmax-message: 1KiB\ndrain-time: 20ms\nadmin-key-file: "+key+"\n")
	writeFile(t, key, "another-key-of-the-test\n")
	done := answers[admin.Reloaded](d, "reload")
	var changed []string
	for _, c := range done.Changed {
		changed = append(changed, fmt.Sprintf("%s %s %s", c.Name, c.From, c.To))
	}
	want := []string{"idle-timeout 1m 1s", "drain-time 10s 20ms", "max-per-address 0 1", `log-level "info" "debug"`, "admin-key-file the key that it held another"}
	if !slices.Equal(changed, want) {
		t.Errorf("changed %q, want %q", changed, want)
	}
	if len(done.Restart) != 1 || done.Restart[0].Name != "max-message" || len(done.Warnings) == 0 {
		t.Errorf("%+v", done)
	}
	join(t, d.url("/")) // who was there before is not counted
	if _, _, err := tryJoin(t, d.url("/")); err == nil {
		t.Error("a second connection of the address")
	}
	if bye := stays.end(); bye.code != 4408 {
		t.Errorf("who was silent: %+v", bye)
	}
	if s := answers[admin.Status](d, "status"); !slices.Equal(s.Restart, []string{"max-message"}) {
		t.Errorf("%+v", s.Restart)
	}
	over := func(file string) ended { return run(t, nil, "reload", "--admin", d.private, "--admin-key-file", file) }
	if got := over(key); got.code != exitOK {
		t.Errorf("with the new key: %+v", got)
	}
	if got := over(configFile(t, "0123456789abcdef\n")); got.code != exitWrong || !strings.Contains(got.stderr, "the key is wrong") {
		t.Errorf("with the old key: %+v", got)
	}
	if log := d.stderr.String(); strings.Contains(log, "0123456789abcdef") || strings.Contains(log, "another-key-of") || !strings.Contains(log, "idle-timeout: 1m -> 1s") {
		t.Errorf("logged\n%s", log)
	}
}

// What cannot change goes together with what can: the mode of the PROXY protocol stays, so its networks cannot all go.
func TestReloadLooksAtTheWhole(t *testing.T) {
	file := configFile(t, "proxy-protocol: optional\nproxy-trust: 127.0.0.0/8\n")
	d := startDesk(t, "--config", file)
	writeFile(t, file, "drain-time: 1s\n")
	d.fails(exitWrong, "needs proxy-trust", "reload")
	writeFile(t, file, "proxy-protocol: optional\nproxy-trust: 10.0.0.0/8\n")
	if text := d.does("reload"); text != `changed: proxy-trust: ["127.0.0.0/8"] -> ["10.0.0.0/8"]`+"\n" {
		t.Errorf("printed\n%s", text)
	}
}

func TestReloadBySignal(t *testing.T) {
	file := configFile(t, "")
	n := startNode(t, "--config", file)
	for text, logged := range map[string]string{"max-per-address: 1\n": "max-per-address: 0 -> 1", "max-per-address: x\n": "nothing has changed"} {
		writeFile(t, file, text)
		n.signal(syscall.SIGHUP)
		for end := time.Now().Add(patience); !strings.Contains(n.stderr.String(), logged); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%q is not in the log: %s", logged, n.stderr.String())
			}
		}
	}
	if !strings.Contains(n.stderr.String(), "SIGHUP") || !n.running() {
		t.Errorf("the log: %s", n.stderr.String())
	}
}

// TestPrivatePortNeedsAKey: one that others can reach does not open without, and then lets nobody read without, but health.
func TestPrivatePortNeedsAKey(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0"} {
		got := run(t, nil, "--listen", "127.0.0.1:0", "--admin", address, "--admin-socket", "")
		if got.code != exitUsage || !strings.Contains(got.stderr, "needs admin-key-file") {
			t.Errorf("%s: %+v", address, got)
		}
	}
	open := configFile(t, "0123456789abcdef\n")
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	for file, words := range map[string]string{open: "chmod 600", filepath.Join(t.TempDir(), "none"): "no such file", configFile(t, "short\n"): "at least 16"} {
		got := run(t, nil, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--admin-key-file", file, "--admin-socket", "")
		if got.code != exitWrong || !strings.Contains(got.stderr, words) || strings.Count(got.stderr, "\n") != 1 {
			t.Errorf("%s: %+v", file, got)
		}
	}
	key := configFile(t, "0123456789abcdef\n")
	n := startNode(t, "--admin", "0.0.0.0:0", "--admin-key-file", key)
	_, port, _ := strings.Cut(strings.TrimPrefix(n.private, "[::]"), ":")
	n.private = "127.0.0.1:" + port
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 401, "/v1/status": 401, "/debug/pprof/": 401} {
		if res, _ := n.get(path); res.StatusCode != want {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
	if got := run(t, nil, "status", "--admin", n.private); got.code != exitWrong || !strings.Contains(got.stderr, "--admin-key-file") {
		t.Errorf("%+v", got)
	}
	if got := run(t, nil, "status", "--admin", n.private, "--admin-key-file", key); got.code != exitOK {
		t.Errorf("%+v", got)
	}
}

// TestSocketOfItsOwn: a node that was told nothing has a socket where its user's commands look for it, gone after it.
func TestSocketOfItsOwn(t *testing.T) {
	folder, err := os.MkdirTemp("", "throng")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	data := t.TempDir()
	environ := []string{"RUNTIME_DIRECTORY=", "XDG_RUNTIME_DIR=" + folder, "STATE_DIRECTORY=", "XDG_DATA_HOME=" + data}
	n := start(t, command(environ, "--listen", "127.0.0.1:0", "--admin", ""))
	_, port, _ := strings.Cut(n.addrs[0], ":")
	socket := filepath.Join(folder, "throng-"+port+".sock")
	if info, err := os.Stat(socket); err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	if got := run(t, environ, "status", "--admin", "unix:"+socket); got.code != exitOK {
		t.Errorf("%+v", got)
	}
	if got := run(t, environ, "drain", "--admin", "unix:"+socket, "--time", "0s"); got.code != exitOK || n.exit() != exitOK {
		t.Errorf("%+v", got)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
