package bench

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
)

// PreflightCmd says what on this machine stands in the way of a run, and starts none.
type PreflightCmd struct {
	Conns   int      `help:"Connections that the run would hold." default:"1000000"`
	URL     []string `name:"url" help:"Server, as ws://HOST:PORT/PATH; more of them are more addresses. Default: on this machine." placeholder:"URL"`
	Source  []string `help:"Addresses that the connections come from. Default: on loopback as many as it takes, else one." placeholder:"CIDR"`
	Workers int      `help:"Client processes; 0: as many as the descriptors demand." default:"0"`
	Churn   int      `help:"Connections a second that end and are replaced." default:"0"`
}

// Run prints the obstacles. It fails when one of them stops the run, so that a script can ask.
func (c *PreflightCmd) Run() error {
	const connsMax = 1 << 30
	switch {
	case c.Conns < 1 || c.Conns > connsMax:
		return fmt.Errorf("--conns %d: want 1 to %d", c.Conns, connsMax)
	case c.Workers < 0 || c.Workers > workersMax:
		return fmt.Errorf("--workers %d: want 0 to %d", c.Workers, workersMax)
	case c.Churn < 0 || c.Churn > connsMax:
		return fmt.Errorf("--churn %d: want 0 to %d", c.Churn, connsMax)
	}
	n, err := needOf(c.Conns, c.Workers, c.URL, c.Source)
	if err != nil {
		return err
	}
	n.churn = c.Churn
	all := preflight(n)
	if err := writeObstacles(os.Stdout, n, all); err != nil {
		return err
	}
	if slices.ContainsFunc(all, func(o Obstacle) bool { return o.Stops }) {
		return fmt.Errorf("%d connections are more than this machine can make as it is", c.Conns)
	}
	return nil
}

// needOf is what a run of so many connections asks, from where to where it goes.
func needOf(conns, workers int, urls, sources []string) (need, error) {
	n := need{conns: conns, workers: workers, atOnce: dialsAtOnceMax, local: true, targets: 1, sources: loopbackSources}
	if len(urls) > 0 {
		addrs, err := addressesOf(urls)
		if err != nil {
			return n, err
		}
		n.targets, n.local = len(addrs), onThisMachine(addrs)
		if !slices.ContainsFunc(addrs, func(a netip.AddrPort) bool { return a.Addr().IsLoopback() }) {
			n.sources = 1
		}
	}
	if len(sources) > 0 {
		parsed, err := parseSources(sources)
		if err != nil {
			return n, err
		}
		n.sources = 0
		for _, s := range parsed {
			n.sources += s.size()
		}
	}
	return n, nil
}

// loopbackSources is how many addresses of 127.0.0.0/24 a run takes, from .2 on.
const loopbackSources = 250

// addressesOf gives the addresses behind URLs, each once.
func addressesOf(urls []string) (addrs []netip.AddrPort, err error) {
	for _, raw := range urls {
		t, err := resolveTarget(raw)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(addrs, t.Addr) {
			addrs = append(addrs, t.Addr)
		}
	}
	return addrs, nil
}

// onThisMachine tells whether any of the addresses is one of this machine's.
func onThisMachine(addrs []netip.AddrPort) bool {
	own, _ := net.InterfaceAddrs()
	return slices.ContainsFunc(addrs, func(a netip.AddrPort) bool {
		return a.Addr().IsLoopback() || slices.ContainsFunc(own, func(o net.Addr) bool {
			prefix, err := netip.ParsePrefix(o.String())
			return err == nil && prefix.Addr() == a.Addr()
		})
	})
}
