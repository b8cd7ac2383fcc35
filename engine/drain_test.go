package engine

import (
	"slices"
	"testing"
	"time"
)

// TestDrainPlaces: everybody has a place of their own, evenly over the window,
// however the loops are filled.
func TestDrainPlaces(t *testing.T) {
	const window = 10 * time.Second
	for _, counts := range [][]int{{0}, {1}, {5}, {1, 3}, {0, 7, 1}, {100, 1, 50, 0}} {
		var all []time.Duration
		for l, places := range drainPlaces(counts, window) {
			if len(places) != counts[l] || !slices.IsSorted(places) {
				t.Fatalf("%v: loop %d has the places %v", counts, l, places)
			}
			all = append(all, places...)
		}
		slices.Sort(all)
		for i, place := range all {
			if want := time.Duration((float64(i) + 0.5) / float64(len(all)) * float64(window)); place != want {
				t.Fatalf("%v: place %d is %s, want %s", counts, i, place, want)
			}
		}
	}
}
