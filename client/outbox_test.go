package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func soonCancelled(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithCancel(soon(t))
}

func (p *peer) acknowledges(key any, seq int, more ...object) object {
	q := p.expect("publish")
	if key != nil && q["key"] != key {
		p.giveUp("%v instead of %v", q, key)
	}
	p.ok(q, append([]object{{"seq": seq, "stored": true}}, more...)...)
	return q
}

func TestPublish(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		c := r.online(t)
		for i, content := range []Content{Text("a <b> & \u2028"), JSON(object{"a": []int{1}}), Data([]byte{0, 255}), Text(""), Data(nil), JSON(nil)} {
			if ack, err := c.Publish(soon(t), "tea", content); err != nil || ack != (Ack{Seq: uint64(i + 1), Stored: true}) {
				t.Errorf("%v, %v", ack, err)
			}
		}
		if ack, err := c.Publish(soon(t), "tea", Text("x"), WithKey("mine")); err != nil || !ack.Duplicate {
			t.Errorf("%v, %v", ack, err)
		}
		for _, bad := range []Content{{}, Text("\xff"), JSON(make(chan int))} {
			if _, err := c.Publish(soon(t), "tea", bad); !errors.Is(err, &Error{Code: CodeBadRequest}) {
				t.Errorf("%v", err)
			}
		}
		if _, err := c.Publish(soon(t), "", Text("a")); !errors.Is(err, &Error{Code: CodeName}) {
			t.Errorf("%v", err)
		}
		if _, err := c.Publish(soon(t), "tea", Text(strings.Repeat("a", 1<<16))); !errors.Is(err, &Error{Code: CodeTooBig}) {
			t.Errorf("%v", err)
		}
		if _, err := c.Publish(soon(t), "tea", Text("a")); !errors.Is(err, &Error{Code: CodeDenied}) {
			t.Errorf("%v", err)
		}
	}, func(p *peer) {
		p.welcome()
		keys := map[any]bool{}
		for i, want := range []string{"text a <b> & \u2028", "json map[a:[1]]", "data AP8=", "text ", "data ", "json <nil>"} {
			q := p.acknowledges(nil, i+1)
			kind, _, _ := strings.Cut(want, " ")
			if value, there := q[kind]; !there || fmt.Sprint(kind, " ", value) != want || len(q) != 5 {
				p.t.Errorf("%v; want %s", q, want)
			}
			if key := q["key"].(string); len(key) < 26 || keys[key] {
				p.t.Errorf("the key %q", key)
			}
			keys[q["key"]] = true
		}
		p.acknowledges("mine", 3, object{"duplicate": true})
		p.refuse(p.expect("publish"), "denied")
	})
}

// TestResend: what was not acknowledged goes out again with its key, in its order, until it is.
func TestResend(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		c := r.client(t) // not online yet
		var receipts []*Receipt
		for i := range 5 {
			receipt, err := c.Enqueue(context.Background(), "tea", Text(fmt.Sprint(i)), WithKey(fmt.Sprint("k", i)))
			if err != nil {
				t.Fatal(err)
			}
			receipts = append(receipts, receipt)
		}
		for i, receipt := range receipts {
			if ack, err := receipt.Wait(soon(t)); err != nil || ack.Seq != uint64(i+1) || receipt.Key() != fmt.Sprint("k", i) {
				t.Errorf("%v, %v", ack, err)
			}
		}
		if n := c.outbox.waiting.Len(); n != 0 || c.outbox.bytes != 0 || c.outbox.underway != 0 {
			t.Errorf("%d messages, %d bytes, %d under way are left", n, c.outbox.bytes, c.outbox.underway)
		}
	}, nil, func(p *peer) {
		p.welcome()
		p.acknowledges("k0", 1)
		for _, key := range []string{"k1", "k2", "k3", "k4"} {
			if q := p.expect("publish"); q["key"] != key {
				p.t.Errorf("%v instead of %s", q, key)
			}
		}
		p.cut() // stored, and the acknowledgement is lost
	}, func(p *peer) {
		p.welcome()
		p.acknowledges("k1", 2, object{"duplicate": true})
		p.cut()
	}, func(p *peer) {
		p.welcome()
		p.acknowledges("k2", 3)
		p.acknowledges("k3", 4)
		p.acknowledges("k4", 5)
	})
}

// TestNotNow: a server that cannot just now is asked again, no sooner than it says.
func TestNotNow(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		c := r.online(t)
		began := time.Now()
		if ack, err := c.Publish(soon(t), "tea", Text("a"), WithKey("k")); err != nil || ack.Seq != 1 || time.Since(began) < 4*time.Second {
			t.Errorf("%v, %v after %s", ack, err, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		_, err := c.Publish(ctx, "tea", Text("a"))
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, &Error{Code: CodeUnavailable}) {
			t.Errorf("%v", err)
		}
	}, func(p *peer) {
		p.welcome()
		p.refuse(p.expect("publish"), "rate", object{"retry": 4000})
		p.refuse(p.expect("publish"), "unavailable")
		p.acknowledges("k", 1)
		for {
			p.refuse(p.expect("publish"), "unavailable")
		}
	})
}

// TestGivenUp: a message whose context ends is not sent again, and its late acknowledgement does no harm.
func TestGivenUp(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		c := r.online(t)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		receipt, err := c.Enqueue(ctx, "tea", Text("a"), WithKey("given up"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := receipt.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		<-receipt.Done()
		if _, err := c.Publish(ctx, "tea", Text("a")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if ack, err := c.Publish(soon(t), "tea", Text("a"), WithKey("next")); err != nil || ack.Seq != 2 {
			t.Errorf("%v, %v", ack, err)
		}
	}, func(p *peer) {
		p.welcome()
		q := p.expect("publish")
		time.Sleep(2 * time.Second)
		p.ok(q, object{"seq": 1, "stored": true})
		p.expect("publish")
		p.cut()
	}, func(p *peer) {
		p.welcome()
		p.acknowledges("next", 2)
	})
}

// TestBounds: so many wait at most, and so many are under way.
func TestBounds(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.options.Pending = 100
		c := r.online(t)
		for i := range 101 {
			_, err := c.Enqueue(context.Background(), "tea", Text("a"))
			if full := errors.Is(err, ErrQueueFull); full != (i == 100) {
				t.Errorf("message %d: %v", i, err)
			}
		}
		synctest.Wait()
		time.Sleep(time.Second)
		big := Data(make([]byte, pendingBytesMax-100))
		if _, err := c.Enqueue(context.Background(), "tea", big); err != nil {
			t.Error(err)
		}
		if _, err := c.Enqueue(context.Background(), "tea", big); !errors.Is(err, ErrQueueFull) {
			t.Error(err)
		}
	}, func(p *peer) {
		p.welcome(object{"limits": object{"message": 0}})
		var under []object
		for range inFlightMax {
			under = append(under, p.expect("publish"))
		}
		time.Sleep(time.Millisecond)
		if n := p.in.Buffered(); n > 0 {
			p.t.Errorf("%d bytes more than %d messages", n, inFlightMax)
		}
		for _, q := range under {
			p.ok(q, object{"stored": false})
		}
		for range 100 - inFlightMax {
			p.ok(p.expect("publish"), object{"stored": false})
		}
	})
}
