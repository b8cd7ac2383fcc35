package bench

import (
	"context"
	"fmt"
	"os"
	"time"

	"throng/bench/report"
)

// RecordedCmd prints the table of recorded rooms.
type RecordedCmd struct {
	ServerFlags string   `help:"More flags for the servers." placeholder:"FLAGS"`
	Only        []string `help:"Only these figures: ${enum}." enum:"raw,raw-always,envelope,envelope-always,open,latency,memberships,rooms,resume" placeholder:"NAME"`
	Rounds      int      `help:"Rounds, interleaved; the table has their medians." default:"3"`
	Short       bool     `help:"One short round: an impression, not a measurement."`
	JSON        bool     `help:"Print the table and every run as JSON."`
	Words       []string `kong:"-"` // what comes before a scenario's name on this program's command line; default bench
}

// Run measures and prints the table.
func (c *RecordedCmd) Run() error {
	if c.Rounds < 1 {
		return fmt.Errorf("--rounds %d: want 1 or more", c.Rounds)
	}
	if err := needDescriptors(resumeConns); err != nil {
		return err
	}
	self, err := selfCommand(c.Words)
	if err != nil {
		return err
	}
	field, err := recorders(c.ServerFlags)
	if err != nil {
		return err
	}
	show := newProgress(os.Stderr)
	n := &numbers{self: self, where: coresShared, rounds: c.Rounds, progress: show.line, field: field, lines: recordedRows, columns: []string{"beside", "recorded"}}
	if c.Short {
		n.rounds = 1
	}
	if n.launcher, err = newLauncher(); err != nil {
		return err
	}
	defer n.launcher.close()
	measured := chosen(recordedFigures(c.Short), c.Only)
	ctx, cancel := interrupted()
	defer cancel()
	err = n.measure(ctx, measured)
	show.end()
	if err != nil {
		return err
	}
	return n.table(measured).write(os.Stdout, c.JSON)
}

// MembershipsCmd measures what rooms cost.
type MembershipsCmd struct {
	Conns   int           `group:"Load" help:"Connections." default:"10000"`
	Each    int           `group:"Load" help:"Rooms that each is in." default:"20"`
	Rooms   int           `group:"Load" help:"Rooms in all." default:"100000"`
	Few     int           `group:"Load" help:"Of these, rooms that have the load alone the second time." default:"10"`
	Rate    float64       `group:"Load" help:"Messages a second, in all rooms together; 0: none." default:"2000"`
	Settle  time.Duration `group:"Load" help:"Time to wait before each look at the server's memory." default:"10s"`
	For     time.Duration `group:"Load" help:"How long each load is measured." default:"5s"`
	Options `embed:""`
}

// Run measures and prints.
func (c *MembershipsCmd) Run() error {
	return c.Options.run(c, func(ctx context.Context) (*report.Result, error) {
		return Memberships{Options: c.Options, Conns: c.Conns, Each: c.Each, Rooms: c.Rooms, Few: c.Few, Rate: c.Rate, Settle: c.Settle, For: c.For}.Run(ctx)
	})
}

// ResumeCmd measures everybody coming back for what was missed.
type ResumeCmd struct {
	Conns   int     `group:"Load" help:"Connections that drop and come back." default:"15000"`
	Missed  int     `group:"Load" help:"Messages that each has missed." default:"100"`
	Rate    float64 `group:"Load" help:"Messages a second in the room meanwhile." default:"5"`
	Options `embed:""`
}

// Run measures and prints.
func (c *ResumeCmd) Run() error {
	return c.Options.run(c, func(ctx context.Context) (*report.Result, error) {
		return Resume{Options: c.Options, Conns: c.Conns, Missed: c.Missed, Rate: c.Rate}.Run(ctx)
	})
}
