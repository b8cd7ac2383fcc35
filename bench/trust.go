package bench

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"throng/bench/report"
)

// trust is what is looked at before and after a run because it spoils figures.
type trust struct {
	skew    time.Duration // of the wall clock against the steady one
	swapped int64         // pages in and out
	times   times         // the machine's
}

const (
	// boundByClient is the share of a core above which the client is what was measured.
	boundByClient = 0.95
	lateMax       = 10 * time.Millisecond
	clockStepMax  = 10 * time.Millisecond
	stealMax      = 0.05
	clientEachMax = 1 << 10
	eachFromConns = 5000 // with fewer, what a process takes anyway hides what a connection takes
)

func (t *trust) begin() {
	t.skew, t.swapped, t.times = clockSkew(), swapPages(), machineTimes()
}

// notes are the reasons to distrust the run that the machine gave.
func (t *trust) notes() (notes []string) {
	if step := clockSkew() - t.skew; step.Abs() > clockStepMax {
		notes = append(notes, fmt.Sprintf("the clock was set by %s during the run", step.Round(time.Millisecond)))
	}
	if n := swapPages() - t.swapped; n > 0 {
		notes = append(notes, fmt.Sprintf("the machine swapped: %d pages", n))
	}
	if steal, _ := t.times.until(machineTimes()); steal > stealMax {
		notes = append(notes, fmt.Sprintf("the hypervisor kept %.0f %% of the machine", steal*100))
	}
	return notes
}

// clockSkew is the wall clock against the steady one: it changes when somebody sets the clock.
func clockSkew() time.Duration { return clockRead(unix.CLOCK_REALTIME) - monotonic() }

const noteEarly = "ended early by hand"

// swapPages counts the pages that the machine has swapped in and out so far.
func swapPages() (n int64) {
	b, err := os.ReadFile("/proc/vmstat")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == "pswpin" || name == "pswpout" {
			pages, _ := strconv.ParseInt(value, 10, 64)
			n += pages
		}
	}
	return n
}

// distrust adds the reasons that the result itself gives.
func (c *crew) distrust(r *report.Result, o *outcome) {
	note := func(format string, a ...any) { r.Notes = append(r.Notes, fmt.Sprintf(format, a...)) }
	if c.byHand {
		note(noteEarly)
	}
	if r.ClientBusy > boundByClient {
		note("bound by the client: a worker took %.0f %% of its core", r.ClientBusy*100)
	}
	if late := time.Duration(r.LateMicros * 1e3); late > lateMax {
		note("the loader sent up to %s behind its plan; latency counts from the plan", late.Round(time.Millisecond))
	}
	if c.series.lost > 0 {
		note("%d samples of a worker are missing: it or the machine stood still", c.series.lost)
	}
	if c.series.blind != nil {
		note("the server's CPU and memory are known up to a moment only: %v", c.series.blind)
	}
	if c.opts.Ack != "" && o.Acks != o.Sent {
		r.Faults.Lost += o.Sent - min(o.Acks, o.Sent)
		note("%d acknowledgements came of %d messages", o.Acks, o.Sent)
	}
	if o.Foreign > 0 && c.opts.Hello == "" { // those who greet are answered
		note("%d messages carried nothing of this run and were left aside", o.Foreign)
	}
	if r.ClientEach > clientEachMax {
		note("the client took %.0f bytes of memory for a connection, more than %d", math.Ceil(r.ClientEach), clientEachMax)
	}
	if r.Faults.Any() {
		note("faults: %s", r.Faults)
	}
	r.Notes = append(append(r.Notes, c.notes...), c.trust.notes()...)
}
