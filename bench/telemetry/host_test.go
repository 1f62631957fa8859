package telemetry

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var almost = cmpopts.EquateApprox(0, 1e-9)

func TestCPUs(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		want  []CPUTime
	}{
		{"two", map[string]string{"proc/stat": "cpu  1 1 1 1 1 1 1 1 1 1\ncpu0 100 20 30 400 50 6 7 8 90 1\ncpu1 0 0 0 1000 0 0 0 0 0 0\nintr 1\n"},
			[]CPUTime{{"cpu0", 1.63, 0.08, 4.5}, {"cpu1", 0, 0, 10}}},
		{"kernel without steal", map[string]string{"proc/stat": "cpu  1 1 1 1 1 1 1\ncpu0 100 0 0 400 0 0 0\nintr 1\n"}, []CPUTime{{"cpu0", 1, 0, 4}}},
		{"no stat", nil, nil},
		{"empty stat", map[string]string{"proc/stat": ""}, nil},
		{"nonsense", map[string]string{"proc/stat": "cpu a b\ncpu0 x y z 1 2 3 4 5\n"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, fixtureHost(t, tt.files).CPUs(), almost); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestCPUsSince(t *testing.T) {
	before := []CPUTime{{"cpu0", 10, 1, 100}, {"cpu1", 20, 2, 100}}
	tests := []struct {
		name          string
		before, after []CPUTime
		want          cpuUse
		busy          map[string]Value[float64]
	}{
		{"both", before, []CPUTime{{"cpu0", 13, 2, 104}, {"cpu1", 20, 2, 108}},
			cpuUse{Of(3.0), Of(1.0), Of(12.0)}, map[string]Value[float64]{"cpu0": Of(3. / 8), "cpu1": Of(0.0)}},
		{"one went offline", before, []CPUTime{{"cpu1", 24, 2, 104}},
			cpuUse{Of(4.0), Of(0.0), Of(4.0)}, map[string]Value[float64]{"cpu1": Of(0.5)}},
		{"one came online", before[:1], []CPUTime{{"cpu0", 11, 1, 101}, {"cpu1", 99, 99, 99}},
			cpuUse{Of(1.0), Of(0.0), Of(1.0)}, map[string]Value[float64]{"cpu0": Of(0.5)}},
		{"idle goes back", before[:1], []CPUTime{{"cpu0", 11, 1, 99.99}}, cpuUse{Of(1.0), Of(0.0), Of(0.0)}, map[string]Value[float64]{"cpu0": Of(1.0)}},
		{"counters started anew", before[:1], []CPUTime{{"cpu0", 1, 0, 1}}, cpuUse{}, nil},
		{"no tick passed", before[:1], before[:1], cpuUse{Of(0.0), Of(0.0), Of(0.0)}, map[string]Value[float64]{"cpu0": {}}},
		{"nothing before", nil, before, cpuUse{}, nil},
		{"nothing after", before, nil, cpuUse{}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var busy map[string]Value[float64]
			got := cpusSince(tt.after, tt.before, func(name string, frac Value[float64]) {
				if busy == nil {
					busy = map[string]Value[float64]{}
				}
				busy[name] = frac
			})
			if diff := cmp.Diff(tt.want, got, almost, cmp.AllowUnexported(cpuUse{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.busy, busy, almost); diff != "" {
				t.Errorf("busy (-want +got):\n%s", diff)
			}
		})
	}
}

func TestThrottling(t *testing.T) {
	const v1 = "nr_periods 9\nnr_throttled 3\nthrottled_time 4000\n"
	const v2 = "usage_usec 1\nnr_periods 9\nnr_throttled 5\nthrottled_usec 6\n"
	tests := []struct {
		name  string
		files map[string]string
		want  Throttling
	}{
		{"v1", map[string]string{"proc/self/cgroup": "4:cpu,cpuacct:/a/b\n0::/\n", "sys/fs/cgroup/cpu,cpuacct/a/b/cpu.stat": v1},
			Throttling{Of[int64](3), Of[int64](4000)}},
		{"v1 in a container, which sees only its own root", map[string]string{"proc/self/cgroup": "4:cpu:/docker/xyz\n", "sys/fs/cgroup/cpu/cpu.stat": v1},
			Throttling{Of[int64](3), Of[int64](4000)}},
		{"v2 with groups above", map[string]string{
			"proc/self/cgroup": "0::/user/me\n", "sys/fs/cgroup/cgroup.controllers": "cpu\n",
			"sys/fs/cgroup/cpu.stat": "usage_usec 1\n", "sys/fs/cgroup/user/cpu.stat": v2, "sys/fs/cgroup/user/me/cpu.stat": v2,
		}, Throttling{Of[int64](10), Of[int64](12_000)}},
		{"v2 without a quota", map[string]string{
			"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cgroup.controllers": "cpu\n", "sys/fs/cgroup/cpu.stat": "usage_usec 1\n",
		}, Throttling{Of[int64](0), Of[int64](0)}},
		{"v2 beside v1 controllers of other kinds", map[string]string{
			"proc/self/cgroup": "3:memory:/x\n0::/y\n", "sys/fs/cgroup/unified/y/cpu.stat": v2,
		}, Throttling{Of[int64](5), Of[int64](6000)}},
		{"v1 wins over v2", map[string]string{
			"proc/self/cgroup": "0::/\n4:cpu:/\n", "sys/fs/cgroup/unified/cpu.stat": v2, "sys/fs/cgroup/cpu/cpu.stat": v1,
		}, Throttling{Of[int64](3), Of[int64](4000)}},
		{"no cpu.stat", map[string]string{"proc/self/cgroup": "0::/\n"}, Throttling{}},
		{"no cgroups", nil, Throttling{}},
		{"nonsense", map[string]string{"proc/self/cgroup": "hello\n"}, Throttling{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, fixtureHost(t, tt.files).Throttling()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestFrequenciesMHz(t *testing.T) {
	const cpuinfo = "processor\t: 0\ncpu MHz\t\t: 2400.5\nflags\t\t: fpu aperfmperf\n\nprocessor\t: 1\ncpu MHz\t\t: 3100\nflags\t\t: fpu aperfmperf\n"
	const nominal = "processor\t: 0\ncpu MHz\t\t: 2445.404\nflags\t\t: fpu hypervisor\n"
	const cpufreq = "sys/devices/system/cpu/cpu"
	tests := []struct {
		name  string
		files map[string]string
		want  map[string]float64
	}{
		{"cpufreq", map[string]string{
			cpufreq + "0/cpufreq/scaling_cur_freq": "1800000\n", cpufreq + "12/cpufreq/scaling_cur_freq": "3600123\n",
			cpufreq + "3/cpufreq/scaling_cur_freq": "<unknown>\n", "proc/cpuinfo": cpuinfo,
		}, map[string]float64{"cpu0": 1800, "cpu12": 3600.123}},
		{"cpuinfo, measured", map[string]string{"proc/cpuinfo": cpuinfo}, map[string]float64{"cpu0": 2400.5, "cpu1": 3100}},
		{"cpuinfo, a constant", map[string]string{"proc/cpuinfo": nominal}, nil},
		{"neither", nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, fixtureHost(t, tt.files).FrequenciesMHz()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestMeanMHz(t *testing.T) {
	before := []CPUTime{{"cpu0", 0, 0, 0}, {"cpu1", 0, 0, 0}}
	after := []CPUTime{{"cpu0", 3, 0, 1}, {"cpu1", 1, 0, 3}}
	tests := []struct {
		name string
		mhz  map[string]float64
		cpus []CPUTime
		want Value[float64]
	}{
		{"by work", map[string]float64{"cpu0": 3000, "cpu1": 1000}, after, Of(2500.0)},
		{"one not told", map[string]float64{"cpu1": 1000}, after, Of(1000.0)},
		{"none told", nil, after, Value[float64]{}},
		{"no work", map[string]float64{"cpu0": 3000}, []CPUTime{{"cpu0", 0, 0, 9}}, Value[float64]{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, meanMHz(tt.mhz, tt.cpus, before), almost); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestNewHost_Env(t *testing.T) {
	files := map[string]string{"proc/stat": statFile([3]int{100, 200, 0})}
	proc{ticks: 7, switches: map[int]int64{1: 0}}.add(files, 1)
	fixture := fixtureHost(t, files)
	t.Setenv("HOST_PROC", fixture.proc)
	t.Setenv("HOST_SYS", fixture.sys)
	h := NewHost()
	if diff := cmp.Diff([]CPUTime{{"cpu0", 1, 0, 2}}, h.CPUs(), almost); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// Process 1 of that tree is not process 1 of this machine.
	if _, used := h.CPUNs(1); used != Of[int64](7e7) {
		t.Errorf("CPU time %v, want 70 ms", used)
	}
}
