package bench

import (
	"encoding/binary"

	"throng/bench/report"
)

// What a message of the loader carries, and what is made of it on arrival. Every byte is accounted for:
//
//	0       4       8               16      20      24      28
//	sender  seq     planned instant room    lag     sum     filler ...
//
// sender is the place of the sender among those of its room, seq counts its messages from 0, the planned
// instant is on the clock of all workers, lag is by how many microseconds the message left late. sum
// covers the rest and is salted for the run, so that a stranger's message is not taken for one of ours.

type stamp struct {
	sender, seq uint32
	plan        instant
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

// checker follows, for each receiver and each sender of its room, which sequence comes next. In the healthy case
// a message costs one comparison; what is missing is kept by name until it comes late, or stays lost.
type checker struct {
	salt      uint64
	filler    string
	size      int
	delivered uint64 // messages that arrived for the first time
	faults    report.Faults
	foreign   uint64 // messages that carry nothing of ours, where that may be
	acks      uint64 // by which the server acknowledged a message
	missing   map[missing]struct{}
	forgotten uint64 // missing beyond missingMax: lost even if they come late
}

type missing struct{ conn, sender, seq uint32 }

const missingMax = 1 << 20

func newChecker(size int, salt uint64) checker {
	filler := make([]byte, size-PayloadBytesMin)
	for i := range filler {
		filler[i] = byte('a' + i%26)
	}
	return checker{
		salt: salt, filler: string(filler), size: size,
		missing: make(map[missing]struct{}),
		faults:  report.Faults{Disconnected: make(map[string]int)},
	}
}

// verdict is what is known of a message that arrived: whose new one it is, when it was planned, how late it left.
type verdict struct {
	sender int32
	plan   instant
	lag    uint32
}

// stranger is what message says of a payload that is not a new message of a sender in this room.
const stranger = -1

// unseen stands for the next sequence of a sender of whom one who came back has heard nothing yet.
const unseen = 1<<32 - 1

// message judges one payload at receiver c.
func (k *checker) message(c *conn, p []byte) verdict {
	if len(p) != k.size {
		k.faults.Corrupt++
		return verdict{sender: stranger}
	}
	v0 := binary.LittleEndian.Uint64(p)
	v1 := binary.LittleEndian.Uint64(p[8:])
	v2 := binary.LittleEndian.Uint64(p[16:])
	if binary.LittleEndian.Uint32(p[24:]) != k.sum(v0, v1, v2) || string(p[PayloadBytesMin:]) != k.filler {
		k.faults.Corrupt++
		return verdict{sender: stranger}
	}
	who, seq := uint32(v0), uint32(v0>>32)
	if uint32(v2) != c.room || uint64(who) >= uint64(len(c.next)) {
		k.faults.Stray++
		return verdict{sender: stranger}
	}
	if c.next[who] == seq {
		c.next[who] = seq + 1
		k.delivered++
	} else if !k.outOfTurn(c, who, seq) {
		return verdict{sender: stranger}
	}
	return verdict{int32(who), instant(v1), uint32(v2 >> 32)}
}

// outOfTurn takes a message that is not the next of its sender: ahead of a gap, late, or there before.
func (k *checker) outOfTurn(c *conn, sender, seq uint32) (fresh bool) {
	want := c.next[sender]
	if want == unseen {
		c.next[sender] = seq + 1
		k.delivered++
		return true
	}
	if seq > want {
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

// forget gives up what one who left has missed, and lets it begin anew.
func (k *checker) forget(c *conn) (lost uint64) {
	if len(k.missing) > 0 {
		for m := range k.missing {
			if m.conn == c.index {
				delete(k.missing, m)
				lost++
			}
		}
	}
	for i := range c.next {
		c.next[i] = unseen
	}
	return lost
}

// outstanding is what those who are connected have not got of what was sent.
func (k *checker) outstanding(conns []conn, of func(*conn) bool, sent func(room, sender uint32) uint32) (n uint64) {
	for m := range k.missing {
		if c := &conns[m.conn]; c.state == connOpen && of(c) {
			n++
		}
	}
	for i := range conns {
		c := &conns[i]
		if c.state != connOpen || !of(c) {
			continue
		}
		for s, next := range c.next {
			if next != unseen {
				n += uint64(sent(c.room, uint32(s)) - next)
			}
		}
	}
	return n
}
