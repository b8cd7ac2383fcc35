package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"throng/engine"
)

const operationsPage = "docs/OPERATIONS.md"

// TestOperationsCommands runs what the page says operators can type, in its order, against a node with people on it. Each has to succeed, and
// each line of the page has to begin with the word that a line of the answer begins with.
func TestOperationsCommands(t *testing.T) {
	installed(t, "curl")
	d := startDesk(t, "--drain-delay", "0s")
	var members []*member
	for i := range 12 {
		members = append(members, join(t, d.url([]string{"/", "/rooms/tea", "/rooms/tea"}[i%3])))
	}
	members[1].leave()
	d.until("one has left", func(f figures) bool { return f[`throng_closed_total{reason="peer_close"}`] == 1 })
	if seen := checkTyped(t, "Commands", commandShell(t, d.socket)); seen < 14 {
		t.Errorf("only %d commands were found", seen)
	}
	if code := d.exit(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// checkTyped runs what a section of the page says one can type, and counts it.
func checkTyped(t *testing.T, title string, shell func(line string) (int, string)) (seen int) {
	t.Helper()
	_, section, _ := strings.Cut(readText(os.DirFS("."), operationsPage), "\n## "+title+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, block := range regexp.MustCompile("(?s)```(console|sh)\n(.*?)```").FindAllStringSubmatch(section, -1) {
		if block[1] == "sh" {
			if code, said := shell(block[2]); code != exitOK {
				t.Errorf("%s: exit code %d\n%s", block[2], code, said)
			}
			continue
		}
		for _, one := range strings.Split("\n"+strings.TrimSpace(block[2]), "\n$ ")[1:] {
			typed, shown, _ := strings.Cut(one, "\n")
			code, said := shell(typed)
			if code != exitOK {
				t.Errorf("%s: exit code %d\n%s", typed, code, said)
			}
			for line := range strings.Lines(shown) {
				if word := firstWord(line); !regexp.MustCompile(`(?m)^` + word).MatchString(said) {
					t.Errorf("%s: no line begins as %q does (%s)\n%s", typed, strings.TrimSpace(line), word, said)
				}
			}
			seen++
		}
	}
	return seen
}

// firstWord is a pattern for how a line begins, whatever its numbers are.
func firstWord(line string) string {
	word := regexp.MustCompile(`^\s*([A-Za-z_]+|\{"[a-z]+"|)`).FindStringSubmatch(line)[1]
	return regexp.QuoteMeta(word)
}

// commandShell runs a line in a shell in which throng is throng, and means the node of a socket.
func commandShell(t *testing.T, socket string) func(line string) (int, string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\ncase $1 in check-config) exec '%s' \"$@\";; esac\nexec '%s' \"$@\" --admin 'unix:%s'\n", self, self, socket)
	if err := os.WriteFile(filepath.Join(folder, "throng"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return func(line string) (int, string) {
		cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", strings.ReplaceAll(line, "/run/throng/admin.sock", socket))
		cmd.Dir = folder
		cmd.Env = append(command(nil).Env, "PATH="+folder+":"+os.Getenv("PATH"))
		cmd.WaitDelay = time.Second
		said, _ := cmd.CombinedOutput() // its code is looked at
		return cmd.ProcessState.ExitCode(), string(said)
	}
}

// TestOperationsTables keeps the page's lists of settings and of reasons equal to the code.
func TestOperationsTables(t *testing.T) {
	var live []string
	for i, name := range settingNames() {
		if _, is := reflect.TypeFor[Config]().Field(i).Tag.Lookup("live"); is {
			live = append(live, "`--"+name+"`")
		}
	}
	keepSectionOf(t, operationsPage, "live", strings.Join(live, ", ")+".\n")
	var rows strings.Builder
	rows.WriteString("| name | what happened |\n| --- | --- |\n")
	for _, r := range engine.Reasons() {
		fmt.Fprintf(&rows, "| `%s` | %s |\n", r, meanings[r])
	}
	keepSectionOf(t, operationsPage, "meanings", rows.String())
}
