// Package bench measures chat servers: a load on any WebSocket server that broadcasts what it is sent, a bare
// server as the yardstick of what the machine can do, and the table that holds throng against it.
//
// It speaks WebSocket through gobwas/ws and a frame scan of its own, and shares no code with the server: two hands
// check each other.
package bench

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
)

// Command is the command line of the bench, for a parser that reads struct tags.
type Command struct {
	Ideal      IdealCmd      `cmd:"" help:"Serve as the yardstick: a bare epoll broadcast server with no features."`
	Broadcast  BroadcastCmd  `cmd:"" help:"Closed loop: receivers in one room, messages in flight; deliveries per second, every sequence checked."`
	Open       OpenCmd       `cmd:"" help:"Open loop: receivers in one room, messages at a fixed rate; latency from the planned instant."`
	Echo       EchoCmd       `cmd:"" help:"Closed loop: each connection alone in its room with one message in flight; round trips per second."`
	Handshakes HandshakesCmd `cmd:"" help:"Connect, upgrade and leave, over and over; accepted handshakes per second."`
	Idle       IdleCmd       `cmd:"" help:"Hold connections that say nothing; user memory of the server per connection."`
	Fairness   FairnessCmd   `cmd:"" help:"Two people in a small room while a large one is flooded; the pair's latency."`
	Numbers    NumbersCmd    `cmd:"" help:"Hold throng against the yardstick, server and client on their own cores, and print the table."`
}

// Output is shared by the scenarios.
type Output struct {
	JSON bool `help:"Print the result as JSON."`
	PID  int  `name:"pid" help:"Process of the server, to count its CPU or memory." placeholder:"PID"`
	Nice int  `help:"Scheduling priority of this process, -20 to 19; below 0 needs the right to it." default:"0"`
}

// progressSending is the line that says that the load is on; a parent process waits for it.
const progressSending = "%d connections open, sending"

func plainProgress(format string, a ...any) { fmt.Fprintf(os.Stderr, format+"\n", a...) }

// interrupted ends with the first SIGINT or SIGTERM.
func interrupted() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
}

func (o Output) run(scenario string, cfg Load) error {
	cfg.PID, cfg.Progress = o.PID, plainProgress
	return o.report(func(ctx context.Context) (*Result, error) {
		r, err := cfg.Run(ctx)
		if err == nil {
			r.Scenario = scenario
		}
		return r, err
	})
}

// report runs a scenario at the wanted priority until it ends or is interrupted, and prints what it gave.
func (o Output) report(scenario func(context.Context) (*Result, error)) error {
	refused := renice(o.Nice)
	ctx, cancel := interrupted()
	defer cancel()
	r, err := scenario(ctx)
	if err != nil {
		return err
	}
	if refused != nil {
		r.Notes = append(r.Notes, "priority as it was: "+refused.Error())
	}
	return r.write(os.Stdout, o.JSON)
}

// IdealCmd serves as the yardstick.
type IdealCmd struct {
	Listen string `help:"Address and port." default:"127.0.0.1:9001" placeholder:"IP:PORT"`
	Batch  bool   `help:"One write per connection and turn of the loop, instead of one per delivery."`
}

// Run serves until SIGINT or SIGTERM.
func (c *IdealCmd) Run() error {
	if err := needDescriptors(0); err != nil {
		return err
	}
	ctx, cancel := interrupted()
	defer cancel()
	s, err := Ideal(IdealConfig{Listen: c.Listen, Batch: c.Batch})
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "the yardstick listens on ws://%s/\n", s.Addr())
	<-ctx.Done()
	s.Close()
	return nil
}

// BroadcastCmd is the closed loop in one room.
type BroadcastCmd struct {
	URL      string        `name:"url" help:"Server, as ws://HOST:PORT/PATH." required:"" placeholder:"URL"`
	Conns    int           `help:"Receivers." default:"1000"`
	Senders  int           `help:"How many of them send; 0: one for each message in flight." default:"0"`
	InFlight int           `help:"Messages in flight." default:"10"`
	Payload  int           `help:"Bytes of a message, 28 or more." default:"32"`
	For      time.Duration `help:"How long to measure." default:"5s"`
	Warmup   time.Duration `help:"How long to run before." default:"1s"`
	Output   `embed:""`
}

// Run puts the load on and prints what came.
func (c *BroadcastCmd) Run() error {
	senders := c.Senders
	if senders == 0 {
		senders = min(c.InFlight, c.Conns)
	}
	return c.run("broadcast", Load{
		URL: c.URL, Conns: c.Conns, Senders: senders, InFlight: c.InFlight, Payload: c.Payload, Warmup: c.Warmup, For: c.For,
	})
}

// OpenCmd is the open loop in one room.
type OpenCmd struct {
	URL     string        `name:"url" help:"Server, as ws://HOST:PORT/PATH." required:"" placeholder:"URL"`
	Conns   int           `help:"Receivers." default:"10000"`
	Senders int           `help:"How many of them send." default:"1"`
	Rate    float64       `help:"Messages a second of each sender." default:"10"`
	Payload int           `help:"Bytes of a message, 28 or more." default:"32"`
	For     time.Duration `help:"How long to measure." default:"10s"`
	Warmup  time.Duration `help:"How long to run before." default:"1s"`
	Output  `embed:""`
}

// Run puts the load on and prints what came.
func (c *OpenCmd) Run() error {
	return c.run("open", Load{
		URL: c.URL, Conns: c.Conns, Senders: c.Senders, Rate: c.Rate, Payload: c.Payload, Warmup: c.Warmup, For: c.For,
	})
}

// EchoCmd is the closed loop in rooms of one.
type EchoCmd struct {
	URL     string        `name:"url" help:"Server, as ws://HOST:PORT/; connection N goes to /rooms/eN." required:"" placeholder:"URL"`
	Conns   int           `help:"Connections, each in a room of its own." default:"100"`
	Payload int           `help:"Bytes of a message, 28 or more." default:"32"`
	For     time.Duration `help:"How long to measure." default:"5s"`
	Warmup  time.Duration `help:"How long to run before." default:"1s"`
	Output  `embed:""`
}

// Run puts the load on and prints what came.
func (c *EchoCmd) Run() error {
	return c.run("echo", Load{
		URL: c.URL, Conns: c.Conns, Rooms: c.Conns, Senders: c.Conns, InFlight: c.Conns, Payload: c.Payload, Warmup: c.Warmup, For: c.For,
	})
}
