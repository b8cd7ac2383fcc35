package bench

import (
	"bytes"
	"strings"
	"testing"
)

// roomy is a machine on which nothing is in the way of a million.
func roomy() limits {
	return limits{
		descriptors: 1 << 21, nrOpen: 1 << 21, fileMax: 1 << 23, filesOpen: 1000, ports: 64000, twReuse: 2,
		tcpPressure: 1 << 40, memory: 1 << 40, somaxconn: 4096, synBacklog: 4096, tasks: 30000, cores: 2,
	}
}

// obstacleCases spoil one thing each for a million connections on such a machine.
var obstacleCases = map[string]struct {
	limit func(*limits)
	need  func(*need)
	what  string // "": nothing is in the way
	needs int64
	lift  string
	stops bool
}{
	"nothing": {},
	"descriptors, many workers": {
		limit: func(l *limits) { l.descriptors = 20000 }, what: "descriptors of a process (51 workers are needed)", needs: 125064, lift: "ulimit -n 125064",
	},
	"descriptors, few workers": {limit: func(l *limits) { l.descriptors = 200000 }},
	"descriptors, workers given": {
		limit: func(l *limits) { l.descriptors = 20000 }, need: func(n *need) { n.workers = 50 }, what: "descriptors of a process", needs: 20064,
		lift: "or more --workers", stops: true,
	},
	"descriptors beyond what may be asked for": {
		limit: func(l *limits) { l.descriptors, l.nrOpen = 20000, 1<<19 }, need: func(n *need) { n.workers = 1 }, what: "descriptors", needs: 1000064,
		lift: "sysctl -w fs.nr_open=1000064, then ulimit", stops: true,
	},
	"files":          {limit: func(l *limits) { l.fileMax = 1 << 20 }, what: "open files", needs: 2001064, lift: "sysctl -w fs.file-max=", stops: true},
	"files, as root": {limit: func(l *limits) { l.fileMax, l.root = 1<<20, true }, what: "open files", needs: 2001064, lift: "sysctl -w fs.file-max="},
	"files of one end": {
		limit: func(l *limits) { l.fileMax = 1 << 20 }, need: func(n *need) { n.local = false },
	},
	"ports":                  {limit: func(l *limits) { l.ports = 28000 }, what: "ports (28000 x 20 source x 1 target", needs: 1e6, lift: "--source", stops: true},
	"ports of more targets":  {limit: func(l *limits) { l.ports = 28000 }, need: func(n *need) { n.targets = 2 }},
	"conntrack":              {limit: func(l *limits) { l.conntrackMax, l.conntrackUsed = 262144, 10 }, what: "tracks", needs: 1000010, lift: "nf_conntrack_max=1250012", stops: true},
	"conntrack without use":  {limit: func(l *limits) { l.conntrackMax = 262144 }, what: "tracks", needs: 1e6, lift: "nf_conntrack_max"},
	"conntrack that is wide": {limit: func(l *limits) { l.conntrackMax, l.conntrackUsed = 1<<21, 10 }},
	"memory": {
		limit: func(l *limits) { l.memory = 8 << 30 }, what: "memory", needs: 2e6*(kernelEndBytes+userEndBytes) + processBytes, lift: "ask for --conns 82", stops: true,
	},
	"memory of one end": {limit: func(l *limits) { l.memory = 8 << 30 }, need: func(n *need) { n.local = false }},
	"buffers":           {limit: func(l *limits) { l.tcpPressure = 1 << 30 }, what: "TCP buffers", needs: 4096e6, lift: `tcp_mem="1000000 1250000 1500000"`},
	"backlog":           {limit: func(l *limits) { l.somaxconn = 128 }, what: "wait for accept", needs: 256, lift: "net.core.somaxconn=256"},
	"SYN backlog":       {limit: func(l *limits) { l.synBacklog = 128 }, what: "handshakes of TCP", needs: 256, lift: "net.ipv4.tcp_max_syn_backlog=256"},
	"backlog elsewhere": {limit: func(l *limits) { l.somaxconn = 128 }, need: func(n *need) { n.local = false }},
	"threads": {
		limit: func(l *limits) { l.tasks = 100 }, need: func(n *need) { n.servers = 52 }, what: "threads", needs: 53 * processThreads, lift: "raise by 748", stops: true,
	},
	"churn": {
		limit: func(l *limits) { l.twReuse = 0 }, need: func(n *need) { n.churn = 10000 }, what: "used a moment ago", needs: 1600000, lift: "tcp_tw_reuse=1",
	},
	"churn, reused here": {need: func(n *need) { n.churn = 10000 }},
	"churn, not reused there": {
		need: func(n *need) { n.churn, n.local = 10000, false }, what: "used a moment ago", needs: 1600000, lift: "tcp_tw_reuse=1",
	},
	"what cannot be read is in nobody's way": {limit: func(l *limits) { *l = limits{} }},
}

