package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// The example that every author of a chat server begins with, at its settings but for the time: who says something stays, whoever has said nothing for
// so long is closed, whatever else they send. With THRONG_LONG=1 the time is the example's own.
func TestOnlySpeakingKeepsOneIn(t *testing.T) {
	idle := time.Second
	if os.Getenv("THRONG_LONG") == "1" {
		idle = 10 * time.Second
	}
	n := startNode(t, "--idle-timeout", idle.String(), "--idle-counts", "messages", "--ping-interval", "0")
	nothing, long := []byte(nil), frame(textFrame, strings.Repeat("w", 1000))
	talker := settle(t, n, "the talker", nothing, frame(textFrame, "and another thing"))
	talked := settle(t, n, "the one who talked", nothing, nothing)
	people := []*resident{
		talker, talked,
		settle(t, n, "the silent", nothing, nothing),
		settle(t, n, "the one who pings", nothing, frame(pingFrame, "here")),
		settle(t, n, "the one who pongs", nothing, frame(pongFrame, "here")),
		settle(t, n, "the one whose message never ends", frame(textPart, "well "), frame(part, "and so on ")),
		settle(t, n, "the one whose frame never ends", long[:100], long[100:101]),
	}
	talked.speak(t, "only once")
	lag, jumps := watchLag(t), n.figures()["throng_clock_jumps_total"]
	var talking sync.WaitGroup
	for _, p := range people {
		talking.Go(func() { p.persist(3*idle, idle/8, p == talker) })
	}
	talking.Wait()
	if bye, over := talker.over(); over {
		t.Errorf("the talker was let go: %+v", bye)
	}
	for _, p := range people {
		p.letGo(t, idle)
		p.wasLate(t, idle, 100*time.Millisecond+time.Duration(lag.Load()), n, jumps)
	}
}

// resident is somebody in a room, with a habit and the times between which the server has last heard them.
type resident struct {
	*member
	name        string
	habit       []byte
	from, until time.Time
}

// settle brings somebody into the room of their name, who sends something at once and something by habit.
func settle(t *testing.T, n *node, name string, first, habit []byte) *resident {
	t.Helper()
	r := &resident{name: name, habit: habit, from: time.Now()}
	r.member = join(t, n.url("/rooms/"+strings.ReplaceAll(name, " ", "-")))
	r.until = time.Now()
	if _, err := r.ws.NetConn().Write(first); err != nil {
		t.Fatal(err)
	}
	return r
}

// persist does by habit what one does, for so long or until one is let go. It may be something that counts.
func (r *resident) persist(long, pause time.Duration, counts bool) {
	for end := time.Now().Add(long); time.Now().Before(end); time.Sleep(pause) {
		before := time.Now()
		if _, over := r.over(); over || r.habit == nil {
			return
		}
		if _, err := r.ws.NetConn().Write(r.habit); err != nil {
			return
		}
		if counts {
			r.from, r.until = before, time.Time{} // when it came there is not known well
		}
	}
}

func (r *resident) speak(t *testing.T, what string) {
	t.Helper()
	r.from = time.Now()
	r.say(text(what))
	r.count(1)
	r.until = time.Now()
}

// letGo waits for the eviction, which is never early.
func (r *resident) letGo(t *testing.T, idle time.Duration) {
	t.Helper()
	bye := r.end()
	if bye.code != 4408 || bye.reason != "idle" {
		t.Errorf("%s: %+v", r.name, bye)
	}
	if early := idle - bye.at.Sub(r.from); early > 0 {
		t.Errorf("%s was let go %v early", r.name, early)
	}
}

// wasLate checks that the eviction was not later than allowed, beside what the server was too busy for.
func (r *resident) wasLate(t *testing.T, idle, allowed time.Duration, n *node, jumps float64) {
	t.Helper()
	if r.until.IsZero() {
		return
	}
	const transit = 20 * time.Millisecond
	f := n.figures()
	allowed += f.worst("throng_loop_lag_seconds") + transit
	late := r.bye.at.Sub(r.until) - idle
	switch {
	case late <= allowed:
	case f["throng_clock_jumps_total"] > jumps:
		t.Logf("%s was let go %v late by a server that was not run for a while", r.name, late)
	default:
		t.Errorf("%s was let go %v late, more than %v\n%s", r.name, late, allowed, f)
	}
}

