package chat

import (
	"strings"
	"testing"

	"throng/chat/token"
)

func TestPolicyCheck(t *testing.T) {
	good := Policy{Name: "a-1", Match: []string{"tea"}}
	for fault, change := range map[string]func(*Policy){
		"":                                     func(*Policy) {},
		"the name of the policy is \"\"":       func(p *Policy) { p.Name = "" },
		"the name of the policy is \"A\"":      func(p *Policy) { p.Name = "A" },
		"the name of the policy is \"a b\"":    func(p *Policy) { p.Name = "a b" },
		"the name of the policy is \"a.b\"":    func(p *Policy) { p.Name = "a.b" },
		"the name of the policy is \"aaaaaaaa": func(p *Policy) { p.Name = strings.Repeat("a", 33) },
		"matches nothing":                      func(p *Policy) { p.Match = nil },
		"join cannot be for members":           func(p *Policy) { p.Join = Members },
		"no bound is below 0":                  func(p *Policy) { p.KeepBytes = -1 },
	} {
		p := good
		change(&p)
		if err := p.Check(); (err == nil) != (fault == "") || err != nil && !strings.Contains(err.Error(), fault) {
			t.Errorf("%+v: %v; want %q", p, err, fault)
		}
	}
	for pattern, ok := range map[string]bool{
		"*": true, "@*": true, "tea": true, "tea*": true, "@bob": true, "@bob*": true, "@~g*": true, "日本*": true, "a:b.c-d_~": true,
		"": false, "**": false, "*a": false, "a*b": false, "@": false, "@@*": false, "a b": false, "a/*": false, "tea\n": false, "\xff*": false, "@*x": false,
	} {
		p := good
		p.Match = []string{pattern}
		if err := p.Check(); (err == nil) != ok {
			t.Errorf("the pattern %q: %v", pattern, err)
		}
	}
	if err := CheckPolicies([]Policy{good, good}); err == nil {
		t.Error("two policies of one name are taken")
	}
	if err := CheckPolicies(DefaultPolicies(true)); err != nil {
		t.Error(err)
	}
}

// The first policy that matches holds, the last if none does, and only patterns with an @ mean inboxes.
func TestPolicyOf(t *testing.T) {
	all, err := newPolicies([]Policy{
		{Name: "one", Match: []string{"tea", "coffee*"}, Record: true},
		{Name: "two", Match: []string{"t*", "@b*"}},
		{Name: "three", Match: []string{"@bob", "@*"}, Record: true},
		{Name: "rest", Match: []string{"x"}, Record: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	for room, want := range map[string]string{
		"tea": "one", "coffee": "one", "coffee-2": "one", "teapot": "two", "t": "two", "Tea": "rest", "x": "rest", "zzz": "rest",
		"@bob": "two", "@ann": "three", "@~guest": "three",
	} {
		if got := all.of(room); got.Name != want {
			t.Errorf("%s is of the policy %s; want %s", room, got.Name, want)
		}
	}
	for i, want := range []int{0, -1, 1, 2} {
		if all[i].stream != want {
			t.Errorf("the policy %s has the stream %d; want %d", all[i].Name, all[i].stream, want)
		}
	}
}

func TestParseWho(t *testing.T) {
	for who := Anyone; who <= Nobody; who++ {
		if got, err := ParseWho(who.String()); got != who || err != nil {
			t.Errorf("%s is read as %s, %v", who, got, err)
		}
	}
	for _, text := range []string{"", "Anyone", "member", "everybody"} {
		if _, err := ParseWho(text); err == nil || !strings.Contains(err.Error(), "members") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Who may join and who may speak: every group against every kind of person.
func TestWhoMay(t *testing.T) {
	guest := identity{user: "~g", guest: true}
	user := identity{user: "bob", claims: &token.Claims{User: "bob"}}
	tea := identity{user: "cleo", claims: &token.Claims{User: "cleo", Rooms: []string{"tea*"}}}
	reader := identity{user: "dan", claims: &token.Claims{User: "dan", Rooms: []string{"tea"}, Publish: []string{}}}
	type may struct{ join, speak, speakInside bool }
	all, none := may{true, true, true}, may{}
	for _, test := range []struct {
		name          string
		who           *identity
		join, publish Who
		room          string
		want          may
	}{
		{"guest", &guest, Anyone, Anyone, "tea", all},
		{"guest", &guest, Anyone, Members, "tea", may{true, false, true}},
		{"guest", &guest, Anyone, Users, "tea", may{true, false, false}},
		{"guest", &guest, Users, Anyone, "tea", none},
		{"guest", &guest, Nobody, Anyone, "tea", none},
		{"user", &user, Users, Users, "tea", all},
		{"user", &user, Users, Nobody, "tea", may{true, false, false}},
		{"user", &user, Nobody, Users, "tea", none},
		{"of one room", &tea, Anyone, Anyone, "teapot", all},
		{"of one room", &tea, Anyone, Anyone, "coffee", none},
		{"reader", &reader, Anyone, Anyone, "tea", may{true, false, false}},
		{"owner", &user, Anyone, Anyone, "@bob", all},
		{"owner", &user, Nobody, Anyone, "@bob", all},
		{"somebody", &user, Anyone, Anyone, "@bobby", may{false, true, true}},
		{"somebody", &user, Anyone, Nobody, "@ann", none},
		{"guest", &guest, Anyone, Users, "@bob", none},
		{"guest", &guest, Anyone, Anyone, "@~g", all},
		{"of one room", &tea, Anyone, Anyone, "@bob", may{false, true, true}},
		{"reader", &reader, Anyone, Anyone, "@bob", none},
	} {
		p := &Policy{Join: test.join, Publish: test.publish}
		got := may{test.who.mayJoin(p, test.room), test.who.mayPublish(p, test.room, false), test.who.mayPublish(p, test.room, true)}
		if got != test.want {
			t.Errorf("%s, join=%s publish=%s, %s: %+v; want %+v", test.name, test.join, test.publish, test.room, got, test.want)
		}
	}
}
