package main

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// village is the people of a promise: villagers use package client, vagrants speak throng.v1 by hand, so that a fault of our client is told from one of the
// server. All write down what they are told.
type village struct {
	*testing.T
	seed  uint64
	urls  []string // of the nodes, or of a balancer
	rooms []string
	hello string          // sent before anything else: a PROXY header, as a balancer sends it
	ctx   context.Context // ends with the test
	stop  context.CancelFunc

	heartbeat time.Duration  // of villagers; 0: what the server asks for
	quiet     atomic.Bool    // nobody begins to say something any more
	calls     sync.WaitGroup // of those who speak
	lives     sync.WaitGroup

	mu        sync.Mutex
	trials    map[string]*trial
	villagers []*villager
	vagrants  []*vagrant
	said      atomic.Int64
}

func newVillage(t *testing.T, seed uint64, rooms []string, urls ...string) *village {
	ctx, cancel := context.WithCancel(context.Background())
	c := &village{T: t, seed: seed, urls: urls, rooms: rooms, ctx: ctx, stop: cancel, trials: map[string]*trial{}}
	for _, room := range rooms {
		c.trials[room] = &trial{room: room, sent: map[string]string{}}
	}
	t.Cleanup(func() {
		cancel()
		for _, v := range c.vagrants {
			v.cut()
		}
		c.lives.Wait()
	})
	return c
}

// random has its own numbers for each who needs some.
func (c *village) random(i int) *rand.Rand { return rand.New(rand.NewPCG(c.seed, uint64(i))) }

// says notes what somebody is about to say.
func (c *village) says(room, user, key, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trials[room].sent[sentBy(user, key)] = text
}

// vouched notes an acknowledgement.
func (c *village) vouched(room string, v voucher) {
	c.said.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trials[room].vouchers = append(c.trials[room].vouchers, v)
}

// fault is something that should not be, at the time at which it was seen.
func (c *village) fault(format string, args ...any) {
	if c.ctx.Err() == nil {
		c.Errorf(format, args...)
	}
}

// dial connects people to nodes.
func (c *village) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: dialTime}).DialContext(ctx, network, addr)
	if err == nil && c.hello != "" {
		_, err = io.WriteString(conn, c.hello)
	}
	return conn, err
}

// dialTime is short, since a network that is cut does not even refuse.
const dialTime = time.Second

// pause waits, and reports false if the test is over.
func (c *village) pause(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-c.ctx.Done():
		return false
	}
}
