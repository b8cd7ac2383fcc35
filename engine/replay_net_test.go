package engine_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"throng/engine"
	"throng/protocol"
)

// chronicle is a handler with one room whose messages are numbered and kept: who says
// "since 7" gets what came after the seventh, and then what is said. At /enveloped the
// text comes in braces. What it keeps is fetched on another goroutine, some at a time.
type chronicle struct {
	e  *engine.Engine
	mu sync.Mutex
	in []string
}

func (h *chronicle) OnUpgrade(c *engine.Conn, r *protocol.Request) (string, error) {
	if string(r.Path) == "/enveloped" {
		c.SetForm(engine.Enveloped)
	}
	return "", nil
}

func (h *chronicle) OnOpen(*engine.Conn) {}

func (h *chronicle) OnClose(*engine.Conn, engine.Reason) {}

func (h *chronicle) OnMessage(c *engine.Conn, op protocol.Opcode, data []byte) {
	var since uint64
	if n, _ := fmt.Sscanf(string(data), "since %d", &since); n == 0 {
		h.say(string(data))
		if t, ok := c.Value().(*engine.Topic); ok {
			c.AwaitEase(t)
		}
		return
	}
	t, pos := c.JoinAt("room", h.head)
	c.SetValue(t)
	_ = c.Send(op, fmt.Append(nil, "at ", pos))
	c.Replay(&chapter{of: h, c: c, next: min(since, pos), end: pos})
}

func (h *chronicle) head() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return uint64(len(h.in))
}

func (h *chronicle) say(text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	text = fmt.Sprint(len(h.in)+1, " ", text)
	h.in = append(h.in, text)
	h.e.PublishAt("room", uint64(len(h.in)), &engine.Contents{
		engine.Raw:       {Op: protocol.OpText, Data: []byte(text)},
		engine.Enveloped: {Op: protocol.OpText, Data: []byte("{" + text + "}")},
	})
}

// chapter is what one connection missed.
type chapter struct {
	of        *chronicle
	c         *engine.Conn
	next, end uint64
	page      []string
}

func (s *chapter) Next() (protocol.Opcode, []byte, engine.ReplayState) {
	switch {
	case len(s.page) > 0:
		text := s.page[0]
		s.page = s.page[1:]
		if s.c.Form() == engine.Enveloped {
			text = "{" + text + "}"
		}
		return protocol.OpText, []byte(text), engine.ReplayMore
	case s.next == s.end:
		return 0, nil, engine.ReplayDone
	}
	from, to := s.next, min(s.next+50, s.end)
	s.next = to
	go func() {
		s.of.mu.Lock()
		page := s.of.in[from:to:to]
		s.of.mu.Unlock()
		s.c.Post(func(c *engine.Conn) {
			s.page = page
			c.Continue()
		})
	}()
	return 0, nil, engine.ReplayWait
}

// TestJoinersOverSockets: while people speak on all loops, others come one after the
// other, ask for what they missed, and have it all, in order, with no seam to be seen.
func TestJoinersOverSockets(t *testing.T) {
	h := &chronicle{}
	r := start(t, h, func(cfg *engine.Config) { cfg.IdleTimeout = 0 })
	h.mu.Lock() // nobody has connected yet, but the race detector wants to be told
	h.e = r.e
	h.mu.Unlock()
	const speakers, words, joiners = 3, 300, 12
	var work sync.WaitGroup
	for i := range speakers {
		p := r.join()
		work.Go(func() {
			for n := range words {
				p.say(fmt.Sprint(i, " ", n, strings.Repeat(" word", n%100)))
				if n%10 == 0 {
					time.Sleep(time.Millisecond) // so that there is a while to join in
				}
			}
		})
	}
	for i := range joiners {
		work.Go(func() {
			for h.head() < uint64(i*speakers*words/joiners) {
				time.Sleep(time.Millisecond)
			}
			if err := listenSince(r, i, speakers*words); err != nil {
				t.Errorf("joiner %d: %v", i, err)
			}
		})
	}
	work.Wait()
}

// listenSince joins from some message on and reads up to the last.
func listenSince(r *rig, i, last int) error {
	p := r.dial(i % 2 * 4096)
	path, open, shut := "/", "", ""
	if i%3 == 0 {
		path, open, shut = "/enveloped", "{", "}"
	}
	p.send(strings.Replace(handshake(), "GET / ", "GET "+path+" ", 1))
	p.answer("GET")
	since := i * 7
	p.say(fmt.Sprint("since ", since))
	pos := 0
	if _, text, err := p.next(); err != nil {
		return err
	} else if _, err := fmt.Sscanf(text, "at %d", &pos); err != nil {
		return fmt.Errorf("got %.40q, %w", text, err)
	}
	since = min(since, pos)
	for n := since + 1; n <= last; n++ {
		_, text, err := p.next()
		if want := fmt.Sprint(open, n, " "); err != nil || !strings.HasPrefix(text, want) || !strings.HasSuffix(text, shut) {
			return fmt.Errorf("since %d: got %.40q, %v; want %q", since, text, err, want)
		}
	}
	return nil
}
