package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestFile(t *testing.T) {
	path := configFile(t, `# everything that YAML may look like
"listen": [ ":1", '[::1]:2' ]
origins:
  - https://a.example
  - https://b.example
loops: 2
compress: yes
max-message: 128KiB
max-log: 2097152
idle-timeout: 0
admin: ''
`)
	got := mustServe(t, nil, "--config", path)
	want := *mustServe(t, nil).Config
	want.Config, want.Loops, want.Compress, want.MaxMessage, want.MaxLog, want.IdleTimeout, want.Admin = path, 2, true, 128<<10, 2<<20, 0, ""
	want.Listen, want.Origins = []string{":1", "[::1]:2"}, []string{"https://a.example", "https://b.example"}
	if !reflect.DeepEqual(*got.Config, want) {
		t.Errorf("\ngot  %+v\nwant %+v", *got.Config, want)
	}
	if from := got.Sources["origins"]; from != (source{fromFile, path + ":3"}) {
		t.Errorf("origins come from %s", from)
	}
}

func TestEmptyFiles(t *testing.T) {
	for _, text := range []string{"", "\n", "# nothing\n", "---\n", "---\n# nothing\n...\n", "{}\n"} {
		path := configFile(t, text)
		if got := mustServe(t, nil, "--config", path); len(got.Sources) != 1 {
			t.Errorf("%q sets %v", text, got.Sources)
		}
	}
}

func TestBadFiles(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"\n\nmax-conections: 3\n", `:3: unknown setting "max-conections"; did you mean "max-connections"?`},
		{"idle_timeout: 3s", `:1: unknown setting "idle_timeout"; did you mean "idle-timeout"?`},
		{"frobnicate: 3", `:1: unknown setting "frobnicate"`},
		{"<<: {loops: 1}", `:1: unknown setting "<<"`},
		{"? [loops]\n: 1", `:1: unknown setting ""`},
		{"config: other.yaml", `:1: config cannot be set in the file itself; allowed: --config or THRONG_CONFIG`},
		{"loops: 1\nadmin: ''\nloops: 2\n", `:3: loops was already set in line 1; allowed: once`},
		{"\nloops: many\n", `:2: loops: "many" is not a whole number (0 to 1024)`},
		{"loops: 0x10", `:1: loops: "0x10" is not a whole number (0 to 1024)`},
		{"idle-timeout: 1:30", `:1: idle-timeout: "1:30" is not a duration; allowed: a number with its unit, such as 250ms, 60s or 1m30s (0, or 1ms to 168h)`},
		{"idle-timeout: [1s, 2s]", `:1: idle-timeout: has 2 values; allowed: one`},
		{"idle-timeout:", `:1: idle-timeout: has no value; write '' for an empty one, or take the line out`},
		{"listen: [':1', ]\norigins: []", `:2: origins: is an empty list; allowed: one value or more`},
		{"listen: [':1', ~]", `:1: listen: has no value; write '' for an empty one, or take the line out`},
		{"limits:\n  loops: 3", `:1: unknown setting "limits"`},
		{"loops:\n  max: 3", `:1: loops: holds more settings; allowed: a plain value or a list of them`},
		{"loops: &a 1\nmax-headers: *a", `:2: max-headers: holds more settings; allowed: a plain value or a list of them`},
		{"- loops", `:1: not a list of settings; one "name: value" a line is allowed`},
		{"loops", `:1: not a list of settings; one "name: value" a line is allowed`},
		{"loops: 1\n---\nloops: 2", `:2: a second document; one file holds one configuration`},
		{"loops: 1\norigins: *\n", `:2: not YAML: did not find expected alphabetic or numeric character; a bare * has to be quoted: "*"`},
		{"loops: 1\n\tadmin: ''\n", `:2: not YAML: found a tab character that violates indentation`},
		{"\x00\xff", `: not YAML: control characters are not allowed`},
	} {
		path := configFile(t, test.text)
		got := ask(nil, "--config", path)
		if want := "throng: " + path + test.want + "\n"; got.invocation != nil || got.code != exitUsage || got.stderr != want {
			t.Errorf("%q: exit code %d\ngot  %swant %s", test.text, got.code, got.stderr, want)
		}
	}
}

