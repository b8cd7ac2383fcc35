package console

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes, written as such or as 64KiB, 1MiB, 2GiB.
type Size int

// UnmarshalText reads a size.
func (s *Size) UnmarshalText(text []byte) error {
	digits, factor := string(text), 1
	for shift, unit := range []string{"KiB", "MiB", "GiB"} {
		if rest, found := strings.CutSuffix(digits, unit); found {
			digits, factor = rest, 1<<(10*(shift+1))
		}
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n < 0 || n > math.MaxInt32*1024/factor {
		return fmt.Errorf("%q is not a size; allowed: bytes such as 65536, or 64KiB, 1MiB", text)
	}
	*s = Size(n * factor)
	return nil
}

// Share is a part of the whole, written as 20% or 0.2.
type Share float64

// UnmarshalText reads a share.
func (s *Share) UnmarshalText(text []byte) error {
	digits, percent := strings.CutSuffix(string(text), "%")
	f, err := strconv.ParseFloat(digits, 64)
	if percent {
		f /= 100
	}
	if err != nil || !(f > 0 && f <= 1) {
		return fmt.Errorf("%q is no share; allowed: 1%% to 100%%, or a number such as 0.2", text)
	}
	*s = Share(f)
	return nil
}
