package chat

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
)

// seedOf returns the seed that the environment gives, or a new one, and logs it.
func seedOf(t *testing.T) uint64 {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("THRONG_SEED"); text != "" {
		seed, _ = strconv.ParseUint(text, 10, 64)
	}
	t.Logf("THRONG_SEED=%d", seed)
	return seed
}

// plainCrowd is the crowd as a table that is searched: a row for each connection.
type plainCrowd struct {
	rows  []plainRow
	gone  map[string]int64  // who is away, and since when
	told  map[string]string // whom the others know, and by which name
	names map[string]string // of those who are listed
}

type plainRow struct {
	user   string
	listed bool
}

func (p *plainCrowd) conns(user string) (n int) {
	for _, row := range p.rows {
		if row.user == user && row.listed {
			n++
		}
	}
	return n
}

func (p *plainCrowd) unlisted() (n int) {
	for _, row := range p.rows {
		if !row.listed {
			n++
		}
	}
	return n
}

// TestCrowdModel holds the crowd against a table of connections: any course of entering, leaving, renaming and telling leaves the same people, counts and
// news, and no name twice.
func TestCrowdModel(t *testing.T) {
	seed := seedOf(t)
	for _, users := range []int{3, 40, 700} {
		random := rand.New(rand.NewPCG(seed, uint64(users)))
		var c crowd
		p := plainCrowd{gone: map[string]int64{}, told: map[string]string{}, names: map[string]string{}}
		heard := map[string]string{} // what somebody knows who is told all news
		now := int64(time.Hour)
		for range 3000 {
			now += int64(random.IntN(int(absenceGrace) / 4))
			user, name := fmt.Sprintf("u%d", random.IntN(users)), fmt.Sprintf("n%d", random.IntN(users/2+1))
			switch random.IntN(8) {
			case 0, 1, 2, 3:
				shown, listed := c.enter(user, name)
				known := p.names[user] != ""
				if want := known || len(p.names) < listedMax; listed != want {
					t.Fatalf("%s entered, listed %v; want %v", user, listed, want)
				}
				p.rows = append(p.rows, plainRow{user, listed})
				if listed {
					if known && shown != p.names[user] {
						t.Fatalf("%s is shown as %s, and was as %s", user, shown, p.names[user])
					}
					p.names[user] = shown
					delete(p.gone, user)
				}
			case 4, 5, 6:
				if len(p.rows) > 0 {
					i, goodbye := random.IntN(len(p.rows)), random.IntN(2) == 0
					row := p.rows[i]
					p.rows = slices.Delete(p.rows, i, i+1)
					c.leave(row.user, row.listed, goodbye, now)
					if row.listed && p.conns(row.user) == 0 {
						if p.gone[row.user] = now; goodbye {
							p.gone[row.user] = now - int64(absenceGrace)
						}
					}
				}
			case 7:
				if p.conns(user) > 0 {
					p.names[user] = c.rename(user, name)
				}
			}
			if random.IntN(10) == 0 {
				p.news(t, &c, heard, now)
			}
			p.check(t, &c)
		}
	}
}

// news tells what is new, and holds what somebody knows by it against who is there.
func (p *plainCrowd) news(t *testing.T, c *crowd, heard map[string]string, now int64) {
	t.Helper()
	joined, left, waiting := c.news(now)
	for _, who := range left {
		if heard[who.user] == "" {
			t.Fatalf("%s is told to have left, and was not told to be there", who.user)
		}
		delete(heard, who.user)
	}
	for _, who := range joined {
		heard[who.user] = who.name
	}
	away := false
	for user, since := range p.gone {
		if now-since >= int64(absenceGrace) {
			delete(p.gone, user)
			delete(p.names, user)
		} else {
			away = true
		}
	}
	if away && !waiting {
		t.Fatal("somebody is away, and nobody is waited for")
	}
	for user, name := range heard {
		_, isAway := p.gone[user] // whose new name is told on coming back
		if p.names[user] != name && !(isAway && p.names[user] != "") {
			t.Fatalf("%s is told as %q, and is %q", user, name, p.names[user])
		}
	}
	for user, name := range p.names {
		if _, isAway := p.gone[user]; !isAway && heard[user] != name {
			t.Fatalf("%s is there as %q, and told as %q", user, name, heard[user])
		}
	}
}

func (p *plainCrowd) check(t *testing.T, c *crowd) {
	t.Helper()
	if got, want := c.size(), len(p.names)+p.unlisted(); got != want {
		t.Fatalf("%d are counted; there are %d", got, want)
	}
	if c.complete() != (p.unlisted() == 0) {
		t.Fatalf("complete: %v with %d who are not listed", c.complete(), p.unlisted())
	}
	got := map[string]string{}
	c.list(func(user, name string) {
		if got[user] != "" {
			t.Fatalf("%s is listed twice", user)
		}
		got[user] = name
	})
	if !maps.Equal(got, p.names) {
		t.Fatalf("listed are %v; want %v", got, p.names)
	}
	seen := map[string]bool{}
	for user, name := range got {
		if seen[name] {
			t.Fatalf("%s is called %s, as somebody else is", user, name)
		}
		seen[name] = true
	}
	if c.names != nil && len(c.names) != len(got) {
		t.Fatalf("%d names are booked, of %d people", len(c.names), len(got))
	}
}
