package main

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

func TestStopWithNobodyConnected(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		n := startNode(t, "--drain-time", "1h")
		told := time.Now()
		n.signal(s)
		if code := n.exit(); code != exitOK {
			t.Errorf("%s: exit code %d", s, code)
		}
		within(t, 5*time.Second, "stopping", told)
	}
}

// Everything that a stop promises, from the signal to the exit code.
func TestStopSendsEverybodyAway(t *testing.T) {
	const delay, window, people = time.Second, time.Second, 40
	n := startNode(t, "--drain-delay", delay.String(), "--drain-time", window.String())
	public := n.addrs[0]
	var members []*member
	for range people {
		members = append(members, join(t, n.url("/")))
	}
	told := time.Now()
	n.signal(syscall.SIGTERM)

	// Not ready at once, on both ports, but alive; and open to newcomers until the delay is over.
	for _, addr := range []string{public, n.private} {
		for n.status(addr, "/readyz") != http.StatusServiceUnavailable {
			if time.Since(told) > patience {
				t.Fatalf("%s is still ready", addr)
			}
		}
		if status := n.status(addr, "/healthz"); status != http.StatusOK {
			t.Errorf("%s/healthz: %d", addr, status)
		}
	}
	if late, res, err := tryJoin(t, n.url("/")); err == nil {
		members = append(members, late)
	} else if time.Since(told) < delay {
		t.Errorf("a newcomer during the delay: %v %v", res, err)
	}
	members[0].say(text("still talking"))
	members[1].hears(text("still talking"))

	// Then newcomers are told to come back, by a server that still accepts.
	for refused := false; !refused; {
		m, res, err := tryJoin(t, n.url("/"))
		switch {
		case err == nil:
			members = append(members, m)
			time.Sleep(20 * time.Millisecond)
			if time.Since(told) > delay+patience {
				t.Fatal("newcomers are never refused")
			}
		case res == nil || res.StatusCode != http.StatusServiceUnavailable:
			t.Fatalf("a newcomer during the drain: %v %v", res, err)
		default:
			refused = true
			if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err != nil || seconds < 1 {
				t.Errorf("Retry-After: %q", res.Header.Get("Retry-After"))
			}
			if early := delay - time.Since(told); early > 0 {
				t.Errorf("refused %v before the delay is over", early)
			}
		}
	}
	checkTurns(t, members, told.Add(delay), window)
	if code := n.exit(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	within(t, delay+window+10*time.Second, "the stop", told)
}

// status asks one of the ports, and takes one that is closed for 0.
func (n *node) status(addr, path string) int {
	res, _, err := exchange(addr, "GET "+path+" HTTP/1.0\n\n")
	if err != nil {
		return 0
	}
	return res.StatusCode
}

// turn is the number in a restart's reason.
func (f farewell) turn() (time.Duration, error) {
	m := restart.FindStringSubmatch(f.reason)
	if f.code != websocket.CloseGoingAway || m == nil {
		return 0, fmt.Errorf("%+v", f)
	}
	ms, err := strconv.Atoi(m[1])
	return time.Duration(ms) * time.Millisecond, err
}

// checkTurns waits until everybody was sent away: with numbers that differ, rise with time and fill the window.
func checkTurns(t *testing.T, members []*member, from time.Time, window time.Duration) {
	t.Helper()
	type leaving struct {
		turn time.Duration
		at   time.Time
	}
	var all []leaving
	for i, m := range members {
		bye := m.end()
		turn, err := bye.turn()
		if err != nil || turn > window {
			t.Errorf("member %d: turn %v, %v", i, turn, err)
		}
		all = append(all, leaving{turn, bye.at})
	}
	slices.SortFunc(all, func(a, b leaving) int { return int(a.turn - b.turn) })
	numbers := map[time.Duration]bool{}
	for _, l := range all {
		numbers[l.turn] = true
		if early := from.Add(l.turn).Sub(l.at); early > 0 {
			t.Errorf("who has %v was sent away %v early", l.turn, early)
		}
	}
	// The loops count for themselves, so that now and then two have the same.
	if len(numbers) < len(all)*3/4 {
		t.Errorf("%d numbers for %d", len(numbers), len(all))
	}
	first, last := all[0], all[len(all)-1]
	if first.turn > window/4 || last.turn < window*3/4 {
		t.Errorf("the numbers go from %v to %v of %v", first.turn, last.turn, window)
	}
	if spread := last.at.Sub(first.at); spread < window/2 {
		t.Errorf("all were sent away within %v of %v", spread, window)
	}
}

// People talk while they are being sent away. What came back to its speaker was read by then, so it reaches everyone whose turn had not come; and what
// anybody has is the beginning of what all have.
func TestNothingIsLostInADrain(t *testing.T) {
	const people, window = 16, 1500 * time.Millisecond
	n := startNode(t, "--drain-time", window.String())
	var members []*member
	for range people {
		members = append(members, join(t, n.url("/rooms/talk")))
	}
	var talking sync.WaitGroup
	for i, m := range members {
		talking.Go(func() {
			for line := 0; ; line++ {
				if _, over := m.over(); over {
					return
				}
				if err := m.ws.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, "%d: %d", i, line)); err != nil {
					return
				}
				time.Sleep(2 * time.Millisecond)
			}
		})
	}
	members[0].count(20 * people)
	told := time.Now()
	n.signal(syscall.SIGTERM)
	talking.Wait()
	if code := n.exit(); code != exitOK {
		t.Errorf("exit code %d", code)
	}

	turns, longest := make([]time.Duration, people), []said(nil)
	for i, m := range members {
		turn, err := m.end().turn()
		if err != nil {
			t.Fatalf("member %d: %v", i, err)
		}
		turns[i] = turn
		if heard := m.all(); len(heard) > len(longest) {
			longest = heard
		}
	}
	for i, m := range members {
		heard := m.all()
		if !slices.Equal(heard, longest[:len(heard)]) {
			t.Errorf("member %d did not hear the beginning of what others heard", i)
		}
		for j, other := range members {
			// A turn is counted in whole milliseconds.
			known, _ := slices.BinarySearchFunc(m.when, told.Add(turns[j]-time.Millisecond), time.Time.Compare)
			if own := lastOf(heard[:known], i); lastOf(other.all(), i) < own {
				t.Errorf("member %d heard their own line %d back before the turn of member %d (%v), who did not hear it", i, own, j, turns[j])
			}
		}
	}
}

