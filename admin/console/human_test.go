package console

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"throng/admin"
)

func TestNumbersForPeople(t *testing.T) {
	for want, got := range map[string]string{
		"0": size(0), "912 B": size(912), "1.5 KiB": size(1536), "12 MiB": size(12 << 20), "1.0 GiB": size(int64(1 << 30)), "2000 TiB": size(int64(2000 << 40)),
		"1.0 KiB": size(1000), "850ms": span(admin.Seconds(850 * time.Millisecond)), "<1ms": span(1), "12.3s": span(admin.Seconds(12345 * time.Millisecond)),
		"4m05s": span(admin.Seconds(245 * time.Second)), "3h12m": span(admin.Seconds(192 * time.Minute)), "5d04h": span(admin.Seconds(124 * time.Hour)),
		"-2s": span(admin.Seconds(-2 * time.Second)), "1,234,567": count(1234567), "100": count(100), "-1,000": count(-1000), "0.3": rate(0.26), "12": rate(12.2),
		"1,200": rate(1200), "12.5%": share(1, 8), "0%": share(0, 0), "1 room": plural(1, "room"), "0 rooms": plural(0, "room"),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestNothingActsOnTheTerminal: whatever a client is called, it is only read.
func TestNothingActsOnTheTerminal(t *testing.T) {
	for text, want := range map[string]string{
		"bob": "bob", "聊天": "聊天", "a\x1b[2Jb": `a\x1b[2Jb`, "a\nb\tc": `a\nb\tc`, "a\u202eb": `a\u202eb`, "\x9b1m": "\ufffd1m", "\u009b": `\u009b`, "it's": "it's",
	} {
		if got := escaped(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	var out bytes.Buffer
	s := &Screen{Out: &out, Err: &out, Width: 80}
	showConnections(s, &admin.ConnectionsPage{Connections: []admin.Connection{{ID: "0-1-a", User: "\x1b]0;x\a", Rooms: []string{"\r\n"}, State: "open"}}, Next: "\x1b"})
	if strings.ContainsAny(out.String(), "\x1b\a\r") {
		t.Errorf("printed %q", out.String())
	}
}

func TestTablesFit(t *testing.T) {
	list := admin.ConnectionsPage{Matched: 3, Total: 15000}
	for _, user := range []string{"bob", strings.Repeat("聊", 60), strings.Repeat("x", 128)} {
		list.Connections = append(list.Connections, admin.Connection{ID: "12-123456-4fz2k", Address: "[2001:db8:1111:2222:3333:4444:5555:6666]:65535", User: user,
			Rooms: []string{strings.Repeat("r", 64)}, RoomsOf: 7, State: "open", Paused: true, Age: admin.Seconds(time.Hour), BytesIn: 1 << 40})
	}
	for _, width := range []int{0, 200, 160, 140} {
		var out bytes.Buffer
		showConnections(&Screen{Out: &out, Width: width}, &list)
		lines := strings.Split(out.String(), "\n")
		for _, line := range lines {
			if got := displayWidth(line); width > 0 && got > width {
				t.Errorf("width %d: %d in %q", width, got, line)
			}
		}
		for _, must := range []string{"12-123456-4fz2k", "6666]:65535", "BEHIND"} {
			if !strings.Contains(out.String(), must) {
				t.Errorf("width %d: %q was left out:\n%s", width, must, out.String())
			}
		}
		if whole := strings.Contains(out.String(), strings.Repeat("x", 128)); whole != (width == 0) {
			t.Errorf("width %d: the long name is whole: %v", width, whole)
		}
	}
}

func TestSizesAndShares(t *testing.T) {
	for text, want := range map[string]int{"0": 0, "1": 1, "64KiB": 64 << 10, "2MiB": 2 << 20, "1GiB": 1 << 30, "KiB": -1, "1KB": -1, "-1": -1, "9999999GiB": -1} {
		got := Size(-1)
		if err := got.UnmarshalText([]byte(text)); int(got) != want || (err != nil) != (want < 0) {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for text, want := range map[string]float64{"20%": 0.2, "0.2": 0.2, "100%": 1, "1": 1, "0%": 0, "101%": 0, "-1": 0, "NaN": 0, "many": 0} {
		got := Share(0)
		if err := got.UnmarshalText([]byte(text)); float64(got) != want || (err != nil) != (want == 0) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}
