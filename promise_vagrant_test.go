package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// vagrant goes from node to node, is cut off in the middle of a word, says it again elsewhere, and asks for the history now and then.
type vagrant struct {
	*village
	name    string
	random  *rand.Rand // of the one who speaks
	session string
	user    string
	epochs  map[string]string
	words   int // said so far

	mu      sync.Mutex
	ws      *websocket.Conn
	diaries map[string]*diary
	last    map[string]uint64
}

func (c *village) wander(n int, every time.Duration) {
	for range n {
		i := len(c.vagrants)
		v := &vagrant{village: c, name: fmt.Sprintf("vagrant %d", i), random: c.random(200 + i), epochs: map[string]string{}, diaries: map[string]*diary{}, last: map[string]uint64{}}
		c.vagrants = append(c.vagrants, v)
		for _, room := range c.rooms {
			v.diaries[room] = &diary{who: v.name, room: room, wire: true, stayed: true}
			c.trials[room].diaries = append(c.trials[room].diaries, v.diaries[room])
		}
		in := make(chan struct{})
		c.lives.Add(1)
		c.calls.Go(func() { defer c.lives.Done(); v.live(every, in) })
		select {
		case <-in:
		case <-time.After(patience):
			c.Fatalf("%s never got in", v.name)
		}
	}
}

// visit is one connection of a vagrant.
type visit struct {
	*vagrant
	ws      *websocket.Conn
	id      int
	answers map[float64]chan heardOf // under the vagrant's mu
	over    chan struct{}
}

// heardOf is a message of the server, as one reads it who knows nothing of package client.
type heardOf struct {
	Type, Room, Message, User, Key, Text, Epoch, Session string
	Code                                                 any // a word in an error, a number in a bye
	ID                                                   any
	Seq, Prev, From, To, Oldest                          uint64
	Stored, Duplicate, Recorded, Reset, More             bool
	Retry                                                int
	Messages                                             []heardOf
	Members                                              []struct{ User, Name string }
	Count                                                int
}

func (h *heardOf) line() line { return line{h.Seq, h.Prev, h.User, h.Key, h.Text} }

var (
	errOver  = errors.New("the connection ended")
	errAgain = errors.New("the server says: try again")
)

// live is the vagrant's way. What it could not say it says again.
func (v *vagrant) live(every time.Duration, in chan struct{}) {
	var unsaid []string // rooms, keys and texts that wait for their acknowledgement
	for begun := false; v.ctx.Err() == nil; {
		s, err := v.visit()
		if err != nil {
			if !v.pause(20 * time.Millisecond) {
				return
			}
			continue
		}
		if !begun {
			close(in)
			begun = true
		}
		unsaid, err = s.talk(unsaid, every)
		if err == nil { // there is nothing more to say
			v.lives.Go(func() { v.idle(s) })
			return
		}
		s.end()
		if v.random.IntN(4) == 0 && !v.pause(time.Duration(v.random.IntN(500))*time.Millisecond) { // away for a while
			return
		}
	}
}

// idle comes back for as long as the test goes on.
func (v *vagrant) idle(s *visit) {
	for {
		select {
		case <-s.over:
		case <-v.ctx.Done():
		}
		s.end()
		for err := errOver; err != nil; s, err = v.visit() {
			if !v.pause(20 * time.Millisecond) {
				return
			}
		}
	}
}

// visit connects somewhere and enters all rooms, where it left them.
func (v *vagrant) visit() (*visit, error) {
	q := url.Values{"name": {v.name}}
	if v.session != "" {
		q.Set("session", v.session)
	}
	dialer := websocket.Dialer{Subprotocols: []string{"throng.v1"}, HandshakeTimeout: patience, NetDialContext: v.dial}
	ctx, cancel := context.WithTimeout(v.ctx, patience)
	defer cancel()
	ws, _, err := dialer.DialContext(ctx, v.urls[v.random.IntN(len(v.urls))]+"?"+q.Encode(), nil)
	if err != nil {
		return nil, err
	}
	s := &visit{vagrant: v, ws: ws, answers: map[float64]chan heardOf{}, over: make(chan struct{})}
	v.mu.Lock()
	v.ws = ws
	v.mu.Unlock()
	hello, err := s.read()
	if err != nil || hello.Type != "welcome" {
		_ = ws.Close()
		return nil, errOver
	}
	if v.session == "" {
		v.session, v.user = hello.Session, hello.User
	} else if hello.User != v.user {
		v.fault("%s was %s, and is %s with the same session", v.name, v.user, hello.User)
	}
	v.lives.Go(s.listen)
	for _, room := range v.rooms {
		if err := s.enter(room); err != nil {
			s.end()
			return nil, err
		}
	}
	return s, nil
}

// cut ends the connection without a word.
func (v *vagrant) cut() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ws == nil {
		return
	}
	if tcp, ok := v.ws.NetConn().(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = v.ws.Close()
}

func (s *visit) end() {
	s.cut()
	<-s.over
}

func (s *visit) read() (h heardOf, err error) {
	_, text, err := s.ws.ReadMessage()
	if err == nil {
		if err = json.Unmarshal(text, &h); err != nil {
			s.fault("%s: %q is no JSON: %v", s.name, text, err)
		}
	}
	return h, err
}

