package console

import (
	"strings"
	"unicode"
)

// table is rows under headings. On a terminal it is no wider than that: first what clients chose is cut, then columns are left out.
type table struct {
	columns []column
	rows    [][]string
}

type column struct {
	name  string
	right bool // numbers stand right
	flex  bool // may be cut
	extra int  // 0: never left out; the greatest is left out first
}

// flexLeast is what is left of a column that is cut.
const flexLeast = 8

// gap stands between columns.
const gap = "  "

func (t *table) add(cells ...string) {
	for i := range cells {
		cells[i] = escaped(cells[i])
	}
	t.rows = append(t.rows, cells)
}

// write prints the table within a width, 0 for any.
func (t *table) write(s *Screen) {
	widths := make([]int, len(t.columns))
	for i, c := range t.columns {
		widths[i] = displayWidth(c.name)
		for _, row := range t.rows {
			widths[i] = max(widths[i], displayWidth(row[i]))
		}
	}
	if s.Width > 0 {
		t.narrow(widths, s.Width)
	}
	heading := make([]string, len(t.columns))
	for i, c := range t.columns {
		heading[i] = c.name
	}
	for _, row := range append([][]string{heading}, t.rows...) {
		s.print("%s", strings.TrimRight(t.line(row, widths), " "))
	}
}

// narrow makes widths fit; 0 leaves a column out.
func (t *table) narrow(widths []int, most int) {
	for {
		over := -len(gap) - most
		for _, w := range widths {
			if w > 0 {
				over += w + len(gap)
			}
		}
		if over <= 0 {
			return
		}
		widest, last := -1, -1
		for i, c := range t.columns {
			if c.flex && widths[i] > flexLeast && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
			if c.extra > 0 && widths[i] > 0 && (last < 0 || c.extra > t.columns[last].extra) {
				last = i
			}
		}
		switch {
		case widest >= 0:
			widths[widest]--
		case last >= 0:
			widths[last] = 0
		default:
			return
		}
	}
}

func (t *table) line(cells []string, widths []int) string {
	var b strings.Builder
	for i, cell := range cells {
		if widths[i] == 0 {
			continue
		}
		cell = fit(cell, widths[i])
		pad := strings.Repeat(" ", widths[i]-displayWidth(cell))
		if b.Len() > 0 {
			b.WriteString(gap)
		}
		if t.columns[i].right {
			b.WriteString(pad + cell)
		} else {
			b.WriteString(cell + pad)
		}
	}
	return b.String()
}

// fit cuts text to a width, 0 for any.
func fit(text string, width int) string {
	if width <= 0 || displayWidth(text) <= width {
		return text
	}
	used := 0
	for i, r := range text {
		if used += runeWidth(r); used > width-1 {
			return text[:i] + "…"
		}
	}
	return text
}

func displayWidth(text string) (n int) {
	for _, r := range text {
		n += runeWidth(r)
	}
	return n
}

// runeWidth is how many places a letter takes on a terminal: two for those of East Asia, none for marks.
func runeWidth(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case unicode.In(r, unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana), 0xff01 <= r && r <= 0xff60, 0x1f300 <= r && r <= 0x1faff:
		return 2
	}
	return 1
}
