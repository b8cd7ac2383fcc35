package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"throng/chat"
)

// TestUnit: systemd understands the unit and finds nothing in it that it warns of, and that it keeps the server in.
func TestUnit(t *testing.T) {
	analyze := installed(t, "systemd-analyze")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	unit := adapted(t, "throng.service", `ExecStart=/usr/local/bin/throng `, "ExecStart="+self+" ")
	if said, err := exec.Command(analyze, "verify", "--man=no", unit).CombinedOutput(); err != nil || len(said) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, said)
	}
	// In tenths: 2.0 of 10 is what systemd calls OK.
	const exposure = "20"
	if said, err := exec.Command(analyze, "security", "--offline=true", "--threshold="+exposure, unit).CombinedOutput(); err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, said)
	}
}

// TestUnitFitsSettings: the unit leaves a drain its time, asks for no more descriptors than the kernel is told to give, and starts what is there.
func TestUnitFitsSettings(t *testing.T) {
	unit, kernel := deployed(t, "throng.service", "="), deployed(t, "sysctl.conf", "=")
	cfg := mustServe(t, nil, "--config", "deploy/throng.yaml").Config
	if stop, need := seconds(t, unit["TimeoutStopSec"]), cfg.DrainDelay+cfg.DrainTime+cfg.CloseTimeout; stop < need+10*time.Second {
		t.Errorf("TimeoutStopSec is %v, and a drain takes up to %v", stop, need)
	}
	files, err := strconv.Atoi(unit["LimitNOFILE"])
	most, err2 := strconv.Atoi(kernel["fs.nr_open"])
	if err != nil || err2 != nil || files > most {
		t.Errorf("LimitNOFILE is %q, fs.nr_open %q", unit["LimitNOFILE"], kernel["fs.nr_open"])
	}
	if watch := seconds(t, unit["WatchdogSec"]); watch < 10*time.Second {
		t.Errorf("WatchdogSec is %v: a machine that stands still for a moment would lose its people", watch)
	}
	for key, want := range map[string]string{"Type": "notify", "NotifyAccess": "main", "RuntimeDirectory": "throng", "StateDirectory": "throng",
		"ExecStart": "/usr/local/bin/throng --config /etc/throng/throng.yaml"} {
		if unit[key] != want {
			t.Errorf("%s is %q, want %q", key, unit[key], want)
		}
	}
}

func seconds(t *testing.T, text string) time.Duration {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(n) * time.Second
}

