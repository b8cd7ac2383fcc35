package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// fleet is the servers that a run starts for itself, each on a loopback address of its own: a process holds no more
// connections than its descriptors, and an address has no more ports for who comes from one source.
type fleet struct {
	servers []*child
	addrs   []netip.AddrPort
	metrics []string // their private ports, of those that were given one
}

// fleetAddrs is how many addresses of 127.0.0.0/24 servers take; those beyond share an address by port.
const fleetAddrs = 250

// startFleet starts n servers and returns when all listen. ADDR in the command is where each has to, ADMIN where it may
// have a private port.
func startFleet(ctx context.Context, l *launcher, n int, command []string) (*fleet, error) {
	f := &fleet{}
	for i := range n {
		if err := f.add(l, netip.AddrFrom4([4]byte{127, 0, 0, byte(1 + i%fleetAddrs)}), command); err != nil {
			f.stop()
			return nil, err
		}
	}
	const patience = 30 * time.Second // many start at once
	for i, s := range f.servers {
		if err := s.listens(ctx, f.addrs[i], patience); err != nil {
			f.stop()
			return nil, fmt.Errorf("server %d of %d did not start: %w", i+1, n, err)
		}
	}
	return f, nil
}

// add starts one more.
func (f *fleet) add(l *launcher, ip netip.Addr, command []string) error {
	at, err1 := freeAddr(ip)
	private, err2 := freeAddr(ip)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	argv := slices.Clone(command)
	for i := range argv {
		argv[i] = strings.ReplaceAll(strings.ReplaceAll(argv[i], "ADDR", at.String()), "ADMIN", private.String())
	}
	s, err := l.start(anyCPU, argv, nil)
	if err != nil {
		return err
	}
	f.servers, f.addrs = append(f.servers, s), append(f.addrs, at)
	if slices.ContainsFunc(command, func(word string) bool { return strings.Contains(word, "ADMIN") }) {
		f.metrics = append(f.metrics, "http://"+private.String()+"/metrics")
	}
	return nil
}

// freeAddr finds a port of the address that nobody listens on.
func freeAddr(ip netip.Addr) (netip.AddrPort, error) {
	l, err := net.Listen("tcp4", netip.AddrPortFrom(ip, 0).String())
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("a port for a server: %w", err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).AddrPort(), nil
}

// ended says which server is no more, nil when all are.
func (f *fleet) ended() error {
	for i, s := range f.servers {
		select {
		case <-s.exited:
			return fmt.Errorf("the server on %s has ended: %s", f.addrs[i], s.lastWords())
		default:
		}
	}
	return nil
}

func (f *fleet) pids() []int {
	pids := make([]int, len(f.servers))
	for i, s := range f.servers {
		pids[i] = s.cmd.Process.Pid
	}
	return pids
}

// stop ends all: each is asked, and whoever takes too long is ended.
func (f *fleet) stop() {
	const patience = 3 * time.Second
	for _, s := range f.servers {
		_ = unix.Kill(-s.cmd.Process.Pid, unix.SIGTERM)
	}
	late := time.After(patience)
	for _, s := range f.servers {
		select {
		case <-s.exited:
			continue
		case <-late:
		}
		for _, s := range f.servers {
			_ = unix.Kill(-s.cmd.Process.Pid, unix.SIGKILL)
		}
		break
	}
	for _, s := range f.servers {
		<-s.exited
	}
}
