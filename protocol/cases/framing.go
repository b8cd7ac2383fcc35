package cases

import (
	"bytes"
	"fmt"
)

// sizes: every form of the length, for messages and for control frames.
func sizes() (out []Case) {
	for _, op := range []byte{Text, Binary} {
		for _, n := range []int{0, 1, 2, 3, 4, 5, 15, 16, 17, 125, 126, 127, 128, 255, 256, 4095, 65535, 65536} {
			s := begin(fmt.Sprintf("size/op%d/%d", op, n))
			out = append(out, s.message(op, s.payload(op, n)).goesOn())
		}
	}
	s := begin("size/one after another")
	for n := range 40 {
		s.message(Text, s.textOf(n)).message(Binary, s.bytesOf(n))
	}
	out = append(out, s.goesOn())

	for n := range 126 {
		s := begin(fmt.Sprintf("ping/%d", n))
		ping := s.bytesOf(n)
		out = append(out, s.frame(fin|Ping, ping).says(Ping, ping).goesOn())
	}
	for _, n := range []int{0, 1, 125} {
		s := begin(fmt.Sprintf("pong/%d", n))
		pong := s.bytesOf(n)
		out = append(out, s.frame(fin|Pong, pong).says(Pong, pong).goesOn())
	}
	return out
}

func (s *script) payload(op byte, n int) []byte {
	if op == Text {
		return s.textOf(n)
	}
	return s.bytesOf(n)
}

// headers: what is refused by a header alone, before there is a payload.
func headers() (out []Case) {
	hello := []byte("Hello")
	for rsv := byte(1); rsv < 8; rsv++ {
		for _, op := range []byte{Text, Binary, Ping, Pong, Close} {
			s := begin(fmt.Sprintf("rsv/%d/op%d", rsv, op)).message(Text, hello)
			out = append(out, s.raw(fin|rsv<<4|op).fails("protocol_error", 1002, 0))
		}
		s := begin(fmt.Sprintf("rsv/%d/continuation", rsv)).frame(Text, hello)
		out = append(out, s.raw(fin|rsv<<4).fails("protocol_error", 1002, 0))
	}
	for _, op := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		s := begin(fmt.Sprintf("opcode/%d", op)).message(Text, hello)
		out = append(out, s.raw(fin|op).fails("protocol_error", 1002, 0))
		s = begin(fmt.Sprintf("opcode/%d amid a message", op)).frame(Text, hello)
		out = append(out, s.raw(op).fails("protocol_error", 1002, 0))
	}
	for _, op := range []byte{Text, Binary, Ping, Pong, Close} {
		s := begin(fmt.Sprintf("unmasked/op%d", op)).message(Text, hello)
		out = append(out, s.raw(fin|op, 5).fails("protocol_error", 1002, 0))
	}
	s := begin("unmasked/continuation").frame(Text, hello)
	out = append(out, s.raw(fin|Continuation, 5).fails("protocol_error", 1002, 0))
	for _, op := range []byte{Ping, Pong, Close} {
		s := begin(fmt.Sprintf("control/fragmented/op%d", op)).message(Text, hello)
		out = append(out, s.raw(op).fails("protocol_error", 1002, 0))
		for _, n := range []byte{126, 127} {
			s := begin(fmt.Sprintf("control/long/op%d/%d", op, n)).message(Text, hello)
			out = append(out, s.raw(fin|op, 0x80|n).fails("protocol_error", 1002, 0))
		}
	}
	return append(out, lengths()...)
}

