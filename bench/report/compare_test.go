package report

import (
	"encoding/json"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// runsOf makes a run of each rate.
func runsOf(rates ...float64) []*Result {
	var list []*Result
	for _, rate := range rates {
		list = append(list, &Result{Format: Format, Scenario: "broadcast", Name: "s", Seconds: 1, PerSecond: rate})
	}
	return list
}

// secondsOf makes one run with a sample of each p99, after one of the warm-up that must not count.
func secondsOf(p99 ...float64) []*Result {
	r := &Result{Format: Format, Scenario: "broadcast", Name: "s", Seconds: float64(len(p99)), Latency: &Spread{P50: 1, P99: p99[len(p99)/2], Max: 9}}
	r.Samples = []Sample{{At: -1, P99: 1e9}}
	for i, v := range p99 {
		r.Samples = append(r.Samples, Sample{At: float64(i + 1), P99: v})
	}
	return []*Result{r}
}

func figureOf(t *testing.T, c *Comparison, name string) Comparable {
	t.Helper()
	for _, f := range c.Figures {
		if f.Name == name {
			return f
		}
	}
	t.Fatalf("no figure is called %s", name)
	return Comparable{}
}

func compared(t *testing.T, a, b []*Result) *Comparison {
	t.Helper()
	c, err := Compare(a, b)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestCompareOverRuns: p-values that follow from counting the orders of so many values.
func TestCompareOverRuns(t *testing.T) {
	for _, c := range []struct {
		a, b   []float64
		p      float64 // below 0: none
		change float64
		want   Verdict
	}{
		{[]float64{1, 2, 3, 4}, []float64{5, 6, 7, 8}, 2.0 / 70, 160, Better},
		{[]float64{5, 6, 7, 8}, []float64{1, 2, 3, 4}, 2.0 / 70, -61.538, Worse},
		{[]float64{1, 2, 3, 4, 5}, []float64{6, 7, 8, 9, 10}, 2.0 / 252, 166.667, Better},
		{[]float64{1, 3, 5, 7}, []float64{2, 4, 6, 8}, 48.0 / 70, 25, Same},
		{[]float64{1, 2, 3, 5}, []float64{4, 6, 7, 8}, 4.0 / 70, 160, Same},
		{[]float64{2, 2, 2, 2}, []float64{2, 2, 2, 2}, 1, 0, Same},
		{[]float64{1, 2, 3}, []float64{5, 6, 7, 8}, -1, 225, NotTested},
	} {
		got := figureOf(t, compared(t, runsOf(c.a...), runsOf(c.b...)), "deliveries")
		p := -1.0
		if got.P != nil {
			p = *got.P
		}
		if math.Abs(p-c.p) > 1e-9 || math.Abs(got.Change-c.change) > 1e-3 || got.Verdict != c.want {
			t.Errorf("%v and %v: p %g, %+g %%, %s; want p %g, %+g %%, %s", c.a, c.b, p, got.Change, got.Verdict, c.p, c.change, c.want)
		}
	}
}

// TestCompareOverSeconds: with few runs the seconds are tested, and it says what that is worth.
func TestCompareOverSeconds(t *testing.T) {
	a, b := secondsOf(10, 11, 12, 13, 14), secondsOf(20, 21, 22, 23, 24)
	c := compared(t, a, b)
	got := figureOf(t, c, "latency, p99")
	if got.P == nil || math.Abs(*got.P-2.0/252) > 1e-9 || got.Verdict != Worse {
		t.Errorf("%+v", got)
	}
	if !strings.Contains(c.Method, "very runs differ") {
		t.Errorf("it does not say what the seconds are worth: %s", c.Method)
	}
	if got := figureOf(t, c, "latency, max"); got.P != nil || got.Verdict != NotTested {
		t.Errorf("no second has it, and it was tested: %+v", got)
	}
	if got := figureOf(t, compared(t, b, a), "latency, p99"); got.Verdict != Better {
		t.Errorf("the other way round: %+v", got)
	}
	a[0].Latency.P99 = 99
	if got := figureOf(t, compared(t, a, b), "latency, p99"); got.Verdict != Mixed {
		t.Errorf("the seconds say more, the runs say less: %+v", got)
	}
}

// TestCompareCountsStalls: a second without deliveries counts, one without a known latency does not.
func TestCompareCountsStalls(t *testing.T) {
	a, b := runsOf(10), runsOf(8)
	for i := range 10 {
		s := Sample{At: float64(i + 1), Deliveries: 10 + float64(i)/10}
		a[0].Samples = append(a[0].Samples, s)
		if i%4 != 0 {
			s.Deliveries = 0
		}
		b[0].Samples = append(b[0].Samples, s)
	}
	f := figures()[0]
	if got := f.seconds(b); len(got) != 10 {
		t.Errorf("%d of 10 seconds count", len(got))
	}
	if got := figureOf(t, compared(t, a, b), "deliveries"); got.Verdict != Worse {
		t.Errorf("most seconds without a delivery: %+v", got)
	}
	b[0].Samples = nil
	if got := figureOf(t, compared(t, a, b), "deliveries"); got.Verdict != NotTested {
		t.Errorf("no samples on one side: %+v", got)
	}
}

func expectNoDifference(t *testing.T, c *Comparison) {
	t.Helper()
	for _, f := range c.Figures {
		if f.A != f.B || f.Change != 0 || f.Verdict != Same && f.Verdict != NotTested || f.P != nil && *f.P < 0.99 {
			t.Errorf("a side differs from itself: %+v", f)
		}
	}
}

// TestCompareWithItself: no difference, whatever the runs are.
func TestCompareWithItself(t *testing.T) {
	source := rand.New(rand.NewPCG(5, 6))
	storm := sampleStorm()
	for n := 1; n <= 8; n++ {
		var side []*Result
		for range n {
			r, latency := *storm, *storm.Latency
			r.PerSecond = 1e6 * (1 + source.Float64())
			latency.P99 *= 1 + source.Float64()
			r.Latency = &latency
			side = append(side, &r)
		}
		expectNoDifference(t, compared(t, side, side))
	}
}

// TestCompareMirrored: with the sides exchanged, what was better is worse, with the same p.
func TestCompareMirrored(t *testing.T) {
	other := map[Verdict]Verdict{Better: Worse, Worse: Better, More: Less, Less: More, Same: Same, Mixed: Mixed, NotTested: NotTested}
	source := rand.New(rand.NewPCG(7, 8))
	for round := range 300 {
		var a, b []float64
		for range 1 + source.IntN(12) {
			a = append(a, 100+float64(source.IntN(20)))
		}
		for range 1 + source.IntN(12) {
			b = append(b, 105+float64(source.IntN(20)))
		}
		there, back := compared(t, runsOf(a...), runsOf(b...)).Figures[0], compared(t, runsOf(b...), runsOf(a...)).Figures[0]
		if back.Verdict != other[there.Verdict] || (there.P == nil) != (back.P == nil) || there.P != nil && math.Abs(*there.P-*back.P) > 1e-9 {
			t.Fatalf("round %d, %v and %v: %+v, mirrored %+v", round, a, b, there, back)
		}
	}
}

// TestMannWhitney holds p against all ways to deal the values to the two sides.
func TestMannWhitney(t *testing.T) {
	source := rand.New(rand.NewPCG(9, 10))
	for range 200 {
		a, b := make([]float64, 4+source.IntN(3)), make([]float64, 4+source.IntN(3))
		for i := range a {
			a[i] = float64(source.IntN(6))
		}
		for i := range b {
			b[i] = float64(source.IntN(8))
		}
		got, _ := mannWhitney(a, b)
		if want := dealt(a, b); math.Abs(got-want) > 1e-9 {
			t.Fatalf("%v and %v: p %g, by counting %g", a, b, got, want)
		}
	}
}

// dealt is twice the share of all ways to deal the values in which the lower side has as little or less.
func dealt(a, b []float64) float64 {
	u := func(x, y []float64) (sum float64) {
		for _, v := range x {
			for _, w := range y {
				switch {
				case v > w:
					sum++
				case v == w:
					sum += 0.5
				}
			}
		}
		return sum
	}
	if u(a, b) > u(b, a) {
		a, b = b, a
	}
	if u(a, b) == u(b, a) {
		return 1
	}
	values := slices.Concat(a, b)
	total, low := 0, 0
	for cards := range 1 << len(values) {
		if bits.OnesCount(uint(cards)) != len(a) {
			continue
		}
		var x, y []float64
		for i, v := range values {
			if cards>>i&1 == 1 {
				x = append(x, v)
				continue
			}
			y = append(y, v)
		}
		total++
		if u(x, y) <= u(a, b) {
			low++
		}
	}
	return min(2*float64(low)/float64(total), 1)
}

func TestCompareWarns(t *testing.T) {
	a, b := runsOf(1, 1), runsOf(1, 1)
	if w := compared(t, a, b).Warnings; w != nil {
		t.Errorf("nothing to warn of: %q", w)
	}
	a[0].Settings = []Setting{{"conns", "10"}, {"url", "ws://a"}, {"--rate", "5"}}
	a[1].Settings = a[0].Settings
	b[0].Settings = []Setting{{"conns", "20"}, {"url", "ws://b"}, {"rate", "5"}, {"nice", "1"}}
	b[0].Scenario, b[0].Machine.Cores, b[0].Faults.Lost = "rooms", 4, 1
	b[1].Notes = []string{"the clock\nstepped"}
	want := []string{
		"the runs of B are not alike, so its medians mix: run 2 differs from run 1 in cores (4, 0), scenario (rooms, broadcast)",
		"different scenarios: broadcast and rooms",
		"different settings: conns (10, 20), nice (none, 1)",
		"different machines: cores (0, 4)",
		"B alone has faults: it did not do the same work",
		"B, run 2: the clock stepped",
	}
	if got := compared(t, a, b).Warnings; !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	b = runsOf(1)
	b[0].Payload = 64
	if got := compared(t, a, b).Warnings; !slices.Equal(got, []string{"different settings: payload (0, 64)"}) {
		t.Errorf("without settings the load itself is compared: %q", got)
	}
}

func TestCompareRefuses(t *testing.T) {
	if _, err := Compare(nil, runsOf(1)); err == nil {
		t.Error("compared nothing")
	}
	if _, err := Compare(runsOf(0), runsOf(1)); err == nil || !strings.Contains(err.Error(), "no figure in common") {
		t.Errorf("compared runs without a figure: %v", err)
	}
}

func TestComparisonText(t *testing.T) {
	a, b := runsOf(1.00e6, 1.01e6, 1.02e6, 1.03e6), runsOf(2.00e6, 2.01e6, 2.02e6, 2.03e6)
	for i := range a {
		a[i].ClientCPU, b[i].ClientCPU = 0.5, 0.6
		a[i].Evicted, b[i].Evicted = &Evicted{Early: 0}, &Evicted{Early: i}
	}
	var text strings.Builder
	if err := compared(t, a, b).WriteText(&text); err != nil {
		t.Fatal(err)
	}
	want := `A  s, broadcast: 4 runs, 4.00 s measured, faults: none
B  s, broadcast: 4 runs, 4.00 s measured, faults: none

                           A              B   change      p
deliveries     1.01 M/s ±1 %  2.02 M/s ±1 %  +98.5 %  0.029  better
client CPU        0.50 cores     0.60 cores  +20.0 %  0.029  more
evicted early              0    1.50 ±100 %        -  0.143  same within chance

p: Mann-Whitney U over the runs of each side. One figure in twenty shows p < 0.05 by chance alone.
`
	if got := text.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestComparisonJSON(t *testing.T) {
	p := 0.25
	text, err := json.Marshal(Comparable{Name: "deliveries", Unit: "/s", A: Middle{2.5, 1, 4}, B: Middle{6.5, 5, 8}, Change: 160, P: &p, Verdict: Same})
	want := `{"name":"deliveries","unit":"/s","a":{"median":2.5,"min":1,"max":4},"b":{"median":6.5,"min":5,"max":8},` +
		`"change_percent":160,"p":0.25,"verdict":"same within chance"}`
	if err != nil || string(text) != want {
		t.Errorf("%s (%v), want %s", text, err, want)
	}
}
