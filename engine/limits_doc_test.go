package engine_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"throng/engine"
)

// TestLimitsDocument: every row of docs/LIMITS.md names a test, every test that
// it names exists, and every end that there is stands in a row.
func TestLimitsDocument(t *testing.T) {
	text, err := os.ReadFile("../docs/LIMITS.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := testsOf(t, "")
	for _, dir := range []string{"broker", "chat", "chat/token", "protocol/envelope"} {
		for name, parts := range testsOf(t, dir) {
			tests[filepath.Base(dir)+"."+name] = parts
		}
	}
	named := regexp.MustCompile("`((?:[a-z]+\\.)?Test[^`]*)`")
	rows := 0
	for at, line := range strings.Split(string(text), "\n") {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| ---") || strings.HasSuffix(line, "| test |") {
			continue
		}
		rows++
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		found := named.FindAllStringSubmatch(cells[len(cells)-1], -1)
		if len(found) == 0 {
			t.Errorf("line %d names no test: %s", at+1, line)
		}
		for _, m := range found {
			name, part, _ := strings.Cut(m[1], "/")
			if parts, ok := tests[name]; !ok || part != "" && !parts[part] {
				t.Errorf("line %d: there is no test %s", at+1, m[1])
			}
		}
	}
	if rows < 60 {
		t.Errorf("only %d rows were found", rows)
	}
	for _, r := range engine.Reasons() {
		if !strings.Contains(string(text), `{reason="`+r.String()+`"}`) {
			t.Errorf("the end %s stands in no row", r)
		}
	}
}

// testsOf parses the tests of a package: by name, every string literal that
// stands in each, since that is what its subtests can be called.
func testsOf(t *testing.T, dir string) map[string]map[string]bool {
	t.Helper()
	pattern := "*_test.go"
	if dir != "" {
		pattern = filepath.Join("..", dir, pattern)
	}
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests found in %q: %v", dir, err)
	}
	tests := map[string]map[string]bool{}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv != nil || !strings.HasPrefix(f.Name.Name, "Test") {
				continue
			}
			parts := map[string]bool{}
			ast.Inspect(f, func(n ast.Node) bool {
				if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					s, _ := strconv.Unquote(lit.Value)
					parts[strings.ReplaceAll(s, " ", "_")] = true
				}
				return true
			})
			tests[f.Name.Name] = parts
		}
	}
	return tests
}
