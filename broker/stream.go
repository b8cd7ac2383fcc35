package broker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	epochKey = "throng.epoch" // in a stream's metadata

	askTimeout = 3 * time.Second // what JetStream may take to answer about a stream; it does not answer at all while it has no leader
)

// stream is one class of rooms: one stream of JetStream, in which each room is a subject.
//
//	limits   MaxMsgsPerSubject: the oldest of a room give way to its new ones
//	         MaxBytes with DiscardNew: a full stream refuses. With DiscardOld a busy room would push out the history of a quiet one
type stream struct {
	Stream
	index       int
	full        string // the name in JetStream
	storePrefix string
	roomPrefix  string

	epoch atomic.Pointer[string]
	last  atomic.Uint64 // the highest number that was seen of this epoch

	stored atomic.Uint64 // messages and bytes, as of the last look
	bytes  atomic.Uint64
}

func newStream(index int, s Stream) *stream {
	st := &stream{Stream: s, index: index, full: "throng-" + s.Name,
		storePrefix: storeSubject + s.Name + ".", roomPrefix: roomSubject + s.Name + "."}
	st.epoch.Store(new(string))
	return st
}

// saw notes a number of the stream.
func (s *stream) saw(seq uint64) {
	for {
		last := s.last.Load()
		if seq <= last || s.last.CompareAndSwap(last, seq) {
			return
		}
	}
}

// Epoch names the life of a stream within which a number means one message for ever. It is empty until the stream was reached for the first time.
func (b *Broker) Epoch(stream int) string {
	return *b.streams[stream].epoch.Load()
}

// wanted is the configuration of JetStream for a stream. What it says of nothing here is left as it is.
func (b *Broker) wanted(s *stream, is jetstream.StreamConfig) jetstream.StreamConfig {
	orNone := func(n int64) int64 {
		if n == 0 {
			return -1
		}
		return n
	}
	is.Name = s.full
	is.Description = "throng: rooms of the class " + s.Name
	is.Subjects = []string{s.storePrefix + "*"}
	is.RePublish = nil
	if b.server == nil { // the embedded one has nothing that we did not send; to send it back costs as much again as to store it
		is.RePublish = &jetstream.RePublish{Source: s.storePrefix + "*", Destination: s.roomPrefix + "{{wildcard(1)}}"}
	}
	is.Retention = jetstream.LimitsPolicy
	is.Discard = jetstream.DiscardNew
	is.DiscardNewPerSubject = false
	is.MaxMsgs = -1
	is.MaxMsgsPerSubject = orNone(int64(s.Messages))
	is.MaxAge = s.Age
	is.MaxBytes = orNone(s.Bytes)
	is.Duplicates = b.cfg.DuplicateWindow
	if s.Age > 0 {
		is.Duplicates = min(is.Duplicates, s.Age)
	}
	is.AllowDirect = true
	is.Replicas = b.cfg.Replicas
	return is
}

// differs reports whether JetStream has to be told. Only what wanted sets is compared.
func differs(a, b jetstream.StreamConfig) bool {
	return a.Description != b.Description || strings.Join(a.Subjects, " ") != strings.Join(b.Subjects, " ") ||
		!reflect.DeepEqual(a.RePublish, b.RePublish) || a.Retention != b.Retention || a.Discard != b.Discard ||
		a.DiscardNewPerSubject != b.DiscardNewPerSubject || a.MaxMsgs != b.MaxMsgs || a.MaxMsgsPerSubject != b.MaxMsgsPerSubject || a.MaxAge != b.MaxAge ||
		a.MaxBytes != b.MaxBytes || a.Duplicates != b.Duplicates || a.AllowDirect != b.AllowDirect || a.Replicas != b.Replicas ||
		!maps.Equal(a.Metadata, b.Metadata)
}

// settle brings the streams into being or up to date after a connection was made, and from then on publishing is open. Limits are changed only the first
// time in the broker's life, so that two nodes with different settings do not quarrel for ever.
func (b *Broker) settle(ctx context.Context) error {
	b.settling.Lock()
	defer b.settling.Unlock()
	session := b.session.Load()
	if err := b.main.FlushTimeout(askTimeout); err != nil { // the server knows all our subscriptions
		return fmt.Errorf("broker: %w", err)
	}
	if err := checkVersion(b.main.ConnectedServerVersion()); err != nil {
		return err
	}
	for _, s := range b.streams {
		if err := b.settleStream(ctx, s); err != nil {
			return err
		}
	}
	if err := b.mark.keep(b.positions()); err != nil {
		b.log.Error("the mark beside the store was not written", slog.Any("error", err))
		if b.server != nil {
			return err
		}
	}
	return b.enter(session)
}

