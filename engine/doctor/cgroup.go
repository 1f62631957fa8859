package doctor

import (
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// cgroup is one controller of this process's control group: its folders in the
// tree at /sys, its own first, then those above it, whose limits hold as well.
type cgroup struct {
	root    fs.FS
	v2      bool
	folders []string
}

// findCgroup reads /proc/self/cgroup (cgroups(7)). A v1 controller wins over
// v2: in a mixed set-up it is the one in force. Inside a container the path may
// be the host's, which is not visible; the folders above it then end at the
// mounted root, which is the container's own group.
func findCgroup(h host, controller string) (cgroup, error) {
	list, err := text(h.proc, "self/cgroup")
	if err != nil {
		return cgroup{}, err
	}
	var v2 cgroup
	for line := range strings.Lines(list) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		if parts[0] == "0" && parts[1] == "" {
			v2 = cgroup{h.sys, true, upwards(unified(h.sys), parts[2])}
			continue
		}
		for name := range strings.SplitSeq(parts[1], ",") {
			if name == controller {
				return cgroup{h.sys, false, upwards("fs/cgroup/"+parts[1], parts[2])}, nil
			}
		}
	}
	if v2.folders == nil {
		return cgroup{}, fmt.Errorf("self/cgroup: no %s controller", controller)
	}
	return v2, nil
}

// unified is where v2 is mounted: alone, or beside v1 controllers.
func unified(sys fs.FS) string {
	if _, err := fs.Stat(sys, "fs/cgroup/cgroup.controllers"); err == nil {
		return "fs/cgroup"
	}
	return "fs/cgroup/unified"
}

func upwards(root, group string) []string {
	var folders []string
	for group = path.Clean("/" + group); ; group = path.Dir(group) {
		folders = append(folders, path.Join(root, group))
		if group == "/" {
			return folders
		}
	}
}

// cpuQuota is the smallest number of CPUs that a group allows, 0 if none limits
// them (cpu.max, or cpu.cfs_quota_us over cpu.cfs_period_us).
func (c cgroup) cpuQuota() float64 {
	lowest := 0.0
	for _, folder := range c.folders {
		var quota, period string
		if c.v2 {
			both, _ := text(c.root, folder+"/cpu.max")
			quota, period, _ = strings.Cut(both, " ")
		} else {
			quota, _ = text(c.root, folder+"/cpu.cfs_quota_us")
			period, _ = text(c.root, folder+"/cpu.cfs_period_us")
		}
		q, err1 := strconv.ParseFloat(quota, 64)
		p, err2 := strconv.ParseFloat(period, 64)
		if err1 != nil || err2 != nil || q <= 0 || p <= 0 {
			continue // "max", -1, or no such file at this level
		}
		if cpus := q / p; lowest == 0 || cpus < lowest {
			lowest = cpus
		}
	}
	return lowest
}

// unlimitedMemory: v1 writes its "no limit" as the largest number of pages.
const unlimitedMemory = 1 << 60

// memoryLeft is the least that a limited group still has; limited is false if
// none is. Use counts without inactive file pages, which the kernel gives back
// before it kills (as container runtimes report a "working set").
func (c cgroup) memoryLeft() (left, limit uint64, limited bool) {
	limitFile, useFile, inactive := "/memory.limit_in_bytes", "/memory.usage_in_bytes", "total_inactive_file"
	if c.v2 {
		limitFile, useFile, inactive = "/memory.max", "/memory.current", "inactive_file"
	}
	for _, folder := range c.folders {
		max, err1 := number(c.root, folder+limitFile)
		use, err2 := number(c.root, folder+useFile)
		if err1 != nil || err2 != nil || max >= unlimitedMemory {
			continue
		}
		if s, err := field(c.root, folder+"/memory.stat", inactive); err == nil {
			if pages, err := strconv.ParseUint(s, 10, 64); err == nil {
				use -= min(use, pages)
			}
		}
		if free := max - min(max, use); !limited || free < left {
			left, limit, limited = free, max, true
		}
	}
	return left, limit, limited
}
