package report

import (
	"math"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// SpreadOf is the distribution of times that were recorded in nanoseconds, with its curve; nil when there are none.
func SpreadOf(h *hdrhistogram.Histogram) *Spread {
	if h == nil || h.TotalCount() == 0 {
		return nil
	}
	at := curvePercentiles(h.TotalCount())
	values := h.ValueAtPercentilesSlice(append([]float64{50, 90, 99, 99.9, 100}, at...))
	micros := func(i int) float64 { return float64(values[i]) / 1e3 }
	s := &Spread{P50: micros(0), P90: micros(1), P99: micros(2), P999: micros(3), Max: micros(4), Mean: h.Mean() / 1e3, Count: h.TotalCount()}
	s.Curve = make([]Point, len(at))
	for i, p := range at {
		s.Curve[i] = Point{Percentile: p, Value: micros(5 + i)}
	}
	return s
}

// curveDecadesMax bounds a curve: its last step before 100 is 99.9999999.
const curveDecadesMax = 9

// curvePercentiles lists round percentiles for a curve over so many values, ten to every nine of the percentile:
// 0, 10, … 80, 85, 90, 91, … 98, 98.5, 99, 99.1 and so on. Once only one value of the count is left, 100 is next.
func curvePercentiles(count int64) []float64 {
	var list []float64
	for decade := range curveDecadesMax {
		width := math.Pow10(2 - decade)
		for _, step := range [...]float64{0, 1, 2, 3, 4, 5, 6, 7, 8, 8.5} {
			left := width * (10 - step) / 10
			if len(list) > 0 && left*float64(count) < 100*(1+1e-9) {
				return append(list, 100)
			}
			list = append(list, math.Round((100-left)*1e10)/1e10)
		}
	}
	return append(list, 100)
}
