package main

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"throng/client"
)

// cluster is a NATS server and nodes that share it.
type cluster struct {
	*testing.T
	nats  *nats
	nodes []*promiseNode
	urls  []string
}

func startCluster(t *testing.T, n int, args ...string) *cluster {
	t.Helper()
	addrs := freeAddresses(t, n+1)
	c := &cluster{T: t, nats: startNATS(t, nil, addrs[n])}
	for i, addr := range addrs[:n] {
		c.add(nil, addr, append([]string{"--nats", c.nats.url(), "--node", serverNames[i]}, args...)...)
	}
	c.ready(c.nodes...)
	return c
}

func (c *cluster) add(h *host, addr string, args ...string) {
	c.Helper()
	c.nodes = append(c.nodes, startPromiseNode(c.T, h, addr, args...))
	c.urls = append(c.urls, "ws://"+addr+"/")
}

// ready waits until messages can be stored, and each node knows the others.
func (c *cluster) ready(nodes ...*promiseNode) {
	c.Helper()
	for _, n := range nodes {
		n.until("ready", func(f figures) bool {
			return f["throng_broker_ready"] == 1 && f["throng_nodes"] == float64(len(c.nodes)-1)
		})
	}
}

// device is a client on one node of a cluster.
type device struct {
	*testing.T
	*client.Client
	events  chan client.Event
	leaving atomic.Bool // it does not connect again
}

// on connects somebody to a node. A session makes it the same guest as before.
func (c *cluster) on(node int, name, session string) *device {
	c.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	d := &device{T: c.T, events: make(chan client.Event, 1<<12)}
	options := client.Options{URL: c.urls[node], Name: name, Session: session, BackoffBase: 50 * time.Millisecond, BackoffMax: 400 * time.Millisecond}
	options.NetDial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if d.leaving.Load() {
			return nil, errUnreached
		}
		return (&net.Dialer{Timeout: dialTime}).DialContext(ctx, network, addr)
	}
	k, err := client.Dial(ctx, options)
	if err != nil {
		c.Fatal(err)
	}
	d.Client = k
	done := make(chan struct{})
	go func() {
		defer close(done)
		for e := range k.Events(context.Background()) {
			d.events <- e
		}
	}()
	c.Cleanup(func() { _ = k.Close(); <-done })
	return d
}

func (d *device) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	d.Cleanup(cancel)
	return ctx
}

func (d *device) join(room string, options client.JoinOptions) *client.Room {
	d.Helper()
	r, err := d.Join(d.ctx(), room, options)
	if err != nil {
		d.Fatal(err)
	}
	return r
}

func (d *device) say(room, key, text string) client.Ack {
	d.Helper()
	ack, err := d.Publish(d.ctx(), room, client.Text(text), client.WithKey(key))
	if err != nil {
		d.Fatal(err)
	}
	return ack
}

// await takes events until one is what is wanted.
func await[E client.Event](d *device, what string, is func(E) bool) E {
	d.Helper()
	late := time.After(patience)
	for {
		select {
		case e := <-d.events:
			if wanted, ok := e.(E); ok && is(wanted) {
				return wanted
			}
		case <-late:
			d.Fatalf("never: %s", what)
		}
	}
}

// hears waits for the next message of a room, which has to be this one.
func (d *device) hears(room, text string) client.Message {
	d.Helper()
	m := await(d, text+" in "+room, func(m client.Message) bool { return m.Room == room })
	if m.Content.String() != text {
		d.Fatalf("heard %q in %s, want %q", m.Content, room, text)
	}
	return m
}

// together waits until each node that has people in a room has the same count of them all.
func (c *cluster) together(rooms ...string) {
	c.Helper()
	for _, room := range rooms {
		for i := range c.nodes {
			c.sees(i, room, patience, func(m client.Members) bool { return m.Count == 3 })
		}
	}
}

// sees asks a node who is in a room until the answer is as wanted.
func (c *cluster) sees(node int, room string, within time.Duration, right func(client.Members) bool) time.Duration {
	c.Helper()
	d := c.on(node, "looker", "")
	defer d.Close()
	began := time.Now()
	for {
		m, err := d.Members(d.ctx(), room)
		if err == nil && right(m) {
			return time.Since(began)
		}
		if time.Since(began) > within {
			c.Fatalf("%s has %+v in %s after %v (%v)", serverNames[node], m, room, within, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
