package main

import (
	"fmt"
	"io"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"throng/admin/console"
	"throng/bench"
)

// Config is what a server may be told. Every field is one setting with three spellings: the flag --idle-timeout, the environment variable
// THRONG_IDLE_TIMEOUT and the key idle-timeout of the YAML file; the flag wins over the environment, that over the file, that over the default here.
//
// In the tags, min and max are the bounds of what is accepted; 0, where a setting can be off, is accepted besides. A max is there so that a slip
// of the keyboard is found at the start; it is no advice. live marks what throng reload changes while the server runs.
type Config struct {
	// Listen holds addresses rather than ports, so that public and private networks can be told apart.
	Listen []string `group:"Listening" default:":8080" form:"address" help:"Address to listen on, host:port, IPv6 as [::1]:8080. Repeatable, or separated by commas."`
	// Loops are bound by CPU, not by waiting: more of them than CPUs only adds switching.
	Loops int `group:"Listening" default:"0" max:"1024" help:"Number of event loops. 0 means as many as CPUs."`
	// ReusePort is off because with it a second start by mistake would silently take half of the clients.
	ReusePort bool `group:"Listening" negatable:"" default:"false" help:"Share the port with other processes that do the same. Off by default, so that a second start by mistake is refused."`
	// Origins defends against pages of strangers that open a WebSocket in their visitor's name; programs that are no browsers send no Origin.
	Origins []string `group:"Listening" live:"" default:"same-host" form:"origin" help:"Web pages that may connect: same-host, *, null, or origins such as https://chat.example. Repeatable, or separated by commas. A request without an Origin is always accepted."`
	// ProxyProtocol is off because a header is a claim: it is for those whom a balancer stands before.
	ProxyProtocol string `group:"Listening" default:"off" enum:"off,optional,required" help:"PROXY protocol, in which a balancer names the client's address: off, optional (a connection without a header is served as what it is) or required. Versions 1 and 2, from --proxy-trust only."`
	// ProxyTrust has no default, not even private networks: who is in one could claim any address.
	ProxyTrust []string `group:"Listening" live:"" default:"" form:"network" placeholder:"NETWORK" help:"Networks of the balancers, such as 10.0.3.0/24 or 2001:db8::5. Repeatable, or separated by commas. A PROXY header from anywhere else closes the connection."`
	// Config is no setting itself, so it is no key of the file.
	Config string `group:"Listening" placeholder:"FILE" help:"YAML file of settings, one \"name: value\" a line. None by default."`

	// MaxMessage is far above what people type and far below what makes a fan-out to thousands expensive.
	MaxMessage Bytes `group:"Rooms and messages" default:"64KiB" max:"256MiB" help:"Longest message, after fragments are joined and inflated. 0 is no limit."`
	// MaxFrame is off because the message limit already bounds every frame.
	MaxFrame Bytes `group:"Rooms and messages" default:"0" max:"256MiB" help:"Longest single frame. 0 (off) leaves only the message limit."`
	// MaxFragments bounds the work that a message of empty fragments causes; at 64 bytes each a message of any allowed length passes.
	MaxFragments AutoCount `group:"Rooms and messages" default:"auto" max:"16777216" help:"Most fragments of one message. auto is one for every 64 bytes of --max-message, so 1024 by default, and never fewer; 0 is no limit."`
	// MessageRate is off because only the operator knows whether bots are welcome.
	MessageRate int `group:"Rooms and messages" live:"" default:"0" max:"1000000" help:"Messages a second and connection; who sends more is closed. 0 (off) is no limit; 20 suits people."`
	// MessageBurst is derived unless given, so that one setting is enough to turn the limit on.
	MessageBurst int `group:"Rooms and messages" live:"" default:"0" max:"10000000" help:"Messages above the rate that may come at once. 0 means five times --message-rate."`
	// ByteRate is off for the same reason; messages of any length count alike in --message-rate.
	ByteRate Bytes `group:"Rooms and messages" live:"" default:"0" max:"1GiB" help:"Bytes a second and connection, as they come from the network; who sends more is closed. 0 (off) is no limit."`
	// ByteBurst is derived unless given, like --message-burst.
	ByteBurst Bytes `group:"Rooms and messages" live:"" default:"0" min:"16KiB" max:"16GiB" help:"Bytes above the rate that may come at once, at least 16KiB. 0 means five times --byte-rate, and 64KiB at least."`
	// Compress is off because chat lines are short: the CPU is dearer than the bytes.
	Compress bool `group:"Rooms and messages" negatable:"" default:"false" help:"Offer permessage-deflate. Off by default: short messages gain little and cost CPU."`
	// CompressAbove is about where deflate starts to win over its own overhead.
	CompressAbove Bytes `group:"Rooms and messages" default:"256" max:"256MiB" help:"Shortest message that is compressed, in bytes. 0 compresses all."`

	// Record is all because a chat whose messages are gone with the next restart of a page is not what people expect; a benchmark of raw rooms wants none.
	Record string `group:"Recording" default:"all" enum:"all,none" help:"all: rooms keep their messages, in the store that this program has inside, or in --nats. none: nothing is stored, and no store starts."`
	// DataDir is by port, so that two servers of one user do not meet in it.
	DataDir string `group:"Recording" default:"auto" placeholder:"FOLDER" help:"Folder of the store inside. auto is the service's state folder under systemd, else one of this user's, by port."`
	// Sync is what a loss of power may cost; a crash of the process alone loses nothing that was acknowledged.
	Sync string `group:"Recording" default:"1s" form:"sync" help:"How often the store inside forces what was stored to the disk: a duration from 10ms to 1h, or always, before each acknowledgement. A loss of power may take what came since; the end of the process alone takes nothing."`
	// KeepMessages is more than anybody scrolls back.
	KeepMessages int `group:"Recording" default:"1000" max:"100000000" help:"Messages kept of each room, unless a policy says otherwise. 0 is no limit."`
	// KeepAge is off because --keep-messages bounds a room already.
	KeepAge time.Duration `group:"Recording" default:"0" min:"1s" max:"87600h" help:"How long messages are kept, unless a policy says otherwise. 0 is for ever."`
	// KeepBytes leaves a small disk alone; a store that is full refuses messages, and says so.
	KeepBytes Bytes `group:"Recording" default:"10GiB" min:"1MiB" max:"1024TiB" help:"Bytes kept of all rooms of one policy together; when they are reached messages are refused. 0 is no limit."`
	// RoomPolicy has a name since the store knows a policy's rooms by it.
	RoomPolicy []string `group:"Recording" default:"" form:"policy" placeholder:"POLICY" help:"What holds for some rooms: \"NAME match=PATTERN|PATTERN record=all keep-messages=1000 keep-age=720h keep-bytes=1GiB join=anyone publish=members max-members=500\". Messages are kept under NAME. A pattern is a name, or its beginning and *; inboxes begin with @. join is for anyone, users or nobody; publish for anyone, members, users or nobody. Repeatable; the first that matches holds."`
	// RecentMemory serves who comes back after a moment without the store.
	RecentMemory Bytes `group:"Recording" default:"64MiB" max:"1TiB" help:"Bytes of recent messages kept in memory, of all rooms together. 0 keeps as little as possible."`
	// NATS is the way to more than one node.
	NATS []string `group:"Recording" name:"nats" default:"" form:"nats" placeholder:"URL" help:"NATS servers, 2.11 or later with JetStream, to use instead of the store inside, such as nats://10.0.0.5:4222; nodes that share them are one chat. Repeatable, or separated by commas."`
	// NATSCreds is a file because a secret on a command line is none.
	NATSCreds string `group:"Recording" name:"nats-creds" default:"" placeholder:"FILE" help:"Credentials file for --nats."`
	// NATSCA is for clusters with a certificate of their own.
	NATSCA string `group:"Recording" name:"nats-ca" default:"" placeholder:"FILE" help:"Certificates that --nats servers are checked against, PEM. None: the system's."`
	// NATSCert goes with NATSKey.
	NATSCert string `group:"Recording" name:"nats-cert" default:"" placeholder:"FILE" help:"Own certificate for --nats, PEM; with --nats-key."`
	// NATSKey goes with NATSCert.
	NATSKey string `group:"Recording" name:"nats-key" default:"" placeholder:"FILE" help:"Key of --nats-cert, PEM."`
	// Replicas is one because one server cannot have more.
	Replicas int `group:"Recording" default:"1" max:"5" help:"On how many --nats servers each message is stored; 3 survives the loss of one. 0 is 1."`
	// Node tells nodes apart where one machine has several.
	Node string `group:"Recording" default:"auto" help:"Name of this node; those that share --nats need different ones. auto is the host's name and the port."`

	// TokenKeyFile turns tokens on.
	TokenKeyFile string `group:"Identity" default:"" placeholder:"FILE" help:"Key that tokens (JWT) are checked with: a shared secret, a public key in PEM, or a JWKS file. None: no tokens are taken, and everybody is a guest. throng reload reads it anew."`
	// TokenIssuer is checked only if it is known.
	TokenIssuer string `group:"Identity" default:"" help:"Who must have issued a token (iss). Empty: anybody with the key."`
	// TokenAudience likewise.
	TokenAudience string `group:"Identity" default:"" help:"Whom a token must be meant for (aud). Empty: anybody."`
	// Guests follows from whether there are tokens: who gives some out does not expect strangers.
	Guests string `group:"Identity" default:"auto" enum:"auto,yes,no" help:"May people come without a token. auto: yes if there is no --token-key-file."`
	// MaxRooms bounds what one connection can cost.
	MaxRooms int `group:"Identity" default:"100" max:"100000" help:"Most rooms that one connection of throng.v1 may be in. 0 is no limit."`

	// IdleTimeout is twice --ping-interval and a margin, so one lost ping evicts nobody.
	IdleTimeout time.Duration `group:"Timeouts" live:"" default:"60s" min:"1ms" max:"168h" help:"Close a connection that has been silent for this long. 0 is never."`
	// IdleCounts is frames because a browser answers pings by itself: an open page that only reads is not idle.
	IdleCounts string `group:"Timeouts" default:"frames" enum:"frames,messages" help:"What counts as life: frames (pongs too), or only whole messages."`
	// PingInterval is below the 30 s after which the most impatient of common proxies and NATs forget a silent connection.
	PingInterval time.Duration `group:"Timeouts" live:"" default:"25s" min:"1ms" max:"24h" help:"Ping a silent connection this often; below the 30s after which some NATs forget it. 0 is no pings."`
	// HandshakeTimeout is not extended by progress, or a byte at a time would hold a descriptor for ever.
	HandshakeTimeout time.Duration `group:"Timeouts" live:"" default:"5s" min:"1ms" max:"5m" help:"Time from accept to a complete upgrade request. 0 is no limit."`
	// CloseTimeout is a slow mobile round trip; after it the peer is taken for dead.
	CloseTimeout time.Duration `group:"Timeouts" live:"" default:"2s" min:"1ms" max:"5m" help:"How long a peer may take to answer a Close before TCP is ended. 0 waits for ever."`
	// WriteTimeout looks at the age of the oldest byte, so a slow reader that keeps its lag is left alone.
	WriteTimeout time.Duration `group:"Timeouts" live:"" default:"10s" min:"1ms" max:"1h" help:"How old the oldest unsent byte of a slow reader may get. 0 is no limit."`
	// TCPKeepalive is four times rarer than Go's own, which at a million connections would send 67,000 probes a second.
	TCPKeepalive time.Duration `group:"Timeouts" default:"60s" min:"1s" max:"9h" help:"TCP keepalive interval, at least 1s. 0 is off."`
	// TCPUserTimeout finds a peer without power while there is output for it.
	TCPUserTimeout time.Duration `group:"Timeouts" default:"30s" min:"1s" max:"24h" help:"How long the kernel may resend unacknowledged data before it gives the connection up; where no pings come before --tcp-keepalive, twice that at least. 0 leaves it to the kernel (about 15m)."`
	// DrainDelay is 0 because without a balancer nobody needs to notice.
	DrainDelay time.Duration `group:"Timeouts" live:"" default:"0s" min:"1ms" max:"1h" help:"On SIGTERM, go on accepting for this long while not ready, so that a balancer notices. 0 is not at all."`
	// DrainTime spreads the reconnects over what the next server can take.
	DrainTime time.Duration `group:"Timeouts" live:"" default:"10s" min:"1ms" max:"1h" help:"On SIGTERM, spread the closing of connections over this long, so that they do not all come back at once. 0 closes all at once."`

	// MaxConnections is auto because the descriptor limit is the one that hurts: reaching it would stop more than accepting.
	MaxConnections AutoCount `group:"Limits" live:"" default:"auto" max:"100000000" help:"Most connections. auto is the descriptor limit less a reserve; 0 (off) is no limit but the descriptors."`
	// Memory leaves room for the kernel's socket buffers, which are about as large as ours.
	Memory AutoBytes `group:"Limits" default:"auto" min:"16MiB" max:"64TiB" help:"Memory that the server may count on; a quarter of it bounds all logs and buffers. auto is the cgroup's limit, else three quarters of RAM; 0 is no bound."`
	// MemoryMark leaves a fifth, which is what a garbage collection and the kernel's buffers may need at once.
	MemoryMark int `group:"Limits" live:"" default:"80" max:"100" help:"Percent of --memory in use from which new clients get 503 until less is; compression ends a little below. Nobody else notices. 0 is off."`
	// MaxPerAddress is off because behind a balancer, and behind some providers, very many are one address.
	MaxPerAddress int `group:"Limits" live:"" default:"0" max:"100000000" help:"Most connections of one address. 0 (off) is no limit. Behind a balancer it needs --proxy-protocol."`
	// AddressRate is off for the same reason.
	AddressRate int `group:"Limits" live:"" default:"0" max:"1000000" help:"New connections a second of one address. 0 (off) is no limit."`
	// AddressBurst is derived unless given, like --message-burst.
	AddressBurst int `group:"Limits" live:"" default:"0" max:"10000000" help:"New connections of one address above the rate that may come at once. 0 means five times --address-rate."`
	// MaxHandshakesPerAddress holds who opens and says nothing, long before the handshake timeout does.
	MaxHandshakesPerAddress int `group:"Limits" live:"" default:"0" max:"100000000" help:"Most connections of one address that are not upgraded yet. 0 (off) is no limit."`
	// AddressPrefixV6 is what a provider gives one home at least, so it takes no more to change addresses than to have them.
	AddressPrefixV6 int `group:"Limits" name:"address-prefix-v6" default:"64" max:"128" help:"Bits of an IPv6 address that make it one address for limits. 0 is all of them."`
	// HandshakeRate is off because only a measurement on the machine tells what it can take.
	HandshakeRate int `group:"Limits" live:"" default:"0" max:"10000000" help:"Upgrades a second, of everybody together; others get 503 and Retry-After. 0 (off) is no limit."`
	// HandshakeBurst is derived unless given, like --message-burst.
	HandshakeBurst int `group:"Limits" live:"" default:"0" max:"100000000" help:"Upgrades above the rate that may come at once. 0 means five times --handshake-rate."`
	// MaxLog times the number of busy topics is what slow readers can cost.
	MaxLog Bytes `group:"Limits" default:"1MiB" max:"1GiB" help:"Bytes of a topic kept on each loop for readers that lag; who falls further behind is cut off. 0 leaves only --memory as the limit."`
	// MaxLogMessages bounds what --max-log does not: the bookkeeping of tiny messages.
	MaxLogMessages int `group:"Limits" default:"8192" max:"16777216" help:"Messages of a topic kept on each loop for readers that lag. 0 is no limit."`
	// MaxBacklog is four of the longest messages: direct sends are rare, and queueing them is a copy each.
	MaxBacklog Bytes `group:"Limits" default:"256KiB" max:"1GiB" help:"Bytes that may wait for one connection outside topics, as direct sends do. 0 is no limit."`
	// SendBuffer stops the kernel from growing each socket to several MiB for a reader that never reads.
	SendBuffer Bytes `group:"Limits" default:"128KiB" min:"4KiB" max:"64MiB" help:"Socket send buffer (SO_SNDBUF); small, so that a reader that never reads costs little. 0 leaves it to the kernel."`
	// MaxHead has room for large cookies; common proxies allow as much.
	MaxHead Bytes `group:"Limits" default:"8KiB" min:"1KiB" max:"1MiB" help:"Longest head of an upgrade request, at least 1KiB. 0 is no limit."`
	// MaxHeaders is several times what a browser sends.
	MaxHeaders int `group:"Limits" default:"64" max:"10000" help:"Most header lines of a request. 0 is no limit."`
	// MaxURI has room for a room's name, percent-encoded, and for a token of 2 to 3 KiB, which a browser can send in no other place.
	MaxURI Bytes `group:"Limits" default:"4KiB" min:"64" max:"1MiB" help:"Longest request target. 0 leaves only --max-head as the limit."`
	// MaxFramesPerTurn keeps a flood of tiny frames from holding the loop.
	MaxFramesPerTurn int `group:"Limits" default:"1024" max:"1000000" help:"Most frames handled of one connection before others have their turn. 0 is no limit."`
	// PingRate is a hundred times what a client needs that wants to be kept alive.
	PingRate int `group:"Limits" live:"" default:"10" max:"1000000" help:"Pings a second and connection; who sends more is closed. 0 is no limit."`
	// PingBurst lets a client that was frozen deliver what its timers have piled up.
	PingBurst int `group:"Limits" live:"" default:"50" max:"10000000" help:"Pings above the rate that may come at once. 0 means five times --ping-rate."`

	// Admin listens on loopback because pprof and metrics are nobody else's business.
	Admin string `group:"Private HTTP" default:"127.0.0.1:8081" form:"address" help:"Address of metrics, health, pprof and the operators' API, host:port; one that is not loopback needs --admin-key-file. Empty is off."`
	// AdminSocket is on because it is how operators change something without a key: the kernel says who they are.
	AdminSocket string `group:"Private HTTP" default:"auto" form:"socket" help:"Unix socket of the operators' API, for this user and root alone. auto is in the service's folder under systemd, else in this user's. Empty is off."`
	// AdminKeyFile has no default, since a key that everybody knows is none.
	AdminKeyFile string `group:"Private HTTP" live:"" default:"" placeholder:"FILE" help:"File with the key that whoever changes something over TCP must send; only its owner may read it. None by default: then only the socket takes changes."`
	// KeepCloses is a day of a small node, an hour of a large one, and 2 MiB.
	KeepCloses int `group:"Private HTTP" default:"10000" max:"10000000" help:"Ends of connections that are remembered for throng closes, besides a tenth as many handshakes that failed. 0 is none."`

	// LogLevel info has no line per connection.
	LogLevel string `group:"Logging" live:"" default:"info" enum:"debug,info,warn,error" help:"Least important lines to log: debug, info, warn or error."`
	// LogFormat auto serves both who reads and what collects.
	LogFormat string `group:"Logging" default:"auto" enum:"auto,text,json" help:"text, json, or auto: text on a terminal, JSON otherwise."`
}

