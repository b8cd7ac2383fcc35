package client

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// tea has the client join tea, play what comes, and say what it sees.
func tea(t *testing.T, o JoinOptions, want string, scripts ...func(*peer)) {
	t.Helper()
	inBubble(t, func(t *testing.T, r *rig) {
		c := r.online(t)
		if _, err := c.Join(soon(t), "tea", o); err != nil {
			t.Fatal(err)
		}
		sees(t, c, want)
	}, scripts...)
}

// pages answers a request for history with such messages.
func (p *peer) pages(after int, more bool, numbers ...int) {
	q := p.expect("history")
	if q["after"] != float64(after) || q["before"] != nil {
		p.giveUp("asked for %v; want after %d", q, after)
	}
	messages, prev := []object{}, numbers[0]
	for _, n := range numbers[1:] {
		messages = append(messages, messageOf(n, prev))
		prev = n
	}
	p.ok(q, object{"epoch": "e1", "messages": messages, "more": more})
}

func TestOrder(t *testing.T) {
	tea(t, JoinOptions{}, "m12 m15 m16", func(p *peer) {
		p.welcome()
		p.joins(10)
		p.message("tea", 10, 9) // before the join's head
		p.message("tea", 12, 10)
		p.message("tea", 12, 10)
		p.message("milk", 1, 0) // never joined
		p.message("tea", 15, 12)
		p.message("tea", 12, 10)
		p.message("tea", 16, 15)
	})
}

// TestPurged: a room from which older messages were removed tells a smaller number before, and that is no gap.
func TestPurged(t *testing.T) {
	tea(t, JoinOptions{}, "m12 m15", func(p *peer) {
		p.welcome()
		p.joins(10)
		p.message("tea", 12, 0)
		p.message("tea", 15, 11)
	})
}

func TestMissingIsFetched(t *testing.T) {
	tea(t, JoinOptions{}, "m11 m12 m13 m14 m17 m20 m21", func(p *peer) {
		p.welcome()
		p.joins(10)
		p.message("tea", 11, 10)
		p.message("tea", 17, 14)
		p.pages(11, true, 11, 12, 13)
		p.message("tea", 21, 20) // another one is missing meanwhile
		p.pages(13, false, 13, 14)
		p.pages(17, false, 17, 20)
	})
}

// TestMissingIsGone: history has a hole, or begins late, or ends early, or is refused, or is another.
func TestMissingIsGone(t *testing.T) {
	tea(t, JoinOptions{}, "gap 11-14 m15 gap 16-18 m19 m20", func(p *peer) {
		p.welcome()
		p.joins(10)
		p.message("tea", 20, 19)
		p.pages(10, true, 14, 15)
		p.pages(15, false, 18, 19)
	})
	began := time.Duration(0)
	tea(t, JoinOptions{}, "gap 11-14 m15 m16", func(p *peer) {
		p.welcome()
		p.joins(10)
		p.message("tea", 15, 14)
		for range fetchAttempts { // the store may be late
			p.pages(10, false, 10)
		}
		p.message("tea", 16, 15)
	})
	tea(t, JoinOptions{}, "m14 m15", func(p *peer) {
		p.welcome()
		p.joins(10)
		p.message("tea", 15, 14)
		p.pages(10, false, 10)
		p.pages(10, false, 10, 14)
	})
	for _, refuse := range []func(p *peer, q object){
		func(p *peer, q object) { p.refuse(q, "denied") },
		func(p *peer, q object) { p.ok(q, object{"epoch": "e2", "messages": []object{messageOf(12, 11)}}) },
	} {
		tea(t, JoinOptions{}, "gap 11-14 m15", func(p *peer) {
			p.welcome()
			p.joins(10)
			p.message("tea", 15, 14)
			refuse(p, p.expect("history"))
		})
	}
	tea(t, JoinOptions{}, "m14 m15", func(p *peer) {
		p.welcome()
		p.joins(10)
		p.message("tea", 15, 14)
		p.refuse(p.expect("history"), "unavailable", object{"retry": 700})
		began = time.Duration(time.Now().UnixNano())
		p.pages(10, false, 10, 14)
		if wait := time.Duration(time.Now().UnixNano()) - began; wait != 700*time.Millisecond {
			p.t.Errorf("asked again after %s", wait)
		}
	})
}

// TestMuchComesMeanwhile: what is held is bounded; what did not fit is fetched.
func TestMuchComesMeanwhile(t *testing.T) {
	var want []string
	for n := 12; n <= 1000; n++ {
		want = append(want, fmt.Sprint("m", n))
	}
	tea(t, JoinOptions{}, strings.Join(want, " "), func(p *peer) {
		p.welcome()
		p.joins(11)
		for n := 14; n <= 1000; n++ {
			p.message("tea", n, n-1)
		}
		p.pages(11, true, 11, 12, 13)
		for first := 13; ; {
			q := p.expect("history")
			if q["after"] != float64(first) {
				p.giveUp("%v after %d", q, first)
			}
			messages := []object{}
			for range 100 {
				if first < 1000 {
					messages = append(messages, messageOf(first+1, first))
					first++
				}
			}
			p.ok(q, object{"epoch": "e1", "messages": messages, "more": first < 1000})
			if first > 900 {
				return
			}
		}
	})
}

