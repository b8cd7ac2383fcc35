// Package admin is throng's private HTTP server: metrics, health, readiness and profiles.
//
// It stands on an address of its own, loopback by default, and asks for no password yet. What keeps
// strangers out until then is the address, and guard.go against the browser of somebody who sits on
// the same machine. It knows neither engine nor chat: they describe themselves to a Visitor.
package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Every bound of the private server. It is read by a scraper, a prober and a person, so all are small.
const (
	connectionsMax    = 64               // far above what those three need; more wait in the kernel's queue
	headBytesMax      = 8 << 10          // as on the public port
	scrapesMax        = 4                // scrapes at once, the fifth gets 503
	profileSecondsMax = 300              // a longer profile would hold its connection for no good
	readHeadTimeout   = 5 * time.Second  // a client that connects and says nothing
	readTimeout       = 10 * time.Second // the whole request; only pprof's symbol look-up has a body
	writeTimeout      = 10 * time.Second // pprof adds the seconds it was asked for
	idleTimeout       = 60 * time.Second // longer than the usual scrape interval of 15 s
	scrapeTimeout     = 8 * time.Second  // below writeTimeout, so that the 503 can still be sent
)

const _ = uint(writeTimeout - scrapeTimeout - 1)

// Config is what main decides about the private server.
type Config struct {
	// Addr is host:port. An address that is not loopback is allowed and warned of.
	Addr string
	// Source is what /metrics reads, beside the Go runtime and the process. Nil: only those two.
	Source Source
	// Ready answers /readyz, with the reason when it is not. Nil: always ready.
	Ready func() (ok bool, why string)
	// Logger takes warnings; nil is slog's default.
	Logger *slog.Logger
}

// Server is the private server between Listen and Close.
type Server struct {
	listener net.Listener
	http     *http.Server
	cancel   context.CancelFunc // ends the requests that would outlast Close, such as profiles
	logger   *slog.Logger
	guard    guard
	ready    func() (ok bool, why string)
}

// Listen binds at once, so that a taken port stops the start; requests are answered from Serve on.
func Listen(cfg Config) (*Server, error) {
	host, _, err := net.SplitHostPort(cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("admin address %q: %w", cfg.Addr, err)
	}
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(context.Background(), "tcp", cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("admin address %s: %w", cfg.Addr, err)
	}
	s := &Server{
		listener: newLimitListener(l, connectionsMax),
		logger:   cfg.Logger,
		guard:    guard{configured: host},
		ready:    cfg.Ready,
	}
	if s.logger == nil {
		s.logger = slog.Default()
	}
	if ip := addrIP(l.Addr()); !ip.IsLoopback() {
		s.logger.Warn("the admin server has no authentication and is reachable from other machines",
			"address", l.Addr().String())
	}
	base, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.http = &http.Server{
		Handler:           s.routes(cfg.Source),
		ReadHeaderTimeout: readHeadTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    headBytesMax,
		BaseContext:       func(net.Listener) context.Context { return base },
		ErrorLog:          slog.NewLogLogger(s.logger.Handler(), slog.LevelWarn),
	}
	return s, nil
}

// Addr is where the server listens; with port 0 in Config.Addr, the port it was given.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Serve answers requests until Close; it is meant for a goroutine of its own.
func (s *Server) Serve() {
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		s.logger.Error("the admin server stopped", "err", err)
	}
}

// Close stops listening, ends running profiles and waits for the requests in flight; when ctx ends
// first, their connections are cut and ctx's error is returned.
func (s *Server) Close(ctx context.Context) error {
	s.cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		_ = s.http.Close() // ctx's error says more
	}
	// Shutdown knows only a listener that Serve was called with.
	if cerr := s.listener.Close(); err == nil && !errors.Is(cerr, net.ErrClosed) {
		err = cerr
	}
	return err
}

func addrIP(a net.Addr) net.IP {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.IP
	}
	return nil
}
