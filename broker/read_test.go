package broker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// TestReadModel: rooms that speak at their own pace, limits that throw old messages away, single ones removed, whole rooms purged; every way of
// reading is held against plain slices.
func TestReadModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	const limit = 300
	r := open(t, Config{Dir: t.TempDir(), Sync: time.Minute, Streams: []Stream{{Name: "main", Messages: limit}}})
	rooms := []string{"busy", "steady", "seldom", "bursts", "empty"}
	model := map[string][]uint64{}
	publish := func(room string, n int) {
		seqs := publishMany(t, r, room, n)
		model[room] = append(model[room], seqs...)
		model[room] = model[room][max(0, len(model[room])-limit):]
	}
	for range 40 {
		publish("busy", random.IntN(60))
		publish("steady", 5)
		if random.IntN(4) == 0 {
			publish("seldom", 1)
		}
		if random.IntN(8) == 0 {
			publish("bursts", 40)
		}
		if random.IntN(3) == 0 { // one message is removed
			room := rooms[random.IntN(3)]
			if seqs := model[room]; len(seqs) > 0 {
				at := random.IntN(len(seqs))
				remove(t, r, seqs[at])
				model[room] = slices.Delete(slices.Clone(seqs), at, at+1)
			}
		}
		if random.IntN(20) == 0 {
			purge(t, r, "bursts")
			model["bursts"] = nil
		}
		for range 3 {
			room := rooms[random.IntN(len(rooms))]
			compare(t, r, random, room, model[room])
		}
	}
}

// publishMany publishes and waits for all numbers.
func publishMany(t testing.TB, r *rig, room string, n int) []uint64 {
	t.Helper()
	acks := make(chan outcome, n)
	for range n {
		r.Publish(0, room, "", []byte(strings.Repeat("x", 20)), func(a Ack, err error) { acks <- outcome{a, err} })
	}
	var seqs []uint64
	for range n {
		o := <-acks
		if o.err != nil {
			t.Fatal(o.err)
		}
		seqs = append(seqs, o.Seq)
	}
	return seqs
}

