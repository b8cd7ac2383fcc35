package engine

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"

	"throng/protocol"
	"throng/timeouts"
)

// loop is one gnet event loop and all that it owns: it is the gnet.EventHandler
// of a client engine with a single loop. Every field is loop-owned unless it
// says otherwise.
//
// It reads from each socket that is ready (see poll); gnet calls OnOpen, OnClose and,
// for what is not plain input, OnTraffic. The bell is a socket among them: its turn
// runs what is not bound to one socket (mailbox, wheel, paused publishers, laggards,
// passes), each for a slice, and rings again if something is left, so that sockets
// are served in between.
type loop struct {
	gnet.BuiltinEventEngine
	engine *Engine
	index  int
	client *gnet.Client
	bell   *bell       // any goroutine
	box    mailbox     // any goroutine
	gnet   gnetLoop    // gnet's part of the loop
	epfd   int         // gnet's epoll, to pause reading
	limits *liveLimits // those in force when the callback began
	unused unusedField // of gnet connections

	doors     []*door
	calls     calls
	arriving  *Conn // what gnet is being given
	neighbour int   // which of the other loops it compared itself with last

	now   int64  // nanoseconds on the loop's clock, read once a callback
	skew  int64  // what the loop's clock leaves out: time in which nothing could run
	depth int    // callbacks on the stack
	where string // what is running, for the name of a panic

	wheel   *timeouts.Wheel
	due     func(timeouts.ID, uint8, time.Duration) time.Duration
	conns   []*Conn // by timer
	open    int     // connections in stateOpen
	doomed  []*Conn // to be ended at the end of the turn
	dirty   laneQueue
	lag     laggards
	replays []*Conn  // with a replay that goes on with the next turn
	ready   []*Conn  // paused for the others' sake, to go on at the next turn
	waiting []*Conn  // paused until a topic is no longer congested
	looked  int      // how many of waiting were, and must go on waiting
	look    int      // how many behind them are still to be looked at
	eased   uint64   // the engine's count of relaxations at the last look
	stale   int      // how many of conns have a timer to be placed anew
	turning int      // how many are being told to come back later
	holding int      // how many the handler holds
	leave   *leaving // whom it is sending away, nil if nobody
	walks   []*walk
	serial  uint16 // of the last connection
	ends    endBook

	flushing bool // input that was held back is let through now

	request protocol.Request
	enc     encoded
	scratch []byte
	chunk   []byte // of the replay that is served
	input   []byte // what is read from a socket, nil until the loop polls
	pool    bufferPool
	partial int // bytes lent to decoders for unfinished messages

	greets   *Conn // the connection that is to have greeting before anything else
	greeting []byte
	batch    batchMemo
	stats    stats

	pauseBytes int
	tickLag    recentMax
	lingers    struct{ vain, skip int }
	givesWay   bool  // before it sleeps, to those who have something to do for it
	yielded    int64 // nanoseconds at which other goroutines were let run
	entered    int64 // nanoseconds of the last callback, on the real clock
	ticked     int64 // those of the last tick, without what was left out since

	tickDue  atomic.Int64 // nanoseconds at which the ticker asked for a tick, 0: it did not
	lastTick atomic.Int64 // for the watchdog
	lags     atomic.Bool  // there are laggards
	paused   atomic.Bool  // there are publishers that wait
	held     atomic.Int64 // bytes of logs and buffers
	placed   atomic.Int64 // connections that live here or are on their way
	coming   atomic.Int64 // those that are on their way from another loop
	alive    atomic.Int64 // connections that were open and are not at their end
	stalled  atomic.Bool  // the last tick is too old, and the ticker has said so
	shared   sharedStats
}

var _ gnet.EventHandler = (*loop)(nil)

// batchMemo remembers how many messages lie between a cursor and a head.
type batchMemo struct {
	lane   *lane
	cursor uint64
	frames uint64
	count  uint64
}

// start is the origin of every loop's clock, which is monotonic.
var start = time.Now()

func nanotime() int64 { return int64(time.Since(start)) }

