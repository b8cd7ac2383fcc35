package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// need is what a run asks of the machine that the clients run on.
type need struct {
	conns   int
	workers int  // client processes, 0: as many as the descriptors demand
	servers int  // that the run starts itself, besides
	sources int  // addresses that the connections come from
	targets int  // addresses that they go to
	local   bool // the servers run on this machine: both ends of every connection are here
	atOnce  int  // handshakes under way at a time, to one target
	churn   int  // connections a second that end and are replaced
}

// Obstacle is something of this machine that stands in a run's way.
type Obstacle struct {
	What  string `json:"what"`
	Have  int64  `json:"have"`
	Need  int64  `json:"need"`
	Bytes bool   `json:"bytes,omitempty"` // Have and Need are memory
	Lift  string `json:"lift"`            // the command that lifts it, or what else helps
	Stops bool   `json:"stops"`           // else it only slows the run, or spoils its figures
}

// String is the obstacle in a line.
func (o Obstacle) String() string {
	return fmt.Sprintf("%s: there is %s and %s is needed; %s", o.What, o.amount(o.Have), o.amount(o.Need), o.Lift)
}

func (o Obstacle) amount(n int64) string {
	if o.Bytes {
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	}
	return fmt.Sprint(n)
}

const (
	// kernelEndBytes is what one end of an idle connection takes of the kernel. By size class, with 9,000 pairs on the
	// loopback of Linux 6.18, a pair took 8.2 KB: its two sockets 5.0, their inodes 1.7, names 0.4, entries in epoll
	// 0.5, open files 0.4, labels of the security module 0.2. Whoever lists /proc/PID/fd meanwhile adds another 2 KB,
	// which the kernel gives back when it is short.
	kernelEndBytes = 4200
	// userEndBytes is what a process may take for its end: a loader is held to it, and throng takes less.
	userEndBytes = 1 << 10
	// processBytes is what a Go process takes before the first connection.
	processBytes = 16 << 20
	// processThreads is what the Go runtime starts at most for a loop, its monitor, collections and blocked calls.
	processThreads = 16
	// processFiles are the descriptors of a process that are no connections.
	processFiles = 64
	// timeWaitSeconds is how long the kernel keeps the port of a connection that was closed in good order.
	timeWaitSeconds = 60
	// workersEasy is how many workers a core carries before their turns, rather than their work, show in latencies.
	workersEasy = 4
)

// preflight says what on this machine stands in the way of a run.
func preflight(n need) []Obstacle { return readLimits().obstacles(n) }

// obstacles holds a need against the limits: first what stops the run, then what slows it.
func (l limits) obstacles(n need) []Obstacle {
	n.sources, n.targets = max(n.sources, 1), max(n.targets, 1)
	var all []Obstacle
	for _, judge := range []func(need) []Obstacle{
		l.ofDescriptors, l.ofFiles, l.ofPorts, l.ofConntrack, l.ofMemory, l.ofBuffers, l.ofBacklogs, l.ofLoopback, l.ofTasks, l.ofTimeWait,
	} {
		all = append(all, judge(n)...)
	}
	slices.SortStableFunc(all, func(a, b Obstacle) int {
		switch {
		case a.Stops == b.Stops:
			return 0
		case a.Stops:
			return -1
		}
		return 1
	})
	return all
}

// perProcess is how many connections a process may hold.
func (l limits) perProcess() int { return max(1, int(min(l.descriptors, 1<<30))-processFiles) }

// workers is how many client processes the run has.
func (l limits) workers(n need) int {
	if n.workers > 0 || l.descriptors == 0 {
		return max(n.workers, 1)
	}
	return (n.conns + l.perProcess() - 1) / l.perProcess()
}

// ends is how many of the connections' ends are on this machine.
func (n need) ends() int {
	if n.local {
		return 2 * n.conns
	}
	return n.conns
}

