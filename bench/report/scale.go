package report

import (
	"math"
	"strconv"
)

// scale is an axis: it maps values to 0 … 1 along it, and has its marks at round values.
type scale struct {
	from, to float64 // after turn
	turn     func(float64) float64
	marks    []mark
}

type mark struct {
	value float64
	label string
	minor bool // a line without a label
}

func same(v float64) float64 { return v }

// place is where a value is along the axis; not finite when it has no place.
func (s scale) place(v float64) float64 { return (s.turn(v) - s.from) / (s.to - s.from) }

// marksWanted is about how many marks an axis has.
const marksWanted = 5

// linear is an axis from 0, or from what is below it, to a round value above most.
func linear(least, most float64, base float64, text func(float64) string) scale {
	least, most = min(least, 0), max(most, 0)
	if !finite(most-least) || most-least < math.SmallestNonzeroFloat64*1e20 {
		least, most = 0, 1
	}
	width := roundStep((most-least)/marksWanted, base)
	first, last := math.Floor(least/width+1e-9), math.Ceil(most/width-1e-9)
	s := scale{from: first * width, to: last * width, turn: same}
	for i := range min(int(last-first)+1, 4*marksWanted) {
		v := (first + float64(i)) * width
		s.marks = append(s.marks, mark{value: v, label: text(v)})
	}
	return s
}

// roundStep is the next round number at or above v: 1, 2 or 5 times a power of ten or, where the base is that of
// bytes, a power of two.
func roundStep(v, base float64) float64 {
	if base != 10 {
		return math.Exp2(math.Ceil(math.Log2(v) - 1e-9))
	}
	unit := math.Pow(base, math.Floor(math.Log10(v)+1e-9))
	for _, round := range [...]float64{1, 2, 5} {
		if unit*round >= v*(1-1e-9) {
			return unit * round
		}
	}
	return unit * base
}

// secondSteps are the widths between marks of a time axis.
var secondSteps = []float64{1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 43200, 86400}

// elapsed is an axis of seconds, exactly from one to the other.
func elapsed(from, to float64) scale {
	if !finite(to-from) || to-from <= 0 || to-from > 1e9 {
		from, to = 0, 1
	}
	width := math.Ceil((to-from)/marksWanted/86400) * 86400
	for _, w := range secondSteps {
		if (to-from)/w <= marksWanted+1 {
			width = w
			break
		}
	}
	s := scale{from: from, to: to, turn: same}
	for i := math.Ceil(from/width-1e-9) + 0; i*width <= to+1e-9 && len(s.marks) < 4*marksWanted; i++ {
		s.marks = append(s.marks, mark{value: i * width, label: secondsText(i*width, width)})
	}
	return s
}

// secondsText writes a mark of a time axis in the largest unit that all its marks are whole in.
func secondsText(v, width float64) string {
	for _, unit := range []step{{86400, "d"}, {3600, "h"}, {60, "min"}} {
		if width >= unit.size && math.Mod(width, unit.size) == 0 {
			return strconv.FormatFloat(v/unit.size, 'f', 0, 64) + " " + unit.name
		}
	}
	return strconv.FormatFloat(v, 'f', 0, 64) + " s"
}

// logarithmic is an axis of times from a round value at or below least to one at or above most. Up to two decades have
// their 2 and 5 written too, more have lines there, and many have neither.
func logarithmic(least, most float64) scale {
	if !finite(least) || !finite(most) || least < 1e-6 || most < least || most > 1e18 {
		least, most = 1, 10
	}
	s := scale{from: roundLog(least, false), to: roundLog(most, true), turn: math.Log10}
	if s.to-s.from < 0.3 {
		s.to += math.Log10(2)
	}
	first, last := math.Floor(s.from+1e-9), math.Ceil(s.to-1e-9)
	every := max(1, math.Ceil((last-first)/(marksWanted+2)))
	for decade := first; decade <= last; decade++ {
		for _, round := range [...]float64{1, 1.5, 2, 3, 5, 7} {
			if round != 1 && round != 2 && round != 5 && s.to-s.from > narrow {
				continue
			}
			v := round * math.Pow(10, decade)
			minor := round != 1 && s.to-s.from > 2 || math.Mod(decade-first, every) != 0
			if round == 1 || every == 1 {
				s.marks = append(s.marks, mark{value: v, label: roundText(v, timeSteps), minor: minor})
			}
		}
	}
	return s
}

// narrow is the part of a decade up to which a log axis has marks between 1, 2, 5 and 10.
const narrow = 0.75

// roundLog is the logarithm of the next 1, 2 or 5 times a power of ten at or below v, or at or above it.
func roundLog(v float64, above bool) float64 {
	decade := math.Floor(math.Log10(v) + 1e-9)
	part, best := math.Log10(v)-decade, 0.0
	for _, stop := range [...]float64{0, math.Log10(2), math.Log10(5), 1} {
		if above && stop >= part-1e-9 {
			return decade + stop
		}
		if stop <= part+1e-9 {
			best = stop
		}
	}
	return decade + best
}

// percentiles is the axis of HDR histograms: each nine of the percentile has the same room, so that the tail is seen.
func percentiles(count int64) scale {
	nines := min(max(math.Log10(float64(max(count, 1))), 2), curveDecadesMax)
	s := scale{to: nines, turn: func(p float64) float64 { return -math.Log10(max(1-p/100, math.Pow(10, -nines))) }}
	s.marks = []mark{{value: 0, label: "0 %"}}
	for n := 1.0; n <= nines; n++ {
		p := 100 - math.Pow(10, 2-n)
		s.marks = append(s.marks, mark{value: p, label: strconv.FormatFloat(p, 'f', int(max(0, n-2)), 64) + " %"})
	}
	return s
}

// roundText writes a round value without digits that say nothing: 500 µs, 1.5 M.
func roundText(v float64, steps []step) string {
	if v == 0 {
		return "0"
	}
	unit := steps[0]
	for _, s := range steps[1:] {
		if math.Abs(v) >= s.size*(1-1e-9) {
			unit = s
		}
	}
	text := strconv.FormatFloat(v/unit.size, 'g', 6, 64)
	if unit.name == "" {
		return text
	}
	return text + " " + unit.name
}
