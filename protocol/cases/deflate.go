package cases

import (
	"bytes"
	stdflate "compress/flate"
	"fmt"
	"io"

	"github.com/klauspost/compress/flate"
)

// writer is what both compressors have in common.
type writer interface {
	io.Writer
	Flush() error
	Close() error
}

// compressorNamed is a way to compress a message.
type compressorNamed struct {
	name string
	open func(io.Writer) (writer, error)
}

// compressorsOfAllKinds: two implementations, every window that RFC 7692 knows, stored blocks, blocks of
// literals only, and the fixed code.
func compressorsOfAllKinds() (out []compressorNamed) {
	for bits := 8; bits <= 15; bits++ {
		out = append(out, compressorNamed{fmt.Sprintf("window %d", bits), func(w io.Writer) (writer, error) {
			return flate.NewWriterWindow(w, 1<<bits)
		}})
	}
	for _, level := range []int{1, 9} {
		out = append(out, compressorNamed{fmt.Sprintf("level %d", level), func(w io.Writer) (writer, error) {
			return flate.NewWriter(w, level)
		}})
	}
	for _, level := range []int{stdflate.NoCompression, stdflate.HuffmanOnly, stdflate.BestCompression} {
		out = append(out, compressorNamed{fmt.Sprintf("std level %d", level), func(w io.Writer) (writer, error) {
			return stdflate.NewWriter(w, level)
		}})
	}
	return out
}

// ending is how a sender brings a message's stream to a byte border.
type ending int

const (
	flushed     ending = iota // RFC 7692 section 7.2.1: an empty stored block without its last four bytes
	final                     // section 7.2.3.4: a final block, and a byte for the header of an empty one
	finalOnly                 // a final block and nothing else, as careless senders do
	flushedHalf               // two blocks: a flush in the middle as well
)