// commands is the grammar of the command line.
type commands struct {
	Serve struct {
		Config
	} `cmd:"" default:"withargs" help:"Run the server. The default: throng --listen :80 is throng serve --listen :80."`
	CheckConfig struct {
		Config
	} `cmd:"" help:"Print the settings that serve would run with, where each comes from, and what is wrong with them."`
	console.Commands
	Bench   bench.Command `cmd:"" help:"Measure a server."`
	Version struct{}      `cmd:"" help:"Print the versions of throng, of Go and of what it stands on."`
}

// invocation is a command line that main has to act on.
type invocation struct {
	Command  string            // "serve", or another and what follows
	Config   *Config           // of serve
	Reread   func() reading    // of serve: makes out anew what its settings are
	Run      func() error      // of any other: does what was asked for
	Sources  map[string]source // where the settings that are not at their default come from, by name
	Warnings []string          // things that are allowed and probably not meant, a line each
}

// The exit codes: exitUsage is for a command line or settings that make no sense, exitWrong for a run that failed and for check-config's
// word on a configuration.
const (
	exitOK    = 0
	exitWrong = 1
	exitUsage = 2
)

// parseArgs makes out what was asked for. What it can answer itself (help, version, check-config, a mistake) it answers; then there is no
// invocation and the int is the exit code.
func parseArgs(args, environ []string, stdout, stderr io.Writer) (*invocation, int) {
	var cmds commands
	settings, helped := newSettings(environ), false
	parser := newParser(&cmds, settings, &helped, kong.Writers(stdout, stderr))
	ctx, err := parser.Parse(args)
	if helped {
		return nil, exitOK
	}
	if err != nil {
		complain(stderr, usageError(args, parser.Model.Children, err))
		return nil, exitUsage
	}

	switch ctx.Command() {
	case "version":
		info, _ := debug.ReadBuildInfo()
		_, _ = io.WriteString(stdout, versionText(info))
		return nil, exitOK
	case "check-config":
		return nil, printConfig(stdout, ctx, &cmds.CheckConfig.Config, settings)
	case "serve":
		if wrong := settings.wrong(&cmds.Serve.Config); len(wrong) > 0 {
			more := ""
			if len(wrong) > 1 {
				more = fmt.Sprintf(" (and %d more: see throng check-config)", len(wrong)-1)
			}
			complain(stderr, wrong[0]+more)
			return nil, exitUsage
		}
		warnings := append(settings.warnings, doubts(&cmds.Serve.Config)...)
		return &invocation{
			Command: "serve", Config: &cmds.Serve.Config, Reread: func() reading { return reread(args, environ) },
			Sources: settings.from, Warnings: warnings,
		}, exitOK
	}
	return &invocation{Command: ctx.Command(), Run: func() error { return ctx.Run(screenOn(stdout)) }}, exitOK
}

