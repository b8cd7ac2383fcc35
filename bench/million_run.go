package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"throng/bench/report"
)

// millionRun is a Million under way.
type millionRun struct {
	*Million
	plan      millionPlan
	launcher  *launcher
	fleet     *fleet
	watch     *watch // of the servers' memory; the crew has its own for the rest
	crew      *crew
	result    *report.Result
	before    look          // servers without connections
	connected time.Duration // how long connecting took
	held      instant       // when it was over
	memory    *report.Memory
	each      float64 // bytes of the workers
	evicted   *report.Evicted
	notes     []string
}

// Run goes through all phases. When the context ends it, or something breaks, it reports what was measured until then,
// if there is anything; the error is nil when it was the context.
func (m Million) Run(ctx context.Context) (*report.Result, error) {
	if m.Progress == nil {
		m.Progress = func(string) {}
	}
	limits := readLimits()
	p, err := m.plan(int(limits.descriptors))
	if err != nil {
		return nil, err
	}
	r := &millionRun{Million: &m, plan: p}
	obstacles := limits.obstacles(m.need(p))
	if err := stopping(obstacles); err != nil {
		return nil, err
	}
	for _, o := range obstacles { // the crew looks, too, and makes them notes
		m.Progress(o.String())
	}
	defer r.stop()
	if err := r.start(ctx); err != nil {
		return nil, err
	}
	err = r.phases(ctx)
	r.conclude()
	if errors.Is(err, errStopped) {
		err = nil
	}
	return r.result, err
}

// need is what the preflight is asked. Each worker takes source addresses of its own.
func (m *Million) need(p millionPlan) need {
	return need{conns: m.Conns, workers: p.workers, servers: p.servers, sources: p.workers, targets: p.servers, local: true, atOnce: dialsAtOnceMax}
}

// start brings up the servers and, beside them, the workers.
func (r *millionRun) start(ctx context.Context) (err error) {
	if r.launcher, err = newLauncher(); err != nil {
		return err
	}
	r.Progress(fmt.Sprintf("%d servers with %d rooms of %d, %d workers", r.plan.servers, r.plan.rooms, r.PerRoom, r.plan.workers))
	r.Progress(fmt.Sprintf("silence is allowed for %s: %s", r.plan.idle, r.plan.why))
	argv := slices.Clone(r.Server)
	for i := range argv {
		argv[i] = strings.ReplaceAll(argv[i], "TIMEOUT", r.plan.idle.String())
	}
	if r.fleet, err = startFleet(ctx, r.launcher, r.plan.servers, argv); err != nil {
		return err
	}
	if r.watch, err = newWatch(r.fleet.pids(), nil); err != nil {
		return err
	}
	o := &Options{PID: r.fleet.pids(), Workers: r.plan.workers, ConnectRate: r.ConnectRate, Path: "/rooms/" + roomWord, Progress: r.Progress, self: r.Self}
	for _, at := range r.fleet.addrs {
		o.URL = append(o.URL, "ws://"+at.String()+"/")
	}
	o.settings = r.settings()
	r.crew, err = newCrew(ctx, o, spec{
		Conns: r.Conns, Rooms: r.plan.rooms, Senders: r.plan.rooms, Rate: 1 / r.plan.say.Seconds(), Payload: millionPayload, Salt: rand.Uint64(), Idle: r.plan.idle, Patient: true,
	})
	return err
}

func (r *millionRun) settings() []report.Setting {
	return []report.Setting{
		{Name: "conns", Value: fmt.Sprint(r.Conns)}, {Name: "per-room", Value: fmt.Sprint(r.PerRoom)}, {Name: "servers", Value: fmt.Sprint(r.plan.servers)},
		{Name: "connect-rate", Value: fmt.Sprint(r.ConnectRate)}, {Name: "for", Value: r.Hold.String()},
		{Name: "idle-timeout", Value: fmt.Sprintf("%s (%s)", r.plan.idle, r.plan.why)}, {Name: "server", Value: strings.Join(r.Server, " ")},
	}
}

// millionPayload is a line of chat.
const millionPayload = 32

func (r *millionRun) stop() {
	if r.crew != nil {
		r.crew.close()
	}
	if r.fleet != nil {
		r.fleet.stop()
	}
	if r.launcher != nil {
		r.launcher.close()
	}
}

// phases goes through the run, and says which of its phases an error ended.
func (r *millionRun) phases(ctx context.Context) error {
	for _, phase := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"connecting", r.connect}, {"holding", r.hold}, {"speaking", r.speak}, {"waiting for the eviction", r.evict},
	} {
		r.crew.phase, r.crew.until = phase.name, 0
		if err := phase.do(ctx); err != nil {
			r.notes = append(r.notes, "ended while "+phase.name)
			if errors.Is(err, errStopped) {
				return err
			}
			return fmt.Errorf("while %s: %w", phase.name, r.blame(err))
		}
	}
	return nil
}

// blame puts a server that has ended in front of what followed from it.
func (r *millionRun) blame(err error) error {
	if ended := r.fleet.ended(); ended != nil {
		return ended
	}
	return err
}

