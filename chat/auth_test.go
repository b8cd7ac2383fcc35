package chat

import (
	"fmt"
	"testing"
	"time"
)

// Whoever sends one auth after the other is told to slow down: to check a signature takes a hundred times what another request does.
func TestAuthFlood(t *testing.T) {
	r := newTokenRig(t)
	bob := r.bearer("bob", time.Hour)
	refused := 0
	for range 3 * authBurst {
		if m := bob.ask("auth", fmt.Sprintf(`"token":%q`, r.token("bob", time.Hour))); m.Code == "rate" && m.Retry > 0 {
			refused++
		}
	}
	if refused != 2*authBurst {
		t.Errorf("%d of %d were refused", refused, 3*authBurst)
	}
	r.clock.add(authEvery)
	bob.auth("bob", time.Hour)
	r.clock.add(time.Hour / 2)
	for range authBurst {
		bob.auth("bob", time.Hour)
	}
	bob.refused("rate", "auth", `"token":"forged"`)
}

// A token with another name changes what the rooms show, under their rule that no two are the same.
func TestNameOfToken(t *testing.T) {
	r := newTokenRig(t)
	ann, bob := r.bearer("ann", time.Hour), r.bearer("bob", time.Hour)
	ann.ok("join", `"room":"tea"`)
	bob.ok("join", `"room":"tea"`)
	if m := bob.ok("auth", fmt.Sprintf(`"token":"bob/%d//ann"`, r.clock.now().Add(time.Hour).Unix())); m.Name != "ann" {
		t.Errorf("authed as %+v", m)
	}
	bob.ok("publish", `"room":"tea","text":"who am I?"`)
	if m := ann.next("message"); m.Name != "ann 2" || m.User != "bob" {
		t.Errorf("bob with a token in ann's name spoke as %+v", m)
	}
}

// A guest who is nowhere yet may become a user with its first message; later it may not.
func TestGuestBecomesUser(t *testing.T) {
	r := newGuestRig(t, newFakeClock(), true)
	k, hello := r.nobody()
	if !hello.Guest {
		t.Errorf("welcomed as %+v", hello)
	}
	h := &holder{k, r}
	if m := h.auth("bob", time.Hour); m.User != "bob" {
		t.Errorf("authed as %+v", m)
	}
	k.ok("join", `"room":"@bob"`)
	k.refused("unauthorized", "auth", fmt.Sprintf(`"token":%q`, r.token("eve", time.Hour)))
	guest, _ := r.nobody()
	guest.ok("join", `"room":"tea"`)
	guest.refused("unauthorized", "auth", fmt.Sprintf(`"token":%q`, r.token("bob", time.Hour)))
}

// A token that allows less than the last one takes the connection out of rooms.
func TestRecheck(t *testing.T) {
	r := newTokenRig(t)
	bob, ann := r.bearer("bob", time.Hour), r.bearer("ann", time.Hour)
	for _, room := range []string{"a", "tea", "b"} {
		bob.ok("join", fmt.Sprintf(`"room":%q`, room))
	}
	ann.ok("join", `"room":"a"`)
	ann.ok("join", `"room":"tea"`)
	bob.ok("auth", fmt.Sprintf(`"token":"bob/%d/tea"`, r.clock.now().Add(time.Hour).Unix()))
	bob.refused("denied", "join", `"room":"a"`)
	bob.refused("denied", "history", `"room":"a"`)
	bob.refused("denied", "members", `"room":"a"`)
	bob.refused("denied", "publish", `"room":"a","text":"x"`)
	bob.refused("denied", "signal", `"room":"a","text":"x"`)
	bob.refused("not_joined", "leave", `"room":"b"`)
	ann.ok("publish", `"room":"a","text":"x"`)
	ann.ok("publish", `"room":"tea","text":"y"`)
	for range 2 {
		if m := bob.next("error"); m.Code != "denied" || m.ID != nil {
			t.Errorf("told of a room that it has left: %+v", m)
		}
	}
	if m := bob.next("message"); m.Text != "y" {
		t.Errorf("got %+v", m)
	}
}
