package main

import (
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"

	"golang.org/x/term"

	"throng/admin"
	"throng/admin/console"
	"throng/chat"
	"throng/chat/token"
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
	e.Limits = engineLimits(c)
	e.Proxy = proxyModes[c.ProxyProtocol]
	e.AddressPrefix6 = c.AddressPrefixV6
	e.Head = protocol.HeadLimits{Bytes: int(c.MaxHead), Headers: c.MaxHeaders, URI: int(c.MaxURI)}
	e.IdleMessagesOnly = c.IdleCounts == "messages"
	e.Decoder = protocol.DecoderConfig{MaxMessage: int(c.MaxMessage), MaxFrame: int(c.MaxFrame), MaxFragments: maxFragments(c)}
	e.FramesPerTurn = c.MaxFramesPerTurn
	e.Ends = c.KeepCloses
	e.LogBytes, e.LogMessages = int(c.MaxLog), c.MaxLogMessages
	e.Backlog, e.SendBuffer = int(c.MaxBacklog), int(c.SendBuffer)
	e.Compress, e.CompressAbove = c.Compress, int(c.CompressAbove)
	e.KeepAlive, e.UserTimeout = c.TCPKeepalive, c.TCPUserTimeout
	e.Logger = log
	e.Memory = memory(c) / memoryDivisor
	return e
}

// proxyModes are the words of --proxy-protocol.
var proxyModes = map[string]engine.ProxyMode{"off": engine.ProxyOff, "optional": engine.ProxyOptional, "required": engine.ProxyRequired}

// engineLimits turns the settings that can change while the server runs into the
// engine's limits.
func engineLimits(c *Config) engine.Limits {
	lim := engine.Limits{
		MaxConnections:   int(c.MaxConnections),
		ProxyTrust:       networks(c.ProxyTrust),
		HandshakeTimeout: c.HandshakeTimeout, IdleTimeout: c.IdleTimeout, PingInterval: c.PingInterval,
		CloseTimeout: c.CloseTimeout, WriteTimeout: c.WriteTimeout,
		MessageRate: float64(c.MessageRate), MessageBurst: c.MessageBurst,
		ByteRate: float64(c.ByteRate), ByteBurst: int(c.ByteBurst),
		PingRate: float64(c.PingRate), PingBurst: c.PingBurst,
		AddressConnections: c.MaxPerAddress, AddressHandshakes: c.MaxHandshakesPerAddress,
		AddressRate: float64(c.AddressRate), AddressBurst: c.AddressBurst,
		HandshakeRate: float64(c.HandshakeRate), HandshakeBurst: c.HandshakeBurst,
		MemoryMark: memory(c) / 100 * int64(c.MemoryMark),
	}
	lim.Origins, _ = protocol.ParseOrigins(c.Origins) // each was parsed when the settings were read
	if c.MaxConnections.IsAuto() {
		lim.MaxConnections = engine.Auto
	}
	return lim
}

// memory resolves auto.
func memory(c *Config) int64 {
	if c.Memory.IsAuto() {
		limit, _ := memoryLimit()
		return limit
	}
	return int64(c.Memory)
}

// networks are what a list of them says; each was parsed when the settings were
// read.
func networks(list []string) []netip.Prefix {
	all := make([]netip.Prefix, 0, len(list))
	for _, text := range list {
		if p, err := netip.ParsePrefix(text); err == nil {
			all = append(all, p)
		}
	}
	return all
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

// newLogger makes the log: text for people, JSON for machines. Its level can be changed.
func newLogger(c *Config, level *slog.LevelVar, w io.Writer) *slog.Logger {
	level.Set(logLevel(c))
	options := &slog.HandlerOptions{Level: level}
	f, isFile := w.(*os.File)
	if c.LogFormat == "text" || c.LogFormat == "auto" && isFile && term.IsTerminal(int(f.Fd())) {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

func logLevel(c *Config) (level slog.Level) {
	_ = level.UnmarshalText([]byte(c.LogLevel)) // one of the allowed words
	return level
}

// screenOn is where a command for operators shows what it found: as wide as the terminal, if it is one.
func screenOn(w io.Writer) *console.Screen {
	s := &console.Screen{Out: w, Err: os.Stderr}
	if f, isFile := w.(*os.File); isFile && term.IsTerminal(int(f.Fd())) {
		s.Terminal, s.Width = true, 80
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			s.Width = width
		}
	}
	if s.Terminal && term.IsTerminal(int(os.Stdin.Fd())) {
		s.In = os.Stdin
	}
	return s
}

// chatConfig turns settings into the rooms' configuration.
func chatConfig(c *Config, tokens *token.Verifier, log *slog.Logger) chat.Config {
	build, _ := debug.ReadBuildInfo()
	cfg := chat.DefaultConfig()
	cfg.Page, cfg.Policies, cfg.Guests = page, policies(c), c.guests()
	if tokens != nil {
		cfg.Tokens = tokens
	}
	cfg.RoomsPerConnection, cfg.RecentBytes = c.MaxRooms, int64(c.RecentMemory)
	if c.MaxRooms == 0 {
		cfg.RoomsPerConnection = math.MaxInt32
	}
	cfg.MaxMessage, cfg.Logger = int(c.MaxMessage), log
	cfg.Node, cfg.Version = c.nodeName(), "throng "+ownVersion(build)
	return cfg
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
func announce(w io.Writer, cfg *Config, node *engine.Engine, kept *store, private *admin.Server) {
	for _, a := range node.Addrs() {
		host := reachable(a)
		fmt.Fprintf(w, "throng: the chat page is http://%s/ and its WebSocket ws://%s/ (other rooms: /rooms/NAME)\n", host, host)
	}
	if private != nil && private.Addr() != nil {
		fmt.Fprintf(w, "throng: metrics and health are on http://%s/\n", private.Addr())
	}
	if private != nil && private.Socket() != "" {
		fmt.Fprintf(w, "throng: operators' commands go through %s; see throng status\n", private.Socket())
	}
	fmt.Fprintf(w, "throng: %s\n", kept.describe(cfg))
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
