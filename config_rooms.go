package main

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"throng/chat"
)

// The settings of rooms that are more than a number or a word.

// syncAlways is the word for a store that forces each message to the disk before it is acknowledged.
const syncAlways = "always"

const (
	syncMin = 10 * time.Millisecond
	syncMax = time.Hour
)

func parseSync(text string) (string, error) {
	if text == syncAlways {
		return text, nil
	}
	d, err := parseDuration(text)
	if err != nil {
		return "", fmt.Errorf("%w, or always", err)
	}
	if d < syncMin || d > syncMax {
		return "", fmt.Errorf("is out of bounds; allowed: %s to %s, or always", showDuration(syncMin), showDuration(syncMax))
	}
	return text, nil
}

// syncEvery is the setting as a duration, 0 for always.
func (c *Config) syncEvery() time.Duration {
	d, _ := time.ParseDuration(c.Sync) // it was parsed when the settings were read
	return d
}

func parseNATS(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) {
		return "", errors.New("is no address of a NATS server; allowed: nats://host:4222 or tls://host:4222")
	}
	return text, nil
}

// policyFields are what a policy's text may set.
var policyFields = map[string]func(p *chat.Policy, value string) error{
	"match": func(p *chat.Policy, value string) error {
		p.Match = strings.Split(value, "|")
		return nil
	},
	"record": func(p *chat.Policy, value string) error {
		if p.Record = value == "all"; !p.Record && value != "none" {
			return errors.New("is neither all nor none")
		}
		return nil
	},
	"keep-messages": func(p *chat.Policy, value string) (err error) {
		p.KeepMessages, err = parseCount(value)
		return err
	},
	"keep-age": func(p *chat.Policy, value string) (err error) {
		if value != "0" {
			p.KeepAge, err = parseDuration(value)
		}
		return err
	},
	"keep-bytes": func(p *chat.Policy, value string) error {
		n, err := parseBytes(value)
		p.KeepBytes = int64(n)
		return err
	},
	"join": func(p *chat.Policy, value string) (err error) {
		p.Join, err = chat.ParseWho(value)
		return err
	},
	"publish": func(p *chat.Policy, value string) (err error) {
		p.Publish, err = chat.ParseWho(value)
		return err
	},
	"max-members": func(p *chat.Policy, value string) (err error) {
		p.MaxMembers, err = parseCount(value)
		return err
	},
}

// parsePolicy reads one policy. What it does not say stays as the general settings have it; see policies.
func parsePolicy(text string) (*policyText, error) {
	words := strings.Fields(text)
	if len(words) == 0 || strings.Contains(words[0], "=") {
		return nil, errors.New("has no name; a policy is: NAME match=PATTERN, and what else it sets")
	}
	parsed := &policyText{name: words[0], sets: map[string]string{}}
	probe := chat.Policy{Name: parsed.name}
	for _, word := range words[1:] {
		field, value, _ := strings.Cut(word, "=")
		set, known := policyFields[field]
		if !known {
			names := slices.Sorted(maps.Keys(policyFields))
			return nil, fmt.Errorf("sets %s, which no policy has%s; there are %s", quoted(field), didYouMean(field, names), strings.Join(names, ", "))
		}
		if _, twice := parsed.sets[field]; twice {
			return nil, fmt.Errorf("sets %s twice", field)
		}
		if err := set(&probe, value); err != nil {
			return nil, fmt.Errorf("sets %s to %s, which %w", field, quoted(value), err)
		}
		parsed.sets[field] = value
	}
	if err := probe.Check(); err != nil {
		return nil, fmt.Errorf("cannot be: %w", err)
	}
	return parsed, nil
}

// policyText is a policy as it was written.
type policyText struct {
	name string
	sets map[string]string
}

// policies are those that the settings mean: the written ones first, then the general one for inboxes and the one for everything else.
func policies(c *Config) []chat.Policy {
	general := chat.Policy{Record: true, KeepMessages: c.KeepMessages, KeepAge: c.KeepAge, KeepBytes: int64(c.KeepBytes)}
	var all []chat.Policy
	for _, text := range c.RoomPolicy {
		parsed, err := parsePolicy(text)
		if err != nil {
			continue // it was parsed when the settings were read
		}
		p := general
		p.Name = parsed.name
		for field, value := range parsed.sets {
			_ = policyFields[field](&p, value)
		}
		all = append(all, p)
	}
	for _, p := range chat.DefaultPolicies(true) {
		p.KeepMessages, p.KeepAge, p.KeepBytes = general.KeepMessages, general.KeepAge, general.KeepBytes
		all = append(all, p)
	}
	if c.Record == "none" {
		for i := range all {
			all[i].Record = false
		}
	}
	return all
}

// guests resolves auto.
func (c *Config) guests() bool {
	return c.Guests == "yes" || c.Guests == "auto" && c.TokenKeyFile == ""
}

// dataDir resolves auto: systemd says where a service keeps its state, anybody else has a folder for such things, and one below it by port.
func (c *Config) dataDir(getenv func(string) string, port string) (string, error) {
	if c.DataDir != "auto" {
		return c.DataDir, nil
	}
	if dir := getenv("STATE_DIRECTORY"); dir != "" {
		dir, _, _ = strings.Cut(dir, ":")
		return dir, nil
	}
	base := getenv("XDG_DATA_HOME")
	if base == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("there is no folder to keep messages in (%w): name one with --data-dir, or store nothing with --record none", err)
		}
		base = filepath.Join(home, ".local", "share")
	}
	return filepath.Join(base, "throng", port), nil
}
