package engine

import (
	"sync"
	"time"
)

// panicBook counts panics by their place in the code.
type panicBook struct {
	mu     sync.Mutex
	places map[string][]time.Time
	why    string
}

// note records a panic and reports whether it is the first of its place. Three
// in a minute withdraw readiness: something is wrong with this build.
func (b *panicBook) note(where string) (first bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.places == nil {
		b.places = map[string][]time.Time{}
	}
	recent := b.places[where]
	first = len(recent) == 0
	recent = append(recent, time.Now())
	if len(recent) > panicsTolerated+1 {
		recent = recent[1:]
	}
	if len(recent) > panicsTolerated && recent[len(recent)-1].Sub(recent[0]) < time.Minute && b.why == "" {
		b.why = "repeated panics in " + where
	}
	b.places[where] = recent
	return first
}

func (b *panicBook) withdraw(why string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.why = why
}

func (b *panicBook) reason() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.why
}
