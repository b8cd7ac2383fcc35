package bench

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

func asSelf(t *testing.T) []string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{self, "as-bench"}
}

// TestNumbers goes the whole way, with the yardstick in throng's place and small figures: processes, pinning,
// rounds, fairness, the table.
func TestNumbers(t *testing.T) {
	l, err := newLauncher()
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	self := asSelf(t)
	n := &numbers{launcher: l, self: self, rounds: 1, progress: func(string) {}}
	n.throng = append(append([]string{}, self...), "ideal", "--listen", "127.0.0.1:PORT")
	small := []figure{
		{"in-flight-10", []string{barePlain, bareBatch, throng}, func(ctx context.Context, n *numbers, p place) (*Result, error) {
			return n.loader(ctx, p, time.Second, "broadcast", "--conns", "20", "--senders", "10", "--in-flight", "10", "--for", "200ms")
		}},
		{"fairness", []string{throng}, func(ctx context.Context, n *numbers, p place) (*Result, error) {
			return Fairness{
				URL: p.url, Conns: 50, Senders: 2, Window: 2, Payload: 32, For: 300 * time.Millisecond, PID: p.pid,
				Nice: 1, Self: n.self, CPU: n.launcher.cpu(1),
			}.Run(ctx, n.launcher)
		}},
		{"echo", []string{barePlain}, func(ctx context.Context, n *numbers, p place) (*Result, error) {
			return n.loader(ctx, p, time.Second, "broadcast", "--conns", "5", "--senders", "9", "--for", "1s")
		}},
	}
	if err := n.measure(t.Context(), small); err != nil {
		t.Fatal(err)
	}
	table := n.table(small)
	var b bytes.Buffer
	if err := table.write(&b, false); err != nil {
		t.Fatal(err)
	}
	out := b.String()
	for _, want := range []string{"10 in flight", "pair beside a flood", "not run", "below its own floor", "--senders 9", table.Machine.Go} {
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

func TestServerThatDoesNotStart(t *testing.T) {
	l, err := newLauncher()
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	n := &numbers{launcher: l, throng: []string{"sh", "-c", "echo no such flag >&2; exit 1"}}
	one := n.one(t.Context(), figure{name: "echo"}, throng, func(string) {})
	if one.err == nil || !strings.Contains(one.err.Error(), "no such flag") {
		t.Errorf("got %v", one.err)
	}
}

func TestVerdicts(t *testing.T) {
	made := func(values ...float64) (runs []run) {
		for _, v := range values {
			runs = append(runs, run{result: &Result{PerSecond: v, ClientCPU: 0.5}})
		}
		return runs
	}
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

func TestServerArgs(t *testing.T) {
	if _, err := serverArgs("throng serve", ""); err == nil {
		t.Error("a command without PORT was taken")
	}
	argv, err := serverArgs("", "--log-level error")
	if err != nil || argv[len(argv)-1] != "error" || !strings.Contains(strings.Join(argv, " "), "--admin= ") {
		t.Errorf("%q, %v", argv, err)
	}
	if argv, err := serverArgs("none", ""); err != nil || argv != nil {
		t.Errorf("%q, %v", argv, err)
	}
}
