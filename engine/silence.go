package engine

import "time"

// Silence returns how long ago the loop ran that has been silent for longest. Between
// Start and Close that is a tick or two, whether anybody is connected or not. It
// asks nobody, so it tells of a blocked loop and of a dead ticker alike: it is for
// a watchdog from outside. Any goroutine.
func (e *Engine) Silence() time.Duration {
	longest, now := int64(0), nanotime()
	for _, l := range e.loops {
		longest = max(longest, now-l.lastTick.Load())
	}
	return time.Duration(longest)
}
