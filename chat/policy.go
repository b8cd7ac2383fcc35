package chat

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Policy is what holds for the rooms whose names it matches: the first that matches does.
type Policy struct {
	// Name names the policy and, if it records, the stream that its rooms are kept in: renamed, it begins anew without their history.
	Name string
	// Match holds names, or beginnings followed by *. An inbox is the room @user; only a pattern that begins with @ matches it.
	Match []string
	// Record keeps the rooms' messages in the store. Without it a room has neither numbers nor history.
	Record bool
	// Keep bounds what is kept of each room, and of all the policy's rooms together.
	KeepMessages int           // of each room; 0: no bound
	KeepAge      time.Duration // 0: for ever
	KeepBytes    int64         // of all of them; a store that is full refuses messages; 0: no bound
	// Join and Publish say who may.
	Join, Publish Who
	// MaxMembers is how many connections of this node may be in a room; 0: no bound.
	MaxMembers int

	stream int // its place among those that record, -1 if it does not
}

// Who is a group of people.
type Who uint8

// The groups. Each is part of the one before, but for Members: of those who may join, who has.
const (
	Anyone  Who = iota
	Members     // for publishing: who is in the room
	Users       // who came with a token
	Nobody      // but the server's API
)

// whoNames are the groups' names in the configuration, in their order.
var whoNames = [...]string{"anyone", "members", "users", "nobody"}

// String returns the group's name in the configuration.
func (w Who) String() string { return whoNames[w] }

// ParseWho reads a group's name; the error says which there are.
func ParseWho(text string) (Who, error) {
	for i, name := range whoNames {
		if text == name {
			return Who(i), nil
		}
	}
	return 0, fmt.Errorf("%q is no group of people; there are %s", text, strings.Join(whoNames[:], ", "))
}

const (
	// InboxPolicy is the name of the policy for inboxes that there is unless one of the configuration matches @*.
	InboxPolicy = "inbox"
	// RoomPolicy is the name of the policy for all rooms that no other matches.
	RoomPolicy = "rooms"
)

// DefaultPolicies are those that stand behind the configured ones: one for inboxes, one for everything else.
func DefaultPolicies(record bool) []Policy {
	return []Policy{
		{Name: InboxPolicy, Match: []string{"@*"}, Record: record, KeepMessages: 1000},
		{Name: RoomPolicy, Match: []string{"*"}, Record: record, KeepMessages: 1000},
	}
}

// policies are those of a node, in the order in which they are asked.
type policies []Policy

// CheckPolicies says what is wrong with a list of policies, if anything.
func CheckPolicies(list []Policy) error {
	_, err := newPolicies(list)
	return err
}

// newPolicies checks them and numbers the streams.
func newPolicies(list []Policy) (policies, error) {
	all, streams, names := make(policies, len(list)), 0, map[string]bool{}
	for i, p := range list {
		if err := p.Check(); err != nil {
			return nil, err
		}
		if names[p.Name] {
			return nil, fmt.Errorf("there are two policies called %s", p.Name)
		}
		names[p.Name] = true
		if p.stream = -1; p.Record {
			p.stream = streams
			streams++
		}
		all[i] = p
	}
	return all, nil
}

// Check says what is wrong with a policy, if anything.
func (p *Policy) Check() error {
	if p.Name == "" || strings.Trim(p.Name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || len(p.Name) > 32 {
		return fmt.Errorf("the name of the policy is %q: want 1 to 32 of a-z, 0-9 and -", p.Name)
	}
	if len(p.Match) == 0 {
		return fmt.Errorf("the policy %s matches nothing: name rooms, or beginnings with * behind", p.Name)
	}
	for _, pattern := range p.Match {
		if err := checkPattern(pattern); err != nil {
			return fmt.Errorf("the policy %s: %w", p.Name, err)
		}
	}
	if p.Join == Members {
		return fmt.Errorf("the policy %s: join cannot be for members, who are in already", p.Name)
	}
	if p.KeepMessages < 0 || p.KeepAge < 0 || p.KeepBytes < 0 || p.MaxMembers < 0 {
		return fmt.Errorf("the policy %s: no bound is below 0", p.Name)
	}
	return nil
}

var errPattern = errors.New("want a name of a room, or its beginning with one * behind")

func checkPattern(pattern string) error {
	name := strings.TrimPrefix(strings.TrimSuffix(pattern, "*"), "@")
	if pattern == "" || name == "" && pattern != "*" && pattern != "@*" {
		return fmt.Errorf("%q: %w", pattern, errPattern)
	}
	if name != "" && checkName([]byte(name)) != nil {
		return fmt.Errorf("%q: %w", pattern, errPattern)
	}
	return nil
}

// matches reports whether a pattern means a room.
func matches(pattern, room string) bool {
	if isInbox(room) != strings.HasPrefix(pattern, "@") {
		return false
	}
	beginning, open := strings.CutSuffix(pattern, "*")
	return open && strings.HasPrefix(room, beginning) || room == pattern
}

// of returns the policy of a room: the last one if none matches.
func (all policies) of(room string) *Policy {
	for i := range all {
		for _, pattern := range all[i].Match {
			if matches(pattern, room) {
				return &all[i]
			}
		}
	}
	return &all[len(all)-1]
}
