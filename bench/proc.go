package bench

import (
	"bytes"
	"errors"
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

// procText reads a file of a process's. One that has ended, and whom only its parent has not yet taken leave of, is gone
// as well: it holds nothing any more.
func procText(pid int, name string) ([]byte, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, unix.ESRCH):
		return nil, fmt.Errorf("process %d: %w", pid, errEnded)
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("process %d belongs to somebody else: run the bench as the same user to see its %s", pid, name)
	case err != nil:
		return nil, fmt.Errorf("process %d: %w", pid, err)
	}
	return b, nil
}

var errEnded = errors.New("it is not there, or has ended")

// cpuTime is the CPU time that a process has used, user and system, all threads.
func cpuTime(pid int) (time.Duration, error) {
	b, err := procText(pid, "stat")
	if err != nil {
		return 0, err
	}
	// The name, in parentheses, may hold anything; fields 3, 14 and 15 are counted from behind it.
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("process %d: cannot read its CPU time", pid)
	}
	if state := fields[0][0]; state == 'Z' || state == 'X' {
		return 0, fmt.Errorf("process %d: %w", pid, errEnded)
	}
	user, err1 := strconv.ParseInt(string(fields[11]), 10, 64)
	system, err2 := strconv.ParseInt(string(fields[12]), 10, 64)
	if err1 != nil || err2 != nil {
		return 0, fmt.Errorf("process %d: cannot read its CPU time", pid)
	}
	return time.Duration(user+system) * clockTick, nil
}

// rssBytes is the user memory of a process, shared pages in full.
func rssBytes(pid int) (int64, error) {
	b, err := procText(pid, "statm")
	if err != nil {
		return 0, err
	}
	if fields := bytes.Fields(b); len(fields) > 1 {
		if pages, err := strconv.ParseInt(string(fields[1]), 10, 64); err == nil {
			return pages * int64(os.Getpagesize()), nil
		}
	}
	return 0, fmt.Errorf("process %d: cannot read its resident memory", pid)
}

// openFiles counts a process's descriptors, 0 when it does not let us. Since 6.2 the kernel gives their number as the
// folder's size; before, it has to be listed, which costs the kernel an entry for each.
func openFiles(pid int) (int, error) {
	name := fmt.Sprintf("/proc/%d/fd", pid)
	info, err := os.Stat(name)
	if err == nil && info.Size() > 0 {
		return int(info.Size()), nil
	}
	entries, err := os.ReadDir(name)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return 0, fmt.Errorf("process %d: %w", pid, errEnded)
	case err != nil && !errors.Is(err, os.ErrPermission):
		return 0, fmt.Errorf("process %d: %w", pid, err)
	}
	return len(entries), nil
}

// ownCPU is the CPU time of this process.
func ownCPU() time.Duration {
	var ru unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &ru); err != nil {
		return 0
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

// pssBytes is the proportional set size of a process: its user memory, shared pages by their share. The kernel walks
// every page for it; with gigabytes that takes a second, during which the process cannot map memory.
func pssBytes(pid int) (int64, error) {
	b, err := procText(pid, "smaps_rollup")
	if err != nil {
		return 0, err
	}
	if kib, ok := kibField(b, "Pss"); ok {
		return kib << 10, nil
	}
	return 0, fmt.Errorf("process %d: no Pss in smaps_rollup", pid)
}

// kibField finds a line such as "Slab:   154288 kB".
func kibField(text []byte, name string) (kib int64, ok bool) {
	for line := range bytes.Lines(text) {
		if rest, is := bytes.CutPrefix(line, []byte(name+":")); is {
			n, err := strconv.ParseInt(string(bytes.TrimSpace(bytes.TrimSuffix(bytes.TrimSpace(rest), []byte("kB")))), 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

// kernelMemory is what the machine's kernel holds for everybody: its slabs, where sockets and files live, and the
// pages that wait in TCP's buffers. What cannot be read is 0.
func kernelMemory() (slab, buffers int64) {
	if b, err := os.ReadFile("/proc/meminfo"); err == nil {
		kib, _ := kibField(b, "Slab")
		slab = kib << 10
	}
	if b, err := os.ReadFile("/proc/net/sockstat"); err == nil {
		buffers = int64(sockstat(b, "TCP", "mem")) * int64(os.Getpagesize())
	}
	return slab, buffers
}

// sockstat finds a number in lines such as "TCP: inuse 1 orphan 0 tw 1 alloc 1 mem 118".
func sockstat(text []byte, protocol, name string) int {
	for line := range bytes.Lines(text) {
		fields := strings.Fields(string(line))
		if len(fields) == 0 || fields[0] != protocol+":" {
			continue
		}
		for i := 1; i+1 < len(fields); i += 2 {
			if fields[i] == name {
				n, _ := strconv.Atoi(fields[i+1])
				return n
			}
		}
	}
	return 0
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
	if b, err := os.ReadFile("/proc/meminfo"); err == nil {
		kib, _ := kibField(b, "MemTotal")
		m.Memory = kib << 10
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

// machineTimes reads the first line of /proc/stat.
func machineTimes() (t times) {
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
	return t
}

// usage is the machine's times with our own: this process, its ended children, and the running server.
func usage(server *child) times {
	t := machineTimes()
	var ended unix.Rusage
	if unix.Getrusage(unix.RUSAGE_CHILDREN, &ended) == nil {
		t.own = time.Duration(ended.Utime.Nano() + ended.Stime.Nano())
	}
	for _, pid := range server.pids() {
		if cpu, err := cpuTime(pid); err == nil {
			t.own += cpu
		}
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
