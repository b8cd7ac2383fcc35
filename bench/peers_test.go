package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func writeFile(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "peers.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestOurPeers: the file in the repository is read, with what the lead table of its folder names.
func TestOurPeers(t *testing.T) {
	peers, err := readPeers("peers/peers.yaml")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("peers/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range peers {
		if !strings.Contains(string(readme), "\n| "+p.Name+" | ") {
			t.Errorf("the README's table has no %s", p.Name)
		}
		if p.Note == "" || p.Version == "" {
			t.Errorf("%s does not say its version, or how it treats a slow reader", p.Name)
		}
	}
	if len(peers) < 8 {
		t.Errorf("only %d peers", len(peers))
	}
}

func TestReadPeers(t *testing.T) {
	good := "- {name: a, start: ./a --listen ADDR:PORT, url: 'ws://ADDR:PORT/'}\n"
	list := "- {name: b, start: [sh, -c, 'exec b PORT'], url: 'ws://ADDR:PORT/chat', most: 5, build: make b, version: b -v, note: waits}\n"
	peers, err := readPeers(writeFile(t, good+list))
	if err != nil || len(peers) != 2 {
		t.Fatalf("%v, %v", peers, err)
	}
	if a, b := peers[0], peers[1]; len(a.Start) != 3 || len(b.Start) != 3 || b.Start[2] != "exec b PORT" || b.Most != 5 || !filepath.IsAbs(b.dir) {
		t.Errorf("got %+v and %+v", a, b)
	}
	if empty, err := readPeers(writeFile(t, "# nobody yet\n")); err != nil || len(empty) != 0 {
		t.Errorf("an empty file: %v, %v", empty, err)
	}
	for text, want := range map[string]string{
		"- {start: a PORT}":             "entry 1 has no name",
		"-":                             "entry 1 has no name",
		good + good:                     "a is there twice",
		"- {name: throng}":              "a name that the bench uses itself",
		"- {name: a}":                   "start: want the command",
		"- {name: a, start: a 80}":      "the word PORT",
		"- {name: a, start: a PORT}":    "want something like ws://",
		"- {name: a, stat: a PORT}":     "field stat not found",
		"- {name: a, start: {x: PORT}}": "cannot unmarshal",
		strings.Replace(good, "}", ", most: -1}", 1): "most: -1",
	} {
		if _, err := readPeers(writeFile(t, text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	if _, err := readPeers("no-such-file"); err == nil || !strings.Contains(err.Error(), "--file") {
		t.Errorf("no file: %v", err)
	}
	if _, err := choosePeers(peers, []string{"c"}); err == nil {
		t.Error("a name that the file does not have was taken")
	}
	if some, err := choosePeers(peers, []string{"b"}); err != nil || len(some) != 1 || some[0].Name != "b" {
		t.Errorf("%v, %v", some, err)
	}
}

// TestPeersTable: who is best, by how much, and who is not to be compared with.
func TestPeersTable(t *testing.T) {
	n := &numbers{rounds: 3, where: coresOwn, runs: map[runKey][]run{
		{"in-flight-10", bareBatch}: made(4e6, 5e6, 3e6),
		{"in-flight-10", throng}:    made(6e6),
		{"in-flight-10", "quick"}:   {{result: &Result{PerSecond: 2e6, Faults: Faults{Stalled: 3}}}},
		{"in-flight-10", "slow"}:    made(1e6),
		{"in-flight-10", "lossy"}:   {{result: &Result{PerSecond: 9e6, Faults: Faults{Lost: 7}}}},
		{"open", barePlain}:         {{result: &Result{Latency: &Spread{P50: 10e3, P99: 20e3}}}},
		{"open", throng}:            {{result: &Result{Latency: &Spread{P50: 12e3, P99: 20e3}}}},
		{"open", "quick"}:           {{result: &Result{Latency: &Spread{P50: 24e3, P99: 30e3}}}},
		{"open", "slow"}:            {{err: errors.New("it ended")}},
	}}
	for _, name := range []string{barePlain, bareBatch, throng} {
		n.field = append(n.field, &contender{name: name})
	}
	for _, name := range []string{"slow", "quick", "lossy"} {
		n.field = append(n.field, &contender{name: name, peer: true})
	}
	table := n.peersTable([]figure{{name: "in-flight-10"}, {name: "open"}}, []*Peer{
		{Name: "quick", Version: "v1", Note: "waits | for ever"}, {Name: "absent", Missing: "could not be built: no compiler"},
	})
	var text, pipes, document bytes.Buffer
	if err := errors.Join(table.write(&text, false, false), table.write(&pipes, false, true), table.write(&document, true, false)); err != nil {
		t.Fatal(err)
	}
	plain := strings.Join(strings.Fields(text.String()), " ")
	for _, want := range []string{
		"10 in flight M/s 4.00 6.00 2.00 quick 1.50 3.00",
		"10,000 receivers, median ms 10.00 12.00 24.00 quick 1.20 0.50",
		"throng 6.00 6.00 - 6.00 1.50 50% - ideal, batch 4.00 3.00 - 5.00 1.00 50% -",
		"quick 2.00 2.00 - 2.00 0.50 0% 3 stalled slow 1.00 1.00 - 1.00 0.25 50% - lossy 9.00 9.00 - 9.00 2.25 0% 7 lost",
		"10,000 receivers, median, ms (less is better) server median range to ideal client CPU faults ideal, plain 10.00",
		"note: absent is left out: could not be built: no compiler", "note: open, slow: it ended",
	} {
		if !strings.Contains(plain, want) {
			t.Errorf("nothing of %q in\n%s", want, text.String())
		}
	}
	for _, want := range []string{"| 10 in flight | M/s | 4.00 | 6.00 | 2.00 | quick | 1.50 | 3.00 |", "| quick | v1 | waits \\| for ever |", "- open, slow: it ended"} {
		if !strings.Contains(pipes.String(), want) {
			t.Errorf("nothing of %q in\n%s", want, pipes.String())
		}
	}
	var read PeersTable
	if err := json.Unmarshal(document.Bytes(), &read); err != nil || len(read.Sections) != 4 || read.Sections[0].Best != "quick" || read.Sections[0].ToBest != 3 {
		t.Errorf("%v in %s", err, document.String())
	}
}

// TestPeersRun goes the whole way with a file of peers: one that is the yardstick, and those that cannot be had.
func TestPeersRun(t *testing.T) {
	self := asSelf(t)
	file := writeFile(t, fmt.Sprintf(`
- {name: twin, build: echo built > built, version: cat built, start: %s %s ideal --listen ADDR:PORT, url: 'ws://ADDR:PORT/', note: none}
- {name: unbuilt, build: 'echo no compiler >&2; false', start: a PORT, url: 'ws://ADDR:PORT/'}
- {name: unknown, version: 'exit 3', start: a PORT, url: 'ws://ADDR:PORT/'}
- {name: absent, start: no-such-program PORT, url: 'ws://ADDR:PORT/'}
- {name: small, start: a PORT, url: 'ws://ADDR:PORT/', most: 19}
`, self[0], self[1]))
	peers, err := readPeers(file)
	if err != nil {
		t.Fatal(err)
	}
	n := &numbers{launcher: aLauncher(t), self: self, where: coresShared, rounds: 2, progress: func(string) {}, field: yardsticks(self)}
	n.field = append(n.field, prepare(t.Context(), n.launcher, peers, n.progress)...)
	small := []figure{smallBroadcast("in-flight-10", bareBatch)}
	if err := n.measure(t.Context(), small); err != nil {
		t.Fatal(err)
	}
	table := n.peersTable(small, peers)
	var b bytes.Buffer
	if err := table.write(&b, false, false); err != nil {
		t.Fatal(err)
	}
	out := b.String()
	for _, want := range []string{
		"share all cores", "unbuilt is left out: could not be built: no compiler", "unknown is left out: could not tell its version: exit status 3",
		"in-flight-10, absent: start no-such-program", "in-flight-10, small: left out, it holds 19 connections at most",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("nothing of %q in\n%s", want, out)
		}
	}
	if s := table.Sections[0]; len(s.Cells) != 2 || s.Best != "twin" || s.cell("twin").ToIdeal == 0 || peers[0].Version != "built" {
		t.Errorf("got %+v\n%s", s, out)
	}
	if len(table.Runs) != 4 {
		t.Errorf("%d runs of two servers in two rounds", len(table.Runs))
	}
}