// deployed reads the lines of a file of deploy/ that have a key and a value.
func deployed(t *testing.T, file, separator string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for line := range strings.Lines(readText(os.DirFS("."), "deploy/"+file)) {
		key, value, found := strings.Cut(strings.TrimSpace(line), separator)
		if found && !strings.HasPrefix(line, "#") {
			all[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	return all
}

// TestSettingsFile: throng takes the example as it is, and doubts nothing in it.
func TestSettingsFile(t *testing.T) {
	got := run(t, nil, "check-config", "--config", "deploy/throng.yaml")
	if got.code != exitOK || got.stderr != "" || strings.Contains(got.stdout, "# wr") || strings.Contains(got.stdout, "# warn") {
		t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	eachHasReason(t, "throng.yaml", false)
}

// TestSettingsFileWithAll: what the example has behind a # can be had as it stands there, and means what the comments say.
func TestSettingsFileWithAll(t *testing.T) {
	text := readText(os.DirFS("."), "deploy/throng.yaml")
	whole := regexp.MustCompile(`(?m)^#([a-z ])`).ReplaceAllStringFunc(text, func(begin string) string {
		if begin == "# " {
			return begin
		}
		return begin[1:]
	})
	whole = regexp.MustCompile(`(?m)^#(  - )`).ReplaceAllString(whole, "$1")
	file := filepath.Join(t.TempDir(), "throng.yaml")
	if err := os.WriteFile(file, []byte(whole), 0o644); err != nil {
		t.Fatal(err)
	}
	got := run(t, nil, "check-config", "--config", file)
	if got.code != exitOK || strings.Contains(got.stdout, "# wr") || strings.Contains(got.stdout, "# warn") {
		t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	cfg := mustServe(t, nil, "--config", file).Config
	if len(cfg.NATS) != 3 || cfg.Replicas != 3 || cfg.TokenKeyFile == "" || !cfg.guests() {
		t.Errorf("nats %v, replicas %d, keys %q, guests %v", cfg.NATS, cfg.Replicas, cfg.TokenKeyFile, cfg.guests())
	}
	all := policies(cfg)
	if len(all) != 5 || all[0].Publish != chat.Nobody || all[0].KeepMessages != 10000 || all[1].Join != chat.Users || all[1].MaxMembers != 500 || all[2].Record || !all[4].Record {
		t.Errorf("the policies are %+v", all)
	}
}

// TestKernelSettings: each is one that this kernel has, and has its reason above it.
func TestKernelSettings(t *testing.T) {
	settings := deployed(t, "sysctl.conf", "=")
	if len(settings) < 5 {
		t.Fatalf("only %d settings", len(settings))
	}
	for key := range settings {
		name, optional := strings.CutPrefix(key, "-")
		path := "/proc/sys/" + strings.ReplaceAll(name, ".", "/")
		if _, err := os.Stat(path); err == nil {
			continue
		}
		if _, err := os.Stat("/proc/sys/net/netfilter/nf_conntrack_max"); err != nil && optional {
			t.Logf("skipped: %s is of a kernel module that is not loaded", name)
			continue
		}
		t.Errorf("this kernel has no %s", name)
	}
	eachHasReason(t, "sysctl.conf", true)
}

// eachHasReason demands a comment above each setting, or, unless each needs its own, above the group that it stands in.
func eachHasReason(t *testing.T, file string, own bool) {
	t.Helper()
	reasoned := false
	for line := range strings.Lines(readText(os.DirFS("."), "deploy/"+file)) {
		line = strings.TrimSpace(line)
		switch {
		case line == "":
			reasoned = false
		case strings.HasPrefix(line, "#"):
			reasoned = true
		default:
			if !reasoned {
				t.Errorf("deploy/%s: %s has no reason above it", file, line)
			}
			reasoned = reasoned && !own
		}
	}
}

// TestBalancerFiles: both balancers take their files, HAProxy without a warning. nginx takes its own when it is started, below.
func TestBalancerFiles(t *testing.T) {
	if said, err := exec.Command(installed(t, "haproxy"), "-c", "-dW", "-f", "deploy/haproxy.cfg").CombinedOutput(); err != nil {
		t.Errorf("haproxy -c: %v\n%s", err, said)
	}
}

// TestBalancerOutlastsSilence: a balancer that gives up before throng does would end connections without a word.
func TestBalancerOutlastsSilence(t *testing.T) {
	cfg := mustServe(t, nil, "--config", "deploy/throng.yaml").Config
	for file, pattern := range map[string]string{"haproxy.cfg": `timeout tunnel (\w+)`, "nginx.conf": `proxy_timeout (\w+)`} {
		m := regexp.MustCompile(pattern).FindStringSubmatch(readText(os.DirFS("."), "deploy/"+file))
		if m == nil {
			t.Errorf("deploy/%s has no %s", file, pattern)
			continue
		}
		if silence, err := time.ParseDuration(m[1]); err != nil || silence < cfg.IdleTimeout+10*time.Second || silence < 2*cfg.PingInterval {
			t.Errorf("deploy/%s: %s, but throng waits %v (%v)", file, m[0], cfg.IdleTimeout, err)
		}
	}
}

// crowd is clients that entered by a balancer, each from an address of its own.
type crowd struct {
	t      *testing.T
	addr   string
	people []*raw
	byes   chan farewell // of those who were sent away
}

func (c *crowd) enter(n int) {
	c.t.Helper()
	for range n {
		p, err := dialRaw(c.addr, "/", visitor(len(c.people)), "")
		if err != nil {
			c.t.Fatal(err)
		}
		c.t.Cleanup(func() { _ = p.Close() })
		c.people = append(c.people, p)
		go func() {
			for {
				first, payload, err := p.next()
				if err != nil {
					return
				}
				if first == closeFrame {
					c.byes <- p.goodbye(payload)
					return
				}
			}
		}()
	}
}

// Three nodes behind HAProxy: clients have their own address, each node gets its share, and one that is about to stop gets nobody any more while it
// keeps whom it has.
func TestBehindHAProxy(t *testing.T) {
	nodes, addrs := threeNodes(t, "--log-level", "debug", "--drain-delay", "5s", "--drain-time", "500ms")
	b := startHAProxy(t, addrs)
	for _, name := range serverNames {
		b.becomes(name, "UP")
	}
	c := &crowd{t: t, addr: b.addr, byes: make(chan farewell, 10)}
	c.enter(6)
	for i, n := range nodes {
		n.until(fmt.Sprintf("node %d has its third", i), func(f figures) bool { return f["throng_connections"] == 2 })
		if failed := n.figures()[`throng_handshake_failed_total{reason="proxy"}`]; failed != 0 {
			t.Errorf("node %d: %v bad PROXY headers", i, failed)
		}
	}

	told := time.Now()
	nodes[0].signal(syscall.SIGTERM)
	b.becomes("one", "DOWN")
	noticed := time.Since(told)
	c.enter(4)
	// If the machine stood still meanwhile the drain may have begun.
	if f := nodes[0].figures(); time.Since(told) < 5*time.Second && (f["throng_connections"] != 2 || f["throng_upgrades_total"] != 2) {
		t.Errorf("the node that is about to stop has\n%s", f)
	}
	for _, n := range nodes[1:] {
		n.until("the newcomers are there", func(f figures) bool { return f["throng_connections"] == 4 })
	}
	for range 2 {
		select {
		case bye := <-c.byes:
			if !restart.MatchString(bye.reason) {
				t.Errorf("sent away with %+v", bye)
			}
		case <-time.After(patience):
			t.Fatal("nobody is sent away")
		}
	}
	if code := nodes[0].exit(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	for i, p := range c.people {
		_ = p.Close()
		seen(t, nodes, visitor(i))
	}
	if len(c.byes) > 0 {
		t.Errorf("%d more were sent away", len(c.byes))
	}
	t.Logf("HAProxy noticed after %v", noticed)
}

// The same with nginx, as far as it goes: it notices a node that is gone, and not one that is not ready.
func TestBehindNginx(t *testing.T) {
	nodes, addrs := threeNodes(t, "--log-level", "debug")
	b := startNginx(t, addrs)
	c := &crowd{t: t, addr: b.addr, byes: make(chan farewell, 10)}
	c.enter(6)
	for i, n := range nodes {
		n.until(fmt.Sprintf("node %d has its third", i), func(f figures) bool { return f["throng_connections"] == 2 })
	}
	_ = nodes[0].cmd.Process.Kill()
	nodes[0].exit()
	c.enter(4)
	for _, n := range nodes[1:] {
		n.until("the newcomers are there", func(f figures) bool { return f["throng_connections"] == 4 })
	}
	for i, p := range c.people {
		_ = p.Close()
		if i >= 6 { // the word on others may have been the dead one's
			seen(t, nodes[1:], visitor(i))
		}
	}
}
