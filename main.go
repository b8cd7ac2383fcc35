// Throng is an instant-chat server: whoever opens a WebSocket on it hears what
// everybody in the same room says.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"golang.org/x/term"

	"throng/admin"
	"throng/chat"
	"throng/engine"
)

func main() {
	call, code := parseArgs(os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	if call == nil {
		os.Exit(code)
	}
	var err error
	switch call.Command {
	case "serve":
		err = serve(call)
	default:
		err = call.Run()
	}
	if err != nil {
		complain(os.Stderr, err.Error())
		os.Exit(exitWrong)
	}
}

// errForced says that a second signal cut the drain short.
var errForced = errors.New("stopped at once by a second signal")

// serve runs a node until a signal or an operator ends it: build, wire, run, drain.
func serve(call *invocation) error {
	cfg, level := call.Config, new(slog.LevelVar)
	log := newLogger(cfg, level, os.Stderr)
	for _, w := range call.Warnings {
		log.Warn(w)
	}
	debug.SetGCPercent(gcPercent)
	settings := *cfg
	spareProcessor(cfg)

	// The private server is the last to end, so that whoever waits for the end of a drain has it.
	var private *admin.Server
	defer func() { closePrivate(private) }()
	tokens, err := tokensOf(cfg)
	if err != nil {
		return err
	}
	rooms, err := chat.New(chatConfig(cfg, tokens, log))
	if err != nil {
		return err
	}
	defer rooms.Close()
	kept, err := openStore(cfg, rooms, log)
	if err != nil {
		return err
	}
	defer closeStore(kept, log)
	node, err := engine.New(engineConfig(cfg, log), rooms)
	if err != nil {
		return err
	}
	defer closeNode(node)
	rooms.Serve(node)

	control := newOperator(node, rooms, kept, tokens, settings, call, level, log)
	if private, err = listenPrivate(control); err != nil {
		return err
	}
	stop, again := make(chan os.Signal, 2), make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	signal.Notify(again, syscall.SIGHUP)
	node.Start()
	announce(os.Stdout, cfg, node, kept, private)
	end := make(chan struct{})
	defer close(end)
	control.systemd.ready(control.summary())
	go control.systemd.attend(end, node.Silence, control.summary)
	if err := control.run(stop, again); err != nil {
		return err
	}
	return drain(control, stop)
}

// run does what signals and operators ask for, until it is to stop.
func (o *operator) run(stop, again <-chan os.Signal) error {
	for {
		select {
		case err := <-o.node.Failed():
			return err
		case s := <-stop:
			o.stop(s.String(), nil, nil)
		case <-again:
			if o.onTerminal && !term.IsTerminal(int(os.Stdin.Fd())) {
				o.stop("the terminal's end", nil, nil)
				continue
			}
			_, _ = o.Reload("SIGHUP") // it is logged
		case <-o.stops:
			return nil
		}
	}
}

// drain sends everybody away, in the way that was ordered. A second signal ends it at once.
func drain(control *operator, stop <-chan os.Signal) (err error) {
	order, node, log, systemd := control.leaving, control.node, control.log, control.systemd
	defer func() { order.ended(stillOpen(node), err) }()
	log.Info("stopping", slog.String("by", order.by), slog.String("delay", order.delay.String()), slog.String("over", order.over.String()))
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	go func() {
		select {
		case <-stop:
			cancel(errForced)
		case err := <-node.Failed():
			cancel(err)
		case <-ctx.Done():
		}
	}()
	node.NotReady()
	systemd.stopping(order.delay)
	select {
	case <-time.After(order.delay):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	open := node.Stats().Open
	order.moved(open, open, order.over)
	err = node.Drain(ctx, order.over, func(left, total int, remaining time.Duration) {
		order.moved(left, total, remaining)
		log.Info("draining", slog.Int("connections", left), slog.Int("of", total), slog.String("remaining", remaining.Round(time.Second).String()))
		systemd.draining(fmt.Sprintf("draining, %d of %d connections left, about %s more", left, total, remaining.Round(time.Second)))
	})
	if err != nil {
		return context.Cause(ctx)
	}
	log.Info("stopped")
	return nil
}

// stillOpen counts the connections that are left. What the loops say of them is up to a tick old, what the gate says is not.
func stillOpen(node *engine.Engine) int {
	s := node.Status()
	return min(s.Open, s.Accepted)
}

// closeTime is how long the end of the process waits for the node: a loop that is
// blocked for ever, or a refusal being read, holds nobody up.
const closeTime = 500 * time.Millisecond

func closeNode(node *engine.Engine) {
	closed := make(chan struct{})
	go func() { node.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(closeTime):
	}
}
