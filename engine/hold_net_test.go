package engine_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"throng/engine"
)

// TestHoldIsTheSendersWait: what somebody on hold sends stays in the kernel, whatever is
// written to them meanwhile and however slowly they read it; afterwards all of it is
// handed over, in order.
func TestHoldIsTheSendersWait(t *testing.T) {
	const flood, told = 3000, 600
	held, all := make(chan *engine.Conn, 1), make(chan string, 1)
	next := 0
	r := start(t, &script{message: func(c *engine.Conn, text string) bool {
		switch {
		case text == "hold":
			c.Hold()
			held <- c
		case !strings.HasPrefix(text, fmt.Sprint(next, " ")):
			all <- fmt.Sprintf("%.20q came, not %d", text, next)
		default:
			if next++; next == flood {
				all <- ""
			}
		}
		return true
	}}, func(cfg *engine.Config) { cfg.IdleTimeout, cfg.PingInterval = 0, 0 })
	p := r.join()
	p.say("hold")
	c := <-held
	var talk sync.WaitGroup
	talk.Go(func() {
		for n := range flood {
			p.say(fmt.Sprint(n, strings.Repeat(" ", 1000)))
		}
	})
	before := r.e.Stats()
	r.publish(told) // more than the socket takes at once
	for range told {
		if _, _, err := p.next(); err != nil {
			t.Fatal(err)
		}
	}
	r.wait("the held one to have everything", func(s engine.Stats) bool { return s.Deliveries >= before.Deliveries+told && s.Lagging == 0 })
	if s := r.e.Stats(); s.Messages != 1 || s.BytesIn > 256<<10 || s.Paused != 1 {
		t.Errorf("%d messages, %d bytes read, %d paused", s.Messages, s.BytesIn, s.Paused)
	}
	c.Post(func(c *engine.Conn) { c.Proceed() })
	select {
	case wrong := <-all:
		if wrong != "" {
			t.Error(wrong)
		}
	case <-time.After(patience):
		t.Error("not everything was handed over")
	}
	talk.Wait()
}
