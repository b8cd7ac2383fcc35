package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

func sideOf(runs []*Result) Side {
	s := Side{Runs: len(runs)}
	var names []string
	for _, r := range runs {
		name := clean(cmp.Or(r.Name, strings.Join(r.URL, " "), "a server") + ", " + r.Scenario)
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
		s.Seconds += r.Seconds
		s.Faults.add(r.Faults)
		if r.Flood != nil {
			s.Faults.add(r.Flood.Faults)
		}
	}
	s.Name = strings.Join(names, "; ")
	return s
}

// add counts the faults of another run to these.
func (f *Faults) add(g Faults) {
	f.Lost += g.Lost
	f.Duplicated += g.Duplicated
	f.Reordered += g.Reordered
	f.Corrupt += g.Corrupt
	f.Stray += g.Stray
	f.Stalled += g.Stalled
	for why, n := range g.Disconnected {
		if f.Disconnected == nil {
			f.Disconnected = map[string]int{}
		}
		f.Disconnected[why] += n
	}
}

// warnings are the reasons why two sides may not be comparable, or not to be trusted.
func warnings(a, b []*Result) []string {
	list := append(unlike("A", a), unlike("B", b)...)
	if a[0].Scenario != b[0].Scenario {
		list = append(list, fmt.Sprintf("different scenarios: %s and %s", clean(a[0].Scenario), clean(b[0].Scenario)))
	}
	if d := differences(settingsOf(a[0], b[0]), settingsOf(b[0], a[0])); len(d) > 0 {
		list = append(list, "different settings: "+strings.Join(d, ", "))
	}
	if d := differences(machineOf(a[0]), machineOf(b[0])); len(d) > 0 {
		list = append(list, "different machines: "+strings.Join(d, ", "))
	}
	for _, side := range []struct {
		name        string
		this, other Faults
	}{{"A", sideOf(a).Faults, sideOf(b).Faults}, {"B", sideOf(b).Faults, sideOf(a).Faults}} {
		if side.this.Any() && !side.other.Any() {
			list = append(list, side.name+" alone has faults: it did not do the same work")
		}
	}
	return append(list, append(doubts("A", a), doubts("B", b)...)...)
}

// unlike tells of runs of one side that were not made in the same way.
func unlike(side string, runs []*Result) []string {
	var list []string
	first := runs[0]
	for i, r := range runs[1:] {
		d := differences(settingsOf(first, r), settingsOf(r, first))
		d = append(d, differences(machineOf(first), machineOf(r))...)
		if r.Scenario != first.Scenario {
			d = append(d, fmt.Sprintf("scenario (%s, %s)", clean(first.Scenario), clean(r.Scenario)))
		}
		if r.Name != first.Name {
			d = append(d, fmt.Sprintf("server (%s, %s)", clean(first.Name), clean(r.Name)))
		}
		if len(d) > 0 {
			const text = "the runs of %s are not alike, so its medians mix: run %d differs from run 1 in %s"
			list = append(list, fmt.Sprintf(text, side, i+2, strings.Join(d, ", ")))
			break
		}
	}
	return list
}

// doubts are the notes of a side's runs, each once.
func doubts(side string, runs []*Result) []string {
	var list []string
	for i, r := range runs {
		for _, n := range r.Notes {
			list = append(list, fmt.Sprintf("%s, run %d: %s", side, i+1, clean(strings.ReplaceAll(n, "\n", " "))))
		}
	}
	return list
}

// ownSettings are settings that differ between two runs of the same kind.
var ownSettings = []string{"url", "name", "pid", "metrics", "json", "report"}

// settingsOf are what decides about a run's load: its flags, or what is known without them if either run has none.
func settingsOf(r, other *Result) map[string]string {
	all := map[string]string{}
	if len(r.Settings) > 0 && len(other.Settings) > 0 {
		for _, s := range r.Settings {
			if name := strings.TrimLeft(s.Name, "-"); !slices.Contains(ownSettings, name) {
				all[name] = s.Value
			}
		}
		return all
	}
	load := map[string]int{"conns": r.Conns, "rooms": r.Rooms, "senders": r.Senders, "in-flight": r.InFlight, "payload": r.Payload}
	for name, n := range load {
		all[name] = strconv.Itoa(n)
	}
	all["rate"] = strconv.FormatFloat(r.Rate, 'g', -1, 64)
	return all
}

func machineOf(r *Result) map[string]string {
	m := r.Machine
	return map[string]string{
		"processor": m.CPU, "cores": strconv.Itoa(m.Cores), "memory": bytesText(float64(m.Memory)),
		"Linux": m.Kernel, "TCP": m.TCP, "Go": m.Go,
	}
}

// differences lists where two sets of named values differ.
func differences(a, b map[string]string) []string {
	names := map[string]bool{}
	for name := range a {
		names[name] = true
	}
	for name := range b {
		names[name] = true
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if a[name] != b[name] {
			list = append(list, clean(fmt.Sprintf("%s (%s, %s)", name, cmp.Or(a[name], "none"), cmp.Or(b[name], "none"))))
		}
	}
	return list
}
