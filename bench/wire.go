package bench

import (
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"sync"
	"time"

	"throng/bench/report"
)

// A run is one coordinator and one or more workers. They speak JSON, a line each way at a time: the coordinator says
// what to do, the worker answers when it is done, and tells about once a second what goes on. The same lines go over
// the pipes of a process and over a pipe within this one.
//
//	coordinator                    worker
//	setup  the spec                ready
//	connect  up to a number        connected
//	start  at, from, to            stopped: what each of its senders has sent
//	stop   at (earlier than "to")
//	storm  at                      stormed
//	drain  what all have sent      result
//	evict  at, to wait until       evicted
//	                               tick, each second; failed, instead of any answer
//
// Every instant is nanoseconds of CLOCK_MONOTONIC, which is one clock for all processes of a machine.

// spec is a run as its workers see it, the same for each but for the range.
type spec struct {
	Lo, Hi   int          `json:",omitzero"` // this worker's connections, of Conns
	Conns    int          // of all workers
	Targets  []targetSpec // connection i goes to one by its room
	Rooms    int          `json:",omitzero"` // 0: all that go to one target share its room
	Senders  int          `json:",omitzero"`
	InFlight int          `json:",omitzero"`
	Rate     float64      `json:",omitzero"` // messages a second of each sender
	Payload  int          `json:",omitzero"`
	Salt     uint64       `json:",omitzero"`
	Hooks    hooks
	Sources  []string `json:",omitempty"`

	ConnectRate float64       `json:",omitzero"` // of this worker; 0: as fast as it goes
	Brief       bool          `json:",omitzero"` // a connection goes as soon as it is upgraded, and comes again
	PerRoom     bool          `json:",omitzero"` // a histogram for each room
	Returns     bool          `json:",omitzero"` // who was dropped comes back: storm, churn
	Patient     bool          `json:",omitzero"` // who is refused while connecting tries again
	Churn       float64       `json:",omitzero"` // connections a second of this worker that leave and come back
	SlowShare   float64       `json:",omitzero"` // of the receivers
	SlowRead    int           `json:",omitzero"` // bytes a second that such a one reads
	Idle        time.Duration `json:",omitzero"` // the server's limit of silence, to tell how late it evicts
	Epoch       instant       // ticks are counted from here until the start says otherwise
}

// targetSpec is one server, resolved.
type targetSpec struct {
	Addr netip.AddrPort
	Host string // for the header
	URI  string // of the URL's own room
}

// hooks are what a server with an envelope of its own needs.
type hooks struct {
	Path        string `json:",omitempty"` // {room} in it stands for the room; "": the URL's own
	Subprotocol string `json:",omitempty"`
	Hello       string `json:",omitempty"` // {n} in it stands for the connection's number, {room} for its room
	Prefix      string `json:",omitempty"` // {room} as well
	Suffix      string `json:",omitempty"`
	Ack         string `json:",omitempty"` // what an acknowledgement holds
	Text        bool   `json:",omitempty"`
}

// command is what the coordinator says.
type command struct {
	Do       string
	Spec     *spec         `json:",omitempty"`
	Upto     int           `json:",omitzero"` // connect: connections of this worker that are open then
	At       instant       `json:",omitzero"` // start, stop, storm, evict
	From, To instant       `json:",omitzero"` // start: what is measured; To 0: talk, and measure nothing
	Give     time.Duration `json:",omitzero"` // storm: for how long to try
	Sent     []uint32      `json:",omitempty"`
	Quiet    time.Duration `json:",omitzero"` // drain: with nothing arriving for so long, what is missing is lost
}

// The commands, and the messages that answer them.
const (
	doSetup   = "setup"
	doConnect = "connect"
	doStart   = "start"
	doStop    = "stop"
	doStorm   = "storm"
	doDrain   = "drain"
	doEvict   = "evict"

	isReady     = "ready"
	isConnected = "connected"
	isStopped   = "stopped"
	isStormed   = "stormed"
	isResult    = "result"
	isEvicted   = "evicted"
	isTick      = "tick"
	isFailed    = "failed"
)

// message is what a worker says.
type message struct {
	Is      string
	Error   string          `json:",omitempty"`
	Open    int             `json:",omitzero"`
	Sent    []sentBy        `json:",omitempty"` // stopped
	Tick    *tick           `json:",omitempty"`
	Result  *outcome        `json:",omitempty"`
	Evicted *evictedOutcome `json:",omitempty"`
}

// sentBy is how many messages a sender has sent.
type sentBy struct {
	Sender int
	N      uint32
}

// tick is what a worker saw since the one before.
type tick struct {
	Epoch   instant
	N       int // of the epoch's seconds; below 0 before it
	At      instant
	Took    time.Duration
	Open    int
	Sent    uint64
	Done    uint64 // deliveries, or handshakes
	CPU     time.Duration
	Memory  int64 // user memory of the process now
	Latency hist
}

// outcome is what a worker has to report of a run.
type outcome struct {
	From, To mark
	Latency  hist
	Raw      hist
	Connect  hist
	Sent     uint64
	Cycles   uint64 `json:"-"` // of all workers, once they are merged
	LateMax  time.Duration
	Faults   report.Faults
	Foreign  uint64        `json:",omitzero"`
	Acks     uint64        `json:",omitzero"`
	Rooms    []roomOutcome `json:",omitempty"`
	Storm    *stormOutcome `json:",omitempty"`
	Refused  map[string]int
	Slow     *report.Slow `json:",omitempty"`
}

// roomOutcome is one room's share of what a worker received.
type roomOutcome struct {
	Room    int
	Done    uint64
	Latency []byte // of a packed histogram
}

// mark is what a worker knows at an instant; the difference of two is what happened between.
type mark struct {
	At     instant
	Done   uint64 // deliveries, or handshakes
	Cycles uint64 // of those who left and came back
	CPU    time.Duration
	Thread time.Duration // CPU of the loop alone
}

// postbox writes messages for a loop that must never wait for their reader: put only appends, a goroutine writes.
type postbox struct {
	mu      sync.Mutex
	waiting sync.Cond
	queue   [][]byte
	closed  bool
	done    chan struct{}
}

func newPostbox(to io.WriteCloser) *postbox {
	p := &postbox{done: make(chan struct{})}
	p.waiting.L = &p.mu
	go p.run(to)
	return p
}

func (p *postbox) put(v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own types
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue = append(p.queue, append(b, '\n'))
	p.waiting.Signal()
}

// close returns when all has been written, or cannot be.
func (p *postbox) close() {
	p.mu.Lock()
	p.closed = true
	p.waiting.Signal()
	p.mu.Unlock()
	<-p.done
}

func (p *postbox) run(to io.WriteCloser) {
	defer close(p.done)
	defer func() { _ = to.Close() }()
	for {
		p.mu.Lock()
		for len(p.queue) == 0 && !p.closed {
			p.waiting.Wait()
		}
		lines := p.queue
		p.queue = nil
		p.mu.Unlock()
		if len(lines) == 0 {
			return
		}
		for _, line := range lines {
			if _, err := to.Write(line); err != nil {
				return
			}
		}
	}
}

var errStopped = errors.New("stopped before it began to measure")
