package main

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// The house rules of docs/ARCHITECTURE.md, held against the files.

// arrows: which of our packages each of them may import. What its tests may import besides is in testArrows. A package that is not
// here fails: put it in its place first.
var arrows = map[string][]string{
	"main":              {"admin", "admin/console", "bench", "broker", "chat", "chat/token", "engine", "protocol", "protocol/envelope", "web"},
	"admin":             nil,
	"admin/console":     {"admin"},
	"bench":             {"bench/report"},
	"bench/report":      nil,
	"broker":            nil,
	"chat":              {"chat/token", "engine", "protocol", "protocol/envelope"},
	"chat/token":        nil,
	"client":            nil,
	"engine":            {"protocol", "timeouts"},
	"protocol":          nil,
	"protocol/envelope": nil,
	"protocol/cases":    {"protocol"}, // what tests of protocol and engine share
	"timeouts":          nil,
	"web":               nil,
}

// testArrows are for tests, which look at a package from outside and may need others to drive it.
var testArrows = map[string][]string{
	"main":     {"client", "timeouts", "protocol/cases"},
	"admin":    {"admin/testdata/outsider", "engine"},
	"bench":    {"chat", "engine", "protocol"},
	"chat":     {"protocol/cases"},
	"client":   {"protocol/envelope"},
	"engine":   {"chat", "protocol/cases"},
	"protocol": {"protocol/cases"},
	"web":      {"chat", "engine", "protocol"},
}

// importers: who may import each module that is not ours. Tests may besides import what is for tests.
var importers = map[string][]string{
	"github.com/HdrHistogram/hdrhistogram-go": {"bench", "bench/report"},
	"github.com/aclements/go-moremath":        {"bench/report"},
	"github.com/alecthomas/kong":              {"main"},
	"github.com/golang-jwt/jwt/v5":            {"chat/token"},
	"github.com/gobwas/ws":                    {"protocol", "bench", "client"},
	"github.com/klauspost/compress":           {"protocol", "protocol/cases"},
	"github.com/nats-io/nats-server/v2":       {"broker"},
	"github.com/nats-io/nats.go":              {"broker"},
	"github.com/panjf2000/gnet/v2":            {"engine"},
	"github.com/prometheus/client_golang":     {"admin"},
	"github.com/prometheus/common":            {"bench"},
	"go.yaml.in/yaml/v3":                      {"main", "bench"},
	"golang.org/x/sys":                        {"engine", "bench"},
	"golang.org/x/term":                       {"main", "bench"},

	"github.com/chromedp/cdproto":              {onlyTests}, // comes with chromedp
	"github.com/santhosh-tekuri/jsonschema/v6": {onlyTests},
	"github.com/chromedp/chromedp":             {onlyTests},
	"github.com/coder/websocket":               {onlyTests},
	"github.com/gorilla/websocket":             {onlyTests},
}

const onlyTests = "tests"

// testImporters are tests that hold our work against somebody else's.
var testImporters = map[string][]string{
	"github.com/gobwas/ws":                {"engine"}, // a client's frames
	"github.com/nats-io/nats-server/v2":   {"main"},   // servers that can be killed
	"github.com/prometheus/client_golang": {"main"},   // its linter of metrics
}

// noDrawers are names of packages that say nothing of what is inside.
var noDrawers = []string{"base", "common", "helper", "helpers", "misc", "shared", "types", "util", "utils"}

// goFile is a Go file of the repository.
type goFile struct {
	name   string // from the root
	folder string // the package's key above
	test   bool
	syntax *ast.File
	lines  int
}

var files = token.NewFileSet()

// readHouse parses every Go file, without what belongs to node or to fuzzing.
func readHouse(t *testing.T) []goFile {
	t.Helper()
	var house []goFile
	for _, name := range tracked(t) {
		if !strings.HasSuffix(name, ".go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		syntax, err := parser.ParseFile(files, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		folder := filepath.ToSlash(filepath.Dir(name))
		if folder == "." {
			folder = "main"
		}
		house = append(house, goFile{name, folder, strings.HasSuffix(name, "_test.go"), syntax, bytes.Count(text, []byte("\n"))})
	}
	return house
}

// tracked lists the files that belong to the repository, as far as their place and .gitignore's patterns tell.
func tracked(t *testing.T) []string {
	t.Helper()
	leftBehind := []string{"*.test", "*.prof", "*.pprof", "*.out"}
	var names []string
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == ".git" || entry.Name() == "node_modules"):
			return filepath.SkipDir
		case entry.IsDir() && name == "bench/peers": // a module of its own, of other people's libraries
			return filepath.SkipDir
		case entry.IsDir(), name == "throng":
			return nil
		}
		for _, pattern := range leftBehind {
			if match, _ := filepath.Match(pattern, entry.Name()); match {
				return nil
			}
		}
		names = append(names, filepath.ToSlash(name))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestArrows: our packages import each other one way, and other people's only where it was decided.
