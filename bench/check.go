package bench

import (
	"encoding/binary"
	"math/rand/v2"
	"time"
)

// What a message of the loader carries, and what is made of it on arrival. Every byte is accounted for:
//
//	0       4       8               16      20      24      28
//	sender  seq     planned instant room    lag     sum     filler ...
//
// sender is the place of the sender among those of its room, seq counts its messages from 0, the planned
// instant is nanoseconds since the loader began, lag is by how many microseconds the message left late. sum
// covers the rest and is salted for the run, so that a stranger's message is not taken for one of ours.

// PayloadBytesMin is the shortest payload that carries what is checked.
const PayloadBytesMin = 28

type stamp struct {
	sender, seq uint32
	plan        time.Duration
	room        uint32
	lag         uint32
}

// sum is three multiplications that do not wait for each other; any one bit changes it.
func (k *checker) sum(a, b, c uint64) uint32 {
	return uint32(((a^k.salt)*0x9e3779b97f4a7c15 + b*0xd6e8feb86659fd93 + c*0xa0761d6478bd642f) >> 32)
}

func (k *checker) appendPayload(b []byte, s stamp) []byte {
	v0, v1 := uint64(s.sender)|uint64(s.seq)<<32, uint64(s.plan)
	v2 := uint64(s.room) | uint64(s.lag)<<32
	b = binary.LittleEndian.AppendUint64(b, v0)
	b = binary.LittleEndian.AppendUint64(b, v1)
	b = binary.LittleEndian.AppendUint64(b, v2)
	b = binary.LittleEndian.AppendUint32(b, k.sum(v0, v1, v2))
	return append(b, k.filler...)
}

// Faults is what a server did to messages and connections that it should not have done.
type Faults struct {
	Lost         uint64         `json:"lost"`
	Duplicated   uint64         `json:"duplicated"`
	Reordered    uint64         `json:"reordered"`
	Corrupt      uint64         `json:"corrupt"` // changed, cut, or not from this run
	Stray        uint64         `json:"stray"`   // delivered to another room
	Disconnected map[string]int `json:"disconnected,omitempty"`
}

// Any tells whether there was a fault at all.
func (f Faults) Any() bool {
	return f.Lost+f.Duplicated+f.Reordered+f.Corrupt+f.Stray > 0 || len(f.Disconnected) > 0
}

// checker follows, for each receiver and each sender of its room, which sequence comes next. In the healthy case
// a message costs one comparison; what is missing is kept by name until it comes late, or stays lost.
type checker struct {
	salt      uint64
	filler    string
	size      int
	delivered uint64 // messages that arrived for the first time
	faults    Faults
	missing   map[missing]struct{}
	forgotten uint64 // missing beyond missingMax: lost even if they come late
}

type missing struct{ conn, sender, seq uint32 }

const missingMax = 1 << 20

func newChecker(size int) checker {
	filler := make([]byte, size-PayloadBytesMin)
	for i := range filler {
		filler[i] = byte('a' + i%26)
	}
	return checker{
		salt: rand.Uint64(), filler: string(filler), size: size,
		missing: make(map[missing]struct{}),
		faults:  Faults{Disconnected: make(map[string]int)},
	}
}

// stranger is what message says of a payload that is not a new message of a sender in this room.
const stranger = -1

// message judges one payload at receiver c: whose new message it is, when it was planned, how late it left.
func (k *checker) message(c *conn, p []byte) (sender int32, plan time.Duration, lag uint32) {
	if len(p) != k.size {
		k.faults.Corrupt++
		return stranger, 0, 0
	}
	v0 := binary.LittleEndian.Uint64(p)
	v1 := binary.LittleEndian.Uint64(p[8:])
	v2 := binary.LittleEndian.Uint64(p[16:])
	if binary.LittleEndian.Uint32(p[24:]) != k.sum(v0, v1, v2) || string(p[PayloadBytesMin:]) != k.filler {
		k.faults.Corrupt++
		return stranger, 0, 0
	}
	who, seq := uint32(v0), uint32(v0>>32)
	if uint32(v2) != c.room || uint64(who) >= uint64(len(c.next)) {
		k.faults.Stray++
		return stranger, 0, 0
	}
	if c.next[who] == seq {
		c.next[who] = seq + 1
		k.delivered++
	} else if !k.outOfTurn(c, who, seq) {
		return stranger, 0, 0
	}
	return int32(who), time.Duration(v1), uint32(v2 >> 32)
}

// outOfTurn takes a message that is not the next of its sender: ahead of a gap, late, or there before.
func (k *checker) outOfTurn(c *conn, sender, seq uint32) (fresh bool) {
	if want := c.next[sender]; seq > want {
		for gap := want; gap < seq; gap++ {
			if len(k.missing) == missingMax {
				k.forgotten += uint64(seq - gap)
				break
			}
			k.missing[missing{c.index, sender, gap}] = struct{}{}
		}
		c.next[sender] = seq + 1
		k.delivered++
		return true
	}
	was := missing{c.index, sender, seq}
	if _, late := k.missing[was]; !late {
		k.faults.Duplicated++
		return false
	}
	delete(k.missing, was)
	k.faults.Reordered++
	k.delivered++
	return true
}

// lost counts, at the end, what never came to those who are still connected.
func (k *checker) lost(conns []conn, sent func(room, sender uint32) uint32) uint64 {
	n := k.forgotten
	for m := range k.missing {
		if conns[m.conn].state == connOpen {
			n++
		}
	}
	for i := range conns {
		c := &conns[i]
		if c.state != connOpen {
			continue
		}
		for s, next := range c.next {
			n += uint64(sent(c.room, uint32(s)) - next)
		}
	}
	return n
}
