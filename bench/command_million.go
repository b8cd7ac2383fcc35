package bench

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// MillionCmd holds a great many connections on servers of its own.
type MillionCmd struct {
	Conns       int           `help:"Connections." default:"1000000"`
	For         time.Duration `help:"How long to hold them in silence." default:"60s"`
	PerRoom     int           `help:"Members of a room." default:"100"`
	Servers     string        `help:"Server processes; auto: as many as descriptors demand." default:"auto" placeholder:"N"`
	ConnectRate float64       `help:"Connections a second while connecting." default:"8000"`
	IdleTimeout time.Duration `help:"After how much silence the servers close a connection. 0: as long as everything before it is reckoned to take." default:"0s"`
	Server      string        `help:"Command of a server, ADDR in it where its address goes, TIMEOUT where its limit of silence goes, and ADMIN, if it is a throng, for its private port. Default: this program's serve." placeholder:"COMMAND"`
	ServerFlags string        `help:"More flags for it." placeholder:"FLAGS"`
	JSON        bool          `help:"Print the result as JSON."`
	Report      string        `help:"Write the result as a page with plots." placeholder:"FILE.html"`
	Words       []string      `kong:"-"` // what comes before a scenario's name on this program's command line; default bench
}

// Run connects, holds, lets speak, waits for the eviction, and prints what came of it.
func (c *MillionCmd) Run() error {
	self, err := selfCommand(c.Words)
	if err != nil {
		return err
	}
	server, err := fleetArgs(c.Server, c.ServerFlags)
	if err != nil {
		return err
	}
	m := Million{
		Conns: c.Conns, PerRoom: c.PerRoom, ConnectRate: c.ConnectRate, Hold: c.For, IdleTimeout: c.IdleTimeout, Server: server, Self: self,
	}
	if c.Servers != "auto" {
		if m.Servers, err = strconv.Atoi(c.Servers); err != nil || m.Servers < 1 {
			return fmt.Errorf("--servers %q: want a number, or auto", c.Servers)
		}
	}
	page, err := openPage(c.Report)
	if err != nil {
		return err
	}
	defer page.abandon()
	// A server with one loop, and a worker, have work for one CPU each; there are far more of them than CPUs.
	if err := os.Setenv("GOMAXPROCS", "1"); err != nil {
		return err
	}
	show := newProgress(os.Stderr)
	m.Progress = show.line
	ctx, cancel := interrupted()
	defer cancel()
	r, err := m.Run(ctx)
	show.end()
	if r == nil {
		return err
	}
	if c.Server != "" {
		r.Name = ""
	}
	// What was measured until something went wrong is worth its lines.
	return errors.Join(write(os.Stdout, r, c.JSON), page.write(r), err)
}

// fleetArgs is the command of a fleet's servers.
func fleetArgs(command, flags string) ([]string, error) {
	if command == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("this program's own path: %w", err)
		}
		// Who is to be evicted must not answer pings. Without them the kernel would probe, thousands within a moment since its
		// timers are coarse, and the loopback drops what its queue does not hold. The end of the run need not be gentle.
		argv := []string{
			self, "serve", "--listen", "ADDR", "--loops", "1", "--admin", "ADMIN", "--admin-socket=",
			"--ping-interval", "0", "--tcp-keepalive", "0", "--idle-timeout", "TIMEOUT", "--drain-time", "0s", "--record", "none",
		}
		return append(argv, strings.Fields(flags)...), nil
	}
	if !strings.Contains(command, "ADDR") || !strings.Contains(command, "TIMEOUT") {
		return nil, fmt.Errorf("--server %q: want the words ADDR and TIMEOUT where the address and the limit of silence go", command)
	}
	return append(strings.Fields(command), strings.Fields(flags)...), nil
}