// newParser builds the grammar. kong exits after it has printed help; here it sets helped and goes on, to a result that nobody uses.
func newParser(cmds *commands, settings *settings, helped *bool, writers kong.Option) *kong.Kong {
	options := []kong.Option{
		kong.Name("throng"),
		kong.Description(description),
		writers,
		kong.Exit(func(int) { *helped = true }),
		kong.Help(printHelp),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 120}),
		kong.Resolvers(settings),
		kong.WithBeforeResolve(func(ctx *kong.Context) error {
			if !*helped {
				settings.load(ctx)
			}
			return nil
		}),
	}
	for _, config := range []*Config{&cmds.Serve.Config, &cmds.CheckConfig.Config} {
		for _, field := range reflect.ValueOf(config).Elem().Fields() {
			options = append(options, kong.ValueMapper(field.Addr().Interface(), settings))
		}
	}
	parser, err := kong.New(cmds, options...)
	if err != nil {
		panic(err) // the grammar is wrong, whatever the arguments
	}
	return parser
}

const description = `An instant-chat server: whoever opens a WebSocket on it hears what everybody in the same room says.

Each setting is a flag (--idle-timeout), an environment variable (THRONG_IDLE_TIMEOUT) and a key of a YAML file (idle-timeout); the flag wins over the ` +
	`environment, that over the file. What stands after = is the default. A duration is 250ms, 60s or 1m30s, a size 65536, 64KiB or 1MiB; 0 turns a limit off.`

