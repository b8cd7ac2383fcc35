package engine

import (
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"reflect"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"testing"
	"time"
	"unsafe"

	"github.com/panjf2000/gnet/v2"
)

// What a million connections would cost the garbage collector, without a million
// sockets. A real engine accepts one real connection; its gnet struct is the
// mould of all others, which the loop is then given as gnet would give them:
// OnOpen, the request, the answer, the room.
//
// In the graph that the collector walks: gnet's structs, of the real type, and a
// map of them by descriptor like gnet's own; Conn, the loop's table, the lane's
// slots, the wheel. Not in it: what accepting and enrolling throw away, stacks,
// and messages. All have one descriptor, a sink, and the kernel holds nothing.

// BenchmarkMillionConnections collects garbage, again and again, among a million
// idle connections in one room; THRONG_CONNS says how many instead.
func BenchmarkMillionConnections(b *testing.B) {
	n := 1_000_000
	if s := os.Getenv("THRONG_CONNS"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil || n < 1 {
			b.Fatalf("THRONG_CONNS=%s: want a number of connections", s)
		}
	}
	defer debug.SetGCPercent(debug.SetGCPercent(50)) // as throng serve does
	m := newMultitude(b)
	debug.FreeOSMemory()
	before := readCollector()
	m.grow(b, n)
	debug.FreeOSMemory()
	first := readCollector()
	for b.Loop() {
		runtime.GC()
	}
	last := readCollector()
	rounds := float64(last.cycles - first.cycles)
	b.ReportMetric(float64(first.live-before.live)/float64(n), "live-bytes/conn")
	b.ReportMetric(float64(first.held-before.held)/float64(n), "heap-bytes/conn")
	b.ReportMetric((last.cpu-first.cpu)*1e3/rounds, "mark-cpu-ms/gc")
	b.ReportMetric(first.pauseUntil(last, 0.99)*1e6, "pause-p99-us")
	b.ReportMetric(first.pauseUntil(last, 1)*1e6, "pause-max-us")
	if m.room.Name() != "/" || len(m.room.here[0].lanes.subs) != n+1 {
		b.Errorf("the room has not everybody in it")
	}
	runtime.KeepAlive(m)
}

// multitude is an engine with many connections that are none.
type multitude struct {
	engine *Engine
	mould  gnet.Conn
	room   *Topic
	byFD   map[int]unsafe.Pointer // as gnet keeps them
	fd     int
}

// casting is a handler that keeps its first connection as the mould.
type casting struct {
	rooms
	opened chan *Conn
}

func (h *casting) OnOpen(c *Conn) {
	h.rooms.OnOpen(c)
	select {
	case h.opened <- c:
	default:
	}
}

func newMultitude(b *testing.B) *multitude {
	b.Helper()
	cfg := DefaultConfig()
	cfg.Listen, cfg.Loops, cfg.IdleTimeout, cfg.PingInterval = []string{"127.0.0.1:0"}, 1, 0, 0
	cfg.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	h := &casting{opened: make(chan *Conn, 1)}
	e, err := New(cfg, h)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(e.Close)
	e.Start()
	nc, err := net.Dial("tcp", e.Addrs()[0].String())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = nc.Close() })
	if _, err := io.WriteString(nc, upgradeRequest("/")); err != nil {
		b.Fatal(err)
	}
	c := <-h.opened
	return &multitude{engine: e, mould: c.gc, room: c.value.(*Topic), byFD: map[int]unsafe.Pointer{}, fd: int(sink(b))}
}

// growStep is how many connections the loop is given in one turn.
const growStep = 1000

// grow adds n connections.
func (m *multitude) grow(b *testing.B, n int) {
	b.Helper()
	l, done := m.engine.loops[0], make(chan struct{})
	for at := 0; at < n; at += growStep {
		l.box.putTask(func(l *loop) {
			for i := at; i < min(n, at+growStep); i++ {
				m.connect(l, i)
			}
			done <- struct{}{}
		})
		l.bell.ring()
		select {
		case <-done:
		case <-time.After(time.Minute):
			b.Fatal("the loop does not answer")
		}
	}
}

// connect gives the loop a connection and its request. Loop-owned.
func (m *multitude) connect(l *loop, id int) {
	v := reflect.New(reflect.TypeOf(m.mould).Elem())
	v.Elem().Set(reflect.ValueOf(m.mould).Elem())
	*(*int)(unsafe.Pointer(v.Elem().FieldByName("fd").UnsafeAddr())) = m.fd
	gc := v.Interface().(gnet.Conn)
	c := &Conn{loop: l, fd: -1, remote: remote{ip: [16]byte{10: 0xff, 11: 0xff, 12: 127, 15: 1}, is4: true}}
	m.byFD[id] = v.UnsafePointer()
	l.arriving = c
	l.OnOpen(gc)
	c.receive([]byte(upgradeRequest("/")))
}

// collector is what the runtime says of its garbage collector.
type collector struct {
	cycles uint64
	live   uint64  // bytes of live objects
	held   uint64  // user memory that is not given back
	cpu    float64 // seconds of it, sweeping aside
	pauses *metrics.Float64Histogram
}

func readCollector() (c collector) {
	s := []metrics.Sample{
		{Name: "/gc/cycles/total:gc-cycles"}, {Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"},
		{Name: "/cpu/classes/gc/total:cpu-seconds"}, {Name: "/sched/pauses/total/gc:seconds"},
	}
	metrics.Read(s)
	return collector{
		cycles: s[0].Value.Uint64(), live: s[1].Value.Uint64(), held: s[2].Value.Uint64() - s[3].Value.Uint64(),
		cpu: s[4].Value.Float64(), pauses: s[5].Value.Float64Histogram(),
	}
}

// pauseUntil is the length within which a share of the pauses since lay: the upper
// end of the bucket.
func (c *collector) pauseUntil(last collector, share float64) (seconds float64) {
	total := uint64(0)
	for i, n := range last.pauses.Counts {
		total += n - c.pauses.Counts[i]
	}
	within, wanted := uint64(0), uint64(math.Ceil(share*float64(total)))
	for i, n := range last.pauses.Counts {
		if within += n - c.pauses.Counts[i]; within >= wanted {
			return last.pauses.Buckets[i+1]
		}
	}
	return 0
}
