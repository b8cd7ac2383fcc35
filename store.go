package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"throng/admin"
	"throng/broker"
	"throng/chat"
	"throng/chat/token"
)

// store joins package broker to package chat: each has words of its own for what passes between them.
type store struct {
	*broker.Broker
	shared bool
}

var _ chat.Store = (*store)(nil)

// openStore starts the store inside, or goes to the servers of --nats, which need not be there yet. With --record none and no --nats there is none.
func openStore(c *Config, rooms *chat.Server, log *slog.Logger) (*store, error) {
	streams := rooms.Streams()
	if len(c.NATS) == 0 && len(streams) == 0 {
		return nil, nil
	}
	cfg := broker.Config{
		URLs: c.NATS, Creds: c.NATSCreds, CA: c.NATSCA, Cert: c.NATSCert, Key: c.NATSKey,
		Sync: c.syncEvery(), Node: c.nodeName(), Logger: log,
	}
	for _, p := range streams {
		cfg.Streams = append(cfg.Streams, broker.Stream{Name: p.Name, Messages: p.KeepMessages, Age: p.KeepAge, Bytes: p.KeepBytes})
	}
	what := "data-dir"
	if len(c.NATS) > 0 {
		what, cfg.Replicas = "nats", c.Replicas
	}
	if len(c.NATS) == 0 || c.DataDir != "auto" {
		dir, err := c.dataDir(os.Getenv, c.port())
		if err != nil {
			return nil, err
		}
		cfg.Dir = dir
	}
	b, err := broker.Open(context.Background(), cfg, heard{rooms})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	s := &store{b, len(c.NATS) > 0}
	rooms.UseStore(s)
	return s, nil
}

// storeCloseTime is how long the end of the process waits for messages on their way to be stored.
const storeCloseTime = 3 * time.Second

func closeStore(s *store, log *slog.Logger) {
	if s == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeCloseTime)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		log.Warn("the store did not close in time; what was acknowledged is stored all the same", slog.Any("error", err))
	}
}

// heard hands what the broker hears to the rooms.
type heard struct{ rooms *chat.Server }

// Stored implements broker.Handler, as do the others.
func (h heard) Stored(stream int, room string, m broker.Message) {
	h.rooms.Stored(stream, room, m.Seq, m.Last, m.Data)
}

func (h heard) Gapped(_ int, room string)           { h.rooms.Gapped(room) }
func (h heard) Cast(room, node string, data []byte) { h.rooms.Cast(room, node, data) }
func (h heard) Connected(is bool)                   { h.rooms.Connected(is) }
func (h heard) NodeGone(node string)                { h.rooms.NodeGone(node) }
func (h heard) NodeCame(node string)                { h.rooms.NodeCame(node) }
func (h heard) Asked(room, node string, data []byte) []byte {
	return h.rooms.Asked(room, node, data)
}

// Publish implements chat.Store, as do the others.
func (s *store) Publish(stream int, room, id string, record []byte, done func(chat.Receipt, error)) {
	s.Broker.Publish(stream, room, id, record, func(a broker.Ack, err error) {
		done(chat.Receipt{Seq: a.Seq, Duplicate: a.Duplicate}, inChat(err))
	})
}

func (s *store) Last(ctx context.Context, stream int, room string) (uint64, error) {
	m, err := s.Broker.Last(ctx, stream, room)
	return m.Seq, inChat(err)
}

func (s *store) Read(ctx context.Context, stream int, room string, after uint64, limit int) ([]chat.Stored, error) {
	list, err := s.Broker.Read(ctx, stream, room, after, limit)
	return storedOf(list), inChat(err)
}

func (s *store) ReadBefore(ctx context.Context, stream int, room string, before uint64, limit int) ([]chat.Stored, bool, error) {
	list, more, err := s.Broker.ReadBefore(ctx, stream, room, before, limit)
	return storedOf(list), more, inChat(err)
}

// Shared implements chat.Store: the store inside is this node's alone.
func (s *store) Shared() bool { return s.shared }

