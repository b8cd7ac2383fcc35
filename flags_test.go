package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

// asked is what a command line led to.
type asked struct {
	*invocation
	code           int
	stdout, stderr string
}

// ask parses a command line in an environment of its own.
func ask(environ []string, args ...string) asked {
	var stdout, stderr bytes.Buffer
	invocation, code := parseArgs(args, environ, &stdout, &stderr)
	return asked{invocation, code, stdout.String(), stderr.String()}
}

// mustServe is ask for a command line that has nothing wrong with it.
func mustServe(t *testing.T, environ []string, args ...string) asked {
	t.Helper()
	got := ask(environ, args...)
	if got.invocation == nil || got.Command != "serve" || got.code != exitOK {
		t.Fatalf("throng %q does not serve: exit code %d, %s", args, got.code, got.stderr)
	}
	return got
}

// configFile writes a file of settings.
func configFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// settingFlags is what kong makes of Config.
func settingFlags(t *testing.T) []*kong.Flag {
	t.Helper()
	parser, err := kong.New(&commands{})
	if err != nil {
		t.Fatal(err)
	}
	return parser.Model.DefaultCmd.Flags
}

func TestDefaults(t *testing.T) {
	want := Config{
		Listen: []string{":8080"}, Origins: []string{"same-host"}, ProxyProtocol: "off",
		MaxMessage: 64 << 10, MaxFragments: auto, CompressAbove: 256,
		IdleTimeout: time.Minute, IdleCounts: "frames", PingInterval: 25 * time.Second,
		HandshakeTimeout: 5 * time.Second, CloseTimeout: 2 * time.Second, WriteTimeout: 10 * time.Second,
		TCPKeepalive: time.Minute, TCPUserTimeout: 30 * time.Second, DrainTime: 10 * time.Second,
		MaxConnections: auto, MemoryMark: 80, AddressPrefixV6: 64, Memory: auto, MaxLog: 1 << 20, MaxLogMessages: 8192, MaxBacklog: 256 << 10, SendBuffer: 128 << 10,
		MaxHead: 8 << 10, MaxHeaders: 64, MaxURI: 4 << 10, MaxFramesPerTurn: 1024, PingRate: 10, PingBurst: 50,
		Admin: "127.0.0.1:8081", AdminSocket: "auto", KeepCloses: 10000, LogLevel: "info", LogFormat: "auto",
		Record: "all", DataDir: "auto", Sync: "1s", KeepMessages: 1000, KeepBytes: 10 << 30, RecentMemory: 64 << 20, Replicas: 1, Node: "auto", Guests: "auto", MaxRooms: 100,
	}
	for _, args := range [][]string{nil, {"serve"}} {
		got := mustServe(t, nil, args...)
		if !reflect.DeepEqual(*got.Config, want) {
			t.Errorf("throng %q:\ngot  %+v\nwant %+v", args, *got.Config, want)
		}
		if len(got.Sources) > 0 || len(got.Warnings) > 0 || got.stdout+got.stderr != "" {
			t.Errorf("throng %q: sources %v, warnings %q, output %q", args, got.Sources, got.Warnings, got.stdout+got.stderr)
		}
	}
}

func TestEverySettingIsDescribed(t *testing.T) {
	groups := []string{"Listening", "Rooms and messages", "Recording", "Identity", "Timeouts", "Limits", "Private HTTP", "Logging"}
	seen := map[string]bool{}
	for _, flag := range settingFlags(t) {
		if flag.Group == nil || !slices.Contains(groups, flag.Group.Key) {
			t.Errorf("--%s is in no group", flag.Name)
			continue
		}
		seen[flag.Group.Key] = true
		if !strings.HasSuffix(flag.Help, ".") || strings.Contains(flag.Help, "\n") {
			t.Errorf("--%s has a help text that is no line of sentences: %q", flag.Name, flag.Help)
		}
		if !flag.HasDefault && flag.Name != "config" {
			t.Errorf("--%s has no default", flag.Name)
		}
		if flag.Tag.Get("max") != "" && !strings.Contains(flag.Help, "0 ") && flag.Tag.Get("default") != "0" {
			t.Errorf("--%s does not say what 0 means", flag.Name)
		}
		if len(flag.Envs) > 0 {
			t.Errorf("--%s: kong would read the environment by itself", flag.Name)
		}
		if name := envName(flag.Name); strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") != "" {
			t.Errorf("--%s has a variable that no shell takes: %s", flag.Name, name)
		}
	}
	if len(seen) != len(groups) {
		t.Errorf("groups in use: %v; want %q", seen, groups)
	}
}

