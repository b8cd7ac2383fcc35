package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/alecthomas/kong"
)

var update = flag.Bool("update", false, "write into README.md what is copied there from the code")

// The README's two commands: one to see it, one to check it.
const (
	commandRun  = "go run ."
	commandTest = "go test -race -shuffle=on ./..."
)

// TestReadmeSettings keeps the README's table equal to the flags, and the flags to the help.
func TestReadmeSettings(t *testing.T) {
	var help bytes.Buffer
	parseArgs([]string{"--help"}, nil, &help, &help)
	flags := settingFlags(t)
	for _, flag := range flags {
		if !regexp.MustCompile(`\n  --(\[no-])?` + flag.Name + `\b`).Match(help.Bytes()) {
			t.Errorf("--%s is not in the help", flag.Name)
		}
	}
	keepSection(t, "settings", settingsTable(flags))
}

// TestReadmeExample keeps the README's example equal to the one that is run.
func TestReadmeExample(t *testing.T) {
	source := readText(os.DirFS("."), "engine/example_test.go")
	_, body, found := strings.Cut(source, "\n)\n\n") // behind the imports
	if !found {
		t.Fatal("engine/example_test.go has no imports")
	}
	keepSection(t, "example", "```go\n"+strings.TrimSpace(body)+"\n```\n")
}

// TestReadmeClient keeps its example of a client equal to the one that is compiled with the client's tests.
func TestReadmeClient(t *testing.T) {
	source := readText(os.DirFS("."), "client/example_test.go")
	_, body, found := strings.Cut(source, "\n)\n\n")
	if !found {
		t.Fatal("client/example_test.go has no imports")
	}
	keepSection(t, "client", "```go\n"+strings.TrimSpace(body)+"\n```\n")
}

// TestReadmeCommands keeps the two commands what they are, and their number two, and has make and .ci/run call the second.
func TestReadmeCommands(t *testing.T) {
	readme := readText(os.DirFS("."), "README.md")
	var commands []string
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(readme, -1) {
		commands = append(commands, strings.Split(strings.TrimSpace(block[1]), "\n")...)
	}
	if got, want := strings.Join(commands, "; "), commandRun+"; "+commandTest; got != want {
		t.Errorf("the README's commands are %q, want %q", got, want)
	}
	for _, file := range []string{".ci/run", "Makefile"} {
		text := strings.ReplaceAll(readText(os.DirFS("."), file), "$(GO)", "go")
		if !strings.Contains(text, commandTest+"\n") {
			t.Errorf("%s does not run %s", file, commandTest)
		}
	}
}

// settingsTable writes a table for each group of flags.
func settingsTable(flags []*kong.Flag) string {
	var b strings.Builder
	group := ""
	for _, flag := range flags {
		if flag.Group.Key != group {
			group = flag.Group.Key
			fmt.Fprintf(&b, "\n**%s**\n\n| flag | environment | default | meaning |\n| --- | --- | --- | --- |\n", group)
		}
		value := "none"
		if flag.Default != "" {
			value = "`" + flag.Default + "`"
		}
		help := strings.NewReplacer("|", `\|`, "*", `\*`, "[", `\[`).Replace(flag.Help)
		fmt.Fprintf(&b, "| `--%s` | `%s` | %s | %s |\n", flag.Name, envName(flag.Name), value, help)
	}
	return b.String() + "\n"
}

// TestDocumentsSettings: throng takes what the pages show of its file of settings, and doubts nothing in it.
func TestDocumentsSettings(t *testing.T) {
	found := 0
	for _, name := range []string{"README.md", "docs/OPERATIONS.md"} {
		for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(readText(os.DirFS("."), name), -1) {
			file := path.Join(t.TempDir(), "throng.yaml")
			if err := os.WriteFile(file, []byte(block[1]), 0o644); err != nil {
				t.Fatal(err)
			}
			if got := run(t, nil, "check-config", "--config", file); got.code != exitOK || strings.Contains(got.stdout, "# w") {
				t.Errorf("%s: %s\n%s%s", name, block[1], got.stdout, got.stderr)
			}
			found++
		}
	}
	if found < 2 {
		t.Errorf("only %d examples of settings were found", found)
	}
}

// keepSection holds what stands in README.md between the markers of a name against what should, or, with -update, writes it there.
func keepSection(t *testing.T, name, want string) {
	t.Helper()
	keepSectionOf(t, "README.md", name, want)
}

func keepSectionOf(t *testing.T, file, name, want string) {
	t.Helper()
	before, rest, _ := strings.Cut(readText(os.DirFS("."), file), "<!-- "+name+" -->\n")
	got, after, found := strings.Cut(rest, "<!-- /"+name+" -->\n")
	switch {
	case !found:
		t.Errorf("%s has no section <!-- %s --> to <!-- /%s -->", file, name, name)
	case got == want:
	case *update:
		text := before + "<!-- " + name + " -->\n" + want + "<!-- /" + name + " -->\n" + after
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("the section %q of %s is out of date: make docs writes it anew", name, file)
	}
}

var (
	markdownLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	markdownHead = regexp.MustCompile(`(?m)^#+ (.*)$`)
	markdownCode = regexp.MustCompile("(?s)```.*?```")
	namedFile    = regexp.MustCompile("`([a-z_0-9/]+\\.(go|md|js))`")
)

// TestDocuments: links lead somewhere, and files that are named exist.
func TestDocuments(t *testing.T) {
	for _, name := range tracked(t) {
		if path.Ext(name) != ".md" {
			continue
		}
		text := markdownCode.ReplaceAllString(readText(os.DirFS("."), name), "")
		for _, m := range markdownLink.FindAllStringSubmatch(text, -1) {
			if err := followLink(name, m[1]); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, m := range namedFile.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(m[1]); err != nil && strings.Contains(m[1], "/") && !strings.HasPrefix(m[1], "/") {
				t.Errorf("%s names %s: %v", name, m[1], err)
			}
		}
	}
}

// followLink looks for the file of a link, and for the heading in it.
func followLink(from, link string) error {
	if strings.Contains(link, "://") {
		return nil
	}
	file, heading, _ := strings.Cut(link, "#")
	to := from
	if file != "" {
		to = path.Join(path.Dir(from), file)
	}
	if at, err := os.Stat(to); err == nil && at.IsDir() && heading == "" {
		return nil
	}
	text, err := os.ReadFile(to)
	if err != nil {
		return fmt.Errorf("the link %s leads nowhere", link)
	}
	if heading == "" {
		return nil
	}
	for _, m := range markdownHead.FindAllSubmatch(markdownCode.ReplaceAll(text, nil), -1) {
		if anchor(string(m[1])) == heading {
			return nil
		}
	}
	return fmt.Errorf("the link %s leads to a heading that is not there", link)
}

// anchor is what a heading is linked by: letters, digits and hyphens, in lower case.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}
