package engine

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"

	"throng/protocol"
)

// Engine accepts connections, holds them on its loops and fans messages out.
// Its methods may be called from any goroutine.
type Engine struct {
	cfg       Config
	handler   Handler
	upgrader  Upgrader
	requester Requester
	describer Describer
	farewell  Farewell
	clock     func() int64 // nanoseconds; nanotime but in tests

	limits     atomic.Pointer[liveLimits]
	addresses  *addressBook
	handshakes sharedPace // upgrades, of all loops together
	pressure   pressure

	loops   []*loop
	gate    *gate
	topics  *registry
	gnetLog *gnetLogger
	panics  panicBook

	endLines, refusalLines logClass
	proxyLines             seldom

	started  time.Time
	draining atomic.Bool
	leavers  leavers
	samples  samples
	ticked   atomic.Int64  // nanoseconds at the last tick of any loop, for who needs no better clock
	eased    atomic.Uint64 // how often a topic ceased to be congested
	stalls   atomic.Uint64 // how often a loop was found blocked
	urgent   chan struct{} // asks the ticker for shorter ticks
	failed   chan error
	quit     chan struct{}
	ticking  sync.WaitGroup
	closed   sync.Once
}

// New makes an engine and binds its listeners. Nothing is accepted before Start.
// Errors say what to do; after one nothing is left running.
func New(cfg Config, h Handler) (*Engine, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if err := checkGnetVersion(); err != nil {
		return nil, err
	}
	e := newEngine(cfg, h)
	var err error
	if e.gate, err = newGate(e); err != nil {
		return nil, err
	}
	if err := e.SetLimits(cfg.Limits); err != nil {
		e.gate.close()
		return nil, err
	}
	for i := range cfg.Loops {
		l, err := newLoop(e, i)
		if err == nil {
			e.loops = append(e.loops, l)
			err = l.run()
		}
		if err != nil {
			e.Close()
			return nil, err
		}
	}
	return e, nil
}

// newEngine makes an engine without listeners and loops.
func newEngine(cfg Config, h Handler) *Engine {
	e := &Engine{
		cfg: cfg, handler: h, started: time.Now(), topics: newRegistry(), gnetLog: new(gnetLogger), clock: nanotime,
		urgent: make(chan struct{}, 1), failed: make(chan error, 1), quit: make(chan struct{}),
		addresses: newAddressBook(cfg.AddressPrefix6),
	}
	e.limits.Store(&liveLimits{Limits: cfg.Limits})
	e.pressure.read = memoryInUse()
	e.upgrader, _ = h.(Upgrader)
	e.requester, _ = h.(Requester)
	e.describer, _ = h.(Describer)
	e.farewell, _ = h.(Farewell)
	return e
}

// Start begins to accept connections.
func (e *Engine) Start() {
	e.pressure.look(e, e.clock())
	e.ticking.Add(1)
	go e.tick()
	e.gate.start()
}

// Close ends everything at once: the listeners, then the loops with every
// connection. Use Drain before it to send people away politely. It waits for the
// loops, so it must not be called from a Handler's callback.
func (e *Engine) Close() {
	e.closed.Do(func() {
		e.gate.stop()
		close(e.quit)
		e.ticking.Wait()
		for _, l := range e.loops {
			l.stop()
		}
		for _, l := range e.loops {
			l.release()
		}
		e.gate.close()
	})
}

// Addrs returns the addresses listened on.
func (e *Engine) Addrs() []net.Addr {
	addrs := make([]net.Addr, 0, len(e.gate.listeners))
	for _, ln := range e.gate.listeners {
		addrs = append(addrs, ln.addr)
	}
	return addrs
}

// Ceiling returns how many connections are let in at once.
func (e *Engine) Ceiling() int { return int(e.limits.Load().ceiling) }

// Failed delivers an error when a loop is dead. The process should then end:
// its connections are not served any more.
func (e *Engine) Failed() <-chan error { return e.failed }

// NotReady makes Ready say no from now on, as the first step of a stop.
func (e *Engine) NotReady() { e.panics.withdraw("the server is about to stop") }

// Ready reports whether new clients should be sent here, and why not.
func (e *Engine) Ready() (ok bool, why string) {
	if e.draining.Load() {
		return false, "the server is about to stop"
	}
	if why := e.panics.reason(); why != "" {
		return false, why
	}
	if why := e.pressure.why(e.limits.Load().MemoryMark); why != "" {
		return false, why
	}
	for _, l := range e.loops {
		if l.stalled.Load() {
			return false, fmt.Sprintf("loop %d is blocked", l.index)
		}
	}
	return true, ""
}