func TestPrecedence(t *testing.T) {
	tests := []struct{ name, file, environment, flag string }{
		{"idle-timeout", "11s", "12s", "13s"},
		{"loops", "1", "2", "3"},
		{"max-message", "1KiB", "2KiB", "3KiB"},
		{"max-connections", "100", "0", "auto"},
		{"memory", "1GiB", "auto", "0"},
		{"compress", "true", "false", "true"},
		{"reuse-port", "false", "true", "false"},
		{"log-level", "debug", "warn", "error"},
		{"admin", "'127.0.0.1:1'", "", "127.0.0.1:3"},
		{"listen", "[':1', ':2']", ":3,:4", ":5"},
		{"origins", "'*'", "https://a.example", "null"},
		{"proxy-trust", "['10.0.0.0/8', '::1']", "", "192.0.2.0/24,2001:db8::/32"},
		{"byte-rate", "1KiB", "0", "2KiB"},
		{"max-per-address", "1", "0", "2"},
		{"address-prefix-v6", "48", "0", "56"},
		{"memory-mark", "50", "0", "100"},
		{"admin-socket", "/run/a.sock", "", "auto"},
		{"admin-key-file", "/etc/a", "", "./b"},
	}
	// All at once, and each with the next combination of sources in each round, so that all have had all.
	for round := range 1 << 3 {
		var file, environ, flags, plainly []string
		from := make([]source, len(tests))
		for i, test := range tests {
			sources, want := (round+i)%(1<<3), ""
			if sources&1 != 0 {
				file = append(file, test.name+": "+test.file)
				want = strings.NewReplacer("[", "", "]", "", "'", "", ", ", ",").Replace(test.file)
				from[i] = source{fromFile, fmt.Sprintf(":%d", len(file))}
			}
			if sources&2 != 0 {
				environ = append(environ, envName(test.name)+"="+test.environment)
				want, from[i] = test.environment, source{kind: fromEnvironment}
			}
			if sources&4 != 0 {
				flags = append(flags, "--"+test.name+"="+test.flag)
				want, from[i] = test.flag, source{kind: fromFlag}
			}
			if sources != 0 {
				plainly = append(plainly, "--"+test.name+"="+want)
			}
		}
		got := mustServe(t, environ, append(flags, "--config="+configFile(t, strings.Join(file, "\n")))...)
		plain := mustServe(t, nil, plainly...).Config
		plain.Config = got.Config.Config
		if !reflect.DeepEqual(got.Config, plain) {
			t.Errorf("%q with %q and %q:\ngot  %+v\nwant %+v", flags, environ, file, got.Config, plain)
		}
		for i, test := range tests {
			is := got.Sources[test.name]
			if is.kind != from[i].kind || is.kind == fromFile && !strings.HasSuffix(is.place, from[i].place) {
				t.Errorf("%q with %q and %q: %s comes from %+v; want %+v", flags, environ, file, test.name, is, from[i])
			}
		}
	}
}

// The file itself is named by the flag, else by the environment; and which came first on the command line does not matter.
func TestWhichFile(t *testing.T) {
	one, two := configFile(t, "loops: 1"), configFile(t, "loops: 2")
	for want, got := range map[int]asked{
		1: mustServe(t, []string{"THRONG_CONFIG=" + one}),
		2: mustServe(t, []string{"THRONG_CONFIG=" + one}, "--config", two),
		0: mustServe(t, []string{"THRONG_CONFIG="}),
		3: mustServe(t, nil, "serve", "--config", two, "--loops=3"),
		4: mustServe(t, nil, "--loops=4", "--config", two),
	} {
		if got.Config.Loops != want {
			t.Errorf("got %d loops; want %d", got.Config.Loops, want)
		}
	}
}

func TestWaysToWriteFlags(t *testing.T) {
	got := mustServe(t, nil, "--listen", ":1", "--listen", "[::1]:2, 127.0.0.1:3", "--admin", "", "--compress", "--no-reuse-port", "--max-connections", "5")
	c := got.Config
	if !slices.Equal(c.Listen, []string{":1", "[::1]:2", "127.0.0.1:3"}) || c.Admin != "" || !c.Compress || c.ReusePort || c.MaxConnections != 5 {
		t.Errorf("got %+v", c)
	}
	if c := mustServe(t, []string{"THRONG_COMPRESS=yes"}, "--no-compress").Config; c.Compress {
		t.Error("--no-compress does not win over the environment")
	}
}

