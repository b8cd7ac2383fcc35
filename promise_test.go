package main

import (
	"math/rand/v2"
	"syscall"
	"testing"
	"time"
)

// The tests of this file keep throng to its word, with processes that are killed while people speak: what was acknowledged is stored, everybody sees a
// room's messages in one order without gaps or repeats or is told what is missing, and nothing is stored twice.

// promiseNode is a node that comes back on the same address.
type promiseNode struct {
	*node
	t    *testing.T
	host *host
	args []string
}

func startPromiseNode(t *testing.T, h *host, addr string, args ...string) *promiseNode {
	t.Helper()
	p := &promiseNode{t: t, host: h, args: withDefaults(t, append([]string{"--listen", addr}, args...))}
	p.start()
	return p
}

func (p *promiseNode) start() {
	p.t.Helper()
	p.node = start(p.t, p.host.on(command(nil, p.args...)))
}

// kill is the end of the power for this process.
func (p *promiseNode) kill() {
	p.t.Helper()
	if p.running() {
		p.signal(syscall.SIGKILL)
		<-p.exited
	}
}

// TestPromiseOneNode: a node with the store inside is killed and started again, over and over, while people speak and listen.
func TestPromiseOneNode(t *testing.T) {
	seed := promiseSeed(t)
	addr := freeAddresses(t, 1)[0]
	n := startPromiseNode(t, nil, addr, "--keep-messages", "0")
	c := newVillage(t, seed, []string{"tea", "coffee"}, "ws://"+addr+"/")
	c.settle(4, 20*time.Millisecond)
	c.wander(3, 20*time.Millisecond)
	random := rand.New(rand.NewPCG(seed, 0))
	for range promiseRounds(t, 3) {
		c.pause(time.Duration(200+random.IntN(500)) * time.Millisecond)
		c.tell("killing the node")
		n.kill()
		c.pause(time.Duration(random.IntN(300)) * time.Millisecond)
		n.start()
	}
	c.pause(500 * time.Millisecond)
	c.finish()
}

// TestPromiseForgetful: likewise, but of each room little is kept, so that who was away for a while has missed something and is told so.
func TestPromiseForgetful(t *testing.T) {
	seed := promiseSeed(t)
	addr := freeAddresses(t, 1)[0]
	n := startPromiseNode(t, nil, addr, "--keep-messages", "15")
	c := newVillage(t, seed, []string{"tea"}, "ws://"+addr+"/")
	c.trials["tea"].trimmed = true
	c.settle(3, 5*time.Millisecond)
	c.wander(3, 20*time.Millisecond)
	random := rand.New(rand.NewPCG(seed, 0))
	for i := range promiseRounds(t, 4) {
		c.pause(time.Duration(300+random.IntN(300)) * time.Millisecond)
		if i%2 == 0 {
			c.tell("killing the node")
			n.kill()
			n.start()
			continue
		}
		c.tell("cutting everybody who wanders")
		for _, v := range c.vagrants {
			v.cut()
		}
	}
	c.pause(500 * time.Millisecond)
	c.finish()
}

// TestPromiseThreeNodes: three nodes behind HAProxy share a store. Nodes are killed, the store is killed and stands still, people are cut off.
func TestPromiseThreeNodes(t *testing.T) {
	seed := promiseSeed(t)
	addrs := freeAddresses(t, len(serverNames)+1)
	store := startNATS(t, nil, addrs[len(serverNames)])
	var nodes []*promiseNode
	for i, addr := range addrs[:len(serverNames)] {
		nodes = append(nodes, startPromiseNode(t, nil, addr, "--config", "deploy/throng.yaml", "--nats", store.url(), "--node", serverNames[i], "--keep-messages", "0",
			"--message-rate", "0", "--byte-rate", "0", "--address-rate", "0", "--drain-delay", "0s", "--drain-time", "500ms"))
	}
	b := startHAProxy(t, addrs[:len(serverNames)])
	for _, name := range serverNames {
		b.becomes(name, "UP")
	}
	c := newVillage(t, seed, []string{"tea", "coffee"}, "ws://"+b.addr+"/")
	c.settle(6, 25*time.Millisecond)
	c.wander(4, 25*time.Millisecond)
	random := rand.New(rand.NewPCG(seed, 0))
	var troubles []func()
	for range promiseRounds(t, 6) {
		if len(troubles) == 0 {
			troubles = shuffled(random, c.killNode(random, nodes), c.killStore(random, store), c.freezeStore(random, store), c.cutPeople(random), c.freezeNode(random, nodes), c.restartNode(random, nodes))
		}
		c.pause(time.Duration(100+random.IntN(400)) * time.Millisecond)
		troubles[0]()
		troubles = troubles[1:]
	}
	c.pause(500 * time.Millisecond)
	c.finish()
}

func shuffled[T any](random *rand.Rand, list ...T) []T {
	random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

func (c *village) killNode(random *rand.Rand, nodes []*promiseNode) func() {
	return func() {
		n := nodes[random.IntN(len(nodes))]
		c.tell("killing a node")
		n.kill()
		c.pause(time.Duration(random.IntN(300)) * time.Millisecond)
		n.start()
	}
}

func (c *village) freezeNode(random *rand.Rand, nodes []*promiseNode) func() {
	return func() {
		c.tell("a node stands still")
		p := nodes[random.IntN(len(nodes))].cmd.Process
		freeze(c.T, p)
		c.pause(time.Duration(random.IntN(1500)) * time.Millisecond)
		_ = p.Signal(syscall.SIGCONT)
	}
}

// restartNode is what an operator does.
func (c *village) restartNode(random *rand.Rand, nodes []*promiseNode) func() {
	return func() {
		n := nodes[random.IntN(len(nodes))]
		c.tell("restarting a node")
		n.signal(syscall.SIGTERM)
		if code := n.exit(); code != exitOK {
			c.Errorf("the node ends with %d", code)
		}
		n.start()
	}
}

func (c *village) killStore(random *rand.Rand, store *nats) func() {
	return func() {
		c.tell("killing the store")
		store.kill()
		c.pause(time.Duration(random.IntN(1000)) * time.Millisecond)
		store.start()
	}
}

func (c *village) freezeStore(random *rand.Rand, store *nats) func() {
	return func() {
		c.tell("the store stands still")
		store.freeze()
		c.pause(time.Duration(random.IntN(1000)) * time.Millisecond)
		if random.IntN(2) == 0 {
			c.tell("and is killed")
			store.kill()
			store.start()
			return
		}
		store.thaw()
	}
}

// cutPeople cuts the connections of all who wander, and of those who do not, as a node does that dies.
func (c *village) cutPeople(*rand.Rand) func() {
	return func() {
		c.tell("cutting people off")
		for _, v := range c.vagrants {
			v.cut()
		}
		for _, v := range c.villagers {
			v.cut()
		}
	}
}
