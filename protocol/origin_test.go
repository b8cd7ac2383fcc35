package protocol

import (
	"net/url"
	"strings"
	"testing"
)

func TestOrigins(t *testing.T) {
	const host = "chat.example.com"
	tests := []struct {
		policy, origin, host string
		want                 bool
	}{
		{"", "", host, true}, // no page
		{"", "https://chat.example.com", host, true},
		{"same-host", "https://chat.example.com", host, true},
		{"same-host", "http://chat.example.com", host, true},
		{"same-host", "HTTPS://CHAT.example.COM", "Chat.Example.Com", true},
		{"same-host", "https://chat.example.com:443", host, true},
		{"same-host", "https://chat.example.com", host + ":443", true},
		{"same-host", "https://chat.example.com", host + ":", true},
		{"same-host", "wss://chat.example.com", host, true},
		{"same-host", "http://chat.example.com", host + ":443", false},
		{"same-host", "https://chat.example.com:8443", host, false},
		{"same-host", "https://chat.example.com", host + ":8443", false},
		{"same-host", "https://chat.example.com:8443", host + ":8443", true},
		{"same-host", "http://chat.example.com:443", host, false},
		{"same-host", "http://[::1]:8080", "[::1]:8080", true},
		{"same-host", "http://127.0.0.1:8080", "127.0.0.1:8080", true},
		{"same-host", "https://evil.example", host, false},
		{"same-host", "https://chat.example.com.evil.example", host, false},
		{"same-host", "https://evilchat.example.com", host, false},
		{"same-host", "https://chat.example.com.", host, false},
		{"same-host", "https://chat.example.com/", host, false},
		{"same-host", "https://chat.example.com@evil.example", host, false},
		{"same-host", "https://evil.example https://chat.example.com", host, false},
		{"same-host", "chat.example.com", host, false},
		{"same-host", "https://", host, false},
		{"same-host", "https://", "", false},
		{"same-host", "https://chat.example.com", "", false},
		{"same-host", "chrome-extension://chat.example.com", host, false},
		{"same-host", "file://", host, false},
		{"same-host", "null", host, false},
		{"same-host", "null", "null", false},
		{"null", "null", host, true},
		{"null", "https://chat.example.com", host, false},
		{"null", "", host, true},
		{"*", "https://evil.example", host, true},
		{"*", "null", host, true},
		{"*", "what is this", host, true},

		{"https://a.example", "https://a.example", host, true},
		{"https://a.example", "https://A.Example:443", host, true},
		{"https://a.example:443", "https://a.example", host, true},
		{"HTTPS://A.EXAMPLE", "https://a.example", host, true},
		{"https://a.example", "http://a.example", host, false},
		{"https://a.example", "https://a.example:8443", host, false},
		{"https://a.example", "https://b.a.example", host, false},
		{"https://a.example", "https://chat.example.com", host, false},
		{"https://a.example,same-host", "https://chat.example.com", host, true},
		{"https://a.example,https://b.example:81", "https://b.example:81", host, true},
		{"a.example", "https://a.example", host, true},
		{"a.example", "http://a.example", host, true},
		{"a.example", "http://a.example:8080", host, false},
		{"a.example", "app://a.example", host, false},
		{"a.example:8080", "http://a.example:8080", host, true},
		{"a.example:8080", "https://a.example:8080", host, true},
		{"a.example:8080", "https://a.example", host, false},
		{"a.example:443", "http://a.example", host, false},
		{"chrome-extension://abcdef", "chrome-extension://abcdef", host, true},
		{"chrome-extension://abcdef", "https://abcdef", host, false},
		{"https://[2001:DB8:0::1]", "https://[2001:db8::1]", host, true},
		{"http://[::ffff:1.2.3.4]:80", "http://[::ffff:102:304]", host, true},
	}
	for _, test := range tests {
		var list []string
		if test.policy != "" {
			list = strings.Split(test.policy, ",")
		}
		o, err := ParseOrigins(list)
		if err != nil {
			t.Errorf("%q: %v", test.policy, err)
			continue
		}
		if got := o.Allows([]byte(test.origin), []byte(test.host)); got != test.want {
			t.Errorf("policy %q, origin %q, host %q: %v", test.policy, test.origin, test.host, got)
		}
	}
}

