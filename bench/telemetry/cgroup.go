package telemetry

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Throttling is how often and how long this process's control group was stopped
// because its CPU quota was used up, summed over the group and those above it.
// The workers are in the same group.
type Throttling struct {
	Periods   Value[int64] `json:"periods"`
	StoppedNs Value[int64] `json:"stopped_ns"`
}

// Throttling reads cpu.stat of the CPU controller (cgroups(7)). A group without
// a quota of its own has no such line and cannot be stopped, so counts 0; without
// any cpu.stat nothing is known.
func (h *Host) Throttling() Throttling {
	var t Throttling
	for _, dir := range h.cpuGroups() {
		text, err := os.ReadFile(filepath.Join(dir, "cpu.stat"))
		if err != nil {
			continue // inside a container the path may be the host's, which is not there
		}
		var periods, stoppedNs int64
		for line := range strings.Lines(string(text)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				continue
			}
			switch key {
			case "nr_throttled":
				periods = n
			case "throttled_time": // v1
				stoppedNs = n
			case "throttled_usec": // v2
				stoppedNs = n * 1000
			}
		}
		t.Periods, t.StoppedNs = Of(t.Periods.V+periods), Of(t.StoppedNs.V+stoppedNs)
	}
	return t
}

// cpuGroups are the folders of this process's group in the CPU controller and of
// those above it. Where v1 and v2 are mixed, v1 has the controller.
func (h *Host) cpuGroups() []string {
	list, err := os.ReadFile(h.procFile("self", "cgroup"))
	if err != nil {
		return nil
	}
	root := filepath.Join(h.sys, "fs/cgroup")
	var v2 []string
	for line := range strings.Lines(string(list)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		switch controllers := parts[1]; {
		case slices.Contains(strings.Split(controllers, ","), "cpu"):
			return upwards(filepath.Join(root, controllers), parts[2])
		case controllers == "" && exists(filepath.Join(root, "cgroup.controllers")):
			v2 = upwards(root, parts[2])
		case controllers == "":
			v2 = upwards(filepath.Join(root, "unified"), parts[2])
		}
	}
	return v2
}

func upwards(root, group string) []string {
	var dirs []string
	for group = path.Clean("/" + group); ; group = path.Dir(group) {
		dirs = append(dirs, filepath.Join(root, group))
		if group == "/" {
			return dirs
		}
	}
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}