func TestObstacles(t *testing.T) {
	million := need{conns: 1e6, sources: 20, targets: 1, local: true, atOnce: 256}
	for name, c := range obstacleCases {
		l, n := roomy(), million
		if c.limit != nil {
			c.limit(&l)
		}
		if c.need != nil {
			c.need(&n)
		}
		all := l.obstacles(n)
		if c.what == "" {
			if len(all) > 0 {
				t.Errorf("%s: %v", name, all)
			}
			continue
		}
		if len(all) != 1 {
			t.Errorf("%s: %d obstacles: %v", name, len(all), all)
			continue
		}
		o := all[0]
		if !strings.Contains(o.What, c.what) || o.Need != c.needs || !strings.Contains(o.Lift, c.lift) || o.Stops != c.stops || o.Have >= o.Need {
			t.Errorf("%s: %+v", name, o)
		}
		if err := stopping(all); (err != nil) != c.stops || err != nil && !strings.Contains(err.Error(), c.lift) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestObstacleTable: what stops comes before what slows, and each line has its command.
func TestObstacleTable(t *testing.T) {
	l, n := roomy(), need{conns: 1e6, local: true, atOnce: 256}
	l.somaxconn, l.memory = 128, 1<<30
	var b bytes.Buffer
	if err := writeObstacles(&b, n, l.obstacles(n)); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != 4 || !strings.Contains(lines[1], "stops") || !strings.Contains(lines[3], "slows") || !strings.Contains(lines[2], "1.0 GiB") ||
		!strings.Contains(lines[3], "sysctl -w net.core.somaxconn=256") {
		t.Errorf("got\n%s", b.String())
	}
	b.Reset()
	if err := writeObstacles(&b, n, nil); err != nil || strings.Count(b.String(), "\n") != 1 || !strings.Contains(b.String(), "nothing") {
		t.Errorf("got %q, %v", b.String(), err)
	}
}

// TestReadLimits: the readings are there, and a small run is possible wherever tests run.
func TestReadLimits(t *testing.T) {
	l := readLimits()
	if l.descriptors == 0 || l.fileMax == 0 || l.filesOpen == 0 || l.ports == 0 || l.memory == 0 || l.somaxconn == 0 || l.tasks == 0 || l.cores == 0 || l.tcpPressure == 0 {
		t.Errorf("%+v", l)
	}
	if err := stopping(preflight(need{conns: 10, local: true})); err != nil {
		t.Error(err)
	}
}

func TestReservedPorts(t *testing.T) {
	for list, want := range map[string]int{"": 0, "\n": 0, "80": 0, "40000": 1, "40000,40002-40003,60000-60999,x\n": 3, "1-65535": 101} {
		low, high := 40000, 40100
		if got := reservedPorts(list, low, high); got != want {
			t.Errorf("%q: %d, want %d", list, got, want)
		}
	}
}
