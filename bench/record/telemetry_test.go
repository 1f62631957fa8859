package record

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"stepbench/bench/telemetry"
	"stepbench/engine"
)

// samples: a device that tells everything, one that tells nothing, a host
// without frequencies and a worker that ended.
func samples() []telemetry.Sample {
	known := telemetry.DeviceReading{
		UUID: "GPU-1",
		Gauges: telemetry.Gauges{
			SMClockMHz: telemetry.Of(1980.0), MemoryClockMHz: telemetry.Of(3201.0), TemperatureC: telemetry.Of(44.0),
			PowerWatts: telemetry.Of(350.5), SMUtilFrac: telemetry.Of(0.97), MemoryUtilFrac: telemetry.Of(0.0),
			MemoryUsedBytes: telemetry.Of[int64](3 << 30), MemoryTotalBytes: telemetry.Of[int64](80 << 30), Reasons: telemetry.Of[uint64](4),
		},
		Counters: telemetry.Counters{
			EnergyJ: telemetry.Of(12.5), PowerCapNs: telemetry.Of[int64](1), SWThermalNs: telemetry.Of[int64](2),
			HWThermalNs: telemetry.Of[int64](3), PowerBrakeNs: telemetry.Of[int64](4),
			PCIeSentBytes: telemetry.Of[int64](5), PCIeReceivedBytes: telemetry.Of[int64](6),
		},
		GPM: telemetry.GPM{
			PeriodNs: telemetry.Of[int64](200e6), GraphicsUtilFrac: telemetry.Of(0.01), SMUtilFrac: telemetry.Of(0.02), SMOccupancyFrac: telemetry.Of(0.03),
			TensorUtilFrac: telemetry.Of(0.04), DRAMBandwidthUtilFrac: telemetry.Of(0.05), FP16UtilFrac: telemetry.Of(0.06), FP32UtilFrac: telemetry.Of(0.0),
			PCIeSentMiBPerS: telemetry.Of(8.0), PCIeReceivedMiBPerS: telemetry.Of(9.0), NVLinkSentMiBPerS: telemetry.Of(10.0), NVLinkReceivedMiBPerS: telemetry.Of(11.0),
		},
	}
	silent := telemetry.DeviceReading{UUID: "GPU-2", Gauges: telemetry.Gauges{Problem: "power: timeout"}, GPM: telemetry.GPM{Problem: "GPM: sample: ERROR_TIMEOUT"}}
	return []telemetry.Sample{
		{BeforeNs: 10, AfterNs: 11, Devices: []telemetry.DeviceReading{known, silent},
			CPUBusyFrac: telemetry.Of(0.5), CoreBusyFrac: []float64{1, 0}, StealFrac: telemetry.Of(0.0),
			Processes: []telemetry.ProcessSample{{PID: 42, CPUFrac: telemetry.Of(1.5), RSSBytes: telemetry.Of[int64](7),
				Threads: telemetry.Of[int64](8), InvoluntarySwitches: telemetry.Of[int64](9)}}},
		{BeforeNs: 20, AfterNs: 21, FrequencyMHz: telemetry.Of(3000.0), Processes: []telemetry.ProcessSample{{PID: 42}}},
	}
}

