package main

import "time"

// outbox is the buffered channel of what waits for one reader, between who broadcasts and the goroutine that writes
// to that reader.
type outbox[T any] struct {
	waiting chan T
	gone    chan struct{} // closed by the writer when it ends
}

func newOutbox[T any](size int) *outbox[T] {
	return &outbox[T]{waiting: make(chan T, size), gone: make(chan struct{})}
}

// put waits for room in the buffer, and tells whether there was any before patience ran out. The examples of the
// libraries do not wait at all; a load with more messages under way than the buffer holds would then cut everybody off.
func (o *outbox[T]) put(message T, patience time.Duration) bool {
	select {
	case o.waiting <- message:
		return true
	default:
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case o.waiting <- message:
		return true
	case <-o.gone:
		return false
	case <-late.C:
		return false
	}
}
