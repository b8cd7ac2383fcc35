package main

import (
	"strings"
	"testing"
)

func TestBadValues(t *testing.T) {
	const duration = "is not a duration; allowed: a number with its unit, such as 250ms, 60s or 1m30s"
	const size = "is not a size; allowed: bytes such as 65536, or 64KiB, 1MiB, 2GiB"
	const address = "is not an address; allowed: host:port, such as :8080, 127.0.0.1:8080 or [::1]:8080"
	const network = "is no network; allowed: an address, or a network such as 10.0.3.0/24 or 2001:db8::/64"
	const origins = "; allowed: same-host, *, null, or origins such as https://chat.example"
	for _, test := range []struct{ name, value, want string }{
		{"idle-timeout", "60", `"60" ` + duration + " (0, or 1ms to 168h)"},
		{"idle-timeout", "", `"" ` + duration + " (0, or 1ms to 168h)"},
		{"idle-timeout", "200h", `"200h" is too much; allowed: 0, or 1ms to 168h`},
		{"idle-timeout", "-5s", `"-5s" is too little; allowed: 0, or 1ms to 168h`},
		{"idle-timeout", "1ns", `"1ns" is too little; allowed: 0, or 1ms to 168h`},
		{"tcp-keepalive", "10ms", `"10ms" is too little; allowed: 0, or 1s to 9h`},
		{"loops", "-1", `"-1" is too little; allowed: 0 to 1024`},
		{"loops", "1025", `"1025" is too much; allowed: 0 to 1024`},
		{"loops", "two", `"two" is not a whole number (0 to 1024)`},
		{"loops", "1.5", `"1.5" is not a whole number (0 to 1024)`},
		{"max-fragments", "99999999999999999999", `"99999999999999999999" is not a whole number (auto, 0 to 16777216)`},
		{"max-message", "64KB", `"64KB" ` + size + " (0 to 256MiB)"},
		{"max-message", "-1", `"-1" ` + size + " (0 to 256MiB)"},
		{"max-message", "8388608TiB", `"8388608TiB" is more than any machine has (0 to 256MiB)`},
		{"max-message", "257MiB", `"257MiB" is too much; allowed: 0 to 256MiB`},
		{"max-head", "1023", `"1023" is too little; allowed: 0, or 1KiB to 1MiB`},
		{"max-connections", "many", `"many" is not a whole number (auto, 0 to 100000000)`},
		{"max-connections", "-1", `"-1" is too little; allowed: 0 to 100000000`},
		{"memory", "1MiB", `"1MiB" is too little; allowed: 0, or 16MiB to 64TiB`},
		{"memory", "half", `"half" ` + size + " (auto, 0, or 16MiB to 64TiB)"},
		{"compress", "maybe", `"maybe" is neither; allowed: true or false`},
		{"idle-counts", "pings", `"pings" is unknown; allowed: frames, messages`},
		{"log-level", "INFO", `"INFO" is unknown; allowed: debug, info, warn, error`},
		{"listen", "8080", `"8080" ` + address},
		{"listen", "::1:8080", `"::1:8080" ` + address},
		{"listen", "a b:80", `"a b:80" ` + address},
		{"listen", ":http", `":http" has no port from 0 to 65535`},
		{"listen", ":65536", `":65536" has no port from 0 to 65535`},
		{"listen", "", `"" has an empty value in it`},
		{"listen", ":1,,:2", `":1,,:2" has an empty value in it`},
		{"admin", "8081", `"8081" ` + address},
		{"origins", "https://chat.example/room", `"https://chat.example/room" is no origin: an origin ends after host and port; leave out "/room"` + origins},
		{"proxy-trust", "balancers", `"balancers" ` + network},
		{"proxy-trust", "10.0.0.0/33", `"10.0.0.0/33" ` + network},
		{"proxy-trust", "fe80::1%eth0", `"fe80::1%eth0" ` + network},
		{"proxy-trust", "10.0.0.1/8", `"10.0.0.1/8" has bits behind its prefix; did you mean 10.0.0.0/8, or the single address 10.0.0.1?`},
		{"proxy-trust", "::ffff:10.0.0.0/104", `"::ffff:10.0.0.0/104" is an IPv4 network written as IPv6; write it as IPv4`},
		{"proxy-trust", "10.0.0.0/8,", `"10.0.0.0/8," has an empty value in it`},
		{"proxy-protocol", "v2", `"v2" is unknown; allowed: off, optional, required`},
		{"memory-mark", "101", `"101" is too much; allowed: 0 to 100`},
		{"byte-burst", "1KiB", `"1KiB" is too little; allowed: 0, or 16KiB to 16GiB`},
		{"address-prefix-v6", "129", `"129" is too much; allowed: 0 to 128`},
		{"origins", strings.Repeat("x", 200) + "/", `"` + strings.Repeat("x", 128) + `"... is no origin: an origin ends after host and port; leave out "/"` + origins},
	} {
		for _, got := range []struct {
			asked
			place string
		}{
			{ask(nil, "--"+test.name+"="+test.value), "--" + test.name},
			{ask([]string{envName(test.name) + "=" + test.value}), envName(test.name)},
		} {
			want := "throng: " + got.place + ": " + test.want
			if got.invocation != nil || got.code != exitUsage || got.stderr != want+"\n" {
				t.Errorf("exit code %d\ngot  %swant %s", got.code, got.stderr, want)
			}
		}
	}
}

