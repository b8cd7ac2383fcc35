package web_test

import (
	"os"
	"os/exec"
	"testing"
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
