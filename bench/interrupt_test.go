package bench

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestStormIsInterrupted ends a storm by hand while one of its workers may be done with it and another is not.
func TestStormIsInterrupted(t *testing.T) {
	t.Parallel()
	for _, workers := range []int{1, 3} {
		ctx, cancel := context.WithCancel(t.Context())
		o := to(ideal(t, false))
		o.Workers, o.self = workers, asSelf(t)
		var begun atomic.Bool
		o.Progress = func(string) {
			if !begun.Swap(true) {
				time.AfterFunc(time.Second, cancel)
			}
		}
		r, err := Storm{Options: o, Conns: 60, Rounds: 1000, Rate: 5}.Run(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if notes := strings.Join(r.Notes, "; "); !strings.Contains(notes, noteEarly) || strings.Contains(notes, stormGiveUp.String()) {
			t.Errorf("notes %s", notes)
		}
	}
}

// TestInterruptOfAGroup is Ctrl-C on a terminal, which everybody in the foreground gets: the workers have to outlive it
// until their coordinator has heard what they have.
func TestInterruptOfAGroup(t *testing.T) {
	t.Parallel()
	l := aLauncher(t)
	argv := append(asSelf(t), "broadcast", "--url", ideal(t, false), "--conns", "30", "--workers", "3", "--warmup", "0s", "--for", "1h", "--json")
	var measuring atomic.Bool
	c, err := l.start(anyCPU, argv, func(line string) {
		if strings.HasPrefix(line, "measuring") {
			measuring.Store(true)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.stop(unix.SIGKILL)
	for !measuring.Load() {
		select {
		case <-c.exited:
			t.Fatal(c.lastWords())
		case <-time.After(10 * time.Millisecond):
		}
	}
	if err := unix.Kill(-c.cmd.Process.Pid, unix.SIGINT); err != nil {
		t.Fatal(err)
	}
	r, err := c.result(t.Context(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if r.Workers != 3 || r.Deliveries == 0 || r.Faults.Any() {
		t.Errorf("%d deliveries by %d workers, faults %s", r.Deliveries, r.Workers, r.Faults)
	}
}