func TestGapTold(t *testing.T) {
	tea(t, JoinOptions{Since: Since{"e1", 5}}, "gap 6-20 m23 m24 gap 25-30 m31", func(p *peer) {
		p.welcome()
		if q := p.joins(24, object{"replay": 2}); fmt.Sprint(q["since"]) != "map[epoch:e1 seq:5]" {
			p.t.Errorf("%v", q)
		}
		p.say(object{"type": "gap", "room": "tea", "epoch": "e1", "from": 6, "to": 20, "oldest": 21})
		p.message("tea", 23, 20)
		p.message("tea", 24, 23)
		p.say(object{"type": "gap", "room": "tea", "epoch": "e1", "from": 3, "to": 20, "oldest": 21}) // no news
		p.say(object{"type": "gap", "room": "tea", "epoch": "e1", "from": 25, "to": 30, "oldest": 31})
		p.message("tea", 31, 30)
	})
	tea(t, JoinOptions{}, "m12 m13 gap 14-17 m18", func(p *peer) { // between what is held
		p.welcome()
		p.joins(11)
		p.message("tea", 13, 12)
		q := p.expect("history")
		p.say(object{"type": "gap", "room": "tea", "epoch": "e1", "from": 14, "to": 17, "oldest": 18})
		p.message("tea", 18, 17)
		p.ok(q, object{"epoch": "e1", "messages": []object{messageOf(12, 11)}})
	})
}

// TestReset: the room's numbers begin anew.
func TestReset(t *testing.T) {
	for _, to := range []int{40, 2} {
		tea(t, JoinOptions{Since: Since{"e0", 500}}, "reset e1 m3 m4 m41 again m41", func(p *peer) {
			p.welcome()
			p.joins(4)
			p.say(object{"type": "gap", "room": "tea", "epoch": "e1", "from": 0, "to": to, "oldest": 3, "reset": true})
			p.message("tea", 3, 2)
			p.message("tea", 4, 3)
			p.message("tea", 41, 4)
			p.cut()
		}, func(p *peer) {
			p.welcome()
			if q := p.joins(41); fmt.Sprint(q["since"]) != "map[epoch:e1 seq:41]" {
				p.t.Errorf("%v", q)
			}
			p.message("tea", 41, 4)
			p.say(object{"type": "message", "room": "tea", "user": "x", "text": "m41"}) // not numbered
		})
	}
	tea(t, JoinOptions{Since: Since{"e0", 500}}, "reset e1 m3 m4", func(p *peer) { // the server owes the gap
		p.welcome()
		p.joins(4)
		p.message("tea", 3, 2)
		p.message("tea", 4, 3)
	})
}

// TestResume: a connection that is lost anywhere is taken up where it stopped.
func TestResume(t *testing.T) {
	tea(t, JoinOptions{}, "m11 m13 again m14 m15 again m20", func(p *peer) {
		p.welcome()
		p.joins(10)
		p.message("tea", 11, 10)
		p.message("tea", 13, 11)
		p.cut()
	}, func(p *peer) {
		p.welcome()
		p.expect("join")
		p.cut()
	}, func(p *peer) {
		p.welcome()
		if q := p.joins(15); fmt.Sprint(q["since"]) != "map[epoch:e1 seq:13]" {
			p.t.Errorf("%v", q)
		}
		p.message("tea", 13, 11)
		p.message("tea", 14, 13)
		p.message("tea", 15, 14)
		p.message("tea", 20, 18) // while what is missing is fetched
		p.expect("history")
		p.cut()
	}, func(p *peer) {
		p.welcome()
		if q := p.joins(15); fmt.Sprint(q["since"]) != "map[epoch:e1 seq:15]" {
			p.t.Errorf("%v", q)
		}
		p.message("tea", 20, 15)
	})
}

// TestLast: the newest few, once, however the connection fares.
func TestLast(t *testing.T) {
	last := func(p *peer, head, replay int) {
		if q := p.joins(head, object{"replay": replay}); q["last"] != float64(3) || q["since"] != nil {
			p.giveUp("%v", q)
		}
	}
	tea(t, JoinOptions{Last: 3}, "m8 m9 m10 m11", func(p *peer) {
		p.welcome()
		last(p, 10, 3)
		p.message("tea", 8, 7)
		p.message("tea", 9, 8)
		p.message("tea", 10, 9)
		p.message("tea", 11, 10)
	})
	tea(t, JoinOptions{Last: 3}, "m11 m12", func(p *peer) { // there are none
		p.welcome()
		last(p, 10, 0)
		p.message("tea", 11, 10)
		p.message("tea", 12, 11)
	})
	tea(t, JoinOptions{Last: 3}, "again m11 m12 m13 m14 m15", func(p *peer) { // what is said while it comes back is none of the last
		p.welcome()
		last(p, 10, 3)
		p.cut()
	}, func(p *peer) {
		p.welcome()
		last(p, 15, 3)
		p.message("tea", 13, 12)
		p.message("tea", 14, 13)
		p.pages(10, false, 10, 11, 12)
		p.message("tea", 15, 14)
	})
	tea(t, JoinOptions{Last: 3}, "m8 again m9 m10 m11", func(p *peer) { // in the middle of the replay
		p.welcome()
		last(p, 10, 3)
		p.message("tea", 8, 7)
		p.cut()
	}, func(p *peer) {
		p.welcome()
		if q := p.joins(11); fmt.Sprint(q["since"]) != "map[epoch:e1 seq:8]" || q["last"] != nil {
			p.t.Errorf("%v", q)
		}
		p.message("tea", 9, 8)
		p.message("tea", 10, 9)
		p.message("tea", 11, 10)
	})
}

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
