//go:build race

package engine

// assertInTurn crashes a test that uses a loop-owned method from outside the
// loop. It is on wherever the race detector is.
func (l *loop) assertInTurn() {
	if l.depth == 0 {
		panic("engine: a loop-owned method was called outside the loop; use Conn.Post")
	}
}