// printHelp shows the settings of serve also to those who ask for help without naming a command.
func printHelp(options kong.HelpOptions, ctx *kong.Context) error {
	if ctx.Selected() != nil {
		return kong.DefaultHelpPrinter(options, ctx)
	}
	options.NoAppSummary = true
	fmt.Fprintf(ctx.Stdout, "Usage: throng [<command>] [<flags>]\n")
	if err := kong.DefaultHelpPrinter(options, ctx); err != nil {
		return err
	}
	serve := ctx.Model.DefaultCmd
	serve.Parent, serve.Help = nil, "" // its parent's flags and its help have just been printed
	ctx.Path = append(ctx.Path, &kong.Path{Command: serve, Flags: serve.Flags})
	return kong.DefaultHelpPrinter(options, ctx)
}

// usageError says what is wrong with a command line, in one line.
func usageError(args []string, known []*kong.Node, err error) string {
	var names []string
	for _, command := range known {
		names = append(names, command.Name)
	}
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") && !slices.Contains(names, args[0]) {
		return fmt.Sprintf("unknown command %s%s; allowed: %s", quoted(args[0]), didYouMean(args[0], names), strings.Join(names, ", "))
	}
	return err.Error() + " (see throng --help)"
}

func complain(stderr io.Writer, line string) {
	fmt.Fprintf(stderr, "throng: %s\n", oneLine(line))
}

