package bench

import (
	"fmt"
	"os"
	"strings"
)

// Contest is what the commands that hold servers against each other have in common.
type Contest struct {
	Server      string   `help:"Command of the server under test, PORT in it where the port goes; none: go without it. Default: this program's serve." placeholder:"COMMAND"`
	ServerFlags string   `help:"More flags for it." placeholder:"FLAGS"`
	Cores       string   `help:"own: the server on one core and the client on another; shared: both on all of them, as deployed." enum:"own,shared" default:"own"`
	Only        []string `help:"Only these figures: ${enum}." enum:"in-flight-10,in-flight-400,open,echo,handshakes,idle,storm,fairness" placeholder:"NAME"`
	Rounds      int      `help:"Rounds, interleaved; the table has their medians." default:"3"`
	Short       bool     `help:"One short round: an impression, not a measurement."`
	JSON        bool     `help:"Print the table and every run as JSON."`
	Words       []string `kong:"-"` // what comes before a scenario's name on this program's command line; default bench
}

// ready makes what runs the rounds. Who asked for it closes the launcher.
func (c *Contest) ready(show *progress) (*numbers, error) {
	if c.Rounds < 1 {
		return nil, fmt.Errorf("--rounds %d: want 1 or more", c.Rounds)
	}
	// What is started here gets the limit that this sets.
	if err := needDescriptors(0); err != nil {
		return nil, err
	}
	self, err := selfCommand(c.Words)
	if err != nil {
		return nil, err
	}
	n := &numbers{self: self, where: placement(c.Cores), rounds: c.Rounds, progress: show.line, field: yardsticks(self), lines: rows}
	if c.Short {
		n.rounds = 1
	}
	ours, err := underTest(c.Server, c.ServerFlags, n.where)
	if err != nil {
		return nil, err
	}
	if ours != nil {
		n.field = append(n.field, ours)
	}
	n.launcher, err = newLauncher()
	return n, err
}

// PeersCmd prints how throng stands beside other servers.
type PeersCmd struct {
	File     string   `help:"YAML file of the peers: names, how to build and start them, URLs." default:"bench/peers/peers.yaml"`
	Peers    []string `help:"Only these of its names." placeholder:"NAME"`
	Markdown bool     `help:"Print the tables as Markdown."`
	Contest  `embed:""`
}

// Run builds what there is to build, measures, and prints the tables.
func (c *PeersCmd) Run() error {
	all, err := readPeers(c.File)
	if err != nil {
		return err
	}
	peers, err := choosePeers(all, c.Peers)
	if err != nil {
		return err
	}
	show := newProgress(os.Stderr)
	n, err := c.ready(show)
	if err != nil {
		return err
	}
	defer n.launcher.close()
	ctx, cancel := interrupted()
	defer cancel()
	var measured []figure
	for _, f := range chosen(figures(c.Short), c.Only) {
		if !f.onlyOurs {
			measured = append(measured, f)
		}
	}
	if len(measured) == 0 {
		return fmt.Errorf("--only %s: that is measured on throng alone, by throng bench numbers", strings.Join(c.Only, ","))
	}
	n.field = append(n.field, prepare(ctx, n.launcher, peers, show.line)...)
	err = n.measure(ctx, measured)
	show.end()
	if err != nil {
		return err
	}
	return n.peersTable(measured, peers).write(os.Stdout, c.JSON, c.Markdown)
}
