package engine_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	rtmetrics "runtime/metrics"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"throng/chat"
	"throng/engine"
	"throng/protocol"
)

// What an idle connection takes, part by part, is published in a document. These
// tests weigh it anew: a server in a process of its own, so that nothing but it
// is on the heap, holds real connections in one room, at first a few and then
// many more, and what it has grown by is shared out among them.

var update = flag.Bool("update", false, "write into docs/BENCHMARKS.md what an idle connection was found to take")

const (
	memoryBase  = 2500   // connections at the first look: what comes once is paid by then
	memoryConns = 10_000 // connections at the second, where gnet's map is as full as at the first: halfway between two growths
	memoryFile  = "../docs/BENCHMARKS.md"

	// memoryMode asks the test binary to be the server, and says how.
	memoryMode = "THRONG_MEMORY_SERVER"
	modeHeap   = "heap"  // with every object's allocation recorded
	modePlain  = "plain" // as it runs in earnest

	// partTolerance is for objects, which are the same everywhere but for where a
	// slice or a map stands between two growths.
	partTolerance = 8
	// restTolerance is for what the runtime adds, which is a matter of where the
	// garbage of the rush lay among what stayed.
	restTolerance = 40
)

// memoryParts are the rows of the table, in its order.
var memoryParts = []struct{ name, holds string }{
	{"gnet", "its struct of a connection, and the entry in its map by descriptor"},
	{"engine", "`Conn`, and the entry in the loop's table by timer"},
	{"room", "the place in the lane of the room: cursor, descriptor, and the way back to `Conn`"},
	{"wheel", "the timer"},
	{"anything else", "what the handler and the standard library keep"},
	{"Go runtime", "all other user memory: books of the heap, unfilled places in it, marks of the collector"},
}

const (
	partElse    = "anything else"
	partRuntime = "Go runtime"
)

// memoryLook is what the server says of itself at one moment: live bytes by
// part, or its user memory.
type memoryLook struct {
	Parts map[string]int64
	Live  int64 // bytes of all live objects
	Spare int64 // free pages that each processor keeps at hand, up to 512 KiB of them whatever the load
	PSS   int64
}

// rest is the user memory that no object accounts for.
func (l *memoryLook) rest() int64 { return l.PSS - l.Live - l.Spare }

// TestMemoryTable holds the table of docs/BENCHMARKS.md against what is weighed.
func TestMemoryTable(t *testing.T) {
	if testing.Short() {
		t.Skip("two rushes of thousands of connections")
	}
	needFiles(t, memoryConns+500)
	weighed := map[string]float64{}
	first, second := weigh(t, modeHeap)
	for _, p := range memoryParts {
		weighed[p.name] = growth(first.Parts[p.name], second.Parts[p.name])
	}
	published, found := publishedMemory(t)
	if raced() { // the detector takes memory of its own: only objects are as ever
		weighed[partRuntime] = published[partRuntime]
	} else {
		first, second = weigh(t, modePlain)
		weighed[partRuntime] = growth(first.rest(), second.rest())
	}
	table := memoryTable(weighed)
	switch {
	case !found:
		t.Fatalf("%s has no section %s to %s; put this there:\n%s", memoryFile, memoryBegin, memoryEnd, table)
	case *update:
		writeMemoryTable(t, table)
		return
	}
	for _, p := range memoryParts {
		tolerance := float64(partTolerance)
		if p.name == partRuntime {
			tolerance = restTolerance
		}
		want, found := published[p.name]
		if got := weighed[p.name]; !found || got > want+tolerance || got < want-tolerance {
			t.Errorf("%s: %.0f bytes a connection; the table of %s says %.0f, and %.0f more or less are let pass; to replace it (-update does):\n%s",
				p.name, got, memoryFile, want, tolerance, table)
		}
	}
}

// needFiles skips a test where there may not be so many descriptors, or fails it
// where nothing may be skipped.
func needFiles(t *testing.T, n uint64) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	switch {
	case limit.Max >= n:
	case os.Getenv("THRONG_REQUIRE_ALL") != "":
		t.Fatalf("a descriptor limit of %d, and %d are needed: ulimit -Hn", limit.Max, n)
	default:
		t.Skipf("a descriptor limit of %d, and %d are needed", limit.Max, n)
	}
}

