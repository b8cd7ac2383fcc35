package bench

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// PeersTable is all that the peers command prints.
type PeersTable struct {
	Machine  Machine       `json:"machine"`
	Cores    string        `json:"cores"` // "own" or "shared"
	Rounds   int           `json:"rounds"`
	Sections []PeerSection `json:"sections"`
	Peers    []*Peer       `json:"peers"`
	Notes    []string      `json:"notes,omitempty"`
	Runs     []Result      `json:"runs,omitempty"`
}

// PeerSection is one thing measured, on everybody.
type PeerSection struct {
	Figure string `json:"figure"`
	Title  string `json:"title"`
	Unit   string `json:"unit"`
	// Less: the least value is the best.
	Less bool `json:"less"`
	// Cells are in the order of what they reached.
	Cells []PeerCell `json:"cells"`
	// Best is the best peer that did not fail, and ToBest throng's value as a multiple of it.
	Best   string  `json:"best,omitempty"`
	ToBest float64 `json:"to_best,omitempty"`
	bare   string  // the yardstick
}

// PeerCell is one server in a section.
type PeerCell struct {
	Server string  `json:"server"`
	Median *Median `json:"median"`
	// ToIdeal is its value as a multiple of the yardstick's.
	ToIdeal float64 `json:"to_ideal,omitempty"`
	Faults  string  `json:"faults,omitempty"`
	// Failed: it lost, spoilt or disconnected something. One that only let connections wait did all that was asked.
	Failed bool `json:"failed,omitempty"`
	peer   bool
}

// compared are the rows that hold for everybody: those with a yardstick and a direction.
func compared(r row) bool { return r.bare != "" && r.goal.bound != 0 }

func (n *numbers) peersTable(figures []figure, peers []*Peer) *PeersTable {
	t := &PeersTable{Machine: machine(), Cores: string(n.where), Rounds: n.rounds, Peers: peers}
	for _, r := range rows {
		if compared(r) && slices.ContainsFunc(figures, func(f figure) bool { return f.name == r.figure }) {
			t.Sections = append(t.Sections, n.section(r))
		}
	}
	for _, p := range peers {
		if p.Missing != "" {
			t.Notes = append(t.Notes, p.Name+" is left out: "+p.Missing)
		}
	}
	var notes []string
	notes, t.Runs = n.judge(figures)
	t.Notes = append(t.Notes, notes...)
	return t
}

// section holds everybody against everybody in one row.
func (n *numbers) section(r row) PeerSection {
	s := PeerSection{Figure: r.figure, Title: r.title, Unit: r.unit, Less: r.goal.atMost, bare: r.bare}
	for _, c := range n.field {
		runs := n.runs[runKey{r.figure, c.name}]
		m := median(runs, r.value)
		if m == nil {
			continue
		}
		cell := PeerCell{Server: c.name, Median: m, peer: c.peer}
		cell.Faults, cell.Failed = faultsOf(runs)
		s.Cells = append(s.Cells, cell)
	}
	slices.SortStableFunc(s.Cells, s.order)
	ideal, own := s.cell(r.bare), s.cell(throng)
	for i := range s.Cells {
		if c := &s.Cells[i]; ideal != nil && ideal.Median.Value > 0 {
			c.ToIdeal = c.Median.Value / ideal.Median.Value
		}
	}
	best := slices.IndexFunc(s.Cells, func(c PeerCell) bool { return c.peer && !c.Failed && c.Median.Value > 0 })
	if best >= 0 {
		s.Best = s.Cells[best].Server
		if own != nil {
			s.ToBest = own.Median.Value / s.Cells[best].Median.Value
		}
	}
	return s
}

// order puts the best first, and those that failed behind all others.
func (s *PeerSection) order(a, b PeerCell) int {
	switch va, vb := a.Median.Value, b.Median.Value; {
	case a.Failed && !b.Failed:
		return 1
	case b.Failed && !a.Failed:
		return -1
	case s.Less:
		return cmp.Compare(va, vb)
	default:
		return cmp.Compare(vb, va)
	}
}

func (s *PeerSection) cell(server string) *PeerCell {
	for i := range s.Cells {
		if s.Cells[i].Server == server {
			return &s.Cells[i]
		}
	}
	return nil
}

// faultsOf are those of the first round that failed, or else of the first that had any.
func faultsOf(runs []run) (faults string, failed bool) {
	for _, one := range runs {
		if one.result == nil || !one.result.Faults.Any() {
			continue
		}
		beside := one.result.Faults
		if beside.Stalled = 0; beside.Any() {
			return one.result.Faults.String(), true
		}
		if faults == "" {
			faults = one.result.Faults.String()
		}
	}
	return faults, false
}