// newLoop makes a loop that does not run yet.
func newLoop(e *Engine, index int) (*loop, error) {
	l := &loop{engine: e, index: index, pauseBytes: pauseBytesMax, limits: e.limits.Load()}
	if e.cfg.LogBytes > 0 {
		l.pauseBytes = e.cfg.LogBytes / pauseDivisor
	}
	var err error
	if l.lag, err = newLaggards(); err != nil {
		return nil, err
	}
	if l.bell, err = newBell(); err != nil {
		_ = unix.Close(l.lag.epfd)
		return nil, err
	}
	l.now = e.clock()
	l.entered, l.ticked = l.now, l.now
	e.ticked.Store(l.now)
	l.lastTick.Store(nanotime())
	l.ends.limit(e.cfg.Ends, e.cfg.Loops)
	l.wheel = timeouts.New(tickNanos, wheelSlots, l.now)
	l.due = l.expire
	l.stats.batch.bounds = &batchBounds
	return l, nil
}

// run starts the loop's goroutine.
func (l *loop) run() (err error) {
	l.client, err = gnet.NewClient(l,
		gnet.WithNumEventLoop(1),
		gnet.WithReadBufferCap(readBytes),
		gnet.WithLogger(l.engine.gnetLog))
	if err != nil {
		return err
	}
	if err = l.client.Start(); err != nil {
		return err
	}
	if err = l.bell.hang(l.client); err != nil {
		return err
	}
	return l.checkInside()
}

// stop ends the loop's goroutine.
func (l *loop) stop() {
	if l.client != nil {
		_ = l.client.Stop()
	}
}

// release gives the loop's descriptors back. Every loop must have stopped, since
// each rings the others' bells.
func (l *loop) release() {
	l.leaveOutside()
	l.bell.close()
	_ = unix.Close(l.lag.epfd)
}

// checkInside waits until the bell hangs and says whether gnet's inside was found
// through it.
func (l *loop) checkInside() error {
	done := make(chan error, 1)
	l.box.putTask(func(l *loop) {
		if l.epfd == 0 || l.gnet.loop == nil {
			done <- errors.New("engine: gnet's poller was not found; this version of gnet is laid out differently")
			return
		}
		done <- nil
	})
	l.bell.ring()
	select {
	case err := <-done:
		return err
	case <-time.After(10 * time.Second):
		return fmt.Errorf("engine: loop %d does not answer its bell", l.index)
	}
}

// enter begins a callback of gnet's.
func (l *loop) enter() {
	if l.depth++; l.depth == 1 {
		l.limits = l.engine.limits.Load()
	}
	real := l.engine.clock()
	l.leaveOut(real - l.entered - 2*tickNanos)
	l.entered = real
	l.now = real - l.skew
}

// leaveOut takes time in which nothing could run off the loop's clock: the
// process was stopped, the machine frozen, a turn too long. What clients sent in
// that time is still unread, so nobody is evicted for it.
func (l *loop) leaveOut(late int64) {
	if late > 0 {
		l.skew += late
		l.ticked += late
		l.stats.clockJumps++
	}
}

// exit ends one. With the outermost, those that were doomed in it are ended, and
// what was published in it is on its way: a message for a handful is written at
// once, anything else when the bell has let the other sockets be read, so that
// what they say goes out with it.
func (l *loop) exit() {
	if l.depth == 1 {
		if l.dirty.len() == 1 && len(l.dirty.peek().subs) <= handful {
			l.runPasses()
		}
		if len(l.doomed) > 0 {
			l.reap()
		}
		if l.dirty.len() > 0 {
			l.bell.ring()
		}
	}
	l.depth--
}

// handful is how many subscribers a lane may have for its pass to be run
// without the bell, which costs as much as two small writes.
const handful = 4

// OnOpen takes over a connection that the loop is taking in.
func (l *loop) OnOpen(gc gnet.Conn) (out []byte, action gnet.Action) {
	c := l.arriving
	l.arriving = nil
	if c == nil { // the bell
		l.epfd, l.gnet, l.unused = pollerOf(gc), gnetLoopOf(gc), unusedOf(gc)
		return nil, gnet.None
	}
	l.enter()
	defer l.exit()
	gc.SetContext(c)
	c.gc, c.fd = gc, int32(gc.Fd())
	l.serial++
	c.serial = l.serial
	l.unused.forget(gc)
	l.stats.accepted++
	wait := l.limits.HandshakeTimeout
	if wait > 0 && c.accepted > 0 { // it counts from accept, not from the loop's next turn
		wait = max(tickNanos, wait-c.accepted.age())
	}
	l.arm(c, classHead, wait)
	return nil, gnet.None
}

