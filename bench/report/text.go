package report

import (
	"fmt"
	"io"
	"strings"
)

// WriteText prints the result for a reader.
func (r *Result) WriteText(w io.Writer) error {
	var b strings.Builder
	r.text(&b, "")
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Result) text(b *strings.Builder, indent string) {
	for _, l := range r.lines() {
		l.text(b, indent)
	}
	for _, n := range r.Notes {
		line{"note", n}.text(b, indent)
	}
	if r.Flood != nil {
		fmt.Fprintf(b, "%sthe flooded room\n", indent)
		r.Flood.text(b, indent+"  ")
	}
}

// text prints the line; what follows a line's end in it stays in its column.
func (l line) text(b *strings.Builder, indent string) {
	name := l.Name
	for part := range strings.SplitSeq(strings.TrimRight(l.Said, "\n"), "\n") {
		fmt.Fprintf(b, "%s%-14s %s\n", indent, name, clean(part))
		name = ""
	}
}
