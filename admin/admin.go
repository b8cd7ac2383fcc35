// Package admin is throng's private HTTP server: metrics, health, readiness, profiles, and the API of
// its operators and of applications.
//
// It stands on an address of its own, loopback by default, and on a Unix socket. access.go says who
// may do what there; guard.go keeps out the browser of somebody who sits on the same machine. It knows
// neither engine nor chat: they describe themselves to a Visitor, and act as an Operator and a Talker.
package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Every bound of the private server. It is read by a scraper, a prober and a person, so all are small.
const (
	connectionsMax    = 64               // of each listener, far above what those three need; more wait in the kernel's queue
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
	// Addr is host:port, "" for none. One that is not loopback needs a key.
	Addr string
	// Socket is the path of a Unix socket, "" for none.
	Socket string
	// Key is what a request over TCP must know to change something, "" for none.
	Key string
	// Source is what /metrics reads, beside the Go runtime and the process. Nil: only those two.
	Source Source
	// Ready answers /readyz, with the reason when it is not. Nil: always ready.
	Ready func() (ok bool, why string)
	// Operator is what the API asks and tells. Nil: there is no API.
	Operator Operator
	// Talker is what the API asks and tells for applications. Nil: it answers them that there is none.
	Talker Talker
	// Logger takes warnings; nil is slog's default.
	Logger *slog.Logger
}

// Server is the private server between Listen and Close.
type Server struct {
	listeners []net.Listener
	addr      net.Addr // of TCP, nil without
	socket    string
	open      bool // on loopback: whoever gets there may read
	key       keyhole
	strangers doorBook
	http      *http.Server
	cancel    context.CancelFunc // ends the requests that would outlast Close, such as profiles
	logger    *slog.Logger
	guard     guard
	ready     func() (ok bool, why string)
	operator  Operator
	talker    Talker
}

// Listen binds at once, so that a taken port stops the start; requests are answered from Serve on.
func Listen(cfg Config) (*Server, error) {
	s := &Server{logger: cfg.Logger, ready: cfg.Ready, operator: cfg.Operator, talker: cfg.Talker}
	s.key.set(cfg.Key)
	if s.logger == nil {
		s.logger = slog.Default()
	}
	if err := s.bind(cfg); err != nil {
		s.closeListeners()
		return nil, err
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
		ConnContext:       withPeer,
		ErrorLog:          slog.NewLogLogger(s.logger.Handler(), slog.LevelWarn),
	}
	return s, nil
}

// bind listens on what is to be listened on.
func (s *Server) bind(cfg Config) error {
	if cfg.Addr == "" && cfg.Socket == "" {
		return errors.New("the private server has no address")
	}
	if cfg.Addr != "" {
		host, _, err := net.SplitHostPort(cfg.Addr)
		if err != nil {
			return fmt.Errorf("admin address %q: %w", cfg.Addr, err)
		}
		var lc net.ListenConfig
		lc.SetMultipathTCP(false)
		l, err := lc.Listen(context.Background(), "tcp", cfg.Addr)
		if err != nil {
			return fmt.Errorf("admin address %s: %w", cfg.Addr, err)
		}
		s.listeners = append(s.listeners, newLimitListener(l, connectionsMax))
		s.addr, s.guard = l.Addr(), guard{configured: host}
		s.open = addrIP(l.Addr()).IsLoopback()
		if !s.open && !s.key.has() {
			return fmt.Errorf("admin address %s: %w", cfg.Addr, errKeyNeeded)
		}
	}
	if cfg.Socket != "" {
		l, err := listenSocket(cfg.Socket)
		if err != nil {
			return fmt.Errorf("admin socket %s: %w", cfg.Socket, err)
		}
		s.listeners = append(s.listeners, newLimitListener(l, connectionsMax))
		s.socket = cfg.Socket
	}
	return nil
}

// Addr is where the server listens on TCP; with port 0 in Config.Addr, the port it was given. It is nil without one.
func (s *Server) Addr() net.Addr { return s.addr }

// Socket is the path of its Unix socket, "" without one.
func (s *Server) Socket() string { return s.socket }

// CheckKey reports whether the server could go on with another key, or none.
func (s *Server) CheckKey(key string) error {
	if key == "" && s.addr != nil && !s.open {
		return fmt.Errorf("admin address %s: %w", s.addr, errKeyNeeded)
	}
	return nil
}

// SetKey puts another key in force that CheckKey has nothing against.
func (s *Server) SetKey(key string) { s.key.set(key) }

// Serve answers requests until Close; it is meant for a goroutine of its own.
func (s *Server) Serve() {
	var serving sync.WaitGroup
	for _, l := range s.listeners {
		serving.Go(func() {
			if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				s.logger.Error("the admin server stopped", "err", err)
			}
		})
	}
	serving.Wait()
}

// Close stops listening, ends running profiles and waits for the requests in flight; when ctx ends
// first, their connections are cut and ctx's error is returned.
func (s *Server) Close(ctx context.Context) error {
	s.cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		_ = s.http.Close() // ctx's error says more
	}
	// Shutdown knows only listeners that Serve was called with.
	if cerr := s.closeListeners(); err == nil {
		err = cerr
	}
	return err
}

func (s *Server) closeListeners() (err error) {
	for _, l := range s.listeners {
		if cerr := l.Close(); cerr != nil && !errors.Is(cerr, net.ErrClosed) {
			err = errors.Join(err, cerr)
		}
	}
	return err
}

func addrIP(a net.Addr) net.IP {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.IP
	}
	return nil
}
