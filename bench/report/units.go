package report

import (
	"math"
	"strconv"
	"strings"
	"unicode"
)

// step is a unit and how many of the base unit it holds.
type step struct {
	size float64
	name string
}

var (
	timeSteps   = []step{{1, "µs"}, {1e3, "ms"}, {1e6, "s"}}
	byteSteps   = []step{{1, "B"}, {1 << 10, "KiB"}, {1 << 20, "MiB"}, {1 << 30, "GiB"}, {1 << 40, "TiB"}}
	amountSteps = []step{{1, ""}, {1e3, "k"}, {1e6, "M"}, {1e9, "G"}}
)

// in writes a value in the largest unit that it fills when cut to three digits: 999.7 µs is 1.00 ms.
func in(v float64, steps []step) string {
	unit := steps[0]
	for _, s := range steps[1:] {
		if math.Abs(rounded(v/s.size)) >= 1 {
			unit = s
		}
	}
	return strings.TrimSuffix(digits(rounded(v/unit.size))+" "+unit.name, " ")
}

// rounded cuts a value to three digits.
func rounded(v float64) float64 {
	v, _ = strconv.ParseFloat(strconv.FormatFloat(v, 'g', 3, 64), 64)
	return v
}

// digits writes a value with three digits, and with all those before the point.
func digits(v float64) string {
	size := math.Abs(v)
	switch {
	case size == 0 || size >= 99.95:
		return thousands(strconv.FormatFloat(v, 'f', 0, 64))
	case size >= 9.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case size >= 0.9995:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

func timeText(micros float64) string   { return in(micros, timeSteps) }
func bytesText(bytes float64) string   { return in(bytes, byteSteps) }
func amountText(amount float64) string { return in(amount, amountSteps) }
func rateText(rate float64) string     { return amountText(rate) + "/s" }
func coresText(cores float64) string   { return strconv.FormatFloat(cores, 'f', 2, 64) + " cores" }
func shareText(share float64) string   { return strconv.FormatFloat(share*100, 'f', 0, 64) + " %" }

// spanText writes how long a run was measured.
func spanText(seconds float64) string {
	switch {
	case seconds >= 2*3600:
		return digits(rounded(seconds/3600)) + " h"
	case seconds >= 5*60:
		return digits(rounded(seconds/60)) + " min"
	}
	return digits(rounded(seconds)) + " s"
}

// grouped writes a count with its thousands apart.
func grouped[N int | int64 | uint64](n N) string { return thousands(strconv.FormatInt(int64(n), 10)) }

func thousands(text string) string {
	sign, number := "", text
	if strings.HasPrefix(text, "-") {
		sign, number = "-", text[1:]
	}
	var b strings.Builder
	for i, digit := range number {
		if i > 0 && (len(number)-i)%3 == 0 && digit >= '0' && digit <= '9' {
			b.WriteByte(',')
		}
		b.WriteRune(digit)
	}
	return sign + b.String()
}

// countText writes a whole number as it is, and any other with three digits.
func countText(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) < 1e15 {
		return grouped(int64(v))
	}
	return digits(rounded(v))
}

// of writes a count of things: 1 room, 2 rooms.
func of[N int | uint64](n N, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return grouped(n) + " " + thing + "s"
}

// whole is a count that cannot be below 0, whatever a document says.
func whole(n int) uint64 { return uint64(max(n, 0)) }

// clean makes the text of others harmless for a terminal: a server chooses its reasons for closing, and a document
// may come from anywhere.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsGraphic(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

// finite tells whether a value can be shown.
func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
