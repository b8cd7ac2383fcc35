package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A plot is drawn by the page's template into an SVG whose width is the reader's: places along x are shares of the
// width, places along y are pixels, and the letters keep their size on a phone.

// plot is one picture.
type plot struct {
	Title  string
	About  string // a sentence that stands for the picture where it is not seen
	Wide   bool
	Height int
	X, Y   []tick
	Warmup string // the share of the width before the measuring began; empty: none
	Curves []curve
}

// tick is a mark of an axis, in its place.
type tick struct {
	At, Label string
	Minor     bool
	Spare     bool // its label is left out where there is little room
}

// curve is one line of a plot.
type curve struct {
	Name, Said string // Said is its main figure, beside the name in the legend
	Class      string // colour and dashes
	Path, Area string // Area is what lies under a curve that is alone
}

// data is the values of a curve before they have a place.
type data struct {
	name, said string
	points     []xy
}

type xy struct{ x, y float64 }

const (
	plotWidth  = 1000 // the units of a path along x, stretched to the width there is
	plotHeight = 200
	lettersMax = 32 // of labels that fit below a narrow plot
	curveKinds = 6  // how many colours the style has
)

// newPlot places the curves on their axes. It gives nil when there is nothing to see.
func newPlot(title, about string, x, y scale, all []data) *plot {
	p := &plot{Title: title, About: about, Height: plotHeight}
	for _, m := range x.marks {
		if at := x.place(m.value); at >= -1e-9 && at <= 1+1e-9 {
			p.X = append(p.X, tick{At: percent(at), Label: m.label, Minor: m.minor})
		}
	}
	letters := 0
	for _, t := range p.X {
		letters += utf8.RuneCountInString(t.Label)
	}
	for i := range p.X {
		p.X[i].Spare = letters > lettersMax && (len(p.X)-1-i)%2 == 1
	}
	for _, m := range y.marks {
		if at := y.place(m.value); at >= -1e-9 && at <= 1+1e-9 {
			p.Y = append(p.Y, tick{At: pixel((1 - at) * plotHeight), Label: m.label, Minor: m.minor})
		}
	}
	for i, d := range all {
		c := curve{Name: d.name, Said: d.said, Class: curveClass(i), Path: path(thinned(d.points), x, y)}
		if c.Path == "" {
			continue
		}
		p.Curves = append(p.Curves, c)
	}
	if len(p.Curves) == 0 {
		return nil
	}
	return p
}

// fill marks what lies under the only curve of a plot whose axis begins at 0, if the curve has no gap.
func (p *plot) fill() {
	if p == nil || len(p.Curves) != 1 {
		return
	}
	c := &p.Curves[0]
	first, rest, _ := strings.Cut(c.Path, " ")
	if strings.Count(c.Path, "M") > 1 || !strings.Contains(rest, "L") {
		return
	}
	last, _, _ := strings.Cut(rest[strings.LastIndexByte(rest, 'L')+1:], " ")
	c.Area = fmt.Sprintf("%sL%s %dL%s %dZ", c.Path, last, p.Height, first[1:], p.Height)
}

// curveClass is how the curve of that number is drawn: each colour first as a full line, then with dashes.
func curveClass(i int) string {
	class := "c" + strconv.Itoa(i%curveKinds+1)
	if i/curveKinds%2 == 1 {
		class += " dashed"
	}
	return class
}

// path joins the points; one that has no place interrupts the line.
func path(points []xy, x, y scale) string {
	var b strings.Builder
	verb := "M"
	for _, p := range points {
		px, py := x.place(p.x), y.place(p.y)
		if !finite(px) || !finite(py) {
			verb = "M"
			continue
		}
		px, py = min(max(px, 0), 1), min(max(py, 0), 1)
		fmt.Fprintf(&b, "%s%s %s", verb, pixel(px*plotWidth), pixel((1-py)*plotHeight))
		verb = "L"
	}
	return b.String()
}

// pointsMax is how many points a curve may have; a screen does not show more.
const pointsMax = 1200

// thinned leaves of each stretch of points the least and the most, so that no peak of a long run is lost.
func thinned(points []xy) []xy {
	if len(points) <= pointsMax {
		return points
	}
	var few []xy
	width := (len(points) + pointsMax/2 - 1) / (pointsMax / 2)
	for from := 0; from < len(points); from += width {
		part := points[from:min(from+width, len(points))]
		low, high := 0, 0
		gap := false
		for i, p := range part {
			gap = gap || math.IsNaN(p.y)
			if p.y < part[low].y || math.IsNaN(part[low].y) {
				low = i
			}
			if p.y > part[high].y || math.IsNaN(part[high].y) {
				high = i
			}
		}
		few = append(few, part[min(low, high)])
		if low != high {
			few = append(few, part[max(low, high)])
		}
		if gap {
			few = append(few, xy{part[len(part)-1].x, math.NaN()})
		}
	}
	return few
}

func percent(share float64) string {
	return strconv.FormatFloat(math.Round(share*1e5)/1e3, 'f', -1, 64) + "%"
}

func pixel(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) }

// bounds are the least and the most finite value of all curves that counts says counts.
func bounds(all []data, counts func(float64) bool) (least, most float64) {
	least, most = math.Inf(1), math.Inf(-1)
	for _, d := range all {
		for _, p := range d.points {
			if finite(p.y) && counts(p.y) {
				least, most = min(least, p.y), max(most, p.y)
			}
		}
	}
	return least, most
}
