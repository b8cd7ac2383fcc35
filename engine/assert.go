//go:build !race

package engine

// assertInTurn is empty outside of race runs.
func (l *loop) assertInTurn() {}
