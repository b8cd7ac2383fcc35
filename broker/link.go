package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	reconnectWait   = 250 * time.Millisecond // with as much jitter, so that nodes do not come back in step
	connectTimeout  = 2 * time.Second
	flushTimeout    = 5 * time.Second // of a write that the network does not take
	pingInterval    = 5 * time.Second // a peer that is gone without a word is noticed after two of them
	pingsUnanswered = 2
)

// connect makes the two connections. Reads have one of their own, since the server answers a long one before it looks at what comes after it.
func (b *Broker) connect() (err error) {
	common, err := b.options()
	if err != nil {
		return err
	}
	b.main, err = b.dial(append(common, nats.Name("throng-"+b.cfg.Node),
		nats.ConnectHandler(func(*nats.Conn) { ring(b.settleNow) }),
		nats.ReconnectHandler(func(*nats.Conn) { b.counts.reconnects.Add(1); ring(b.settleNow) }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { b.lost(err) }),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { b.notYet(err) }),
		nats.ErrorHandler(b.troubled)))
	if err != nil {
		return err
	}
	b.reads, err = b.dial(append(common, nats.Name("throng-"+b.cfg.Node+"-reads"), nats.ErrorHandler(b.troubled),
		nats.SyncQueueLen(readMessagesMax+8))) // each read makes a queue, by default of half a megabyte; what follows the messages has room too
	if err != nil {
		return err
	}
	b.js, err = jetstream.New(b.main)
	return err
}

func (b *Broker) dial(options []nats.Option) (*nats.Conn, error) {
	all := nats.GetDefaultOptions()
	for _, set := range options {
		if err := set(&all); err != nil {
			return nil, fmt.Errorf("broker: %w", err)
		}
	}
	all.Servers = b.cfg.URLs
	b.running.Add(1) // until its last callback
	all.ClosedCB = func(*nats.Conn) { b.running.Done() }
	conn, err := all.Connect()
	if err != nil {
		b.running.Done()
		return nil, fmt.Errorf("broker: connecting to NATS: %w", err)
	}
	return conn, nil
}

// options are what both connections have in common. Nothing is kept for a connection that is away: what was acknowledged must have been stored, and
// what was refused must not be sent minutes later.
func (b *Broker) options() ([]nats.Option, error) {
	options := []nats.Option{
		nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWait), nats.ReconnectJitter(reconnectWait, reconnectWait), nats.ReconnectBufSize(-1),
		nats.Timeout(connectTimeout), nats.FlusherTimeout(flushTimeout), nats.PingInterval(pingInterval), nats.MaxPingsOutstanding(pingsUnanswered),
		nats.NoEcho(), nats.IgnoreAuthErrorAbort(), nats.SkipSubjectValidation(),
	}
	if b.server != nil {
		return append(options, nats.InProcessServer(b.server.nats)), nil
	}
	options = append(options, nats.RetryOnFailedConnect(true))
	for _, file := range []string{b.cfg.Creds, b.cfg.CA, b.cfg.Cert, b.cfg.Key} {
		if file == "" {
			continue
		}
		if _, err := os.Stat(file); err != nil {
			return nil, fmt.Errorf("broker: %w", err)
		}
	}
	if b.cfg.Creds != "" {
		options = append(options, nats.UserCredentials(b.cfg.Creds))
	}
	if b.cfg.CA != "" {
		options = append(options, nats.RootCAs(b.cfg.CA))
	}
	if b.cfg.Cert != "" {
		options = append(options, nats.ClientCert(b.cfg.Cert, b.cfg.Key))
	}
	return options, nil
}

// lost is the end of the main connection. What waits for its acknowledgement is refused at once: the answer, if there is one, went to a subscription
// that is gone.
func (b *Broker) lost(err error) {
	b.change.Lock()
	b.session.Add(1)
	if b.opened.Swap(false) {
		b.handler.Connected(false)
	}
	b.change.Unlock()
	reason := "the connection to the store is lost"
	if err != nil {
		reason += ": " + err.Error()
	}
	b.because(reason)
	for _, done := range b.pending.all() {
		b.counts.failed.Add(1)
		done(Ack{}, ErrUnavailable)
	}
	if !b.closed.Load() {
		b.log.Warn("connection to NATS lost", slog.String("why", reason))
	}
}

// notYet is a try to connect that failed. It is logged when the reason is another than before.
func (b *Broker) notYet(err error) {
	reason := "NATS cannot be reached: " + err.Error()
	if before := *b.reason.Load(); before != reason && !b.closed.Load() {
		b.because(reason)
		b.log.Warn("no connection to NATS yet", slog.Any("error", err))
	}
}

// troubled is what nats.go reports beside the calls.
func (b *Broker) troubled(_ *nats.Conn, sub *nats.Subscription, err error) {
	if errors.Is(err, nats.ErrSlowConsumer) && sub != nil {
		b.counts.slow.Add(1)
		b.watches.fellBehind(sub)
		return // the tick says so to the handler, and once to the log
	}
	if b.closed.Load() {
		return
	}
	subject := ""
	if sub != nil {
		subject = sub.Subject
	}
	if !b.opened.Load() {
		b.because("NATS: " + err.Error())
	}
	b.log.Warn("NATS", slog.Any("error", err), slog.String("subject", subject))
}
