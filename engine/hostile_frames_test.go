package engine_test

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"throng/engine"
)

const (
	offerDeflate = "Sec-WebSocket-Extensions: permessage-deflate"
	mask         = "\x01\x02\x03\x04"
)

// length is a frame's head that declares n bytes in the longest form, or in
// that of 16 bits.
func length64(first byte, n uint64) string {
	return string(binary.BigEndian.AppendUint64([]byte{first, 0xff}, n)) + mask
}

func length16(first byte, n uint16) string {
	return string(binary.BigEndian.AppendUint16([]byte{first, 0xfe}, n)) + mask
}

// deflated compresses as RFC 7692 section 7.2.1 says.
func deflated(payload string) string {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestCompression)
	_, _ = io.WriteString(w, payload)
	_ = w.Flush()
	return strings.TrimSuffix(b.String(), "\x00\x00\xff\xff")
}

// TestFrameOffence has every way to break the rules of the frame layer answered
// with its Close code, once in one piece and once byte by byte, and the rest of
// the input discarded, while two others chat.
func TestFrameOffence(t *testing.T) {
	const (
		protocolError = engine.ReasonProtocol
		tooBig        = engine.ReasonTooBig
	)
	bomb := deflated(strings.Repeat("a", 2<<20)) // about 2 KiB
	r := start(t, nil, func(c *engine.Config) { c.Compress = true })
	c := r.crowd()
	for _, x := range []struct {
		name  string
		bytes string
		code  uint16
		why   engine.Reason
	}{
		{"unmasked", "\x81\x02hi", 1002, protocolError},
		{"RSV1 without deflate", frame(0xc1, "hi"), 1002, protocolError},
		{"RSV2", frame(0xa1, "hi"), 1002, protocolError},
		{"RSV3", frame(0x91, "hi"), 1002, protocolError},
		{"RSV2 with deflate", frame(0xe1, "hi"), 1002, protocolError},
		{"RSV1 on a control frame", frame(0xc9, "hi"), 1002, protocolError},
		{"RSV1 on a continuation", frame(0x41, deflated("hi")[:1]) + frame(0xc0, deflated("hi")[1:]), 1002, protocolError},
		{"opcode 3", frame(0x83, "hi"), 1002, protocolError},
		{"opcode 11", frame(0x8b, "hi"), 1002, protocolError},
		{"length of 125 in 16 bits", length16(0x81, 125), 1002, protocolError},
		{"length of 65535 in 64 bits", length64(0x81, 65535), 1002, protocolError},
		{"negative length", length64(0x81, 1<<63|5), 1002, protocolError},
		{"continuation of nothing", frame(0x80, "hi"), 1002, protocolError},
		{"new message amid fragments", frame(0x01, "hi") + frame(0x81, "ho"), 1002, protocolError},
		{"fragmented ping", frame(0x09, "hi"), 1002, protocolError},
		{"long ping", length16(0x89, 126), 1002, protocolError},
		{"long close", length16(0x88, 126), 1002, protocolError},
		{"bad UTF-8", frame(0x81, "h\xff"), 1007, engine.ReasonUTF8},
		{"bad UTF-8 in an unfinished message", frame(0x01, "h\xff"), 1007, engine.ReasonUTF8},
		{"surrogate over two fragments", frame(0x01, "h\xed") + frame(0x80, "\xa0\x80"), 1007, engine.ReasonUTF8},
		{"cut character at the end", frame(0x01, "h") + frame(0x80, "\xc3"), 1007, engine.ReasonUTF8},
		{"bad UTF-8 inflated", frame(0xc1, deflated("h\xff")), 1007, engine.ReasonUTF8},
		{"bad UTF-8 in a close reason", frame(0x88, "\x03\xe8\xff"), 1007, engine.ReasonUTF8},
		{"close of one byte", frame(0x88, "\x03"), 1002, engine.ReasonCloseCode},
		{"close code 999", frame(0x88, "\x03\xe7"), 1002, engine.ReasonCloseCode},
		{"close code 1004", frame(0x88, "\x03\xec"), 1002, engine.ReasonCloseCode},
		{"close code 1005", frame(0x88, "\x03\xed"), 1002, engine.ReasonCloseCode},
		{"close code 1006", frame(0x88, "\x03\xee"), 1002, engine.ReasonCloseCode},
		{"close code 1015", frame(0x88, "\x03\xf7"), 1002, engine.ReasonCloseCode},
		{"close code 2999", frame(0x88, "\x0b\xb7"), 1002, engine.ReasonCloseCode},
		{"close code 5000", frame(0x88, "\x13\x88"), 1002, engine.ReasonCloseCode},
		{"message too big", length64(0x82, 65537), 1009, tooBig},
		{"declared 2^62", length64(0x82, 1<<62), 1009, tooBig},
		{"sum of fragments too big", frame(0x02, strings.Repeat("a", 65536)) + frame(0x00, "a"), 1009, tooBig},
		{"declared 2^62 in a fragment", frame(0x02, "a") + length64(0x00, 1<<62), 1009, tooBig},
		{"endless fragments", frame(0x01, "a") + strings.Repeat(frame(0x00, "a"), 1024), 1008, engine.ReasonFragments},
		{"empty fragments", frame(0x01, "") + strings.Repeat(frame(0x00, ""), 1024), 1008, engine.ReasonFragments},
		{"compression bomb", frame(0xc2, bomb), 1009, engine.ReasonInflateTooBig},
		{"bomb in fragments", frame(0x42, bomb[:1000]) + frame(0x80, bomb[1000:]), 1009, engine.ReasonInflateTooBig},
		{"one byte more than the limit inflated", frame(0xc2, deflated(strings.Repeat("a", 65537))), 1009, engine.ReasonInflateTooBig},
		{"bad deflate data", frame(0xc1, "\xff\xff\xff"), 1007, engine.ReasonInflate},
		{"cut deflate data", frame(0xc2, deflated(strings.Repeat("abc", 99))[:5]), 1007, engine.ReasonInflate},
	} {
		t.Run(x.name, func(t *testing.T) {
			r := r.in(t)
			more := []string{offerDeflate}
			if x.name == "RSV1 without deflate" {
				more = nil
			}
			r.costs(2, x.why, "", func() {
				p := r.join(more...)
				p.send(x.bytes, frame(0x81, "never"), frame(0x89, "never"))
				p.sentAway(x.code)
				_ = p.Close()

				p = r.join(more...)
				// A byte a packet is of no use in long floods: the last ones are.
				early := max(0, len(x.bytes)-64)
				p.send(x.bytes[:early])
				for _, b := range []byte(x.bytes[early:]) {
					if _, err := p.Conn.Write([]byte{b}); err != nil {
						break // it was certain before the last byte
					}
				}
				p.sentAway(x.code)
				_ = p.Close()
			})
		})
	}
	for _, p := range c.people { // nobody heard what stood behind an offence
		if n := p.others.Load(); n != 0 {
			t.Errorf("a bystander got %d messages of the offenders", n)
		}
	}
	c.parts()
	if log := r.log.String(); log != "" {
		t.Errorf("offences were logged at the normal level: %s", log)
	}
}

