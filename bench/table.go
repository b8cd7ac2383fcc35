package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// Line is one line of the table of numbers.
type Line struct {
	Figure string  `json:"figure"`
	Title  string  `json:"title"`
	Unit   string  `json:"unit"`
	Bare   *Median `json:"bare,omitempty"`
	Throng *Median `json:"throng,omitempty"`
	Ratio  float64 `json:"ratio,omitempty"`
	Target string  `json:"target,omitempty"`
	OK     bool    `json:"ok"`
	// Verdict is "ok", "missed", or why there is none.
	Verdict string `json:"verdict"`
}

// Median is the middle of a figure's rounds, with their range. ClientCPU is the busiest client process's share of its
// core in the middle round.
type Median struct {
	Value     float64 `json:"value"`
	Min       float64 `json:"min"`
	Max       float64 `json:"max"`
	ClientCPU float64 `json:"client_cpu"`
}

// Table is all that the numbers command prints.
type Table struct {
	Machine Machine  `json:"machine"`
	Cores   string   `json:"cores"` // "own" or "shared"
	Rounds  int      `json:"rounds"`
	Columns []string `json:"columns,omitempty"` // what the two servers of a line are called; none: bare and throng
	Lines   []Line   `json:"lines"`
	Notes   []string `json:"notes,omitempty"`
	Runs    []Result `json:"runs,omitempty"`
}

func (n *numbers) table(figures []figure) *Table {
	t := &Table{Machine: machine(), Cores: string(n.where), Rounds: n.rounds, Columns: n.columns}
	for _, r := range n.lines {
		if slices.ContainsFunc(figures, func(f figure) bool { return f.name == r.figure }) {
			t.Lines = append(t.Lines, n.line(r))
		}
	}
	t.Notes, t.Runs = n.judge(figures)
	return t
}

// line makes one line of the table.
func (n *numbers) line(r row) Line {
	l := Line{Figure: r.figure, Title: r.title, Unit: r.unit}
	if r.bare != "" {
		l.Bare = median(n.runs[runKey{r.figure, r.bare}], r.value)
	}
	if r.goal.bound == 0 && r.bare != "" {
		l.OK, l.Verdict = true, "the yardstick"
		return l
	}
	l.Throng = median(n.runs[runKey{r.figure, r.subject()}], r.value)
	if l.Bare != nil && l.Throng != nil && l.Bare.Value > 0 {
		l.Ratio = l.Throng.Value / l.Bare.Value
	}
	l.Target = r.goal.String()
	l.OK, l.Verdict = n.verdict(r, l)
	return l
}

func (g goal) String() string {
	if g.bound == 0 {
		return ""
	}
	word := "at least"
	if g.atMost {
		word = "at most"
	}
	return fmt.Sprintf("%s %g", word, g.bound)
}

func (n *numbers) verdict(r row, l Line) (ok bool, why string) {
	if l.Throng == nil {
		for _, one := range n.runs[runKey{r.figure, r.subject()}] {
			if one.err != nil {
				return false, "not measured"
			}
		}
		return false, "not run"
	}
	for _, one := range n.runs[runKey{r.figure, r.subject()}] {
		if one.result != nil && one.result.Faults.Any() {
			return false, "missed: faults"
		}
	}
	value := l.Throng.Value
	if r.goal.ratio {
		if value = l.Ratio; l.Bare == nil {
			return false, "nothing to compare with"
		}
	}
	switch {
	case r.goal.bound == 0, r.goal.atMost && value <= r.goal.bound, !r.goal.atMost && value >= r.goal.bound:
		return true, "ok"
	}
	return false, "missed"
}

// judge gives the reasons to distrust a table, and all results behind it.
func (n *numbers) judge(figures []figure) (notes []string, runs []Result) {
	seen := make(map[string]bool)
	note := func(format string, a ...any) {
		text := fmt.Sprintf(format, a...)
		// What differs in its figures alone is said once.
		head, tail, _ := strings.Cut(text, ": ")
		if kind := head + strings.Map(dropDigits, tail); !seen[kind] {
			seen[kind] = true
			notes = append(notes, text)
		}
	}
	for _, text := range n.notes {
		note("%s", text)
	}
	n.judgeYardstick(note)
	var steal, others float64
	for _, f := range figures {
		for _, c := range n.field {
			for _, one := range n.runs[runKey{f.name, c.name}] {
				steal, others = max(steal, one.steal), max(others, one.others)
				if one.err != nil {
					note("%s, %s: %v", f.name, c.name, one.err)
					continue
				}
				one.result.Name = f.name + ", " + c.name
				runs = append(runs, *one.result)
				n.judgeRun(note, one.result, c)
			}
		}
	}
	const disturbing = 0.05
	if steal > disturbing || others > disturbing {
		note("the machine was not ours alone: up to %.0f %% of it went to other processes, up to %.0f %% to the hypervisor", others*100, steal*100)
	}
	if n.where == coresOwn && n.launcher != nil && len(n.launcher.cpus) < 2 {
		note("one CPU only: server and client shared it")
	}
	return notes, runs
}

