package chat

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// fakeStore is a store in memory whose faults are chosen: it loses copies on their way to the node, sends them twice, and can be cut off.
type fakeStore struct {
	server *Server
	keep   int // messages of each room

	mu       sync.Mutex
	seq      uint64
	rooms    map[string][]kept
	ever     map[string][]kept // of all rooms and epochs, by logName: also what is not kept any more
	ids      map[string]uint64
	down     bool
	full     bool
	random   *rand.Rand
	lose     float64 // share of copies that are lost, and reported
	twice    float64 // share that come twice
	mute     bool    // copies are lost and not reported
	inTurn   bool    // copies come in turn, and do not say what stands before them
	reads    int
	epoch    string
	shared   bool            // there may be other nodes
	silent   bool            // of which one has just died
	peer     *Server         // another node
	deaf     bool            // what it casts is lost
	late     chan struct{}   // answers about the newest message are kept back until it is closed
	answered func(op string) // called when an answer is found and not given yet; without the lock
	work     chan func()
	finished sync.WaitGroup
}

type kept struct {
	seq    uint64
	record []byte
}

func newFakeStore(s *Server, seed uint64) *fakeStore {
	f := &fakeStore{server: s, rooms: map[string][]kept{}, ever: map[string][]kept{}, ids: map[string]uint64{}, random: rand.New(rand.NewPCG(seed, 1)), epoch: "first", work: make(chan func(), 1<<16)}
	f.finished.Go(func() {
		for do := range f.work {
			do()
		}
	})
	return f
}

func (f *fakeStore) close() { close(f.work); f.finished.Wait() }

func (f *fakeStore) Publish(stream int, room, id string, record []byte, done func(Receipt, error)) {
	record = slices.Clone(record)
	f.work <- func() { f.publish(stream, room, id, record, done) }
}

func (f *fakeStore) publish(stream int, room, id string, record []byte, done func(Receipt, error)) {
	f.mu.Lock()
	switch seq, known := f.ids[id]; {
	case f.down:
		f.mu.Unlock()
		done(Receipt{}, ErrUnavailable)
		return
	case f.full:
		f.mu.Unlock()
		done(Receipt{}, ErrStoreFull)
		return
	case id != "" && known:
		f.mu.Unlock()
		done(Receipt{seq, true}, nil)
		return
	}
	f.seq += 1 + uint64(f.random.IntN(3)) // other rooms' numbers lie between
	seq := f.seq
	f.ids[id] = seq
	last := uint64(0)
	list := f.rooms[room]
	if len(list) > 0 {
		last = list[len(list)-1].seq
	}
	list = append(list, kept{seq, record})
	f.ever[logName(f.epoch, room)] = append(f.ever[logName(f.epoch, room)], kept{seq, record})
	if f.keep > 0 && len(list) > f.keep {
		list = list[len(list)-f.keep:]
	}
	f.rooms[room] = list
	if f.inTurn {
		last = seq
	}
	lost := f.random.Float64() < f.lose
	times := 1
	if f.random.Float64() < f.twice {
		times = 2
	}
	first, mute := f.random.IntN(2) == 0, f.mute
	f.mu.Unlock()
	if first {
		done(Receipt{Seq: seq}, nil)
	}
	switch {
	case mute:
	case lost:
		f.server.Gapped(room)
	default:
		for range times {
			f.server.Stored(stream, room, seq, last, record)
		}
	}
	if !first {
		done(Receipt{Seq: seq}, nil)
	}
}

func logName(epoch, room string) string { return epoch + " " + room }

// begin has the store begin anew, without some of the newest messages of each room, as after a loss of power. It happens between two messages.
func (f *fakeStore) begin(epoch string) {
	done := make(chan struct{})
	f.work <- func() {
		f.mu.Lock()
		f.epoch, f.seq = epoch, 0
		left := map[uint64]bool{}
		for room, list := range f.rooms {
			list = slices.Clone(list[:len(list)-f.random.IntN(min(len(list), 4)+1)])
			f.rooms[room], f.ever[logName(epoch, room)] = list, slices.Clone(list)
			for _, m := range list {
				f.seq, left[m.seq] = max(f.seq, m.seq), true
			}
		}
		maps.DeleteFunc(f.ids, func(_ string, seq uint64) bool { return !left[seq] })
		f.mu.Unlock()
		f.server.Gapped("")
		close(done)
	}
	<-done
}

func (f *fakeStore) set(change func(*fakeStore)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// list is what the store has of a room.
func (f *fakeStore) list(room string) []kept {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.rooms[room])
}

func (f *fakeStore) Watch(int, string) error { return nil }
func (f *fakeStore) Unwatch(int, string)     {}

// answers lets things happen between the finding of an answer and its arrival.
func (f *fakeStore) answers(op string) {
	f.mu.Lock()
	answered := f.answered
	f.mu.Unlock()
	if answered != nil {
		answered(op)
	}
}

func (f *fakeStore) Last(_ context.Context, _ int, room string) (uint64, error) {
	defer f.answers("last")
	f.mu.Lock()
	late := f.late
	defer func() {
		f.mu.Unlock()
		if late != nil {
			<-late
		}
	}()
	if f.down {
		return 0, ErrUnavailable
	}
	if list := f.rooms[room]; len(list) > 0 {
		return list[len(list)-1].seq, nil
	}
	return 0, nil
}

func (f *fakeStore) Read(_ context.Context, _ int, room string, after uint64, limit int) (found []Stored, err error) {
	defer f.answers("read")
	time.Sleep(time.Millisecond) // so that things happen meanwhile
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.reads++; f.down {
		return nil, ErrUnavailable
	}
	last := uint64(0)
	for _, m := range f.rooms[room] {
		if m.seq > after && len(found) < limit {
			found = append(found, Stored{m.seq, last, m.record})
		}
		last = m.seq
	}
	return found, nil
}

func (f *fakeStore) ReadBefore(_ context.Context, _ int, room string, before uint64, limit int) (found []Stored, more bool, err error) {
	defer f.answers("before")
	time.Sleep(time.Millisecond)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.reads++; f.down {
		return nil, false, ErrUnavailable
	}
	last := uint64(0)
	for _, m := range f.rooms[room] {
		if before == 0 || m.seq < before {
			found = append(found, Stored{m.seq, last, m.record})
		}
		last = m.seq
	}
	if more = len(found) > limit; more {
		found = found[len(found)-limit:]
	}
	return found, more, nil
}

func (f *fakeStore) Epoch(int) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.epoch
}

func (f *fakeStore) Cast(room string, data []byte) error {
	f.mu.Lock()
	peer, node := f.peer, f.server.cfg.Node
	if f.deaf {
		peer = nil
	}
	data = slices.Clone(data)
	f.mu.Unlock()
	if peer != nil {
		f.work <- func() { peer.Cast(room, node, data) }
	}
	return nil
}

func (f *fakeStore) Ask(ctx context.Context, room string, data []byte, answer func(string, []byte)) error {
	f.mu.Lock()
	silent, peer, node := f.silent, f.peer, f.server.cfg.Node
	f.mu.Unlock()
	if silent {
		<-ctx.Done()
		return ctx.Err()
	}
	if peer != nil {
		if reply := peer.Asked(room, node, data); reply != nil {
			answer(peer.cfg.Node, reply)
		}
	}
	return nil
}

func (f *fakeStore) Shared() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.shared
}
func (f *fakeStore) Ready() (bool, string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.down, "down"
}
