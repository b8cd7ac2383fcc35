package client

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestEphemeral(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		c := r.online(t, "tea")
		var got []Event
		for e := range c.Events(soon(t)) {
			if _, isState := e.(State); !isState {
				got = append(got, e)
			}
			if len(got) == 6 {
				break
			}
		}
		want := `[{tea false  0 false Ann 1 -1}` +
			` {tea 2 [{~bob Bob}] [] [{~ann Ann} {~bob Bob}] true}` +
			` {tea ~bob Bob {"typing":true}} {tea ~bob Bob null}` +
			` {tea 0 0 1970-01-01 00:00:00.005 +0000 UTC ~bob Bob k hello} {tea 0 0 1970-01-01 00:00:00.005 +0000 UTC ~bob Bob  ` + "\x01\x02" + `}]`
		for i, e := range got {
			if m, isMessage := e.(Message); isMessage {
				m.Time = m.Time.UTC()
				got[i] = m
			}
		}
		if text := fmt.Sprint(got); text != want {
			t.Errorf("got  %s\nwant %s", text, want)
		}
	}, func(p *peer) {
		p.welcome()
		p.ok(p.expect("join"), object{"recorded": false, "name": "Ann", "count": 1})
		bob := object{"room": "tea", "user": "~bob", "name": "Bob"}
		people := []object{{"user": "~ann", "name": "Ann"}, {"user": "~bob", "name": "Bob"}}
		p.say(object{"type": "presence", "room": "tea", "count": 2, "joined": people[1:], "members": people, "complete": true})
		p.say(object{"type": "signal", "json": object{"typing": true}}, bob)
		p.say(object{"type": "signal", "json": nil}, bob)
		p.say(object{"type": "message", "time": 5, "key": "k", "text": "hello"}, bob)
		p.say(object{"type": "message", "time": 5, "data": "AQI="}, bob)
	})
}

func TestJoinRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		c := r.online(t)
		room, err := c.Join(soon(t), "tea", JoinOptions{})
		var e *Error
		if room != nil || !errors.As(err, &e) || !errors.Is(err, &Error{Code: CodeFull}) || e.Room != "tea" || e.Hint != "wait" {
			t.Errorf("%v, %v", room, err)
		}
		began := time.Now()
		room, err = c.Join(soon(t), "tea", JoinOptions{}) // another attempt is another room; at first it is not to be had
		if err != nil || room.Alias() != "Ann" || !room.Recorded() || room.Epoch() != "e1" || room.Name() != "tea" || time.Since(began) != 3*time.Second {
			t.Errorf("%+v, %v, %s", room, err, time.Since(began))
		}
		if same, err := c.Join(soon(t), "tea", JoinOptions{Last: 3}); same != room || err != nil {
			t.Errorf("%v, %v", same, err)
		}
		sees(t, c, "again left") // the second connection lets it in, the third does not
		if _, err := c.Join(soon(t), "", JoinOptions{}); !errors.Is(err, &Error{Code: CodeName}) {
			t.Errorf("%v", err)
		}
	}, func(p *peer) {
		p.welcome()
		p.refuse(p.expect("join"), "full")
		p.refuse(p.expect("join"), "unavailable", object{"retry": 3000})
		p.joins(1)
		time.Sleep(time.Second)
		p.cut()
	}, func(p *peer) {
		p.welcome()
		p.joins(1)
		p.cut()
	}, func(p *peer) {
		p.welcome()
		p.refuse(p.expect("join"), "denied")
	})
}

