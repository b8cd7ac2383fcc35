package bench

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"throng/bench/report"
)

// Window is how long a scenario takes.
type Window struct {
	For    time.Duration `group:"Load" help:"How long to measure." default:"10s"`
	Warmup time.Duration `group:"Load" help:"How long to talk before." default:"1s"`
}

// LongWindow is how long a soak takes.
type LongWindow struct {
	For    time.Duration `group:"Load" help:"How long to measure." default:"1h"`
	Warmup time.Duration `group:"Load" help:"How long to talk before." default:"10s"`
}

// BroadcastFlags are the load of one room.
type BroadcastFlags struct {
	Conns    int     `group:"Load" help:"Receivers." default:"1000"`
	Senders  int     `group:"Load" help:"How many of them talk; 0: one, or in a closed loop one for each message in flight." default:"0"`
	Rate     float64 `group:"Load" xor:"loop" help:"Open loop: messages a second of each sender, sent as planned whatever comes back; 10 if there is no --in-flight." placeholder:"N"`
	InFlight int     `group:"Load" xor:"loop" help:"Closed loop: messages in flight; a new one is sent for each that came back." placeholder:"N"`
}

func (f *BroadcastFlags) load(scenario string, o Options, w Window) Load {
	cfg := Load{Options: o, Scenario: scenario, Conns: f.Conns, Senders: f.Senders, Rate: f.Rate, For: w.For, Warmup: w.Warmup}
	if f.InFlight != 0 {
		cfg.Rate, cfg.InFlight = 0, f.InFlight
	} else if f.Rate == 0 {
		cfg.Rate = rateDefault
	}
	if groups := max(len(o.URL), 1); f.Senders == 0 {
		cfg.Senders = groups
		if f.InFlight > 0 {
			cfg.Senders = max(min(f.InFlight, f.Conns)/groups, 1) * groups
		}
	}
	return cfg
}

const rateDefault = 10

// BroadcastCmd is a load on one room.
type BroadcastCmd struct {
	BroadcastFlags `embed:""`
	Window         `embed:""`
	Options        `embed:""`
}

// Run puts the load on and prints what came.
func (c *BroadcastCmd) Run() error { return c.Options.run(c, c.measure) }

func (c *BroadcastCmd) measure(ctx context.Context) (*report.Result, error) {
	return c.load("broadcast", c.Options, c.Window).Run(ctx)
}

// RoomsFlags are the load of many rooms.
type RoomsFlags struct {
	Rooms       int     `group:"Load" help:"How many rooms." default:"100"`
	Members     int     `group:"Load" help:"Connections in each." default:"10"`
	RoomSenders int     `group:"Load" help:"How many of them talk." default:"1"`
	Rate        float64 `group:"Load" xor:"loop" help:"Open loop: messages a second in each room, sent as planned whatever comes back; 10 if there is no --in-flight." placeholder:"N"`
	InFlight    int     `group:"Load" xor:"loop" help:"Closed loop: messages in flight in each room." placeholder:"N"`

	Flood        int `group:"Flood" help:"Receivers in one more room that is flooded meanwhile by another process; 0: there is none." default:"0"`
	FloodSenders int `group:"Flood" help:"How many of them flood it." default:"10"`
	FloodWindow  int `group:"Flood" help:"Messages that each of them has under way; it sends the next when one came back." default:"100"`
	PairNice     int `group:"Flood" help:"Scheduling priority of the small rooms' client beside a flood; 0: as it is." default:"-5"`
}

func (f *RoomsFlags) rooms(o Options, w Window) (Rooms, error) {
	if f.Rooms < 1 || f.Members < 1 || f.RoomSenders < 1 || f.Rooms > math.MaxInt32/f.Members {
		return Rooms{}, fmt.Errorf("--rooms %d, --members %d, --room-senders %d: want at least 1 of each", f.Rooms, f.Members, f.RoomSenders)
	}
	cfg := Load{
		Options: o, Scenario: "rooms", Conns: f.Rooms * f.Members, Rooms: f.Rooms, Senders: f.Rooms * f.RoomSenders, For: w.For, Warmup: w.Warmup,
	}
	switch each := float64(f.RoomSenders); {
	case f.InFlight != 0:
		cfg.InFlight = f.InFlight * f.Rooms
	case f.Rate != 0:
		cfg.Rate = f.Rate / each
	default:
		cfg.Rate = rateDefault / each
	}
	return Rooms{Load: cfg, Flood: f.Flood, FloodSenders: f.FloodSenders, FloodWindow: f.FloodWindow, PairNice: f.PairNice}, nil
}

// RoomsCmd is a load on many rooms.
type RoomsCmd struct {
	RoomsFlags `embed:""`
	Window     `embed:""`
	Options    `embed:""`
}

// Run puts the load on and prints what came.
func (c *RoomsCmd) Run() error { return c.Options.run(c, c.measure) }