// TestFrameRules has what is allowed and often done wrong.
func TestFrameRules(t *testing.T) {
	r := start(t, nil, func(c *engine.Config) { c.Compress = true })
	for _, x := range []struct {
		name string
		play func(p *peer)
	}{
		{"control frames amid fragments", func(p *peer) {
			p.send(frame(0x01, "hel"), frame(0x89, "ping"), frame(0x8a, "pong"))
			p.gets(ws.OpPong, "ping") // at once: the message is not finished
			p.send(frame(0x80, "lo"))
			p.gets(ws.OpText, "hello")
		}},
		{"character split over fragments", func(p *peer) {
			p.send(frame(0x01, "\xf0\x9f"), frame(0x00, "\x98"), frame(0x00, ""), frame(0x80, "\x80"))
			p.gets(ws.OpText, "😀")
		}},
		{"binary is not looked into", func(p *peer) {
			p.send(frame(0x82, "\xff\x00"))
			p.gets(ws.OpBinary, "\xff\x00")
		}},
		{"message of the limit", func(p *peer) {
			whole := strings.Repeat("a", 65536)
			p.send(frame(0x02, whole[:40000]), frame(0x80, whole[40000:]))
			p.gets(ws.OpBinary, whole)
		}},
		{"message of the limit inflated", func(p *peer) {
			p.send(frame(0xc2, deflated(strings.Repeat("a", 65536))))
			p.gets(ws.OpBinary, strings.Repeat("a", 65536))
		}},
		{"1024 fragments", func(p *peer) {
			p.send(frame(0x01, "a"), strings.Repeat(frame(0x00, "a"), 1022), frame(0x80, "a"))
			p.gets(ws.OpText, strings.Repeat("a", 1024))
		}},
		{"pong with the ping's payload", func(p *peer) {
			for _, payload := range []string{"", "\x00\xff", strings.Repeat("p", 125)} {
				p.send(frame(0x89, payload))
				p.gets(ws.OpPong, payload)
			}
		}},
		{"close is answered with its code", func(p *peer) {
			p.send(frame(0x88, "\x0f\xa0bye"))
			p.gets(ws.OpClose, "\x0f\xa0")
			p.ended()
		}},
		{"close without a code is answered without one", func(p *peer) {
			p.send(frame(0x88, ""))
			p.gets(ws.OpClose, "")
			p.ended()
		}},
		{"nothing counts after close", func(p *peer) {
			p.send(frame(0x88, "\x03\xe8"), frame(0x81, "late"), frame(0x89, "late"), frame(0x88, "\x03\xe9"))
			p.gets(ws.OpClose, "\x03\xe8")
			p.send(frame(0x81, "later"))
			p.ended()
		}},
		{"what was said before close is heard", func(p *peer) {
			p.send(frame(0x81, "last words"), frame(0x88, "\x03\xe8"))
			p.gets(ws.OpText, "last words")
			p.gets(ws.OpClose, "\x03\xe8")
			p.ended()
		}},
	} {
		t.Run(x.name, func(t *testing.T) {
			p := r.in(t).dial(0)
			if strings.HasSuffix(x.name, "inflated") {
				p.upgrade(offerDeflate)
			} else {
				p.upgrade()
			}
			x.play(p)
			_ = p.Close()
			r.in(t).wait("an empty room", func(s engine.Stats) bool { return s.Open == 0 })
		})
	}
}

