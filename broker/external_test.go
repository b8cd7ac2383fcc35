package broker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// ready waits until messages can be stored.
func (r *rig) ready() *rig {
	r.t.Helper()
	r.await("a connection", func() bool { return len(r.states) > 0 && r.states[len(r.states)-1] })
	return r
}

func (r *rig) down() {
	r.t.Helper()
	r.await("the end of the connection", func() bool { return len(r.states) > 0 && !r.states[len(r.states)-1] })
}

// TestGoneAtStart: Open returns, publishing is refused, and when the server comes everything goes on by itself.
func TestGoneAtStart(t *testing.T) {
	port, dir := freePort(t), t.TempDir()
	r := open(t, Config{URLs: []string{fmt.Sprintf("nats://127.0.0.1:%d", port)}, Node: "a"})
	if _, err := r.publish(0, "tea", "", "x"); !errors.Is(err, ErrUnavailable) {
		t.Fatal(err)
	}
	if _, err := r.Read(t.Context(), 0, "tea", 0, 1); !errors.Is(err, ErrUnavailable) {
		t.Fatal(err)
	}
	if ok, why := r.Ready(); ok || why == "" {
		t.Fatal(ok, why)
	}
	if err := r.Broker.Cast("tea", nil); !errors.Is(err, ErrUnavailable) {
		t.Fatal(err)
	}
	if err := r.Watch(0, "tea"); err != nil {
		t.Fatal(err)
	}
	startNATS(t, childOrder{Port: port, Dir: dir})
	r.ready()
	r.mustPublish(0, "tea", "", "x")
	r.await("the message", func() bool { return len(r.stored["0/tea"]) == 1 })
	if ok, why := r.Ready(); !ok {
		t.Fatal(why)
	}
}

// TestGoneWhileRunning: what waits is refused, the handler is told, and afterwards it hears of a gap and reads what it missed.
func TestGoneWhileRunning(t *testing.T) {
	s := startNATS(t, childOrder{})
	r := open(t, Config{URLs: []string{s.url()}}).ready()
	if err := errors.Join(r.Watch(0, "tea"), r.Watch(0, "quiet")); err != nil {
		t.Fatal(err)
	}
	r.mustPublish(0, "tea", "1", "one")
	epoch := r.Epoch(0)
	s.kill()
	r.down()
	if _, err := r.publish(0, "tea", "2", "two"); !errors.Is(err, ErrUnavailable) {
		t.Fatal(err)
	}
	s.start(t)
	r.await("the connection", func() bool { return slices.Equal(r.states, []bool{true, false, true}) })
	r.await("gaps", func() bool { return slices.Contains(r.gapped, "0/tea") && slices.Contains(r.gapped, "0/quiet") })
	if a := r.mustPublish(0, "tea", "1", "one"); !a.Duplicate || a.Seq != 1 {
		t.Fatal(a)
	}
	if a := r.mustPublish(0, "tea", "2", "two"); a.Duplicate || a.Seq != 2 {
		t.Fatal(a)
	}
	r.await("both", func() bool { return len(r.stored["0/tea"]) == 2 })
	if r.Epoch(0) != epoch || r.Stats().Reconnects != 1 {
		t.Fatal(r.Epoch(0), epoch, r.Stats().Reconnects)
	}
}

// TestSilentServer: a server that stops in the middle lets a publish run out; its answer comes too late for it, and sent again it is a duplicate.
func TestSilentServer(t *testing.T) {
	s := startNATS(t, childOrder{})
	r := open(t, Config{URLs: []string{s.url()}, AckTimeout: time.Second}).ready()
	r.mustPublish(0, "tea", "0", "zero")
	s.freeze()
	_, err := r.publish(0, "tea", "1", "one")
	s.signal(syscall.SIGCONT)
	if !errors.Is(err, ErrTimeout) {
		t.Fatal(err)
	}
	var a Ack
	for a, err = r.publish(0, "tea", "1", "one"); err != nil; a, err = r.publish(0, "tea", "1", "one") {
		if !errors.Is(err, ErrTimeout) && !errors.Is(err, ErrUnavailable) {
			t.Fatal(err)
		}
	}
	if !a.Duplicate || a.Seq != 2 {
		t.Fatal(a)
	}
	if st := r.Stats(); st.Timeouts == 0 || st.Failed < st.Timeouts {
		t.Fatalf("%+v", st)
	}
}