func (c compressorNamed) compress(p []byte, end ending) []byte {
	var b bytes.Buffer
	w, err := c.open(&b)
	must(err)
	if end == flushedHalf {
		_, err = w.Write(p[:len(p)/2])
		must(err)
		must(w.Flush())
		p = p[len(p)/2:]
	}
	_, err = w.Write(p)
	must(err)
	switch end {
	case final:
		must(w.Close())
		b.WriteByte(0)
	case finalOnly:
		must(w.Close())
	default:
		must(w.Flush())
		b.Truncate(b.Len() - 4)
	}
	return b.Bytes()
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func beginDeflate(name string) *script {
	s := begin("deflate/" + name)
	s.Deflate = true
	return s
}

// squeezed writes a compressed message in one frame.
func (s *script) squeezed(op byte, compressed, says []byte) *script {
	return s.frame(fin|rsv1|op, compressed).says(op, says)
}

// inPieces writes a compressed message in fragments of n bytes with a ping after every one but the last.
func (s *script) inPieces(op byte, compressed, says []byte, n int) *script {
	first := rsv1 | op
	for len(compressed) > n {
		s.frame(first, compressed[:n]).frame(fin|Ping, says[:min(len(says), 9)]).says(Ping, says[:min(len(says), 9)])
		first, compressed = Continuation, compressed[n:]
	}
	return s.frame(fin|first, compressed).says(op, says)
}

// compressed: messages of every size by every compressor, and the examples of RFC 7692 section 7.2.3.
func compressed() (out []Case) {
	for _, c := range compressorsOfAllKinds() {
		for _, n := range []int{0, 1, 5, 32, 33, 125, 126, 128, 1000, 65536, 128 << 10} {
			s := beginDeflate(fmt.Sprintf("%s/text of %d", c.name, n)).limit(128<<10, 0, 0)
			text := s.textOf(n)
			small := c.compress(text, flushed)
			out = append(out, s.squeezed(Text, small, text).inPieces(Text, small, text, len(small)/3+1).goesOn())
		}
		s := beginDeflate(c.name + "/binary")
		for _, n := range []int{0, 1, 100, 4000} {
			data := s.bytesOf(n)
			s.squeezed(Binary, c.compress(data, flushed), data)
		}
		out = append(out, s.goesOn())
		for end := flushed; end <= flushedHalf; end++ {
			s := beginDeflate(fmt.Sprintf("%s/ending %d", c.name, end))
			text := s.textOf(3000)
			small := c.compress(text, end)
			out = append(out, s.squeezed(Text, small, text).inPieces(Text, small, text, 99).goesOn())
		}
		s = beginDeflate(c.name+"/as much as fits, random").limit(8<<10, 0, 0)
		data := s.bytesOf(8 << 10)
		out = append(out, s.squeezed(Binary, c.compress(data, flushed), data).goesOn())
	}
	return append(out, examples()...)
}

func examples() (out []Case) {
	hello := []byte("Hello")
	good := func(name string, compressed string, says []byte) {
		s := beginDeflate(name).squeezed(Text, []byte(compressed), says)
		out = append(out, s.inPieces(Text, []byte(compressed), says, 1).goesOn())
	}
	good("one block", "\xf2\x48\xcd\xc9\xc9\x07\x00", hello)
	good("stored block", "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", hello)
	good("final block", "\xf3\x48\xcd\xc9\xc9\x07\x00\x00", hello)
	good("two blocks", "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", hello)
	good("two final blocks", "\xf3\x48\xcd\xc9\xc9\x07\x00\xf3\x48\xcd\xc9\xc9\x07\x00\x00", []byte("HelloHello"))
	good("empty", "\x00", nil)
	good("nothing at all", "", nil)

	s := beginDeflate("plain messages between").message(Text, hello).squeezed(Text, []byte("\xf2\x48\xcd\xc9\xc9\x07\x00"), hello)
	out = append(out, s.message(Binary, hello).pieces(Text, []int{2, 3}, 2).goesOn())
	s = beginDeflate("empty last fragment").frame(rsv1|Text, []byte("\xf2\x48\xcd\xc9\xc9\x07\x00"))
	out = append(out, s.frame(fin, nil).says(Text, hello).goesOn())
	return out
}

// compressedWrong: what breaks the rules of the extension, of DEFLATE, or of the limits.
func compressedWrong() (out []Case) {
	const hello = "\xf2\x48\xcd\xc9\xc9\x07\x00"
	bad := func(name, label string, code uint16, op byte, compressed string) {
		s := beginDeflate("bad/"+name).message(Text, []byte("first"))
		out = append(out, s.frame(fin|rsv1|op, []byte(compressed)).fails(label, code, 0))
		s = beginDeflate("bad/"+name+", in pieces").frame(rsv1|op, nil)
		for i := range len(compressed) {
			s.frame(Continuation, []byte(compressed[i:i+1]))
		}
		out = append(out, s.frame(fin, nil).fails(label, code, 0))
	}
	bad("block of no type", "inflate", 1007, Text, "\x06\x00")
	bad("stored length", "inflate", 1007, Binary, "\x00\x05\x00\xfb\xff\x48\x65\x6c\x6c\x6f\x00")
	bad("stored block breaks off", "inflate", 1007, Binary, "\x00\x50\x00\xaf\xff\x48\x65\x6c\x6c\x6f\x00")
	bad("distance before the start", "inflate", 1007, Binary, "\xf2\x00\x11\x00\x00")
	bad("too many distance codes", "inflate", 1007, Binary, "\x04\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")
	bad("noise after a final block", "inflate", 1007, Binary, "\xf3\x48\xcd\xc9\xc9\x07\x00\xff\xff")
	// "H\xed\xa0\x80", stored
	bad("text", "utf8", 1007, Text, "\x00\x04\x00\xfb\xff\x48\xed\xa0\x80\x00")
	bad("text cut", "utf8", 1007, Text, "\x00\x02\x00\xfd\xff\x48\xc3\x00")

	s := beginDeflate("bad/rsv1 on a continuation").frame(rsv1|Text, []byte(hello[:3]))
	out = append(out, s.raw(fin|rsv1).fails("protocol_error", 1002, 0))
	for _, op := range []byte{Ping, Pong, Close} {
		s := beginDeflate(fmt.Sprintf("bad/rsv1 on op%d", op)).frame(rsv1|Text, []byte(hello[:3]))
		out = append(out, s.raw(fin|rsv1|op).fails("protocol_error", 1002, 0))
	}
	for _, more := range []byte{rsv2, rsv3, rsv2 | rsv3} {
		s := beginDeflate(fmt.Sprintf("bad/rsv1 and %x", more)).squeezed(Text, []byte(hello), []byte("Hello"))
		out = append(out, s.raw(fin|rsv1|more|Text).fails("protocol_error", 1002, 0))
	}
	return append(out, bombs()...)
}

// bombs: messages that inflate to more than the limit, from just over it to very much.
func bombs() (out []Case) {
	const max = 64 << 10
	for _, c := range compressorsOfAllKinds() {
		fits := bytes.Repeat([]byte("x"), max)
		s := beginDeflate("bomb/" + c.name + "/a byte over")
		small, over := c.compress(fits, flushed), c.compress(append(fits, 'x'), flushed)
		out = append(out, s.squeezed(Text, small, fits).frame(fin|rsv1|Text, over).fails("inflate_too_big", 1009, 0))
	}
	best, err := flate.NewWriter(io.Discard, 9)
	must(err)
	c := compressorNamed{"best", func(w io.Writer) (writer, error) { best.Reset(w); return best, nil }}
	for _, size := range []int{1 << 20, 8 << 20} {
		s := beginDeflate(fmt.Sprintf("bomb/%d", size))
		bomb := c.compress(make([]byte, size), flushed)
		out = append(out, s.frame(fin|rsv1|Binary, bomb).fails("inflate_too_big", 1009, 0))
	}
	// More compressed bytes than any message within the limit needs are refused by their header.
	s := beginDeflate("compressed size").frame(rsv1|Binary, make([]byte, 0))
	return append(out, s.raw(Continuation, 0xff, 0, 0, 0, 0, 0, 2, 0, 0).fails("too_big", 1009, 2))
}