// ErrCongested says that a topic is congested, to a publisher that cannot be made
// to wait.
var ErrCongested = errors.New("engine: the topic is congested; try again")

// Publish gives everybody subscribed to a topic one message in the topic's
// order. A topic without subscribers takes it and nobody gets it. The data may
// be reused after the return. It does not block; ErrCongested says that
// nothing was published, because on some loop the subscribers are too far behind.
func (e *Engine) Publish(topic string, op protocol.Opcode, data []byte) error {
	what := everyForm(op, data)
	return e.publish(topic, &what)
}

// publish is Publish for a message in every form.
func (e *Engine) publish(topic string, what *Contents) error {
	t := e.topics.find(topic)
	if t == nil {
		return nil
	}
	if t.Congested() {
		return ErrCongested
	}
	t.publishAt(0, what)
	return nil
}

// PublishAt is Publish for one message in every form and with its position in the
// topic, a number that rises from one message to the next by one or more; 0 is no
// position. It never refuses: somebody else has decided that the message must reach
// everybody, and whoever decides looks at Topic.Congested before. Messages with a
// position come one call after the other, in their order, for each topic. JoinAt says
// what they are for.
//
// A message whose position is not above the last one's has been had, and is dropped.
// So numbers that can begin anew need something in front that rises with each beginning,
// in the upper bits, say. Any goroutine.
func (e *Engine) PublishAt(topic string, pos uint64, what *Contents) {
	if t := e.topics.find(topic); t != nil {
		t.publishAt(pos, what)
	}
}

func (t *Topic) publishAt(pos uint64, what *Contents) {
	enc := encodedPool.Get().(*encoded)
	t.encode(enc, what)
	t.publish(nil, pos, what, enc)
	encodedPool.Put(enc)
}

// relaxed is told that a topic ceased to be congested: publishers that wait are
// looked at again, on every loop that has some.
func (e *Engine) relaxed() {
	e.eased.Add(1)
	for _, l := range e.loops {
		if l.paused.Load() {
			l.bell.ring()
		}
	}
}

// urge asks the ticker for shorter ticks, because there are laggards to retry.
func (e *Engine) urge(l *loop) {
	if l.lags.Swap(true) {
		return
	}
	select {
	case e.urgent <- struct{}{}:
	default:
	}
}

// overMemory returns by how many bytes logs and buffers hold more than they may.
func (e *Engine) overMemory() (excess int64) {
	if e.cfg.Memory == 0 {
		return 0
	}
	held := int64(0)
	for _, l := range e.loops {
		held += l.held.Load()
	}
	return max(0, held-e.cfg.Memory)
}

// tick makes the loops tick, and watches them. It runs on a goroutine of its
// own for the engine's whole life.
func (e *Engine) tick() {
	defer e.ticking.Done()
	timer := time.NewTimer(tickNanos)
	defer timer.Stop()
	var trim trimmer
	woke, awake := nanotime(), nanotime()
	for {
		select {
		case <-e.quit:
			return
		case <-e.urgent:
		case <-timer.C:
		}
		// When the ticker itself could not run, the loops could not either: they
		// are watched anew from here on.
		if real := nanotime(); real-woke > stallNanos/2 {
			woke, awake = real, real
		} else {
			woke = real
		}
		wait, now := time.Duration(tickNanos), e.clock()
		for _, l := range e.loops {
			if l.lags.Load() {
				wait = retryNanos
			}
			l.tickDue.CompareAndSwap(0, now)
			l.bell.ring()
			e.watch(l, nanotime()-max(l.lastTick.Load(), awake))
		}
		trim.look(e, now)
		e.samples.look(e, nanotime())
		e.addresses.sweep(now)
		e.pressure.look(e, now)
		timer.Reset(wait)
	}
}

// watch finds a loop whose last tick is too old.
func (e *Engine) watch(l *loop, age int64) {
	switch {
	case age < stallNanos:
		l.stalled.Store(false)
	case age > deadNanos:
		select {
		case e.failed <- fmt.Errorf("engine: loop %d has not run for %s", l.index, time.Duration(age).Round(time.Second)):
		default:
		}
	case !l.stalled.Load():
		l.stalled.Store(true)
		e.stalls.Add(1)
		e.cfg.Logger.Error("an event loop is blocked", slog.Int("loop", l.index), slog.String("goroutines", stacks()))
	}
}

// stacksBytesMax bounds a dump of goroutines in the log.
const stacksBytesMax = 256 << 10

// stacks returns what every goroutine is doing. Those that do the same are one, with
// their number, or many who wait in one place would leave no room for the others.
func stacks() string {
	var b bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&b, 1) // a buffer takes everything
	return string(b.Bytes()[:min(b.Len(), stacksBytesMax)])
}
