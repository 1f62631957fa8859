package telemetry

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func devices(d ...DeviceChange) Change { return Change{Devices: d} }

func TestClocksGate(t *testing.T) {
	arm := func(mhz ...float64) Change { return devices(DeviceChange{UUID: "A", SMClocksMHz: mhz}) }
	two := func(x, y float64) Change {
		return devices(DeviceChange{UUID: "A", SMClocksMHz: []float64{x}}, DeviceChange{UUID: "B", SMClocksMHz: []float64{y}})
	}
	tests := []struct {
		name   string
		a, b   Change
		status Status
		detail string
	}{
		{"equal medians", arm(1980, 1980, 345), arm(1980, 1980, 1980), Pass, "1980 and 1980 MHz, +0.00 %"},
		{"below half a percent", arm(2000), arm(1991), Pass, "2000 and 1991 MHz, -0.45 %"},
		{"above it", arm(2000), arm(1989), Flag, "2000 and 1989 MHz, -0.55 %"},
		{"below one percent", arm(2000), arm(2019), Flag, "2000 and 2019 MHz, +0.95 %"},
		{"more", arm(2000), arm(2030), Fail, "2000 and 2030 MHz, +1.50 %"},
		{"one arm not sampled", arm(2000), arm(), Unknown, "2000 and unknown MHz over 1 and 0 samples"},
		{"clock of zero", arm(0), arm(2000), Unknown, "0 and 2000 MHz over 1 and 1 samples"},
		{"no device", Change{}, Change{}, Unknown, "no device"},
		{"device in one arm", arm(2000), Change{}, Unknown, "1 devices in one arm, 0 in the other"},
		{"different devices", arm(2000), devices(DeviceChange{UUID: "Z"}), Unknown, "not in both arms"},
		{"worst of two", two(2000, 2000), two(2000, 2030), Fail, "B: 2000 and 2030 MHz, +1.50 %"},
		{"unknown beside pass", two(2000, 2000), devices(DeviceChange{UUID: "A"}, DeviceChange{UUID: "B", SMClocksMHz: []float64{2000}}),
			Unknown, "A: 2000 and unknown MHz over 1 and 0 samples"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { checkGate(t, ClocksGate(tt.a, tt.b), tt.status, tt.detail) })
	}
}

func checkGate(t *testing.T, g Gate, status Status, detail string) {
	t.Helper()
	if g.Status != status || g.Detail != detail {
		t.Errorf("got %s: %s, want %s: %s", g.Status, g.Detail, status, detail)
	}
	if g.Name == "" || g.Rule == "" {
		t.Errorf("unnamed: %+v", g)
	}
}

