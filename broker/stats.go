package broker

import "sync/atomic"

// counters only rise.
type counters struct {
	acked, failed, duplicates, timeouts, late, received, slow, reconnects, casts, reads atomic.Uint64
}

// fullShare is how full a stream is when somebody should do something about it.
const fullShare = 0.8

// Stats are the broker's counts since it was opened, and what it holds now.
type Stats struct {
	Acked, Duplicates uint64 // publishes that were stored, or had been before
	Failed, Timeouts  uint64 // that were not, or not known to be; and those of them that got no answer in time
	Late              uint64 // acknowledgements that came after that
	Received          uint64 // stored messages that were delivered here
	Slow              uint64 // times that a reader was too slow and messages were dropped
	Reconnects        uint64
	Casts             uint64 // of other nodes
	Reads             uint64 // of history, from the store
	Pending           int    // publishes that wait for their acknowledgement
	PendingBytes      int
	Nodes             int  // others
	DiskFull          bool // the embedded server's disk
	Streams           []StreamStats
}

// StreamStats is what a stream held when it was last looked at, some seconds ago at most.
type StreamStats struct {
	Name     string
	Messages uint64
	Bytes    uint64
	Share    float64 // of the bytes that it may hold; 0 if it may hold any number
	Full     bool    // the share is so high that it should be seen to
	Last     uint64  // the highest number seen
	Epoch    string
}

// Stats counts.
func (b *Broker) Stats() Stats {
	c := &b.counts
	s := Stats{
		Acked: c.acked.Load(), Duplicates: c.duplicates.Load(), Failed: c.failed.Load(), Timeouts: c.timeouts.Load(), Late: c.late.Load(),
		Received: c.received.Load(), Slow: c.slow.Load(), Reconnects: c.reconnects.Load(), Casts: c.casts.Load(), Reads: c.reads.Load(),
		Nodes: len(b.Nodes()), DiskFull: b.server != nil && b.server.full.Load(),
	}
	s.Pending, s.PendingBytes = b.pending.size()
	for _, st := range b.streams {
		one := StreamStats{Name: st.Name, Messages: st.stored.Load(), Bytes: st.bytes.Load(), Last: st.last.Load(), Epoch: *st.epoch.Load()}
		if st.Bytes > 0 {
			one.Share = float64(one.Bytes) / float64(st.Bytes)
			one.Full = one.Share >= fullShare
		}
		s.Streams = append(s.Streams, one)
	}
	return s
}
