package engine_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// crowd is two people in the lobby, on different loops as chance will have it,
// who talk all the time while something happens to others. Each must hear every
// word of both, in order. Who is not one of them is not listened to.
//
// Once it runs it allocates nothing, so that a test can measure memory beside it.
type crowd struct {
	*rig
	people [2]*person
	hush   atomic.Bool
	done   sync.WaitGroup
}

type person struct {
	*peer
	said   atomic.Int64
	heard  [2]atomic.Int64 // words of each of the two
	others atomic.Int64    // messages of anybody else
	fault  atomic.Pointer[string]
}

// crowd starts the talk.
func (r *rig) crowd() *crowd {
	r.Helper()
	c := &crowd{rig: r}
	for i := range c.people {
		c.people[i] = &person{peer: r.join()}
		c.people[i].say("here")
		c.people[i].hears("here")
	}
	for i, p := range c.people {
		c.done.Add(2)
		go p.talk(c, byte('a'+i))
		go p.listen(c)
	}
	r.Cleanup(func() {
		c.hush.Store(true)
		for _, p := range c.people {
			_ = p.Close()
		}
		c.done.Wait()
	})
	return c
}

// talk says "a 1", "a 2" and so on, once in a millisecond or two.
func (p *person) talk(c *crowd, name byte) {
	defer c.done.Done()
	b := make([]byte, 0, 64)
	for n := int64(1); !c.hush.Load(); n++ {
		b = append(b[:0], 0x81, 0, 0, 0, 0, 0, name, ' ')
		b = strconv.AppendInt(b, n, 10)
		b[1] = 0x80 | byte(len(b)-6)
		_ = p.SetWriteDeadline(time.Now().Add(patience))
		if _, err := p.Conn.Write(b); err != nil {
			p.failed(c, "talking: "+err.Error())
			return
		}
		p.said.Store(n)
		time.Sleep(2 * time.Millisecond)
	}
}

// listen counts what the two say.
func (p *person) listen(c *crowd) {
	defer c.done.Done()
	body := make([]byte, 256<<10)
	for {
		if p.in.Buffered() < 128 { // as fast as the flood beside it
			_ = p.SetReadDeadline(time.Now().Add(patience))
		}
		h, err := p.in.Peek(2)
		if err != nil {
			p.failed(c, "listening: "+err.Error())
			return
		}
		op, n, head := h[0], int(h[1]), 2
		switch n {
		case 126:
			h, _ = p.in.Peek(4)
			n, head = int(binary.BigEndian.Uint16(h[2:])), 4
		case 127:
			h, _ = p.in.Peek(10)
			n, head = int(binary.BigEndian.Uint64(h[2:])), 10
		}
		_, _ = p.in.Discard(head)
		if _, err = io.ReadFull(p.in, body[:n]); err != nil {
			p.failed(c, "listening: "+err.Error())
			return
		}
		word := body[:n]
		if op != 0x81 || n < 3 || n > 20 || word[1] != ' ' || word[0] != 'a' && word[0] != 'b' {
			if op&0x0f == 8 {
				p.failed(c, "sent away: "+string(word))
				return
			}
			if op&0x0f < 8 && string(word) != "here" {
				p.others.Add(1)
			}
			continue
		}
		heard := &p.heard[word[0]-'a']
		if want := heard.Add(1); number(word[2:]) != want {
			p.failed(c, fmt.Sprintf("heard %q, want number %d", word, want))
			return
		}
	}
}

func number(digits []byte) (n int64) {
	for _, d := range digits {
		n = 10*n + int64(d-'0')
	}
	return n
}

func (p *person) failed(c *crowd, why string) {
	if !c.hush.Load() {
		p.fault.CompareAndSwap(nil, &why)
	}
}

// chats waits until some more has been said and heard by everybody.
func (c *crowd) chats() {
	c.Helper()
	a, b := c.people[0].said.Load(), c.people[1].said.Load()
	c.heardAll(a+10, b+10)
}

// parts ends the talk, which must have been heard whole.
func (c *crowd) parts() {
	c.Helper()
	c.hush.Store(true)
	c.heardAll(c.people[0].said.Load(), c.people[1].said.Load())
}

func (c *crowd) heardAll(a, b int64) {
	c.Helper()
	ok := eventually(func() bool {
		for _, p := range c.people {
			if p.fault.Load() != nil {
				return true
			}
			if p.heard[0].Load() < a || p.heard[1].Load() < b {
				return false
			}
		}
		return true
	})
	for i, p := range c.people {
		if f := p.fault.Load(); f != nil {
			c.Fatalf("bystander %c: %s", 'a'+i, *f)
		}
		if !ok {
			c.Errorf("bystander %c heard %d and %d of %d and %d words", 'a'+i, p.heard[0].Load(), p.heard[1].Load(), a, b)
		}
	}
}
