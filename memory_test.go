package main

import (
	"testing"
	"testing/fstest"
)

func TestMemoryLimit(t *testing.T) {
	const meminfo = "MemTotal:       16777216 kB\nMemFree:         1000000 kB\n"
	const gib = 1 << 30
	for name, test := range map[string]struct {
		files  map[string]string
		bytes  int64
		source string
	}{
		"nothing to read": {nil, 0, "unknown"},
		"no limit":        {map[string]string{"proc/meminfo": meminfo}, 12 * gib, "three quarters of RAM"},
		"version 2, own group": {map[string]string{
			"proc/meminfo":                          meminfo,
			"proc/self/cgroup":                      "0::/system.slice/throng.service\n",
			"sys/fs/cgroup/system.slice/memory.max": "max\n",
			"sys/fs/cgroup/system.slice/throng.service/memory.max": "2147483648\n",
		}, 2 * gib, "/sys/fs/cgroup/system.slice/throng.service/memory.max"},
		"version 2, a group above is tighter": {map[string]string{
			"proc/meminfo":                 meminfo,
			"proc/self/cgroup":             "0::/a/b\n",
			"sys/fs/cgroup/a/memory.max":   "1073741824\n",
			"sys/fs/cgroup/a/b/memory.max": "2147483648\n",
		}, gib, "/sys/fs/cgroup/a/memory.max"},
		"version 2, in a container": {map[string]string{
			"proc/meminfo":             meminfo,
			"proc/self/cgroup":         "0::/\n",
			"sys/fs/cgroup/memory.max": "1073741824\n",
		}, gib, "/sys/fs/cgroup/memory.max"},
		"version 2, a path that leads out of the container": {map[string]string{
			"proc/self/cgroup":         "0::/../../other\n",
			"sys/fs/cgroup/memory.max": "1073741824\n",
		}, gib, "/sys/fs/cgroup/memory.max"},
		"version 1, in a container that sees only its own group": {map[string]string{
			"proc/meminfo":     meminfo,
			"proc/self/cgroup": "12:cpu,cpuacct:/docker/x\n7:memory:/docker/x\n0::/docker/x\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "1073741824\n",
		}, gib, "/sys/fs/cgroup/memory/memory.limit_in_bytes"},
		"version 1, unlimited": {map[string]string{
			"proc/meminfo":     meminfo,
			"proc/self/cgroup": "7:memory:/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
		}, 12 * gib, "three quarters of RAM"},
		"a limit above what the machine has": {map[string]string{
			"proc/meminfo":             meminfo,
			"proc/self/cgroup":         "0::/\n",
			"sys/fs/cgroup/memory.max": "1099511627776\n",
		}, 12 * gib, "three quarters of RAM"},
		"garbage": {map[string]string{
			"proc/meminfo":             "MemTotal: lots kB\nMemTotal:\n",
			"proc/self/cgroup":         "what\n0:\n0::/\n",
			"sys/fs/cgroup/memory.max": "-\n",
		}, 0, "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			root := fstest.MapFS{}
			for path, text := range test.files {
				root[path] = &fstest.MapFile{Data: []byte(text)}
			}
			bytes, source := memoryLimitIn(root)
			if bytes != test.bytes || source != test.source {
				t.Errorf("got %d from %q; want %d from %q", bytes, source, test.bytes, test.source)
			}
		})
	}
}

// The machine that runs the tests has some memory.
func TestMemoryLimitHere(t *testing.T) {
	if bytes, source := memoryLimit(); bytes < 16<<20 {
		t.Errorf("%d from %q", bytes, source)
	}
}
