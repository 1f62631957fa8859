package telemetry

import (
	"math"
	"slices"
	"testing"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"
	"github.com/google/go-cmp/cmp"
)

// gpmFixture is a device whose counters a script plays: sample n is taken with
// sampleReturns[n], and metrics with metricReturns[n], both SUCCESS beyond the end.
type gpmFixture struct {
	mockLibrary
	mig           bool
	support       nvml.Return
	supported     uint32
	alloc         []nvml.Return
	sampleReturns []nvml.Return
	metricReturns []nvml.Return
	metric        func(id nvml.GpmMetricId) (float64, nvml.Return)

	allocated, freed, sampled, computed int
	filled                              map[nvml.GpmSample]int // ordinal of the sample that it holds
	pairs                               [][2]int               // older and newer of each computing
}

func nth(returns []nvml.Return, n int) nvml.Return {
	if n < len(returns) {
		return returns[n]
	}
	return nvml.SUCCESS
}

// open is a reader at a clock that the test moves.
func (f *gpmFixture) open(clock *int64) *gpmReader {
	f.filled = map[nvml.GpmSample]int{}
	lib := f.library().(*mock.Interface)
	lib.GpmSampleAllocFunc = func() (nvml.GpmSample, nvml.Return) {
		if ret := nth(f.alloc, f.allocated); ret != nvml.SUCCESS {
			return nil, ret
		}
		f.allocated++
		return &mock.GpmSample{FreeFunc: func() nvml.Return { f.freed++; return nvml.SUCCESS }}, nvml.SUCCESS
	}
	lib.GpmMetricsGetFunc = func(m *nvml.GpmMetricsGetType) nvml.Return {
		f.pairs = append(f.pairs, [2]int{f.filled[m.Sample1], f.filled[m.Sample2]})
		f.computed++
		for i := range m.NumMetrics {
			v, ret := f.metric(nvml.GpmMetricId(m.Metrics[i].MetricId))
			m.Metrics[i].Value, m.Metrics[i].NvmlReturn = v, uint32(ret)
		}
		return nth(f.metricReturns, f.computed-1)
	}
	device := mockDevice(nvml.SUCCESS)
	device.IsMigDeviceHandleFunc = func() (bool, nvml.Return) { return f.mig, nvml.SUCCESS }
	device.GpmQueryDeviceSupportFunc = func() (nvml.GpmSupport, nvml.Return) {
		return nvml.GpmSupport{IsSupportedDevice: f.supported}, f.support
	}
	device.GpmSampleGetFunc = func(s nvml.GpmSample) nvml.Return {
		f.sampled++
		f.filled[s] = f.sampled
		return nth(f.sampleReturns, f.sampled-1)
	}
	g := openGPM(lib, device)
	g.now = func() int64 { return *clock }
	return g
}

// plain gives every metric its own number as value.
func plain(id nvml.GpmMetricId) (float64, nvml.Return) { return float64(id), nvml.SUCCESS }

// plainGPM is what plain comes to.
func plainGPM(periodNs int64) GPM {
	return GPM{
		PeriodNs: Of(periodNs), GraphicsUtilFrac: Of(0.01), SMUtilFrac: Of(0.02), SMOccupancyFrac: Of(0.03), TensorUtilFrac: Of(0.05),
		DRAMBandwidthUtilFrac: Of(0.1), FP16UtilFrac: Of(0.13), FP32UtilFrac: Of(0.12), PCIeSentMiBPerS: Of(20.0), PCIeReceivedMiBPerS: Of(21.0),
		NVLinkSentMiBPerS: Of(61.0), NVLinkReceivedMiBPerS: Of(60.0),
	}
}

