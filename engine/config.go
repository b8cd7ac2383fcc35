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

	// MaxConnections is the ceiling. Auto takes what the descriptor limit
	// leaves after a reserve for the server's own files.
	MaxConnections int

	Head             protocol.HeadLimits
	Origins          protocol.Origins
	HandshakeTimeout time.Duration // from accept to the complete request, not extended by progress
	IdleTimeout      time.Duration // silence of a client until it is closed with 4408
	IdleMessagesOnly bool          // only complete messages count as life, not control frames
	PingInterval     time.Duration // silence of a client until it is pinged, and between pings
	CloseTimeout     time.Duration // from our Close frame until TCP is ended by us
	WriteTimeout     time.Duration // age of the oldest unsent byte at which a reader is cut off

	Decoder       protocol.DecoderConfig
	FramesPerTurn int     // frames of one connection before others are served
	MessageRate   float64 // messages per second and connection
	MessageBurst  int     // messages that may come at once when MessageRate is on
	PingRate      float64 // pings per second and connection
	PingBurst     int

	LogBytes    int   // bytes a topic's log keeps, per loop, for those who lag
	LogMessages int   // messages it keeps
	Backlog     int   // bytes that may wait for one connection besides topics' logs
	SendBuffer  int   // SO_SNDBUF of each socket
	Memory      int64 // bytes that all logs and buffers of the node may hold together

	Compress      bool // negotiate permessage-deflate
	CompressAbove int  // bytes from which a message is compressed

	KeepAlive   time.Duration // TCP keepalive
	UserTimeout time.Duration // TCP_USER_TIMEOUT: unacknowledged output until the kernel gives up

	Logger *slog.Logger
}

// Auto as MaxConnections means: from the descriptor limit.
const Auto = -1

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{
		Listen:           []string{":8080"},
		MaxConnections:   Auto,
		Head:             protocol.DefaultHeadLimits(),
		HandshakeTimeout: 5 * time.Second,  // a phone on a bad link needs 2; an attacker gets no more
		IdleTimeout:      60 * time.Second, // twice a ping and its answer
		PingInterval:     25 * time.Second, // below the 30 s after which some NATs forget a flow
		CloseTimeout:     2 * time.Second,
		WriteTimeout:     10 * time.Second,
		Decoder:          protocol.DefaultDecoderConfig(),
		FramesPerTurn:    1024, // about 200 microseconds of tiny frames
		PingRate:         10,
		PingBurst:        50,
		LogBytes:         1 << 20,
		LogMessages:      8192,
		Backlog:          256 << 10,
		SendBuffer:       128 << 10, // bounds what the kernel keeps for a reader that does not read
		CompressAbove:    256,       // below it the deflate block costs more than it saves
		KeepAlive:        time.Minute,
		UserTimeout:      30 * time.Second,
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
	}
	if c.MessageRate > 0 && c.MessageBurst == 0 {
		c.MessageBurst = max(1, int(5*c.MessageRate))
	}
	if c.PingRate > 0 && c.PingBurst == 0 {
		c.PingBurst = max(1, int(5*c.PingRate))
	}
	return nil
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