// TestJoinGivenUp: a room that nobody waits for any more is left.
func TestJoinGivenUp(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		c := r.online(t)
		if _, err := c.Join(t.Context(), "milk", JoinOptions{}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := soonCancelled(t)
		time.AfterFunc(time.Second, cancel)
		if _, err := c.Join(ctx, "tea", JoinOptions{}); err == nil {
			t.Error("joined")
		}
		becomes(t, c, Waiting)
		becomes(t, c, Online)
		synctest.Wait()
	}, func(p *peer) {
		p.welcome()
		p.joins(1)
		p.expect("join")
		if q := p.expect("leave"); q["room"] != "tea" {
			p.t.Errorf("%v", q)
		}
		p.cut()
	}, func(p *peer) {
		p.welcome()
		if q := p.joins(1); q["room"] != "milk" {
			p.t.Errorf("%v", q)
		}
	})
}

func TestLeave(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		c := r.online(t, "tea", "milk")
		room, _ := c.Join(soon(t), "tea", JoinOptions{})
		if err := room.Leave(soon(t)); err != nil {
			t.Error(err)
		}
		if err := room.Leave(soon(t)); err != nil { // it is left already
			t.Error(err)
		}
		becomes(t, c, Waiting)
		sees(t, c, "again")
	}, func(p *peer) {
		p.welcome()
		p.joins(1)
		p.joins(1)
		q := p.expect("leave")
		p.message("tea", 2, 1) // was under way
		p.ok(q)
		p.message("tea", 3, 2)
		p.cut()
	}, func(p *peer) {
		p.welcome()
		if q := p.joins(1); q["room"] != "milk" {
			p.t.Errorf("%v", q)
		}
	})
}

func TestInboxAndQuestions(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		c := r.client(t)
		inbox, err := c.Inbox(soon(t), JoinOptions{})
		if err != nil || inbox.Name() != "@~ann" {
			t.Fatal(inbox, err)
		}
		page, err := inbox.History(soon(t), HistoryQuery{Before: 9, Limit: 2})
		if err != nil || page.Epoch != "e1" || !page.More || len(page.Messages) != 2 || page.Messages[1].Content.String() != "m8" || page.Messages[1].Room != "@~ann" {
			t.Errorf("%+v, %v", page, err)
		}
		if _, err := inbox.History(soon(t), HistoryQuery{FromStart: true}); !errors.Is(err, &Error{Code: CodeUnavailable}) {
			t.Errorf("%v", err)
		}
		members, err := inbox.Members(soon(t)) // asked again on the next connection
		if err != nil || members.Count != 7 || members.Complete || !slices.Equal(members.Members, []Member{{"~ann", "Ann"}}) {
			t.Errorf("%+v, %v", members, err)
		}
		if err := inbox.Signal(soon(t), JSON(object{"typing": true})); err != nil {
			t.Error(err)
		}
		if err := inbox.Signal(soon(t), Text("x")); !errors.Is(err, ErrOffline) { // cut before the answer
			t.Error(err)
		}
		if err := inbox.Signal(soon(t), Text("x")); !errors.Is(err, ErrOffline) {
			t.Error(err)
		}
		if name, err := c.Rename(soon(t), "Anna"); err != nil || name != "Anna 2" {
			t.Errorf("%q, %v", name, err)
		}
	}, func(p *peer) {
		p.welcome()
		p.joins(1)
		q := p.expect("history")
		if q["before"] != 9.0 || q["after"] != nil || q["limit"] != 2.0 {
			p.t.Errorf("%v", q)
		}
		p.ok(q, object{"epoch": "e1", "more": true, "messages": []object{messageOf(7, 6), messageOf(8, 7)}})
		q = p.expect("history")
		if q["after"] != 0.0 || q["limit"] != nil {
			p.t.Errorf("%v", q)
		}
		p.refuse(q, "unavailable")
		p.expect("members")
		p.cut()
	}, func(p *peer) {
		p.welcome()
		p.joins(1)
		p.ok(p.expect("members"), object{"count": 7, "members": []object{{"user": "~ann", "name": "Ann"}}})
		p.ok(p.expect("signal"))
		p.expect("signal")
		p.cut()
	}, func(p *peer) {
		p.welcome()
		p.joins(1)
		p.ok(p.expect("auth"), object{"name": "Anna 2"})
	})
}
