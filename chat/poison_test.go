package chat

import (
	"fmt"
	"testing"
)

// What somebody else put into the store or sent to the nodes, and is no record, ends no process and spoils no message: it is told as one that cannot be read.
func TestForeignRecords(t *testing.T) {
	r := newRig(t, true, nil)
	r.store.set(func(f *fakeStore) { f.shared = true })
	ann, _ := r.talker("Ann", "")
	in := ann.ok("join", `"room":"tea"`)
	last := in.Seq
	for i, record := range []string{"", "{", "x", "{}", `{"v":1}`, `{"v":1,"time":1,"user":"u","name":"n","text":"x","seq":5}`, `{"v":1,"time":1,"user":"u","name":"n","text":"\xff"}`, "{\"v\":1,\n}"} {
		r.store.put("tea", uint64(100+i), record)
		m := ann.next("message")
		if m.Seq != uint64(100+i) || m.Prev != last || m.Text != "" || m.User != "" {
			t.Errorf("%q is told as %+v", record, m)
		}
		last = m.Seq
		r.server.Cast("tea", "n2", append([]byte{castMessage}, record...))
		r.server.Cast("tea", "n2", append([]byte{castSignal}, record...))
		r.server.Cast("tea", "n2", append([]byte{castPresence}, record...))
	}
	r.server.Cast("tea", "n2", nil)
	r.server.Cast("tea", "n2", []byte{0})
	ann.ok("ping", "")
	for _, forget := range []bool{false, true} {
		if forget {
			r.forget("tea")
		}
		if h := ann.ok("history", `"room":"tea"`); len(h.Messages) != 8 {
			t.Errorf("the history is %+v", h)
		}
		bob, _ := r.talker("Bob", "")
		bob.ok("join", fmt.Sprintf(`"room":"tea","since":{"epoch":%q,"seq":101}`, in.Epoch))
		bob.follows(6, 101)
	}
}

// put has the store hold and tell a record that no node made.
func (f *fakeStore) put(room string, seq uint64, record string) {
	f.mu.Lock()
	last := uint64(0)
	if list := f.rooms[room]; len(list) > 0 {
		last = list[len(list)-1].seq
	}
	f.rooms[room] = append(f.rooms[room], kept{seq, []byte(record)})
	f.seq = max(f.seq, seq)
	f.mu.Unlock()
	f.server.Stored(1, room, seq, last, []byte(record))
}
