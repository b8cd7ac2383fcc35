package bench

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// worker holds a range of a run's connections: one goroutine on a thread of its own, one epoll. What it does, it does
// on a coordinator's word, see wire.go. Everything but the inbox belongs to the loop.
type worker struct {
	spec    spec
	targets []*target
	sources []source
	poll    *poller
	timer   timer
	armed   instant // what the timer is set for
	box     *postbox
	inbox   inbox
	quit    error // why there is nothing more to do: the coordinator has gone, or the run cannot go on

	conns    []conn // connection lo+i stands at i
	buf      []byte
	request  []byte   // scratch
	spare    []*extra // not in use
	open     int
	underway int // handshakes
	gone     int // for good
	reasons  map[string]int
	dialing  dialing
	connect  hist // from connect to the accepted upgrade
	shakes   uint64

	load
	storm     *storm
	churn     churn
	slow      slow
	evictions evictions
	stopAt    instant // when a stop was asked for; 0: it was not
	ticking   ticking
	base      int64     // user memory before there were connections
	held      func(int) // for tests: called with each tick
}

const (
	readBytes  = 256 << 10
	sleepMax   = 100 * time.Millisecond
	stuckAfter = 10 * time.Second
	spareMax   = 64
)

// inbox takes the commands from the goroutine that reads them to the loop.
type inbox struct {
	mu    sync.Mutex
	queue []command
	ended bool
}

var errGone = errors.New("the coordinator has gone")

// serveWorker does what the reader says and answers on the writer, until the reader ends. It closes the writer.
func serveWorker(r io.Reader, to io.WriteCloser, held func(int)) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	w := &worker{box: newPostbox(to), held: held, reasons: make(map[string]int), buf: make([]byte, readBytes)}
	defer w.box.close()
	var err error
	if w.poll, err = newPoller(); err != nil {
		w.fail(err)
		return
	}
	defer w.poll.close()
	if w.timer, err = newTimer(w.poll); err != nil {
		w.fail(err)
		return
	}
	defer rawClose(w.timer.fd)
	read := make(chan struct{})
	go func() {
		defer close(read)
		w.listen(r)
	}()
	w.serve()
	w.closeAll()
	<-read // the coordinator closes its end, always
}

func (w *worker) listen(r io.Reader) {
	d := json.NewDecoder(bufio.NewReader(r))
	for {
		var c command
		err := d.Decode(&c)
		w.inbox.mu.Lock()
		if err != nil {
			w.inbox.ended = true
		} else {
			w.inbox.queue = append(w.inbox.queue, c)
		}
		w.inbox.mu.Unlock()
		w.poll.wakeUp()
		if err != nil {
			return
		}
	}
}

// asked takes the next command. A stop is not waited for: whatever goes on sees it at once.
func (w *worker) asked() (c command, ok bool) {
	w.inbox.mu.Lock()
	defer w.inbox.mu.Unlock()
	if w.inbox.ended && w.quit == nil {
		w.quit = errGone
	}
	if len(w.inbox.queue) == 0 {
		return c, false
	}
	c = w.inbox.queue[0]
	w.inbox.queue = w.inbox.queue[1:]
	return c, true
}

// woken looks for a stop among the commands that wait.
func (w *worker) woken() {
	w.poll.drainWake()
	w.inbox.mu.Lock()
	defer w.inbox.mu.Unlock()
	if w.inbox.ended && w.quit == nil {
		w.quit = errGone
	}
	for _, c := range w.inbox.queue {
		if c.Do == doStop {
			w.stopAt = c.At
		}
	}
}

func (w *worker) fail(err error) { w.box.put(message{Is: isFailed, Error: err.Error()}) }

func (w *worker) serve() {
	for w.quit == nil {
		c, ok := w.asked()
		if !ok {
			w.turn(forever)
			continue
		}
		if err := w.do(c); err != nil && w.quit == nil {
			w.quit = err
		}
	}
	if !errors.Is(w.quit, errGone) {
		w.fail(w.quit)
	}
}

func (w *worker) do(c command) error {
	switch c.Do {
	case doSetup:
		return w.setUp(*c.Spec)
	case doConnect:
		return w.connectTo(c.Upto)
	case doStart:
		return w.measure(c)
	case doStop:
		w.stopped()
		return nil
	case doStorm:
		return w.stormAt(c)
	case doDrain:
		return w.judge(c)
	case doEvict:
		return w.awaitEviction(c.At)
	}
	return fmt.Errorf("worker: %q is nothing that it does", c.Do)
}

