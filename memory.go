package main

import (
	"io/fs"
	"math"
	"os"
	"path"
	"strconv"
	"strings"
)

// memoryLimit is how much memory this process may count on, and who says so: the tightest limit of its control group and of those around it, or
// three quarters of the machine's RAM, since without a limit there are others beside it. 0 means that nobody says.
func memoryLimit() (bytes int64, source string) {
	return memoryLimitIn(os.DirFS("/"))
}

func memoryLimitIn(root fs.FS) (bytes int64, source string) {
	ram := memTotal(root)
	limit, source := cgroupLimit(root)
	switch {
	case limit < ram || limit < math.MaxInt64 && ram == 0:
		return limit, source
	case ram > 0:
		return ram / 4 * 3, "three quarters of RAM"
	}
	return 0, "unknown"
}

// cgroupLimit reads /proc/self/cgroup, where a line is ID:CONTROLLERS:PATH and version 2 is the line without controllers.
func cgroupLimit(root fs.FS) (bytes int64, source string) {
	bytes = math.MaxInt64
	for line := range strings.Lines(readText(root, "proc/self/cgroup")) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		mount, file := "sys/fs/cgroup", "memory.max"
		if fields[1] != "" {
			mount, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
			if !strings.Contains(","+fields[1]+",", ",memory,") {
				continue
			}
		}
		// A limit of any group on the way up binds. Seen from within a container the lower ones may not be there, while the mount itself is ours.
		for group := path.Clean("/" + fields[2]); ; group = path.Dir(group) {
			name := path.Join(mount, group, file)
			if n, err := strconv.ParseInt(strings.TrimSpace(readText(root, name)), 10, 64); err == nil && n < bytes {
				bytes, source = n, "/"+name
			}
			if group == "/" {
				break
			}
		}
	}
	return bytes, source
}

// memTotal is the machine's RAM in bytes, from a line such as "MemTotal:       16314808 kB".
func memTotal(root fs.FS) int64 {
	for line := range strings.Lines(readText(root, "proc/meminfo")) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "MemTotal:" {
			continue
		}
		if kib, err := strconv.ParseInt(fields[1], 10, 64); err == nil && kib < math.MaxInt64>>10 {
			return kib << 10
		}
	}
	return 0
}

// readText is a file's text, or none: what is not there limits nothing.
func readText(root fs.FS, name string) string {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return ""
	}
	return string(text)
}
