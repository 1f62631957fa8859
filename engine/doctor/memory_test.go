package doctor

import "testing"

const plentyOfMemory = "MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\n"

func TestMemory(t *testing.T) {
	tests := []struct {
		name      string
		proc, sys map[string]string
		status    Status
		value     string
	}{
		{"no control group", map[string]string{"meminfo": plentyOfMemory}, nil, OK, "8.0 GiB free"},
		{"little left", map[string]string{"meminfo": "MemAvailable: 2097151 kB\n"}, nil, Fail, "2.0 GiB free"},
		{"no such line", map[string]string{"meminfo": "MemFree: 8388608 kB\n"}, nil, Absent, NotAvailable},
		{"garbage", map[string]string{"meminfo": "MemAvailable: lots\n"}, nil, Absent, NotAvailable},
		{"vanished", nil, nil, Absent, NotAvailable},
		{
			"v2 limit, inactive files do not count as use",
			map[string]string{"meminfo": plentyOfMemory, "self/cgroup": "0::/a\n"},
			map[string]string{
				"fs/cgroup/cgroup.controllers": "memory\n", "fs/cgroup/a/memory.max": "4294967296\n",
				"fs/cgroup/a/memory.current": "3221225472\n", "fs/cgroup/a/memory.stat": "inactive_file 2147483648\n",
			}, OK, "3.0 GiB free",
		},
		{
			"v2 limit of the group above",
			map[string]string{"meminfo": plentyOfMemory, "self/cgroup": "0::/a/b\n"},
			map[string]string{
				"fs/cgroup/cgroup.controllers": "memory\n", "fs/cgroup/a/b/memory.max": "max\n",
				"fs/cgroup/a/b/memory.current": "1\n",
				"fs/cgroup/a/memory.max":       "1073741824\n", "fs/cgroup/a/memory.current": "0\n",
			}, Fail, "1.0 GiB free",
		},
		{
			"v2 over the limit",
			map[string]string{"meminfo": plentyOfMemory, "self/cgroup": "0::/\n"},
			map[string]string{
				"fs/cgroup/cgroup.controllers": "memory\n", "fs/cgroup/memory.max": "1000\n", "fs/cgroup/memory.current": "2000\n",
			}, Fail, "0 KiB free",
		},
		{
			"v1 limit beside v2",
			map[string]string{"meminfo": plentyOfMemory, "self/cgroup": "4:memory:/job\n0::/\n"},
			map[string]string{
				"fs/cgroup/memory/job/memory.limit_in_bytes": "3221225472\n", "fs/cgroup/memory/job/memory.usage_in_bytes": "1073741824\n",
				"fs/cgroup/memory/job/memory.stat": "inactive_file 1\ntotal_inactive_file 536870912\n",
			}, OK, "2.5 GiB free",
		},
		{
			"v1 without a limit",
			map[string]string{"meminfo": plentyOfMemory, "self/cgroup": "4:memory:/\n"},
			map[string]string{
				"fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n", "fs/cgroup/memory/memory.usage_in_bytes": "5228965888\n",
			}, OK, "8.0 GiB free",
		},
		{
			"v1 path of the host, seen in a container",
			map[string]string{"meminfo": plentyOfMemory, "self/cgroup": "4:memory:/docker/0123\n"},
			map[string]string{
				"fs/cgroup/memory/memory.limit_in_bytes": "3221225472\n", "fs/cgroup/memory/memory.usage_in_bytes": "1073741824\n",
			}, OK, "2.0 GiB free", // exactly the least amount is enough
		},
		{
			"garbage in the group",
			map[string]string{"meminfo": plentyOfMemory, "self/cgroup": "0::/../..\nnonsense\n"},
			map[string]string{"fs/cgroup/cgroup.controllers": "", "fs/cgroup/memory.max": "??\n", "fs/cgroup/memory.current": "1\n"},
			OK, "8.0 GiB free",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := emptyHost()
			h.proc, h.sys = files(tt.proc), files(tt.sys)
			got := memoryCheck(h)
			if got.Status != tt.status || got.Value != tt.value {
				t.Errorf("got %+v, want %s, %s", got, tt.status, tt.value)
			}
			if (got.Status == Fail) != (got.Remedy != "") {
				t.Errorf("remedy %q for status %s", got.Remedy, got.Status)
			}
		})
	}
}