func TestArrows(t *testing.T) {
	for _, file := range readHouse(t) {
		if strings.Contains(file.folder, "testdata") {
			continue
		}
		allowed, known := arrows[file.folder]
		if !known {
			t.Errorf("%s: the package %s is in no place of the house", file.name, file.folder)
			continue
		}
		if file.test {
			allowed = append(slices.Clone(allowed), testArrows[file.folder]...)
			allowed = append(allowed, file.folder)
		}
		for _, spec := range file.syntax.Imports {
			name := strings.Trim(spec.Path.Value, `"`)
			ours, isOurs := strings.CutPrefix(name, "throng/")
			switch {
			case isOurs && !slices.Contains(allowed, ours):
				t.Errorf("%s imports %s; allowed: %s", file.name, ours, strings.Join(allowed, ", "))
			case !isOurs && strings.Contains(strings.Split(name, "/")[0], "."):
				judgeImporter(t, file, name)
			}
		}
	}
}

func judgeImporter(t *testing.T, file goFile, name string) {
	t.Helper()
	for module, allowed := range importers {
		if name != module && !strings.HasPrefix(name, module+"/") {
			continue
		}
		if file.test {
			allowed = append(slices.Clone(allowed), testImporters[module]...)
		}
		if !slices.Contains(allowed, file.folder) && !(file.test && slices.Contains(allowed, onlyTests)) {
			t.Errorf("%s imports %s; allowed: %s", file.name, module, strings.Join(allowed, ", "))
		}
		return
	}
	t.Errorf("%s imports %s, which nobody decided on", file.name, name)
}

// TestDependencies: each module that go.mod requires directly has importers, and is explained in docs/ARCHITECTURE.md.
func TestDependencies(t *testing.T) {
	document := readText(os.DirFS("."), "docs/ARCHITECTURE.md")
	required := map[string]bool{}
	for line := range strings.Lines(readText(os.DirFS("."), "go.mod")) {
		fields := strings.Fields(line)
		if len(fields) != 2 || !strings.HasPrefix(fields[1], "v") {
			continue
		}
		module := fields[0]
		required[module] = true
		if importers[module] == nil {
			t.Errorf("go.mod requires %s, which has no importers here", module)
		}
		if !strings.Contains(document, strings.TrimPrefix(module, "github.com/")) {
			t.Errorf("docs/ARCHITECTURE.md does not say what %s is for", module)
		}
	}
	for module := range importers {
		if !required[module] && module != "github.com/chromedp/cdproto" {
			t.Errorf("%s has importers here, and go.mod does not require it", module)
		}
	}
}

// TestPackages: each package is called what it is, and says what it is.
func TestPackages(t *testing.T) {
	documented := map[string]bool{}
	for _, file := range readHouse(t) {
		name := strings.TrimSuffix(file.syntax.Name.Name, "_test")
		if slices.Contains(noDrawers, name) || slices.Contains(noDrawers, path.Base(file.folder)) {
			t.Errorf("%s: a package called %s holds anything", file.name, name)
		}
		documented[file.folder] = documented[file.folder] || !file.test && file.syntax.Doc != nil
	}
	for folder, has := range documented {
		if !has {
			t.Errorf("the package %s has no comment that says what it is", folder)
		}
	}
}

// TestDocComments: every exported name says what it is for.
func TestDocComments(t *testing.T) {
	for _, file := range readHouse(t) {
		if file.test {
			continue
		}
		for _, decl := range file.syntax.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && d.Doc == nil && (d.Recv == nil || ast.IsExported(receiver(d))) {
					t.Errorf("%s: %s has no comment", files.Position(d.Pos()), d.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					for _, name := range undocumented(d, spec) {
						t.Errorf("%s: %s has no comment", files.Position(spec.Pos()), name)
					}
				}
			}
		}
	}
}

// receiver is the name of the type that a method belongs to.
func receiver(d *ast.FuncDecl) string {
	at := d.Recv.List[0].Type
	for {
		switch e := at.(type) {
		case *ast.StarExpr:
			at = e.X
		case *ast.IndexExpr:
			at = e.X
		case *ast.Ident:
			return e.Name
		default:
			return ""
		}
	}
}

// undocumented lists the exported names of a declaration that neither it nor its group explains.
func undocumented(group *ast.GenDecl, spec ast.Spec) []string {
	if group.Doc != nil {
		return nil
	}
	var names []string
	switch s := spec.(type) {
	case *ast.TypeSpec:
		if s.Name.IsExported() && s.Doc == nil && s.Comment == nil {
			names = append(names, s.Name.Name)
		}
	case *ast.ValueSpec:
		for _, name := range s.Names {
			if name.IsExported() && s.Doc == nil && s.Comment == nil {
				names = append(names, name.Name)
			}
		}
	}
	return names
}