// TestReservedCloseCodes has a handler that wants to send codes which must never
// be on the wire.
func TestReservedCloseCodes(t *testing.T) {
	codes := map[string]uint16{"1005": 1005, "1006": 1006, "1015": 1015}
	r := start(t, &script{message: func(c *engine.Conn, text string) bool {
		if code, ok := codes[text]; ok {
			c.Close(code, "")
		}
		return true
	}})
	for code := range codes {
		p := r.join()
		p.say(code)
		if op, payload, err := p.next(); err == nil && op == ws.OpClose {
			if told, _ := ws.ParseCloseFrameData([]byte(payload)); fmt.Sprint(told) == code {
				t.Errorf("code %s is on the wire", code)
			}
		}
		_ = p.Close()
	}
}

// TestDeclaredLength declares 2^62 bytes, and 64 KiB that never come, a hundred
// times: nothing is allocated before bytes arrive.
func TestDeclaredLength(t *testing.T) {
	const n = 100
	for _, x := range []struct {
		name string
		head string
		away bool
	}{
		{"2^62", length64(0x82, 1<<62), true},
		{"64 KiB that never come", length64(0x82, 65536), false},
	} {
		t.Run(x.name, func(t *testing.T) {
			r := start(t, nil)
			var peers [n]*peer
			for i := range peers {
				peers[i] = r.join()
			}
			r.wait("everybody", func(s engine.Stats) bool { return s.Open == n })
			before := allocated()
			for _, p := range peers {
				_, _ = io.WriteString(p.Conn, x.head)
			}
			if x.away {
				r.wait("the end of all", func(s engine.Stats) bool { return s.Open == 0 })
			} else {
				r.wait("all that was sent", func(s engine.Stats) bool {
					return s.BytesIn == n*uint64(len(x.head)+len(handshake()))
				})
			}
			if grown := allocated() - before; grown > 1<<20 {
				t.Errorf("%d declarations made the process allocate %d bytes", n, grown)
			}
			for _, p := range peers {
				if x.away {
					p.sentAway(1009)
				}
				_ = p.Close()
			}
		})
	}
}

// allocated is what was ever allocated on the heap.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}
