package report

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

func TestSpreadOf(t *testing.T) {
	h := hdrhistogram.New(1, int64(time.Minute), 3)
	if s := SpreadOf(h); s != nil {
		t.Errorf("a spread of nothing: %+v", s)
	}
	for i := range int64(10_000) {
		if err := h.RecordValue((i + 1) * 1000); err != nil {
			t.Fatal(err)
		}
	}
	s := SpreadOf(h)
	for _, c := range []struct{ got, want float64 }{
		{s.P50, 5000}, {s.P90, 9000}, {s.P99, 9900}, {s.P999, 9990}, {s.Max, 10_000}, {s.Mean, 5000.5}, {float64(s.Count), 10_000},
	} {
		if c.got < c.want*0.998 || c.got > c.want*1.002 {
			t.Errorf("got %g, want %g within the histogram's three digits", c.got, c.want)
		}
	}
}

func TestCurvePercentiles(t *testing.T) {
	for count, want := range map[int64][]float64{
		1:   {0, 100},
		5:   {0, 10, 20, 30, 40, 50, 60, 70, 100},
		100: {0, 10, 20, 30, 40, 50, 60, 70, 80, 85, 90, 91, 92, 93, 94, 95, 96, 97, 98, 98.5, 100},
	} {
		if got := curvePercentiles(count); !slices.Equal(got, want) {
			t.Errorf("%d values: %v, want %v", count, got, want)
		}
	}
	long := curvePercentiles(36_000_000)
	if n := len(long); n < 60 || n > 100 || long[n-2] != 99.999997 {
		t.Errorf("36 million values have %d points up to %g", n, long[n-2])
	}
}

// TestCurveRises: at any count, a curve never falls, and ends at 100 with the greatest value.
func TestCurveRises(t *testing.T) {
	source := rand.New(rand.NewPCG(3, 4))
	for range 60 {
		h := hdrhistogram.New(1, int64(time.Minute), 3)
		for range 1 + source.IntN(200) {
			if err := h.RecordValues(1+source.Int64N(int64(time.Second)), 1+source.Int64N(1<<source.IntN(30))); err != nil {
				t.Fatal(err)
			}
		}
		s := SpreadOf(h)
		for i, p := range s.Curve[1:] {
			if before := s.Curve[i]; p.Percentile <= before.Percentile || p.Value < before.Value {
				t.Fatalf("%d values: %+v after %+v", s.Count, p, before)
			}
		}
		if last := s.Curve[len(s.Curve)-1]; last.Percentile != 100 || last.Value != s.Max {
			t.Fatalf("%d values: the curve ends with %+v, and the greatest is %g", s.Count, last, s.Max)
		}
	}
}