func (c *RoomsCmd) measure(ctx context.Context) (*report.Result, error) {
	cfg, err := c.rooms(c.Options, c.Window)
	if err != nil {
		return nil, err
	}
	return cfg.Run(ctx)
}

// ChurnFlags say who comes and goes.
type ChurnFlags struct {
	Churn float64 `group:"Load" help:"Receivers a second that leave, every other one with a close frame, and come back at once." default:"100" placeholder:"CONNS/S"`
}

// ChurnCmd is a broadcast with coming and going.
type ChurnCmd struct {
	BroadcastFlags `embed:""`
	ChurnFlags     `embed:""`
	Window         `embed:""`
	Options        `embed:""`
}

// Run puts the load on and prints what came.
func (c *ChurnCmd) Run() error { return c.Options.run(c, c.measure) }

func (c *ChurnCmd) measure(ctx context.Context) (*report.Result, error) {
	cfg := c.load("churn", c.Options, c.Window)
	cfg.Churn = c.Churn
	return cfg.Run(ctx)
}

// SlowFlags say who reads slowly.
type SlowFlags struct {
	SlowShare string `group:"Load" help:"Share of the receivers that read slowly." default:"10%" placeholder:"PERCENT"`
	SlowRead  int    `group:"Load" help:"Bytes a second that such a one reads; 0: never." default:"1000" placeholder:"BYTES/S"`
}

func (f *SlowFlags) share() (float64, error) {
	number, percent := strings.CutSuffix(f.SlowShare, "%")
	share, err := strconv.ParseFloat(number, 64)
	if percent {
		share /= 100
	}
	if err != nil || !(share > 0 && share <= 1) {
		return 0, fmt.Errorf("--slow-share %q: want a share such as 10%%", f.SlowShare)
	}
	return share, nil
}

// SlowCmd is a broadcast to some who read slowly.
type SlowCmd struct {
	BroadcastFlags `embed:""`
	SlowFlags      `embed:""`
	Window         `embed:""`
	Options        `embed:""`
}

// Run puts the load on and prints what came.
func (c *SlowCmd) Run() error { return c.Options.run(c, c.measure) }

func (c *SlowCmd) measure(ctx context.Context) (r *report.Result, err error) {
	cfg := c.load("slow", c.Options, c.Window)
	if cfg.Slow, err = c.share(); err != nil {
		return nil, err
	}
	cfg.SlowRead = c.SlowRead
	return cfg.Run(ctx)
}

// SoakCmd is one of the loads for a long time.
type SoakCmd struct {
	Broadcast soakBroadcast `cmd:"" help:"One room."`
	Rooms     soakRooms     `cmd:"" help:"Many rooms."`
	Churn     soakChurn     `cmd:"" help:"With coming and going."`
	Slow      soakSlow      `cmd:"" help:"With slow readers."`
}

type soakBroadcast struct {
	BroadcastFlags `embed:""`
	LongWindow     `embed:""`
	Options        `embed:""`
}

// Run puts the load on and prints what came.
func (c *soakBroadcast) Run() error {
	return c.Options.run(c, func(ctx context.Context) (*report.Result, error) {
		cfg := c.load("broadcast", c.Options, Window(c.LongWindow))
		cfg.Drift = true
		return cfg.Run(ctx)
	})
}

type soakRooms struct {
	RoomsFlags `embed:""`
	LongWindow `embed:""`
	Options    `embed:""`
}

// Run puts the load on and prints what came.
func (c *soakRooms) Run() error {
	return c.Options.run(c, func(ctx context.Context) (*report.Result, error) {
		cfg, err := c.rooms(c.Options, Window(c.LongWindow))
		if err != nil {
			return nil, err
		}
		cfg.Drift = true
		return cfg.Run(ctx)
	})
}

type soakChurn struct {
	BroadcastFlags `embed:""`
	ChurnFlags     `embed:""`
	LongWindow     `embed:""`
	Options        `embed:""`
}

// Run puts the load on and prints what came.
func (c *soakChurn) Run() error {
	return c.Options.run(c, func(ctx context.Context) (*report.Result, error) {
		cfg := c.load("churn", c.Options, Window(c.LongWindow))
		cfg.Drift, cfg.Churn = true, c.Churn
		return cfg.Run(ctx)
	})
}

type soakSlow struct {
	BroadcastFlags `embed:""`
	SlowFlags      `embed:""`
	LongWindow     `embed:""`
	Options        `embed:""`
}

// Run puts the load on and prints what came.
func (c *soakSlow) Run() error {
	return c.Options.run(c, func(ctx context.Context) (r *report.Result, err error) {
		cfg := c.load("slow", c.Options, Window(c.LongWindow))
		if cfg.Slow, err = c.share(); err != nil {
			return nil, err
		}
		cfg.Drift, cfg.SlowRead = true, c.SlowRead
		return cfg.Run(ctx)
	})
}
