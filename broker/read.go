package broker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// readsAtOnce is for the sake of who publishes: fifty reads at once were seen to hold up a publish for more than a second.
	readsAtOnce = 2
	readTimeout = 10 * time.Second
	// readBytesMax is what one request may bring; the rest takes another.
	readBytesMax    = 4 << 20
	readMessagesMax = 1000

	directSubject = "$JS.API.DIRECT.GET."     // + stream: answered by any server that has a copy, many messages at a time
	leaderSubject = "$JS.API.STREAM.MSG.GET." // + stream: answered by the one that numbers them, one message at a time

	headerLeft = "Nats-Num-Pending"
)

// fetch is what JetStream is asked for.
type fetch struct {
	Seq       uint64   `json:"seq,omitempty"`
	Next      string   `json:"next_by_subj,omitempty"`
	Last      string   `json:"last_by_subj,omitempty"`
	MultiLast []string `json:"multi_last,omitempty"`
	UpTo      uint64   `json:"up_to_seq,omitempty"`
	Batch     int      `json:"batch,omitempty"`
	MaxBytes  int      `json:"max_bytes,omitempty"`
}

// turn waits until this read may begin; end it with done.
func (b *Broker) turn(ctx context.Context) (done func(), err error) {
	select {
	case b.turns <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-b.quit:
		return nil, ErrClosed
	}
	b.counts.reads.Add(1)
	if err := b.flushWatches(ctx); err != nil {
		<-b.turns
		return nil, err
	}
	return func() { <-b.turns }, nil
}

// flushWatches makes sure that the server knows which rooms are watched before anything is read: then what a read does not bring yet is delivered.
func (b *Broker) flushWatches(ctx context.Context) error {
	w := &b.watches
	w.mu.Lock()
	changes, flushed := w.changes, w.flushed
	w.mu.Unlock()
	if changes == flushed {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	ordered := make(chan struct{})
	b.outbox.mu.Lock()
	b.outbox.put(letter{kind: letterThen, then: ordered}, "")
	select {
	case <-ordered:
	case <-ctx.Done():
		return readError(ctx.Err())
	case <-b.quit:
		return ErrClosed
	}
	if err := b.main.FlushWithContext(ctx); err != nil {
		return readError(err)
	}
	w.mu.Lock()
	w.flushed = max(w.flushed, changes)
	w.mu.Unlock()
	return nil
}

// get asks and collects the answers: messages in ascending order, and how many more there are after them.
func (b *Broker) get(ctx context.Context, s *stream, f fetch) (messages []Message, left uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	f.MaxBytes = readBytesMax
	request, err := json.Marshal(f)
	if err != nil {
		return nil, 0, fmt.Errorf("broker: %w", err)
	}
	if !b.reads.IsConnected() {
		return nil, 0, ErrUnavailable
	}
	inbox := nats.NewInbox()
	sub, err := b.reads.SubscribeSync(inbox)
	if err != nil {
		return nil, 0, readError(err)
	}
	defer func() { _ = sub.Unsubscribe() }()             // fails only with the connection, and so does the read
	if err := sub.SetPendingLimits(-1, -1); err != nil { // readBytesMax is the limit
		return nil, 0, readError(err)
	}
	if err := b.reads.PublishRequest(directSubject+s.full, inbox, request); err != nil {
		return nil, 0, readError(err)
	}
	for {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return nil, 0, readError(err)
		}
		switch status := m.Header.Get("Status"); status {
		case "":
			one, ok := messageOf(m)
			if !ok {
				return nil, 0, errors.New("broker: the store gave a message without a number")
			}
			one.Last = 0
			if n := len(messages); n > 0 {
				one.Last = messages[n-1].Seq
			}
			messages = append(messages, one)
			left = parseSeq(header(m, headerLeft))
			if f.Batch == 0 && f.MultiLast == nil {
				return messages, 0, nil
			}
		case "204": // that was all
			return messages, parseSeq(header(m, headerLeft)), nil
		case "404":
			return messages, 0, nil
		case "503":
			return nil, 0, ErrUnavailable
		default:
			return nil, 0, fmt.Errorf("broker: the store refuses a read: %s %s", status, m.Header.Get("Description"))
		}
	}
}