// lastOf is the number of the last line of somebody's that was heard.
func lastOf(heard []said, speaker int) int {
	prefix := fmt.Sprintf("%d: ", speaker)
	for _, what := range slices.Backward(heard) {
		if line, ok := strings.CutPrefix(what.body, prefix); ok {
			n, _ := strconv.Atoi(line)
			return n
		}
	}
	return -1
}

// Whatever was read of a flood before its speaker was sent away reaches all who are sent away later, if only by a moment.
func TestAFloodBeforeTheDrainReachesAll(t *testing.T) {
	// Where messages are stored first, those who are sent away find them there when they come back.
	n := startNode(t, "--record", "none", "--loops", "1", "--drain-time", "0", "--close-timeout", "30s")
	speaker := join(t, n.url("/"))
	var told sync.WaitGroup
	var listeners []*member
	answer := make(chan struct{}) // the Close, which keeps the server there to be asked
	for range 3 {
		told.Add(1)
		listeners = append(listeners, join(t, n.url("/"), func(ws *websocket.Conn) {
			ws.SetCloseHandler(func(int, string) error {
				told.Done()
				<-answer
				return nil
			})
		}))
	}
	var flood []byte
	for range 50_000 {
		flood = append(flood, frame(textFrame, "drop")...)
	}
	var talking sync.WaitGroup
	talking.Go(func() { _, _ = speaker.ws.NetConn().Write(flood) }) // it is cut short
	listeners[0].count(1)
	n.signal(syscall.SIGTERM)
	told.Wait()
	read := n.until("the speaker is gone", func(f figures) bool { return f["throng_connections"] == 0 })["throng_messages_total"]
	for i, m := range listeners {
		if heard := len(m.all()); heard != int(read) {
			t.Errorf("listener %d heard %d messages of the %v that were read", i, heard, read)
		}
	}
	close(answer)
	_ = speaker.ws.Close()
	talking.Wait()
	if code := n.exit(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	for name, args := range map[string][]string{
		"during the delay": {"--drain-delay", "1h", "--drain-time", "0"},
		"during the drain": {"--drain-time", "1h"},
	} {
		t.Run(name, func(t *testing.T) {
			n := startNode(t, args...)
			first, second := join(t, n.url("/")), join(t, n.url("/"))
			n.signal(syscall.SIGTERM)
			for n.status(n.private, "/readyz") != http.StatusServiceUnavailable {
				time.Sleep(10 * time.Millisecond)
			}
			time.Sleep(100 * time.Millisecond)
			if !n.running() {
				t.Fatal("it did not wait")
			}
			told := time.Now()
			n.signal(syscall.SIGINT)
			if code := n.exit(); code == exitOK {
				t.Error("exit code 0 of a stop that was cut short")
			}
			within(t, 5*time.Second, "ending at once", told)
			first.end()
			second.end()
			if !strings.Contains(n.stderr.String(), "stopped at once by a second signal") {
				t.Error("it does not say why")
			}
		})
	}
}
