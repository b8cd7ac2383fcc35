package engine

// bufferPool lends a loop's byte buffers in powers of two. It keeps a few of
// each size; what it holds and has lent is counted. Loop-owned.
type bufferPool struct {
	free [poolClasses][][]byte
	held int // bytes lent and kept
}

const (
	poolSmallest = 9  // 512 bytes
	poolClasses  = 19 // up to 128 MiB; larger ones are not kept
	// poolKept bounds the bytes of each size that wait for their next use.
	poolKept = 1 << 20
)

func poolClass(n int) int {
	c := 0
	for n > 1<<(poolSmallest+c) {
		c++
	}
	return c
}

// get returns an empty buffer of at least n bytes.
func (p *bufferPool) get(n int) []byte {
	c := poolClass(n)
	if c < poolClasses {
		if k := len(p.free[c]); k > 0 {
			b := p.free[c][k-1]
			p.free[c][k-1] = nil
			p.free[c] = p.free[c][:k-1]
			return b
		}
	}
	size := 1 << (poolSmallest + c)
	p.held += size
	return make([]byte, 0, size)
}

// put takes a buffer back. A nil buffer is fine.
func (p *bufferPool) put(b []byte) {
	if cap(b) == 0 {
		return
	}
	c := poolClass(cap(b))
	if c < poolClasses && (len(p.free[c])+1)<<(poolSmallest+c) <= poolKept {
		p.free[c] = append(p.free[c], b[:0])
		return
	}
	p.held -= cap(b)
}

// drop lets go of the buffers that wait for their next use.
func (p *bufferPool) drop() {
	for i, free := range p.free {
		for _, b := range free {
			p.held -= cap(b)
		}
		p.free[i] = nil
	}
}
