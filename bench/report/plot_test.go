package report

import (
	"math"
	"slices"
	"strings"
	"testing"
)

func labels(s scale) string {
	var list []string
	for _, m := range s.marks {
		if at := s.place(m.value); !m.minor && at > -1e-9 && at < 1+1e-9 {
			list = append(list, m.label)
		}
	}
	return strings.Join(list, ", ")
}

func TestScales(t *testing.T) {
	rates := func(most float64) scale { return rateAxis.scale(0, most) }
	for _, c := range []struct {
		scale scale
		want  string
	}{
		{rates(1.08e6), "0/s, 500 k/s, 1 M/s, 1.5 M/s"},
		{rates(7), "0/s, 2/s, 4/s, 6/s, 8/s"},
		{rates(0), "0/s, 0.2/s, 0.4/s, 0.6/s, 0.8/s, 1/s"},
		{coreAxis.scale(0, 1.93), "0, 0.5, 1, 1.5, 2"},
		{bytesAxis.scale(0, 55<<20), "0, 16 MiB, 32 MiB, 48 MiB, 64 MiB"},
		{bytesAxis.scale(0, 3<<30), "0, 1 GiB, 2 GiB, 3 GiB"},
		{shareAxis.scale(0, 0.0117), "0 %, 0.5 %, 1 %, 1.5 %"},
		{countAxis.scale(-3, 4), "-4, -2, 0, 2, 4"},
		{elapsed(-2, 30), "0 s, 10 s, 20 s, 30 s"},
		{elapsed(0, 5400), "0 min, 20 min, 40 min, 60 min, 80 min"},
		{elapsed(-60, 86400), "0 h, 8 h, 16 h, 24 h"},
		{elapsed(0, 9*86400), "0 d, 2 d, 4 d, 6 d, 8 d"},
		{logarithmic(790, 28_000), "500 µs, 1 ms, 2 ms, 5 ms, 10 ms, 20 ms, 50 ms"},
		{logarithmic(150, 73_000), "100 µs, 1 ms, 10 ms, 100 ms"},
		{logarithmic(180, 260), "100 µs, 150 µs, 200 µs, 300 µs, 500 µs"},
		{logarithmic(1000, 1000), "1 ms, 1.5 ms, 2 ms"},
		{logarithmic(0.5, 4e7), "10 µs, 1 ms, 100 ms, 10 s"},
		{percentiles(36_000_000), "0 %, 90 %, 99 %, 99.9 %, 99.99 %, 99.999 %, 99.9999 %, 99.99999 %"},
		{percentiles(1), "0 %, 90 %, 99 %"},
	} {
		if got := labels(c.scale); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

// TestScalesOfAnything: whatever the bounds, an axis has few marks and no value makes it fail.
func TestScalesOfAnything(t *testing.T) {
	values := []float64{0, 1, -1, 1e-300, 5e-324, 1e300, -1e308, math.MaxFloat64, math.Inf(1), math.Inf(-1), math.NaN(), 86400, 0.3}
	for _, least := range values {
		for _, most := range values {
			for _, s := range []scale{rateAxis.scale(least, most), bytesAxis.scale(least, most), logarithmic(least, most), elapsed(least, most)} {
				if n := len(s.marks); n > 40 {
					t.Errorf("%d marks from %g to %g", n, least, most)
				}
			}
		}
	}
}

func TestPercentilesPlace(t *testing.T) {
	s := percentiles(10_000)
	for p, want := range map[float64]float64{0: 0, 90: 0.25, 99: 0.5, 99.9: 0.75, 99.99: 1, 100: 1} {
		if got := s.place(p); math.Abs(got-want) > 1e-6 {
			t.Errorf("%g is at %g, want %g", p, got, want)
		}
	}
}

func TestPath(t *testing.T) {
	x, y := elapsed(0, 10), linear(0, 100, 10, amountText)
	points := []xy{{0, 0}, {5, 50}, {6, math.NaN()}, {7, 100}, {20, -5}}
	if got, want := path(points, x, y), "M0 200L500 100M700 0L1000 200"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	p := newPlot("a", "b", x, y, []data{{points: points[:2]}})
	if p.fill(); p.Curves[0].Area != "M0 200L500 100L500 200L0 200Z" {
		t.Errorf("the area is %s", p.Curves[0].Area)
	}
	if p := newPlot("a", "b", x, y, []data{{}, {points: []xy{{1, math.NaN()}}}}); p != nil {
		t.Errorf("a plot of nothing: %+v", p)
	}
}

// TestThinned: a long run's points become few, with every extreme and every gap still there.
func TestThinned(t *testing.T) {
	points := make([]xy, 20_000)
	for i := range points {
		points[i] = xy{float64(i), 10 + float64(i%3)}
	}
	points[777].y, points[13_000].y, points[5000].y = 99, -99, math.NaN()
	few := thinned(points)
	if len(few) > pointsMax+10 {
		t.Errorf("%d points are left", len(few))
	}
	for _, want := range []xy{points[777], points[13_000]} {
		if !slices.Contains(few, want) {
			t.Errorf("%v is gone", want)
		}
	}
	if !slices.ContainsFunc(few, func(p xy) bool { return math.IsNaN(p.y) }) {
		t.Error("the gap is gone")
	}
	if !slices.IsSortedFunc(few, func(a, b xy) int { return int(a.x - b.x) }) {
		t.Error("the points are out of order")
	}
}

// TestTimePlot: the samples' gaps and unknown values interrupt a curve, and the time before measuring is shaded.
func TestTimePlot(t *testing.T) {
	samples := []Sample{{At: -1, Seconds: 1, P99: 0}, {At: 0, Seconds: 1, P99: 10}, {At: 1, Seconds: 1, P99: 100}, {At: 7, Seconds: 1, P99: 10}, {At: 8, Seconds: 1, P99: 10}}
	p := timePlot("p99", "", timeAxis, []named[[]Sample]{{"", samples}}, p99Track)
	if got, want := p.Curves[0].Path, "M200 200L300 0M900 200L1000 200"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if p.Warmup != "20%" || p.Curves[0].Said != "median 10.0 µs" {
		t.Errorf("shaded up to %s, and %s", p.Warmup, p.Curves[0].Said)
	}
	if p := timePlot("sent", "", rateAxis, []named[[]Sample]{{"", samples}}, track{"sent", func(s Sample) float64 { return s.Sent }, false}); p != nil {
		t.Errorf("nothing is known of what was sent: %+v", p)
	}
}

// TestSteady: what is left of an interval where a phase ended is no second to plot or to test by.
func TestSteady(t *testing.T) {
	r := &Result{Samples: []Sample{
		{At: 0.001, Seconds: 0.001, Deliveries: 9e6}, {At: 1, Seconds: 1, Deliveries: 10}, {At: 2, Seconds: 1.2, Deliveries: 11}, {At: 2.5, Seconds: 0.5, Deliveries: 12},
	}}
	if got, want := figures()[0].seconds([]*Result{r}), []float64{10, 11, 12}; !slices.Equal(got, want) {
		t.Errorf("the seconds are %v, want %v", got, want)
	}
	if n := len(r.Samples); n != 4 {
		t.Errorf("the result itself has %d samples left of 4", n)
	}
}
