package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Handler is told what the broker brings. Its methods are called on the broker's goroutines and must not block: while one runs, nothing else
// (embedded) or nothing of a quarter of the rooms (external) is delivered.
type Handler interface {
	// Stored is a message that was stored, by whichever node, in the order of its room. One may come twice, and some may be missing: compare its numbers
	// with those seen. Data is valid until Stored returns.
	Stored(stream int, room string, m Message)
	// Gapped: messages of this watched room may have been missed, or the stream's epoch has changed. With the room "", that is so of every room of the
	// stream that is watched. It may come more often than needed.
	Gapped(stream int, room string)
	// Cast is what another node said to all that watch the room, or to all nodes if room is "".
	Cast(room, node string, data []byte)
	// Asked is a question of another node about a room, watched here or not. nil is no answer.
	Asked(room, node string, data []byte) (reply []byte)
	// NodeGone: another node said goodbye, was silent for too long, or is another process than before: NodeCame follows then.
	NodeGone(node string)
	// NodeCame: another node lives that was not known, or not any more. What it said meanwhile was not heard.
	NodeCame(node string)
	// Connected: the store can be reached, or cannot any more.
	Connected(connected bool)
}

// Message is one that was stored.
type Message struct {
	Seq uint64 // its number: rises within the room, and not by one
	// Last is the number of the room's message before it; 0 if there was none then, or it is not known. Where it is Seq itself the room's messages are
	// handed on in turn, none left out but those of which Gapped tells first: it is whichever was handed on last.
	Last uint64
	Time time.Time // zero where they are handed on in turn
	Data []byte
}

// Broker stores and carries. All its methods may be called from any goroutine.
type Broker struct {
	cfg     Config
	handler Handler
	log     *limitedLog
	server  *embedded // nil: servers elsewhere
	mark    *marks
	streams []*stream
	started time.Time

	main  *nats.Conn // publishes, acknowledgements, what was stored, nodes
	reads *nats.Conn // history
	js    jetstream.JetStream
	inbox string // our acknowledgements come below it
	turns chan struct{}

	// opened is what every publish looks at: connected, and the streams are there.
	opened  atomic.Bool
	session atomic.Uint64 // of main: counts connections that ended
	reason  atomic.Pointer[string]

	outbox  outbox
	pending *pending
	refused refusals
	watches watches
	nodes   nodes
	counts  counters

	settleNow chan struct{}
	quit      chan struct{}
	running   sync.WaitGroup
	closing   sync.Once
	closed    atomic.Bool
	settling  sync.Mutex // one look at the streams at a time
	change    sync.Mutex // of opened and session; held while the handler is told, so that it hears each change in its order
	reached   bool       // opened was true before
	// missed counts what the embedded server acknowledged when its publisher had given up, and missedTold what the handler was told of.
	missed, missedTold atomic.Uint64
	telling            sync.Mutex
}

// goroutinesWait is what handlers have to return when the broker is closed.
const goroutinesWait = 5 * time.Second

// Open begins. With the embedded server it returns when messages can be stored; with servers elsewhere at once, also when none can be reached: it goes
// on trying until Close, and Handler.Connected says when it got there. The handler may be called before Open returns.
func Open(ctx context.Context, cfg Config, handler Handler) (*Broker, error) {
	cfg, err := cfg.settled()
	if err != nil {
		return nil, err
	}
	b := &Broker{
		cfg: cfg, handler: handler, log: newLimitedLog(cfg.Logger), started: time.Now(),
		pending: newPending(), turns: make(chan struct{}, readsAtOnce), inbox: nats.NewInbox(),
		settleNow: make(chan struct{}, 1), quit: make(chan struct{}),
	}
	b.outbox.bell, b.refused.bell = make(chan struct{}, 1), make(chan struct{}, 1)
	b.because("connecting to the store")
	for i, s := range cfg.Streams {
		b.streams = append(b.streams, newStream(i, s))
	}
	if err := b.begin(ctx); err != nil {
		b.abandon()
		return nil, err
	}
	b.log.Debug("broker open", slog.Duration("after", time.Since(b.started)), slog.Bool("embedded", b.server != nil), slog.String("node", cfg.Node))
	return b, nil
}

func (b *Broker) begin(ctx context.Context) (err error) {
	if len(b.cfg.URLs) == 0 {
		if b.server, err = startEmbedded(b.cfg, b.log); err != nil {
			return err
		}
	}
	if b.mark, err = openMarks(b.cfg); err != nil {
		return err
	}
	if err := b.connect(); err != nil {
		return err
	}
	if err := b.receive(); err != nil {
		return err
	}
	b.running.Go(b.write)
	b.running.Go(b.refuse)
	if b.server != nil {
		if err := b.settle(ctx); err != nil {
			return err
		}
	}
	b.running.Go(b.keep)
	b.running.Go(b.tick)
	return nil
}

// abandon undoes what begin did before it failed.
func (b *Broker) abandon() {
	b.closed.Store(true)
	close(b.quit)
	b.hangUp()
	b.running.Wait()
	if b.server != nil {
		b.server.stop()
		b.server.unlock()
	}
}

// hangUp closes the connections.
func (b *Broker) hangUp() {
	if b.main != nil {
		b.main.Close()
	}
	if b.reads != nil {
		b.reads.Close()
	}
}

// Close says goodbye, waits until what was published is acknowledged or ctx ends, and stops the embedded server. What is left then gets ErrClosed.
func (b *Broker) Close(ctx context.Context) (err error) {
	b.closing.Do(func() { err = b.close(ctx) })
	return err
}

func (b *Broker) close(ctx context.Context) error {
	b.closed.Store(true) // from here on publishing is refused
	err := b.awaitPending(ctx)
	b.goodbye()
	b.keepLast(ctx)
	close(b.quit)
	b.hangUp()
	if waitErr := b.awaitGoroutines(); err == nil {
		err = waitErr
	}
	for _, done := range b.pending.end() {
		done(Ack{}, ErrClosed)
	}
	if b.server != nil {
		b.server.stop()
	}
	if markErr := b.mark.close(); err == nil {
		err = markErr
	}
	if b.server != nil {
		b.server.unlock()
	}
	return err
}

// awaitGoroutines waits for our goroutines, so that the handler is not called any more, but not for ever for a handler that does not return.
func (b *Broker) awaitGoroutines() error {
	ended := make(chan struct{})
	go func() {
		b.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-time.After(goroutinesWait):
	}
	return errors.New("broker: a handler does not return")
}

func (b *Broker) awaitPending(ctx context.Context) error {
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for {
		n, _ := b.pending.size()
		if n == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("broker: %d messages were not acknowledged: %w", n, ctx.Err())
		case <-look.C:
		}
	}
}

// Ready reports whether messages can be stored, and if not, why.
func (b *Broker) Ready() (bool, string) {
	if b.opened.Load() {
		if reason := b.reason.Load(); *reason != "" {
			return false, *reason
		}
		return true, ""
	}
	return false, *b.reason.Load()
}

func (b *Broker) because(reason string) {
	b.reason.Store(&reason)
}

// now is the time on the broker's own clock, which is never set back.
func (b *Broker) now() time.Duration {
	return time.Since(b.started)
}