func TestZeroOriginsAllowNoPage(t *testing.T) {
	var o Origins
	if o.Allows([]byte("https://a"), []byte("a")) || !o.Allows(nil, []byte("a")) {
		t.Fatal("the zero policy is not the strictest")
	}
}

func TestParseOriginsErrors(t *testing.T) {
	tests := []struct{ entry, says string }{
		{"", "no host"},
		{"https://a.example/", `leave out "/"`},
		{"https://a.example/path", `leave out "/path"`},
		{"https://*.example", "no wildcards"},
		{"*.example", "no wildcards"},
		{"https://::1", "brackets"},
		{"2001:db8::1", "brackets"},
		{"https://bücher.example", "xn--"},
		{"https://a.example:65536", "no host"},
		{"https://a.example:x", "no host"},
		{"https://", "no host"},
		{"1http://a", "no scheme"},
		{"://a", "no scheme"},
		{"https://me@a.example", "no host"},
		{"a b", "no host"},
	}
	for _, test := range tests {
		_, err := ParseOrigins([]string{"same-host", test.entry})
		if err == nil || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), test.entry) {
			t.Errorf("%q: %v", test.entry, err)
		}
	}
	if _, err := ParseOrigins([]string{"*", "https://a"}); err == nil {
		t.Error("* beside others is accepted")
	}
}

func TestAllowsAllocatesNothing(t *testing.T) {
	o, _ := ParseOrigins([]string{"same-host", "https://a.example", "b.example:81"})
	origin, host := []byte("https://c.example:81"), []byte("d.example")
	if n := testing.AllocsPerRun(100, func() { o.Allows(origin, host) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzOrigins: a policy written down and read again is the same; what same-host allows has, in the
// eyes of net/url, the host and port of the request; and a rule allows what it is written as.
func FuzzOrigins(f *testing.F) {
	f.Add("https://a.example", "https://a.example:443", "a.example")
	f.Add("same-host", "http://[::1]:80", "[::1]")
	f.Add("a.example:81", "null", "a:")
	f.Add("*", "x", "")
	f.Add("https://[::ffff:1.2.3.4]", "https://a@b", "b")
	f.Fuzz(func(t *testing.T, entry, origin, host string) {
		same, _ := ParseOrigins(nil)
		if origin != "" && same.Allows([]byte(origin), []byte(host)) && !sameHostByURL(origin, host) {
			t.Fatalf("%q may enter %q", origin, host)
		}
		o, err := ParseOrigins([]string{entry})
		if err != nil {
			return
		}
		_ = o.Allows([]byte(origin), []byte(host))
		again, err := ParseOrigins([]string{o.String()})
		if err != nil || again.String() != o.String() {
			t.Fatalf("%q is written as %q and read as %q, %v", entry, o.String(), again.String(), err)
		}
		if text := o.String(); strings.Contains(text, "://") && !o.Allows([]byte(text), nil) {
			t.Fatalf("%q does not allow itself", text)
		}
	})
}

func sameHostByURL(origin, host string) bool {
	page, err := url.Parse(origin)
	if err != nil {
		return false
	}
	ours, err := url.Parse(page.Scheme + "://" + host)
	if err != nil {
		return false
	}
	port := func(u *url.URL) string {
		switch {
		case u.Port() != "":
			return strings.TrimLeft(u.Port(), "0")
		case u.Scheme == "http" || u.Scheme == "ws":
			return "80"
		}
		return "443"
	}
	return strings.EqualFold(page.Hostname(), ours.Hostname()) && port(page) == port(ours)
}