func remove(t testing.TB, r *rig, seq uint64) {
	t.Helper()
	stream, err := r.js.Stream(t.Context(), r.streams[0].full)
	if err == nil {
		err = stream.DeleteMsg(t.Context(), seq)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func purge(t testing.TB, r *rig, room string) {
	t.Helper()
	m, err := r.reads.Request("$JS.API.STREAM.PURGE."+r.streams[0].full, fmt.Appendf(nil, `{"filter":%q}`, subjectOf(r.streams[0].storePrefix, room)), 5*time.Second)
	if err != nil || strings.Contains(string(m.Data), `"error"`) {
		t.Fatal(err, string(m.Data))
	}
}

// compare reads once in each way.
func compare(t *testing.T, r *rig, random *rand.Rand, room string, seqs []uint64) {
	t.Helper()
	var first, last uint64
	if len(seqs) > 0 {
		first, last = seqs[0], seqs[len(seqs)-1]
	}
	ctx := t.Context()
	if m, err := r.Last(ctx, 0, room); err != nil || m.Seq != last {
		t.Fatalf("the last of %s is %d, not %d (%v)", room, last, m.Seq, err)
	}
	if seq, err := r.Oldest(ctx, 0, room); err != nil || seq != first {
		t.Fatalf("the oldest of %s is %d, not %d (%v)", room, first, seq, err)
	}
	limit := 1 + random.IntN(60)
	from := random.Uint64N(last + 10)
	at, _ := slices.BinarySearch(seqs, from+1)
	messages, err := r.Read(ctx, 0, room, from, limit)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, fmt.Sprintf("%s after %d, %d of them", room, from, limit), messages, seqs, at, min(len(seqs), at+limit))

	before := random.Uint64N(last + 10)
	end, _ := slices.BinarySearch(seqs, before)
	if before == 0 {
		end = len(seqs)
	}
	messages, more, err := r.ReadBefore(ctx, 0, room, before, limit)
	if err != nil {
		t.Fatal(err)
	}
	begin := max(0, end-limit)
	equal(t, fmt.Sprintf("%s before %d, %d of them", room, before, limit), messages, seqs, begin, end)
	if more != (begin > 0) {
		t.Fatalf("%s before %d: there are %d more, and it says %t", room, before, begin, more)
	}
}

// equal holds messages against seqs[begin:end], with what stands before each.
func equal(t *testing.T, what string, messages []Message, seqs []uint64, begin, end int) {
	t.Helper()
	if len(messages) != end-begin {
		t.Fatalf("%s: %d, not %d", what, len(messages), end-begin)
	}
	for i, m := range messages {
		var before uint64
		if begin+i > 0 {
			before = seqs[begin+i-1]
		}
		if m.Seq != seqs[begin+i] || m.Last != before {
			t.Fatalf("%s: at %d stands %d after %d, not %d after %d", what, i, m.Seq, m.Last, seqs[begin+i], before)
		}
	}
}

// TestReadLarge: more than one request brings.
func TestReadLarge(t *testing.T) {
	r := open(t, Config{Dir: t.TempDir(), Sync: time.Minute})
	text := strings.Repeat("x", 1<<20)
	for i := range 11 {
		r.mustPublish(0, "tea", "", fmt.Sprint(text, i))
	}
	messages, err := r.Read(t.Context(), 0, "tea", 0, 100)
	if err != nil || len(messages) != 11 {
		t.Fatal(len(messages), err)
	}
	for i, m := range messages {
		if m.Seq != uint64(i+1) || m.Last != uint64(i) {
			t.Fatal(i, m.Seq, m.Last)
		}
	}
	if messages, more, err := r.ReadBefore(t.Context(), 0, "tea", 11, 9); err != nil || !more || len(messages) != 9 || messages[0].Last != 1 {
		t.Fatal(len(messages), more, err)
	}
}

// TestReadTurns: no more than two reads stand before the store; who waits does so no longer than its context.
func TestReadTurns(t *testing.T) {
	r := open(t, Config{Dir: t.TempDir()})
	for range readsAtOnce {
		r.turns <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Read(ctx, 0, "tea", 0, 1); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	<-r.turns
	if m, err := r.Read(t.Context(), 0, "tea", 0, 1); err != nil || m != nil {
		t.Fatal(m, err)
	}
	if len(r.turns) != readsAtOnce-1 {
		t.Fatal("a turn was not given back")
	}
	<-r.turns
}

// TestLastOfRepublished says what JetStream does: the number before is exact after the limit of a room threw messages away, and smaller after a purge or a removal.
func TestLastOfRepublished(t *testing.T) {
	s := startNATS(t, childOrder{})
	r := open(t, Config{URLs: []string{s.url()}, Streams: []Stream{{Name: "main", Messages: 2}}}).ready()
	if err := errors.Join(r.Watch(0, "tea"), r.flushWatches(t.Context())); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		r.mustPublish(0, "tea", "", "x")
	}
	remove(t, r, 5)
	r.mustPublish(0, "tea", "", "x")
	purge(t, r, "tea")
	r.mustPublish(0, "tea", "", "x")
	r.await("seven", func() bool { return len(r.stored["0/tea"]) == 7 })
	var lasts []uint64
	for _, m := range r.of(0, "tea") {
		lasts = append(lasts, m.Last)
	}
	if want := []uint64{0, 1, 2, 3, 4, 4, 0}; !slices.Equal(lasts, want) {
		t.Fatal(lasts)
	}
}

func BenchmarkRead(b *testing.B) {
	r := open(b, Config{Dir: b.TempDir(), Sync: time.Hour})
	const rooms, each = 2000, 100
	for range each {
		acks := make(chan outcome, rooms)
		for room := range rooms {
			r.Publish(0, fmt.Sprint("room", room), "", make([]byte, 150), func(a Ack, err error) { acks <- outcome{a, err} })
		}
		for range rooms {
			if o := <-acks; o.err != nil {
				b.Fatal(o.err)
			}
		}
	}
	b.Run("after", func(b *testing.B) {
		for i := range b.N {
			if m, err := r.Read(b.Context(), 0, fmt.Sprint("room", i%rooms), 50*rooms, 50); err != nil || len(m) != 50 {
				b.Fatal(len(m), err)
			}
		}
	})
	b.Run("before", func(b *testing.B) {
		for i := range b.N {
			if m, _, err := r.ReadBefore(b.Context(), 0, fmt.Sprint("room", i%rooms), 60*rooms, 20); err != nil || len(m) != 20 {
				b.Fatal(len(m), err)
			}
		}
	})
	b.Run("last", func(b *testing.B) {
		for i := range b.N {
			if _, err := r.Last(b.Context(), 0, fmt.Sprint("room", i%rooms)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// TestMessageOf: what does not come from JetStream is no message.
func TestMessageOf(t *testing.T) {
	for name, h := range map[string]nats.Header{
		"nothing":   nil,
		"no time":   {headerSeq: {"1"}},
		"no number": {headerTime: {"2026-01-02T03:04:05Z"}},
		"not one":   {headerSeq: {"x"}, headerTime: {"2026-01-02T03:04:05Z"}},
	} {
		if _, ok := messageOf(&nats.Msg{Header: h}); ok {
			t.Errorf("%s is a message", name)
		}
	}
	m, ok := messageOf(&nats.Msg{Header: nats.Header{headerSeq: {"7", "8"}, headerLast: {"5"}, headerTime: {"2026-01-02T03:04:05.000000006Z"}}})
	if !ok || m.Seq != 8 || m.Last != 5 || m.Time.Nanosecond() != 6 {
		t.Fatal(m, ok)
	}
}

// TestReadBeforeWhileStored: the newest before a number are all there, however many are stored while they are read.
func TestReadBeforeWhileStored(t *testing.T) {
	r := open(t, Config{Dir: t.TempDir(), Sync: time.Minute})
	for range 20 {
		r.mustPublish(0, "tea", "", "x")
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				_, _ = r.publish(0, "tea", "", "x")
			}
		}
	}()
	defer func() { close(stop); <-stopped }()
	for range 200 {
		last, err := r.Last(t.Context(), 0, "tea")
		if err != nil {
			t.Fatal(err)
		}
		messages, more, err := r.ReadBefore(t.Context(), 0, "tea", last.Seq+1, 10)
		if err != nil || len(messages) != 10 || !more || messages[9].Seq != last.Seq {
			t.Fatalf("%d messages, the last is %d, want %d; more %t, %v", len(messages), messages[len(messages)-1].Seq, last.Seq, more, err)
		}
		if messages, more, err = r.ReadBefore(t.Context(), 0, "tea", 15, 100); err != nil || len(messages) != 14 || more || messages[13].Seq != 14 {
			t.Fatalf("%d messages before 15, more %t, %v", len(messages), more, err)
		}
	}
}
