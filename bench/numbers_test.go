package bench

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

func aLauncher(t *testing.T) *launcher {
	t.Helper()
	l, err := newLauncher()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	return l
}

// idealAs is the yardstick in the place of another server.
func idealAs(name string, self []string) *contender {
	return &contender{name: name, argv: append(append([]string{}, self...), "ideal", "--listen", "ADDR:PORT"), url: contenderURL}
}

// smallBroadcast is a figure with the name and the bare servers of a real one.
func smallBroadcast(name string, bare ...string) figure {
	return figure{name: name, bare: bare, conns: 20, atMost: time.Second,
		scenario: []string{"broadcast", "--conns", "20", "--senders", "10", "--in-flight", "10", "--for", "200ms"}}
}

// TestNumbers goes the whole way, with the yardstick in throng's place and small figures: processes, pinning,
// rounds, the table.
func TestNumbers(t *testing.T) {
	for _, where := range []placement{coresOwn, coresShared} {
		self := asSelf(t)
		n := &numbers{
			launcher: aLauncher(t), self: self, where: where, rounds: 1, progress: func(string) {},
			field: append(yardsticks(self), idealAs(throng, self)), lines: rows,
		}
		wrong := smallBroadcast("echo", barePlain)
		wrong.scenario = []string{"broadcast", "--conns", "5", "--senders", "9", "--for", "1s"}
		small := []figure{smallBroadcast("in-flight-10", barePlain, bareBatch), wrong}
		if err := n.measure(t.Context(), small); err != nil {
			t.Fatal(err)
		}
		table := n.table(small)
		var b bytes.Buffer
		if err := table.write(&b, false); err != nil {
			t.Fatal(err)
		}
		out := b.String()
		for _, want := range []string{"10 in flight", "not measured", "below its own floor", "echo, throng: ", where.String(), table.Machine.Go} {
			if !strings.Contains(out, want) {
				t.Errorf("nothing of %q in\n%s", want, out)
			}
		}
		for _, line := range table.Lines {
			if line.Throng == nil && line.Verdict != "the yardstick" && line.Figure != "echo" {
				t.Errorf("%s: not measured\n%s", line.Title, out)
			}
		}
	}
}

func TestServerThatDoesNotStart(t *testing.T) {
	n := &numbers{launcher: aLauncher(t), rounds: 2, progress: func(string) {}}
	broken := &contender{name: "broken", argv: []string{"sh", "-c", "echo no such flag >&2; exit 1"}, url: contenderURL, peer: true}
	n.field = []*contender{broken}
	only := []figure{smallBroadcast("in-flight-10")}
	if err := n.measure(t.Context(), only); err != nil {
		t.Fatal(err)
	}
	runs := n.runs[runKey{"in-flight-10", "broken"}]
	if len(runs) != 1 || runs[0].err == nil || !strings.Contains(runs[0].err.Error(), "no such flag") || broken.out == "" {
		t.Errorf("got %v, and it is out because of %q", runs, broken.out)
	}
}

// TestTurns: all contenders have their turn in a figure before the next, and in a round before the next.
func TestTurns(t *testing.T) {
	n := &numbers{rounds: 2, field: []*contender{{name: barePlain}, {name: bareBatch}, {name: throng}, {name: "a peer", most: 100, peer: true}}}
	f := []figure{{name: "f", bare: []string{bareBatch}, conns: 100}, {name: "g", conns: 101}, {name: "h", onlyOurs: true}}
	var got []string
	for _, one := range n.turns(f) {
		got = append(got, one.figure.name+" "+one.server.name)
	}
	round := "f batch, f throng, f a peer, g throng, h throng"
	if strings.Join(got, ", ") != round+", "+round {
		t.Errorf("got %q", got)
	}
	if n.noteTooMany(f); len(n.notes) != 1 || !strings.Contains(n.notes[0], "g, a peer: left out, it holds 100") {
		t.Errorf("got %q", n.notes)
	}
	n.took = map[string]time.Duration{"f": time.Minute}
	if left := n.left(n.turns(f[:1])); left != 6*time.Minute {
		t.Errorf("%s left", left)
	}
}

