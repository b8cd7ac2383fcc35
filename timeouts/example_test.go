package timeouts_test

import (
	"fmt"
	"time"

	"throng/timeouts"
)

// A connection is let go after 30 s of silence. The wheel does not know what the
// classes mean: the policy stands in due alone.
func Example() {
	const idle = 1
	at := func(seconds float64) int64 { return int64(seconds * float64(time.Second)) }

	wheel := timeouts.New(time.Second, 64, at(0))
	talker := wheel.Add(idle, at(0), 30*time.Second)
	wheel.Add(idle, at(0), 30*time.Second)

	now := at(0)
	due := func(id timeouts.ID, class uint8, silent time.Duration) time.Duration {
		if class == idle && silent >= 30*time.Second {
			fmt.Printf("%v: timer %d was silent for %v\n", time.Duration(now), id, silent)
			return 0
		}
		return 30 * time.Second
	}
	for ; wheel.Len() > 0; now += at(1) {
		if now == at(10) {
			wheel.Touch(talker, at(9.5)) // a frame came in
		}
		wheel.Advance(now, 0, due)
	}
	// Output:
	// 30s: timer 2 was silent for 30s
	// 40s: timer 1 was silent for 30.5s
}
