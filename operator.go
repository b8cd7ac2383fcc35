package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"sync"

	"golang.org/x/term"

	"throng/admin"
	"throng/chat"
	"throng/chat/token"
	"throng/engine"
)

// operator joins the operators' API to the node: rooms are the engine's topics under their own names. Any goroutine.
type operator struct {
	node     *engine.Engine
	rooms    *chat.Server
	kept     *store          // nil: nothing is stored
	tokens   *token.Verifier // nil: none are taken
	log      *slog.Logger
	level    *slog.LevelVar
	systemd  *notifier
	reread   func() reading
	private  *admin.Server // nil if it is turned off
	instance string
	stops    chan struct{} // asks serve to stop; how is in leaving
	// onTerminal: it was started from one, whose end stops it, as that of any program's. Without one, SIGHUP only means reload.
	onTerminal bool

	reloading sync.Mutex // one at a time; guards key
	key       string

	mu       sync.Mutex // guards what follows
	cfg      *Config    // in force
	restart  []string   // settings that were read and are not in force
	leaving  *stopOrder
	shed     *progress
	stopShed context.CancelCauseFunc
}

func newOperator(node *engine.Engine, rooms *chat.Server, kept *store, tokens *token.Verifier, cfg Config, call *invocation, level *slog.LevelVar, log *slog.Logger) *operator {
	return &operator{
		node: node, rooms: rooms, kept: kept, tokens: tokens, log: log, level: level, systemd: newNotifier(os.Getenv, log), reread: call.Reread, cfg: &cfg,
		instance: rand.Text()[:8], stops: make(chan struct{}, 1), onTerminal: term.IsTerminal(int(os.Stdin.Fd())),
	}
}

// config is the configuration in force, which nobody writes to.
func (o *operator) config() *Config {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.cfg
}

// adopt puts a configuration in force, and notes which settings wait for a restart.
func (o *operator) adopt(cfg *Config, restart []admin.Change) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.cfg, o.restart = cfg, nil
	for _, c := range restart {
		o.restart = append(o.restart, c.Name)
	}
}

// summary is the node in one line, for systemctl status.
func (o *operator) summary() string {
	return fmt.Sprintf("%d connections of at most %d", o.node.Stats().Open, o.node.Ceiling())
}

// Metrics implements admin.Source: what the engine, the rooms and the store count.
func (o *operator) Metrics(v admin.Visitor) {
	o.node.Metrics(v)
	o.rooms.Metrics(v)
	if o.kept != nil {
		o.kept.metrics(v)
	}
}

// Status implements admin.Operator.
func (o *operator) Status(ctx context.Context) admin.Status {
	s := o.node.Status()
	build, _ := debug.ReadBuildInfo()
	host, _ := os.Hostname()
	status := admin.Status{
		Node: host, Instance: o.instance, PID: os.Getpid(), Listen: []string{},
		Versions: admin.Versions{Throng: ownVersion(build), Go: runtime.Version(), Gnet: moduleVersion(build, "github.com/panjf2000/gnet/v2")},
		Started:  s.Started, Uptime: admin.Seconds(s.Uptime), Ready: s.Ready, Why: s.Why,
		Connections: admin.Connections{Open: s.Open, Accepted: s.Accepted, Ceiling: s.Ceiling, Lagging: s.Lagging, Paused: s.Paused, Rooms: s.Topics},
		Rates: admin.Rates{
			Over: admin.Seconds(s.Rates.Over), Accepts: s.Rates.Accepts, Handshakes: s.Rates.Upgrades, Closes: s.Rates.Ends,
			Messages: s.Rates.Messages, Deliveries: s.Rates.Deliveries, BytesIn: s.Rates.BytesIn, BytesOut: s.Rates.BytesOut,
		},
		Lag:    admin.Lag{Oldest: o.oldest(ctx, s.Lagging)},
		Memory: admin.Memory{Mark: o.node.Limits().MemoryMark, Buffers: s.HeldBytes, BuffersMax: s.HeldMax},
		GC:     admin.GC{Cycles: s.GC.Cycles, LastPause: admin.Seconds(s.GC.LastPause), Heap: int64(s.GC.HeapBytes)},
	}
	status.Memory.InUse, status.GC.CPU = runtimeUse()
	for _, a := range o.node.Addrs() {
		status.Listen = append(status.Listen, a.String())
	}
	for _, l := range s.Loops {
		status.Lag.Loop, status.Lag.LoopMax = max(status.Lag.Loop, admin.Seconds(l.Lag)), max(status.Lag.LoopMax, admin.Seconds(l.LagMax))
		status.Loops = append(status.Loops, admin.Loop{Open: l.Open, Lagging: l.Lagging, Paused: l.Paused,
			Lag: admin.Seconds(l.Lag), LagMax: admin.Seconds(l.LagMax), Blocked: l.Blocked})
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	status.Restart = o.restart
	if o.leaving != nil {
		p := o.leaving.look()
		status.Drain = &p
	}
	if o.shed.on() {
		p := o.shed.look()
		status.Shed = &p
	}
	return status
}

// oldestRows is how many of those farthest behind are asked for the age of what they have not had.
const oldestRows = 100

// oldest is the age of the oldest byte that somebody has not taken. Nobody is asked where nobody lags.
func (o *operator) oldest(ctx context.Context, lagging int) (age admin.Seconds) {
	if lagging == 0 {
		return 0
	}
	page, err := o.node.Connections(ctx, engine.Query{Filter: engine.Filter{MinLag: 1}, Sort: engine.SortLag, Limit: oldestRows})
	if err != nil {
		return 0
	}
	for _, row := range page.Rows {
		age = max(age, admin.Seconds(row.LagAge))
	}
	return age
}

// runtimeUse is the memory that the Go runtime has from the system, and the share of the process's CPU time that collecting garbage took.
func runtimeUse() (bytes int64, gc float64) {
	m := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"},
		{Name: "/cpu/classes/gc/total:cpu-seconds"}, {Name: "/cpu/classes/total:cpu-seconds"}, {Name: "/cpu/classes/idle:cpu-seconds"},
	}
	metrics.Read(m)
	if busy := m[3].Value.Float64() - m[4].Value.Float64(); busy > 0 {
		gc = m[2].Value.Float64() / busy
	}
	return int64(m[0].Value.Uint64() - m[1].Value.Uint64()), gc
}

// told turns an error of the engine's into one for those who asked. What they asked was looked at before, so it is the loops that cannot answer.
func told(err error) error {
	switch {
	case err == nil, errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, engine.ErrLeaving):
		return &admin.Refusal{Status: http.StatusConflict, Text: "connections are being sent away already; see throng status"}
	}
	return &admin.Refusal{Status: http.StatusServiceUnavailable, Text: withoutPackage(err)}
}

// withoutPackage is the text of an error of the engine's.
func withoutPackage(err error) string { return strings.TrimPrefix(err.Error(), "engine: ") }
