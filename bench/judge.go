package bench

import (
	"fmt"
	"time"
)

// judge waits for what is under way, because what was sent has to arrive or counts as lost, and reports.
func (w *worker) judge(c command) error {
	s := &w.spec
	sent := func(room, sender uint32) uint32 { return c.Sent[int(sender)*s.groups()+int(room)] }
	if s.Brief {
		w.awaitAnswers(c.Quiet)
	}
	fast := func(c *conn) bool { return !c.slow }
	w.drain(&w.check, c.Quiet, func() uint64 { return w.check.outstanding(w.conns, fast, sent) })
	if s.Hooks.Ack != "" {
		_ = w.run(now()+c.Quiet, func() bool { return w.check.acks >= w.sent })
	}
	w.lookForStalled()
	w.latency.add(w.inside)
	w.check.faults.Lost += w.check.forgotten + w.check.outstanding(w.conns, fast, sent)
	w.check.faults.Disconnected = w.reasons
	w.slow.judge(w, c.Quiet, sent)
	if w.quit != nil {
		return w.quit
	}
	o := &outcome{
		From: w.from, To: w.to, Latency: w.latency, Raw: w.raw, Connect: w.connect,
		Sent: w.sent, LateMax: w.lateMax, Faults: w.check.faults, Foreign: w.check.foreign, Acks: w.check.acks, Refused: w.dialing.refused, Slow: w.slow.outcome(w),
	}
	if w.storm != nil {
		o.Storm = w.storm.outcome(w)
	}
	for i := range w.rooms {
		r := &w.rooms[i]
		if !s.PerRoom || r.packed == nil && r.done == 0 {
			continue
		}
		one := roomOutcome{Room: i, Done: r.done}
		if r.packed != nil {
			one.Latency, _ = r.packed.Encode()
		}
		o.Rooms = append(o.Rooms, one)
	}
	w.box.put(message{Is: isResult, Result: o, Open: w.open})
	return nil
}

// awaitAnswers gives handshakes that are under way some time, and names those without an answer: a server that takes
// connections and says nothing would else have done nothing wrong.
func (w *worker) awaitAnswers(quiet time.Duration) {
	_ = w.run(now()+quiet, func() bool { return w.underway == 0 })
	for i := range w.conns {
		if w.conns[i].state == connAsked {
			w.reasons[fmt.Sprintf("no answer within %s", quiet)]++
		}
	}
}

// drain ends when nothing is outstanding, or nothing more comes.
func (w *worker) drain(k *checker, quiet time.Duration, outstanding func() uint64) {
	for deadline := now() + drainMax; now() < deadline && w.quit == nil; {
		missing := outstanding()
		if missing == 0 {
			return
		}
		before := k.delivered
		if w.run(min(now()+quiet, deadline), func() bool { return k.delivered >= before+missing }) != nil || k.delivered == before {
			return
		}
	}
}