// readError says in the package's words why a read failed.
func readError(err error) error {
	switch {
	case errors.Is(err, nats.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w (%w)", ErrTimeout, err)
	case errors.Is(err, context.Canceled):
		return err
	}
	return fmt.Errorf("%w (%w)", ErrUnavailable, err)
}

// Last is the newest message stored in a room; its Seq is 0 if there is none. Its Last is not looked up.
func (b *Broker) Last(ctx context.Context, stream int, room string) (Message, error) {
	done, err := b.turn(ctx)
	if err != nil {
		return Message{}, err
	}
	defer done()
	return b.last(ctx, b.streams[stream], room)
}

func (b *Broker) last(ctx context.Context, s *stream, room string) (Message, error) {
	subject := subjectOf(s.storePrefix, room)
	if b.cfg.Replicas > 1 {
		return b.leaderLast(ctx, s, subject)
	}
	messages, _, err := b.get(ctx, s, fetch{Last: subject})
	if err != nil || len(messages) == 0 {
		return Message{}, err
	}
	return messages[0], nil
}

// leaderLast asks the server that numbers the messages: others may be a moment behind, and would hide the newest.
func (b *Broker) leaderLast(ctx context.Context, s *stream, subject string) (Message, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	request, err := json.Marshal(fetch{Last: subject})
	if err != nil {
		return Message{}, fmt.Errorf("broker: %w", err)
	}
	m, err := b.reads.RequestWithContext(ctx, leaderSubject+s.full, request)
	if err != nil {
		return Message{}, readError(err)
	}
	var reply struct {
		Error   *apiError `json:"error"`
		Message struct {
			Seq  uint64    `json:"seq"`
			Time time.Time `json:"time"`
			Data []byte    `json:"data"`
		} `json:"message"`
	}
	switch err := json.Unmarshal(m.Data, &reply); {
	case err != nil:
		return Message{}, fmt.Errorf("broker: %w", err)
	case reply.Error != nil && reply.Error.Code == 404:
		return Message{}, nil
	case reply.Error != nil:
		return Message{}, reply.Error
	}
	return Message{Seq: reply.Message.Seq, Time: reply.Message.Time, Data: reply.Message.Data}, nil
}

// Read gives the messages of a room after a number, the oldest first and at most limit. Each one's Last is the number of the message that stands before it
// in the store now: that of the first is after, if nothing between them was removed, and 0 if nothing older is left.
func (b *Broker) Read(ctx context.Context, stream int, room string, after uint64, limit int) ([]Message, error) {
	done, err := b.turn(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	s := b.streams[stream]
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, 200*time.Millisecond) {
		var head uint64
		if b.cfg.Replicas > 1 { // a copy that is behind must not pass for the whole
			last, err := b.last(ctx, s, room)
			if err != nil {
				return nil, err
			}
			head = last.Seq
		}
		messages, err := b.readFrom(ctx, s, room, after+1, limit)
		if err != nil {
			return nil, err
		}
		if len(messages) < limit && (len(messages) == 0 && head > after || len(messages) > 0 && messages[len(messages)-1].Seq < head) {
			select {
			case <-time.After(wait):
				continue
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		return messages, b.lookBefore(ctx, s, room, messages)
	}
}

// readFrom collects up to limit messages from a number on.
func (b *Broker) readFrom(ctx context.Context, s *stream, room string, from uint64, limit int) ([]Message, error) {
	subject := subjectOf(s.storePrefix, room)
	var all []Message
	for len(all) < limit {
		some, left, err := b.get(ctx, s, fetch{Seq: from, Next: subject, Batch: min(limit-len(all), readMessagesMax)})
		if err != nil {
			return nil, err
		}
		if len(some) > 0 && len(all) > 0 {
			some[0].Last = all[len(all)-1].Seq
		}
		all = append(all, some...)
		if left == 0 || len(some) == 0 {
			break
		}
		from = some[len(some)-1].Seq + 1
	}
	return all, nil
}

// lookBefore finds what stands before the first of some messages.
func (b *Broker) lookBefore(ctx context.Context, s *stream, room string, messages []Message) error {
	if len(messages) == 0 || messages[0].Seq <= 1 {
		return nil
	}
	before, _, err := b.get(ctx, s, fetch{MultiLast: []string{subjectOf(s.storePrefix, room)}, UpTo: messages[0].Seq - 1})
	if err == nil && len(before) > 0 {
		messages[0].Last = before[0].Seq
	}
	return err
}

// Oldest is the number of the oldest message that is left of a room; 0 if none is.
func (b *Broker) Oldest(ctx context.Context, stream int, room string) (uint64, error) {
	done, err := b.turn(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	at, _, err := b.probe(ctx, b.streams[stream], room, 1)
	return at, err
}

// probe finds the first message of a room from a number on, and how many there are from there on; 0 and 0 if none.
func (b *Broker) probe(ctx context.Context, s *stream, room string, from uint64) (at, count uint64, err error) {
	messages, left, err := b.get(ctx, s, fetch{Seq: from, Next: subjectOf(s.storePrefix, room), Batch: 1})
	if err != nil || len(messages) == 0 {
		return 0, 0, err
	}
	return messages[0].Seq, left + 1, nil
}

// ReadBefore gives the newest messages of a room before a number (0: the newest of all), the oldest first and at most limit, and whether there are more before them.
func (b *Broker) ReadBefore(ctx context.Context, stream int, room string, before uint64, limit int) (messages []Message, more bool, err error) {
	done, err := b.turn(ctx)
	if err != nil {
		return nil, false, err
	}
	defer done()
	s := b.streams[stream]
	if before == 0 {
		last, err := b.last(ctx, s, room)
		if err != nil {
			return nil, false, err
		}
		before = last.Seq + 1
	}
	for {
		start, count, oldest, err := b.findStart(ctx, s, room, before, uint64(limit)+1)
		if err != nil || count == 0 {
			return nil, false, err
		}
		messages, err = b.readFrom(ctx, s, room, start, int(count))
		if err != nil {
			return nil, false, err
		}
		for len(messages) > 0 && messages[len(messages)-1].Seq >= before {
			messages = messages[:len(messages)-1]
		}
		if len(messages) > limit {
			return messages[len(messages)-limit:], true, nil
		}
		if start <= oldest {
			return messages, false, nil
		}
		// Some were removed since they were counted: count again.
	}
}

// findStart finds a number from which there are at least want messages before another number, and not many more. Nothing in JetStream goes backwards, but it
// counts what follows a number; so the start is guessed as if the room spoke evenly, and the guess made better with what the count says.
func (b *Broker) findStart(ctx context.Context, s *stream, room string, before, want uint64) (start, count, oldest uint64, err error) {
	// What follows is counted first: a message that is stored between the two counts then makes the inside too large, and reading a few too many is put right.
	// The other way round the newest would be left out.
	_, after, err := b.probe(ctx, s, room, before)
	if err != nil {
		return 0, 0, 0, err
	}
	oldest, all, err := b.probe(ctx, s, room, 1)
	if err != nil || oldest == 0 || oldest >= before {
		return 0, 0, 0, err
	}
	inside := all - min(after, all)
	low, lowCount := oldest, inside // from low there are too many
	high, highCount := before, uint64(0)
	target := cmp.Or(want+want/2, 1)
	for step := 1; lowCount > 2*want && high-low > 1; step++ {
		guess := low + (high-low)/2
		if step%3 != 0 { // every third step halves, so that a room that spoke in bursts does not take for ever
			guess = high - uint64(float64(high-low)*float64(target-highCount)/float64(lowCount-highCount))
			guess = max(low+1, min(guess, high-1))
		}
		at, found, err := b.probe(ctx, s, room, guess)
		if err != nil {
			return 0, 0, 0, err
		}
		found -= min(after, found)
		switch {
		case at == 0 || at >= before || found < want:
			high, highCount = guess, min(found, target)
		default:
			low, lowCount = guess, max(found, highCount+1)
		}
	}
	return low, lowCount, oldest, nil
}
