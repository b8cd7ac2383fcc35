package broker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

func TestStored(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "below", "data")
	begun := time.Now()
	r := open(t, Config{Dir: dir})
	t.Logf("open after %s", time.Since(begun))
	if ok, why := r.Ready(); !ok {
		t.Fatal("not ready: ", why)
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Fatal(info.Mode(), err)
	}
	a := r.mustPublish(0, "tea", "", "one")
	b := r.mustPublish(0, "coffee.*>", "", "else")
	c := r.mustPublish(0, "tea", "", "two")
	if a.Seq != 1 || b.Seq != 2 || c.Seq != 3 {
		t.Fatal(a, b, c)
	}
	r.await("three messages", func() bool { return len(r.stored["0/tea"]) == 2 && len(r.stored["0/coffee.*>"]) == 1 })
	got := r.of(0, "tea")
	if string(got[0].Data) != "one" || got[0].Last != 1 || got[0].Seq != 1 || string(got[1].Data) != "two" || got[1].Last != 3 || got[1].Seq != 3 {
		t.Fatal(got)
	}
	if s := r.Stats(); s.Acked != 3 || s.Received != 3 || s.Pending != 0 || s.PendingBytes != 0 || s.Streams[0].Last != 3 {
		t.Fatalf("%+v", s)
	}
	if err := r.Broker.Cast("tea", nil); err != nil || len(r.Nodes()) != 0 || r.Ask(t.Context(), "tea", nil, nil) != nil {
		t.Fatal("one node is alone: ", err)
	}
}

// TestStreams: two classes of rooms have numbers of their own.
func TestStreams(t *testing.T) {
	r := open(t, Config{Dir: t.TempDir(), Streams: []Stream{{Name: "main"}, {Name: "other", Messages: 2}}})
	if a, b := r.mustPublish(0, "tea", "", "a"), r.mustPublish(1, "tea", "", "b"); a.Seq != 1 || b.Seq != 1 || r.Epoch(0) == r.Epoch(1) || r.Epoch(0) == "" {
		t.Fatal(a, b, r.Epoch(0), r.Epoch(1))
	}
	r.await("both", func() bool { return len(r.stored["0/tea"]) == 1 && len(r.stored["1/tea"]) == 1 })
}

