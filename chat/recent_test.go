package chat

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestRecentModel holds the recent messages against a plain list of all there ever were: what is held is its end without a hole, questions are answered
// from it alone and said to be complete only if they are, and no message that somebody was given is ever changed.
func TestRecentModel(t *testing.T) {
	seed := seedOf(t)
	for round := range 4 {
		random := rand.New(rand.NewPCG(seed, uint64(round)))
		var r recent
		var all, given []entry
		bytes, seq := 0, uint64(0)
		for range 1000 {
			switch random.IntN(12) {
			case 0:
				bytes -= r.drop(random.IntN(len(r.entries) + 1))
			case 1:
				if random.IntN(40) == 0 {
					bytes -= r.forget()
				}
			default:
				prev := seq
				seq += 1 + uint64(random.IntN(3))
				text := fmt.Sprintf("%d %s", seq, strings.Repeat("x", random.IntN(1<<random.IntN(13))))
				message := append(r.room(len(text)+random.IntN(9)), text...)
				if random.IntN(20) == 0 { // built elsewhere
					message = []byte(text)
				}
				bytes += r.add(seq, prev, message, len(text))
				all = append(all, entry{seq: seq, prev: prev, message: []byte(text)})
			}
			if bytes != r.bytes || bytes > recentBytesMax+1<<13 || len(r.entries) > recentMessagesMax {
				t.Fatalf("%d bytes are counted, %d held, in %d messages", bytes, r.bytes, len(r.entries))
			}
			held := all[len(all)-len(r.entries):]
			if !slices.EqualFunc(r.entries, held, same) {
				t.Fatalf("held is not the end of what there was")
			}
			after := uint64(random.IntN(int(seq) + 2))
			bound := after + uint64(random.IntN(30))
			want := slices.DeleteFunc(slices.Clone(all), func(e entry) bool { return e.seq <= after || e.seq > bound })
			got, complete := r.after(after, bound)
			if complete && !slices.EqualFunc(got, want, same) || !complete && len(held) > 0 && held[0].prev <= after {
				t.Fatalf("behind %d up to %d: %d messages, complete %v; there are %d", after, bound, len(got), complete, len(want))
			}
			given = append(given, got...)
			n := random.IntN(20)
			want = slices.DeleteFunc(slices.Clone(all), func(e entry) bool { return e.seq >= bound })
			want = want[max(0, len(want)-n):]
			if got, complete = r.before(bound, n); complete && !slices.EqualFunc(got, want, same) {
				t.Fatalf("the last %d before %d: %d messages; there are %d", n, bound, len(got), len(want))
			}
			given = append(given, got...)
		}
		for _, e := range given {
			i, _ := slices.BinarySearchFunc(all, e, func(a, b entry) int { return int(a.seq) - int(b.seq) })
			if !same(e, all[i]) {
				t.Fatalf("message %d was changed in somebody's hands", e.seq)
			}
		}
	}
}

func same(a, b entry) bool {
	return a.seq == b.seq && a.prev == b.prev && string(a.message) == string(b.message)
}