// lengths: forms that are not the shortest, and the negative. What later bytes of the length cannot change is
// known before they arrive.
func lengths() (out []Case) {
	bad := func(name string, later int, length ...byte) {
		s := begin("length/"+name).message(Text, []byte("Hello")).raw(fin | Binary).raw(length...)
		out = append(out, s.fails("protocol_error", 1002, later))
	}
	bad("0 in 16 bits", 0, 0xfe, 0, 0)
	bad("125 in 16 bits", 0, 0xfe, 0, 125)
	bad("0 in 64 bits", 2, 0xff, 0, 0, 0, 0, 0, 0, 0, 0)
	bad("65535 in 64 bits", 2, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff)
	bad("top bit", 7, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0)
	bad("all bits", 7, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
	return out
}

// fragments: messages in pieces, with control frames between them.
func fragments() (out []Case) {
	for _, op := range []byte{Text, Binary} {
		for i, sizes := range [][]int{
			{5, 5}, {0, 0}, {0, 5}, {5, 0}, {0, 0, 0, 5, 0}, {1, 1, 1, 1, 1, 1}, {125, 126, 127},
			{1, 65535}, {30000, 1, 30000}, bytesTimes(64, 1000), bytesTimes(1, 1024),
		} {
			name := fmt.Sprintf("fragments/op%d/%d: %d", op, i, len(sizes))
			out = append(out, begin(name).pieces(op, sizes, 0).goesOn())
			out = append(out, begin(name+", pings between").pieces(op, sizes, 1).goesOn())
			out = append(out, begin(name+", pings and pongs between").pieces(op, sizes, 3).goesOn())
		}
	}
	s := begin("fragments/Close amid a message").frame(Text, []byte("never en"))
	out = append(out, s.closes(1000, "bye"))

	lost := func(name string) *script { return begin("fragments/"+name).message(Text, []byte("Hello")) }
	out = append(out,
		lost("continuation of nothing, FIN").raw(fin|Continuation).fails("protocol_error", 1002, 0),
		lost("continuation of nothing").raw(Continuation).fails("protocol_error", 1002, 0),
		lost("continuation after the end").pieces(Text, []int{3, 3}, 0).raw(Continuation).fails("protocol_error", 1002, 0),
		lost("text in text").frame(Text, nil).raw(Text).fails("protocol_error", 1002, 0),
		lost("whole text in text").frame(Text, nil).raw(fin|Text).fails("protocol_error", 1002, 0),
		lost("binary in text").frame(Text, []byte("ab")).raw(Binary).fails("protocol_error", 1002, 0),
		lost("text in binary").frame(Binary, []byte("ab")).raw(fin|Text).fails("protocol_error", 1002, 0),
	)
	return out
}

func bytesTimes(n, times int) []int {
	all := make([]int, times)
	for i := range all {
		all[i] = n
	}
	return all
}

// pieces writes a message of fragments of these sizes, and after every one but the last so many control
// frames, of different lengths.
func (s *script) pieces(op byte, sizes []int, controls int) *script {
	total := 0
	for _, n := range sizes {
		total += n
	}
	whole := s.payload(op, total)
	rest, first := whole, op
	for i, n := range sizes {
		if i == len(sizes)-1 {
			first |= fin
		}
		s.frame(first, rest[:n])
		rest, first = rest[n:], Continuation
		for c := 0; c < controls && i < len(sizes)-1; c++ {
			data := s.bytesOf((i*7 + c) % 126)
			control := Ping + byte(c%2)
			s.frame(fin|control, data).says(control, data)
		}
	}
	return s.says(op, whole)
}

// limits: what is too much is known from the header.
func limits() (out []Case) {
	const max = 64 << 10
	for _, op := range []byte{Text, Binary} {
		s := begin(fmt.Sprintf("limit/a byte over/op%d", op)).message(op, bytes.Repeat([]byte{'x'}, max))
		out = append(out, s.raw(fin|op, 0xff, 0, 0, 0, 0, 0, 1, 0, 1).fails("too_big", 1009, 0))
		s = begin(fmt.Sprintf("limit/sum of fragments/op%d", op)).pieces(op, []int{max - 10, 10}, 1)
		s.frame(op, bytes.Repeat([]byte{'x'}, max-10))
		out = append(out, s.raw(Continuation, 0x80|11).fails("too_big", 1009, 0))
		s = begin(fmt.Sprintf("limit/2^62/op%d", op)).raw(op, 0xff, 0x40)
		out = append(out, s.raw(0, 0, 0, 0, 0, 0, 0).fails("too_big", 1009, 7))
		s = begin(fmt.Sprintf("limit/2^40/op%d", op)).raw(op, 0xff, 0, 0, 1)
		out = append(out, s.raw(0, 0, 0, 0, 0).fails("too_big", 1009, 5))
		s = begin(fmt.Sprintf("limit/sum passes 2^63/op%d", op)).frame(op, []byte("x"))
		out = append(out, s.raw(fin, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff).fails("too_big", 1009, 7))
	}
	s := begin("limit/message of 300").limit(300, 0, 0).message(Text, s300).pieces(Binary, []int{299, 1}, 1)
	out = append(out, s.raw(fin|Binary, 0xfe, 1, 45).fails("too_big", 1009, 0))
	s = begin("limit/message of 300, known from half a length").limit(300, 0, 0).raw(Text, 0xfe, 2)
	out = append(out, s.fails("too_big", 1009, 0))
	s = begin("limit/message of 10").limit(10, 0, 0).message(Text, s300[:10])
	out = append(out, s.raw(fin|Text, 0x80|11).fails("too_big", 1009, 0))
	s = begin("limit/frame of 100").limit(0, 100, 0).pieces(Text, []int{100, 100, 100}, 1)
	out = append(out, s.raw(Text, 0x80|101).fails("too_big", 1009, 0))
	s = begin("limit/controls do not count").limit(10, 10, 2).frame(Text, s300[:5])
	s.frame(fin|Ping, s300[:125]).says(Ping, s300[:125]).frame(fin|Pong, s300[:125]).says(Pong, s300[:125])
	out = append(out, s.frame(fin, s300[5:10]).says(Text, s300[:10]).goesOn())

	s = begin("limit/1,025 fragments").pieces(Text, bytesTimes(0, 1024), 0).frame(Binary, nil)
	for range 1023 {
		s.frame(Continuation, nil)
	}
	out = append(out, s.raw(fin|Continuation).fails("fragments", 1008, 0))
	s = begin("limit/3 fragments").limit(0, 0, 3).pieces(Text, []int{1, 1, 1}, 2).frame(Text, nil).frame(0, nil).frame(0, nil)
	out = append(out, s.raw(Continuation).fails("fragments", 1008, 0))
	return out
}

var s300 = bytes.Repeat([]byte("abcdefghij"), 30)

func (s *script) limit(message, frame, fragments int) *script {
	s.MaxMessage, s.MaxFrame, s.MaxFragments = message, frame, fragments
	return s
}
