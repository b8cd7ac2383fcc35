package chat

import (
	"sort"

	"throng/protocol/envelope"
)

// stored is the entry as a history shows it: the record in a message lacks its opening brace only.
func (e *entry) stored() envelope.Stored {
	return envelope.Stored{Seq: e.seq, Prev: e.prev, Record: e.message[len(e.message)-e.record:]}
}

// recent is the end of a room's history, kept in memory so that those who come back after a moment are served without the store. It holds
// messages as they go to clients of throng.v1. Guarded by the room's lock; the bytes of a message are never changed, so whoever was given them may
// go on reading after the lock is gone.
//
//	entries   ┌─────┬─────┬─────┬─────┐
//	          │  17 │  21 │  22 │  30 │   seq, and where its message lies
//	          └──┬──┴──┬──┴──┬──┴──┬──┘
//	chunks    ▕──▼─────▼───▏ ▕▼─────▼──────▏   each filled once, from its front; gone with its last message
//
// Between two entries nothing is missing: whoever has had the message before the first entry can be brought up to the last.
type recent struct {
	entries []entry
	chunk   []byte // the one being filled
	bytes   int
}

type entry struct {
	seq, prev uint64
	message   []byte
	record    int // how many bytes of it, at its end, are the record
}

const (
	// recentMessagesMax and recentBytesMax are what one room keeps: minutes of a lively conversation, and more than the hundred messages that somebody
	// misses who changes from one network to another.
	recentMessagesMax = 512
	recentBytesMax    = 256 << 10
	// chunkMin and chunkMax are the sizes of chunks: a quiet room should not hold much, a busy one not allocate often.
	chunkMin = 256
	chunkMax = 16 << 10
)

// room returns space for a message of up to n bytes, to be appended to.
func (r *recent) room(n int) []byte {
	if cap(r.chunk)-len(r.chunk) < n {
		r.chunk = make([]byte, 0, max(n, min(chunkMax, max(chunkMin, 2*cap(r.chunk)))))
	}
	return r.chunk[len(r.chunk):len(r.chunk):cap(r.chunk)]
}

// add appends a message that was built in what room returned, or anywhere else if it is never changed, and returns by how many bytes the room grew.
func (r *recent) add(seq, prev uint64, message []byte, record int) (grew int) {
	if used := len(r.chunk) + len(message); used <= cap(r.chunk) && len(message) > 0 && &r.chunk[:used][used-1] == &message[len(message)-1] {
		r.chunk = r.chunk[:used]
	}
	r.entries = append(r.entries, entry{seq, prev, message[:len(message):len(message)], record})
	r.bytes += len(message)
	grew = len(message)
	if len(r.entries) > recentMessagesMax || r.bytes > recentBytesMax && len(r.entries) > 1 {
		grew -= r.drop(max(1, len(r.entries)/4))
	}
	return grew
}

// drop forgets the n oldest messages, and returns their bytes.
func (r *recent) drop(n int) (freed int) {
	for _, e := range r.entries[:n] {
		freed += len(e.message)
	}
	r.bytes -= freed
	left := copy(r.entries, r.entries[n:])
	clear(r.entries[left:])
	r.entries = r.entries[:left]
	if left == 0 {
		r.entries, r.chunk = nil, nil
	}
	return freed
}

// forget empties it, and returns the bytes that were held.
func (r *recent) forget() (freed int) {
	freed = r.bytes
	*r = recent{}
	return freed
}

// after returns the messages behind seq up to a bound, and whether they are all there were: false if the first of them may lie before what is held.
func (r *recent) after(seq, bound uint64) (messages []entry, complete bool) {
	if len(r.entries) == 0 || r.entries[0].prev > seq {
		return nil, false
	}
	from := sort.Search(len(r.entries), func(i int) bool { return r.entries[i].seq > seq })
	to := sort.Search(len(r.entries), func(i int) bool { return r.entries[i].seq > bound })
	if from >= to {
		return nil, true
	}
	return append([]entry(nil), r.entries[from:to]...), true
}

// before returns the newest n messages with a seq below a bound, and whether these are as many as were wanted.
func (r *recent) before(bound uint64, n int) (messages []entry, complete bool) {
	to := sort.Search(len(r.entries), func(i int) bool { return r.entries[i].seq >= bound })
	from := max(0, to-n)
	messages = append([]entry(nil), r.entries[from:to]...)
	return messages, len(messages) == n || len(r.entries) > 0 && r.entries[0].prev == 0
}
