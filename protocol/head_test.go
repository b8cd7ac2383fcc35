package protocol

import (
	"bytes"
	"math"
	"strings"
	"testing"
)

func TestHeadEnd(t *testing.T) {
	head := []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\nframes\r\n\r\n")
	end := len(head) - len("frames\r\n\r\n")
	for from := range end {
		if got := HeadEnd(head[:end], from); got != end {
			t.Errorf("HeadEnd from %d = %d, want %d", from, got, end)
		}
		if got := HeadEnd(head[:from], 0); got != -1 {
			t.Errorf("HeadEnd of %d bytes = %d, want -1", from, got)
		}
	}
	if got := HeadEnd(head, 0); got != end {
		t.Errorf("HeadEnd = %d, want %d", got, end)
	}
	if got := HeadEnd(head[:end], end+7); got != -1 {
		t.Errorf("HeadEnd behind the end = %d, want -1", got)
	}
}

// TestScanHeadIsEarly: how many octets it takes to know that this will not become a request.
func TestScanHeadIsEarly(t *testing.T) {
	tests := []struct {
		name, sent string
		after      int
		refusal    *HandshakeError
	}{
		{"TLS", "\x16\x03\x01\x02\x00", 1, errGarbage},
		{"bare LF behind the request line", "GET / HTTP/1.1\nHost: a\n\n", 15, errBareLF},
		{"bare LF behind a header", "GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n", 21, errBareLF},
		{"HTTP/0.9", "GET /\r\nmore", 7, errHTTPVersion},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 16, errHTTPVersion},
		{"second empty line", "\r\n\r\nGET / HTTP/1.1\r\n", 3, errGarbage},
		{"long method", strings.Repeat("A", 100), 33, errMethodLong},
		{"long target", "GET /" + strings.Repeat("a", 8000), 4 + 4096 + 1, errURILong},
		{"long head", "GET / HTTP/1.1\r\nA: " + strings.Repeat("a", 9000), 8192, errHeadLarge},
		{"long line behind the target", "GET / " + strings.Repeat("a", 9000), 8192, errHeadLarge},
	}
	for _, test := range tests {
		sent := []byte(test.sent)
		if end, err := ScanHead(sent[:test.after-1], 0, DefaultHeadLimits()); end != 0 || err != nil {
			t.Errorf("%s: after %d octets %d, %v", test.name, test.after-1, end, err)
		}
		if _, err := ScanHead(sent[:test.after], test.after-1, DefaultHeadLimits()); err != test.refusal {
			t.Errorf("%s: after %d octets %v", test.name, test.after, err)
		}
	}
}

// arrive feeds the octets in packets of the sizes that cuts names, over and over, and returns the
// first decision.
func arrive(sent, cuts []byte, lim HeadLimits) (end int, err error) {
	from := 0
	for i := 0; from < len(sent); i++ {
		size := 1
		if len(cuts) > 0 {
			size += int(cuts[i%len(cuts)])
		}
		n := min(from+size, len(sent))
		if end, err = ScanHead(sent[:n], from, lim); end > 0 || err != nil {
			return end, err
		}
		from = n
	}
	return 0, nil
}

func TestScanHeadInPieces(t *testing.T) {
	for _, real := range realHeads {
		sent := []byte(real.head + "\x81\x85frame\r\n\r\n")
		for size := range len(sent) {
			if end, err := arrive(sent, []byte{byte(size)}, DefaultHeadLimits()); end != len(real.head) || err != nil {
				t.Fatalf("%s in packets of %d: %d, %v", real.name, size+1, end, err)
			}
		}
	}
}

func FuzzScanHead(f *testing.F) {
	for _, real := range realHeads {
		f.Add([]byte(real.head), []byte{3, 1, 40}, 0, 0)
	}
	f.Add([]byte("\r\nGET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n"), []byte{}, 40, 3)
	f.Add([]byte("GET /aaaaaaaaaaaaaaaa\n HTTP/1.1\r\n\r\n"), []byte{9}, 100, 6)
	f.Add([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), []byte{0}, 17, 1)
	f.Add([]byte("\r\n\r\n"), []byte{1}, 0, 0)
	f.Add([]byte("GET /a HTTP/1.1\r\n\r\n"), []byte{1}, math.MaxInt, math.MaxInt)
	f.Fuzz(func(t *testing.T, sent, cuts []byte, most, uri int) {
		lim := HeadLimits{Bytes: most, URI: uri}
		end, err := ScanHead(sent, 0, lim)
		if e, r := arrive(sent, nil, lim); e != end || r != err {
			t.Fatalf("whole: %d, %v; by the octet: %d, %v", end, err, e, r)
		}
		if e, r := arrive(sent, cuts, lim); e != end || r != err {
			t.Fatalf("whole: %d, %v; cut by %v: %d, %v", end, err, cuts, e, r)
		}
		border := HeadEnd(sent, 0)
		switch {
		case err == nil && end > 0 && end != border:
			t.Fatalf("the head ends at %d, not at %d", border, end)
		case err == nil && end == 0 && border > 0:
			t.Fatalf("the head ends at %d, and nobody noticed", border)
		case err != nil && border > 0:
			if new(Request).Parse(sent[:border], lim) == nil {
				t.Fatalf("Parse takes what ScanHead refuses with %v", err)
			}
		}
		if end > 0 && !bytes.HasSuffix(sent[:end], []byte("\r\n\r\n")) {
			t.Fatalf("%d is not behind a blank line", end)
		}
	})
}
