package bench

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"
)

// instant is a time on CLOCK_MONOTONIC, which all processes of a machine share.
type instant = time.Duration

const forever = instant(1<<63 - 1)

// clock0 and clockBase are one instant on Go's clock and on the system's: both are the same clock, and Go's is read
// without a system call.
var (
	clock0    = time.Now()
	clockBase = monotonic() - time.Since(clock0)
)

func monotonic() instant { return clockRead(unix.CLOCK_MONOTONIC) }

func clockRead(id int32) time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(id, &ts); err != nil {
		panic(err) // every Linux has it
	}
	return time.Duration(ts.Nano())
}

func now() instant { return clockBase + time.Since(clock0) }

// hist is a histogram of times in nanoseconds that can go over the wire.
type hist struct{ *hdrhistogram.Histogram }

const latencyMax = time.Minute

// newHist follows times from a microsecond to a minute, three digits of each.
func newHist() hist { return hist{hdrhistogram.New(int64(time.Microsecond), int64(latencyMax), 3)} }

func (h hist) record(d time.Duration) { _ = h.RecordValue(int64(min(max(d, 0), latencyMax))) }

func (h hist) add(from hist) {
	if from.Histogram != nil {
		h.Merge(from.Histogram)
	}
}

// MarshalText writes the histogram in the encoding of its library; one without values is nothing.
func (h hist) MarshalText() ([]byte, error) {
	if h.Histogram == nil || h.TotalCount() == 0 {
		return nil, nil
	}
	return h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
}

// UnmarshalText reads it back.
func (h *hist) UnmarshalText(b []byte) (err error) {
	if len(b) > 0 {
		h.Histogram, err = hdrhistogram.Decode(b)
	}
	return err
}
