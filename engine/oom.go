package engine

import (
	"bytes"
	"os"
	"strconv"
)

// oomKills is how often this machine's kernel has ended a process for want of
// memory since it started (Documentation/admin-guide/mm, field oom_kill of
// /proc/vmstat); 0 where it does not tell.
func oomKills() int {
	text, _ := os.ReadFile("/proc/vmstat")
	return oomKillsIn(text)
}

func oomKillsIn(vmstat []byte) int {
	for line := range bytes.Lines(vmstat) {
		if value, ok := bytes.CutPrefix(line, []byte("oom_kill ")); ok {
			n, _ := strconv.Atoi(string(bytes.TrimSpace(value)))
			return n
		}
	}
	return 0
}