// growth is the share of one connection.
func growth(first, second int64) float64 { return float64(second-first) / (memoryConns - memoryBase) }

// raced reports whether this binary was built with the race detector.
func raced() bool {
	info, ok := debug.ReadBuildInfo()
	for i := 0; ok && i < len(info.Settings); i++ {
		if s := info.Settings[i]; s.Key == "-race" {
			return s.Value == "true"
		}
	}
	return false
}

// memoryTable writes the table.
func memoryTable(weighed map[string]float64) string {
	var b strings.Builder
	b.WriteString("| part | bytes | what it is |\n| --- | --- | --- |\n")
	sum := 0.0
	for _, p := range memoryParts {
		fmt.Fprintf(&b, "| %s | %.0f | %s |\n", p.name, weighed[p.name], p.holds)
		sum += weighed[p.name]
	}
	fmt.Fprintf(&b, "| together | %.0f | growth of user memory (PSS) by connection |\n", sum)
	return b.String()
}

const memoryBegin, memoryEnd = "<!-- memory -->", "<!-- /memory -->"

// publishedMemory reads the table out of the document.
func publishedMemory(t *testing.T) (published map[string]float64, found bool) {
	t.Helper()
	text, err := os.ReadFile(memoryFile)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), memoryBegin)
	rows, _, found := strings.Cut(rest, memoryEnd)
	published = map[string]float64{}
	for line := range strings.Lines(rows) {
		if cells := strings.Split(line, " | "); len(cells) == 3 {
			if n, err := strconv.ParseFloat(cells[1], 64); err == nil {
				published[strings.TrimPrefix(cells[0], "| ")] = n
			}
		}
	}
	return published, found
}