func TestThermalGate(t *testing.T) {
	zero, unknown := Of[int64](0), Value[int64]{}
	tests := []struct {
		name   string
		d      DeviceChange
		status Status
		detail string
	}{
		{"none", DeviceChange{SWThermalNs: zero, HWThermalNs: zero, PowerBrakeNs: zero}, Pass, "none"},
		{"software", DeviceChange{SWThermalNs: Of[int64](1), HWThermalNs: zero, PowerBrakeNs: zero}, Fail, "software thermal 1e-06 ms"},
		{"hardware and brake", DeviceChange{SWThermalNs: zero, HWThermalNs: Of[int64](2e6), PowerBrakeNs: Of[int64](3e6)}, Fail, "hardware thermal 2 ms, power brake 3 ms"},
		{"one counter missing", DeviceChange{SWThermalNs: zero, HWThermalNs: zero, PowerBrakeNs: unknown}, Unknown, "no counter of power brake"},
		{"one missing, another rose", DeviceChange{SWThermalNs: Of[int64](1e6), HWThermalNs: zero}, Fail, "software thermal 1 ms"},
		{"no counters, seen in a sample", DeviceChange{Reasons: Of[uint64](4 | 64)}, Fail, "hardware thermal"},
		{"no counters, other reasons seen", DeviceChange{Reasons: Of[uint64](4 | 1)}, Unknown, "no counter of software thermal, hardware thermal, power brake"},
		{"device lost", DeviceChange{Problem: "energy: ERROR_GPU_IS_LOST"}, Unknown,
			"no counter of software thermal, hardware thermal, power brake (energy: ERROR_GPU_IS_LOST)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { checkGate(t, ThermalGate(devices(tt.d)), tt.status, tt.detail) })
	}
}

func TestPowerGate(t *testing.T) {
	arm := func(capped Value[int64]) Change { return devices(DeviceChange{IntervalNs: 1000, PowerCapNs: capped}) }
	tests := []struct {
		name   string
		a, b   Value[int64]
		status Status
		detail string
	}{
		{"never", Of[int64](0), Of[int64](0), Pass, "0.0 % and 0.0 % of the time"},
		{"little, much alike", Of[int64](50), Of[int64](40), Pass, "5.0 % and 4.0 % of the time"},
		{"capped", Of[int64](51), Of[int64](50), Flag, "5.1 % and 5.0 % of the time"},
		{"arms differ", Of[int64](0), Of[int64](25), Flag, "0.0 % and 2.5 % of the time"},
		{"no counter", Of[int64](0), Value[int64]{}, Unknown, "no counter of time at the power limit"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { checkGate(t, PowerGate(arm(tt.a), arm(tt.b)), tt.status, tt.detail) })
	}
}

func TestForeignGate(t *testing.T) {
	tests := []struct {
		name     string
		onDevice []int
		trees    [][]int
		status   Status
		detail   string
	}{
		{"own only", []int{10, 21}, [][]int{{10}, {20, 21}}, Pass, "none"},
		{"residents", []int{10, 30}, [][]int{{10}}, Pass, "none"},
		{"another's too", []int{10, 66, 67}, [][]int{{10, 11}}, Fail, "process [66 67]"},
		{"not listed", nil, [][]int{{10}}, Unknown, "the driver does not list processes"},
		{"own not listed", []int{}, [][]int{{10}}, Unknown, "the driver lists 0 processes, and none is this run's"},
		{"ids of another namespace", []int{4711}, [][]int{{10}}, Unknown, "the driver lists 1 processes, and none is this run's"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := devices(DeviceChange{PIDs: tt.onDevice})
			for _, pids := range tt.trees {
				c.Processes = append(c.Processes, ProcessChange{PID: pids[0], PIDs: pids})
			}
			checkGate(t, ForeignGate(c, 30, 31), tt.status, tt.detail)
		})
	}
}

func TestStealGate(t *testing.T) {
	tests := []struct {
		name        string
		work, steal Value[float64]
		status      Status
		detail      string
	}{
		{"none", Of(10.0), Of(0.0), Pass, "0.00 % of 10.0 s"},
		{"below", Of(99.1), Of(0.9), Pass, "0.90 % of 100.0 s"},
		{"at the limit", Of(99.0), Of(1.0), Fail, "1.00 % of 100.0 s"},
		{"too short to tell", Of(0.4), Of(0.0), Unknown, "0.40 s of CPU time are too few for ticks of 10 ms to tell"},
		{"no work at all", Of(0.0), Of(0.0), Unknown, "CPU times not known"},
		{"unknown", Value[float64]{}, Value[float64]{}, Unknown, "CPU times not known"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checkGate(t, StealGate(Change{CPUWorkS: tt.work, CPUStealS: tt.steal}), tt.status, tt.detail)
		})
	}
}