// TestFuzzers: make fuzz runs every fuzzer there is, and no other.
func TestFuzzers(t *testing.T) {
	there := map[string]bool{}
	for _, file := range readHouse(t) {
		for _, decl := range file.syntax.Decls {
			d, isFunc := decl.(*ast.FuncDecl)
			if file.test && isFunc && d.Recv == nil && strings.HasPrefix(d.Name.Name, "Fuzz") {
				there[strings.TrimPrefix(file.folder+"/"+d.Name.Name, "main/")] = true
			}
		}
	}
	_, list, _ := strings.Cut(readText(os.DirFS("."), "Makefile"), "\nFUZZERS := \\\n")
	list, _, _ = strings.Cut(list, "\n\n")
	for _, name := range strings.Fields(strings.ReplaceAll(list, "\\", "")) {
		if !there[name] {
			t.Errorf("the Makefile names %s, which is not there", name)
		}
		delete(there, name)
	}
	for _, name := range slices.Sorted(maps.Keys(there)) {
		t.Errorf("the Makefile does not name %s", name)
	}
}

// leftOver are marks that were meant to go away before anybody else reads them. They are put together here, so that this file has none.
var leftOver = []*regexp.Regexp{
	regexp.MustCompile(`\b(` + strings.Join([]string{"TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK", "W" + "IP", "TB" + "D"}, "|") + `)\b`),
	regexp.MustCompile(`(?i)\bnot[ ]checked[ ]in\b|\bdo[ ]not[ ](merge|commit)\b`),
	regexp.MustCompile(`(?m)^(<{7}|={7}|>{7})( |$)`),
	regexp.MustCompile("(^|[^\\w.~/])/(wor" + "k|roo" + "t|hom" + "e|Use" + "rs)/"),
}

// TestLeftOvers: no file carries marks of work in progress or paths of somebody's machine.
func TestLeftOvers(t *testing.T) {
	for _, name := range tracked(t) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0 || path.Base(name) == "go.sum" || path.Base(name) == "package-lock.json" {
			continue
		}
		for _, mark := range leftOver {
			for _, at := range mark.FindAllIndex(text, -1) {
				t.Errorf("%s:%d: %q", name, 1+bytes.Count(text[:at[0]], []byte("\n")), text[at[0]:at[1]])
			}
		}
		if len(text) > 0 && text[len(text)-1] != '\n' && !strings.Contains(name, "testdata/") && path.Ext(name) != ".svg" {
			t.Errorf("%s does not end with a line's end", name)
		}
	}
}

// TestSizes lists what is longer than a reader likes. It fails on nothing: splitting what belongs together is worse.
func TestSizes(t *testing.T) {
	const functionLines, fileLines = 70, 400
	for _, file := range readHouse(t) {
		if file.lines > fileLines {
			t.Logf("%s has %d lines", file.name, file.lines)
		}
		for _, decl := range file.syntax.Decls {
			if d, isFunc := decl.(*ast.FuncDecl); isFunc {
				if n := 1 + files.Position(d.End()).Line - files.Position(d.Pos()).Line; n > functionLines {
					t.Logf("%s: %s has %d lines", files.Position(d.Pos()), d.Name, n)
				}
			}
		}
	}
}

// TestScripts: what the Makefile and .ci/run name of the tests is there. A -run that matches nothing would succeed.
func TestScripts(t *testing.T) {
	var tests []string
	var code strings.Builder
	for _, file := range readHouse(t) {
		if !file.test || file.name == "house_test.go" {
			continue
		}
		code.WriteString(readText(os.DirFS("."), file.name))
		for _, decl := range file.syntax.Decls {
			if d, isFunc := decl.(*ast.FuncDecl); isFunc {
				tests = append(tests, d.Name.Name)
			}
		}
	}
	for _, name := range []string{"Makefile", ".ci/run"} {
		script := readText(os.DirFS("."), name)
		for _, m := range regexp.MustCompile(`-run '\^(\w+)`).FindAllStringSubmatch(script, -1) {
			if !slices.ContainsFunc(tests, func(test string) bool { return strings.HasPrefix(test, m[1]) }) {
				t.Errorf("%s runs %s, and no test is called that", name, m[1])
			}
		}
		for _, variable := range regexp.MustCompile(`\bTHRONG_[A-Z]+(_[A-Z]+)*`).FindAllString(script, -1) {
			if !strings.Contains(code.String(), `"`+variable+`"`) {
				t.Errorf("%s sets %s, which no test reads", name, variable)
			}
		}
	}
	info, err := os.Stat(".ci/run")
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode()&0o111 == 0 {
		t.Error(".ci/run is not executable")
	}
}