func storedOf(list []broker.Message) []chat.Stored {
	out := make([]chat.Stored, len(list))
	for i, m := range list {
		out[i] = chat.Stored{Seq: m.Seq, Last: m.Last, Record: m.Data}
	}
	return out
}

// inChat is a broker's error in the rooms' words.
func inChat(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, broker.ErrStoreFull):
		return chat.ErrStoreFull
	case errors.Is(err, broker.ErrTooBig):
		return chat.ErrTooBig
	case errors.Is(err, broker.ErrUnavailable), errors.Is(err, broker.ErrTimeout):
		return fmt.Errorf("%w: %w", chat.ErrUnavailable, err)
	}
	return err
}

// port is that of the first address listened on, as it was asked for.
func (c *Config) port() string {
	_, port, err := net.SplitHostPort(c.Listen[0])
	if err != nil {
		return "0"
	}
	return port
}

// nodeName resolves auto.
func (c *Config) nodeName() string {
	if c.Node != "auto" {
		return c.Node
	}
	host, _ := os.Hostname()
	return host + "-" + c.port()
}

// tokensOf reads the keys that tokens are checked with, nil if there are none.
func tokensOf(c *Config) (*token.Verifier, error) {
	if c.TokenKeyFile == "" {
		return nil, nil
	}
	v, err := token.New(token.Config{File: c.TokenKeyFile, Issuer: c.TokenIssuer, Audience: c.TokenAudience, Leeway: tokenLeeway})
	if err != nil {
		return nil, fmt.Errorf("token-key-file: %w", err)
	}
	return v, nil
}

// describe says where messages are kept.
func (s *store) describe(c *Config) string {
	switch {
	case s == nil:
		return "messages are not kept (--record none)"
	case s.shared:
		var servers []string
		for _, text := range c.NATS {
			u, err := url.Parse(text)
			if err == nil { // it was parsed when the settings were read
				servers = append(servers, u.Redacted())
			}
		}
		return "messages are kept on " + strings.Join(servers, ", ")
	}
	dir, _ := c.dataDir(os.Getenv, c.port())
	return "messages are kept in " + dir
}

// metrics tells a visitor what the broker counts.
func (s *store) metrics(v admin.Visitor) {
	st := s.Stats()
	v.Counter("throng_broker_received_total", "Stored messages that came back from the broker.", float64(st.Received))
	v.Counter("throng_broker_timeouts_total", "Publishes that the broker did not answer in time.", float64(st.Timeouts))
	v.Counter("throng_broker_slow_total", "Times that this node was too slow for the broker, which dropped messages; they are fetched from the store.", float64(st.Slow))
	v.Counter("throng_broker_reconnects_total", "Times that the connection to the broker was made anew.", float64(st.Reconnects))
	v.Counter("throng_broker_reads_total", "Reads of history from the store.", float64(st.Reads))
	v.Gauge("throng_broker_pending", "Publishes that the broker has not answered.", float64(st.Pending))
	v.Gauge("throng_broker_pending_bytes", "Bytes of these.", float64(st.PendingBytes))
	v.Gauge("throng_nodes", "Other nodes that are heard of.", float64(st.Nodes))
	ready := 0.0
	if ok, _ := s.Ready(); ok {
		ready = 1
	}
	full := 0.0
	if st.DiskFull {
		full = 1
	}
	v.Gauge("throng_store_disk_full", "1 while the disk of the store inside has so little room that messages are refused.", full)
	v.Gauge("throng_broker_ready", "1 while messages can be stored.", ready)
	for _, one := range st.Streams {
		v.Gauge("throng_store_messages", "Messages stored, by policy.", float64(one.Messages), "policy", one.Name)
		v.Gauge("throng_store_bytes", "Bytes stored, by policy.", float64(one.Bytes), "policy", one.Name)
		v.Gauge("throng_store_share", "Share of the bytes that the policy's rooms may take; at 1 messages are refused.", one.Share, "policy", one.Name)
	}
}