func TestRefusedConfig(t *testing.T) {
	for name, cfg := range map[string]Config{
		"nowhere":   {},
		"name":      {Dir: "x", Streams: []Stream{{Name: "a.b"}}},
		"no name":   {Dir: "x", Streams: []Stream{{}}},
		"twice":     {Dir: "x", Streams: []Stream{{Name: "a"}, {Name: "a"}}},
		"negative":  {Dir: "x", Streams: []Stream{{Name: "a", Bytes: -1}}},
		"replicas":  {Dir: "x", Replicas: 3},
		"node":      {Dir: "x", Node: strings.Repeat("n", 65)},
		"creds":     {URLs: []string{"nats://127.0.0.1:1"}, Creds: "/nowhere/creds"},
		"cert":      {URLs: []string{"nats://127.0.0.1:1"}, Cert: "/nowhere/cert", Key: "/nowhere/key"},
		"too short": {Dir: "x", Streams: []Stream{{Name: "a", Age: time.Millisecond}}},
		"no folder": {Dir: "/proc/nowhere", Streams: []Stream{{Name: "a"}}},
	} {
		if r, err := tryOpen(t, cfg); err == nil {
			_ = r.end()
			t.Errorf("%s: opened", name)
		} else if !strings.HasPrefix(err.Error(), "broker: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSecondProcess(t *testing.T) {
	dir := t.TempDir()
	first := open(t, Config{Dir: dir})
	if _, err := tryOpen(t, Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "another process stores in") {
		t.Fatal(err)
	}
	first.mustPublish(0, "tea", "", "still here")
	if err := first.end(); err != nil {
		t.Fatal(err)
	}
	open(t, Config{Dir: dir})
}

// TestRestart: what was stored is there after a stop, under its numbers and its epoch; an id that was seen still is.
func TestRestart(t *testing.T) {
	for _, sync := range []time.Duration{0, time.Minute} {
		dir := t.TempDir()
		r := open(t, Config{Dir: dir, Sync: sync})
		epoch := r.Epoch(0)
		for i := range 10 {
			r.mustPublish(0, "tea", fmt.Sprint("id", i), fmt.Sprint(i))
		}
		if err := r.end(); err != nil {
			t.Fatal(err)
		}
		r = open(t, Config{Dir: dir, Sync: sync})
		if r.Epoch(0) != epoch {
			t.Fatal("the epoch changed")
		}
		if a := r.mustPublish(0, "tea", "id7", "again"); !a.Duplicate || a.Seq != 8 {
			t.Fatal(a)
		}
		if a := r.mustPublish(0, "tea", "", "new"); a.Seq != 11 || a.Duplicate {
			t.Fatal(a)
		}
		r.await("the new one", func() bool { return len(r.stored["0/tea"]) == 1 })
		if m := r.of(0, "tea")[0]; m.Last != 11 {
			t.Fatal(m)
		}
		if m, err := r.Read(t.Context(), 0, "tea", 0, 100); err != nil || len(m) != 11 || string(m[7].Data) != "7" {
			t.Fatal(m, err)
		}
		if err := r.end(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestKilled: kill -9 loses nothing that was acknowledged, however late the disk gets it, and nothing is there twice.
func TestKilled(t *testing.T) {
	for _, always := range []bool{false, true} {
		dir := t.TempDir()
		var epoch string
		acked := map[string]string{}
		for range 3 {
			p := startChild(t, childOrder{Dir: dir, Always: always, Rooms: 7})
			for range 500 {
				seq, text, ok := strings.Cut(p.line(), " ")
				if !ok {
					t.Fatal("the publisher ended")
				}
				acked[seq] = text
			}
			p.kill()
			r := open(t, Config{Dir: dir, Sync: time.Minute})
			if epoch != "" && r.Epoch(0) != epoch {
				t.Fatal("the epoch changed")
			}
			epoch = r.Epoch(0)
			stored := map[string]string{}
			for room := range 7 {
				messages, err := r.Read(t.Context(), 0, fmt.Sprint("room", room), 0, 1<<20)
				if err != nil {
					t.Fatal(err)
				}
				for _, m := range messages {
					stored[fmt.Sprint(m.Seq)] = string(m.Data)
				}
			}
			for seq, text := range acked {
				if stored[seq] != text {
					t.Errorf("%s was acknowledged as number %s, where %q stands", text, seq, stored[seq])
				}
			}
			if err := r.end(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestPowerLoss: after a stop of the machine numbers may be given again, so the epoch is new; unless every message was on the disk before its acknowledgement.
func TestPowerLoss(t *testing.T) {
	for _, test := range []struct {
		always, kept bool
		change       func(t *testing.T, dir string)
	}{
		{false, true, func(*testing.T, string) {}}, // the process alone
		{false, false, otherBoot},
		{true, true, otherBoot},
		{false, false, func(t *testing.T, dir string) { // the mark is gone
			if err := os.Remove(filepath.Join(dir, markFile)); err != nil {
				t.Fatal(err)
			}
		}},
		{false, false, func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, markFile), []byte("{\"boot"), 0o600); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		dir := t.TempDir()
		p := startChild(t, childOrder{Dir: dir, Always: test.always, Rooms: 1})
		for range 10 {
			p.line()
		}
		p.kill()
		before := epochIn(t, dir)
		test.change(t, dir)
		r := open(t, Config{Dir: dir, Sync: time.Minute})
		if kept := r.Epoch(0) == before && before != ""; test.change != nil && kept != test.kept && before != "" {
			t.Errorf("always %t: the epoch was kept: %t", test.always, kept)
		}
		epoch := r.Epoch(0)
		if err := r.end(); err != nil {
			t.Fatal(err)
		}
		otherBoot(t, dir) // after a clean stop it does not matter
		if r = open(t, Config{Dir: dir, Sync: time.Minute}); r.Epoch(0) != epoch {
			t.Error("the epoch changed after a clean stop")
		}
		_ = r.end()
	}
}

// epochIn is the epoch that the mark of a store names.
func epochIn(t *testing.T, dir string) string {
	t.Helper()
	m, err := openMarks(Config{Dir: dir, Sync: 1})
	if err != nil || !m.found {
		t.Fatal("there is no mark: ", err)
	}
	return m.before.Streams["main"].Epoch
}

func otherBoot(t *testing.T, dir string) {
	t.Helper()
	name := filepath.Join(dir, markFile)
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	boot, _ := os.ReadFile(bootIDFile)
	changed := strings.Replace(string(text), strings.TrimSpace(string(boot)), "another", 1)
	if changed == string(text) {
		t.Fatal("the mark does not name the boot")
	}
	if err := os.WriteFile(name, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestSetBack: a store that was brought back from an old copy begins a new epoch.
func TestSetBack(t *testing.T) {
	dir, copied := t.TempDir(), t.TempDir()
	r := open(t, Config{Dir: dir})
	epoch := r.Epoch(0)
	r.mustPublish(0, "tea", "", "one")
	_ = r.end()
	if err := os.CopyFS(filepath.Join(copied, "jetstream"), os.DirFS(filepath.Join(dir, "jetstream"))); err != nil {
		t.Fatal(err)
	}
	r = open(t, Config{Dir: dir})
	r.mustPublish(0, "tea", "", "two")
	if r.Epoch(0) != epoch {
		t.Fatal("the epoch changed")
	}
	_ = r.end()
	if err := os.RemoveAll(filepath.Join(dir, "jetstream")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(copied, "jetstream"), filepath.Join(dir, "jetstream")); err != nil {
		t.Fatal(err)
	}
	r = open(t, Config{Dir: dir})
	if a := r.mustPublish(0, "tea", "", "another two"); a.Seq != 2 || r.Epoch(0) == epoch {
		t.Fatal(a, r.Epoch(0), epoch)
	}
}

func TestDuplicates(t *testing.T) {
	r := open(t, Config{Dir: t.TempDir(), Sync: time.Minute})
	first := r.mustPublish(0, "tea", "bob/1", "text")
	other := r.mustPublish(0, "tea", "bob/2", "text")
	again := r.mustPublish(0, "tea", "bob/1", "text")
	if first.Duplicate || other.Duplicate || !again.Duplicate || again.Seq != first.Seq || other.Seq == first.Seq {
		t.Fatal(first, other, again)
	}
	r.mustPublish(0, "tea", "", "end")
	r.await("the end", func() bool { n := len(r.stored["0/tea"]); return n > 0 && string(r.stored["0/tea"][n-1].Data) == "end" })
	if n := len(r.of(0, "tea")); n != 3 || r.Stats().Duplicates != 1 {
		t.Fatal(n, r.Stats())
	}
}

// TestFull: a full store refuses, keeps what a quiet room has, and takes messages of a room that is at its own limit, where old ones make room.
func TestFull(t *testing.T) {
	r := open(t, Config{Dir: t.TempDir(), Sync: time.Minute, Streams: []Stream{{Name: "main", Messages: 100, Bytes: 64 << 10}}})
	r.mustPublish(0, "quiet", "", "remember me")
	text := strings.Repeat("x", 100)
	for i := range 150 {
		r.mustPublish(0, "busy", "", fmt.Sprint(text, i))
	}
	messages, err := r.Read(t.Context(), 0, "busy", 0, 1000)
	if err != nil || len(messages) != 100 || messages[0].Last != 0 || messages[99].Seq != 151 {
		t.Fatal(len(messages), err)
	}
	var full error
	for i := 0; full == nil && i < 1000; i++ {
		_, full = r.publish(0, fmt.Sprint("room", i), "", text)
	}
	if !errors.Is(full, ErrStoreFull) {
		t.Fatal(full)
	}
	if _, err := r.publish(0, "quiet", "", text); !errors.Is(err, ErrStoreFull) {
		t.Fatal(err)
	}
	if a, err := r.publish(0, "busy", "", text); err != nil || a.Seq == 0 {
		t.Fatal("a room at its own limit: ", err)
	}
	if m, err := r.Last(t.Context(), 0, "quiet"); err != nil || string(m.Data) != "remember me" {
		t.Fatal(m, err)
	}
	_ = r.settle(t.Context()) // looks at the stream
	if s := r.Stats().Streams[0]; !s.Full || s.Share < 0.9 || s.Share > 1 || s.Messages < 200 {
		t.Fatalf("%+v", s)
	}
	if ok, why := r.Ready(); !ok {
		t.Fatal("a full store is ready: ", why)
	}
}

func TestDiskFull(t *testing.T) {
	r := open(t, Config{Dir: t.TempDir()})
	r.mustPublish(0, "tea", "", "one")
	r.server.full.Store(true)
	if _, err := r.publish(0, "tea", "", "two"); !errors.Is(err, ErrStoreFull) || !r.Stats().DiskFull {
		t.Fatal(err)
	}
	if m, err := r.Last(t.Context(), 0, "tea"); err != nil || string(m.Data) != "one" {
		t.Fatal(m, err)
	}
	r.server.lookAtDisk(r.log) // which is not full
	r.mustPublish(0, "tea", "", "two")
}

func TestTooBig(t *testing.T) {
	r := open(t, Config{Dir: t.TempDir(), Sync: time.Minute})
	if _, err := r.publish(0, "tea", "", strings.Repeat("x", embeddedPayloadMax+1)); !errors.Is(err, ErrTooBig) {
		t.Fatal(err)
	}
	r.mustPublish(0, "tea", "", strings.Repeat("x", 4<<20))
}

// TestOrder: many publish at once; each room's messages come in the order of their numbers, each knows the one before it, and nothing is missing.
func TestOrder(t *testing.T) {
	r := open(t, Config{Dir: t.TempDir(), Sync: time.Minute, Streams: []Stream{{Name: "main", Messages: 5}}})
	const publishers, each, rooms = 8, 500, 5
	var all sync.WaitGroup
	for p := range publishers {
		all.Go(func() {
			for i := range each {
				all.Add(1)
				r.Publish(0, fmt.Sprint("room", (p+i)%rooms), fmt.Sprint(p, ".", i), []byte(fmt.Sprint(p, " ", i)), func(_ Ack, err error) {
					if err != nil {
						t.Error(err)
					}
					all.Done()
				})
			}
		})
	}
	all.Wait()
	r.await("all", func() bool {
		n := 0
		for _, messages := range r.stored {
			n += len(messages)
		}
		return n == publishers*each
	})
	for room := range rooms {
		var last uint64
		next := map[int]int{}
		for _, m := range r.of(0, fmt.Sprint("room", room)) {
			if m.Seq <= last || m.Last != m.Seq {
				t.Fatalf("room %d: %d after %d, and not said to be in turn: %d", room, m.Seq, last, m.Last)
			}
			last = m.Seq
			var p, i int
			if _, err := fmt.Sscan(string(m.Data), &p, &i); err != nil || i < next[p] {
				t.Fatalf("%s came after number %d of the same publisher", m.Data, next[p])
			}
			next[p] = i
		}
	}
	if messages, bytes := r.Pending(); messages != 0 || bytes != 0 {
		t.Fatal(messages, bytes)
	}
}

// TestLateAcknowledgement: what was stored, although its publisher was told that the store did not answer in time, is told of before anything behind it is
// handed on.
func TestLateAcknowledgement(t *testing.T) {
	r := open(t, Config{Dir: t.TempDir(), Sync: time.Minute, AckTimeout: 10 * time.Millisecond})
	hold, gaps := make(chan struct{}), 0
	r.onStored = func() {
		<-hold
		r.mu.Lock()
		gaps = len(r.gapped)
		r.mu.Unlock()
	}
	r.mustBegin("first")
	for i := range 9 {
		if _, err := r.publish(0, "tea", "", fmt.Sprint(i)); !errors.Is(err, ErrTimeout) {
			t.Fatal(err)
		}
	}
	close(hold)
	r.await("the late ones", func() bool { return r.counts.late.Load() == 9 })
	for { // the machine may be slow too
		if _, err := r.publish(0, "tea", "", "end"); err == nil {
			break
		}
	}
	r.await("the end", func() bool { n := len(r.stored["0/tea"]); return string(r.stored["0/tea"][n-1].Data) == "end" })
	r.mu.Lock()
	defer r.mu.Unlock()
	if gaps == 0 || r.gapped[0] != "0/" || len(r.stored["0/tea"]) != 2 {
		t.Fatal(gaps, r.gapped, r.stored)
	}
}

// mustBegin publishes, and returns when the handler has been given it.
func (r *rig) mustBegin(text string) {
	r.Publish(0, "tea", "", []byte(text), func(Ack, error) {})
	r.await(text, func() bool { return len(r.stored["0/tea"]) == 1 })
}

// TestFolderOfBefore: a stream that sends back what it stores is told not to.
func TestFolderOfBefore(t *testing.T) {
	dir := t.TempDir()
	r := open(t, Config{Dir: dir})
	have, err := r.js.Stream(t.Context(), r.streams[0].full)
	if err != nil {
		t.Fatal(err)
	}
	config := have.CachedInfo().Config
	config.RePublish = &jetstream.RePublish{Source: r.streams[0].storePrefix + "*", Destination: r.streams[0].roomPrefix + "{{wildcard(1)}}"}
	if _, err := r.js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	r.mustPublish(0, "tea", "", "one")
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	r = open(t, Config{Dir: dir})
	if have, err = r.js.Stream(t.Context(), r.streams[0].full); err != nil || have.CachedInfo().Config.RePublish != nil {
		t.Fatal(err, have.CachedInfo().Config.RePublish)
	}
	if a := r.mustPublish(0, "tea", "", "two"); a.Seq != 2 {
		t.Fatal(a)
	}
}

// TestClosed: closing waits for what was published; afterwards publishing is refused, and reading.
func TestClosed(t *testing.T) {
	r := open(t, Config{Dir: t.TempDir(), Sync: time.Minute})
	var mu sync.Mutex
	outcomes := map[error]int{}
	for range 1000 {
		r.Publish(0, "tea", "", []byte("x"), func(_ Ack, err error) {
			mu.Lock()
			defer mu.Unlock()
			outcomes[err]++
		})
	}
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	if outcomes[nil] != 1000 {
		t.Fatal(outcomes)
	}
	if _, err := r.Read(context.Background(), 0, "tea", 0, 1); err == nil {
		t.Fatal("a closed broker reads")
	}
	if _, err := r.publish(0, "tea", "", "x"); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
	if err := r.end(); err != nil {
		t.Fatal("closed twice: ", err)
	}
}
