package engine

// bucket is a token bucket: rate tokens a second, at most burst at once.
type bucket struct {
	tokens float64
	filled int64 // nanoseconds; 0: never used, so full
}

// take takes one token at a time in nanoseconds, and reports whether there was one.
func (b *bucket) take(now int64, rate float64, burst int) bool {
	if b.filled == 0 {
		b.tokens = float64(burst)
	} else {
		// The loop's clock goes back when a pause is left out of it.
		b.tokens = min(float64(burst), b.tokens+float64(max(0, now-b.filled))/1e9*rate)
	}
	b.filled = max(now, 1)
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
