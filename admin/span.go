package admin

import (
	"math"
	"strconv"
	"time"
)

// Span is a duration in a question, written as in the settings: 250ms, 60s, 1m30s.
type Span time.Duration

// UnmarshalText reads a span.
func (s *Span) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	if err != nil || d < 0 {
		return Refuse("%q is not a duration; allowed: a number with its unit, such as 250ms, 60s or 1m30s", text)
	}
	*s = Span(d)
	return nil
}

// MarshalText writes a span.
func (s Span) MarshalText() ([]byte, error) { return []byte(time.Duration(s).String()), nil }

// Seconds is a duration in an answer: a number of seconds, with milliseconds behind the point.
type Seconds time.Duration

// MarshalJSON writes the number.
func (s Seconds) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, math.Round(time.Duration(s).Seconds()*1e3)/1e3, 'f', -1, 64), nil
}

// UnmarshalJSON reads the number.
func (s *Seconds) UnmarshalJSON(text []byte) error {
	f, err := strconv.ParseFloat(string(text), 64)
	*s = Seconds(math.Round(f * 1e9))
	return err
}