// connect lets all come, and gives up as soon as it is clear that they come too slowly.
func (r *millionRun) connect(ctx context.Context) (err error) {
	if r.before, err = r.watch.lookPSS(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	began := now()
	var check func()
	check = func() {
		if err := r.plan.tooSlow(r.Million, r.open(), now()-began); err != nil {
			cancel(err)
		}
		r.crew.alarms = append(r.crew.alarms, alarm{now() + tickEvery, check})
	}
	check()
	took, err := r.crew.connect(ctx, r.Conns)
	r.crew.alarms = nil
	if slow := context.Cause(ctx); err != nil && slow != nil && !errors.Is(slow, context.Canceled) {
		return slow
	}
	if err != nil {
		return err
	}
	r.connected, r.held = took, now()
	return r.plan.tooSlow(r.Million, r.Conns, took)
}

// open is how many connections there were at the last tick of all workers.
func (r *millionRun) open() int {
	if n := len(r.crew.series.samples); n > 0 {
		return r.crew.series.samples[n-1].Open
	}
	return 0
}

// hold waits in silence, and looks at what the connections cost once they are at rest.
func (r *millionRun) hold(ctx context.Context) error {
	if err := r.crew.holdAs(ctx, "holding", r.Hold); err != nil {
		return err
	}
	if n := r.open(); n < r.Conns {
		return fmt.Errorf("%d of %d connections were closed before their time", r.Conns-n, r.Conns)
	}
	after, err := r.watch.lookPSS()
	if err != nil {
		return err
	}
	r.memory = memoryBetween(r.before, after, 0, r.Conns)
	for _, bytes := range r.crew.series.memory {
		r.each += float64(bytes) / float64(r.Conns)
	}
	return nil
}

// speak has one member of each room say something, the rooms one after the other, and waits until all have it.
func (r *millionRun) speak(ctx context.Context) error {
	sent, err := r.crew.talk(ctx, 0, r.plan.say)
	if err != nil {
		return err
	}
	r.crew.phase, r.crew.until = "listening", 0
	var all *outcome
	if r.result, all, err = r.crew.finish(sent, millionQuiet); err != nil {
		return err
	}
	for _, why := range slices.Sorted(maps.Keys(all.Refused)) {
		r.notes = append(r.notes, fmt.Sprintf("%d handshakes were tried again: %s", all.Refused[why], why))
	}
	said := 0
	for _, n := range sent {
		said += int(n)
	}
	// A worker that comes late to the end of its time may have begun a second round.
	if said < r.plan.rooms {
		r.notes = append(r.notes, fmt.Sprintf("only %d messages were said in %d rooms", said, r.plan.rooms))
	}
	// What arrived after the time to speak was up counts as well, and the pace is ours.
	res := r.result
	res.Deliveries, res.ServerEach = uint64(said*r.PerRoom)-res.Faults.Lost, 0
	if res.Seconds > 0 {
		res.PerSecond = float64(res.Deliveries) / res.Seconds
	}
	return nil
}

// millionQuiet is how long nothing may arrive until what is missing counts as lost; a million share two cores.
const millionQuiet = 5 * time.Second

// evict waits until the servers have sent everybody away, with some patience beyond their limit.
func (r *millionRun) evict(ctx context.Context) error {
	const patience = 30 * time.Second
	r.crew.tell(command{Do: doEvict, At: now() + r.plan.idle + patience})
	stopped := false
	// By hand or not: those who are gone by then are told of.
	got, err := r.crew.await(ctx, isEvicted, func() {
		stopped = true
		r.crew.tell(command{Do: doStop, At: now()})
	})
	if err != nil {
		return err
	}
	all, left := evictedOutcome{Late: newHist(), Codes: make(map[string]int)}, 0
	for _, m := range got {
		all.add(m.Evicted)
		left += m.Open
	}
	r.evicted = all.report()
	r.askForJumps()
	switch {
	case stopped:
		return errStopped
	case left > 0:
		return fmt.Errorf("%d connections are still there %s after the idle limit", left, patience)
	}
	return nil
}

// askForJumps asks the servers whether their clocks ran through. A throng that finds that it could not run leaves that
// time out, since nobody could be heard meanwhile: its evictions are later by as much.
func (r *millionRun) askForJumps() {
	jumps := 0
	for _, at := range r.fleet.metrics {
		told, err := r.watch.scrape(at)
		if err != nil {
			r.notes = append(r.notes, fmt.Sprintf("whether the servers' clocks ran through is not known: %v", err))
			return
		}
		jumps += int(told["throng_clock_jumps_total"])
	}
	if jumps > 0 {
		r.notes = append(r.notes, fmt.Sprintf("the machine stood still: the servers' clocks left time out %d times, and evictions are later by that", jumps))
	}
}

// conclude puts the result together, as far as the run came.
func (r *millionRun) conclude() {
	if r.held == 0 {
		r.held = now()
	}
	if r.result == nil {
		if r.connected == 0 && len(r.crew.series.samples) == 0 {
			return
		}
		r.result = &report.Result{Format: report.Format, Began: r.crew.began, Machine: machine(), Workers: r.plan.workers, Settings: r.settings()}
	}
	res := r.result
	res.Scenario, res.Name, res.Conns, res.Rooms, res.URL = "million", "throng", r.Conns, r.plan.rooms, r.crew.opts.URL
	if r.connected > 0 {
		res.ConnectRate = float64(r.Conns) / r.connected.Seconds()
	}
	res.Memory, res.ClientEach, res.Evicted = r.memory, r.each, r.evicted
	// The run goes on after the talking; its zero is where the last connection was there.
	r.crew.series.start, r.crew.series.end = r.held, 0
	res.Samples = r.crew.series.list()
	if r.evicted != nil && r.evicted.Early > 0 {
		r.notes = append(r.notes, fmt.Sprintf("%d connections were evicted before their idle limit", r.evicted.Early))
	}
	res.Notes = append(res.Notes, r.notes...)
}
