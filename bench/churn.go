package bench

import (
	"math/rand/v2"
	"time"

	"github.com/gobwas/ws"
)

// churn lets random receivers leave while the load runs, every other one with a close frame, and come back at once.
// One that came back takes the first message of each sender as the beginning of what it follows.
type churn struct {
	start   instant
	left    int // so far
	cycles  uint64
	leaving []dueConn // have said goodbye, oldest first
}

const goodbyePatience = time.Second

func (k *churn) begin(w *worker, at instant) { k.start, k.left = at, 0 }

func (k *churn) at(w *worker) instant {
	if w.spec.Churn == 0 || !w.talking {
		return forever
	}
	at := k.start + instant(float64(k.left+1)/w.spec.Churn*float64(time.Second))
	if len(k.leaving) > 0 {
		at = min(at, k.leaving[0].at)
	}
	return at
}

// coming tells whether one that was just upgraded had been there before.
func (k *churn) coming(c *conn) bool { return len(c.next) > 0 && c.next[0] == unseen }

func (w *worker) churnDue(t instant) {
	k := &w.churn
	for len(k.leaving) > 0 && k.leaving[0].at <= t {
		if c := &w.conns[k.leaving[0].index]; c.state == connLeaving && c.last <= t-goodbyePatience {
			w.shut(c, true)
			w.comeBack(c, t)
		}
		k.leaving = k.leaving[1:]
	}
	for k.at(w) <= t {
		k.left++
		w.leave(&w.conns[rand.IntN(len(w.conns))], t, k.left%2 == 0)
	}
}

// leave makes one go, if it is there and does not talk.
func (w *worker) leave(c *conn, t instant, politely bool) {
	if c.state != connOpen || c.sender >= 0 {
		return
	}
	w.forget(c)
	if !politely {
		w.shut(c, true)
		w.comeBack(c, t)
		return
	}
	w.send(c, appendMasked(nil, headClose, ws.NewCloseFrameBody(ws.StatusNormalClosure, ""), w.nextMask()))
	if c.state == connOpen {
		c.state, c.last = connLeaving, t
		w.churn.leaving = append(w.churn.leaving, dueConn{t + goodbyePatience, c.index})
	}
}