func (w *worker) setUp(s spec) (err error) {
	w.spec = s
	if err := needDescriptors(s.Hi - s.Lo); err != nil {
		return err
	}
	if w.sources, err = parseSources(s.Sources); err != nil {
		return err
	}
	for _, t := range s.Targets {
		w.targets = append(w.targets, newTarget(t, s.Hooks))
	}
	w.base = ownMemory()
	w.conns = make([]conn, s.Hi-s.Lo)
	for i := range w.conns {
		w.conns[i] = conn{fd: -1, index: uint32(i), sender: -1, room: uint32(s.room(s.Lo + i))}
	}
	w.connect = newHist()
	w.evictions.setUp(w)
	w.load.setUp(w)
	w.slow.setUp(w)
	w.ticking.begin(s.Epoch)
	w.box.put(message{Is: isReady})
	return nil
}

func (w *worker) closeAll() {
	for i := range w.conns {
		if c := &w.conns[i]; c.fd >= 0 {
			rawReset(c.fd) // thousands in TIME_WAIT would be in the next run's way
			c.fd = -1
		}
	}
}

// turn serves what is ready once, and waits for it at most until the given instant.
func (w *worker) turn(until instant) {
	t := now()
	at := w.due(t)
	if at < w.armed || w.armed <= t && at > t {
		w.armed = at
		w.timer.at(at)
	}
	if at > t {
		at = min(until, w.ticking.next(), t+sleepMax)
	}
	for _, ev := range w.poll.wait(max(at-t, 0)) {
		switch {
		case ev.Fd >= 0:
			w.event(&w.conns[ev.Fd], ev.Events)
		case ev.Fd == tagWake:
			w.woken()
		}
	}
	t = now()
	w.sendDue(t)
	w.dialDue(t)
	w.churnDue(t)
	w.slowDue(t)
	if t >= w.ticking.next() {
		w.tick(t)
	}
}

// due is when the loop has something to do by itself.
func (w *worker) due(t instant) instant {
	return min(w.sendsAt(), w.dialsAt(t), w.churn.at(w), w.slow.at(w))
}

// run takes turns until the instant has come, done says so, or it cannot go on.
func (w *worker) run(until instant, done func() bool) error {
	for w.quit == nil && now() < until && !done() {
		w.turn(until)
	}
	return w.quit
}

func never() bool { return false }

func (w *worker) event(c *conn, events uint32) {
	if c.fd >= 0 && events&unix.EPOLLOUT != 0 {
		w.writable(c)
	}
	if c.slow && c.state == connOpen && events&goneEvents == 0 && !w.slow.hurry {
		return // it reads in its own time
	}
	if fd := c.fd; fd >= 0 && events&^unix.EPOLLOUT != 0 {
		for w.readable(c, w.buf) || events&goneEvents != 0 {
			if c.fd != fd {
				return
			}
		}
	}
}

// readable reads once; more says that the socket may hold more.
func (w *worker) readable(c *conn, buf []byte) (more bool) {
	have := 0
	if c.more != nil {
		have = copy(buf, c.more.left)
	}
	n, errno := rawRead(c.fd, buf[have:])
	switch {
	case n == 0:
		w.drop(c, "closed without a close frame")
		return false
	case errno == unix.EAGAIN || errno == unix.EINTR:
		return errno == unix.EINTR
	case n < 0:
		w.drop(c, errno.Error())
		return false
	}
	fd, rest, err := c.fd, buf[:have+n], error(nil)
	switch c.state {
	case connAsked:
		if rest, err = w.answered(c, rest); c.state != connOpen || err != nil {
			break
		}
		fallthrough
	case connOpen:
		rest, err = w.frames(c, rest)
	case connLeaving:
		rest = nil
	}
	if err != nil {
		w.drop(c, err.Error())
	}
	if c.fd != fd {
		return false
	}
	w.keepRest(c, rest)
	return have+n == len(buf)
}

// ownMemory is the user memory of this process: what is resident and not a file's.
func ownMemory() int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident, shared int64
	if _, err := fmt.Sscan(string(b), &size, &resident, &shared); err != nil {
		return 0
	}
	return (resident - shared) * int64(os.Getpagesize())
}
