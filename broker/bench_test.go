package broker

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkRoundTrip: published, stored, republished, received and acknowledged, with so many in flight.
func BenchmarkRoundTrip(b *testing.B) {
	for _, inFlight := range []int{1, 1000, 10000} {
		for _, id := range []bool{false, true} {
			b.Run(fmt.Sprintf("inFlight=%d/id=%v", inFlight, id), func(b *testing.B) {
				benchmarkRoundTrip(b, Config{Dir: b.TempDir(), Sync: 2 * time.Minute, Streams: []Stream{{Name: "main", Messages: 10_000}}}, inFlight, id)
			})
		}
	}
}

type counter struct {
	rig
	received atomic.Int64
	all      chan struct{}
	want     int64
}

func (c *counter) Stored(int, string, Message) {
	if c.received.Add(1) == c.want {
		close(c.all)
	}
}

func benchmarkRoundTrip(b *testing.B, cfg Config, inFlight int, withID bool) {
	h := &counter{all: make(chan struct{}), want: int64(b.N)}
	h.rig.t = b
	h.rig.changed = newCond(&h.rig)
	br, err := Open(b.Context(), cfg, h)
	if err != nil {
		b.Fatal(err)
	}
	defer br.Close(b.Context())
	rooms := make([]string, 100)
	for i := range rooms {
		rooms[i] = fmt.Sprintf("room-%d", i)
	}
	record := make([]byte, 150)
	places := make(chan struct{}, inFlight)
	done := func(_ Ack, err error) {
		if err != nil {
			b.Error(err)
		}
		<-places
	}
	b.ReportAllocs()
	b.ResetTimer()
	begun := time.Now()
	for i := range b.N {
		places <- struct{}{}
		id := ""
		if withID {
			id = fmt.Sprintf("%s%d", rooms[i%len(rooms)], i)
		}
		br.Publish(0, rooms[i%len(rooms)], id, record, done)
	}
	<-h.all
	b.StopTimer()
	b.ReportMetric(float64(b.N)/time.Since(begun).Seconds(), "msgs/s")
}
