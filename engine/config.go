package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"throng/protocol"
)

// Config is what an Engine is made of. Take DefaultConfig and change what must
// differ. In every limit 0 means off.
type Config struct {
	Listen    []string // TCP addresses, host:port; IPv4 and IPv6
	Loops     int      // event loops; 0: one for each CPU the process may use
	ReusePort bool     // let several processes listen on one port

	Limits // to begin with; see Engine.SetLimits

	Proxy            ProxyMode // do connections start with a PROXY header
	AddressPrefix6   int       // bits of an IPv6 address that limits by address look at; 0: all
	Head             protocol.HeadLimits
	IdleMessagesOnly bool // only complete messages count as life, not control frames

	Decoder       protocol.DecoderConfig
	FramesPerTurn int // frames of one connection before others are served

	LogBytes    int   // bytes a topic's log keeps, per loop, for those who lag
	LogMessages int   // messages it keeps
	Backlog     int   // bytes that may wait for one connection besides topics' logs
	SendBuffer  int   // SO_SNDBUF of each socket
	Memory      int64 // bytes that all logs and buffers of the node may hold together

	Compress      bool // negotiate permessage-deflate
	CompressAbove int  // bytes from which a message is compressed

	// Ends is how many ends of connections are kept for whoever asks why one
	// was disconnected. A tenth as many are kept of failed handshakes, apart.
	Ends int

	KeepAlive   time.Duration // TCP keepalive
	UserTimeout time.Duration // TCP_USER_TIMEOUT: unacknowledged output until the kernel gives up

	Logger *slog.Logger
}

// Auto as MaxConnections means: from the descriptor limit.
const Auto = -1

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{
		Listen:         []string{":8080"},
		Limits:         defaultLimits(),
		AddressPrefix6: 64, // what a provider gives one home, at least
		Head:           protocol.DefaultHeadLimits(),
		Decoder:        protocol.DefaultDecoderConfig(),
		FramesPerTurn:  1024, // about 200 microseconds of tiny frames
		LogBytes:       1 << 20,
		LogMessages:    8192,
		Backlog:        256 << 10,
		SendBuffer:     128 << 10, // bounds what the kernel keeps for a reader that does not read
		CompressAbove:  256,       // below it the deflate block costs more than it saves
		Ends:           10_000,    // 2 MiB, once there were so many
		KeepAlive:      time.Minute,
		UserTimeout:    30 * time.Second,
	}
}

// check completes the configuration and says what is wrong with it.
func (c *Config) check() error {
	if c.Loops == 0 {
		c.Loops = runtime.GOMAXPROCS(0)
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	switch {
	case len(c.Listen) == 0:
		return errors.New("engine: no address to listen on")
	case c.Loops < 0 || c.Loops > loopsMax:
		return fmt.Errorf("engine: %d loops; allowed are 1 to %d", c.Loops, loopsMax)
	case c.AddressPrefix6 < 0 || c.AddressPrefix6 > 128:
		return fmt.Errorf("engine: a prefix of %d bits; an IPv6 address has 128", c.AddressPrefix6)
	case c.AddressPrefix6 == 0:
		c.AddressPrefix6 = 128
	}
	return c.Limits.check()
}

const (
	// loopsMax bounds the loops of one process: a typing error, not a machine.
	loopsMax = 1024
	// sliceNanos is how long a loop stays with one kind of work before its
	// sockets are served again.
	sliceNanos = 200_000
	// readBytes is what is read from a socket at once, and so the most that one
	// connection costs the others per turn.
	readBytes = 16 << 10
	// tickNanos is how often a loop looks at its wheel. A deadline is rounded up
	// to a tick and then waits for the next, so evictions are at most two ticks
	// late; 25 wake-ups a second cost an idle process nothing visible.
	tickNanos = 40_000_000
	// retryNanos is how often a loop without other work looks at its laggards: with
	// a send buffer of 128 KiB one reader then takes 12 MiB a second.
	retryNanos = 10_000_000
	// stallNanos is the age of a loop's tick from which the loop counts as
	// blocked, deadNanos the one from which it counts as dead.
	stallNanos = 1_000_000_000
	deadNanos  = 30_000_000_000
	// closingReadBytesMax is what is still read and thrown away after our Close
	// frame, so that the frame is not overtaken by an RST.
	closingReadBytesMax = 256 << 10
	// pauseDivisor: publishers pause when what a lane has not yet offered to
	// everybody exceeds this fraction of its log.
	pauseDivisor = 16
	// outrunDivisor: they also pause when more than this fraction of a log was
	// said between two looks at those who lag.
	outrunDivisor = 4
	// panicsTolerated on one code path within a minute; more, and readiness is
	// withdrawn.
	panicsTolerated = 2
)