// writeMemoryTable puts a new table between the markers, and nothing else.
func writeMemoryTable(t *testing.T, table string) {
	t.Helper()
	text, err := os.ReadFile(memoryFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(text), memoryBegin)
	_, after, _ := strings.Cut(rest, memoryEnd)
	if err := os.WriteFile(memoryFile, []byte(before+memoryBegin+"\n\n"+table+"\n"+memoryEnd+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// weigh runs a server and has it look at itself with few and with many
// connections.
func weigh(t *testing.T, mode string) (first, second memoryLook) {
	t.Helper()
	noLeaks(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	server := exec.Command(exe, "-test.run=^TestMemoryServer$", "-test.v=false")
	rate := "0"
	if mode == modeHeap {
		rate = "1"
	}
	server.Env = append(os.Environ(), memoryMode+"="+mode, "GODEBUG=memprofilerate="+rate, "GOMAXPROCS=2")
	var complaints bytes.Buffer
	server.Stderr = &complaints
	ask, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	answer, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	c := &weighing{TB: t, ask: ask, answers: bufio.NewReader(answer)}
	defer func() {
		for _, nc := range c.conns {
			_ = nc.SetLinger(0) // so many would each keep a port for a minute
			_ = nc.Close()
		}
		_ = ask.Close()
		_, _ = io.Copy(io.Discard, c.answers)
		if err := server.Wait(); err != nil {
			t.Errorf("the server: %v\n%s", err, complaints.Bytes())
		}
	}()
	c.addr = c.line()
	first = c.look(memoryBase)
	return first, c.look(memoryConns)
}

// weighing is the client's side of it.
type weighing struct {
	testing.TB
	ask     io.Writer
	answers *bufio.Reader
	addr    string
	conns   []*net.TCPConn
}

// line is the next that the server says.
func (c *weighing) line() string {
	c.Helper()
	s, err := c.answers.ReadString('\n')
	if err != nil {
		c.Fatalf("the server is gone: %v", err)
	}
	return strings.TrimSpace(s)
}

// look connects until there are n, and asks the server what it holds.
func (c *weighing) look(n int) (l memoryLook) {
	c.Helper()
	request, answer := []byte(handshake()), make([]byte, 512)
	for len(c.conns) < n {
		nc, err := net.DialTimeout("tcp", c.addr, patience)
		if err != nil {
			c.Fatalf("connection %d: %v", len(c.conns), err)
		}
		c.conns = append(c.conns, nc.(*net.TCPConn))
		_ = nc.SetDeadline(time.Now().Add(patience))
		if _, err := nc.Write(request); err != nil {
			c.Fatal(err)
		}
		if n, err := nc.Read(answer); !bytes.HasPrefix(answer[:n], []byte("HTTP/1.1 101 ")) {
			c.Fatalf("upgrade: %q, error %v", answer[:n], err)
		}
	}
	if _, err := io.WriteString(c.ask, "look\n"); err != nil {
		c.Fatal(err)
	}
	if err := json.Unmarshal([]byte(c.line()), &l); err != nil {
		c.Fatal(err)
	}
	return l
}

// TestMemoryServer is the server that is weighed. By itself it is no test.
func TestMemoryServer(t *testing.T) {
	mode := os.Getenv(memoryMode)
	if mode == "" {
		t.Skip("run by TestMemoryTable")
	}
	debug.SetGCPercent(50) // as throng serve does
	cfg := engine.DefaultConfig()
	cfg.Listen, cfg.Loops, cfg.IdleTimeout = []string{"127.0.0.1:0"}, 1, 0
	cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	cfg.Origins, _ = protocol.ParseOrigins(nil)
	rooms, err := chat.New(chat.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(cfg, rooms)
	if err != nil {
		t.Fatal(err)
	}
	defer rooms.Close()
	defer e.Close()
	rooms.Serve(e)
	e.Start()
	fmt.Println(e.Addrs()[0])
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		answer, err := json.Marshal(lookAtSelf(t, mode))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("%s\n", answer)
	}
}

// lookAtSelf says what this process holds once it has come to rest.
func lookAtSelf(t *testing.T, mode string) (l memoryLook) {
	runtime.GC() // a second collection, for what sync.Pool keeps through the first
	debug.FreeOSMemory()
	if mode == modeHeap {
		l.Parts = liveByPart(t)
		return l
	}
	sizes := []rtmetrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/free:bytes"}}
	rtmetrics.Read(sizes)
	l.Live, l.Spare = int64(sizes[0].Value.Uint64()), int64(sizes[1].Value.Uint64())
	rollup, err := os.ReadFile("/proc/self/smaps_rollup")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(rollup)) {
		if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			l.PSS = kib << 10
		}
	}
	return l
}

// liveByPart shares the bytes of live objects out among those who allocated them.
func liveByPart(t *testing.T) map[string]int64 {
	var records []runtime.MemProfileRecord
	n, ok := runtime.MemProfile(nil, false)
	for !ok {
		records = make([]runtime.MemProfileRecord, n+64)
		n, ok = runtime.MemProfile(records, false)
	}
	if n == 0 {
		t.Fatal("no object was recorded: does GODEBUG say memprofilerate=1?")
	}
	parts := map[string]int64{}
	for i := range records[:n] {
		parts[partOf(records[i].Stack())] += records[i].InUseBytes()
	}
	return parts
}

// partOf names the part whose code asked for an object: the innermost function
// of a package that has a row.
func partOf(stack []uintptr) string {
	frames := runtime.CallersFrames(stack)
	for {
		frame, more := frames.Next()
		for _, o := range memoryOwners {
			if strings.HasPrefix(frame.Function, o.prefix) {
				return o.part
			}
		}
		if !more {
			return partElse
		}
	}
}

// memoryOwners are tried in this order.
var memoryOwners = []struct{ prefix, part string }{
	{"throng/timeouts.", "wheel"},
	{"throng/engine.(*lane).", "room"},
	{"throng/engine.(*Topic).", "room"},
	{"throng/engine.(*registry).", "room"},
	{"throng/chat.", partElse},
	{"throng/protocol.", partElse},
	{"net.", partElse},
	{"github.com/panjf2000/gnet/v2", "gnet"},
	{"throng/engine.", "engine"},
}
