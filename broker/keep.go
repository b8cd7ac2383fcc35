package broker

import (
	"context"
	"log/slog"
	"time"
)

const (
	tickInterval = 250 * time.Millisecond
	lookInterval = 5 * time.Second // at the streams: what they hold, and whether they are the same
	retryWait    = time.Second     // after a look that failed
)

// keep looks at the streams after each connection and now and then.
func (b *Broker) keep() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stop := make(chan struct{})
	defer close(stop)
	go func() { // a call that waits for the network ends with the broker
		select {
		case <-b.quit:
			cancel()
		case <-stop:
		}
	}()
	timer := time.NewTimer(lookInterval)
	defer timer.Stop()
	for {
		select {
		case <-b.quit:
			return
		case <-b.settleNow:
		case <-timer.C:
		}
		wait := lookInterval
		if b.main.IsConnected() {
			if err := b.settle(ctx); err != nil && !b.closed.Load() {
				b.because(err.Error())
				b.log.Warn("the streams cannot be looked at", slog.Any("error", err))
				wait = retryWait
			}
		}
		timer.Reset(wait)
	}
}

// tick does what must not wait for the network: it ends what waits for too long, looks for what was dropped, and tells the other nodes that we live.
func (b *Broker) tick() {
	ticker := time.NewTicker(tickInterval)
	defer ticker.Stop()
	for {
		select {
		case <-b.quit:
			return
		case <-ticker.C:
		}
		now := b.now()
		for _, done := range b.pending.overdue(now) {
			b.counts.failed.Add(1)
			b.counts.timeouts.Add(1)
			done(Ack{}, ErrTimeout)
		}
		b.lookForDrops()
		b.tellMissed()
		b.nodes.tick(b, now)
		if b.server != nil {
			b.server.lookAtDisk(b.log)
		}
	}
}

// keepLast notes how far the streams are before the end.
func (b *Broker) keepLast(ctx context.Context) {
	if !b.opened.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	for _, s := range b.streams {
		if have, err := b.js.Stream(ctx, s.full); err == nil {
			b.settled(s, have.CachedInfo())
		}
	}
	if err := b.mark.keep(b.positions()); err != nil {
		b.log.Error("the mark beside the store was not written", slog.Any("error", err))
	}
}