func (s *visit) listen() {
	defer close(s.over)
	defer s.ws.Close()
	for {
		h, err := s.read()
		if err != nil {
			return
		}
		s.mu.Lock()
		d := s.diaries[h.Room]
		switch {
		case h.Type == "message" && d != nil:
			d.entries = append(d.entries, jotting{kind: listened, line: h.line()})
			s.last[h.Room] = h.Seq
		case h.Type == "gap" && d != nil:
			d.entries = append(d.entries, jotting{kind: missed, epoch: h.Epoch, from: h.From, to: h.To, reset: h.Reset})
			s.last[h.Room], s.epochs[h.Room] = h.To, h.Epoch
		case h.ID != nil:
			id, _ := h.ID.(float64)
			if answer := s.answers[id]; answer != nil {
				delete(s.answers, id)
				s.joined(&h)
				answer <- h
			} else {
				s.fault("%s: an answer to nothing: %+v", s.name, h)
			}
		}
		s.mu.Unlock()
	}
}

// joined notes a place in a room, before anything is read behind it. mu is held.
func (s *visit) joined(h *heardOf) {
	d := s.diaries[h.Room]
	if h.Type != "ok" || !h.Recorded || d == nil {
		return
	}
	j := jotting{kind: resumed, epoch: h.Epoch, line: line{seq: h.Seq}}
	if s.epochs[h.Room] == "" {
		j.kind = entered
		s.epochs[h.Room], s.last[h.Room] = h.Epoch, h.Seq
	}
	d.entries = append(d.entries, j)
}

// ask sends a request and waits for its answer.
func (s *visit) ask(kind string, fields map[string]any) (h heardOf, err error) {
	answer := make(chan heardOf, 1)
	s.id++
	fields["type"], fields["id"] = kind, s.id
	s.mu.Lock()
	s.answers[float64(s.id)] = answer
	s.mu.Unlock()
	if err := s.ws.WriteJSON(fields); err != nil {
		return h, errOver
	}
	select {
	case h = <-answer:
	case <-s.over:
		select {
		case h = <-answer: // it came before the end
		default:
			return h, errOver
		}
	}
	if h.Type == "error" && (h.Code == "unavailable" || h.Code == "rate") {
		return h, errAgain
	}
	return h, nil
}

// enter joins a room, for as long as the server asks to try again.
func (s *visit) enter(room string) error {
	for {
		fields := map[string]any{"room": room}
		s.mu.Lock()
		if epoch := s.epochs[room]; epoch != "" {
			fields["since"] = map[string]any{"epoch": epoch, "seq": s.last[room]}
		}
		s.mu.Unlock()
		h, err := s.ask("join", fields)
		switch {
		case errors.Is(err, errAgain):
			if !s.pause(50 * time.Millisecond) {
				return errOver
			}
			continue
		case err == nil && (h.Type != "ok" || !h.Recorded):
			s.fault("%s: joining %s: %+v", s.name, room, h)
		}
		return err
	}
}

// talk says what was not said, and more, until the connection ends or there is nothing more to say: then the error is nil.
func (s *visit) talk(unsaid []string, every time.Duration) (rest []string, err error) {
	for {
		for len(unsaid) > 0 {
			if err := s.publish(unsaid[0]); errors.Is(err, errAgain) {
				if !s.pause(50 * time.Millisecond) {
					return nil, errOver
				}
				continue
			} else if err != nil {
				return unsaid, err
			}
			unsaid = unsaid[1:]
		}
		if s.quiet.Load() {
			return nil, nil
		}
		if !s.pause(time.Duration(s.random.Int64N(int64(2 * every)))) {
			return nil, errOver
		}
		room := s.rooms[s.random.IntN(len(s.rooms))]
		word := fmt.Sprintf("%s %s-%d", room, strings.ReplaceAll(s.name, " ", "-"), s.words)
		s.words++
		unsaid = append(unsaid, word)
		switch s.random.IntN(20) {
		case 0: // gone before anything is said
			return unsaid, errOver
		case 1: // said, and gone before the answer
			s.note(word)
			s.id++
			s.mu.Lock()
			s.answers[float64(s.id)] = make(chan heardOf, 1) // nobody waits for it
			s.mu.Unlock()
			room, key, _ := strings.Cut(word, " ")
			_ = s.ws.WriteJSON(map[string]any{"type": "publish", "id": s.id, "room": room, "key": key, "text": "word " + key})
			return unsaid, errOver
		case 2, 3:
			if err := s.history(room); err != nil && !errors.Is(err, errAgain) {
				return unsaid, err
			}
		}
	}
}

// note notes that a word is about to be said.
func (s *visit) note(word string) (room, key, text string) {
	room, key, _ = strings.Cut(word, " ")
	text = "word " + key
	s.says(room, s.user, key, text)
	return room, key, text
}

func (s *visit) publish(word string) error {
	room, key, text := s.note(word)
	h, err := s.ask("publish", map[string]any{"room": room, "key": key, "text": text})
	if err != nil {
		return err
	}
	if h.Type != "ok" || !h.Stored || h.Seq == 0 {
		s.fault("%s: saying %s: %+v", s.name, word, h)
		return nil
	}
	s.vouched(room, voucher{s.name, s.user, key, text, h.Seq, h.Duplicate})
	return nil
}

// history asks for a few messages from somewhere behind.
func (s *visit) history(room string) error {
	s.mu.Lock()
	after := s.last[room]
	s.mu.Unlock()
	after -= min(after, uint64(s.random.IntN(200)))
	h, err := s.ask("history", map[string]any{"room": room, "after": after, "limit": 1 + s.random.IntN(100)})
	if err != nil {
		return err
	}
	if h.Type != "ok" {
		s.fault("%s: the history of %s: %+v", s.name, room, h)
		return nil
	}
	e := excerpt{by: s.name, after: after}
	for i := range h.Messages {
		e.lines = append(e.lines, h.Messages[i].line())
	}
	s.village.mu.Lock()
	defer s.village.mu.Unlock()
	s.trials[room].excerpts = append(s.trials[room].excerpts, e)
	return nil
}

func (v *vagrant) place(room string) uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.last[room]
}
