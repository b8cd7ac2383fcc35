package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"throng/bench/report"
)

// hall speaks as much of throng.v1 as envoys ask for: it knows joins, with since, and publishes.
type hall struct {
	mu    sync.Mutex
	rooms map[string][]net.Conn
	said  map[string][]string // what was said in a room, each as a message
}

type hallRequest struct {
	Type, Room, Text string
	ID               int
	Since            *struct{ Seq int }
}

func (h *hall) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	upgrade := ws.HTTPUpgrader{Protocol: func(p string) bool { return p == envoyProtocol }}
	c, _, _, err := upgrade.Upgrade(r, w)
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	for {
		b, _, err := wsutil.ReadClientData(c)
		if err != nil {
			return
		}
		var q hallRequest
		if json.Unmarshal(b, &q) != nil {
			return
		}
		h.mu.Lock()
		h.answer(c, &q)
		h.mu.Unlock()
	}
}

func (h *hall) answer(c net.Conn, q *hallRequest) {
	say := func(to net.Conn, text string) { _ = wsutil.WriteServerText(to, []byte(text)) }
	seq := len(h.said[q.Room])
	if q.Type == "join" {
		h.rooms[q.Room] = append(h.rooms[q.Room], c)
		say(c, fmt.Sprintf(`{"type":"ok","id":%d,"room":"%s","recorded":true,"epoch":"one","seq":%d}`, q.ID, q.Room, seq))
		say(c, `{"type":"presence","room":"tea","count":1}`)
		for q.Since != nil && q.Since.Seq < seq {
			say(c, h.said[q.Room][q.Since.Seq])
			q.Since.Seq++
		}
		return
	}
	text := fmt.Sprintf(`{"type":"message","room":"%s","seq":%d,"prev":%d,"v":1,"text":"%s"}`, q.Room, seq+1, seq, q.Text)
	h.said[q.Room] = append(h.said[q.Room], text)
	say(c, fmt.Sprintf(`{"type":"ok","id":%d,"room":"%s","seq":%d,"stored":true}`, q.ID, q.Room, seq+1))
	for _, to := range h.rooms[q.Room] {
		say(to, text)
	}
}

// openHall serves until the test ends.
func openHall(t *testing.T) (url string) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: &hall{rooms: make(map[string][]net.Conn), said: make(map[string][]string)}}
	var done sync.WaitGroup
	done.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() {
		_ = server.Close()
		done.Wait()
	})
	return "ws://" + l.Addr().String() + "/"
}

func TestMemberships(t *testing.T) {
	o := Options{URL: []string{openHall(t)}, Payload: PayloadBytesMin}
	r, err := Memberships{Options: o, Conns: 6, Each: 4, Rooms: 12, Few: 3, Rate: 400, For: 100 * time.Millisecond}.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m := r.Memberships
	if r.Faults.Any() || m.Count != 24 || m.All.Latency.Count == 0 || m.FewOnly.Latency.Count == 0 || r.Sent == 0 || r.Acked != r.Sent {
		t.Errorf("%+v, %s", m, r.Faults)
	}
	var b bytes.Buffer
	if err := r.WriteText(&b); err != nil || !strings.Contains(b.String(), "24 in 12 rooms") {
		t.Errorf("%v: %s", err, &b)
	}
}

// TestTold: a message that is not the next of its room is a fault.
func TestTold(t *testing.T) {
	m := &membership{cfg: &Memberships{Conns: 6, Each: 4, Rooms: 12}, prefix: "m-", last: make([]uint64, 24)}
	s := &resumption{envoys: &envoys{all: make([]envoy, 2)}, cfg: &Resume{Conns: 1}, last: make([]uint64, 2)}
	for _, one := range []told{
		{room: []byte("m-3"), seq: 5}, {room: []byte("m-3"), seq: 9, prev: 5}, {room: []byte("m-3"), seq: 9, prev: 5}, // again
		{room: []byte("m-3"), seq: 12, prev: 10}, {room: []byte("m-4"), seq: 13}, {room: []byte("x"), seq: 14}, // one missing; two of other rooms
	} {
		if err := m.message(&envoy{index: 3}, one); err != nil {
			t.Fatal(err)
		}
		if string(one.room) == "m-3" {
			s.message(&s.all[0], one)
		}
	}
	want := report.Faults{Lost: 1, Duplicated: 1, Stray: 2}
	if !reflect.DeepEqual(m.faults, want) {
		t.Errorf("memberships: %+v", m.faults)
	}
	if want.Stray = 0; !reflect.DeepEqual(s.faults, want) {
		t.Errorf("resume: %+v", s.faults)
	}
}