func TestUsageErrors(t *testing.T) {
	for want, args := range map[string][]string{
		`unknown command "verison"; did you mean "version"?; allowed: serve, check-config, status, connections, rooms, closes, kick, say, drain, shed, reload, publish, history, members, bench, version`: {"verison"},
		`unknown flag --max-conections, did you mean "--max-connections"? (see throng --help)`:                                                                                                            {"--max-conections=3"},
		`unexpected argument x (see throng --help)`:         {"serve", "x"},
		`unknown flag --loops (see throng --help)`:          {"version", "--loops=1"},
		`--idle-timeout: needs a value (see throng --help)`: {"--idle-timeout"},
		`--listen: needs a value (see throng --help)`:       {"--listen", "--compress"},
		`unexpected argument a b (see throng --help)`:       {"serve", "a\nb"},
	} {
		got := ask(nil, args...)
		if got.invocation != nil || got.code != exitUsage || got.stderr != "throng: "+want+"\n" || got.stdout != "" {
			t.Errorf("throng %q: exit code %d\ngot  %swant throng: %s", args, got.code, got.stderr, want)
		}
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"-h"}, {"serve", "--help"}, {"check-config", "--help"}} {
		// Help is for those with a broken configuration, too.
		got := ask([]string{"THRONG_LOOPS=many", "THRONG_CONFIG=/nowhere"}, args...)
		if got.invocation != nil || got.code != exitOK || got.stderr != "" {
			t.Fatalf("throng %q: exit code %d, %s", args, got.code, got.stderr)
		}
		text := got.stdout
		for _, group := range []string{"\nListening\n", "\nRooms and messages\n", "\nTimeouts\n", "\nLimits\n", "\nPrivate HTTP\n", "\nLogging\n"} {
			if strings.Count(text, group) != 1 {
				t.Errorf("throng %q does not have one group %q", args, group)
			}
		}
		for _, flag := range settingFlags(t) {
			want := "\n  --" + flag.Name + "="
			if flag.IsBool() {
				want = "\n  --[no-]" + flag.Name + " "
			} else if flag.HasDefault {
				want += strings.TrimSuffix(flag.FormatPlaceHolder(), " ")
			}
			if strings.Count(text, want) != 1 {
				t.Errorf("throng %q does not show once: %q", args, want)
			}
		}
		for line := range strings.Lines(text) {
			if len(line) > 81 && !strings.Contains(line, "http") {
				t.Errorf("throng %q has a line wider than a terminal: %q", args, line)
			}
		}
	}
	for _, want := range []string{"Usage: throng [<command>] [<flags>]\n", "\n  check-config ", "\n  bench ", "\n  version ", "THRONG_IDLE_TIMEOUT"} {
		if text := ask(nil, "--help").stdout; strings.Count(text, want) != 1 {
			t.Errorf("throng --help does not show once: %q\n%s", want, text)
		}
	}
}

func TestVersion(t *testing.T) {
	text := versionText(&debug.BuildInfo{
		Main:     debug.Module{Path: "throng", Version: "v1.2.3"},
		Deps:     []*debug.Module{{Path: "github.com/gobwas/ws", Version: "v1.5.0"}, {Path: "github.com/panjf2000/gnet/v2", Version: "v2.10.0"}, {Path: "x", Version: "v0.1.0"}},
		Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.modified", Value: "true"}},
	})
	if !strings.HasPrefix(text, "throng v1.2.3 0123456789ab modified\ngo1.") || !strings.HasSuffix(text, "\ngobwas/ws v1.5.0\npanjf2000/gnet/v2 v2.10.0\n") {
		t.Errorf("got %s", text)
	}
	if text := versionText(nil); !strings.HasPrefix(text, "throng (devel)\ngo1.") {
		t.Errorf("got %s", text)
	}
	if got := ask([]string{"THRONG_LOOPS=many"}, "version"); got.code != exitOK || got.invocation != nil || !strings.HasPrefix(got.stdout, "throng ") {
		t.Errorf("got %+v", got)
	}
}

// bench has flags of its own: settings of a server in the environment are not its business.
func TestBench(t *testing.T) {
	got := ask([]string{"THRONG_LOOPS=many"}, "bench", "ideal")
	if got.invocation == nil || got.Command != "bench ideal" || got.Run == nil || got.Config != nil {
		t.Errorf("got %+v", got)
	}
}
