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
		err = call.Bench()
	}
	if err != nil {
		complain(os.Stderr, err.Error())
		os.Exit(exitWrong)
	}
}

// errForced says that a second signal cut the drain short.
var errForced = errors.New("stopped at once by a second signal")

// serve runs a node until a signal ends it: build, wire, run, drain.
func serve(call *invocation) error {
	cfg := call.Config
	log := newLogger(cfg, os.Stderr)
	for _, w := range call.Warnings {
		log.Warn(w)
	}
	debug.SetGCPercent(gcPercent)
	spareProcessor(cfg)

	server := &chat.Server{Page: page}
	node, err := engine.New(engineConfig(cfg, log), server)
	if err != nil {
		return err
	}
	defer closeNode(node)
	server.Ready = node.Ready

	private, err := listenPrivate(cfg, node, log)
	if err != nil {
		return err
	}
	defer closePrivate(private)

	stop := make(chan os.Signal, 2)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	node.Start()
	announce(os.Stdout, cfg, node, private)
	select {
	case err := <-node.Failed():
		return err
	case s := <-stop:
		log.Info("stopping", slog.String("signal", s.String()), slog.String("delay", cfg.DrainDelay.String()), slog.String("over", cfg.DrainTime.String()))
	}
	return drain(cfg, node, log, stop)
}

// drain sends everybody away. A second signal ends it at once.
func drain(cfg *Config, node *engine.Engine, log *slog.Logger, stop <-chan os.Signal) error {
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
	select {
	case <-time.After(cfg.DrainDelay):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	err := node.Drain(ctx, cfg.DrainTime, func(left int) { log.Info("draining", slog.Int("connections", left)) })
	if err != nil {
		return context.Cause(ctx)
	}
	log.Info("stopped")
	return nil
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

// listenPrivate starts the private HTTP server, unless it is turned off.
func listenPrivate(cfg *Config, node *engine.Engine, log *slog.Logger) (*admin.Server, error) {
	if cfg.Admin == "" {
		return nil, nil
	}
	s, err := admin.Listen(admin.Config{Addr: cfg.Admin, Source: node, Ready: node.Ready, Logger: log})
	if err != nil {
		return nil, fmt.Errorf("%w; choose another port with --admin, or turn it off with --admin ''", err)
	}
	go s.Serve()
	return s, nil
}

func closePrivate(s *admin.Server) {
	if s != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.Close(ctx)
	}
}
