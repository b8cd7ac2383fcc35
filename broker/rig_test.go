package broker

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// rig is a broker and everything that its handler was told.
type rig struct {
	t testing.TB
	*Broker

	mu       sync.Mutex
	changed  *sync.Cond
	stored   map[string][]Message // by stream/room
	gapped   []string
	casts    []string
	gone     []string
	came     []string
	states   []bool
	asked    func(room, node string, data []byte) []byte
	onStored func()
}

func (r *rig) Stored(stream int, room string, m Message) {
	m.Data = slices.Clone(m.Data)
	r.note(func() {
		key := fmt.Sprintf("%d/%s", stream, room)
		r.stored[key] = append(r.stored[key], m)
	})
	if r.onStored != nil {
		r.onStored()
	}
}

func (r *rig) Gapped(stream int, room string) {
	r.note(func() { r.gapped = append(r.gapped, fmt.Sprintf("%d/%s", stream, room)) })
}

func (r *rig) Cast(room, node string, data []byte) {
	r.note(func() { r.casts = append(r.casts, fmt.Sprintf("%s %s %s", room, node, data)) })
}

func (r *rig) Asked(room, node string, data []byte) []byte {
	if r.asked == nil {
		return nil
	}
	return r.asked(room, node, data)
}

func (r *rig) NodeGone(node string) { r.note(func() { r.gone = append(r.gone, node) }) }
func (r *rig) NodeCame(node string) { r.note(func() { r.came = append(r.came, node) }) }
func (r *rig) Connected(is bool)    { r.note(func() { r.states = append(r.states, is) }) }

func (r *rig) note(change func()) {
	r.mu.Lock()
	change()
	r.mu.Unlock()
	r.changed.Broadcast()
}

// await waits until something that the handler noted is so.
func (r *rig) await(what string, so func() bool) {
	r.t.Helper()
	timer := time.AfterFunc(20*time.Second, r.changed.Broadcast)
	defer timer.Stop()
	end := time.Now().Add(20 * time.Second)
	r.mu.Lock()
	defer r.mu.Unlock()
	for !so() {
		if time.Now().After(end) {
			r.t.Fatalf("waited in vain for %s; gapped %v, casts %v, gone %v, states %v", what, r.gapped, r.casts, r.gone, r.states)
		}
		r.changed.Wait()
	}
}

// of are the messages that came of a room.
func (r *rig) of(stream int, room string) []Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.stored[fmt.Sprintf("%d/%s", stream, room)])
}

// open opens a broker that is closed with the test.
func open(t testing.TB, cfg Config) *rig {
	t.Helper()
	r, err := tryOpen(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.end() })
	return r
}

func tryOpen(t testing.TB, cfg Config) (*rig, error) {
	r := &rig{t: t, stored: map[string][]Message{}}
	r.changed = sync.NewCond(&r.mu)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelInfo}))
	}
	if cfg.Streams == nil {
		cfg.Streams = []Stream{{Name: "main"}}
	}
	var err error
	r.Broker, err = Open(t.Context(), cfg, r)
	return r, err
}

func (r *rig) end() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return r.Close(ctx)
}

type testLog struct{ t testing.TB }

func (l testLog) Write(line []byte) (int, error) {
	if testing.Verbose() {
		fmt.Fprintf(os.Stderr, "%s: %s", l.t.Name(), line)
	}
	return len(line), nil
}

type outcome struct {
	Ack
	err error
}

// publish has one message stored and waits for the answer.
func (r *rig) publish(stream int, room, id, text string) (Ack, error) {
	r.t.Helper()
	answered := make(chan outcome, 2)
	r.Publish(stream, room, id, []byte(text), func(a Ack, err error) { answered <- outcome{a, err} })
	select {
	case o := <-answered:
		return o.Ack, o.err
	case <-time.After(20 * time.Second):
		r.t.Fatal("a publish was never answered")
		panic("unreachable")
	}
}

func (r *rig) mustPublish(stream int, room, id, text string) Ack {
	r.t.Helper()
	a, err := r.publish(stream, room, id, text)
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}

// TestMain: what a test leaves behind fails the package.
func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		child()
		return
	}
	code := m.Run()
	end := time.Now().Add(5 * time.Second)
	for runtime.NumGoroutine() > 2 && time.Now().Before(end) {
		time.Sleep(10 * time.Millisecond)
	}
	if n := runtime.NumGoroutine(); n > 2 && code == 0 && !fuzzing() {
		stacks := make([]byte, 1<<20)
		fmt.Printf("%d goroutines are left:\n%s\n", n, stacks[:runtime.Stack(stacks, true)])
		code = 1
	}
	os.Exit(code)
}

func fuzzing() bool {
	return slices.ContainsFunc(os.Args, func(s string) bool {
		return strings.HasPrefix(s, "-test.fuzz=") || strings.HasPrefix(s, "-test.fuzzworker")
	})
}

func newCond(r *rig) *sync.Cond { return sync.NewCond(&r.mu) }
