//go:build race

package protocol

// lendingExact is false under the race detector: sync.Pool then drops what it is given at random.
const lendingExact = false
