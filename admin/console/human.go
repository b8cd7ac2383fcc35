package console

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"

	"throng/admin"
)

// escaped is text from outside as it may stand on a terminal: what would not be seen, or would act on it, is written as in Go.
func escaped(text string) string {
	var b strings.Builder
	for _, r := range text {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
	}
	return b.String()
}

// size is a number of bytes: 0, 912 B, 1.5 KiB, 12 MiB.
func size[T int | int64 | uint64 | float64](bytes T) string {
	n := float64(bytes)
	for _, unit := range []string{"B", "KiB", "MiB", "GiB", "TiB"} {
		switch {
		case n == 0:
			return "0"
		case n < 10 && unit != "B":
			return fmt.Sprintf("%.1f %s", n, unit)
		case n < 1000 || unit == "TiB":
			return fmt.Sprintf("%.0f %s", n, unit)
		}
		n /= 1024
	}
	return ""
}

// span is a duration with the two units that matter: 850ms, 12.3s, 4m05s, 3h12m, 5d04h.
func span(s admin.Seconds) string {
	d := time.Duration(s)
	switch {
	case d < 0:
		return "-" + span(-s)
	case d == 0:
		return "0"
	case d < time.Millisecond:
		return "<1ms"
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < time.Minute:
		return strconv.FormatFloat(math.Floor(d.Seconds()*10)/10, 'f', -1, 64) + "s"
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%02dh", int(d.Hours())/24, int(d.Hours())%24)
}

// count is a number with its thousands apart: 15 000 is read as 15,000.
func count[T int | int64 | uint64](n T) string {
	text := strconv.FormatInt(int64(n), 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// rate is a number a second: 0, 0.3, 12, 1,200.
func rate(f float64) string {
	if f > 0 && f < 10 {
		return strconv.FormatFloat(math.Round(f*10)/10, 'f', -1, 64)
	}
	return count(int64(math.Round(f)))
}

// share is a part of the whole: 12%.
func share(part, whole float64) string {
	if whole == 0 {
		return "0%"
	}
	return strconv.FormatFloat(math.Round(part/whole*1000)/10, 'f', -1, 64) + "%"
}

// plural is "1 room" or "2 rooms".
func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + one + "s"
}
