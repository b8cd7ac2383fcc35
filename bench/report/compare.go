package report

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/aclements/go-moremath/stats"
)

// Comparison is two sides held against each other, figure by figure.
type Comparison struct {
	A       Side         `json:"a"`
	B       Side         `json:"b"`
	Figures []Comparable `json:"figures"`
	// Method says what the p-values were taken over, and what they therefore can tell.
	Method string `json:"method"`
	// Warnings are the reasons why the two sides may not be comparable, or not to be trusted.
	Warnings []string `json:"warnings,omitempty"`
}

// Side is the runs of one side.
type Side struct {
	Name    string  `json:"name"` // server and scenario
	Runs    int     `json:"runs"`
	Seconds float64 `json:"seconds"` // measured, all runs together
	Faults  Faults  `json:"faults"`  // of all runs together
}

// Comparable is one figure on both sides.
type Comparable struct {
	Name   string  `json:"name"`
	Unit   string  `json:"unit,omitempty"`
	A      Middle  `json:"a"`
	B      Middle  `json:"b"`
	Change float64 `json:"change_percent"` // from A to B; 0 when A is 0
	// P is how often chance alone gives a difference like this; left out where there is too little to tell.
	P       *float64 `json:"p,omitempty"`
	Verdict Verdict  `json:"verdict"`
}

// Middle is the median over the runs of a side, with their range.
type Middle struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// Verdict puts the difference of a figure into words.
type Verdict string

// What a comparison can say of a figure.
const (
	Better    Verdict = "better"
	Worse     Verdict = "worse"
	More      Verdict = "more" // of what is neither good nor bad
	Less      Verdict = "less"
	Same      Verdict = "same within chance"
	Mixed     Verdict = "mixed" // the values tested differ the other way than the medians shown
	NotTested Verdict = "not tested"
)

const (
	runsWanted    = 4    // on each side, for a test over runs; the least with which p can be below significant
	secondsWanted = 4    // on each side, for a test over seconds
	significant   = 0.05 // p below it is no longer taken for chance
)

const (
	methodRuns = "p: Mann-Whitney U over the runs of each side. One figure in twenty shows p < 0.05 by chance alone."
	// Seconds of a run are alike for reasons that the next run does not share, so the test is too sure of itself.
	methodSeconds = "p: Mann-Whitney U over the seconds within the runs. Seconds of one run depend on each other, so this only tells whether " +
		"these very runs differ, not whether the next ones will: for that, give 4 runs or more on each side."
)

// Compare holds the runs of b against those of a.
func Compare(a, b []*Result) (*Comparison, error) {
	if len(a) == 0 || len(b) == 0 {
		return nil, errors.New("a comparison needs a run on each side")
	}
	c := &Comparison{A: sideOf(a), B: sideOf(b), Method: methodSeconds, Warnings: warnings(a, b)}
	overRuns := len(a) >= runsWanted && len(b) >= runsWanted
	if overRuns {
		c.Method = methodRuns
	}
	for _, f := range figures() {
		va, vb := f.values(a), f.values(b)
		if len(va) == 0 || len(vb) == 0 {
			continue
		}
		ta, tb, wanted := va, vb, runsWanted
		if !overRuns {
			ta, tb, wanted = f.seconds(a), f.seconds(b), secondsWanted
		}
		one := Comparable{Name: f.label(a[0]), Unit: f.unit, A: middleOf(va), B: middleOf(vb)}
		one.judge(f, ta, tb, wanted)
		c.Figures = append(c.Figures, one)
	}
	if len(c.Figures) == 0 {
		return nil, fmt.Errorf("nothing to compare: %s and %s have no figure in common", c.A.Name, c.B.Name)
	}
	return c, nil
}

// label is the figure's name for a scenario.
func (f figure) label(r *Result) string {
	noun := "deliveries"
	if r.each() == "handshake" {
		noun = "handshakes"
	}
	switch f.name {
	case "per second":
		return noun
	case "server CPU each":
		return "server CPU a " + r.each()
	}
	return f.name
}

// values are the figure in every run that has it.
func (f figure) values(runs []*Result) []float64 {
	var list []float64
	for _, r := range runs {
		if v := f.of(r); finite(v) && (v != 0 || f.always != nil && f.always(r)) {
			list = append(list, v)
		}
	}
	return list
}

// seconds are the figure in every measured sample of the runs that has it.
func (f figure) seconds(runs []*Result) []float64 {
	var list []float64
	if f.second == nil {
		return nil
	}
	for _, r := range runs {
		for _, s := range r.steady() {
			if v := f.second(s); s.Measured() && finite(v) && (v != 0 || f.stalls) {
				list = append(list, v)
			}
		}
	}
	if !slices.ContainsFunc(list, func(v float64) bool { return v != 0 }) {
		return nil
	}
	return list
}

func middleOf(values []float64) Middle {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return Middle{Median: sorted[(n-1)/2]/2 + sorted[n/2]/2, Min: sorted[0], Max: sorted[n-1]}
}

// judge fills in what a test over the two lists of values says of the figure.
func (c *Comparable) judge(f figure, a, b []float64, wanted int) {
	if c.A.Median != 0 {
		if change := (c.B.Median - c.A.Median) / math.Abs(c.A.Median) * 100; finite(change) {
			c.Change = change
		}
	}
	c.Verdict = NotTested
	if len(a) < wanted || len(b) < wanted {
		return
	}
	p, more := mannWhitney(a, b)
	c.P = &p
	shown := 0
	switch {
	case c.B.Median > c.A.Median:
		shown = 1
	case c.B.Median < c.A.Median:
		shown = -1
	}
	switch {
	case p >= significant:
		c.Verdict = Same
	case more != shown:
		c.Verdict = Mixed
	case f.better == 0 && more > 0:
		c.Verdict = More
	case f.better == 0:
		c.Verdict = Less
	case more == f.better:
		c.Verdict = Better
	default:
		c.Verdict = Worse
	}
}

// mannWhitney tests whether values of b tend to be more (1) or less (-1) than those of a.
func mannWhitney(a, b []float64) (p float64, more int) {
	test, err := stats.MannWhitneyUTest(a, b, stats.LocationDiffers)
	if err != nil { // all values are equal
		return 1, 0
	}
	half := float64(len(a)) * float64(len(b)) / 2
	switch {
	case test.U < half:
		more = 1
	case test.U > half:
		more = -1
		// With ties U is not spread evenly around its middle, and the package always takes the lower tail of its first
		// argument: the side with the lower U goes first, so that p is the same both ways round.
		if test, err = stats.MannWhitneyUTest(b, a, stats.LocationDiffers); err != nil {
			return 1, 0
		}
	}
	if p = min(test.P, 1); math.IsNaN(p) {
		p = 1
	}
	return p, more
}