func TestResume(t *testing.T) {
	o := Options{URL: []string{openHall(t)}, Payload: PayloadBytesMin}
	r, err := Resume{Options: o, Conns: 20, Missed: 30, Rate: 50}.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := r.Resume
	if r.Faults.Any() || s.Clients != 20 || s.CaughtUp.Count != 20 || s.AllCaughtUp < s.CaughtUp.P50 || r.Sent < 31 || r.Acked != r.Sent {
		t.Errorf("%+v, %s, sent %d, acknowledged %d", s, r.Faults, r.Sent, r.Acked)
	}
}

// TestEnvoyRefused: a server that refuses ends the run in words.
func TestEnvoyRefused(t *testing.T) {
	if err := wrong([]byte(`{"type":"error","id":1,"code":"denied"}`)); err == nil || !strings.Contains(err.Error(), "denied") {
		t.Error(err)
	}
	if err := wrong([]byte(`{"type":"presence"}`)); err != nil {
		t.Error(err)
	}
	if _, err := (Resume{Options: Options{URL: []string{"ws://127.0.0.1:1/"}}}).Run(t.Context()); err == nil {
		t.Error("nobody resumed")
	}
	bad := Memberships{Options: Options{URL: []string{"ws://127.0.0.1:1/"}, Payload: 28}, Conns: 3, Each: 2, Rooms: 4, Few: 1, For: time.Second}
	if _, err := bad.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "equally large") {
		t.Error(err)
	}
}

func TestParseTold(t *testing.T) {
	m, ok := parseTold([]byte(`{"type":"message","room":"m1-7","seq":12,"prev":9,"v":1,"time":1,"user":"~k","name":"c","text":"~throng~4711"}`))
	if !ok || string(m.room) != "m1-7" || m.seq != 12 || m.prev != 9 || m.said != 4711 {
		t.Errorf("%+v, %t", m, ok)
	}
	for _, no := range []string{
		``, `{"type":"ok"}`, `{"type":"message","room":"x`, `{"type":"message","room":"x","prev":1}`, `{"type":"message","room":"x","seq":1,"text":"~throng~1"}`,
		`{"type":"message","room":"x","seq":,"prev":1,"text":"~throng~1"}`, `{"type":"message","room":"x","seq":1,"prev":0,"text":"hi"}`,
		`{"type":"message","room":"x","seq":1,"prev":0,"text":"~throng~"}`,
	} {
		if m, ok := parseTold([]byte(no)); ok {
			t.Errorf("%s: %+v", no, m)
		}
	}
}

// TestRecordedTable: each line is about a figure that is measured on whom it names.
func TestRecordedTable(t *testing.T) {
	field, err := recorders("--log-level error")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range field {
		names = append(names, c.name)
		if record := slices.Contains(c.argv, dirWord); record == (c.name == isNone) || !strings.HasSuffix(strings.Join(c.argv, " "), "--log-level error") {
			t.Errorf("%s: %v", c.name, c.argv)
		}
	}
	figures := recordedFigures(true)
	for _, r := range recordedRows {
		at := slices.IndexFunc(figures, func(f figure) bool { return f.name == r.figure })
		if at < 0 || !figures[at].asks(r.subject()) || r.bare != "" && !figures[at].asks(r.bare) {
			t.Errorf("%s: nobody measures that", r.title)
		}
		if v := r.value(&Result{}); v != 0 {
			t.Errorf("%s: %g out of nothing", r.title, v)
		}
	}
	for _, f := range figures {
		for _, on := range f.on {
			if !slices.Contains(names, on) {
				t.Errorf("%s: there is no %s", f.name, on)
			}
		}
	}
}

// TestFolderOfItsOwn: the folder that a server was given is gone with it.
func TestFolderOfItsOwn(t *testing.T) {
	self := asSelf(t)
	c := idealAs("ideal", self)
	c.argv = append([]string{"sh", "-c", `echo "$0" >&2; shift 0; exec "$@"`, dirWord}, c.argv...)
	s, _, err := c.listening(t.Context(), aLauncher(t), anyCPU)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.temp); err != nil || s.temp == "" {
		t.Error(err)
	}
	s.stop(os.Interrupt)
	if _, err := os.Stat(s.temp); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left: %v", s.temp, err)
	}
}
