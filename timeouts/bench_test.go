package timeouts

import (
	"math/rand/v2"
	"testing"
	"time"
)

const million = 1_000_000

// fill returns a wheel with n timers whose deadlines are spread over a lap. If
// shuffled, neighbours in a slot are strangers in memory, as they are after hours
// of people coming and going; else as after one rush of arrivals.
func fill(n int, shuffled bool) (*Wheel, []ID) {
	const slots = 512
	w := New(time.Millisecond, slots, 0)
	ids := make([]ID, n)
	for i := range ids {
		ids[i] = w.Add(1, 0, time.Second)
	}
	if shuffled {
		rand.New(rand.NewPCG(1, 2)).Shuffle(n, func(i, k int) { ids[i], ids[k] = ids[k], ids[i] })
	}
	for i, id := range ids {
		w.Set(id, 1, 0, time.Duration(1+i*(slots-1)/n)*time.Millisecond)
	}
	return w, ids
}

var layouts = map[string]bool{"in-order": false, "shuffled": true}

// BenchmarkRearm is the mean over laps in which each of a million timers comes up
// once and is told to wait for another lap.
func BenchmarkRearm(b *testing.B) {
	for name, shuffled := range layouts {
		b.Run(name, func(b *testing.B) {
			w, ids := fill(million, shuffled)
			lap := time.Duration(w.mask) * time.Millisecond
			now, visits := int64(0), 0
			due := func(id ID, class uint8, silent time.Duration) time.Duration {
				visits++
				w.Touch(id, now) // so that the next deadline is a lap from here
				return lap
			}
			b.ReportAllocs()
			b.ResetTimer()
			for visits < b.N {
				now += int64(time.Millisecond)
				w.Advance(now, 0, due)
			}
			b.ReportMetric(float64(b.Elapsed())/float64(visits), "ns/timer")
			b.ReportMetric(float64(w.Bytes())/float64(len(ids)), "bytes/timer")
		})
	}
}

// BenchmarkEvict is the mean over one lap in which a million timers end.
func BenchmarkEvict(b *testing.B) {
	for name, shuffled := range layouts {
		b.Run(name, func(b *testing.B) {
			evicted := 0
			due := func(ID, uint8, time.Duration) time.Duration { evicted++; return 0 }
			b.ReportAllocs()
			for evicted < b.N {
				b.StopTimer()
				w, _ := fill(million, shuffled)
				b.StartTimer()
				for now := int64(0); w.Len() > 0; now += int64(time.Millisecond) {
					w.Advance(now, 0, due)
				}
			}
			b.ReportMetric(float64(b.Elapsed())/float64(evicted), "ns/timer")
		})
	}
}

// BenchmarkTouch touches a timer that is in the cache, as it is when a frame of its
// connection has just been read, and any of a million.
func BenchmarkTouch(b *testing.B) {
	b.Run("one", func(b *testing.B) {
		w, ids := fill(million, false)
		id := ids[million/2]
		b.ReportAllocs()
		b.ResetTimer()
		for i := range b.N {
			w.Touch(id, int64(i))
		}
	})
	b.Run("random", func(b *testing.B) {
		w, ids := fill(million, true)
		b.ReportAllocs()
		b.ResetTimer()
		for i := range b.N {
			w.Touch(ids[i%million], int64(i))
		}
	})
}

func BenchmarkAddRemove(b *testing.B) {
	w, _ := fill(million, true)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		w.Remove(w.Add(1, 0, 100*time.Millisecond))
	}
}

func BenchmarkSet(b *testing.B) {
	w, ids := fill(million, true)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		w.Set(ids[i%million], 2, 0, time.Duration(i%512)*time.Millisecond)
	}
}

// BenchmarkAdvanceIdle is what a tick costs on which nobody is due.
func BenchmarkAdvanceIdle(b *testing.B) {
	w := New(time.Millisecond, 512, 0)
	due := func(ID, uint8, time.Duration) time.Duration { return 0 }
	b.ReportAllocs()
	for i := range b.N {
		w.Advance(int64(i)*int64(time.Millisecond), 0, due)
	}
}
