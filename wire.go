package main

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"

	"golang.org/x/term"

	"throng/admin"
	"throng/engine"
	"throng/protocol"
	"throng/web"
)

// gcPercent lets the heap grow by half between collections. Messages allocate
// nothing, so collections are rare, and a million idle connections should not
// cost the memory of two.
const gcPercent = 50

// memoryDivisor: logs and buffers may hold a quarter of the memory.
const memoryDivisor = 4

// spareProcessor gives the Go scheduler one processor more than there are loops.
// A loop that waits in epoll holds its processor until the runtime's monitor
// takes it away, tens of microseconds to milliseconds later; whoever accepts,
// collects garbage or serves metrics need not wait for that.
func spareProcessor(c *Config) {
	loops := c.Loops
	if loops == 0 {
		loops = runtime.GOMAXPROCS(0)
		c.Loops = loops
	}
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), loops+1))
}

// engineConfig turns settings into the engine's configuration.
func engineConfig(c *Config, log *slog.Logger) engine.Config {
	e := engine.DefaultConfig()
	e.Listen, e.Loops, e.ReusePort = c.Listen, c.Loops, c.ReusePort
	e.MaxConnections = int(c.MaxConnections)
	if c.MaxConnections.IsAuto() {
		e.MaxConnections = engine.Auto
	}
	e.Head = protocol.HeadLimits{Bytes: int(c.MaxHead), Headers: c.MaxHeaders, URI: int(c.MaxURI)}
	e.Origins, _ = protocol.ParseOrigins(c.Origins) // each was parsed when the settings were read
	e.HandshakeTimeout, e.IdleTimeout, e.PingInterval = c.HandshakeTimeout, c.IdleTimeout, c.PingInterval
	e.IdleMessagesOnly = c.IdleCounts == "messages"
	e.CloseTimeout, e.WriteTimeout = c.CloseTimeout, c.WriteTimeout
	e.Decoder = protocol.DecoderConfig{MaxMessage: int(c.MaxMessage), MaxFrame: int(c.MaxFrame), MaxFragments: maxFragments(c)}
	e.FramesPerTurn = c.MaxFramesPerTurn
	e.MessageRate, e.MessageBurst = float64(c.MessageRate), c.MessageBurst
	e.PingRate, e.PingBurst = float64(c.PingRate), c.PingBurst
	e.LogBytes, e.LogMessages = int(c.MaxLog), c.MaxLogMessages
	e.Backlog, e.SendBuffer = int(c.MaxBacklog), int(c.SendBuffer)
	e.Compress, e.CompressAbove = c.Compress, int(c.CompressAbove)
	e.KeepAlive, e.UserTimeout = c.TCPKeepalive, c.TCPUserTimeout
	e.Logger = log
	memory := int64(c.Memory)
	if c.Memory.IsAuto() {
		memory, _ = memoryLimit()
	}
	e.Memory = memory / memoryDivisor
	return e
}

// fragmentBytes is the size of fragments at which a message of the greatest
// length still passes. Smaller ones are not how anybody sends a message.
const fragmentBytes = 64

// maxFragments resolves auto.
func maxFragments(c *Config) int {
	switch {
	case !c.MaxFragments.IsAuto():
		return int(c.MaxFragments)
	case c.MaxMessage == 0:
		return 0
	}
	return max(protocol.DefaultMaxFragments, int(c.MaxMessage)/fragmentBytes)
}

// newLogger makes the log: text for people, JSON for machines.
func newLogger(c *Config, w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.LogLevel)) // one of the allowed words
	options := &slog.HandlerOptions{Level: level}
	f, isFile := w.(*os.File)
	if c.LogFormat == "text" || c.LogFormat == "auto" && isFile && term.IsTerminal(int(f.Fd())) {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

// page serves the chat page and its assets on the public port.
func page(path, etag string) (protocol.Response, bool) {
	a, ok := web.Lookup(path)
	if !ok {
		return protocol.Response{}, false
	}
	resp := protocol.Response{Status: 200, ContentType: a.ContentType, Headers: a.Headers, Body: a.Body}
	if etag != "" && a.NotModified(etag) {
		resp.Status, resp.ContentType, resp.Body = 304, "", nil
	}
	return resp, true
}

// announce prints where the server can be reached, and what is let in.
func announce(w io.Writer, cfg *Config, node *engine.Engine, private *admin.Server) {
	for _, a := range node.Addrs() {
		host := reachable(a)
		fmt.Fprintf(w, "throng: the chat page is http://%s/ and its WebSocket ws://%s/ (other rooms: /rooms/NAME)\n", host, host)
	}
	if private != nil {
		fmt.Fprintf(w, "throng: metrics and health are on http://%s/\n", private.Addr())
	}
	rate := "as many messages as it likes (--message-rate is off)"
	if cfg.MessageRate > 0 {
		rate = fmt.Sprintf("%d messages a second", cfg.MessageRate)
	}
	fmt.Fprintf(w, "throng: up to %d connections, each with %s; stop with Ctrl-C\n", node.Ceiling(), rate)
}

// reachable is an address as one would type it on this machine.
func reachable(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}
