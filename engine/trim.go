package engine

import "time"

// trimmer gives memory back to the system when a wave of connections, or of joins,
// is over: what the handshakes of many clients left behind would otherwise stay for
// as long as nothing is allocated, which in a quiet server is very long.
type trimmer struct {
	seen    uint64 // accepts at the last look, and joins by their weight
	at      int64  // nanoseconds of the last look
	trimmed uint64 // the same at the last trim
}

const (
	trimEvery  = 2 * time.Second // between looks
	trimAfter  = 1000            // accepts that make it worthwhile
	trimAtRest = 50              // accepts per second below which the wave is over
	trimJoins  = 8               // so many joins leave behind what an accept does
)

func (t *trimmer) look(e *Engine, now int64) {
	if now-t.at < int64(trimEvery) {
		return
	}
	accepts := e.gate.accepts.Load() + e.topics.entered.Load()/trimJoins
	quiet := accepts-t.seen < trimAtRest*uint64(trimEvery/time.Second)
	t.at, t.seen = now, accepts
	if quiet && accepts-t.trimmed >= trimAfter && e.pressure.free(e) {
		t.trimmed = accepts
	}
}