func (l limits) ofDescriptors(n need) []Obstacle {
	if l.descriptors == 0 {
		return nil
	}
	o := Obstacle{What: "descriptors of a process", Have: int64(l.descriptors)}
	switch workers := l.workers(n); {
	case n.workers > 0:
		o.Need, o.Stops = int64((n.conns+workers-1)/workers+processFiles), true
	case workers > workersEasy*max(l.cores, 1):
		o.What = fmt.Sprintf("descriptors of a process (%d workers are needed)", workers)
		easy := workersEasy * max(l.cores, 1)
		o.Need = int64((n.conns+easy-1)/easy + processFiles)
	}
	if o.Need <= o.Have {
		return nil
	}
	o.Lift = fmt.Sprintf("ulimit -n %d (as root, or LimitNOFILE= of the unit)", o.Need)
	if l.nrOpen > 0 && uint64(o.Need) > l.nrOpen {
		o.Lift = fmt.Sprintf("sysctl -w fs.nr_open=%d, then %s", o.Need, o.Lift)
	}
	if n.workers > 0 {
		o.Lift += ", or more --workers"
	}
	return []Obstacle{o}
}

func (l limits) ofFiles(n need) []Obstacle {
	want := l.filesOpen + uint64(n.ends()+(l.workers(n)+n.servers)*processFiles)
	if l.fileMax == 0 || want <= l.fileMax {
		return nil
	}
	return []Obstacle{{
		What: "open files of the machine", Have: int64(l.fileMax), Need: int64(want), Stops: !l.root, Lift: fmt.Sprintf("sysctl -w fs.file-max=%d", want+want/4),
	}}
}

func (l limits) ofPorts(n need) []Obstacle {
	have := l.ports * n.sources * n.targets
	if l.ports == 0 || n.conns <= have {
		return nil
	}
	return []Obstacle{{
		What: fmt.Sprintf("ports (%d x %d source x %d target addresses)", l.ports, n.sources, n.targets), Have: int64(have), Need: int64(n.conns), Stops: true,
		Lift: `sysctl -w net.ipv4.ip_local_port_range="1024 65535", or more addresses with --source and --url`,
	}}
}

// ofConntrack: the module may be loaded without a rule that makes it track anything; a table in use is the proof.
func (l limits) ofConntrack(n need) []Obstacle {
	want := l.conntrackUsed + n.conns
	if l.conntrackMax == 0 || want <= l.conntrackMax {
		return nil
	}
	return []Obstacle{{
		What: "connections that the firewall tracks", Have: int64(l.conntrackMax), Need: int64(want), Stops: l.conntrackUsed > 0,
		Lift: fmt.Sprintf("sysctl -w net.netfilter.nf_conntrack_max=%d", want+want/4),
	}}
}

func (l limits) ofMemory(n need) []Obstacle {
	processes := l.workers(n) + n.servers
	want := int64(n.ends())*(kernelEndBytes+userEndBytes) + int64(processes)*processBytes
	if l.memory == 0 || want <= l.memory {
		return nil
	}
	o := Obstacle{What: "memory", Have: l.memory, Need: want, Bytes: true, Stops: true, Lift: "end what else runs"}
	each := (want - int64(processes)*processBytes) / int64(max(n.conns, 1))
	if fewer := (l.memory - int64(processes)*processBytes) / max(each, 1); fewer > 0 {
		o.Lift += fmt.Sprintf(", or ask for --conns %d", fewer)
	}
	return []Obstacle{o}
}

// ofBuffers: a connection that is idle holds no buffer, one with something under way at least a page.
func (l limits) ofBuffers(n need) []Obstacle {
	const page = 4096
	want := int64(n.conns) * page
	if l.tcpPressure == 0 || want <= l.tcpPressure {
		return nil
	}
	pages := want / page
	return []Obstacle{{
		What: "TCP buffers, if all are spoken to at once", Have: l.tcpPressure, Need: want, Bytes: true,
		Lift: fmt.Sprintf(`sysctl -w net.ipv4.tcp_mem="%d %d %d"`, pages, pages*5/4, pages*3/2),
	}}
}

