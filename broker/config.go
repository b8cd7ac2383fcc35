package broker

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"
)

// Config says where messages are stored and for how long.
type Config struct {
	// Dir is where the embedded server stores. With URLs it may be empty; else the highest numbers seen are remembered in it, so that a store that was
	// set back while no node ran is noticed.
	Dir string
	// Sync is how long the embedded server may keep what it acknowledged from the disk. 0: not at all, each message is on the disk before its
	// acknowledgement. The end of the process alone loses nothing in either case; the end of the machine may.
	Sync time.Duration
	// URLs of NATS servers. None: the embedded server.
	URLs []string
	// Creds is a file of NATS credentials; CA, Cert and Key are PEM files for TLS.
	Creds, CA, Cert, Key string
	// Replicas of each stream, 1 if zero. Only for a cluster.
	Replicas int
	// Streams are the classes of rooms; their index names them in the calls.
	Streams []Stream
	// Node is this node's name among the others, a random one if empty.
	Node   string
	Logger *slog.Logger
	// DuplicateWindow is for how long a message sent again is known by its id, 2 minutes if zero.
	DuplicateWindow time.Duration
	// AckTimeout is how long the store may take to answer a publish, 5 seconds if zero.
	AckTimeout time.Duration
}

// Stream is what rooms of one class have in common.
type Stream struct {
	Name     string        // letters, digits, - and _
	Messages int           // kept of each room; 0: all
	Age      time.Duration // kept for so long; 0: for ever
	Bytes    int64         // of all rooms together; when they are full, publishing is refused. 0: as the disk allows
}

const (
	nameBytesMax = 64 // of streams and nodes

	duplicateWindowDefault = 2 * time.Minute
	ackTimeoutDefault      = 5 * time.Second
)

var streamName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// settled is the configuration with its defaults filled in, or what is wrong with it.
func (c Config) settled() (Config, error) {
	if len(c.URLs) == 0 && c.Dir == "" {
		return c, errors.New("broker: a folder to store in, or URLs of NATS servers, are needed")
	}
	if len(c.URLs) == 0 && c.Replicas > 1 {
		return c, errors.New("broker: replicas need a cluster of NATS servers")
	}
	names := map[string]bool{}
	for _, s := range c.Streams {
		switch {
		case !streamName.MatchString(s.Name) || len(s.Name) > nameBytesMax:
			return c, fmt.Errorf("broker: the name of a stream is 1 to %d letters, digits, - and _, not %q", nameBytesMax, s.Name)
		case names[s.Name]:
			return c, fmt.Errorf("broker: two streams are called %s", s.Name)
		case s.Messages < 0 || s.Age < 0 || s.Bytes < 0 || s.Messages > 1<<31:
			return c, fmt.Errorf("broker: a limit of the stream %s is out of range", s.Name)
		}
		names[s.Name] = true
	}
	if len(c.Node) > nameBytesMax || strings.ContainsFunc(c.Node, func(r rune) bool { return r < ' ' }) {
		return c, fmt.Errorf("broker: the name of a node is at most %d bytes without control characters, not %q", nameBytesMax, c.Node)
	}
	c.Node = cmp.Or(c.Node, strings.ToLower(rand.Text()[:12]))
	c.Logger = cmp.Or(c.Logger, slog.Default())
	c.Replicas = cmp.Or(c.Replicas, 1)
	c.DuplicateWindow = cmp.Or(c.DuplicateWindow, duplicateWindowDefault)
	c.AckTimeout = cmp.Or(c.AckTimeout, ackTimeoutDefault)
	// JetStream refuses a window that is longer than messages are kept.
	for _, s := range c.Streams {
		if s.Age > 0 && s.Age < 100*time.Millisecond {
			return c, fmt.Errorf("broker: the stream %s keeps messages for %s; the store's least is 100ms", s.Name, s.Age)
		}
	}
	return c, nil
}
