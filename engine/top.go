package engine

import (
	"cmp"
	"slices"
)

// rank is a place in an order: lower ones come first, and where they are equal, the
// lower ID.
type rank struct {
	key uint64
	id  ID
}

func (r rank) compare(o rank) int { return cmp.Or(cmp.Compare(r.key, o.key), cmp.Compare(r.id, o.id)) }

// ranked is a value in its place.
type ranked[T any] struct {
	rank
	value *T
}

// top keeps the first k of what it is offered, in a heap whose root is the last of
// them. All that it needs is made beforehand, by whoever asks, so that a loop
// allocates nothing: while the collector runs, allocating means to help it.
type top[T any] struct {
	heap   []ranked[T]
	values []T // those in use first
}

func newTop[T any](k int) top[T] {
	return top[T]{heap: make([]ranked[T], 0, k), values: make([]T, k)}
}

// offer returns where to put the value of a rank, or nil if as many others as there is
// room for come before it. What was there before is for the caller to overwrite.
func (t *top[T]) offer(r rank) *T {
	if n := len(t.heap); n < len(t.values) {
		v := &t.values[n]
		t.heap = append(t.heap, ranked[T]{r, v})
		t.up(n)
		return v
	}
	if len(t.heap) == 0 || r.compare(t.heap[0].rank) >= 0 {
		return nil
	}
	v := t.heap[0].value
	t.heap[0].rank = r
	t.down(0)
	return v
}

func (t *top[T]) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if t.heap[i].compare(t.heap[parent].rank) <= 0 {
			return
		}
		t.heap[i], t.heap[parent] = t.heap[parent], t.heap[i]
		i = parent
	}
}

func (t *top[T]) down(i int) {
	for {
		last := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(t.heap); child++ {
			if t.heap[child].compare(t.heap[last].rank) > 0 {
				last = child
			}
		}
		if last == i {
			return
		}
		t.heap[i], t.heap[last] = t.heap[last], t.heap[i]
		i = last
	}
}

// first merges what several have kept and returns the first k of all, in order.
func first[T any](k int, tops ...*top[T]) []ranked[T] {
	var all []ranked[T]
	for _, t := range tops {
		all = append(all, t.heap...)
	}
	slices.SortFunc(all, func(a, b ranked[T]) int { return a.compare(b.rank) })
	return all[:min(k, len(all))]
}
