package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"time"
)

// Options say who connects to where. Only a URL is needed.
type Options struct {
	// URL is the server: ws:// or wss://, with any path that the server takes; "/" will do.
	URL string
	// URLs are more of them, of the same cluster. The next one is tried whenever a connection failed or ended.
	URLs []string

	// Name is the name that a guest would like to have; the server may give another.
	Name string
	// Session makes a guest the same user as before. Empty: a new guest, whose session is kept while the client lives; see [Client.Session].
	Session string
	// Token returns a JWT. It is asked anew, on a goroutine of its own, for each connection, and when the server warns that the
	// token expires. Its error counts as a failure to connect. nil: a guest.
	Token func() (string, error)

	// Pending bounds the messages that wait for their acknowledgement. 0: 1,024.
	Pending int
	// Events bounds the events that nobody has taken yet. 0: 1,024; they may be 4 MiB of content as well.
	Events int
	// FrameMax bounds what the server may send at once, in bytes. 0: 16 MiB. A history of many long messages may need more.
	FrameMax int

	// BackoffBase is the bound of the wait after a first failure. It doubles up to BackoffMax; the wait is drawn from all that
	// is below the bound, so that those who were thrown out together do not come back together. 0: 1 s and 30 s.
	BackoffBase, BackoffMax time.Duration
	// Handshake bounds connecting: name, TCP, TLS, upgrade, and the server's welcome. 0: 15 s.
	Handshake time.Duration
	// Heartbeat is used instead of the one that the server asks for. 0: the server's.
	Heartbeat time.Duration

	// TLS is for wss://. nil: the usual.
	TLS *tls.Config
	// NetDial opens the TCP connection. nil: net.Dialer.
	NetDial func(ctx context.Context, network, address string) (net.Conn, error)

	random func() float64 // for tests
}

// The client's own bounds. Those in Options are what may want another value.
const (
	pendingMax       = 1024
	eventsMax        = 1024
	eventBytesMax    = 4 << 20
	frameBytesMax    = 16 << 20
	backoffBase      = time.Second
	backoffMax       = 30 * time.Second
	handshakeMax     = 15 * time.Second
	heartbeatDefault = 30 * time.Second
	heartbeatMax     = 10 * time.Minute      // what is believed of a server
	heartbeatMin     = 10 * time.Millisecond // so that a server's mistake is no flood

	handshakeBytesMax = 64 << 10         // the server's answer
	pendingBytesMax   = 16 << 20         // of all messages that wait for their acknowledgement
	inFlightMax       = 64               // of them, sent at the same time: what the server gets at once after a reconnect
	turnMax           = 10 * time.Minute // the wait that a server asks for is believed up to here
	stableAfter       = 5 * time.Second  // a connection that stood this long ends the row of failures
	fastPause         = 2 * time.Second  // more for who said too much too quickly
	farewellMax       = time.Second      // for the Close frame and its answer
	heldMax           = 256              // messages of a room that wait for what is missing before them
	heldBytesMax      = 4 << 20
	fetchSize         = 100 // messages asked for at once when some are missing
	overrunFactor     = 8   // the queue of events, while a request waits
	behindAfter       = 10 * time.Second
)

// settle checks the options and puts the defaults in.
func (o *Options) settle() error {
	urls := slices.Clone(o.URLs)
	if o.URL != "" {
		urls = slices.Insert(urls, 0, o.URL)
	}
	o.URLs = urls
	if len(o.URLs) == 0 {
		return errors.New("throng: no URL")
	}
	for _, text := range o.URLs {
		u, err := url.Parse(text)
		if err != nil {
			return fmt.Errorf("throng: %w", err)
		}
		if u.Scheme != "ws" && u.Scheme != "wss" || u.Host == "" {
			return fmt.Errorf("throng: %s is no address of a WebSocket: ws:// or wss:// and a host are needed", u.Redacted())
		}
	}
	for _, n := range []*int{&o.Pending, &o.Events, &o.FrameMax} {
		if *n < 0 {
			return fmt.Errorf("throng: a bound of %d", *n)
		}
	}
	for _, d := range []time.Duration{o.BackoffBase, o.BackoffMax, o.Handshake, o.Heartbeat} {
		if d < 0 {
			return fmt.Errorf("throng: a time of %s", d)
		}
	}
	put(&o.Pending, pendingMax)
	put(&o.Events, eventsMax)
	put(&o.FrameMax, frameBytesMax)
	put(&o.BackoffBase, backoffBase)
	put(&o.BackoffMax, backoffMax)
	put(&o.Handshake, handshakeMax)
	if o.random == nil {
		o.random = rand.Float64
	}
	return nil
}

// put gives a setting that was not set its default.
func put[T int | time.Duration](setting *T, value T) {
	if *setting == 0 {
		*setting = value
	}
}

// backoff is the wait after so many failures in a row.
func (o *Options) backoff(failures int) time.Duration {
	bound := o.BackoffMax
	if failures < 30 { // beyond it doubles past what a duration holds
		bound = min(bound, o.BackoffBase<<failures)
	}
	return time.Duration(o.random() * float64(bound))
}
