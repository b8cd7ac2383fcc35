package main

import (
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestConflicts(t *testing.T) {
	const untrusted = "needs proxy-trust: without it nobody may send a PROXY header, and anybody could claim any address; name the balancers' networks, such as --proxy-trust 10.0.3.0/24"
	const twice = `allowed: each once (0.0.0.0, [::] and no host are all of them)`
	for _, test := range []struct {
		args []string
		want string // "" where there is no conflict
	}{
		{[]string{"--listen=:1,:1"}, "listen :1,:1 (flag --listen) names one address twice: :1 and :1; " + twice},
		{[]string{"--listen=:1,[::1]:1"}, "listen :1,[::1]:1 (flag --listen) names one address twice: :1 and [::1]:1; " + twice},
		{[]string{"--listen=0.0.0.0:1,[::]:1"}, "listen 0.0.0.0:1,[::]:1 (flag --listen) names one address twice: 0.0.0.0:1 and [::]:1; " + twice},
		{[]string{"--listen=a:1,A:1"}, "listen a:1,A:1 (flag --listen) names one address twice: a:1 and A:1; " + twice},
		{[]string{"--listen=[::1]:1,127.0.0.1:1,a:1,:2,:0,:0"}, ""},
		{[]string{"--listen=:8081"}, "admin 127.0.0.1:8081 (default) is the address of listen :8081 (flag --listen); allowed: another port, or '' for none"},
		{[]string{"--admin=0.0.0.0:1"}, "admin 0.0.0.0:1 (flag --admin) can be reached from other machines and needs admin-key-file: whoever asks has to know that key, for metrics as well; or listen on 127.0.0.1"},
		{[]string{"--admin=0.0.0.0:1", "--admin-key-file=/a"}, ""},
		{[]string{"--admin=localhost:1"}, ""},
		{[]string{"--admin=127.0.0.1:8080"}, "admin 127.0.0.1:8080 (flag --admin) is the address of listen :8080 (default); allowed: another port, or '' for none"},
		{[]string{"--listen=:8081", "--admin="}, ""},
		{[]string{"--origins=*,null"}, `origins *,null (flag --origins): origin "*" allows every page already; leave out the other 1`},
		{[]string{"--origins=same-host,null"}, ""},
		{[]string{"--proxy-protocol=optional"}, "proxy-protocol optional (flag --proxy-protocol) " + untrusted},
		{[]string{"--proxy-protocol=required", "--proxy-trust="}, "proxy-protocol required (flag --proxy-protocol) " + untrusted},
		{[]string{"--proxy-protocol=required", "--proxy-trust=10.0.0.1"}, ""},
	} {
		if test.want == "" {
			mustServe(t, nil, test.args...)
			continue
		}
		got := ask(nil, test.args...)
		if got.invocation != nil || got.code != exitUsage || got.stderr != "throng: "+test.want+"\n" {
			t.Errorf("%q: exit code %d\ngot  %swant throng: %s", test.args, got.code, got.stderr, test.want)
		}
	}
}

func TestDoubts(t *testing.T) {
	const alone = "counts addresses as TCP has them, since proxy-protocol is off: behind a balancer everybody is one address"
	for _, test := range []struct {
		args []string
		want []string
	}{
		{[]string{"--ping-interval=60s"}, []string{"ping-interval 1m is not below idle-timeout 1m: pings come too late to keep anybody"}},
		{[]string{"--ping-interval=60s", "--idle-counts=messages"}, nil},
		{[]string{"--ping-interval=60s", "--idle-timeout=0"}, nil},
		{[]string{"--idle-timeout=10s", "--idle-counts=messages", "--ping-interval=0"}, nil},
		{[]string{"--max-frame=65KiB"}, []string{"max-frame 65KiB has no effect: max-message 64KiB is reached first"}},
		{[]string{"--max-frame=64KiB"}, nil},
		{[]string{"--max-uri=9KiB"}, []string{"max-uri 9KiB has no effect: max-head 8KiB is reached first"}},
		{[]string{"--max-message=2MiB"},
			[]string{"max-message 2MiB is above max-log 1MiB: a reader that lags two such messages behind is cut off"}},
		{[]string{"--max-message=2MiB", "--max-log=0"}, nil},
		{[]string{"--max-message=1MiB"}, nil},
		{[]string{"--message-burst=9"}, []string{"message-burst 9 has no effect: message-rate is 0 (off)"}},
		{[]string{"--byte-burst=16KiB"}, []string{"byte-burst 16KiB has no effect: byte-rate is 0 (off)"}},
		{[]string{"--address-burst=9"}, []string{"address-burst 9 has no effect: address-rate is 0 (off)"}},
		{[]string{"--handshake-burst=9"}, []string{"handshake-burst 9 has no effect: handshake-rate is 0 (off)"}},
		{[]string{"--max-per-address=9"}, []string{"max-per-address 9 " + alone}},
		{[]string{"--address-rate=9"}, []string{"address-rate 9 " + alone}},
		{[]string{"--max-handshakes-per-address=9"}, []string{"max-handshakes-per-address 9 " + alone}},
		{[]string{"--max-per-address=9", "--proxy-protocol=optional", "--proxy-trust=10.0.0.0/8"}, nil},
		{[]string{"--proxy-trust=10.0.0.0/8"}, []string{"proxy-trust 10.0.0.0/8 has no effect: proxy-protocol is off"}},
		{[]string{"--proxy-protocol=optional", "--proxy-trust=10.0.0.0/8,::/0"}, []string{"proxy-trust 10.0.0.0/8,::/0 trusts everybody: any client can claim any address"}},
		{[]string{"--memory=16MiB"}, []string{"memory-mark 80: that much of memory 16MiB is what the server uses by itself, so it may let nobody in"}},
		{[]string{"--memory=32MiB"}, nil},
		{[]string{"--memory=16MiB", "--max-log=8MiB", "--memory-mark=0"},
			[]string{"memory 16MiB: the quarter of it that all logs and buffers may take is less than a single max-log 8MiB"}},
		{[]string{"--memory=0", "--max-log=8MiB"}, nil},
		{[]string{"--handshake-timeout=0"}, []string{"handshake-timeout 0: connections that never say anything are kept for ever"}},
		{[]string{"--close-timeout=0"}, []string{"close-timeout 0: connections whose peer does not answer a Close are kept for ever"}},
	} {
		if got := mustServe(t, nil, test.args...).Warnings; !reflect.DeepEqual(got, test.want) {
			t.Errorf("%q: got %q; want %q", test.args, got, test.want)
		}
	}
}

func TestCheckConfig(t *testing.T) {
	path := configFile(t, "\nmax-message: 128KiB\nmax-log: 1MiB\n")
	got := ask([]string{"THRONG_PING_INTERVAL=2m", "THRONG_PNG=1"}, "check-config", "--config", path, "--idle-timeout=120s")
	if got.invocation != nil || got.code != exitOK || got.stderr != "" {
		t.Fatalf("exit code %d, %s", got.code, got.stderr)
	}
	for _, want := range []string{
		"# Listening\nlisten: [\":8080\"]                        # default\n",
		"\nmax-message: 128KiB                      # file " + path + ":2\n",
		"\nidle-timeout: 2m                         # flag --idle-timeout\n",
		"\nping-interval: 2m                        # environment THRONG_PING_INTERVAL\n",
		"\n# Logging\nlog-level: \"info\"                        # default\n",
		"\n# warning: unknown environment variable THRONG_PNG is ignored\n",
		"\n# warning: ping-interval 2m is not below idle-timeout 2m: pings come too late to keep anybody\n",
	} {
		if strings.Count("\n"+got.stdout, want) != 1 {
			t.Errorf("%q is not in\n%s", want, got.stdout)
		}
	}
	if strings.Contains(got.stdout, "# wrong") || strings.Contains(got.stdout, "\nconfig:") {
		t.Errorf("got %s", got.stdout)
	}
}

// What check-config prints is a file that --config takes, and makes the same server.
func TestCheckConfigRoundTrip(t *testing.T) {
	for _, args := range [][]string{
		nil,
		{"--listen=:1,[::1]:2", "--admin=", "--compress", "--reuse-port", "--origins=*", "--loops=3"},
		{"--idle-timeout=0", "--ping-interval=1h30m0.5s", "--max-connections=0", "--memory=1GiB", "--max-message=0", "--max-head=1500"},
		{"--proxy-protocol=required", "--proxy-trust=10.0.0.0/8,::1", "--byte-rate=64KiB", "--address-prefix-v6=0"},
		{"--max-connections=7", "--memory=0", "--log-level=debug", "--origins=null,same-host,https://x.example", "--admin=[::1]:9"},
	} {
		printed := ask(nil, append([]string{"check-config"}, args...)...)
		if printed.code != exitOK {
			t.Fatalf("%q: exit code %d, %s", args, printed.code, printed.stdout)
		}
		var tree map[string]any
		if err := yaml.Unmarshal([]byte(printed.stdout), &tree); err != nil || len(tree) != len(settingFlags(t))-1 {
			t.Errorf("%q: %d settings, %v", args, len(tree), err)
		}
		want := mustServe(t, nil, args...).Config
		again := mustServe(t, nil, "--config", configFile(t, printed.stdout))
		want.Config = again.Config.Config
		if !reflect.DeepEqual(again.Config, want) {
			t.Errorf("%q:\ngot  %+v\nwant %+v", args, again.Config, want)
		}
	}
}