// versionText is what throng version prints. A build without module information, such as a test's, is called (devel).
func versionText(info *debug.BuildInfo) string {
	var text strings.Builder
	fmt.Fprintf(&text, "throng %s\n%s %s/%s\n", ownVersion(info), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	for _, module := range []string{"github.com/gobwas/ws", "github.com/panjf2000/gnet/v2"} {
		if version := moduleVersion(info, module); version != "" {
			fmt.Fprintf(&text, "%s %s\n", strings.TrimPrefix(module, "github.com/"), version)
		}
	}
	return text.String()
}

// ownVersion is throng's own, with the commit that it was built from.
func ownVersion(info *debug.BuildInfo) string {
	if info == nil {
		info = &debug.BuildInfo{}
	}
	version, revision, modified := info.Main.Version, "", ""
	if version == "" {
		version = "(devel)"
	}
	for _, setting := range info.Settings {
		switch {
		case setting.Key == "vcs.revision":
			revision = " " + setting.Value[:min(12, len(setting.Value))]
		case setting.Key == "vcs.modified" && setting.Value == "true":
			modified = " modified"
		}
	}
	return version + revision + modified
}

// moduleVersion is that of a module which throng was built with, "" if it was not.
func moduleVersion(info *debug.BuildInfo, path string) string {
	if info != nil {
		for _, module := range info.Deps {
			if module.Path == path {
				return module.Version
			}
		}
	}
	return ""
}
