package client

import (
	"fmt"
	"strings"
	"testing"
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
		p.message("tea", 13, 12) // again
		p.pages(10, false, 10, 11, 12)
		p.message("tea", 12, 11)
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
