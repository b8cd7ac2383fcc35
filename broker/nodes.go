package broker

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// What nodes say to each other goes over plain NATS and is kept nowhere. Every message begins with the speaker's name, so that one node can be told
// from another whatever server it came through:
//
//	cast     │ length │ node │ data ... │
//	ask      │ length │ node │ length of the room │ room │ data ... │
//	answer   │ length │ node │ 0: none, 1: data follows │ data ... │
//	node     │ length │ node │ b: I live, h: I am new, who else lives?, g: goodbye │ run: random, another one with each process │

const (
	beatInterval = time.Second
	silenceMax   = 4 * time.Second // then a node is dead

	answersInfix = ".a." // between our inbox and the token of a question

	beatPulse = 'b'
	beatHello = 'h'
	beatBye   = 'g'
)

type nodes struct {
	mu    sync.Mutex
	name  []byte                   // length and name, as every message begins
	run   string                   // of this process
	heard map[string]time.Duration // when a node was last heard of
	runs  map[string]string        // and which process it was
	asks  map[uint64]*question
	next  uint64

	beat  time.Duration // the tick's: when we last said that we live
	apart bool          // the tick's: the connection is away
	last  time.Duration // the tick's: the one before
}

// question is one Ask that waits.
type question struct {
	mu      sync.Mutex
	answers []answer
	bell    chan struct{}
}

type answer struct {
	node string
	data []byte
	gone bool
	none bool
}

// listen subscribes to what nodes say to all nodes.
func (n *nodes) listen(b *Broker) error {
	n.name = append([]byte{byte(len(b.cfg.Node))}, b.cfg.Node...)
	n.run = rand.Text()
	n.heard = map[string]time.Duration{}
	n.runs = map[string]string{}
	n.asks = map[uint64]*question{}
	n.beat = -beatInterval
	for _, subject := range []string{castSubject, askSubject, nodeSubject} {
		if _, err := b.main.ChanSubscribe(subject, b.watches.lanes[0]); err != nil {
			return fmt.Errorf("broker: %w", err)
		}
	}
	_, err := b.subscribe(b.inbox+answersInfix+"*", func(m *nats.Msg) { n.answered(m) })
	return err
}

// speaker splits the speaker's name off a message.
func speaker(data []byte) (node string, rest []byte, ok bool) {
	if len(data) == 0 || len(data) < 1+int(data[0]) || data[0] == 0 || data[0] > nameBytesMax {
		return "", nil, false
	}
	end := 1 + int(data[0])
	return string(data[1:end]), data[end:], true
}

// said is anything that comes on the lanes from another node.
func (n *nodes) said(b *Broker, m *nats.Msg) {
	node, rest, ok := speaker(m.Data)
	if !ok || node == b.cfg.Node {
		return
	}
	switch {
	case m.Subject == nodeSubject:
		n.beaten(b, node, rest)
	case m.Subject == askSubject:
		n.asked(b, m, node, rest)
	case m.Subject == castSubject:
		b.counts.casts.Add(1)
		b.handler.Cast("", node, rest)
	case strings.HasPrefix(m.Subject, castSubject+"."):
		if room, ok := roomOf(m.Subject[len(castSubject)+1:]); ok {
			b.counts.casts.Add(1)
			b.handler.Cast(room, node, rest)
		}
	}
}

func (n *nodes) beaten(b *Broker, node string, rest []byte) {
	if len(rest) == 0 {
		return
	}
	if rest[0] == beatBye {
		n.mu.Lock()
		_, known := n.heard[node]
		delete(n.heard, node)
		delete(n.runs, node)
		n.mu.Unlock()
		if known {
			n.gone(b, node)
		}
		return
	}
	n.mu.Lock()
	_, known := n.heard[node]
	other := known && n.runs[node] != string(rest[1:])
	n.heard[node], n.runs[node] = b.now(), string(rest[1:])
	n.mu.Unlock()
	if other {
		n.gone(b, node)
	}
	if rest[0] == beatHello {
		_ = n.say(b, beatPulse) // if it cannot be sent now, the next one is a second away
	}
	if !known || other {
		b.handler.NodeCame(node)
	}
}

func (n *nodes) asked(b *Broker, m *nats.Msg, node string, rest []byte) {
	length, used := binary.Uvarint(rest)
	if used <= 0 || length > uint64(len(rest)-used) || m.Reply == "" {
		return
	}
	room, data := string(rest[used:used+int(length)]), rest[used+int(length):]
	reply := b.handler.Asked(room, node, data)
	kind := []byte{1}
	if reply == nil {
		kind[0] = 0
	}
	_ = b.mail(letterPlain, 0, m.Reply, n.name, kind, reply) // who asked waits no longer than it wants to
}

