package chat

import (
	"testing"
	"time"
)

// A session stands among the alarms once, however often it brings a token, and each token is warned of.
func TestAlarmsDoNotPileUp(t *testing.T) {
	r := newTokenRig(t)
	bob := r.bearer("bob", time.Hour)
	for range authBurst {
		bob.auth("bob", time.Hour)
	}
	r.clock.add(2 * time.Minute)
	r.ring()
	bob.ok("ping", "")
	r.ring()
	if n := r.server.alarms.size(); n != 1 {
		t.Errorf("one session stands %d times among the alarms", n)
	}
}

// The end of a token is warned of a minute before, and half a minute behind it the connection ends; a fresh one goes on, and is warned of as well.
func TestExpiry(t *testing.T) {
	r := newTokenRig(t)
	bob := r.bearer("bob", 2*time.Minute)
	step := func(d time.Duration) {
		r.clock.add(d)
		r.ring()
		bob.ok("ping", "") // behind the look
	}
	step(59 * time.Second)
	step(3 * time.Second)
	if m := bob.next("error"); m.Code != "token_expiring" || m.ID != nil || m.Retry <= 0 {
		t.Fatalf("at the end of the first token: %+v", m)
	}
	bob.auth("bob", 3*time.Minute)
	step(61 * time.Second)
	step(62 * time.Second)
	if m := bob.next("error"); m.Code != "token_expiring" {
		t.Fatalf("at the end of the second token: %+v", m)
	}
	step(58 * time.Second)
	r.clock.add(31 * time.Second)
	r.ring()
	if m := bob.next("error"); m.Code != "token_expired" {
		t.Fatalf("behind it: %+v", m)
	}
	if m := bob.next("bye"); m.Code != float64(closeUnauthorized) {
		t.Errorf("and then %+v", m)
	}
}

// A raw client's token ends as well, and the connection with it.
func TestRawExpiry(t *testing.T) {
	r := newTokenRig(t)
	ws := r.rawBearer("tea", "bob", time.Minute)
	r.clock.add(80 * time.Second)
	r.ring()
	r.clock.add(20 * time.Second)
	r.ring()
	closedWith(t, ws, closeUnauthorized)
}

// Where everybody needs a token, who brings none in time is sent away; until then nothing but a token is taken.
func TestNoTokenInTime(t *testing.T) {
	r := newTokenRig(t)
	k, hello := r.nobody()
	if hello.User != "" || hello.Guest {
		t.Errorf("nobody is welcomed as %+v", hello)
	}
	k.refused("unauthorized", "join", `"room":"tea"`)
	k.refused("unauthorized", "publish", `"room":"tea","text":"x"`)
	k.refused("unauthorized", "auth", `"token":"forged"`)
	k.ok("ping", "")
	r.clock.add(authTime + 2*time.Second)
	r.ring()
	if m := k.next("bye"); m.Code != float64(closeUnauthorized) {
		t.Errorf("got %+v", m)
	}
}

// size counts those that stand among the alarms.
func (a *alarms) size() (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, list := range a.at {
		n += len(list)
	}
	return n
}