func TestGoodValues(t *testing.T) {
	for _, test := range []struct{ name, value, want string }{
		{"max-message", "65536", "64KiB"},
		{"max-message", " 64 kib ", "64KiB"},
		{"max-message", "1500B", "1500"},
		{"max-message", "0", "0"},
		{"memory", "2GiB", "2GiB"},
		{"memory", "0", "0"},
		{"max-connections", "1000", "1000"},
		{"idle-timeout", "90s", "1m30s"},
		{"idle-timeout", "60m", "1h"},
		{"idle-timeout", "0", "0s"},
		{"idle-timeout", "0.25s", "250ms"},
		{"compress", "On", "true"},
		{"compress", "0", "false"},
		{"listen", "[fe80::1%eth0]:80", `["[fe80::1%eth0]:80"]`},
		{"listen", "chat.example:0", `["chat.example:0"]`},
		{"admin", "", `""`},
		{"origins", "https://chat.example, http://[::1]:80,null", `["https://chat.example", "http://[::1]:80", "null"]`},
		{"proxy-trust", "10.0.0.7, 2001:db8::/32,::ffff:192.0.2.1", `["10.0.0.7/32", "2001:db8::/32", "192.0.2.1/32"]`},
		{"proxy-trust", "", `[]`},
	} {
		got := ask(nil, "check-config", "--"+test.name+"="+test.value)
		if got.code != exitOK || !strings.Contains("\n"+got.stdout, "\n"+test.name+": "+test.want+" ") {
			t.Errorf("--%s=%q is not %s: exit code %d, %s", test.name, test.value, test.want, got.code, got.stdout)
		}
	}
}

func TestDidYouMean(t *testing.T) {
	known := []string{"max-message", "max-messages", "idle-timeout", "loops"}
	for text, want := range map[string]string{
		"idle_timeout": "idle-timeout",
		"IdleTimeout":  "idle-timeout",
		"max-mesage":   "max-message",
		"lops":         "loops",
		"":             "",
		"frobnicate":   "",
		"x":            "",
	} {
		if want != "" {
			want = `; did you mean "` + want + `"?`
		}
		if got := didYouMean(text, known); got != want {
			t.Errorf("%q: got %q; want %q", text, got, want)
		}
	}
	if got := didYouMean(strings.Repeat("loops", 1<<16), known); got != "" {
		t.Errorf("got %q for a very long name", got)
	}
}

func FuzzBytes(f *testing.F) {
	for _, text := range []string{"0", "64KiB", "1MiB", "1 GiB", "8388607TiB", "9223372036854775807", "9223372036854775808", "1.5MiB", "KiB", "B", "-1", "12B"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var size, again Bytes
		if size.UnmarshalText([]byte(text)) != nil {
			return
		}
		if size < 0 {
			t.Fatalf("%q is %d bytes", text, int64(size))
		}
		if err := again.UnmarshalText([]byte(size.String())); err != nil || again != size {
			t.Fatalf("%q is %d bytes, which is written %s and read as %d bytes: %v", text, int64(size), size, int64(again), err)
		}
	})
}
