package main

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
)

// TestMillion runs the bench's million small, against real nodes: what it starts them with, what it reads from them, and that the wheel sends
// everybody away when it should.
func TestMillion(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// The bench starts the servers itself. The environment that makes them throng has been taken from it, so the command brings its own.
	serve := "env " + beThrong + "=1 " + self + " serve --listen ADDR --loops 1 --admin ADMIN --ping-interval 0 --idle-timeout TIMEOUT --drain-time 0s"
	cmd := command(nil, "bench", "million", "--conns", "400", "--per-room", "20", "--servers", "2", "--connect-rate", "1000",
		"--for", "1s", "--idle-timeout", "8s", "--json", "--server", serve)
	var out, progress bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &progress
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, progress.String())
	}
	var r struct {
		Scenario   string
		Conns      int
		Sent       uint64
		Deliveries uint64
		Faults     map[string]any
		Memory     struct{ PSS float64 }
		Evicted    struct {
			Clients, Early int
			Late           struct{ Count int }
			Codes          map[string]int
		}
	}
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v in %s", err, out.String())
	}
	if r.Scenario != "million" || r.Conns != 400 || r.Sent < 20 || r.Deliveries != r.Sent*20 || r.Memory.PSS == 0 {
		t.Errorf("%+v", r)
	}
	if r.Faults["lost"] != 0.0 || r.Faults["duplicated"] != 0.0 || r.Faults["disconnected"] != nil {
		t.Errorf("faults: %v", r.Faults)
	}
	if e := r.Evicted; e.Clients != 400 || e.Early != 0 || e.Late.Count != 400 || e.Codes[`4408 "idle"`] != 400 {
		t.Errorf("evicted: %+v", e)
	}
}
