package doctor

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadCPU(t *testing.T) {
	const one = "processor\t: 0\nmodel name\t: X 1\nphysical id\t: 0\nflags\t\t: fpu avx2\n\n"
	tests := []struct {
		name, text string
		want       cpuInfo
		err        string
	}{
		{"one", one, cpuInfo{model: "X 1", flags: []string{"fpu", "avx2"}, processors: 1, sockets: 1}, ""},
		{"two sockets", one + "processor\t: 1\nphysical id\t: 1\nflags\t: fpu\n", cpuInfo{model: "X 1", flags: []string{"fpu", "avx2"}, processors: 2, sockets: 2}, ""},
		{"not x86", "processor\t: 0\nFeatures\t: asimd\n", cpuInfo{processors: 1}, ""},
		{"garbage", "\x00\x01\x02", cpuInfo{}, "cpuinfo: no processor line"},
		{"empty", "", cpuInfo{}, "cpuinfo: no processor line"},
	}
	for _, tt := range tests {
		h := emptyHost()
		h.proc = files(map[string]string{"cpuinfo": tt.text})
		got := readCPU(h)
		if text := errText(got.err); text != tt.err {
			t.Errorf("%s: error %q, want %q", tt.name, text, tt.err)
		}
		got.err = nil
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(cpuInfo{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestUsableCPUs(t *testing.T) {
	affinity := func(list string, more ...string) map[string]string {
		m := map[string]string{"self/status": "Cpus_allowed:\tff\nCpus_allowed_list:\t" + list + "\n"}
		for i := 0; i < len(more); i += 2 {
			m[more[i]] = more[i+1]
		}
		return m
	}
	v2 := map[string]string{"fs/cgroup/cgroup.controllers": "cpu\n", "fs/cgroup/cpu.max": "max 100000\n"}
	tests := []struct {
		name      string
		proc, sys map[string]string
		status    Status
		value     string
		quota     float64
	}{
		{"no control group", affinity("0-3,8"), nil, OK, "5", 0},
		{"v2 without a limit", affinity("0-3", "self/cgroup", "0::/\n"), v2, OK, "4", 0},
		{"v2 smaller limit above", affinity("0-3", "self/cgroup", "0::/a/b\n"), map[string]string{
			"fs/cgroup/cgroup.controllers": "cpu\n", "fs/cgroup/a/b/cpu.max": "300000 100000\n", "fs/cgroup/a/cpu.max": "150000 100000\n",
		}, Warn, "1.5", 1.5},
		{"v2 quota as large as the affinity", affinity("0-1", "self/cgroup", "0::/\n"), map[string]string{
			"fs/cgroup/cgroup.controllers": "cpu\n", "fs/cgroup/cpu.max": "200000 100000\n",
		}, OK, "2", 2},
		{"v1", affinity("0-3", "self/cgroup", "5:cpu,cpuacct:/job\n"), map[string]string{
			"fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "50000\n", "fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
		}, Warn, "0.5", 0.5},
		{"v1 without a limit", affinity("0-3", "self/cgroup", "1:cpu:/\n"), map[string]string{
			"fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
		}, OK, "4", 0},
		{"garbage quota", affinity("0-3", "self/cgroup", "0::/\n"), map[string]string{
			"fs/cgroup/cgroup.controllers": "cpu\n", "fs/cgroup/cpu.max": "many 0\n",
		}, OK, "4", 0},
		{"garbage list", affinity("0-x"), nil, Absent, NotAvailable, 0},
		{"empty list", affinity(""), nil, Absent, NotAvailable, 0},
		{"vanished", nil, nil, Absent, NotAvailable, 0},
	}
	for _, tt := range tests {
		h := emptyHost()
		h.proc, h.sys = files(tt.proc), files(tt.sys)
		got, quota := usableCheck(h)
		if got.Status != tt.status || got.Value != tt.value || quota != tt.quota {
			t.Errorf("%s: got %+v with quota %v, want %s, %s, %v", tt.name, got, quota, tt.status, tt.value, tt.quota)
		}
	}
}

func TestThreads(t *testing.T) {
	tests := []struct {
		name   string
		env    map[string]string
		build  string
		quota  float64
		status Status
		value  string
		remedy string
		detail string
	}{
		{"worker's default", nil, "cpu", 0, OK, "OMP_NUM_THREADS=4", "", "set for the worker"},
		{"default above the quota", nil, "cpu", 2.5, Warn, "OMP_NUM_THREADS=4", "OMP_NUM_THREADS=2", "2 usable"},
		{"quota below one", nil, "cpu", 0.5, Warn, "OMP_NUM_THREADS=4", "OMP_NUM_THREADS=1", "1 usable"},
		{"set", map[string]string{"OMP_NUM_THREADS": "3", "OMP_PROC_BIND": "close"}, "cpu", 0, OK, "OMP_NUM_THREADS=3", "", "OMP_PROC_BIND=close"},
		{"nested", map[string]string{"OMP_NUM_THREADS": "3,1"}, "cpu", 0, OK, "OMP_NUM_THREADS=3,1", "", ""},
		{"too many", map[string]string{"OMP_NUM_THREADS": "5"}, "cuda", 0, Warn, "OMP_NUM_THREADS=5", "OMP_NUM_THREADS=4", "4 usable"},
		{"garbage", map[string]string{"OMP_NUM_THREADS": "all"}, "cpu", 0, Warn, "OMP_NUM_THREADS=all", "OMP_NUM_THREADS=4", "ignores"},
		{"zero", map[string]string{"OMP_NUM_THREADS": "0"}, "cpu", 0, Warn, "OMP_NUM_THREADS=0", "OMP_NUM_THREADS=4", "ignores"},
		{"cuda", nil, "cuda", 0, OK, "OMP_NUM_THREADS is not set", "", ""},
	}
	for _, tt := range tests {
		h := emptyHost()
		h.env, h.numCPU = env(tt.env), 4
		got := threadsCheck(h, tt.build, tt.quota)
		if got.Status != tt.status || got.Value != tt.value || got.Remedy != tt.remedy || !strings.Contains(got.Detail, tt.detail) {
			t.Errorf("%s: got %+v, want %s, %s, remedy %q, %q", tt.name, got, tt.status, tt.value, tt.remedy, tt.detail)
		}
	}
}

func TestTopology(t *testing.T) {
	sys := func(file, text string) host {
		h := emptyHost()
		h.sys = files(map[string]string{file: text})
		return h
	}
	const node, smt = "devices/system/node/online", "devices/system/cpu/smt/active"
	vm := cpuInfo{processors: 1, flags: []string{"fpu", "hypervisor"}}
	metal := cpuInfo{processors: 1, flags: []string{"fpu"}}
	tests := []struct {
		name   string
		got    Check
		status Status
		value  string
	}{
		{"one node", numaCheck(sys(node, "0\n")), OK, "1"},
		{"nodes with a gap", numaCheck(sys(node, "0,2-3\n")), OK, "3"},
		{"garbage node", numaCheck(sys(node, "3-1\n")), Absent, NotAvailable},
		{"no nodes", numaCheck(emptyHost()), Absent, NotAvailable},
		{"smt on", smtCheck(sys(smt, "1\n")), OK, "active"},
		{"smt off", smtCheck(sys(smt, "0\n")), OK, "not active"},
		{"garbage smt", smtCheck(sys(smt, "maybe\n")), Absent, NotAvailable},
		{"no smt", smtCheck(emptyHost()), Absent, NotAvailable},
		{"named by firmware", virtualCheck(sys("class/dmi/id/product_name", "KVM\n"), vm), OK, "KVM"},
		{"named by hypervisor", virtualCheck(sys("hypervisor/type", "xen\n"), vm), OK, "xen"},
		{"without a name", virtualCheck(emptyHost(), vm), OK, "yes"},
		{"bare metal", virtualCheck(emptyHost(), metal), Absent, "none seen"},
		{"no cpuinfo", virtualCheck(emptyHost(), cpuInfo{err: errors.New("gone")}), Absent, NotAvailable},
		{"no model", modelCheck(metal), OK, "unnamed"},
	}
	for _, tt := range tests {
		if tt.got.Status != tt.status || tt.got.Value != tt.value {
			t.Errorf("%s: got %+v, want %s, %s", tt.name, tt.got, tt.status, tt.value)
		}
	}
}

func FuzzCountList(f *testing.F) {
	for _, seed := range []string{"0", "0-3", "0-3,8", "", "-", "3-1", "0-4294967296", "1,,2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, list string) {
		n, err := countList(list)
		if err != nil && n != 0 {
			t.Errorf("%q: %d with an error", list, n)
		}
		if err == nil && n < 1 {
			t.Errorf("%q counts %d without an error", list, n)
		}
	})
}