func TestUnreadableFiles(t *testing.T) {
	nowhere, long := filepath.Join(t.TempDir(), "nowhere.yaml"), configFile(t, strings.Repeat("# long\n", configFileBytesMax/7+1))
	for want, got := range map[string]asked{
		"--config: open " + nowhere + ": no such file or directory":       ask(nil, "--config", nowhere),
		"THRONG_CONFIG: open " + nowhere + ": no such file or directory":  ask([]string{"THRONG_CONFIG=" + nowhere}),
		"--config: " + long + " is longer than 1MiB: not a configuration": ask(nil, "--config", long),
		"--config: read " + os.TempDir() + ": is a directory":             ask(nil, "--config", os.TempDir()),
	} {
		if got.invocation != nil || got.code != exitUsage || got.stderr != "throng: "+want+"\n" {
			t.Errorf("exit code %d\ngot  %swant throng: %s", got.code, got.stderr, want)
		}
	}
}

// A start tells the first thing that is wrong and how many there are; check-config tells them all.
func TestSeveralMistakes(t *testing.T) {
	path := configFile(t, "loops: many\nmax-conections: 3\n")
	args := []string{"--idle-timeout=60", "--config", path}
	got := ask([]string{"THRONG_MAX_HEAD=1"}, args...)
	if want := "throng: --idle-timeout: "; !strings.HasPrefix(got.stderr, want) || !strings.HasSuffix(got.stderr, " (and 3 more: see throng check-config)\n") {
		t.Errorf("got %s", got.stderr)
	}
	got = ask([]string{"THRONG_MAX_HEAD=1"}, append([]string{"check-config"}, args...)...)
	if got.code != exitWrong || strings.Count(got.stdout, "\n# wrong: ") != 4 || got.stderr != "" {
		t.Errorf("exit code %d, %s%s", got.code, got.stdout, got.stderr)
	}
	for _, want := range []string{
		`# wrong: --idle-timeout: "60" `, `# wrong: THRONG_MAX_HEAD: "1" is too little`, `:1: loops: "many" `, `:2: unknown setting "max-conections"`,
		"\nidle-timeout: 1m ", "\nmax-head: 8KiB ", "\nloops: 0 ",
	} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("%q is not in\n%s", want, got.stdout)
		}
	}
}

func TestUnknownVariables(t *testing.T) {
	got := mustServe(t, []string{
		"THRONG_IDLE_TIMOUT=3s", "THRONG_COLOUR=blue", "THRONG_PORT=8080", "THRONGS=1", "PATH=/bin", "THRONG_LOOPS=1",
		// What Kubernetes sets beside a service called throng, and one called throng-admin.
		"THRONG_SERVICE_HOST=10.0.0.1", "THRONG_SERVICE_PORT=8080", "THRONG_SERVICE_PORT_HTTP=8080", "THRONG_PORT_8080_TCP=tcp://10.0.0.1:8080",
		"THRONG_PORT_8080_TCP_ADDR=10.0.0.1", "THRONG_PORT_8080_TCP_PROTO=tcp", "THRONG_ADMIN_SERVICE_HOST=10.0.0.2", "THRONG_ADMIN_PORT=tcp://10.0.0.2:80",
	})
	want := []string{
		`unknown environment variable THRONG_COLOUR is ignored`,
		`unknown environment variable THRONG_IDLE_TIMOUT is ignored; did you mean "THRONG_IDLE_TIMEOUT"?`,
		`unknown environment variable THRONG_PORT is ignored`,
	}
	if !reflect.DeepEqual(got.Warnings, want) {
		t.Errorf("got %q; want %q", got.Warnings, want)
	}
	if got.Config.Loops != 1 || got.Config.IdleTimeout != time.Minute {
		t.Errorf("got %+v", got.Config)
	}
}

func FuzzFile(f *testing.F) {
	for _, text := range []string{"loops: 1", "listen: [a, b]", "loops: &a 1\norigins: *a", "a: {b: c}", "- x", "---\n---\n", "? [x]\n: y", "loops: !!binary x"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := newSettings(nil)
		s.parseFile("config.yaml", []byte(text), []string{"loops", "listen", "origins"})
		for _, problem := range s.problems {
			if strings.ContainsAny(problem, "\n\r") {
				t.Errorf("more than one line: %q", problem)
			}
		}
	})
}
