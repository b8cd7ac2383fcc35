//go:build !race

package protocol

// lendingExact: a pool gives back what was put into it, so that allocations can be counted.
const lendingExact = true
