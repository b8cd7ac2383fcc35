package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"throng/client"
)

// promiseSeed is what a promise's faults are drawn from; THRONG_SEED repeats one, as far as processes can be repeated.
func promiseSeed(t *testing.T) uint64 {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("THRONG_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("THRONG_SEED is %q; a number is wanted", text)
		}
		seed = n
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("again with THRONG_SEED=%d", seed)
		}
	})
	return seed
}

// promiseRounds is how many faults there are in a row: few every day, more with THRONG_LONG=1, and as many as THRONG_PROMISE says.
func promiseRounds(t *testing.T, usual int) int {
	t.Helper()
	if text := os.Getenv("THRONG_PROMISE"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("THRONG_PROMISE is %q; a number of faults in a row is wanted", text)
		}
		return n
	}
	if os.Getenv("THRONG_LONG") == "1" {
		return 5 * usual
	}
	return usual
}

// finish lets everybody say what it began to say, waits until all have been told all, reads the whole history and judges.
func (c *village) finish() {
	c.Helper()
	c.quiet.Store(true)
	done := make(chan struct{})
	go func() { c.calls.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(patience):
		c.Fatal("somebody cannot say what it has to say")
	}
	ctx, cancel := context.WithTimeout(c.ctx, patience)
	defer cancel()
	reader, err := client.Dial(ctx, client.Options{URLs: c.urls, NetDial: c.dial, BackoffBase: 50 * time.Millisecond, BackoffMax: 400 * time.Millisecond})
	if err != nil {
		c.Fatal("nobody gets in to read the history: ", err)
	}
	defer reader.Close()
	for _, room := range c.rooms {
		tr := c.trials[room]
		c.read(ctx, reader, tr)
		c.await(room, tr.history)
	}
	c.close()
	for _, room := range c.rooms {
		tr := c.trials[room]
		tr.hold(c.T)
		gaps, resumes := 0, 0
		for _, d := range tr.diaries {
			for _, j := range d.entries {
				switch j.kind {
				case missed:
					gaps++
				case resumed:
					resumes++
				}
			}
		}
		c.Logf("%s: %d in the history, %d acknowledged, %d diaries, %d resumed, %d gaps told, %d pages read", room, len(tr.history), len(tr.vouchers), len(tr.diaries), resumes, gaps, len(tr.excerpts))
	}
}

// close ends everybody's diary.
func (c *village) close() {
	for _, r := range c.villagers {
		_ = r.client.Close()
	}
	c.stop()
	for _, v := range c.vagrants {
		v.cut()
	}
	c.lives.Wait()
}

// read fetches the history of a room, from its beginning on.
func (c *village) read(ctx context.Context, reader *client.Client, t *trial) {
	c.Helper()
	query := client.HistoryQuery{FromStart: true, Limit: 1000}
	for {
		page, err := reader.History(ctx, t.room, query)
		if err != nil {
			c.Fatalf("the history of %s: %v", t.room, err)
		}
		t.epoch = page.Epoch
		for _, m := range page.Messages {
			t.history = append(t.history, line{m.Seq, m.Prev, m.User, m.Key, m.Content.String()})
			query.After = m.Seq
		}
		if !page.More {
			return
		}
	}
}

// await waits until everybody was told of the newest message; who never was is found by the judge.
func (c *village) await(room string, history []line) {
	if len(history) == 0 {
		c.Errorf("nothing is in the history of %s", room)
		return
	}
	newest := history[len(history)-1].seq
	const tellTime = 10 * time.Second
	for end := time.Now().Add(tellTime); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		behind := ""
		for _, r := range c.villagers {
			if r.place(room) < newest {
				behind = r.name
			}
		}
		for _, v := range c.vagrants {
			if v.place(room) < newest {
				behind = v.name
			}
		}
		if behind == "" {
			return
		}
	}
}

// tell logs a fault that was made.
func (c *village) tell(format string, args ...any) {
	c.Logf("%d said: %s", c.said.Load(), fmt.Sprintf(format, args...))
}
