package bench

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gobwas/ws"
)

// frames takes what an open connection received and returns what is not a whole frame yet.
func (w *worker) frames(c *conn, b []byte) ([]byte, error) {
	switch {
	case w.spec.Brief:
		w.brief(c)
		return nil, nil
	case w.spec.Senders == 0:
		return w.idleFrames(c, b)
	}
	return w.receive(c, b)
}

func (w *worker) answered(c *conn, b []byte) ([]byte, error) {
	n, err := w.target(c).shake.answer(b)
	if n > 0 {
		t := now()
		w.connect.record(t - c.last)
		c.state, c.last, c.tries = connOpen, t, 0
		w.open++
		w.underway--
		w.shakes++
		w.opened(c, t)
		if w.spec.Hooks.Hello != "" {
			words := strings.NewReplacer("{n}", fmt.Sprint(w.spec.Lo+int(c.index)), roomWord, roomName(int(c.room)))
			w.send(c, appendMasked(nil, headText, []byte(words.Replace(w.spec.Hooks.Hello)), w.nextMask()))
		}
	}
	return b[n:], err
}

// opened does what a scenario wants of a connection that was just upgraded.
func (w *worker) opened(c *conn, t instant) {
	if w.churn.coming(c) {
		w.churn.cycles++
	}
	if w.storm != nil && c.back {
		w.storm.returned(t)
	}
}

// idleFrames is for those who only hold connections: what they are told is nothing to them.
func (w *worker) idleFrames(c *conn, b []byte) ([]byte, error) {
	for {
		f, n, err := nextFrame(b)
		if n == 0 {
			return b, err
		}
		b = b[n:]
		if err := w.control(c, f); err != nil && !errors.Is(err, errFrameFragment) {
			return nil, err
		}
	}
}

// control takes a frame that is no message for us: a ping, a close, or a fault.
func (w *worker) control(c *conn, f frame) error {
	if err := f.check(false); err != nil {
		return err
	}
	switch f.head {
	case headPing:
		w.send(c, appendMasked(nil, headPong, f.payload, w.nextMask()))
	case headClose:
		code, reason := ws.ParseCloseFrameData(f.payload)
		if reason == "" {
			return fmt.Errorf("closed with %d", code)
		}
		return fmt.Errorf("closed with %d %.60q", code, reason)
	}
	return nil
}
