package engine

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// portOwner says, as " by NAME (pid N)", who listens on a TCP port of this
// machine, as far as /proc tells this user; "" otherwise.
func portOwner(addr string) string {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return ""
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return ""
	}
	inodes := listeningInodes(uint16(n))
	if len(inodes) == 0 {
		return ""
	}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || !inodes[target] {
			continue
		}
		pid := strings.Split(link, "/")[2]
		name, _ := os.ReadFile("/proc/" + pid + "/comm")
		return fmt.Sprintf(" by %s (pid %s)", strings.TrimSpace(string(name)), pid)
	}
	return " by a process of another user"
}

// listeningInodes returns the sockets, as /proc names them, that listen on a port.
func listeningInodes(port uint16) map[string]bool {
	const stateListen = "0A"
	found := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(table)
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			// sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode
			field := strings.Fields(lines.Text())
			if len(field) > 9 && field[3] == stateListen && strings.HasSuffix(field[1], fmt.Sprintf(":%04X", port)) {
				found["socket:["+field[9]+"]"] = true
			}
		}
		_ = f.Close()
	}
	return found
}