// ofBacklogs: what finds a queue full is dropped, and comes again after a second.
func (l limits) ofBacklogs(n need) (all []Obstacle) {
	for _, queue := range []struct {
		what, name string
		have       int
	}{
		{"connections that wait for accept", "net.core.somaxconn", l.somaxconn},
		{"handshakes of TCP under way", "net.ipv4.tcp_max_syn_backlog", l.synBacklog},
	} {
		if n.local && queue.have > 0 && n.atOnce > queue.have {
			all = append(all, Obstacle{
				What: queue.what, Have: int64(queue.have), Need: int64(n.atOnce), Lift: fmt.Sprintf("sysctl -w %s=%d, or a lower --connect-rate", queue.name, n.atOnce),
			})
		}
	}
	return all
}

// ofLoopback: what comes at once on the loopback and finds its queue full is dropped, and costs a second. A crowd of 20,000
// never overran the usual 1,000; with a million that all speak, or are all probed, it was dropped by the hundred thousand.
func (l limits) ofLoopback(n need) []Obstacle {
	want := min(n.conns/20, loopQueueMax)
	if !n.local || l.loopQueue == 0 || want <= l.loopQueue {
		return nil
	}
	return []Obstacle{{
		What: "packets that wait on the loopback", Have: int64(l.loopQueue), Need: int64(want), Lift: fmt.Sprintf("sysctl -w net.core.netdev_max_backlog=%d", want),
	}}
}

// loopQueueMax is as long a queue as is any use: beyond it the CPU is what is missing.
const loopQueueMax = 50_000

func (l limits) ofTasks(n need) []Obstacle {
	want := (l.workers(n) + n.servers) * processThreads
	if l.tasks == 0 || want <= l.tasks {
		return nil
	}
	more := want - l.tasks
	return []Obstacle{{
		What: "threads", Have: int64(l.tasks), Need: int64(want), Stops: true,
		Lift: fmt.Sprintf("raise by %d: sysctl -w kernel.pid_max and kernel.threads-max, ulimit -u", more),
	}}
}

// ofTimeWait: connections that come and go leave their ports behind for a minute.
func (l limits) ofTimeWait(n need) []Obstacle {
	if l.ports == 0 || l.twReuse == 1 || l.twReuse == 2 && n.local {
		return nil
	}
	want := n.conns + l.timeWait + n.churn*timeWaitSeconds
	have := l.ports * n.sources * n.targets
	if n.churn == 0 && l.timeWait == 0 || want <= have || n.conns > have {
		return nil
	}
	return []Obstacle{{
		What: "ports, with those that were used a moment ago", Have: int64(have), Need: int64(want), Lift: "sysctl -w net.ipv4.tcp_tw_reuse=1, or wait a minute",
	}}
}

// stopping gives the obstacles that stop a run as one error, nil when there are none.
func stopping(all []Obstacle) error {
	var lines []string
	for _, o := range all {
		if o.Stops {
			lines = append(lines, o.String())
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return fmt.Errorf("this machine is in the way:\n  %s", strings.Join(lines, "\n  "))
}

// writeObstacles prints them as a table, or that there are none.
func writeObstacles(w io.Writer, n need, all []Obstacle) error {
	if len(all) == 0 {
		_, err := fmt.Fprintf(w, "nothing on this machine is in the way of %d connections\n", n.conns)
		return err
	}
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "what\tthere is\tneeded\tso it\twhat lifts it")
	for _, o := range all {
		effect := "slows"
		if o.Stops {
			effect = "stops"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", o.What, o.amount(o.Have), o.amount(o.Need), effect, o.Lift)
	}
	_ = t.Flush() // into a strings.Builder
	_, err := io.WriteString(w, b.String())
	return err
}
