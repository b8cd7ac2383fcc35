package engine

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
	"unsafe"
)

// TestEndsRing holds the ring against a plain slice: it has the last ones, from the
// newest to the oldest, and takes no more memory than they need.
func TestEndsRing(t *testing.T) {
	r := newRand(t)
	for range 50 {
		ring := endRing{max: 1 + r.IntN(600)}
		var all []int64
		for range r.IntN(1500) {
			all = append(all, r.Int64())
			ring.put(&endRecord{at: all[len(all)-1]})
			if r.IntN(100) == 0 {
				checkRing(t, &ring, all)
			}
		}
		checkRing(t, &ring, all)
		if most := (min(ring.max, len(all)) + endsPerPage - 1) / endsPerPage; len(ring.pages) != most {
			t.Fatalf("%d pages for %d of at most %d", len(ring.pages), len(all), ring.max)
		}
	}
}

func checkRing(t *testing.T, ring *endRing, all []int64) {
	t.Helper()
	want := slices.Clone(all[max(0, len(all)-ring.max):])
	slices.Reverse(want)
	var got []int64
	ring.each(func(rec *endRecord) bool { got = append(got, rec.at); return true })
	if !slices.Equal(got, want) {
		t.Fatalf("after %d of at most %d there are %d, want %d", len(all), ring.max, len(got), len(want))
	}
}

// TestEndsWhileOthersEnd: a reader who is overtaken sees no record twice, none that
// is half one and half another, and the newest first.
func TestEndsWhileOthersEnd(t *testing.T) {
	ring := endRing{max: 100}
	for i := range int64(100) {
		ring.put(&endRecord{at: i, in: uint64(i)})
	}
	last, seen := int64(100), 0
	ring.each(func(rec *endRecord) bool {
		if rec.at >= last || uint64(rec.at) != rec.in {
			t.Fatalf("%d with %d comes after %d", rec.at, rec.in, last)
		}
		last = rec.at
		if seen++; seen <= 5 {
			for i := range int64(10) {
				ring.put(&endRecord{at: 1000 + 10*int64(seen) + i})
			}
		}
		return true
	})
	if seen != 50 { // the 50 others were overwritten
		t.Errorf("%d were seen", seen)
	}
}

// TestCut: what is kept of a name is bounded, valid, and not the long one's memory.
func TestCut(t *testing.T) {
	r := newRand(t)
	for range 1000 {
		var b strings.Builder
		for range r.IntN(200) {
			b.WriteRune([]rune("aäあ😀")[r.IntN(4)])
		}
		s := b.String()
		short := cut(s)
		if len(short) > listedBytesMax || !utf8.ValidString(short) || !strings.HasPrefix(s, short) || len(s) > len(short) && len(short) < listedBytesMax-3 {
			t.Fatalf("%q was cut to %q", s, short)
		}
		if len(short) < len(s) && unsafe.StringData(short) == unsafe.StringData(s) {
			t.Fatal("the whole string is kept")
		}
	}
	if n := len(cut(strings.Repeat("\x80", 300))); n > listedBytesMax || n < listedBytesMax-4 {
		t.Errorf("%d bytes of what is no text", n)
	}
}

// TestEndsModel plays a crowd that ends in many ways and holds what is remembered
// against what happened.
func TestEndsModel(t *testing.T) {
	r := newRand(t)
	cfg := DefaultConfig()
	cfg.IdleTimeout, cfg.PingInterval, cfg.HandshakeTimeout = 0, 0, 0
	cfg.Ends = 40
	f := newFakeLoop(t, cfg, &described{})
	var want []End
	for i := range 120 {
		c := f.dial(fmt.Sprint("/room", r.IntN(3)), 0)
		topic := c.c.Value().(*Topic).Name()
		c.c.SetValue(fmt.Sprint("user", r.IntN(4)))
		f.advance(int64(r.IntN(3)) * 1e9)
		e := End{ID: c.c.ID(), User: c.c.Value().(string), Topic: topic, Topics: 1, Idle: c.c.idle(), BytesIn: c.c.in, BytesOut: c.c.sent()}
		switch i % 3 {
		case 0:
			e.Reason = ReasonReset
			c.reset()
		case 1:
			e.Reason, e.Code = ReasonKicked, 4400+uint16(r.IntN(9))
			f.enter()
			c.c.end(e.Reason, e.Code, "out")
			f.exit()
		case 2:
			e.Reason, e.Code = ReasonProtocol, 1002
			bad := []byte{0x81, 0}
			e.BytesIn += uint64(len(bad))
			c.send(bad)
		}
		f.advance(3e9) // the close timeout
		want = append(want, e)
	}
	want = want[len(want)-cfg.Ends:]
	slices.Reverse(want)
	for range 50 {
		playEndsQuery(t, r, f, want)
	}
}

func playEndsQuery(t *testing.T, r *rand.Rand, f *fakeLoop, want []End) {
	t.Helper()
	q := EndsQuery{Limit: 1 + r.IntN(60)}
	switch r.IntN(6) {
	case 0:
		q.User = fmt.Sprint("user", r.IntN(4))
	case 1:
		q.Topic = fmt.Sprint("/room", r.IntN(3))
	case 2:
		q.Reason = []Reason{ReasonReset, ReasonKicked, ReasonProtocol, ReasonIdle}[r.IntN(4)]
	case 3:
		q.ID = want[r.IntN(len(want))].ID
	case 4:
		q.Address = netip.MustParsePrefix([]string{"192.0.2.1/32", "192.0.2.77/24", "::ffff:192.0.2.0/120", "192.0.3.0/24"}[r.IntN(4)])
	}
	got, err := f.engine.Ends(q)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for i := range want {
		w := &want[i]
		if n == q.Limit || q.User != "" && q.User != w.User || q.Topic != "" && q.Topic != w.Topic || q.Reason != 0 && q.Reason != w.Reason ||
			q.ID != 0 && q.ID != w.ID || q.Address.Contains(netip.MustParseAddr("192.0.3.1")) {
			continue
		}
		if n >= len(got) {
			t.Fatalf("%+v: %d ends, and more were there", q, len(got))
		}
		g := got[n]
		n++
		if time.Since(g.Time) > time.Minute || g.Remote != netip.MustParseAddrPort("192.0.2.1:7") || g.BytesOut < w.BytesOut {
			t.Fatalf("%+v: got %+v, want %+v", q, g, *w)
		}
		g.Time, g.Lived, g.Remote, g.BytesOut = w.Time, w.Lived, w.Remote, w.BytesOut
		if g != *w {
			t.Fatalf("%+v: got %+v, want %+v", q, g, *w)
		}
	}
	if n != len(got) {
		t.Fatalf("%+v: %d ends, want %d", q, len(got), n)
	}
}
