//go:build gpu

package telemetry

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

func firstUUID(tb testing.TB) string {
	tb.Helper()
	lib := nvml.New()
	if ret := lib.Init(); ret != nvml.SUCCESS {
		tb.Fatalf("start NVML: %v", ret)
	}
	defer lib.Shutdown()
	handle, ret := lib.DeviceGetHandleByIndex(0)
	if ret != nvml.SUCCESS {
		tb.Fatalf("first device: %v", ret)
	}
	uuid, ret := handle.GetUUID()
	if ret != nvml.SUCCESS {
		tb.Fatalf("UUID: %v", ret)
	}
	return uuid
}

func firstDevice(tb testing.TB) *Device {
	tb.Helper()
	d, err := OpenDevice(tb.Context(), firstUUID(tb))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(d.Close)
	return d
}

// TestGPU_Live wants all that the gates need of a data centre GPU.
func TestGPU_Live(t *testing.T) {
	d := firstDevice(t)
	before, after := d.Read(), d.Read()
	text, _ := json.MarshalIndent(after, "", "  ")
	t.Logf("%s", text)
	for name, known := range map[string]bool{
		"SM clock": after.Gauges.SMClockMHz.Known, "temperature": after.Gauges.TemperatureC.Known, "power": after.Gauges.PowerWatts.Known,
		"reasons": after.Gauges.Reasons.Known, "energy": after.Counters.EnergyJ.Known, "power cap": after.Counters.PowerCapNs.Known,
		"software thermal": after.Counters.SWThermalNs.Known, "hardware thermal": after.Counters.HWThermalNs.Known,
		"power brake": after.Counters.PowerBrakeNs.Known, "processes": after.Processes.PIDs != nil,
	} {
		if !known {
			t.Errorf("%s not known", name)
		}
	}
	if c := after.since(before, nil); !c.EnergyJ.Known || c.IntervalNs <= 0 {
		t.Errorf("change %+v", c)
	}
}

// TestGPU_GPM wants the values of a GPU from Hopper on, or a stated absence.
func TestGPU_GPM(t *testing.T) {
	d := firstDevice(t)
	first := d.read(parts{gpm: true}).GPM
	if strings.HasPrefix(first.Problem, "GPM: not offered") {
		t.Skip(first.Problem)
	}
	time.Sleep(200 * time.Millisecond)
	second := d.read(parts{gpm: true}).GPM
	t.Logf("%+v", second)
	if first != (GPM{}) || second.Problem != "" || second.PeriodNs.V < 150e6 || !second.SMUtilFrac.Known || !second.SMOccupancyFrac.Known ||
		!second.TensorUtilFrac.Known || !second.DRAMBandwidthUtilFrac.Known {
		t.Errorf("first %+v, second %+v", first, second)
	}
}

// BenchmarkGPU is the cost of one sample's and of one snapshot's reading, and
// that of a sampler on this machine.
func BenchmarkGPU(b *testing.B) {
	d := firstDevice(b)
	b.Run("sample", func(b *testing.B) {
		for b.Loop() {
			d.read(parts{})
		}
	})
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			d.Read()
		}
	})
	b.Run("gpm", func(b *testing.B) {
		var spentNs int64
		for b.Loop() {
			time.Sleep(150 * time.Millisecond)
			start := nowNs()
			d.read(parts{gpm: true})
			spentNs += nowNs() - start
		}
		b.ReportMetric(float64(spentNs)/float64(b.N), "ns/read")
	})
	b.Run("sampler", func(b *testing.B) {
		m := NewMachine(NewHost(), d)
		m.Watch(os.Getpid())
		for b.Loop() {
			s, err := StartSampler(m, SamplerOptions{EveryMs: 100, Keep: 100, GPM: true})
			if err != nil {
				b.Fatal(err)
			}
			time.Sleep(5 * time.Second)
			s.Stop()
			b.ReportMetric(100*s.CPUFrac(), "core%")
		}
	})
}
