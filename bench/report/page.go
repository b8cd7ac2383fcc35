package report

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strconv"
	"strings"
)

var (
	//go:embed page.html
	pageText string
	//go:embed page.css
	pageStyle string
	//go:embed page.js
	pageScript string

	pageTemplate = template.Must(template.New("page").Parse(pageText))
)

// page is what the template of the whole page needs.
type page struct {
	Style    template.CSS
	Script   template.JS
	Document template.JS
	File     string // the name under which the document is saved
	Title    string
	Verdict  verdict
	Runs     []*section
	Columns  []string // of the table of several runs: the names of their tiles
	Overlays []*plot
}

// section is one run on the page.
type section struct {
	ID       string
	Level    int // of its heading; 1: it is the page's only one
	Scenario string
	Name     string
	About    string
	Load     string
	Verdict  verdict
	Tiles    []tile
	Across   int      // tiles in a row on a wide page
	Half     int      // and on one not so wide
	Cells    []string // the tiles under their columns
	Notes    []string
	Plots    []*plot
	Shaded   bool
	Lines    []line
	Settings []Setting
	Machine  []Setting
	Flood    *section
}

// verdict says in a sentence whether a server did what it should.
type verdict struct {
	Said string
	Bad  bool
}

// tile is one headline figure.
type tile struct{ Name, Value, Unit, More string }

// WriteHTML writes one self-contained page about the results: it loads nothing from anywhere.
func WriteHTML(w io.Writer, r ...*Result) error {
	if len(r) == 0 {
		return errors.New("a report needs a result")
	}
	document, err := documents(r)
	if err != nil {
		return err
	}
	p := page{Style: template.CSS(pageStyle), Script: template.JS(pageScript), Document: template.JS(document)}
	names := runNames(r)
	for i, one := range r {
		s := one.section(2)
		s.ID = "run-" + strconv.Itoa(i+1)
		s.Name = names[i]
		p.Runs = append(p.Runs, s)
	}
	if p.Title = fmt.Sprintf("%d runs of the bench", len(r)); len(r) == 1 {
		p.Runs[0].Level = 1
		p.Title = p.Runs[0].Scenario + ": " + p.Runs[0].Name
	} else {
		p.Overlays = overlays(r, names)
		p.Verdict = verdictOf(p.Runs)
		p.tabulate()
	}
	p.File = "throng-bench-" + r[0].Began.UTC().Format("20060102-150405") + ".json"
	return pageTemplate.Execute(w, p)
}

// tabulate puts the tiles of all runs under columns.
func (p *page) tabulate() {
	for _, s := range p.Runs {
		for _, t := range s.Tiles {
			if !slices.Contains(p.Columns, t.Name) {
				p.Columns = append(p.Columns, t.Name)
			}
		}
	}
	for _, s := range p.Runs {
		s.Cells = make([]string, len(p.Columns))
		for _, t := range s.Tiles {
			s.Cells[slices.Index(p.Columns, t.Name)] = t.Value + " " + t.Unit
		}
	}
}

// documents is the JSON of one result, or of an array of several; encoding/json leaves nothing in it that could end a
// script element.
func documents(r []*Result) (string, error) {
	var value any = r
	if len(r) == 1 {
		value = r[0]
	}
	text, err := json.Marshal(value)
	if err != nil {
		return "", fmt.Errorf("the report's JSON: %w", err)
	}
	return string(text), nil
}

// runNames gives each run a name of its own: the server's, with the number of its round when it has several.
func runNames(r []*Result) []string {
	total, seen := map[string]int{}, map[string]int{}
	name := func(one *Result) string { return clean(cmp.Or(one.Name, one.addresses(), "a server")) }
	for _, one := range r {
		total[name(one)]++
	}
	var names []string
	for _, one := range r {
		n := name(one)
		if seen[n]++; total[n] > 1 {
			names = append(names, fmt.Sprintf("%s, round %d", n, seen[n]))
			continue
		}
		names = append(names, n)
	}
	return names
}

func (r *Result) section(level int) *section {
	s := &section{
		Level: level, Scenario: clean(r.Scenario), Load: r.load(), Verdict: r.verdict(), Tiles: r.tiles(), Notes: r.Notes,
		Plots: r.pictures(), Lines: r.lines(), Settings: r.Settings, Machine: r.Machine.list(),
	}
	s.Across, s.Half = len(s.Tiles), (len(s.Tiles)+1)/2
	if s.Across > 6 {
		s.Across = s.Half
	}
	s.Shaded = slices.ContainsFunc(s.Plots, func(p *plot) bool { return p.Warmup != "" })
	var about []string
	if r.Name != "" && len(r.URL) > 0 { // without a name they are the heading
		about = append(about, r.addresses())
	}
	if !r.Began.IsZero() {
		about = append(about, r.Began.UTC().Format("2 January 2006, 15:04 UTC"))
	}
	if r.Seconds > 0 {
		about = append(about, spanText(r.Seconds)+" measured")
	}
	s.About = strings.Join(about, " · ")
	if r.Flood != nil {
		s.Flood = r.Flood.section(level + 1)
		s.Flood.Name = "The flooded room beside them"
	}
	return s
}

func (r *Result) verdict() verdict {
	switch {
	case r.Faults.Any():
		return verdict{r.Faults.String(), true}
	case r.Flood != nil && r.Flood.Faults.Any():
		return verdict{"in the flooded room: " + r.Flood.Faults.String(), true}
	case r.Sent > 0 || r.Deliveries > 0:
		return verdict{Said: "Nothing lost, doubled, reordered or changed"}
	}
	return verdict{Said: "No connection was lost"}
}

// verdictOf is the verdict on several runs together.
func verdictOf(runs []*section) verdict {
	bad := 0
	for _, s := range runs {
		if s.Verdict.Bad {
			bad++
		}
	}
	if bad > 0 {
		return verdict{fmt.Sprintf("in %d of %d runs", bad, len(runs)), true}
	}
	return verdict{Said: runs[0].Verdict.Said + ", in all runs"}
}

// list is what is known of the machine.
func (m Machine) list() []Setting {
	var list []Setting
	add := func(known bool, name, value string) {
		if known {
			list = append(list, Setting{name, value})
		}
	}
	add(m.CPU != "", "processor", m.CPU)
	add(m.Cores > 0, "cores", strconv.Itoa(m.Cores))
	add(m.Memory > 0, "memory", bytesText(float64(m.Memory)))
	add(m.Kernel != "", "Linux", m.Kernel)
	add(m.TCP != "", "congestion control", m.TCP)
	add(m.Go != "", "Go", strings.TrimPrefix(m.Go, "go"))
	return list
}
