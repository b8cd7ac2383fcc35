package engine

import "sync/atomic"

// bucket is a token bucket: rate tokens a second, at most burst at once.
type bucket struct {
	tokens float64
	filled int64 // nanoseconds; 0: never used, so full
}

// take takes one token at a time in nanoseconds, and reports whether there was one.
func (b *bucket) take(now int64, rate float64, burst int) bool {
	return b.takeN(1, now, rate, burst)
}

// takeN takes n tokens or, if there are not so many, none.
func (b *bucket) takeN(n int, now int64, rate float64, burst int) bool {
	if b.filled == 0 {
		b.tokens = float64(burst)
	} else {
		// The loop's clock goes back when a pause is left out of it.
		b.tokens = min(float64(burst), b.tokens+float64(max(0, now-b.filled))/1e9*rate)
	}
	b.filled = max(now, 1)
	if b.tokens < float64(n) {
		return false
	}
	b.tokens -= float64(n)
	return true
}

// pace is a token bucket in one number: due, the time in nanoseconds at which the
// bucket will be full. Each token taken moves it one gap further; as long as it
// is less than a burst of gaps ahead, there is a token. It returns due as it is
// then, and whether a token was taken. A due of 0 is a full bucket. One that is
// farther ahead than an empty bucket's was paced by a stricter limit than the one in
// force now, and counts as an empty bucket's.
func pace(due, now int64, rate float64, burst int) (int64, bool) {
	gap := 1e9 / rate
	due = min(max(due, now), now+int64(float64(burst)*gap))
	if float64(due-now) > float64(burst-1)*gap {
		return due, false
	}
	return due + int64(gap), true
}

// sharedPace is a pace that several loops take from. Any goroutine.
type sharedPace struct{ due atomic.Int64 }

func (p *sharedPace) take(now int64, rate float64, burst int) bool {
	for {
		before := p.due.Load()
		due, ok := pace(before, now, rate, burst)
		if due == before || p.due.CompareAndSwap(before, due) {
			return ok
		}
	}
}

// seldom admits once a second, for lines that an operator must see and a
// misfortune would repeat for ever. Any goroutine.
type seldom struct {
	last  atomic.Int64
	count atomic.Uint64 // how often it was asked
}

// admits reports whether to speak now, and how often it was asked in all. now is
// in nanoseconds.
func (s *seldom) admits(now int64) (n uint64, ok bool) {
	n = s.count.Add(1)
	last := s.last.Load()
	return n, (n == 1 || now-last > 1e9) && s.last.CompareAndSwap(last, now)
}