// TestWatch: only watched rooms are delivered, in the order of the room, and no longer than they are watched.
func TestWatch(t *testing.T) {
	s := startNATS(t, childOrder{})
	a := open(t, Config{URLs: []string{s.url()}, Node: "a", Streams: []Stream{{Name: "main"}, {Name: "other"}}}).ready()
	b := open(t, Config{URLs: []string{s.url()}, Node: "b", Streams: []Stream{{Name: "main"}, {Name: "other"}}}).ready()
	if a.Epoch(0) != b.Epoch(0) || a.Epoch(0) == "" {
		t.Fatal(a.Epoch(0), b.Epoch(0))
	}
	if err := errors.Join(b.Watch(0, "tea"), b.Watch(0, "tea"), b.Watch(1, "sugar.*"), b.Watch(-1, "casts")); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Last(t.Context(), 0, "tea"); err != nil { // a read makes sure that the watches stand
		t.Fatal(err)
	}
	for i := range 100 {
		a.mustPublish(0, "tea", "", fmt.Sprint(i))
		a.mustPublish(0, "coffee", "", "x")
		a.mustPublish(1, "sugar.*", "", "x")
	}
	b.await("two rooms", func() bool { return len(b.stored["0/tea"]) == 100 && len(b.stored["1/sugar.*"]) == 100 })
	for i, m := range b.of(0, "tea") {
		if string(m.Data) != fmt.Sprint(i) {
			t.Fatal(i, string(m.Data))
		}
	}
	b.Unwatch(0, "tea")
	if err := b.Watch(0, "last"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Last(t.Context(), 0, "last"); err != nil {
		t.Fatal(err)
	}
	a.mustPublish(0, "tea", "", "unheard")
	a.mustPublish(0, "last", "", "heard")
	b.await("the last", func() bool { return len(b.stored["0/last"]) == 1 })
	if n := len(b.of(0, "tea")); n != 100 || len(b.of(0, "coffee")) != 0 || len(a.of(0, "tea")) != 0 {
		t.Fatal(n)
	}
	b.Unwatch(0, "nobody watched this")
}

// TestNodeAgain: a node that ends without a word and begins anew before anybody misses it is gone, and comes.
func TestNodeAgain(t *testing.T) {
	s := startNATS(t, childOrder{})
	a := open(t, Config{URLs: []string{s.url()}, Node: "a"}).ready()
	b := open(t, Config{URLs: []string{s.url()}, Node: "b"}).ready()
	a.await("b", func() bool { return slices.Equal(a.came, []string{"b"}) })
	b.await("a", func() bool { return slices.Equal(b.came, []string{"a"}) })
	b.main.Close() // without a word
	again := open(t, Config{URLs: []string{s.url()}, Node: "b"}).ready()
	a.await("the new b", func() bool { return slices.Equal(a.gone, []string{"b"}) && slices.Equal(a.came, []string{"b", "b"}) })
	again.await("a", func() bool { return slices.Equal(again.came, []string{"a"}) })
}

// TestNodes: three nodes know each other, say and ask, and notice who goes and who is killed.
func TestNodes(t *testing.T) {
	s := startNATS(t, childOrder{})
	nodes := map[string]*rig{}
	for _, name := range []string{"a", "b", "c"} {
		r := open(t, Config{URLs: []string{s.url()}, Node: name})
		r.asked = func(room, node string, data []byte) []byte {
			if r.Broker.cfg.Node == "c" {
				return nil
			}
			return fmt.Appendf(nil, "%s of %s from %s", data, room, node)
		}
		nodes[name] = r.ready()
	}
	a, b, c := nodes["a"], nodes["b"], nodes["c"]
	for _, r := range nodes {
		awaitNodes(t, r, 2)
	}
	if err := errors.Join(b.Watch(-1, "tea.*"), a.Watch(-1, "tea.*")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(a.flushWatches(t.Context()), b.flushWatches(t.Context())); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(a.Broker.Cast("tea.*", []byte("hello")), a.Broker.Cast("", []byte("everybody"))); err != nil {
		t.Fatal(err)
	}
	b.await("casts", func() bool { return len(b.casts) == 2 })
	c.await("a cast", func() bool { return len(c.casts) == 1 })
	if !slices.Contains(b.casts, "tea.* a hello") || !slices.Contains(b.casts, " a everybody") || c.casts[0] != " a everybody" || len(a.casts) != 0 {
		t.Fatal(a.casts, b.casts, c.casts)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var replies []string
	if err := a.Ask(ctx, "tea.*", []byte("what"), func(node string, reply []byte) { replies = append(replies, node+": "+string(reply)) }); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(replies, []string{"b: what of tea.* from a"}) {
		t.Fatal(replies)
	}
	if err := c.end(); err != nil {
		t.Fatal(err)
	}
	a.await("c's goodbye", func() bool { return slices.Equal(a.gone, []string{"c"}) })
	b.main.Close() // without a word
	begun := time.Now()
	a.await("b's end", func() bool { return slices.Equal(a.gone, []string{"c", "b"}) })
	if d := time.Since(begun); d < 2*time.Second {
		t.Fatalf("b was given up after %s", d)
	}
	if len(a.Nodes()) != 0 || a.Ask(ctx, "tea", nil, nil) != nil {
		t.Fatal(a.Nodes())
	}
}

func awaitNodes(t *testing.T, r *rig, n int) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); len(r.Nodes()) != n; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d others are expected: %v", n, r.Nodes())
		}
	}
}

