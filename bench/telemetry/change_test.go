package telemetry

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stepbench/internal/golden"
)

// interval is a snapshot at 1 s, one at 3 s and two samples in between, of a
// machine with one device, two CPUs and a worker with a child.
func interval() (before, after Snapshot, samples []Sample) {
	before = Snapshot{
		BeforeNs: 0.9e9, AfterNs: 1.1e9,
		Devices: []DeviceReading{{UUID: "GPU-1", BeforeNs: 0.98e9, AfterNs: 1.02e9,
			Gauges: Gauges{SMClockMHz: Of(345.0), Reasons: Of[uint64](1)},
			Counters: Counters{EnergyJ: Of(100.0), PowerCapNs: Of[int64](5e6), SWThermalNs: Of[int64](7), HWThermalNs: Of[int64](8),
				PowerBrakeNs: Of[int64](9)},
			Processes: Processes{PIDs: []int{10}}}},
		CPUs:       []CPUTime{{"cpu0", 10, 1, 5}, {"cpu1", 10, 1, 5}},
		Throttling: Throttling{Of[int64](4), Of[int64](40)},
		Processes: []ProcessReading{{PID: 10, Members: []Member{
			{PID: 10, AtNs: 1e9, CPUNs: Of[int64](5e9), RSSBytes: Of[int64](100), MajorFaults: Of[int64](2), Switches: map[int]int64{10: 5, 11: 6}},
			{PID: 20, AtNs: 1e9, CPUNs: Of[int64](1e9), RSSBytes: Of[int64](10), MajorFaults: Of[int64](0), Switches: map[int]int64{20: 1}},
		}}},
	}
	after = Snapshot{
		BeforeNs: 2.9e9, AfterNs: 3.1e9,
		Devices: []DeviceReading{{UUID: "GPU-1", BeforeNs: 2.98e9, AfterNs: 3.02e9,
			Gauges: Gauges{SMClockMHz: Of(1980.0), Reasons: Of[uint64](0)},
			Counters: Counters{EnergyJ: Of(1100.0), PowerCapNs: Of[int64](105e6), SWThermalNs: Of[int64](7), HWThermalNs: Of[int64](8),
				PowerBrakeNs: Of[int64](9)},
			Processes: Processes{PIDs: []int{10}}}},
		CPUs:       []CPUTime{{"cpu0", 12, 1, 5}, {"cpu1", 11.9, 1.1, 5}},
		Throttling: Throttling{Of[int64](5), Of[int64](50)},
		Processes: []ProcessReading{{PID: 10, Members: []Member{
			{PID: 10, AtNs: 3e9, CPUNs: Of[int64](6e9), RSSBytes: Of[int64](120), MajorFaults: Of[int64](3), Switches: map[int]int64{10: 7, 12: 3}},
			{PID: 30, AtNs: 3e9, CPUNs: Of[int64](0.5e9), RSSBytes: Of[int64](30), MajorFaults: Of[int64](1), Switches: map[int]int64{30: 2}},
		}}},
	}
	samples = []Sample{
		{Devices: []DeviceReading{{UUID: "GPU-1", Gauges: Gauges{SMClockMHz: Of(1965.0), Reasons: Of[uint64](4)}, Processes: Processes{PIDs: []int{10, 66}}}},
			FrequencyMHz: Of(3000.0), Processes: []ProcessSample{{PID: 10, PIDs: []int{10, 20, 25}}}},
		{Devices: []DeviceReading{{UUID: "GPU-1", Unanswered: "NVML gave no answer within 1s"}, {UUID: "GPU-2", Gauges: Gauges{SMClockMHz: Of(1.0)}}}},
		{Devices: []DeviceReading{{UUID: "GPU-1", Gauges: Gauges{SMClockMHz: Of(1995.0)}}}},
	}
	return before, after, samples
}

func TestSince(t *testing.T) {
	before, after, samples := interval()
	c := after.Since(before, samples)
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "testdata/change.json", append(text, '\n'))
	var back Change
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, back); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
	shares := map[string]Value[float64]{
		"steal": c.StealFrac(), "clock": c.Devices[0].SMClockMHz(), "power cap": c.Devices[0].PowerCapFrac(), "cpu": c.Processes[0].CPUFrac(),
	}
	want := map[string]Value[float64]{
		"steal": Of(0.1 / 4), "clock": Of(1980.0), "power cap": Of(0.05), "cpu": Of(0.75), // 1 s of the worker, 0.5 s of its new child
	}
	if diff := cmp.Diff(want, shares, almost); diff != "" {
		t.Errorf("shares (-want +got):\n%s", diff)
	}
}