func dropDigits(r rune) rune {
	if r >= '0' && r <= '9' {
		return -1
	}
	return r
}

// judgeYardstick holds the bare server against its own floors, which are those of one core.
func (n *numbers) judgeYardstick(note func(string, ...any)) {
	for _, r := range n.lines {
		if r.floor == 0 || r.bare == "" {
			continue
		}
		if m := median(n.runs[runKey{r.figure, r.bare}], r.value); m != nil && m.Value < r.floor {
			note("the bare server (%s) reached %.2f %s in %s, below its own floor of %g: the ratios say nothing", r.bare, m.Value, r.unit, r.figure, r.floor)
		}
	}
}

// judgeRun tells of faults. What else a run says of itself is told of throng alone: of all peers it would be too much.
func (n *numbers) judgeRun(note func(string, ...any), r *Result, c *contender) {
	if r.Faults.Any() {
		note("%s: %s", r.Name, r.Faults)
	}
	if r.Flood != nil && r.Flood.Faults.Any() {
		note("%s, the flood: %s", r.Name, r.Flood.Faults)
	}
	if c.ours {
		for _, text := range r.Notes {
			note("%s: %s", r.Name, text)
		}
	}
}

// median takes the middle of the rounds that gave a result.
func median(runs []run, value func(*Result) float64) *Median {
	var have []*Result
	for _, r := range runs {
		if r.err == nil {
			have = append(have, r.result)
		}
	}
	if len(have) == 0 {
		return nil
	}
	slices.SortFunc(have, func(a, b *Result) int {
		switch va, vb := value(a), value(b); {
		case va < vb:
			return -1
		case va > vb:
			return 1
		}
		return 0
	})
	middle := have[len(have)/2]
	return &Median{Value: value(middle), Min: value(have[0]), Max: value(have[len(have)-1]), ClientCPU: busiest(middle)}
}

func (t *Table) write(w io.Writer, asJSON bool) error {
	if asJSON {
		return writeJSON(w, t)
	}
	columns := t.Columns
	if len(columns) == 0 {
		columns = []string{"bare", throng}
	}
	fmt.Fprintf(w, "%s\n%s; %s; client CPU %s, * is bound by the client\n\n", t.Machine, ofRounds(t.Rounds), placement(t.Cores), strings.Join(columns, " / "))
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "figure\tunit\t%s\tratio\ttarget\tclient CPU\t\n", strings.Join(columns, "\t"))
	for _, l := range t.Lines {
		ratio := "-"
		if l.Ratio > 0 {
			ratio = fmt.Sprintf("%.2f", l.Ratio)
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s / %s\t%s\n",
			l.Title, l.Unit, l.Bare.value(), l.Throng.value(), ratio, orDash(l.Target), l.Bare.cpu(), l.Throng.cpu(), l.Verdict)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	return writeNotes(w, t.Notes)
}

func ofRounds(n int) string {
	if n == 1 {
		return "one round"
	}
	return fmt.Sprintf("medians of %d rounds", n)
}

func writeNotes(w io.Writer, notes []string) error {
	for _, n := range notes {
		fmt.Fprintf(w, "\nnote: %s", strings.ReplaceAll(n, "\n", "\n      "))
	}
	_, err := fmt.Fprintln(w)
	return err
}

func (m *Median) value() string {
	switch {
	case m == nil:
		return "-"
	case m.Value >= 100:
		return fmt.Sprintf("%.0f", m.Value)
	}
	return fmt.Sprintf("%.2f", m.Value)
}

func (m *Median) cpu() string {
	switch {
	case m == nil:
		return "-"
	case m.ClientCPU > boundByClient:
		return fmt.Sprintf("%.0f%%*", m.ClientCPU*100)
	}
	return fmt.Sprintf("%.0f%%", m.ClientCPU*100)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// busiest is the share of a core that the busiest process of the client had; a flood shares the core with what is
// measured beside it.
func busiest(r *Result) float64 {
	share := r.ClientBusy
	if share == 0 {
		share = r.ClientCPU
	}
	if r.Flood != nil {
		share += busiest(r.Flood)
	}
	return share
}