// TestGroup: what a child has started ends with it.
func TestGroup(t *testing.T) {
	c, err := aLauncher(t).start(anyCPU, []string{"sh", "-c", "sleep 1000 & sleep 1000 & echo up >&2; wait"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); len(c.pids()) < 3; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the group is %v", c.pids())
		}
	}
	group := c.pids()
	c.stop(os.Interrupt)
	for _, pid := range group {
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			if _, err := cpuTime(pid); err != nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("process %d still runs", pid)
			}
		}
	}
}

func made(values ...float64) (runs []run) {
	for _, v := range values {
		runs = append(runs, run{result: &Result{PerSecond: v, ClientCPU: 0.5}})
	}
	return runs
}

func TestVerdicts(t *testing.T) {
	r := row{figure: "f", bare: bareBatch, value: func(r *Result) float64 { return r.PerSecond }, goal: goal{0.9, false, true}}
	for name, c := range map[string]struct {
		bare, throng []run
		goal         goal
		want         string
	}{
		"reached":       {made(10, 30, 20), made(18, 1, 19), goal{0.9, false, true}, "ok"},
		"short of it":   {made(10, 30, 20), made(17, 1, 19), goal{0.9, false, true}, "missed"},
		"at most":       {made(10), made(12), goal{1.2, true, true}, "ok"},
		"more than":     {made(10), made(13), goal{1.2, true, true}, "missed"},
		"a value":       {nil, made(799), goal{800, true, false}, "ok"},
		"no comparison": {nil, made(799), goal{0.9, false, true}, "nothing to compare with"},
		"failed":        {made(10), []run{{err: errors.New("x")}}, goal{0.9, false, true}, "not measured"},
		"faults":        {made(10), []run{{result: &Result{PerSecond: 10, Faults: Faults{Lost: 1}}}}, goal{0.9, false, true}, "missed: faults"},
	} {
		n := &numbers{runs: map[runKey][]run{{"f", bareBatch}: c.bare, {"f", throng}: c.throng}}
		r.goal = c.goal
		if line := n.line(r); line.Verdict != c.want || line.OK != (c.want == "ok") {
			t.Errorf("%s: %q, want %q", name, line.Verdict, c.want)
		}
	}
}

// TestJudge: a note that differs in its figures alone is said once.
func TestJudge(t *testing.T) {
	n := &numbers{field: []*contender{{name: throng, ours: true}, {name: "a peer", peer: true}}, runs: map[runKey][]run{
		{"f", throng}:   {{result: &Result{Notes: []string{"late by 5 ms"}}, others: 0.2}, {result: &Result{Notes: []string{"late by 7 ms"}}}},
		{"f", "a peer"}: {{err: errors.New("gone after 3 s")}, {result: &Result{Notes: []string{"of no interest"}, Faults: Faults{Lost: 4}}}},
	}}
	notes, runs := n.judge([]figure{{name: "f"}})
	want := "f, throng: late by 5 ms; f, a peer: gone after 3 s; f, a peer: 4 lost; " +
		"the machine was not ours alone: up to 20 % of it went to other processes, up to 0 % to the hypervisor"
	if strings.Join(notes, "; ") != want || len(runs) != 3 {
		t.Errorf("%d runs, %q", len(runs), notes)
	}
}

func TestUnderTest(t *testing.T) {
	if _, err := underTest("throng serve", "", coresOwn); err == nil {
		t.Error("a command without PORT was taken")
	}
	one, err := underTest("", "--log-level error", coresOwn)
	if err != nil {
		t.Fatal(err)
	}
	all, err := underTest("", "", coresShared)
	if err != nil {
		t.Fatal(err)
	}
	if line := strings.Join(one.argv, " "); !strings.Contains(line, "--admin= ") || !strings.HasSuffix(line, " --loops 1 --log-level error") {
		t.Errorf("on a core of its own: %s", line)
	}
	if line := strings.Join(all.argv, " "); !strings.HasSuffix(line, fmt.Sprint(" --loops ", max(1, runtime.NumCPU()/2))) {
		t.Errorf("on all cores: %s", line)
	}
	if c, err := underTest("none", "", coresOwn); err != nil || c != nil {
		t.Errorf("%v, %v", c, err)
	}
}