func TestSince_Unknown(t *testing.T) {
	tests := []struct {
		name string
		edit func(before, after *Snapshot)
		// The parts that must be unknown, all others known.
		want []string
	}{
		{"all known", func(*Snapshot, *Snapshot) {}, nil},
		{"energy counter reset", func(_, a *Snapshot) { a.Devices[0].Counters.EnergyJ = Of(1.0) }, []string{"energy"}},
		{"no throttle counters", func(b, a *Snapshot) {
			b.Devices[0].Counters.SWThermalNs, a.Devices[0].Counters.HWThermalNs = Value[int64]{}, Value[int64]{}
		}, []string{"sw thermal", "hw thermal"}},
		{"device did not answer", func(_, a *Snapshot) { a.Devices[0] = DeviceReading{UUID: "GPU-1", Unanswered: "x"} },
			[]string{"energy", "power cap", "sw thermal", "hw thermal", "pids"}},
		{"processes not listed at one end", func(b, _ *Snapshot) { b.Devices[0].Processes.PIDs = nil }, []string{"pids"}},
		{"no CPU times", func(_, a *Snapshot) { a.CPUs = nil }, []string{"cpus"}},
		{"no control group", func(b, _ *Snapshot) { b.Throttling = Throttling{} }, []string{"throttling"}},
		{"worker ended", func(_, a *Snapshot) { a.Processes[0].Members = nil }, []string{"cpu", "faults", "switches", "rss"}},
		{"tree partly seen", func(_, a *Snapshot) { a.Processes[0].Partial = true }, []string{"cpu", "faults", "switches", "rss"}},
		{"switches not told", func(_, a *Snapshot) { a.Processes[0].Members[1].Switches = nil }, []string{"switches"}},
		{"child's memory not told", func(_, a *Snapshot) { a.Processes[0].Members[1].RSSBytes = Value[int64]{} }, []string{"rss"}},
		{"id used anew", func(_, a *Snapshot) { a.Processes[0].Members[0].CPUNs = Of[int64](1) }, []string{"cpu"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before, after, _ := interval()
			tt.edit(&before, &after)
			c := after.Since(before, nil)
			d, p := c.Devices[0], c.Processes[0]
			var unknown []string
			for _, part := range []struct {
				name  string
				known bool
			}{
				{"energy", d.EnergyJ.Known},
				{"power cap", d.PowerCapNs.Known},
				{"sw thermal", d.SWThermalNs.Known},
				{"hw thermal", d.HWThermalNs.Known},
				{"pids", d.PIDs != nil},
				{"cpus", c.StealFrac().Known},
				{"throttling", c.Throttling.Periods.Known},
				{"cpu", p.CPUFrac().Known},
				{"faults", p.MajorFaults.Known},
				{"switches", p.InvoluntarySwitches.Known},
				{"rss", p.RSSBytes.Known},
			} {
				if !part.known {
					unknown = append(unknown, part.name)
				}
			}
			if diff := cmp.Diff(tt.want, unknown); diff != "" {
				t.Errorf("unknown (-want +got):\n%s", diff)
			}
			if !c.Unsampled {
				t.Error("no samples, and not marked so")
			}
		})
	}
}

func TestMerge(t *testing.T) {
	before, after, samples := interval()
	one := after.Since(before, samples)
	dark := after
	dark.Devices = []DeviceReading{{UUID: "GPU-1", BeforeNs: 2.98e9, AfterNs: 3.02e9, Unanswered: "x"}}
	unknown := dark.Since(before, nil)

	two := Merge(one, one)
	want := map[string]any{
		"interval": int64(4e9), "energy": Of(2000.0), "clocks": []float64{1965, 1995, 1965, 1995}, "power cap": Of(0.05),
		"cpu": Of(0.75), "ended": 2, "rss": Of[int64](150), "steal": Of(0.025), "frequencies": []float64{3000, 3000}, "periods": Of[int64](2),
	}
	got := map[string]any{
		"interval": two.IntervalNs, "energy": two.Devices[0].EnergyJ, "clocks": two.Devices[0].SMClocksMHz, "power cap": two.Devices[0].PowerCapFrac(),
		"cpu": two.Processes[0].CPUFrac(), "ended": two.Processes[0].Ended, "rss": two.Processes[0].RSSBytes, "steal": two.StealFrac(),
		"frequencies": two.FrequenciesMHz, "periods": two.Throttling.Periods,
	}
	if diff := cmp.Diff(want, got, almost); diff != "" {
		t.Errorf("twice the same (-want +got):\n%s", diff)
	}
	if one.IntervalNs != 2e9 || len(one.Devices[0].SMClocksMHz) != 2 || len(one.FrequenciesMHz) != 1 {
		t.Errorf("merging changed its input: %+v", one)
	}
	for name, c := range map[string]Change{"unknown last": Merge(one, unknown), "unknown first": Merge(unknown, one)} {
		if d := c.Devices[0]; d.EnergyJ.Known || d.PIDs != nil || d.Problem == "" || !c.Unsampled || !c.Processes[0].CPUNs.Known {
			t.Errorf("%s: %+v", name, c)
		}
	}
	other := one
	other.Processes = []ProcessChange{{PID: 11}}
	if c := Merge(one, other); len(c.Processes) != 0 {
		t.Errorf("a process watched in one interval only: %+v", c.Processes)
	}
	if c := Merge(); !c.Unsampled || c.StealFrac().Known {
		t.Errorf("of nothing: %+v", c)
	}
}
