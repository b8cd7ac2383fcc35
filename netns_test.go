package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// host is a network namespace, in which processes are as on a machine of their own. nil is this machine.
type host struct {
	t    *testing.T
	name string
	net  *network
}

// network is some hosts, and cables between them.
type network struct {
	t      *testing.T
	id     string // begins the names of all that is made, so that two tests of two processes are not in each other's way
	hosts  int
	cables int
}

// newNetwork makes one, or skips the test where that cannot be done. All of it is gone with the test, also if that is ended by its timeout: the namespaces
// are then found and removed by the next.
func newNetwork(t *testing.T) *network {
	t.Helper()
	if os.Geteuid() != 0 {
		missing(t, "what it takes to be root, for network namespaces,")
	}
	installed(t, "ip")
	sweepNetworks()
	n := &network{t: t, id: fmt.Sprintf("thr%d", os.Getpid()%100_000)}
	probe := n.id + "probe"
	if out, err := exec.Command("ip", "netns", "add", probe).CombinedOutput(); err != nil {
		missing(t, fmt.Sprintf("the right to make network namespaces (%s)", strings.TrimSpace(string(out))))
	}
	defer func() { _ = exec.Command("ip", "netns", "del", probe).Run() }()
	if out, err := exec.Command("ip", "-n", probe, "link", "add", "probe0", "type", "veth", "peer", "name", "probe1").CombinedOutput(); err != nil {
		missing(t, fmt.Sprintf("the right to make network links (%s)", strings.TrimSpace(string(out))))
	}
	return n
}

// sweepNetworks removes what tests left that were killed: namespaces whose process is gone.
func sweepNetworks() {
	out, _ := exec.Command("ip", "netns", "list").Output()
	for line := range strings.Lines(string(out)) {
		var pid int
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if _, err := fmt.Sscanf(name, "thr%dx", &pid); err != nil {
			continue
		}
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err != nil {
			_ = exec.Command("ip", "netns", "del", name).Run()
		}
	}
}

// ip runs a command of iproute2.
func (n *network) ip(args ...string) {
	n.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		n.t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// host makes one.
func (n *network) host() *host {
	n.t.Helper()
	h := &host{n.t, fmt.Sprintf("thr%dxh%d", os.Getpid(), n.hosts), n}
	n.hosts++
	n.ip("netns", "add", h.name)
	n.t.Cleanup(func() { n.ip("netns", "del", h.name) }) // and its ends of cables with it
	n.ip("-n", h.name, "link", "set", "lo", "up")
	return h
}

// on has a command run on the host.
func (h *host) on(cmd *exec.Cmd) *exec.Cmd {
	if h == nil {
		return cmd
	}
	inside := exec.Command("ip", append([]string{"netns", "exec", h.name}, cmd.Args...)...)
	inside.Env, inside.SysProcAttr = cmd.Env, cmd.SysProcAttr
	return inside
}

// cable joins two hosts. Each end has an address.
type cable struct {
	net   *network
	a, b  *host
	names [2]string
	addrs [2]string
}

// cable makes one. A nil host is this machine.
func (n *network) cable(a, b *host) *cable {
	n.t.Helper()
	i := n.cables
	n.cables++
	c := &cable{net: n, a: a, b: b}
	// 198.18.0.0/15 is for such purposes (RFC 2544). Four addresses for each cable, of a block for each process.
	block := os.Getpid() % 2048
	for end := range 2 {
		c.names[end] = fmt.Sprintf("%s%c%d", n.id, 'a'+rune(end), i)
		c.addrs[end] = fmt.Sprintf("198.%d.%d.%d", 18+block>>10, block>>2&255, (block&3)<<6+4*i+1+end)
	}
	n.ip("link", "add", c.names[0], "type", "veth", "peer", "name", c.names[1])
	n.t.Cleanup(func() { _ = exec.Command("ip", "link", "del", c.names[0]).Run() }) // unless it went with its host
	for end, h := range []*host{a, b} {
		if h != nil {
			n.ip("link", "set", c.names[end], "netns", h.name)
		}
		n.ip(h.args("addr", "add", c.addrs[end]+"/30", "dev", c.names[end])...)
		n.ip(h.args("link", "set", c.names[end], "up")...)
	}
	return c
}

// args are those of an ip command on the host.
func (h *host) args(args ...string) []string {
	if h == nil {
		return args
	}
	return append([]string{"-n", h.name}, args...)
}

// unplug cuts the cable, without a word to either side; plug mends it.
func (c *cable) unplug() { c.net.ip(c.b.args("link", "set", c.names[1], "down")...) }

func (c *cable) plug() { c.net.ip(c.b.args("link", "set", c.names[1], "up")...) }
