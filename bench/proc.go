package bench

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// clockTick is what /proc counts CPU time in: USER_HZ, 100 on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// cpuTime is the CPU time that a process has used, user and system, all threads.
func cpuTime(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("process %d: %w", pid, err)
	}
	// The name, in parentheses, may hold anything; fields 14 and 15 are counted from behind it.
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("process %d: cannot read its CPU time", pid)
	}
	user, err1 := strconv.ParseInt(string(fields[11]), 10, 64)
	system, err2 := strconv.ParseInt(string(fields[12]), 10, 64)
	if err1 != nil || err2 != nil {
		return 0, fmt.Errorf("process %d: cannot read its CPU time", pid)
	}
	return time.Duration(user+system) * clockTick, nil
}

// ownCPU is the CPU time of this process.
func ownCPU() time.Duration {
	var ru unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &ru); err != nil {
		return 0
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

// pssBytes is the proportional set size of a process: its user memory, shared pages by their share.
func pssBytes(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, fmt.Errorf("process %d: %w", pid, err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("process %d: no Pss in smaps_rollup", pid)
}

// Machine names what a run was measured on.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Kernel string `json:"kernel"`
	TCP    string `json:"tcp"` // congestion control
	Go     string `json:"go"`
}

// String writes the machine in a line.
func (m Machine) String() string {
	return fmt.Sprintf("%s, %d cores, Linux %s, TCP %s, %s", m.CPU, m.Cores, m.Kernel, m.TCP, m.Go)
}

func machine() Machine {
	m := Machine{CPU: runtime.GOARCH, Cores: runtime.NumCPU(), Go: runtime.Version()}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				m.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	if b, err := os.ReadFile("/proc/sys/net/ipv4/tcp_congestion_control"); err == nil {
		m.TCP = strings.TrimSpace(string(b))
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	return m
}

// times is how the machine spent its time so far, and how much of it this run's processes had.
type times struct {
	all, busy, steal time.Duration
	own              time.Duration
}

// usage reads the times; own is this process, its ended children, and the running server.
func usage(server *child) (t times) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return t
	}
	line, _, _ := strings.Cut(string(b), "\n")
	// cpu user nice system idle iowait irq softirq steal
	for i, field := range strings.Fields(line) {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil || i > 8 {
			continue
		}
		took := time.Duration(n) * clockTick
		switch t.all += took; i {
		case 4, 5:
		case 8:
			t.steal = took
		default:
			t.busy += took
		}
	}
	var ended unix.Rusage
	if unix.Getrusage(unix.RUSAGE_CHILDREN, &ended) == nil {
		t.own = time.Duration(ended.Utime.Nano() + ended.Stime.Nano())
	}
	if cpu, err := cpuTime(server.cmd.Process.Pid); err == nil {
		t.own += cpu
	}
	t.own += ownCPU()
	return t
}

// until gives the shares of the machine that the hypervisor kept and that strangers took between two readings.
func (t times) until(u times) (steal, others float64) {
	all := (u.all - t.all).Seconds()
	if all <= 0 {
		return 0, 0
	}
	return (u.steal - t.steal).Seconds() / all, max(0, (u.busy-t.busy-(u.own-t.own)).Seconds()/all)
}

// renice sets the priority of every thread; those started later inherit it.
func renice(nice int) error {
	if nice == 0 {
		return nil
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("--nice: %w", err)
	}
	for _, t := range threads {
		var tid int
		if _, err := fmt.Sscan(t.Name(), &tid); err != nil {
			continue
		}
		if err := unix.Setpriority(unix.PRIO_PROCESS, tid, nice); err != nil {
			return fmt.Errorf("--nice %d: %w", nice, err)
		}
	}
	return nil
}
