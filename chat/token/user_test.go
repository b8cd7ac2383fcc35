package token

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestCheckUser(t *testing.T) {
	for _, name := range []string{"b", "bob", "a_b~c:d.e-f", "auth0:7", "聊天", "हिन्दी", "٣", strings.Repeat("x", 64), strings.Repeat("é", 32)} {
		if err := CheckUser(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for name, part := range map[string]string{
		"": "empty", "~bob": "guests", "@bob": "inboxes", "~": "guests", strings.Repeat("x", 65): "64 bytes", strings.Repeat("é", 33): "64 bytes", "\xff": "UTF-8",
		"\u0301e": "combining", "bob ann": "not allowed", "bob@home": "not allowed", "a|b": "not allowed", "a/b": "not allowed", "a\x00": "not allowed", "a\n": "not allowed",
		"a\u200b": "not allowed", "a\u202e": "not allowed", "a\u3164": "not allowed", "a\ufe0f": "not allowed", "a*": "not allowed", "\U0001f600": "not allowed",
	} {
		if err := CheckUser(name); err == nil || !strings.Contains(err.Error(), part) || len(name) > 1 && strings.Contains(err.Error(), name) {
			t.Errorf("%q: %v, want %q", name, err, part)
		}
	}
}

func TestDisplayName(t *testing.T) {
	for wish, want := range map[string]string{
		"": "", "Bob": "Bob", "  Bob  B. ": "Bob B.", "Bob\r\nadmin:\tx": "Bob admin: x", "\x00\x1b[31mBob\x7f": "[31mBob", "Bob\u00a0\u3000B": "Bob B", "\u2028Bob\u2029": "Bob",
		"\u202eBob\u202c": "Bob", "B\u200bo\u200db\ufeff": "Bob", "\u3164\u115f": "", "\u2800Bob\u2800": "Bob", "\u2800": "", "\u0301Bob": "Bob", "Jose\u0301": "Jose\u0301",
		"B\xffob\ufffd": "Bob", "\U000e0042Bob\ue000\U0010ffff": "Bob", "<b>Bob</b>": "<b>Bob</b>", "😀 Bob": "😀 Bob", "\u2764\ufe0f": "\u2764",
		strings.Repeat("x", 65): strings.Repeat("x", 64), strings.Repeat("x", 63) + "é": strings.Repeat("x", 63), strings.Repeat("x", 63) + " y": strings.Repeat("x", 63),
		strings.Repeat("x", 62) + " é": strings.Repeat("x", 62), strings.Repeat("聊", 22): strings.Repeat("聊", 21), "聊天 室": "聊天 室",
	} {
		if got := DisplayName(wish); got != want {
			t.Errorf("%q is shown as %q, want %q", wish, got, want)
		}
	}
}

// checkShown is what holds for every name that others are shown.
func checkShown(t *testing.T, name string) {
	t.Helper()
	if len(name) > nameBytesMax || !utf8.ValidString(name) || name != strings.TrimSpace(name) || strings.Contains(name, "  ") {
		t.Fatalf("%q is shown", name)
	}
	for _, r := range name {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			t.Fatalf("%U is shown, in %q", r, name)
		}
	}
	if again := DisplayName(name); again != name {
		t.Fatalf("%q is shown as %q", name, again)
	}
}

func TestGuests(t *testing.T) {
	// echo -n abcdefghijklmnopqrstuvwxyz | sha256sum, the first ten bytes in base32
	if got := Guest("abcdefghijklmnopqrstuvwxyz"); got != "~ohcibx4t22xc6hx2" {
		t.Errorf("the guest is %s", got)
	}
	seen := map[string]bool{}
	for range 1000 {
		session := NewSession()
		user := Guest(session)
		if !ValidSession(session) || seen[user] || user != Guest(session) || !IsGuest(user) || len(user) != 17 || checkName(user) != nil || strings.Contains(user, session[:8]) {
			t.Fatalf("%s of %s", user, session)
		}
		if CheckUser(user) == nil {
			t.Fatalf("a token can be for the guest %s", user)
		}
		seen[user] = true
	}
	for _, text := range []string{"", "abc", strings.Repeat("a", 25), strings.Repeat("a", 27), strings.Repeat("A", 26), strings.Repeat("1", 26), strings.Repeat("a", 25) + "\n", strings.Repeat("é", 13)} {
		if ValidSession(text) {
			t.Errorf("%q is a session", text)
		}
	}
	if !ValidSession("abcdefghijklmnopqrstuvw234") || IsGuest("bob") || IsGuest("") {
		t.Error("a session is none, or a user is a guest")
	}
}
