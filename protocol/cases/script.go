package cases

import (
	"encoding/binary"
	"hash/fnv"
	"math/rand/v2"
)

// script writes a case down as the client's doings one after another.
type script struct {
	Case
	random *rand.Rand
}

func begin(name string) *script {
	seed := fnv.New64a()
	seed.Write([]byte(name))
	return &script{Case: Case{Name: name}, random: rand.New(rand.NewPCG(seed.Sum64(), 1))}
}

const fin, rsv1, rsv2, rsv3 = 0x80, 0x40, 0x20, 0x10

// header writes a frame's header with the length in the shortest form; first is FIN, RSV bits and opcode.
func (s *script) header(first byte, n int) (key [4]byte) {
	switch {
	case n < 126:
		s.raw(first, 0x80|byte(n))
	case n < 1<<16:
		s.raw(first, 0x80|126, byte(n>>8), byte(n))
	default:
		s.raw(first, 0x80|127)
		s.In = binary.BigEndian.AppendUint64(s.In, uint64(n))
	}
	binary.LittleEndian.PutUint32(key[:], s.random.Uint32())
	s.raw(key[:]...)
	return key
}

// frame writes a whole frame.
func (s *script) frame(first byte, payload []byte) *script {
	key := s.header(first, len(payload))
	for i, b := range payload {
		s.In = append(s.In, b^key[i%4])
	}
	return s
}

func (s *script) raw(b ...byte) *script {
	s.In = append(s.In, b...)
	return s
}

// says notes that what was written so far completes an event.
func (s *script) says(op byte, payload []byte) *script {
	s.Want = append(s.Want, Event{Op: op, Payload: payload, At: len(s.In)})
	return s
}

// message writes a whole message in one frame.
func (s *script) message(op byte, payload []byte) *script {
	return s.frame(fin|op, payload).says(op, payload)
}

// fails notes that the client has broken a rule with the last byte but later of those written so far. What
// follows in the packet must not matter, so a good message follows.
func (s *script) fails(label string, code uint16, later int) Case {
	s.Label, s.Close, s.FailAt = label, code, len(s.In)-later
	return s.frame(fin|Text, []byte("too late")).Case
}

// closes ends a well-behaved script with a Close and something after it that must be ignored.
func (s *script) closes(code uint16, reason string) Case {
	var body []byte
	s.Close = NoCode
	if code != 0 {
		s.Close = code
		body = append(binary.BigEndian.AppendUint16(nil, code), reason...)
	}
	s.frame(fin|Close, body)
	s.Want = append(s.Want, Event{Op: Close, Code: code, Payload: []byte(reason), At: len(s.In)})
	return s.frame(fin|Text, []byte("too late")).frame(fin|Close, body).Case
}

// goesOn ends a well-behaved script: the connection still works.
func (s *script) goesOn() Case { return s.message(Text, []byte("still here")).Case }

// bytesOf makes n bytes of any value, which do not compress.
func (s *script) bytesOf(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(s.random.Uint32())
	}
	return b
}

// textOf makes n bytes of text with characters of all lengths.
func (s *script) textOf(n int) []byte {
	const words = "the quick braune Füchsin springt über 大象 and 🐘 jumps, κόσμε! "
	var b []byte
	for len(b) < n {
		from := s.random.IntN(len(words))
		for from > 0 && words[from]&0xc0 == 0x80 {
			from--
		}
		b = append(b, words[from:]...)
	}
	b = b[:n]
	for i := max(0, n-3); i < n; i++ {
		if b[i] >= 0xc0 && i+length(b[i]) > n { // a character that the end cuts
			copy(b[i:], "...")
		}
	}
	return b
}

func length(lead byte) int {
	switch {
	case lead >= 0xf0:
		return 4
	case lead >= 0xe0:
		return 3
	default:
		return 2
	}
}