// worst is a bound on the largest observation of a histogram.
func (f figures) worst(histogram string) time.Duration {
	all, worst := f[histogram+"_count"], time.Duration(0)
	for name, count := range f {
		bound, ok := strings.CutPrefix(name, histogram+`_bucket{le="`)
		if !ok || count < all {
			continue
		}
		seconds, err := strconv.ParseFloat(strings.TrimSuffix(bound, `"}`), 64)
		if d := time.Duration(seconds * float64(time.Second)); err == nil && seconds < 3600 && (worst == 0 || d < worst) {
			worst = d
		}
	}
	return worst
}

// watchLag measures how late this process itself is woken, at worst, until the end of the test.
func watchLag(t *testing.T) *atomic.Int64 {
	worst, stop := new(atomic.Int64), make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		const nap = 5 * time.Millisecond
		for {
			before := time.Now()
			select {
			case <-stop:
				return
			case <-time.After(nap):
			}
			worst.Store(max(worst.Load(), int64(time.Since(before)-nap)))
		}
	})
	t.Cleanup(func() {
		close(stop)
		watching.Wait()
	})
	return worst
}

// With the default, a pong is a sign of life: who answers pings and says nothing stays.
func TestAnsweringPingsKeepsOneIn(t *testing.T) {
	const idle = time.Second
	n := startNode(t, "--idle-timeout", idle.String(), "--ping-interval", "300ms")
	quiet := join(t, n.url("/"))
	deaf := join(t, n.url("/"), func(ws *websocket.Conn) { ws.SetPingHandler(func(string) error { return nil }) })
	if bye := deaf.end(); bye.code != 4408 {
		t.Errorf("who answers no ping: %+v", bye)
	}
	time.Sleep(idle)
	quiet.say(text("still here"))
	quiet.hears(text("still here"))
	quiet.mu.Lock()
	defer quiet.mu.Unlock()
	if quiet.pings < 3 {
		t.Errorf("%d pings", quiet.pings)
	}
}

// A process that was stopped, as a frozen virtual machine is, does not take its own absence for everybody's silence.
func TestNobodyIsEvictedForTheServersAbsence(t *testing.T) {
	const idle, absence, people = time.Second, 2500 * time.Millisecond, 20
	n := startNode(t, "--idle-timeout", idle.String(), "--idle-counts", "messages", "--ping-interval", "0")
	var members []*member
	for i := range people {
		members = append(members, join(t, n.url(fmt.Sprintf("/rooms/%d", i))))
	}
	for _, m := range members {
		m.say(text("here"))
	}
	for _, m := range members {
		m.count(1)
	}
	spoke := time.Now()
	n.signal(syscall.SIGSTOP)
	stopped := time.Now()
	if stopped.Sub(spoke) > idle/2 {
		t.Skip("skipped: the machine is too busy to stop the server in time")
	}
	time.Sleep(absence / 2)
	for _, m := range members[:people/2] {
		m.say(text("while you were away"))
	}
	time.Sleep(absence / 2)
	n.signal(syscall.SIGCONT)
	back := time.Now()

	for _, m := range members[:people/2] {
		m.count(2)
	}
	heard := time.Now()
	for i, m := range members {
		bye := m.end()
		if bye.code != 4408 {
			t.Errorf("%d: %+v", i, bye)
		}
		earliest, latest := back, heard.Add(idle)
		if i >= people/2 {
			// Of their second, what passed before the stop, and the two ticks that the server needs to notice it.
			earliest = earliest.Add(idle - stopped.Sub(spoke) - 100*time.Millisecond - idle/5)
		} else {
			earliest = earliest.Add(idle)
		}
		if bye.at.Before(earliest) {
			t.Errorf("%d was let go %v after the server's return, %v early", i, bye.at.Sub(back), earliest.Sub(bye.at))
		}
		if late := bye.at.Sub(latest); late > absence/2 {
			t.Errorf("%d was let go %v late", i, late)
		}
	}
	f := n.until("all are gone", func(f figures) bool { return f[`throng_evicted_total{reason="idle"}`] == people })
	if f["throng_clock_jumps_total"] == 0 {
		t.Error("the absence was not noticed")
	}
	if f["throng_loop_stalls_total"] != 0 {
		t.Error("a loop is said to have been blocked, and only the process was stopped")
	}
	m := join(t, n.url("/"))
	m.say(text("and on"))
	m.hears(text("and on"))
}