// The heads of the tables.
var (
	summaryHead = []string{"figure", "unit", "ideal", "throng", "best peer", "", "throng to ideal", "to best peer"}
	sectionHead = []string{"server", "median", "range", "to ideal", "client CPU", "faults"}
	serversHead = []string{"server", "version", "who reads too slowly"}
)

func (t *PeersTable) summary() (lines [][]string) {
	for i := range t.Sections {
		s := &t.Sections[i]
		line := []string{s.Title, s.Unit, s.cell(s.bare).value(), s.cell(throng).value(), s.cell(s.Best).value(), orDash(s.Best), "-", multiple(s.ToBest)}
		if own := s.cell(throng); own != nil {
			line[6] = multiple(own.ToIdeal)
		}
		lines = append(lines, line)
	}
	return lines
}

func (s *PeerSection) lines() (lines [][]string) {
	for _, c := range s.Cells {
		m := c.Median
		span := (&Median{Value: m.Min}).value() + " - " + (&Median{Value: m.Max}).value()
		lines = append(lines, []string{showName(c.Server), m.value(), span, multiple(c.ToIdeal), m.cpu(), orDash(c.Faults)})
	}
	return lines
}

func (c *PeerCell) value() string {
	if c == nil {
		return "-"
	}
	return c.Median.value()
}

func multiple(ratio float64) string {
	if ratio == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", ratio)
}

// showName is what the tables call a contender.
func showName(server string) string {
	if server == barePlain || server == bareBatch {
		return "ideal, " + server
	}
	return server
}

// head is the section's title.
func (s *PeerSection) head() string {
	direction := "more is better"
	if s.Less {
		direction = "less is better"
	}
	return fmt.Sprintf("%s, %s (%s)", s.Title, s.Unit, direction)
}

func (t *PeersTable) intro() string {
	return fmt.Sprintf("%s; %s; *: bound by the client", ofRounds(t.Rounds), placement(t.Cores))
}

func (t *PeersTable) write(w io.Writer, asJSON, markdown bool) error {
	switch {
	case asJSON:
		return writeJSON(w, t)
	case markdown:
		return t.writeMarkdown(w)
	}
	fmt.Fprintf(w, "%s\n%s\n\n", t.Machine, t.intro())
	if err := writeColumns(w, summaryHead, t.summary()); err != nil {
		return err
	}
	for i := range t.Sections {
		fmt.Fprintf(w, "\n%s\n", t.Sections[i].head())
		if err := writeColumns(w, sectionHead, t.Sections[i].lines()); err != nil {
			return err
		}
	}
	fmt.Fprintln(w)
	if err := writeColumns(w, serversHead, t.servers()); err != nil {
		return err
	}
	return writeNotes(w, t.Notes)
}

func writeColumns(w io.Writer, head []string, lines [][]string) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, line := range append([][]string{head}, lines...) {
		fmt.Fprintln(tw, strings.Join(line, "\t"))
	}
	return tw.Flush()
}

func (t *PeersTable) servers() (lines [][]string) {
	for _, p := range t.Peers {
		if p.Missing == "" {
			lines = append(lines, []string{p.Name, orDash(p.Version), orDash(p.Note)})
		}
	}
	return lines
}

func (t *PeersTable) writeMarkdown(w io.Writer) error {
	fmt.Fprintf(w, "%s; %s\n\n", t.Machine, t.intro())
	writePipes(w, summaryHead, t.summary())
	for i := range t.Sections {
		fmt.Fprintf(w, "\n**%s**\n\n", t.Sections[i].head())
		writePipes(w, sectionHead, t.Sections[i].lines())
	}
	fmt.Fprintln(w)
	writePipes(w, serversHead, t.servers())
	fmt.Fprintln(w)
	for _, note := range t.Notes {
		fmt.Fprintf(w, "- %s\n", strings.ReplaceAll(note, "\n", " "))
	}
	_, err := fmt.Fprintln(w)
	return err
}

func writePipes(w io.Writer, head []string, lines [][]string) {
	rule := slices.Repeat([]string{"---"}, len(head))
	for _, line := range append([][]string{head, rule}, lines...) {
		for i, cell := range line {
			line[i] = strings.ReplaceAll(strings.ReplaceAll(cell, "\n", " "), "|", "\\|")
		}
		fmt.Fprintf(w, "| %s |\n", strings.Join(line, " | "))
	}
}
