package web_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestThrongJS runs the client's own tests, which are JavaScript: a world of scripted servers and a clock that is moved by hand.
func TestThrongJS(t *testing.T) {
	runTool(t, "node", "--test", "--test-reporter=spec", "testdata/throng.test.mjs")
}

// TestTypes lets TypeScript judge throng.d.ts, by a program that uses all of it and by mistakes that it must find.
func TestTypes(t *testing.T) {
	const tsc = "../testdata/node_modules/typescript/bin/tsc"
	if _, err := os.Stat(tsc); err != nil {
		missing(t, "typescript (npm ci --prefix testdata)")
	}
	runTool(t, "node", tsc, "--noEmit", "--strict", "--target", "es2022", "--module", "nodenext", "--moduleResolution", "nodenext",
		"--lib", "es2022,dom", "testdata/types.ts")
}

// TestNode lets a bot in Node talk to a hall that crashes and comes back.
func TestNode(t *testing.T) {
	if _, err := os.Stat("../testdata/node_modules/ws"); err != nil {
		missing(t, "the Node module ws (npm ci --prefix testdata)")
	}
	h := newHall(t)
	h.says("tea", "Eve", "one")
	h.says("tea", "Eve", "two")
	say, expect := startBot(t, h.url(""), "tea")
	expect("state connecting")
	expect("heard Eve: one") // both in one packet with the answer to the join, more often than not
	expect("heard Eve: two")
	say("three")
	expect("heard Bot: three", "stored three true false")
	h.shut()
	expect("state waiting")
	say("four")
	h.says("tea", "Eve", "meanwhile")
	h.open()
	expect("heard Eve: meanwhile")
	expect("heard Bot: four", "stored four true false")
	say("") // the end
	expect("left")
	if got := h.kept("tea"); got != `["one","two","three","meanwhile","four"]` {
		t.Errorf("kept: %s", got)
	}
}

// startBot runs testdata/bot.mjs. expect waits for lines, in any order, and fails at another.
func startBot(t *testing.T, url, room string) (say func(string), expect func(...string)) {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		missing(t, "node")
	}
	cmd := exec.Command("node", "testdata/bot.mjs", url, room)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		_ = in.Close()
		defer time.AfterFunc(patience, func() { _ = cmd.Process.Kill() }).Stop()
		for range lines { // until it has ended
		}
		if err := cmd.Wait(); err != nil && !t.Failed() {
			t.Errorf("the bot: %v", err)
		}
	})
	say = func(line string) {
		if line == "" {
			_ = in.Close()
			return
		}
		if _, err := io.WriteString(in, line+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	expect = func(want ...string) {
		t.Helper()
		for end := time.After(patience); len(want) > 0; {
			select {
			case line, ok := <-lines:
				i := slices.Index(want, line)
				if i >= 0 {
					want = slices.Delete(want, i, i+1)
				} else if !ok || !strings.HasPrefix(line, "state ") {
					t.Fatalf("%q, want %q", line, want)
				}
			case <-end:
				t.Fatalf("never: %q", want)
			}
		}
	}
	return say, expect
}

func runTool(t *testing.T, name string, args ...string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		missing(t, name)
	}
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", name, err, out)
	}
}

// missing skips a test by name, or fails it where everything has to be there.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("THRONG_REQUIRE_ALL") == "1" {
		t.Fatalf("%s is not installed, and THRONG_REQUIRE_ALL=1", what)
	}
	t.Skipf("skipped: %s is not installed", what)
}
