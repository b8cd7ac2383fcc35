package report

import (
	"fmt"
	"io"
	"math"
	"strings"
	"unicode/utf8"
)

// WriteText prints the comparison as a table.
func (c *Comparison) WriteText(w io.Writer) error {
	var b strings.Builder
	for _, side := range []struct {
		name string
		Side
	}{{"A", c.A}, {"B", c.B}} {
		fmt.Fprintf(&b, "%s  %s: %s, %s measured, faults: %s\n", side.name, side.Name, of(side.Runs, "run"), spanText(side.Seconds), side.Faults)
	}
	b.WriteByte('\n')
	rows := [][]string{{"", "A", "B", "change", "p", ""}}
	for _, f := range c.Figures {
		rows = append(rows, f.row())
	}
	writeColumns(&b, rows)
	fmt.Fprintf(&b, "\n%s\n", c.Method)
	for _, warning := range c.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", warning)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// row is the figure's line of the table.
func (c Comparable) row() []string {
	p := "-"
	if c.P != nil {
		if p = fmt.Sprintf("%.3f", *c.P); *c.P < 0.001 {
			p = "<0.001"
		}
	}
	change := "-"
	if c.A.Median != 0 {
		change = fmt.Sprintf("%+.1f %%", c.Change)
	}
	if c.A.Median == c.B.Median {
		change = "none"
	}
	return []string{c.Name, c.A.text(c.Unit), c.B.text(c.Unit), change, p, string(c.Verdict)}
}

// text writes the median, and how far the runs are from it at most.
func (m Middle) text(unit string) string {
	text := unitText(unit, m.Median)
	if m.Min == m.Max || m.Median == 0 {
		return text
	}
	if far := max(m.Max-m.Median, m.Median-m.Min) / math.Abs(m.Median) * 100; finite(far) {
		text += fmt.Sprintf(" ±%.0f %%", far)
	}
	return text
}

// writeColumns sets the first and the last column to the left and numbers to the right.
func writeColumns(b *strings.Builder, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			room := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 || i == len(row)-1 {
				line.WriteString(cell + room + "  ")
				continue
			}
			line.WriteString(room + cell + "  ")
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}