// TestAskInVain: a node that goes while it is asked is not waited for; one that does not answer is, as long as ctx lasts.
func TestAskInVain(t *testing.T) {
	s := startNATS(t, childOrder{})
	a := open(t, Config{URLs: []string{s.url()}, Node: "a"}).ready()
	b := open(t, Config{URLs: []string{s.url()}, Node: "b"}).ready()
	awaitNodes(t, a, 1)
	entered, hold := make(chan struct{}, 1), make(chan struct{})
	b.asked = func(string, string, []byte) []byte { entered <- struct{}{}; <-hold; return nil }
	ctx, cancel := context.WithCancel(t.Context())
	answered := make(chan error, 1)
	go func() { answered <- a.Ask(ctx, "tea", nil, func(string, []byte) {}) }()
	<-entered
	cancel()
	if err := <-answered; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	go func() { answered <- a.Ask(t.Context(), "tea", nil, func(string, []byte) {}) }()
	for end := time.Now().Add(20 * time.Second); waiting(a) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the question was not put")
		}
	}
	b.goodbye()
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
	close(hold)
}

func waiting(r *rig) int {
	r.nodes.mu.Lock()
	defer r.nodes.mu.Unlock()
	return len(r.nodes.asks)
}

// TestCredentials: a server that does not let us in is a reason, not an end.
func TestCredentials(t *testing.T) {
	s := startNATS(t, childOrder{User: "throng"})
	wrong := fmt.Sprintf("nats://throng:wrong@127.0.0.1:%d", s.order.Port)
	r := open(t, Config{URLs: []string{wrong}})
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if ok, why := r.Ready(); !ok && strings.Contains(strings.ToLower(why), "authorization") {
			break
		} else if ok || time.Now().After(end) {
			t.Fatal(ok, why)
		}
	}
	right := fmt.Sprintf("nats://throng:secret@127.0.0.1:%d", s.order.Port)
	open(t, Config{URLs: []string{right}}).ready().mustPublish(0, "tea", "", "x")
}

// TestStreamGone: a stream that somebody deletes comes back empty, under a new epoch, and the handler is told.
func TestStreamGone(t *testing.T) {
	s := startNATS(t, childOrder{})
	r := open(t, Config{URLs: []string{s.url()}}).ready()
	epoch := r.Epoch(0)
	r.mustPublish(0, "tea", "", "x")
	if err := r.js.DeleteStream(t.Context(), r.streams[0].full); err != nil {
		t.Fatal(err)
	}
	if _, err := r.publish(0, "tea", "", "x"); !errors.Is(err, ErrUnavailable) {
		t.Fatal(err)
	}
	ring(r.settleNow)
	r.await("a gap", func() bool { return slices.Contains(r.gapped, "0/") })
	if a := r.mustPublish(0, "tea", "", "x"); a.Seq != 1 || r.Epoch(0) == epoch {
		t.Fatal(a)
	}
}

