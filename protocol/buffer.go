package protocol

import (
	"math/bits"
	"sync"
)

// Buffers are lent, by size, for what has to be kept: the bytes of an incomplete message and the inflated
// form of a compressed one. There is one shelf per power of two; a buffer that is full is exchanged for one
// from the next shelf, so nobody holds more than twice what has arrived, and a small message never sits in
// the large buffer that another one left behind.
const (
	bufferBytesMin  = 128
	bufferBytesKept = 1 << 20 // a larger one is left to the garbage collector
	bufferShelves   = 14      // 128 bytes to 1 MiB
)

const _ = uint(bufferBytesMin<<(bufferShelves-1)-bufferBytesKept) + uint(bufferBytesKept-bufferBytesMin<<(bufferShelves-1))

var shelves [bufferShelves]sync.Pool

// buffer is passed by pointer so that putting it on a shelf allocates nothing.
type buffer struct{ b []byte }

// shelfOf is the number of the first shelf whose buffers hold n bytes.
func shelfOf(n int) int {
	if n <= bufferBytesMin {
		return 0
	}
	return bits.Len(uint(n-1) / bufferBytesMin)
}

// lend returns an empty buffer with room for n bytes at least.
func lend(n int) *buffer {
	shelf := shelfOf(n)
	if shelf < bufferShelves {
		if b, ok := shelves[shelf].Get().(*buffer); ok {
			return b
		}
	}
	return &buffer{b: make([]byte, 0, bufferBytesMin<<shelf)}
}

// giveBack ends the loan; nil is fine.
func (b *buffer) giveBack() {
	if b == nil || cap(b.b) > bufferBytesKept {
		return
	}
	b.b = b.b[:0]
	shelves[shelfOf(cap(b.b))].Put(b)
}

// withRoom returns a buffer of the same content with room for n more bytes: b itself, or a larger one in
// exchange for b, which may be nil.
func (b *buffer) withRoom(n int) *buffer {
	if b == nil {
		return lend(n)
	}
	if cap(b.b)-len(b.b) >= n {
		return b
	}
	larger := lend(len(b.b) + n) // sizes are powers of two: at least twice as large
	larger.b = append(larger.b, b.b...)
	b.giveBack()
	return larger
}

// bytes is the content; nil is empty.
func (b *buffer) bytes() []byte {
	if b == nil {
		return nil
	}
	return b.b
}
