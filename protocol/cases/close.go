package cases

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// closes: every border of the codes, and the reasons.
func closes() (out []Case) {
	out = append(out, begin("close/empty").message(Text, []byte("Hello")).closes(0, ""))
	for _, code := range []uint16{
		1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014,
		3000, 3500, 3999, 4000, 4408, 4999,
	} {
		out = append(out, begin(fmt.Sprintf("close/%d", code)).closes(code, ""))
		out = append(out, begin(fmt.Sprintf("close/%d with reason", code)).closes(code, "grund: κόσμε 🐘"))
	}
	for _, code := range []uint16{
		0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2500, 2999, 5000, 5001, 10000, 32768, 65535,
	} {
		body := binary.BigEndian.AppendUint16(nil, code)
		out = append(out, begin(fmt.Sprintf("close/bad/%d", code)).frame(fin|Close, body).fails("close_code", 1002, 0))
		body = append(body, "and a reason"...)
		s := begin(fmt.Sprintf("close/bad/%d with reason", code)).frame(fin|Close, body)
		out = append(out, s.fails("close_code", 1002, len(body)-2))
	}
	out = append(out, begin("close/one byte").raw(fin|Close, 0x80|1).fails("close_code", 1002, 0))
	out = append(out, begin("close/reason of 123").closes(1000, strings.Repeat("x", 123)))
	out = append(out, begin("close/after a ping").frame(fin|Ping, []byte("p")).says(Ping, []byte("p")).closes(1001, ""))
	for i, text := range goodText {
		out = append(out, begin(fmt.Sprintf("close/good reason/%d", i)).closes(4000, text))
	}
	for i, text := range badText {
		for _, reason := range []string{text, "bye, κόσμε: " + text + "."} {
			body := append(binary.BigEndian.AppendUint16(nil, 1000), reason...)
			s := begin(fmt.Sprintf("close/bad reason/%d of %d", i, len(reason))).frame(fin|Close, body)
			later := 0
			if n := certain([]byte(reason)); n > 0 {
				later = len(reason) - n
			}
			out = append(out, s.fails("utf8", 1007, later))
		}
	}
	return out
}
