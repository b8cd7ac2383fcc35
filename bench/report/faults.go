package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Any tells whether there was a fault.
func (f Faults) Any() bool { return len(f.parts()) > 0 }

// String lists the faults there were, with their number.
func (f Faults) String() string {
	if parts := f.parts(); len(parts) > 0 {
		return strings.Join(parts, ", ")
	}
	return "none"
}

func (f Faults) parts() []string {
	var parts []string
	add := func(n uint64, what string) {
		if n > 0 {
			parts = append(parts, grouped(n)+" "+what)
		}
	}
	add(f.Lost, "lost")
	add(f.Duplicated, "duplicated")
	add(f.Reordered, "reordered")
	add(f.Corrupt, "corrupt")
	add(f.Stray, "in the wrong room")
	for _, why := range slices.Sorted(maps.Keys(f.Disconnected)) {
		add(whole(f.Disconnected[why]), "disconnected ("+clean(why)+")")
	}
	add(whole(f.Stalled), "stalled")
	return parts
}

// String writes the machine in a line, without what is not known.
func (m Machine) String() string {
	var parts []string
	add := func(known bool, format string, a ...any) {
		if known {
			parts = append(parts, clean(fmt.Sprintf(format, a...)))
		}
	}
	add(m.CPU != "", "%s", m.CPU)
	add(m.Cores > 0, "%d cores", m.Cores)
	add(m.Memory > 0, "%s", bytesText(float64(m.Memory)))
	add(m.Kernel != "", "Linux %s", m.Kernel)
	add(m.TCP != "", "TCP %s", m.TCP)
	add(m.Go != "", "%s", m.Go)
	return strings.Join(parts, ", ")
}
