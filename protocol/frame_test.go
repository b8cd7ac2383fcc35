package protocol

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// One table for both directions: the header bytes of a server's frame, and what reads them.
var frameTable = []struct {
	op     Opcode
	rsv1   bool
	n      int
	header []byte
}{
	{OpText, false, 0, []byte{0x81, 0}},
	{OpText, false, 5, []byte{0x81, 5}},
	{OpBinary, false, 125, []byte{0x82, 125}},
	{OpText, false, 126, []byte{0x81, 126, 0, 126}},
	{OpText, true, 127, []byte{0xc1, 126, 0, 127}},
	{OpBinary, true, 256, []byte{0xc2, 126, 1, 0}},
	{OpText, false, 65535, []byte{0x81, 126, 0xff, 0xff}},
	{OpText, false, 65536, []byte{0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0}},
	{OpBinary, false, 1 << 24, []byte{0x82, 127, 0, 0, 0, 0, 1, 0, 0, 0}},
	{OpPing, false, 125, []byte{0x89, 125}},
	{OpPong, false, 0, []byte{0x8a, 0}},
	{OpClose, false, 2, []byte{0x88, 2}},
}

func TestFrameHeader(t *testing.T) {
	for _, row := range frameTable {
		got := AppendHeader([]byte("before"), row.op, row.rsv1, row.n)
		if want := append([]byte("before"), row.header...); !bytes.Equal(got, want) {
			t.Errorf("op %d, %d bytes: % x, want % x", row.op, row.n, got, want)
		}
		if got, want := FrameSize(row.n), len(row.header)+row.n; got != want {
			t.Errorf("FrameSize(%d) = %d, want %d", row.n, got, want)
		}
		for have := range row.header {
			if got := FrameLen(row.header[:have]); got != 0 {
				t.Errorf("FrameLen of % x = %d, want 0", row.header[:have], got)
			}
		}
		if got, want := FrameLen(row.header), len(row.header)+row.n; got != want {
			t.Errorf("FrameLen of % x = %d, want %d", row.header, got, want)
		}
		h, err := ws.ReadHeader(bytes.NewReader(row.header))
		if err != nil || h.Masked || !h.Fin || byte(h.OpCode) != byte(row.op) || h.Rsv1() != row.rsv1 || h.Length != int64(row.n) {
			t.Errorf("% x is read as %+v, %v", row.header, h, err)
		}
	}
}

func TestFrameLenWalksALog(t *testing.T) {
	var log []byte
	var want, got []int
	for _, n := range []int{0, 125, 126, 65535, 65536, 1} {
		log = AppendFrame(log, OpText, make([]byte, n))
		want = append(want, FrameSize(n))
	}
	for rest := log; len(rest) > 0; rest = rest[FrameLen(rest):] {
		got = append(got, FrameLen(rest))
	}
	if len(got) != len(want) {
		t.Fatalf("walked %v, want %v", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("walked %v, want %v", got, want)
		}
	}
}

func TestAppendClose(t *testing.T) {
	for _, row := range []struct {
		code         uint16
		reason, want string
	}{
		{0, "not sent", ""},
		{1000, "", ""},
		{1009, "message too big", "message too big"},
		{4408, strings.Repeat("x", 123), strings.Repeat("x", 123)},
		{4408, strings.Repeat("x", 124), strings.Repeat("x", 123)},
		{4408, strings.Repeat("x", 122) + "ä", strings.Repeat("x", 122)},
		{4408, strings.Repeat("x", 121) + "ä!", strings.Repeat("x", 121) + "ä"},
		{4408, strings.Repeat("x", 120) + "🐘", strings.Repeat("x", 120)},
		{4408, strings.Repeat("🐘", 40), strings.Repeat("🐘", 30)},
		{4408, "bad \xff byte", "bad \ufffd byte"},
	} {
		frame := AppendClose([]byte("log"), row.code, row.reason)[3:]
		body := frame[2:]
		if FrameLen(frame) != len(frame) || frame[0] != 0x88 || len(body) > controlBytesMax {
			t.Errorf("Close %d %q: % x", row.code, row.reason, frame)
		}
		code, reason, v := parseClose(body)
		if v != 0 || code != row.code || string(reason) != row.want || !utf8.Valid(reason) {
			t.Errorf("Close %d %q is read as %d %q, %v", row.code, row.reason, code, reason, v)
		}
	}
}

// Every code there is: AppendClose panics exactly where parseClose refuses, and both go by the RFC.
func TestEveryCloseCode(t *testing.T) {
	for n := 1; n <= 0xffff; n++ {
		code := uint16(n)
		allowed := n >= 1000 && n <= 1003 || n >= 1007 && n <= 1014 || n >= 3000 && n <= 4999
		_, _, v := parseClose(binary.BigEndian.AppendUint16(nil, code))
		if (v == 0) != allowed || !allowed && v != BadCloseCode {
			t.Errorf("a Close with %d: %v", code, v)
		}
		if panics(func() { AppendClose(nil, code, "") }) == allowed {
			t.Errorf("AppendClose(%d): allowed %v", code, allowed)
		}
	}
}

func panics(f func()) (yes bool) {
	defer func() { yes = recover() != nil }()
	f()
	return false
}

// Every violation has a code that may be sent, a label, and a text that fits a Close.
func TestViolationsAreComplete(t *testing.T) {
	labels := map[string]uint16{
		"protocol_error": 1002, "utf8": 1007, "close_code": 1002, "too_big": 1009,
		"fragments": 1008, "inflate_too_big": 1009, "inflate": 1007,
	}
	texts := map[string]bool{}
	for v := Violation(1); int(v) < len(violations); v++ {
		if code, known := labels[v.Label()]; !known || code != v.Code() {
			t.Errorf("%d: label %q, code %d", v, v.Label(), v.Code())
		}
		if v.Error() == "" || texts[v.Error()] || len(v.Error()) > reasonBytesMax {
			t.Errorf("%d: text %q", v, v.Error())
		}
		texts[v.Error()] = true
	}
	if int(InflateCorrupt) != len(violations)-1 {
		t.Errorf("%d violations in the table, want %d", len(violations)-1, InflateCorrupt)
	}
}
