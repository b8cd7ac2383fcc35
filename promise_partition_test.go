package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"throng/client"
)

// TestPromisePartition: nodes and the store stand on hosts of their own. The cables between a node and the store, and between people and a node, are pulled
// out without a word to either side, for moments and for longer than the nodes wait for each other.
func TestPromisePartition(t *testing.T) {
	network := newNetwork(t)
	seed := promiseSeed(t)
	c := &cluster{T: t}
	far := network.host()
	var toStore, toPeople []*cable
	var hosts []*host
	for range serverNames {
		h := network.host()
		hosts = append(hosts, h)
		toPeople, toStore = append(toPeople, network.cable(nil, h)), append(toStore, network.cable(h, far))
	}
	c.nats = startNATS(t, far, "0.0.0.0:4222")
	for i, h := range hosts {
		addr := net.JoinHostPort(toPeople[i].addrs[1], "8080")
		c.add(h, addr, "--nats", "nats://"+net.JoinHostPort(toStore[i].addrs[1], "4222"), "--node", serverNames[i], "--keep-messages", "0",
			"--admin", "")
	}
	c.reachable()
	watcher := c.watch(0, "hall")
	c.on(1, "Bob", "").join("hall", client.JoinOptions{})
	watcher.sees(patience, "Bob")

	v := newVillage(t, seed, []string{"tea", "coffee"}, c.urls...)
	v.heartbeat = time.Second
	v.settle(4, 25*time.Millisecond)
	v.wander(3, 25*time.Millisecond)
	random := rand.New(rand.NewPCG(seed, 0))
	for range promiseRounds(t, 1) {
		// One for so long that the others take its people for gone. The network's patience doubles with each try: it may take as long again to be back.
		v.tell("two is cut off from the store")
		toStore[1].unplug()
		for range 3 {
			i, which, name := 2*random.IntN(2), toStore, "the store"
			if random.IntN(3) == 0 {
				which, name = toPeople, "its people"
			}
			v.pause(time.Duration(100+random.IntN(300)) * time.Millisecond)
			v.tell("%s is cut off from %s", serverNames[i], name)
			which[i].unplug()
			v.pause(time.Duration(100+random.IntN(700)) * time.Millisecond)
			which[i].plug()
		}
		watcher.sees(2 * vanishTime)
		toStore[1].plug()
		watcher.sees(2*vanishTime, "Bob")
	}
	v.finish()
}

// reachable waits until all nodes say that they are ready.
func (c *cluster) reachable() {
	c.Helper()
	for _, n := range c.nodes {
		request := fmt.Sprintf("GET /readyz HTTP/1.1\nHost: %s\n\n", n.addrs[0])
		for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
			res, why, err := exchange(n.addrs[0], request)
			if err == nil && res.StatusCode == 200 {
				break
			}
			if time.Now().After(end) {
				c.Fatalf("%s is not ready: %s %v", n.addrs[0], why, err)
			}
		}
	}
}
