// Package bench measures chat servers: a load on any WebSocket server that broadcasts what it is sent, a bare
// server as the yardstick of what the machine can do, and the table that holds throng against it.
//
// It speaks WebSocket through gobwas/ws and a frame scan of its own, and shares no code with the server: two hands
// check each other.
//
// A run is a coordinator, which never touches a connection, and workers, which do nothing else. Begin with wire.go, the
// words that they exchange; the rest is found from there:
//
//	the command line      command*.go, options.go     flags, and what becomes of the result
//	a scenario            run.go (broadcast, rooms, churn, slow), idle.go, handshakes.go, storm_run.go, million*.go;
//	                      memberships.go and resume.go on the connections of envoy.go, which speak throng.v1
//	the coordinator       coordinator.go, member.go   phases; series.go: the seconds; trust.go: the notes; result.go
//	a worker's loop       worker.go, then dial.go, conn.go and arrive.go: a connection from its beginning to its end
//	its load              load.go: what is sent when, and the hot path of what comes; check.go: what is made of it;
//	                      seat.go: who sits where; churn.go, slow.go, storm.go, evict.go, stall.go
//	bytes                 frame.go, fragment.go, upgrade.go, envelope.go, target.go; sys.go: the raw calls
//	the server, watched   server.go, proc.go; before the run preflight.go and limits.go
//	the yardstick         ideal.go, ideal_room.go
//	the tables            numbers.go runs figures.go or recorded.go on each contender.go; table.go, peers.go and peers_table.go; child.go
//	                      starts the processes
//
// What a run gave is a report.Result; how it is shown and compared is package report.
package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"throng/bench/report"
)

// Command is the command line of the bench, for a parser that reads struct tags.
type Command struct {
	Broadcast   BroadcastCmd   `cmd:"" help:"One room, some of it talk; deliveries and latency, every message checked."`
	Rooms       RoomsCmd       `cmd:"" help:"Many rooms of equal load, with a flooded one beside them if wanted; fairness between them."`
	Idle        IdleCmd        `cmd:"" help:"Hold connections that say nothing; how fast they come and what memory they cost."`
	Handshakes  HandshakesCmd  `cmd:"" help:"Connect, upgrade and leave, over and over; accepted handshakes per second."`
	Storm       StormCmd       `cmd:"" help:"Everybody drops and comes back at once; how long until all are served."`
	Memberships MembershipsCmd `cmd:"" help:"Connections in many rooms of throng.v1 each: what a room and a membership cost, and how the same load fares in all of them and in few."`
	Resume      ResumeCmd      `cmd:"" help:"Everybody in a recorded room loses the connection, misses messages, and comes back for them at once."`
	Churn       ChurnCmd       `cmd:"" help:"A broadcast during which receivers come and go."`
	Slow        SlowCmd        `cmd:"" help:"A broadcast to receivers of whom some read slowly or never; what the others feel."`
	Soak        SoakCmd        `cmd:"" help:"One of these for hours, with the drift of memory, descriptors and latency."`
	Million     MillionCmd     `cmd:"" help:"A million connections on servers that are started for it: held, spoken to, and evicted."`
	Preflight   PreflightCmd   `cmd:"" help:"What on this machine stands in the way of so many connections, and what lifts it."`
	Numbers     NumbersCmd     `cmd:"" help:"Hold throng against the yardstick, server and client on their own cores, and print the table."`
	Recorded    RecordedCmd    `cmd:"" help:"Measure recorded rooms on throngs that are started for it, and print the table."`
	Peers       PeersCmd       `cmd:"" help:"Hold throng, the yardstick and other servers against each other, and print the table."`
	Compare     CompareCmd     `cmd:"" help:"Hold the runs of two files against each other."`
	Ideal       IdealCmd       `cmd:"" help:"Serve as the yardstick: a bare epoll broadcast server with no features."`
	Worker      WorkerCmd      `cmd:"" hidden:"" help:"Hold a part of another process's run: JSON lines on standard input and output."`
}

// interrupted ends with the first SIGINT or SIGTERM; a second one, not at once behind it, ends the process.
func interrupted() (context.Context, context.CancelFunc) {
	ctx, cancel := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	// One stroke of Ctrl-C may come twice: from the terminal, and from a parent that got it too.
	const together = time.Second
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(together, cancel) })
	return ctx, func() { stop(); cancel() }
}

// run runs a scenario at the wanted priority until it ends or is interrupted, and prints what it gave.
func (o *Options) run(command any, scenario func(context.Context) (*report.Result, error)) error {
	page, err := openPage(o.Report)
	if err != nil {
		return err
	}
	defer page.abandon()
	refused := renice(o.Nice)
	ctx, cancel := interrupted()
	defer cancel()
	show := newProgress(os.Stderr)
	o.Progress, o.settings = show.line, settingsOf(command)
	r, err := scenario(ctx)
	show.end()
	if err != nil {
		return err
	}
	if refused != nil {
		r.Notes = append(r.Notes, "priority as it was: "+refused.Error())
	}
	return errors.Join(write(os.Stdout, r, o.JSON), page.write(r))
}

func write(w io.Writer, r *report.Result, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(r)
	}
	return r.WriteText(w)
}

// writeJSON prints what is not only for programs.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// page is the file of a report. It is made before the run, so that a bad path shows at once, under another name, so
// that there is a whole report or none.
type page struct {
	name string
	file *os.File
}

func openPage(name string) (*page, error) {
	if name == "" {
		return &page{}, nil
	}
	// What is renamed onto a device or a folder would end it, or fail when all is measured.
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("--report %s: it is there and is no file", name)
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		var at *os.PathError
		if errors.As(err, &at) {
			err = at.Err // its path is that of a file nobody asked for
		}
		return nil, fmt.Errorf("--report %s: %w", name, err)
	}
	return &page{name, f}, nil
}

func (p *page) write(r *report.Result) error {
	if p.file == nil {
		return nil
	}
	const readable = 0o644
	err := errors.Join(report.WriteHTML(p.file, r), p.file.Chmod(readable), p.file.Close())
	if err == nil {
		err = os.Rename(p.file.Name(), p.name)
	}
	if err != nil {
		return fmt.Errorf("--report %s: %w", p.name, err)
	}
	p.file = nil
	return nil
}

// abandon removes what was not written.
func (p *page) abandon() {
	if p.file != nil {
		_ = p.file.Close()
		_ = os.Remove(p.file.Name())
	}
}