func TestFrequencyGate(t *testing.T) {
	tests := []struct {
		name   string
		mhz    []float64
		status Status
		detail string
	}{
		{"still", []float64{3000, 3010, 2990}, Pass, "0.60 % around 3000 MHz, 3 readings"},
		{"moves", []float64{3000, 3100, 2900}, Fail, "6.00 % around 3000 MHz, 3 readings"},
		{"too few", []float64{3000, 3000}, Unknown, "2 readings: the machine does not tell, or was sampled for less than 3 s"},
		{"not told", nil, Unknown, "0 readings: the machine does not tell, or was sampled for less than 3 s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { checkGate(t, FrequencyGate(Change{FrequenciesMHz: tt.mhz}), tt.status, tt.detail) })
	}
}

func TestIdleGate(t *testing.T) {
	tests := []struct {
		name   string
		p      ProcessChange
		status Status
		detail string
	}{
		{"idle", ProcessChange{PID: 10, IntervalNs: 1e9, CPUNs: Of[int64](1e6)}, Pass, "0.10 % of a core"},
		{"as a vLLM worker", ProcessChange{PID: 10, IntervalNs: 4e9, CPUNs: Of[int64](6e7)}, Pass, "1.50 % of a core"},
		{"stirs", ProcessChange{PID: 10, IntervalNs: 1e9, CPUNs: Of[int64](3e7)}, Flag, "3.00 % of a core"},
		{"spins", ProcessChange{PID: 10, IntervalNs: 1e9, CPUNs: Of[int64](2e9)}, Fail, "200.00 % of a core"},
		{"not told", ProcessChange{PID: 10, IntervalNs: 1e9}, Unknown, "CPU time of process 10 not known"},
		{"no time passed", ProcessChange{PID: 10, CPUNs: Of[int64](0)}, Unknown, "CPU time of process 10 not known"},
		{"another process", ProcessChange{PID: 11, IntervalNs: 1e9, CPUNs: Of[int64](0)}, Unknown, "process 10 was not watched"},
		{"a child ended", ProcessChange{PID: 10, IntervalNs: 1e9, CPUNs: Of[int64](0), Ended: 1}, Unknown,
			"0.00 % of a core; 1 of its processes ended, whose time is not known"},
		{"busy, and a child ended", ProcessChange{PID: 10, IntervalNs: 1e9, CPUNs: Of[int64](1e9), Ended: 1}, Fail,
			"100.00 % of a core; 1 of its processes ended, whose time is not known"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checkGate(t, IdleGate(Change{Processes: []ProcessChange{tt.p}}, 10), tt.status, tt.detail)
		})
	}
}

func TestQuietGate(t *testing.T) {
	zero, unknown := Of[int64](0), Value[int64]{}
	tests := []struct {
		name                        string
		throttled, faults, switches Value[int64]
		status                      Status
		detail                      string
	}{
		{"quiet", zero, zero, Of[int64](5), Pass, "0 throttled periods, 0 major faults, 5 involuntary switches"},
		{"throttled", Of[int64](1), zero, zero, Fail, "1 throttled periods, 0 major faults, 0 involuntary switches"},
		{"fault", zero, Of[int64](1), zero, Fail, "0 throttled periods, 1 major faults, 0 involuntary switches"},
		{"switches", zero, zero, Of[int64](6), Fail, "0 throttled periods, 0 major faults, 6 involuntary switches"},
		{"one unknown", unknown, zero, zero, Unknown, "unknown throttled periods, 0 major faults, 0 involuntary switches"},
		{"one unknown, another bad", unknown, Of[int64](1), zero, Fail, "unknown throttled periods, 1 major faults, 0 involuntary switches"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := Change{Throttling: Throttling{Periods: tt.throttled}, Processes: []ProcessChange{{PID: 10, MajorFaults: tt.faults, InvoluntarySwitches: tt.switches}}}
			checkGate(t, QuietGate(c, 10), tt.status, tt.detail)
		})
	}
	checkGate(t, QuietGate(Change{}, 10), Unknown, "process 10 was not watched")
}

func TestReasonNames(t *testing.T) {
	if diff := cmp.Diff([]string{"idle", "power cap", "power brake", "reliability"}, ReasonNames(1|4|128|1024)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := ReasonNames(0); got != nil {
		t.Errorf("no bits: %v", got)
	}
}