// versionLeast is the first NATS server that reads many messages of a stream for one question.
var versionLeast = [2]int{2, 11}

// checkVersion says if a server is too old. What is no version is let pass.
func checkVersion(version string) error {
	var v [2]int
	if n, _ := fmt.Sscanf(version, "%d.%d", &v[0], &v[1]); n == 2 && slices.Compare(v[:], versionLeast[:]) < 0 {
		return fmt.Errorf("broker: the NATS server is version %s; %d.%d or later is needed, to read history", version, versionLeast[0], versionLeast[1])
	}
	return nil
}

// enter opens publishing, if the connection is still the one that the streams were looked at through.
func (b *Broker) enter(session uint64) error {
	b.change.Lock()
	if session != b.session.Load() {
		b.change.Unlock()
		return ErrUnavailable
	}
	b.because("")
	opened := !b.opened.Swap(true)
	if opened {
		b.handler.Connected(true)
	}
	again := opened && b.reached
	b.reached = true
	b.change.Unlock()
	if again {
		b.gapAll()
	}
	return nil
}

// positions are the streams as the mark keeps them.
func (b *Broker) positions() map[string]markStream {
	all := map[string]markStream{}
	for _, s := range b.streams {
		all[s.Name] = markStream{Epoch: *s.epoch.Load(), Last: s.last.Load()}
	}
	return all
}

func (b *Broker) settleStream(ctx context.Context, s *stream) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	first := *s.epoch.Load() == ""
	seen := s.last.Load() // before JetStream is asked, so that its answer cannot be older
	have, err := b.js.Stream(ctx, s.full)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		config := b.wanted(s, jetstream.StreamConfig{Storage: jetstream.FileStorage, Metadata: map[string]string{epochKey: rand.Text()}})
		have, err = b.js.CreateStream(ctx, config)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // by another node, a moment ago
			have, err = b.js.Stream(ctx, s.full)
		}
	}
	if err != nil {
		return fmt.Errorf("broker: the stream %s: %w", s.full, err)
	}
	info := have.CachedInfo()
	is := info.Config
	config := is
	if first {
		config = b.wanted(s, is)
	}
	config.Metadata = maps.Clone(is.Metadata)
	if config.Metadata == nil {
		config.Metadata = map[string]string{}
	}
	if why := b.epochEnded(s, info, seen, first); why != "" {
		config.Metadata[epochKey] = rand.Text()
		b.log.Warn("numbers of a stream may have been lost: it begins a new epoch", slog.String("stream", s.Name), slog.String("why", why))
	}
	if differs(is, config) {
		if have, err = b.js.UpdateStream(ctx, config); err != nil {
			return fmt.Errorf("broker: the stream %s cannot be given its settings: %w", s.full, err)
		}
		info = have.CachedInfo()
	}
	b.settled(s, info)
	return nil
}

// epochEnded says why a stream can not go on with the epoch that it has; empty if it can.
func (b *Broker) epochEnded(s *stream, info *jetstream.StreamInfo, seen uint64, first bool) string {
	epoch, last := info.Config.Metadata[epochKey], info.State.LastSeq
	switch {
	case epoch == "":
		return "it has none"
	case first && b.mark.lostPossible() && last > 0:
		return "the machine stopped without warning"
	case b.mark.setBack(s.Name, epoch, last):
		return "it ends before what was kept of it"
	case epoch == *s.epoch.Load() && last < seen:
		return "it ends before what was seen of it"
	}
	return ""
}

// settled takes over what is known of a stream.
func (b *Broker) settled(s *stream, info *jetstream.StreamInfo) {
	epoch := info.Config.Metadata[epochKey]
	before := s.epoch.Load()
	if *before != epoch {
		s.last.Store(0)
		s.epoch.Store(&epoch)
		if *before != "" {
			b.handler.Gapped(s.index, "")
		}
	}
	s.saw(info.State.LastSeq)
	s.stored.Store(info.State.Msgs)
	s.bytes.Store(info.State.Bytes)
}