func TestGPM(t *testing.T) {
	const lost, ms = nvml.ERROR_GPU_IS_LOST, int64(1e6)
	ok := func(n int) []nvml.Return { return make([]nvml.Return, n) }
	partly := plainGPM(200 * ms)
	partly.SMUtilFrac, partly.FP16UtilFrac, partly.FP32UtilFrac, partly.TensorUtilFrac = Value[float64]{}, Value[float64]{}, Value[float64]{}, Value[float64]{}
	partly.NVLinkSentMiBPerS, partly.NVLinkReceivedMiBPerS = Value[float64]{}, Value[float64]{}
	partly.SMOccupancyFrac = Of(1.0)
	absent := func(why string) []GPM { return []GPM{{Problem: why}, {Problem: why}} }
	const notOffered = "GPM: not offered by this device/driver: "
	tests := []struct {
		name  string
		f     gpmFixture
		atMs  []int64 // of the readings
		want  []GPM
		pairs [][2]int // samples compared, the older first
		freed int
	}{
		{"offered", gpmFixture{supported: 1}, []int64{5, 205, 405, 1405},
			[]GPM{{}, plainGPM(200 * ms), plainGPM(200 * ms), plainGPM(1000 * ms)}, [][2]int{{1, 2}, {2, 3}, {3, 4}}, 2},
		{"some invalid", gpmFixture{supported: 1, metric: func(id nvml.GpmMetricId) (float64, nvml.Return) {
			switch id {
			case nvml.GPM_METRIC_SM_UTIL:
				return math.NaN(), nvml.SUCCESS
			case nvml.GPM_METRIC_FP16_UTIL:
				return math.Inf(1), nvml.SUCCESS
			case nvml.GPM_METRIC_FP32_UTIL:
				return 101, nvml.SUCCESS
			case nvml.GPM_METRIC_ANY_TENSOR_UTIL:
				return -1, nvml.SUCCESS
			case nvml.GPM_METRIC_SM_OCCUPANCY:
				return 100.01, nvml.SUCCESS // rounded up
			case nvml.GPM_METRIC_NVLINK_TOTAL_TX_PER_SEC, nvml.GPM_METRIC_NVLINK_TOTAL_RX_PER_SEC:
				return 0, nvml.ERROR_NOT_SUPPORTED // no such links
			}
			return plain(id)
		}}, []int64{5, 205}, []GPM{{}, partly}, [][2]int{{1, 2}}, 2},
		// The reading after an error has nothing to compare with.
		{"a sample fails midway", gpmFixture{supported: 1, sampleReturns: append(ok(2), lost)}, []int64{5, 205, 405, 605, 805},
			[]GPM{{}, plainGPM(200 * ms), {Problem: "GPM: sample: ERROR_GPU_IS_LOST"}, {}, plainGPM(200 * ms)}, [][2]int{{1, 2}, {4, 5}}, 2},
		{"metrics fail midway", gpmFixture{supported: 1, metricReturns: []nvml.Return{nvml.ERROR_UNKNOWN}}, []int64{5, 205, 405},
			[]GPM{{}, {Problem: "GPM: metrics: ERROR_UNKNOWN"}, plainGPM(200 * ms)}, [][2]int{{1, 2}, {2, 3}}, 2},
		{"before Hopper", gpmFixture{}, []int64{5, 205}, absent(notOffered + "ERROR_NOT_SUPPORTED"), nil, 0},
		{"the question fails", gpmFixture{supported: 1, support: nvml.ERROR_NO_PERMISSION}, []int64{5, 205}, absent(notOffered + "ERROR_NO_PERMISSION"), nil, 0},
		{"old driver", gpmFixture{supported: 1, mockLibrary: mockLibrary{missing: []string{"nvmlGpmMetricsGet"}}}, []int64{5, 205},
			absent(notOffered + "NVML lacks nvmlGpmMetricsGet"), nil, 0},
		{"MIG instance", gpmFixture{supported: 1, mig: true}, []int64{5, 205}, absent(notOffered + "it is a MIG instance"), nil, 0},
		{"no memory for the second sample", gpmFixture{supported: 1, alloc: []nvml.Return{nvml.SUCCESS, nvml.ERROR_MEMORY}}, []int64{5, 205},
			absent("GPM: allocate a sample: ERROR_MEMORY"), nil, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.f.metric == nil {
				tt.f.metric = plain
			}
			var clock int64
			g := tt.f.open(&clock)
			var got []GPM
			for _, at := range tt.atMs {
				clock = at * ms
				got = append(got, g.read())
			}
			g.close()
			g.close()
			if diff := cmp.Diff(tt.want, got, almost); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if !slices.Equal(tt.f.pairs, tt.pairs) {
				t.Errorf("compared samples %v, want %v", tt.f.pairs, tt.pairs)
			}
			if tt.f.freed != tt.freed || tt.f.freed != tt.f.allocated {
				t.Errorf("%d samples allocated and %d freed, want %d", tt.f.allocated, tt.f.freed, tt.freed)
			}
		})
	}
}

// TestGPM_Calls counts calls to NVML: two a reading, and none where there is no GPM.
func TestGPM_Calls(t *testing.T) {
	for supported, want := range []int{0, 11 + 10} {
		f := gpmFixture{supported: uint32(supported), metric: plain}
		var clock int64
		g := f.open(&clock)
		for range 11 {
			clock += 1e9
			g.read()
		}
		if got := f.sampled + f.computed; got != want {
			t.Errorf("supported %d: %d calls, want %d", supported, got, want)
		}
	}
}

// TestGPM_Asked: only a sampler that is told to reads GPM, and that in its slow
// samples; snapshots never do.
func TestGPM_Asked(t *testing.T) {
	g := newFakeGPU()
	d := NewDevice("GPU-1", g)
	defer d.Close()
	m, _ := fixtureMachine(t, nil, d)
	for _, asked := range []bool{false, true} {
		s := series{machine: m, gpm: asked, cpu: map[int]cpuReading{}}
		for _, slow := range []bool{true, false} {
			if got, want := s.next(slow).Devices[0].GPM, asked && slow; (got == g.gpm()) != want || (got == GPM{}) == want {
				t.Errorf("asked %t, slow %t: %+v", asked, slow, got)
			}
		}
	}
	if got := m.Snapshot().Devices[0].GPM; got != (GPM{}) {
		t.Errorf("a snapshot read %+v", got)
	}
}
