package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"throng/client"
)

// villager is in all rooms through package client, and stays.
type villager struct {
	*village
	name   string
	client *client.Client
	random *rand.Rand

	mu      sync.Mutex
	socket  net.Conn
	diaries map[string]*diary
	last    map[string]uint64
}

// settle brings villagers in, who speak every so often on the average, or never.
func (c *village) settle(n int, every time.Duration) {
	for range n {
		i := len(c.villagers)
		r := &villager{village: c, name: fmt.Sprintf("villager %d", i), random: c.random(100 + i), diaries: map[string]*diary{}, last: map[string]uint64{}}
		urls := append(slices.Clone(c.urls[i%len(c.urls):]), c.urls[:i%len(c.urls)]...)
		ctx, cancel := context.WithTimeout(c.ctx, patience)
		var err error
		r.client, err = client.Dial(ctx, client.Options{URLs: urls, Name: r.name, BackoffBase: 50 * time.Millisecond, BackoffMax: 400 * time.Millisecond, NetDial: r.connect, Events: 1 << 16, Heartbeat: c.heartbeat})
		if err != nil {
			c.Fatal(err)
		}
		c.villagers = append(c.villagers, r)
		for _, room := range c.rooms {
			r.diaries[room] = &diary{who: r.name, room: room, stayed: true}
			c.trials[room].diaries = append(c.trials[room].diaries, r.diaries[room])
		}
		c.lives.Go(r.listen)
		for _, room := range c.rooms {
			if _, err := r.client.Join(ctx, room, client.JoinOptions{}); err != nil {
				c.Fatal(err)
			}
		}
		cancel()
		c.Cleanup(func() { _ = r.client.Close() })
		if every > 0 {
			c.calls.Go(func() { r.speak(every) })
		}
	}
}

func (r *villager) listen() {
	for e := range r.client.Events(r.ctx) {
		var room string
		var j jotting
		switch e := e.(type) {
		case client.Joined:
			room, j = e.Room, jotting{kind: entered, epoch: e.Epoch, line: line{seq: e.Seq}}
			if e.Again {
				j.kind = resumed
			}
		case client.Message:
			room, j = e.Room, jotting{kind: listened, line: line{e.Seq, e.Prev, e.User, e.Key, e.Content.String()}}
		case client.Gap:
			room, j = e.Room, jotting{kind: missed, epoch: e.Epoch, from: e.From, to: e.To, reset: e.Reset}
		case client.Left:
			r.fault("%s was sent out of %s: %v", r.name, e.Room, e.Err)
		}
		if d := r.diaries[room]; d != nil {
			r.mu.Lock()
			d.entries = append(d.entries, j)
			if j.kind != resumed { // what it has not been told yet does not count
				r.last[room] = max(r.last[room], j.seq, j.to)
			}
			r.mu.Unlock()
		}
	}
}

// burst says several things without waiting for one to be acknowledged.
func (r *villager) burst(room, name string) {
	var receipts []*client.Receipt
	for n := range 10 {
		key := fmt.Sprintf("%s-%d", name, n)
		r.says(room, r.client.User(), key, key)
		receipt, err := r.client.Enqueue(r.ctx, room, client.Text(key), client.WithKey(key))
		if err != nil {
			r.fault("%s cannot say %s: %v", r.name, key, err)
			return
		}
		receipts = append(receipts, receipt)
	}
	for _, receipt := range receipts {
		ack, err := receipt.Wait(r.ctx)
		if err != nil {
			r.fault("%s cannot say %s: %v", r.name, receipt.Key(), err)
			return
		}
		r.vouched(room, voucher{r.name, r.client.User(), receipt.Key(), receipt.Key(), ack.Seq, ack.Duplicate})
	}
}

// connect remembers the connection, to be cut off.
func (r *villager) connect(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := r.dial(ctx, network, addr)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.socket = conn
	return conn, err
}

func (r *villager) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.socket != nil {
		_ = r.socket.Close()
	}
}

func (r *villager) place(room string) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last[room]
}

func (r *villager) speak(every time.Duration) {
	for n := 0; !r.quiet.Load(); n++ {
		room := r.rooms[r.random.IntN(len(r.rooms))]
		key, text := fmt.Sprintf("%s-%d", r.name, n), fmt.Sprintf("%s says %d", r.name, n)
		r.says(room, r.client.User(), key, text)
		ack, err := r.client.Publish(r.ctx, room, client.Text(text), client.WithKey(key))
		switch {
		case err != nil:
			r.fault("%s cannot say %s: %v", r.name, key, err)
			return
		case !ack.Stored || ack.Seq == 0:
			r.fault("%s: %s is acknowledged and not stored: %+v", r.name, key, ack)
			return
		}
		r.vouched(room, voucher{r.name, r.client.User(), key, text, ack.Seq, ack.Duplicate})
		if n%10 == 9 {
			r.burst(room, key)
		}
		if !r.pause(time.Duration(r.random.Int64N(int64(2 * every)))) {
			return
		}
	}
}
