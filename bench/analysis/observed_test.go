package analysis

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"stepbench/bench/record"
	"stepbench/bench/telemetry"
	"stepbench/bench/workload"
	"stepbench/engine"
)

// watched is a run from 10 s to 20 s with a sample a second from 5 s to 25 s.
func watched(t *testing.T, devices func(second int) []telemetry.DeviceReading) *record.Record {
	t.Helper()
	spec, err := workload.New(workload.Flags{Requests: 3, RatePerS: 1, Pattern: "constant", InputTokens: 4, OutputTokens: 2, Seed: 1}, workload.Limits{Vocab: 100})
	if err != nil {
		t.Fatal(err)
	}
	rec := &record.Record{Manifest: record.Manifest{Workload: &spec, StartNs: 9e9, Host: record.Host{CPUs: 4}}}
	for i, arrival := range []int64{9e9, 10e9, 20e9} { // two of warm-up
		rec.Requests = append(rec.Requests, engine.RequestResult{ID: int64(i), ArrivalNs: arrival})
	}
	for s := range 20 {
		at := int64(5+s) * 1e9
		cores := 1.0
		if at <= 10e9 || at > 20e9 {
			cores = 4 // outside the window: not counted
		}
		sample := telemetry.Sample{BeforeNs: at + 1, AfterNs: at + 2, Processes: []telemetry.ProcessSample{{PID: 7, CPUFrac: telemetry.Of(cores)}}}
		if devices != nil {
			sample.Devices = devices(5 + s)
		}
		rec.Samples = append(rec.Samples, sample)
	}
	rec.Manifest.Telemetry = &record.Telemetry{
		SampleHz: 1, SamplerCPUFrac: telemetry.Of(0.003), ParentCPUNs: telemetry.Of[int64](1e9), Threads: telemetry.Of[int64](12),
		RSSBytes: telemetry.Of[int64](3e9),
		Change: telemetry.Change{IntervalNs: 20e9, Processes: []telemetry.ProcessChange{{
			PID: 7, IntervalNs: 20e9, CPUNs: telemetry.Of[int64](30e9), InvoluntarySwitches: telemetry.Of[int64](100),
		}}},
		WorkerThreads: []telemetry.ThreadCPU{{Name: "omp", Threads: 2, CPUNs: 20e9}, {Name: "python", Threads: 1, CPUNs: 10e9}},
	}
	return rec
}

func TestObserveCPU(t *testing.T) {
	o := observe(watched(t, nil))
	want := &CPUUse{
		WorkerCores: 1.5, ParentCores: 0.05, Threads: 12, SwitchesPerS: 5, SamplerFrac: 0.003,
		ByThread: []ThreadUse{{"omp", 2, 1}, {"python", 1, 0.5}},
	}
	if diff := cmp.Diff(want, o.cpu, cmpopts.EquateApprox(0, 1e-12)); diff != "" {
		t.Errorf("CPU (-want +got):\n%s", diff)
	}
	if o.utilisation != nil || o.utilisationFrac == nil || o.rssBytes != 3e9 {
		t.Fatalf("observed %+v", o)
	}
	if u := o.utilisationFrac.Value; u < 0.24 || u > 0.33 { // one of four CPUs
		t.Errorf("the worker kept %g of the CPUs busy", u)
	}
}

func TestObserveDevices(t *testing.T) {
	rec := watched(t, func(second int) []telemetry.DeviceReading {
		frac := 0.0
		if second > 10 && second < 20 {
			frac = 0.6
		}
		reading := func(uuid string, frac float64, used int64) telemetry.DeviceReading {
			r := telemetry.DeviceReading{UUID: uuid, Gauges: telemetry.Gauges{SMUtilFrac: telemetry.Of(frac), MemoryUsedBytes: telemetry.Of(used)}}
			if uuid == "GPU-a" {
				r.Gauges.MemoryTotalBytes = telemetry.Of[int64](80)
			}
			return r
		}
		return []telemetry.DeviceReading{reading("GPU-b", frac+0.2, int64(second)), reading("GPU-a", frac, 50), {UUID: "GPU-c", Unanswered: "hangs"}}
	})
	o := observe(rec)
	if len(o.utilisation) != 20 || o.utilisationFrac == nil {
		t.Fatalf("%d samples of the devices, %+v", len(o.utilisation), o.utilisationFrac)
	}
	// Nine seconds of 0.7 and the first, of 0.1.
	if u, want := o.utilisationFrac.Value, (9*0.7+0.1)/10; u < want-1e-9 || u > want+1e-9 {
		t.Errorf("utilisation %g, want %g", u, want)
	}
	e := Engine{}
	e.see([]*run{{seen: o}, {seen: observed{rssBytes: 5e9, memory: map[string]DeviceMemory{"GPU-a": {UUID: "GPU-a", UsedBytes: 40}}}}})
	want := []DeviceMemory{{UUID: "GPU-a", UsedBytes: 50, TotalBytes: 80}, {UUID: "GPU-b", UsedBytes: 24}}
	if diff := cmp.Diff(want, e.Memory); diff != "" || e.RSSBytes != 5e9 {
		t.Errorf("memory, RSS %d (-want +got):\n%s", e.RSSBytes, diff)
	}
}

func TestObserveNothing(t *testing.T) {
	rec := watched(t, nil)
	rec.Manifest.Telemetry = nil
	o := observe(rec)
	if o.utilisation != nil || o.utilisationFrac != nil || o.cpu != nil || o.memory != nil {
		t.Errorf("observed %+v of a machine nobody watched", o)
	}
	if u := cpuUse([]*run{{seen: o, rec: rec}}); u != nil {
		t.Errorf("CPU %+v", u)
	}
}

func TestCPUOverRepeats(t *testing.T) {
	rec := &record.Record{Steps: []engine.Step{
		{GenReqs: 1, ScheduleNs: 1000, ExecuteNs: 8000}, {GenReqs: 1, ScheduleNs: 3000, ExecuteNs: 8000}, {ScheduleNs: 1e9},
	}}
	one := &run{rec: rec, seen: observed{cpu: &CPUUse{WorkerCores: 1, Threads: 4, ByThread: []ThreadUse{{"a", 1, 0.4}, {"b", 1, 0.6}}}}}
	two := &run{rec: &record.Record{}, seen: observed{cpu: &CPUUse{WorkerCores: 2, Threads: 6, ByThread: []ThreadUse{{"a", 2, 2}}}}}
	u := cpuUse([]*run{one, two, {rec: &record.Record{}}})
	if u.WorkerCores != 1.5 || u.Threads != 6 || u.ByComponent["schedule"] != 2 || u.ByComponent["execute"] != 8 {
		t.Errorf("CPU %+v", u)
	}
	if diff := cmp.Diff([]ThreadUse{{"a", 2, 1.2}, {"b", 1, 0.3}}, u.ByThread); diff != "" {
		t.Errorf("threads (-want +got):\n%s", diff)
	}
}