// TestServerSetBack: servers that lost what they had acknowledged are noticed by a node that lived on, and by one that remembers; all nodes come to one new epoch.
func TestServerSetBack(t *testing.T) {
	s := startNATS(t, childOrder{})
	copied, remembers := t.TempDir(), t.TempDir()
	a := open(t, Config{URLs: []string{s.url()}, Node: "a", Dir: remembers}).ready()
	b := open(t, Config{URLs: []string{s.url()}, Node: "b"}).ready()
	a.mustPublish(0, "tea", "", "one")
	stop := func() {
		s.kill()
		a.down()
		b.down()
	}
	stop()
	if err := os.CopyFS(filepath.Join(copied, "old"), os.DirFS(s.order.Dir)); err != nil {
		t.Fatal(err)
	}
	s.start(t)
	a.ready()
	b.ready()
	epoch := a.Epoch(0)
	a.mustPublish(0, "tea", "", "two")
	stop()
	again := func() {
		if err := os.RemoveAll(s.order.Dir); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(s.order.Dir, os.DirFS(filepath.Join(copied, "old"))); err != nil {
			t.Fatal(err)
		}
		s.start(t)
	}
	again()
	a.ready()
	b.ready()
	ring(b.settleNow)
	for end := time.Now().Add(20 * time.Second); a.Epoch(0) == epoch || a.Epoch(0) != b.Epoch(0); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(epoch, a.Epoch(0), b.Epoch(0))
		}
	}
	if m := a.mustPublish(0, "tea", "", "another two"); m.Seq != 2 {
		t.Fatal(m)
	}
	_ = a.settle(t.Context()) // the mark is written
	epoch = a.Epoch(0)
	if err := errors.Join(a.end(), b.end()); err != nil {
		t.Fatal(err)
	}
	// The old copy once more: its epoch is the first one, which nobody remembers as further than it is but the mark's of that time.
	c := open(t, Config{URLs: []string{s.url()}, Node: "c", Dir: remembers}).ready()
	if c.Epoch(0) != epoch {
		t.Fatal("the epoch changed")
	}
}

// TestSettings: limits follow the configuration of the node that starts last; what JetStream cannot change is said.
func TestSettings(t *testing.T) {
	s := startNATS(t, childOrder{})
	a := open(t, Config{URLs: []string{s.url()}, Streams: []Stream{{Name: "main", Messages: 10, Bytes: 1 << 20}}}).ready()
	epoch := a.Epoch(0)
	for range 10 {
		a.mustPublish(0, "tea", "", "x")
	}
	b := open(t, Config{URLs: []string{s.url()}, Streams: []Stream{{Name: "main", Messages: 5, Bytes: 2 << 20, Age: time.Hour}}}).ready()
	if m, err := b.Read(t.Context(), 0, "tea", 0, 100); err != nil || len(m) != 5 || b.Epoch(0) != epoch {
		t.Fatal(len(m), err)
	}
	_ = a.settle(t.Context()) // does not change it back
	stream, err := b.js.Stream(t.Context(), "throng-main")
	if err != nil {
		t.Fatal(err)
	}
	if c := stream.CachedInfo().Config; c.MaxMsgsPerSubject != 5 || c.MaxBytes != 2<<20 || c.MaxAge != time.Hour || c.Duplicates != duplicateWindowDefault {
		t.Fatalf("%+v", c)
	}
	c := open(t, Config{URLs: []string{s.url()}, Replicas: 3})
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if ok, why := c.Ready(); !ok && strings.Contains(why, "cannot be given its settings") {
			break
		} else if ok || time.Now().After(end) {
			t.Fatal(ok, why)
		}
	}
}

// TestSlowRooms: rooms on a lane that is too slow hear of their gaps, each of its own.
func TestSlowRooms(t *testing.T) {
	s := startNATS(t, childOrder{})
	r := open(t, Config{URLs: []string{s.url()}, AckTimeout: time.Minute}).ready()
	hold := make(chan struct{})
	release := sync.OnceFunc(func() { close(hold) })
	defer release()
	r.onStored = func() { <-hold }
	if err := r.Watch(0, "tea"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Last(t.Context(), 0, "tea"); err != nil {
		t.Fatal(err)
	}
	const n = laneMessagesMax + 100
	acks := make(chan error, n)
	for range n {
		r.Publish(0, "tea", "", []byte("x"), func(_ Ack, err error) { acks <- err })
	}
	for range n {
		if err := <-acks; err != nil {
			t.Fatal(err)
		}
	}
	r.await("a gap", func() bool { return slices.Contains(r.gapped, "0/tea") })
	release()
	if err := r.main.Flush(); err != nil {
		t.Fatal(err)
	}
	r.await("what the lane held", func() bool { return len(r.stored["0/tea"]) >= laneMessagesMax })
	last := r.mustPublish(0, "tea", "", "end")
	r.await("the end", func() bool { m := r.stored["0/tea"]; return m[len(m)-1].Seq == last.Seq })
	if r.Stats().Slow == 0 {
		t.Fatal("not counted")
	}
}