// OnTraffic takes what gnet has read from a connection. All of it is consumed:
// parsed, or kept in a buffer of ours that is bounded.
func (l *loop) OnTraffic(gc gnet.Conn) gnet.Action {
	data, _ := gc.Peek(-1)
	_, _ = gc.Discard(-1)
	l.take(gc.Context(), data)
	if l.input == nil && l.gnet.loop != nil { // the bell's first ring
		l.poll()
	}
	return gnet.None
}

// take gives what was read to whom it is for: a connection, or the bell.
func (l *loop) take(who any, data []byte) {
	l.enter()
	defer l.exit()
	c, ok := who.(*Conn)
	if !ok {
		l.turn()
		return
	}
	l.stats.bytesIn += uint64(len(data))
	c.in += uint64(len(data))
	l.guarded(c, "decoder", func() { c.receive(data) })
}

// OnClose is told that gnet lets go of a connection; from its return on the
// descriptor may belong to a stranger.
func (l *loop) OnClose(gc gnet.Conn, err error) gnet.Action {
	c, ok := gc.Context().(*Conn)
	if !ok {
		return gnet.None
	}
	l.enter()
	defer l.exit()
	if c.reason == ReasonNone {
		if c.reason = c.reasonOfClose(err); c.reason == ReasonEOF {
			l.guarded(c, "last words", c.lastWords)
		}
	}
	c.eachSeat(func(s *seat) { s.lane.subs[s.slot].fd = -1 })
	if c.lagging != nil {
		c.lagging.watched = false // a closed descriptor leaves every epoll
		c.lagging.behind = c.behind()
		c.out -= uint64(gc.OutboundBuffered())
	}
	if c.state == stateOpen {
		l.open--
	}
	c.gc, c.fd, c.state = nil, -1, stateGone
	l.doom(c)
	return gnet.None
}

// turn is what the bell brings.
func (l *loop) turn() {
	l.bell.answer()
	l.readMail()
	if asked := l.tickDue.Swap(0); asked != 0 {
		l.tick(asked)
	}
	l.sendSomeAway()
	l.retimeStale()
	l.resumeReady()
	l.resumeWaiting()
	l.retryLaggards()
	l.runReplays()
	l.runPasses()
	l.walkSome()
}

// readMail delivers what was posted.
func (l *loop) readMail() {
	if l.box.empty() {
		return
	}
	mail := l.box.take()
	defer func() {
		if l.box.done() {
			l.engine.relaxed()
		}
	}()
	for _, c := range mail.comers {
		l.takeInComer(c)
	}
	at := 0
	for i := range mail.items {
		at += l.openLetter(&mail.items[i], mail.bytes[at:])
	}
}

// openLetter acts on one letter, whose bytes come first in rest, and returns
// how many they are. A panic costs that letter.
func (l *loop) openLetter(lt *letter, rest []byte) (size int) {
	defer func() {
		if p := recover(); p != nil {
			l.panicked("mailbox", p)
		}
	}()
	if lt.task != nil {
		lt.task(l)
		return 0
	}
	var frames [outfits][]byte
	for o, n := range lt.sizes {
		if n > 0 {
			frames[o] = rest[size : size+int(n)]
			size += int(n)
		}
	}
	l.deliver(lt.topic, lt.pos, &frames)
	return size
}

const (
	// wheelSlots times the tick is the wheel's lap: 41 s.
	wheelSlots = 1024
	// pauseBytesMax is the congestion mark where no topic's log is bounded.
	pauseBytesMax = 64 << 10
	// scratchKept is the buffer for frames that a loop keeps between messages.
	scratchKept = 256 << 10
)

// keepScratch gives back buffers that a huge message blew up.
func (l *loop) keepScratch() {
	if cap(l.scratch) > scratchKept {
		l.scratch = nil
	}
	for i := range l.enc.scratch {
		if cap(l.enc.scratch[i]) > scratchKept {
			l.enc.scratch[i], l.enc.frames[i] = nil, nil
		}
	}
}
