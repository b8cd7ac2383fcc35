package bench

import (
	"bytes"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// limits is what a machine allows and what of it is taken. What cannot be read is 0, and stands in nobody's way.
type limits struct {
	descriptors uint64 // of a process, as far as it may raise them itself
	nrOpen      uint64 // beyond which nobody may raise them
	fileMax     uint64 // of the machine
	filesOpen   uint64
	root        bool // whom fileMax does not bind

	ports    int // that connections may come from, of one source address to one target
	timeWait int // connections that keep a port for a minute after their end
	twReuse  int // 0: never, 1: ports in TIME_WAIT are taken again, 2: on loopback

	conntrackMax  int // 0: not loaded
	conntrackUsed int

	tcpPressure int64 // bytes of TCP buffers from which on the kernel makes windows small
	memory      int64 // bytes that can be had, by the machine and the control group
	somaxconn   int
	synBacklog  int
	loopQueue   int // packets that wait on the loopback, by CPU
	tasks       int // threads that may still be started
	cores       int
}

// readLimits reads them from /proc.
func readLimits() limits {
	descriptors, _ := descriptorLimit()
	l := limits{
		descriptors: uint64(descriptors), nrOpen: uint64(procNumber("/proc/sys/fs/nr_open", 0)),
		fileMax: uint64(procNumber("/proc/sys/fs/file-max", 0)), filesOpen: uint64(procNumber("/proc/sys/fs/file-nr", 0)),
		root: os.Geteuid() == 0, twReuse: int(procNumber("/proc/sys/net/ipv4/tcp_tw_reuse", 0)),
		conntrackMax:  int(procNumber("/proc/sys/net/netfilter/nf_conntrack_max", 0)),
		conntrackUsed: int(procNumber("/proc/sys/net/netfilter/nf_conntrack_count", 0)),
		tcpPressure:   procNumber("/proc/sys/net/ipv4/tcp_mem", 1) * int64(os.Getpagesize()),
		somaxconn:     int(procNumber("/proc/sys/net/core/somaxconn", 0)),
		synBacklog:    int(procNumber("/proc/sys/net/ipv4/tcp_max_syn_backlog", 0)),
		loopQueue:     int(procNumber("/proc/sys/net/core/netdev_max_backlog", 0)),
		cores:         len(ownCPUs()),
	}
	if low, high := procNumber("/proc/sys/net/ipv4/ip_local_port_range", 0), procNumber("/proc/sys/net/ipv4/ip_local_port_range", 1); high > 0 {
		l.ports = int(high-low) + 1 - reservedPorts(procString("/proc/sys/net/ipv4/ip_local_reserved_ports"), int(low), int(high))
	}
	l.timeWait = sockstat([]byte(procString("/proc/net/sockstat")), "TCP", "tw")
	available, _ := kibField([]byte(procString("/proc/meminfo")), "MemAvailable")
	l.memory = available << 10
	if left, bound := groupMemory(); bound {
		l.memory = min(l.memory, left)
	}
	l.tasks = tasksLeft()
	return l
}

// ownCPUs lists those that this process may use.
func ownCPUs() (cpus []int) {
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) != nil {
		return nil
	}
	for cpu := 0; len(cpus) < set.Count(); cpu++ {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus
}

// reservedPorts counts those of a list such as "8080,9000-9010" that lie in the range.
func reservedPorts(list string, low, high int) (n int) {
	for part := range strings.SplitSeq(strings.TrimSpace(list), ",") {
		first, last, isRange := strings.Cut(part, "-")
		from, err := strconv.Atoi(first)
		if err != nil {
			continue
		}
		to := from
		if isRange {
			to, _ = strconv.Atoi(last)
		}
		n += max(0, min(to, high)-max(from, low)+1)
	}
	return n
}

// groupMemory is what the control groups around this process (version 2) leave it.
func groupMemory() (left int64, bound bool) {
	for line := range strings.Lines(procString("/proc/self/cgroup")) {
		group, is := strings.CutPrefix(strings.TrimSpace(line), "0::")
		for ; is; group = path.Dir(group) {
			folder := path.Join("/sys/fs/cgroup", group)
			if most := procNumber(path.Join(folder, "memory.max"), 0); most > 0 {
				here := max(0, most-procNumber(path.Join(folder, "memory.current"), 0))
				if !bound || here < left {
					left, bound = here, true
				}
			}
			if group == "/" || group == "." {
				break
			}
		}
	}
	return left, bound
}

// tasksLeft is how many threads may still be started, by the machine's bounds and the user's. The user's own count is
// not told, so all that run are held against it.
func tasksLeft() int {
	most := min(procNumber("/proc/sys/kernel/pid_max", 0), procNumber("/proc/sys/kernel/threads-max", 0))
	var lim unix.Rlimit
	if os.Geteuid() != 0 && unix.Getrlimit(unix.RLIMIT_NPROC, &lim) == nil && lim.Cur < uint64(most) {
		most = int64(lim.Cur)
	}
	if most == 0 {
		return 0
	}
	// 0.10 0.20 0.15 2/345 6789: 345 threads there are.
	if fields := strings.Fields(procString("/proc/loadavg")); len(fields) > 3 {
		_, all, _ := strings.Cut(fields[3], "/")
		running, _ := strconv.ParseInt(all, 10, 64)
		most -= running
	}
	return max(1, int(most))
}

// procString is a file's text, or none.
func procString(name string) string {
	b, err := os.ReadFile(name)
	if err != nil {
		return ""
	}
	return string(b)
}

// procNumber is the n-th number in a file, 0 when there is none.
func procNumber(name string, n int) int64 {
	fields := bytes.Fields([]byte(procString(name)))
	if n >= len(fields) {
		return 0
	}
	v, _ := strconv.ParseInt(string(fields[n]), 10, 64)
	return v
}
