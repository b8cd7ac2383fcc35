package engine

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"
)

// shedSlots is how long the moments to come back are spread over. Those who are shed
// are sent away at a pace already, so a slot has only to keep one second's together
// from coming back at once; nobody is offline for longer. When the slots begin anew
// the last of a round come back beside the first of the next, each round at half the
// pace: together no faster than they were sent away.
const shedSlots = 10 * time.Second

// Shed sends n connections away to other servers, those longest silent first, evenly
// over a time, while everybody else stays and newcomers are let in. Each gets 1001
// and "rebalance; reconnect in N ms", N being less than ten seconds and chosen so that
// those who honour it come back no faster than they were sent away.
//
// Who is to go is decided once, at the beginning, by who was heard when. Who has left
// by the time of its place is not replaced. Shed returns how many it sent away, when
// all places have come up or ctx ends; some of the last turn may then not be counted.
// Progress, if not nil, is called once a second with how many places have come up, of
// how many. While others are being sent away it returns ErrLeaving; a drain takes
// over. Any goroutine but a loop's.
func (e *Engine) Shed(ctx context.Context, n int, over time.Duration, progress func(done, of int)) (sent int, err error) {
	d := &departure{why: ReasonShed, window: over, slots: shedSlots}
	if err := e.claim(ctx, d); err != nil {
		return 0, err
	}
	defer e.release(d)
	lists, err := e.listOpen(d.ctx)
	if err != nil {
		return 0, err
	}
	e.depart(d, idlest(lists, n))
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for {
		select {
		case <-d.done:
			return int(d.sent.Load()), nil
		case <-d.ctx.Done():
			return int(d.sent.Load()), context.Cause(d.ctx)
		case <-e.quit:
			return int(d.sent.Load()), ErrStopped
		case <-second.C:
			if progress != nil {
				progress(int(d.passed.Load()), int(d.total.Load()))
			}
		}
	}
}

// idlest takes the n longest silent of all lists together, the longest silent first
// in each.
func idlest(lists [][]leaver, n int) [][]leaver {
	for _, list := range lists {
		slices.SortFunc(list, func(a, b leaver) int { return cmp.Compare(a.heard, b.heard) })
	}
	taken := make([]int, len(lists))
	for range n {
		from := -1
		for i, list := range lists {
			if taken[i] < len(list) && (from < 0 || list[taken[i]].heard < lists[from][taken[from]].heard) {
				from = i
			}
		}
		if from < 0 {
			break
		}
		taken[from]++
	}
	chosen := make([][]leaver, len(lists))
	for i, list := range lists {
		chosen[i] = list[:taken[i]]
	}
	return chosen
}

// ShedShare returns how many connections a share is, from 0 to 1, rounded up.
func ShedShare(open int, share float64) int {
	return min(open, max(0, int(math.Ceil(float64(open)*share))))
}

// ShedTo returns how many connections have to go until so many are left.
func ShedTo(open, left int) int { return max(0, open-max(0, left)) }
