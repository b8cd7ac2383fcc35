package protocol

import "testing"

// farthest is the greatest distance that a message's compressed payload looks back, which no inflater tells.
// It walks the stream of RFC 1951 without keeping what it says, only how much.
func farthest(t *testing.T, payload []byte) int {
	t.Helper()
	w := &deflateWalk{t: t, in: append(payload[:len(payload):len(payload)], tail...)}
	for final := false; !final; {
		final = w.bits(1) == 1
		switch kind := w.bits(2); kind {
		case 0:
			w.stored()
		case 1:
			w.block(fixedCodes())
		case 2:
			w.block(w.dynamicCodes())
		default:
			t.Fatal("a block of no type")
		}
	}
	return w.far
}

type deflateWalk struct {
	t   *testing.T
	in  []byte
	bit int
	out int // bytes said so far
	far int
}

func (w *deflateWalk) bits(n int) (v int) {
	for i := range n {
		if w.bit>>3 >= len(w.in) {
			w.t.Fatal("the stream breaks off")
		}
		v |= int(w.in[w.bit>>3]>>(w.bit&7)&1) << i
		w.bit++
	}
	return v
}

// stored: section 3.2.4.
func (w *deflateWalk) stored() {
	w.bit = (w.bit + 7) &^ 7
	n, inverted := w.bits(16), w.bits(16)
	if n != inverted^0xffff {
		w.t.Fatal("the length of a stored block")
	}
	w.out += n
	w.bit += 8 * n
}

// prefixCode: section 3.2.2. Codes of one length follow one another in the order of their symbols, and those
// of the next length begin at twice the end of the last.
type prefixCode struct {
	count   [16]int // codes of each length
	symbols []int   // by length, then by value
}

func newPrefixCode(lengths []int) (c prefixCode) {
	for n := 1; n < 16; n++ {
		for symbol, length := range lengths {
			if length == n {
				c.count[n]++
				c.symbols = append(c.symbols, symbol)
			}
		}
	}
	return c
}

func (w *deflateWalk) symbol(c *prefixCode) int {
	code, begin, passed := 0, 0, 0
	for n := 1; n < 16; n++ {
		code |= w.bits(1)
		if code-begin < c.count[n] {
			return c.symbols[passed+code-begin]
		}
		begin = (begin + c.count[n]) << 1
		passed += c.count[n]
		code <<= 1
	}
	w.t.Fatal("a code that is none")
	return 0
}

// fixedCodes: section 3.2.6.
func fixedCodes() (literals, distances prefixCode) {
	lengths := make([]int, 288)
	for i := range lengths {
		switch {
		case i < 144:
			lengths[i] = 8
		case i < 256:
			lengths[i] = 9
		case i < 280:
			lengths[i] = 7
		default:
			lengths[i] = 8
		}
	}
	far := make([]int, 30)
	for i := range far {
		far[i] = 5
	}
	return newPrefixCode(lengths), newPrefixCode(far)
}

// dynamicCodes: section 3.2.7.
func (w *deflateWalk) dynamicCodes() (literals, distances prefixCode) {
	nliterals, ndistances, nlengths := 257+w.bits(5), 1+w.bits(5), 4+w.bits(4)
	short := make([]int, 19)
	for _, i := range []int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}[:nlengths] {
		short[i] = w.bits(3)
	}
	code := newPrefixCode(short)
	var lengths []int
	for len(lengths) < nliterals+ndistances {
		n, times := w.symbol(&code), 1
		switch n {
		case 16:
			n, times = lengths[len(lengths)-1], 3+w.bits(2)
		case 17:
			n, times = 0, 3+w.bits(3)
		case 18:
			n, times = 0, 11+w.bits(7)
		}
		for range times {
			lengths = append(lengths, n)
		}
	}
	return newPrefixCode(lengths[:nliterals]), newPrefixCode(lengths[nliterals:])
}

// block: section 3.2.5. Lengths and distances are a base and some extra bits, more for each next group.
func (w *deflateWalk) block(literals, distances prefixCode) {
	for {
		s := w.symbol(&literals)
		switch {
		case s < 256:
			w.out++
			continue
		case s == 256:
			return
		}
		length := s - 257
		switch {
		case s == 285:
			length = 258
		case length < 8:
			length += 3
		default:
			extra := length/4 - 1
			length = 3 + (4+length%4)<<extra + w.bits(extra)
		}
		distance := w.symbol(&distances)
		if distance >= 4 {
			extra := distance/2 - 1
			distance = (2+distance%2)<<extra + w.bits(extra)
		}
		distance++
		if distance > w.out {
			w.t.Fatalf("looks back %d bytes of %d", distance, w.out)
		}
		w.far = max(w.far, distance)
		w.out += length
	}
}