func TestTelemetryRowsKeepEverything(t *testing.T) {
	path := filepath.Join(t.TempDir(), TelemetryFile)
	file, err := writeParquet(path, telemetryRows(samples()), "hash")
	if err != nil {
		t.Fatal(err)
	}
	rows, _, err := readParquet[telemetryRow](path, file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(samples(), samplesOf(rows), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("samples (-want +got):\n%s", diff)
	}
	if rows[0].PowerWatts != nil || rows[2].PowerWatts != nil || rows[4].CPUBusyFrac != nil {
		t.Errorf("unknown values are not null: %+v", rows)
	}
}

// scripted is a GPU without a driver.
type scripted struct{}

func (scripted) Gauges() telemetry.Gauges       { return samples()[0].Devices[0].Gauges }
func (scripted) Processes() telemetry.Processes { return samples()[0].Devices[0].Processes }
func (scripted) Counters() telemetry.Counters   { return samples()[0].Devices[0].Counters }
func (scripted) GPM() telemetry.GPM             { return samples()[0].Devices[0].GPM }
func (scripted) Close()                         {}

func TestWatch(t *testing.T) {
	tests := []struct {
		name    string
		hz      float64
		devices bool
	}{
		{"a device at 100 Hz", 100, true},
		{"no device", 100, false},
		{"ends only", 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := simulate(t, nil)
			dir := filepath.Join(t.TempDir(), "run")
			run, err := Create(dir, manifest(m))
			if err != nil {
				t.Fatal(err)
			}
			w := Watched{Host: telemetry.NewHost(), WorkerPID: os.Getpid(), SampleHz: tt.hz}
			if tt.devices {
				d := telemetry.NewDevice("GPU-1", scripted{})
				defer d.Close()
				w.Devices = []*telemetry.Device{d}
			}
			if err := run.Watch(w); err != nil {
				t.Fatal(err)
			}
			if err := (&fakeEngine{batches: m.batches}).Run(t.Context(), engine.Plan{}, run.Sink()); err != nil {
				t.Fatal(err)
			}
			if tt.hz > 0 { // until the sampler has its first samples
				for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
					if s, _ := run.watch.sampler.Between(0, 1<<62); len(s) > 3 {
						break
					}
				}
			}
			if err := run.Finish(Complete, nil); err != nil {
				t.Fatal(err)
			}
			r := open(t, dir)
			sums := r.Manifest.Telemetry
			if sums == nil || len(r.Notes) > 0 {
				t.Fatalf("telemetry %+v, notes %v", sums, r.Notes)
			}
			if (len(r.Samples) > 0) != (tt.hz > 0) || sums.Samples != len(r.Samples) || sums.SamplerCPUFrac.Known != (tt.hz > 0) {
				t.Errorf("%d samples at %g Hz, sums %+v", len(r.Samples), tt.hz, sums)
			}
			if sums.Truncated || sums.Change.Unsampled != (tt.hz == 0) {
				t.Errorf("at %g Hz: truncated %v, unsampled %v", tt.hz, sums.Truncated, sums.Change.Unsampled)
			}
			if !sums.ParentCPUNs.Known || !sums.RSSBytes.Known || sums.Threads.V < 1 || len(sums.WorkerThreads) == 0 {
				t.Errorf("process %+v", sums)
			}
			if n := len(sums.Change.Devices); (n == 1) != tt.devices {
				t.Errorf("%d devices changed", n)
			}
			for i, s := range r.Samples {
				asked := tt.devices && i == 0 // the next slow sample is a second away
				if (len(s.Devices) == 1) != tt.devices || len(s.Processes) != 1 || asked && s.Devices[0].GPM != (scripted{}).GPM() {
					t.Fatalf("sample %+v", s)
				}
			}
		})
	}
}

// What a worker used until Unwatch is known, though it has ended by Finish.
func TestUnwatch(t *testing.T) {
	worker := exec.Command("sh", "-c", "while :; do :; done")
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	stop := func() { _, _ = worker.Process.Kill(), worker.Wait() }
	t.Cleanup(stop)
	run, err := Create(filepath.Join(t.TempDir(), "run"), manifest(simulate(t, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Watch(Watched{Host: telemetry.NewHost(), WorkerPID: worker.Process.Pid}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	run.Unwatch()
	stop()
	if err := run.Finish(Failed, nil); err != nil {
		t.Fatal(err)
	}
	p, ok := open(t, run.Dir()).Manifest.Telemetry.Change.Process(worker.Process.Pid)
	if !ok || p.Ended > 0 || !p.CPUNs.Known || !p.RSSBytes.Known {
		t.Errorf("the worker used %+v", p)
	}
}