func (n *nodes) answered(m *nats.Msg) {
	token, ok := parseAckToken(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:])
	if !ok || m.Header != nil { // nobody listens
		return
	}
	node, rest, ok := speaker(m.Data)
	if !ok || len(rest) == 0 {
		return
	}
	n.mu.Lock()
	q := n.asks[token]
	n.mu.Unlock()
	if q != nil {
		q.add(answer{node: node, data: rest[1:], none: rest[0] == 0})
	}
}

func (q *question) add(a answer) {
	q.mu.Lock()
	q.answers = append(q.answers, a)
	q.mu.Unlock()
	ring(q.bell)
}

func (q *question) take() []answer {
	q.mu.Lock()
	defer q.mu.Unlock()
	answers := q.answers
	q.answers = nil
	return answers
}

// gone tells the handler and those who wait for that node's answer.
func (n *nodes) gone(b *Broker, node string) {
	n.mu.Lock()
	for _, q := range n.asks {
		q.add(answer{node: node, gone: true})
	}
	n.mu.Unlock()
	b.handler.NodeGone(node)
}

// tick says once a second that we live, and ends those who were silent for too long. While the connection is away, or this process is stopped, nobody is
// judged: it is we who do not hear, and then all get their time again.
func (n *nodes) tick(b *Broker, now time.Duration) {
	if b.server != nil {
		return
	}
	late := now-n.last > beatInterval
	if n.last = now; !b.main.IsConnected() {
		n.apart = true
		return
	}
	n.apart = n.apart || late
	kind := byte(beatPulse)
	if n.apart || n.beat < 0 {
		kind = beatHello
	}
	var dead []string
	n.mu.Lock()
	for node, heard := range n.heard {
		switch {
		case n.apart:
			n.heard[node] = now
		case now-heard > silenceMax:
			dead = append(dead, node)
			delete(n.heard, node)
			delete(n.runs, node)
		}
	}
	n.mu.Unlock()
	n.apart = false
	if kind == beatHello || now-n.beat >= beatInterval {
		if n.say(b, kind) == nil {
			n.beat = now
		}
	}
	for _, node := range dead {
		n.gone(b, node)
	}
}

func (n *nodes) say(b *Broker, kind byte) error {
	return b.mail(letterPlain, 0, nodeSubject, n.name, append([]byte{kind}, n.run...))
}

// goodbye lets the others know at once that this node's people are gone.
func (b *Broker) goodbye() {
	if b.server != nil || !b.main.IsConnected() {
		return
	}
	message := append(slices.Clone(b.nodes.name), beatBye)
	if err := b.main.Publish(nodeSubject, message); err == nil {
		_ = b.main.FlushTimeout(time.Second) // if it does not get out, they will find out by themselves
	}
}

// Nodes are the other nodes that live, in alphabetical order.
func (b *Broker) Nodes() []string {
	n := &b.nodes
	n.mu.Lock()
	defer n.mu.Unlock()
	names := make([]string, 0, len(n.heard))
	for node := range n.heard {
		names = append(names, node)
	}
	slices.Sort(names)
	return names
}

// Cast says something to the other nodes that watch a room, or to all if room is "". Nobody confirms it. The data is copied.
func (b *Broker) Cast(room string, data []byte) error {
	if b.server != nil {
		return nil
	}
	subject := castSubject
	if room != "" {
		subject = subjectOf(castSubject+".", room)
	}
	return b.mail(letterPlain, 0, subject, b.nodes.name, data)
}

// Ask puts a question about a room to all other nodes, and calls each with what comes back, one after the other, on this goroutine. It returns nil when all nodes that
// are known to live have answered, if only with nothing; else when ctx ends, with its error.
func (b *Broker) Ask(ctx context.Context, room string, data []byte, each func(node string, reply []byte)) error {
	expected := b.Nodes()
	if b.server != nil || len(expected) == 0 {
		return nil
	}
	n := &b.nodes
	q := &question{bell: make(chan struct{}, 1)}
	n.mu.Lock()
	n.next++
	token := n.next
	n.asks[token] = q
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		delete(n.asks, token)
		n.mu.Unlock()
	}()
	head := append(binary.AppendUvarint(slices.Clone(n.name), uint64(len(room))), room...)
	if err := b.mail(letterAsk, token, askSubject, head, data); err != nil {
		return err
	}
	for len(expected) > 0 {
		select {
		case <-q.bell:
		case <-ctx.Done():
			return ctx.Err()
		case <-b.quit:
			return ErrClosed
		}
		for _, a := range q.take() {
			if !a.gone && !a.none {
				each(a.node, a.data)
			}
			if at := slices.Index(expected, a.node); at >= 0 {
				expected = slices.Delete(expected, at, at+1)
			}
		}
	}
	return nil
}
