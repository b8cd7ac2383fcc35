package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"golang.org/x/sys/unix"
)

// Peer is somebody else's server, as the file of peers names it. ADDR and PORT in the start command and the URL stand
// for where it should listen.
type Peer struct {
	Name    string `yaml:"name" json:"name"`
	Build   string `yaml:"build" json:"-"`
	Start   words  `yaml:"start" json:"-"`
	URL     string `yaml:"url" json:"-"`
	Version string `yaml:"version" json:"version,omitempty"` // the command, then what it printed
	Most    int    `yaml:"most" json:"-"`
	Note    string `yaml:"note" json:"note,omitempty"`
	// Missing is why it was left out.
	Missing string `yaml:"-" json:"missing,omitempty"`

	dir string // of the file
}

// words is a command: a text that is split at its spaces, or a list.
type words []string

// UnmarshalYAML takes both.
func (w *words) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		*w = strings.Fields(node.Value)
		return nil
	}
	var list []string
	err := node.Decode(&list)
	*w = list
	return err
}

// readPeers reads and checks a file of peers.
func readPeers(name string) ([]*Peer, error) {
	text, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s is not there: run this in a checkout of throng, or name a file of peers with --file", name)
	}
	if err != nil {
		return nil, fmt.Errorf("the file of peers: %w", err)
	}
	var peers []*Peer
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&peers); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	dir, err := filepath.Abs(filepath.Dir(name))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	known := map[string]bool{throng: true, barePlain: true, bareBatch: true}
	for i, p := range peers {
		if p == nil || p.Name == "" {
			return nil, fmt.Errorf("%s: entry %d has no name", name, i+1)
		}
		if known[p.Name] {
			return nil, fmt.Errorf("%s: %s is there twice, or a name that the bench uses itself", name, p.Name)
		}
		known[p.Name], p.dir = true, dir
		if err := p.check(); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", name, p.Name, err)
		}
	}
	return peers, nil
}

func (p *Peer) check() error {
	switch {
	case len(p.Start) == 0:
		return errors.New("start: want the command that starts it")
	case !strings.Contains(strings.Join(p.Start, " "), "PORT"):
		return errors.New("start: want the word PORT where the port goes")
	case !strings.HasPrefix(p.URL, "ws://") || !strings.Contains(p.URL, "PORT"):
		return fmt.Errorf("url: %q; want something like %s", p.URL, contenderURL)
	case p.Most < 0:
		return fmt.Errorf("most: %d; want how many connections it can hold, or leave it out", p.Most)
	}
	return nil
}

// choosePeers keeps those of these names, in the file's order; without names, all.
func choosePeers(all []*Peer, names []string) ([]*Peer, error) {
	for _, name := range names {
		if !slices.ContainsFunc(all, func(p *Peer) bool { return p.Name == name }) {
			return nil, fmt.Errorf("--peers %s: the file has no such name", name)
		}
	}
	return slices.DeleteFunc(all, func(p *Peer) bool { return len(names) > 0 && !slices.Contains(names, p.Name) }), nil
}

// buildMax is what a build may take; the first brings compilers and packages with it.
const (
	buildMax   = 10 * time.Minute
	versionMax = 10 * time.Second
)

// prepare builds the peers and asks for their versions. One that cannot be had says why, and is left out.
func prepare(ctx context.Context, l *launcher, peers []*Peer, progress func(string)) (field []*contender) {
	built := make(map[string]error)
	for _, p := range peers {
		ask := p.Version
		p.Version = ""
		if p.Build != "" {
			err, done := built[p.Build]
			if !done {
				progress(p.Name + ": " + p.Build)
				_, err = p.shell(ctx, l, p.Build, buildMax)
				built[p.Build] = err
			}
			if err != nil {
				p.Missing = "could not be built: " + err.Error()
				continue
			}
		}
		if ask != "" {
			said, err := p.shell(ctx, l, ask, versionMax)
			if err != nil {
				p.Missing = "could not tell its version: " + err.Error()
				continue
			}
			p.Version = said
		}
		field = append(field, &contender{name: p.Name, argv: p.Start, dir: p.dir, url: p.URL, most: p.Most, peer: true})
	}
	return field
}

// shell runs a command line in the peers' folder and returns what it printed.
func (p *Peer) shell(ctx context.Context, l *launcher, line string, atMost time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	c, err := l.launch(order{argv: []string{"sh", "-c", line}, dir: p.dir, cpu: anyCPU})
	if err != nil {
		return "", err
	}
	select {
	case <-c.exited:
		// Whatever it left running in the background ends with it.
		_ = unix.Kill(-c.cmd.Process.Pid, unix.SIGKILL)
	case <-ctx.Done():
		c.stop(unix.SIGTERM)
		return "", fmt.Errorf("%s did not end: %w", line, ctx.Err())
	}
	if c.err != nil {
		if said := strings.TrimSpace(c.stderr.last()); said != "" {
			return "", errors.New(said)
		}
		return "", c.err
	}
	return strings.TrimSpace(c.stdout.String()), nil
}
