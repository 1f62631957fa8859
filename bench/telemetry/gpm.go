package telemetry

import (
	"fmt"
	"math"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// GPM is what a device's performance counters (NVML's GPU Performance
// Monitoring, Hopper and later) say of the time since the reading before. The
// zero value is all unknown: it was not read, or for the first time.
//
// Definitions and units are those of nvmlGpmMetricId_t in nvml.h, with fractions
// for its percentages.
type GPM struct {
	PeriodNs Value[int64] `json:"period_ns"` // between the two samples of counters

	GraphicsUtilFrac      Value[float64] `json:"graphics_util_frac"`       // of time with any work on the device
	SMUtilFrac            Value[float64] `json:"sm_util_frac"`             // of the SMs that were busy
	SMOccupancyFrac       Value[float64] `json:"sm_occupancy_frac"`        // active warps of the most that fit
	TensorUtilFrac        Value[float64] `json:"tensor_util_frac"`         // of time, tensor operations of any type
	DRAMBandwidthUtilFrac Value[float64] `json:"dram_bandwidth_util_frac"` // of the theoretical most
	FP16UtilFrac          Value[float64] `json:"fp16_util_frac"`           // of time, outside of tensor cores
	FP32UtilFrac          Value[float64] `json:"fp32_util_frac"`           // of time, outside of tensor cores

	PCIeSentMiBPerS       Value[float64] `json:"pcie_sent_mib_per_s"` // by the device
	PCIeReceivedMiBPerS   Value[float64] `json:"pcie_received_mib_per_s"`
	NVLinkSentMiBPerS     Value[float64] `json:"nvlink_sent_mib_per_s"` // over all links
	NVLinkReceivedMiBPerS Value[float64] `json:"nvlink_received_mib_per_s"`

	// Problem is why there are no values although a reading was due.
	Problem string `json:"problem,omitempty"`
}

// percentSlack is how far above 100 % rounding may take a share. More is no share.
const percentSlack = 0.5

// gpmSymbols are what gpmReader calls.
var gpmSymbols = []string{
	"nvmlDeviceIsMigDeviceHandle", "nvmlGpmQueryDeviceSupport",
	"nvmlGpmSampleAlloc", "nvmlGpmSampleGet", "nvmlGpmSampleFree", "nvmlGpmMetricsGet",
}

var gpmMetrics = []struct {
	id    nvml.GpmMetricId
	share bool // of 100
	in    func(*GPM) *Value[float64]
}{
	{nvml.GPM_METRIC_GRAPHICS_UTIL, true, func(g *GPM) *Value[float64] { return &g.GraphicsUtilFrac }},
	{nvml.GPM_METRIC_SM_UTIL, true, func(g *GPM) *Value[float64] { return &g.SMUtilFrac }},
	{nvml.GPM_METRIC_SM_OCCUPANCY, true, func(g *GPM) *Value[float64] { return &g.SMOccupancyFrac }},
	{nvml.GPM_METRIC_ANY_TENSOR_UTIL, true, func(g *GPM) *Value[float64] { return &g.TensorUtilFrac }},
	{nvml.GPM_METRIC_DRAM_BW_UTIL, true, func(g *GPM) *Value[float64] { return &g.DRAMBandwidthUtilFrac }},
	{nvml.GPM_METRIC_FP16_UTIL, true, func(g *GPM) *Value[float64] { return &g.FP16UtilFrac }},
	{nvml.GPM_METRIC_FP32_UTIL, true, func(g *GPM) *Value[float64] { return &g.FP32UtilFrac }},
	{nvml.GPM_METRIC_PCIE_TX_PER_SEC, false, func(g *GPM) *Value[float64] { return &g.PCIeSentMiBPerS }},
	{nvml.GPM_METRIC_PCIE_RX_PER_SEC, false, func(g *GPM) *Value[float64] { return &g.PCIeReceivedMiBPerS }},
	{nvml.GPM_METRIC_NVLINK_TOTAL_TX_PER_SEC, false, func(g *GPM) *Value[float64] { return &g.NVLinkSentMiBPerS }},
	{nvml.GPM_METRIC_NVLINK_TOTAL_RX_PER_SEC, false, func(g *GPM) *Value[float64] { return &g.NVLinkReceivedMiBPerS }},
}

// gpmReader holds two samples of a device's counters, allocated once: the one
// before, and the one that the next reading fills. It is used by one goroutine.
type gpmReader struct {
	lib    nvml.Interface
	device nvml.Device
	now    func() int64
	absent string // why there is nothing to read; the samples are then nil

	earlier, later nvml.GpmSample
	earlierNs      int64 // 0: nothing is in earlier
	// request is kept, for it has room for every metric there is, 19 KB. What
	// NVML puts into it are pointers to names in its own memory, never read here.
	request nvml.GpmMetricsGetType
}

// openGPM never fails: a device without GPM has a reader that says so.
func openGPM(lib nvml.Interface, device nvml.Device) *gpmReader {
	g := &gpmReader{lib: lib, device: device, now: nowNs}
	g.absent = g.open()
	return g
}

// open says why there is no GPM, empty if there is.
func (g *gpmReader) open() string {
	const notOffered = "GPM: not offered by this device/driver: "
	for _, symbol := range gpmSymbols {
		if g.lib.Extensions().LookupSymbol(symbol) != nil {
			return notOffered + "NVML lacks " + symbol
		}
	}
	// The counters of an instance are read through its GPU and another call
	// (nvmlGpmMigSampleGet); those of the whole GPU would be somebody else's too.
	if mig, ret := g.device.IsMigDeviceHandle(); ret == nvml.SUCCESS && mig {
		return notOffered + "it is a MIG instance"
	}
	support, ret := g.device.GpmQueryDeviceSupport()
	if ret == nvml.SUCCESS && support.IsSupportedDevice == 0 {
		ret = nvml.ERROR_NOT_SUPPORTED
	}
	if ret != nvml.SUCCESS {
		return notOffered + ret.Error()
	}
	for _, sample := range []*nvml.GpmSample{&g.earlier, &g.later} {
		s, ret := g.lib.GpmSampleAlloc()
		if ret != nvml.SUCCESS {
			g.close()
			return fmt.Sprintf("GPM: allocate a sample: %v", ret)
		}
		*sample = s
	}
	return ""
}

// close frees the samples, before NVML is shut down.
func (g *gpmReader) close() {
	for _, sample := range []*nvml.GpmSample{&g.earlier, &g.later} {
		if *sample != nil {
			(*sample).Free()
			*sample = nil
		}
	}
}

// read covers all the time since the reading before, so that a slow rate loses
// nothing of a mean. NVML wants more than 100 ms between the two, for its counters
// are refreshed no faster (nvmlGpmMetricsGet in nvml.h). After an error the next
// one begins anew: what the counters did meanwhile is not known.
func (g *gpmReader) read() GPM {
	if g.absent != "" {
		return GPM{Problem: g.absent}
	}
	now := g.now()
	beforeNs := g.earlierNs
	g.earlierNs = 0
	if ret := g.device.GpmSampleGet(g.later); ret != nvml.SUCCESS {
		return GPM{Problem: fmt.Sprintf("GPM: sample: %v", ret)}
	}
	g.earlier, g.later, g.earlierNs = g.later, g.earlier, now
	if beforeNs == 0 {
		return GPM{}
	}
	return g.between(g.later, g.earlier, now-beforeNs)
}

// between is what two samples say, the older first.
func (g *gpmReader) between(older, newer nvml.GpmSample, periodNs int64) GPM {
	g.request.Sample1, g.request.Sample2, g.request.NumMetrics = older, newer, uint32(len(gpmMetrics))
	for i, m := range gpmMetrics {
		// What the driver leaves as it is stays unknown.
		g.request.Metrics[i] = nvml.GpmMetric{MetricId: uint32(m.id), NvmlReturn: uint32(nvml.ERROR_UNKNOWN), Value: math.NaN()}
	}
	if ret := g.lib.GpmMetricsGet(&g.request); ret != nvml.SUCCESS { // sets the version
		return GPM{Problem: fmt.Sprintf("GPM: metrics: %v", ret)}
	}
	r := GPM{PeriodNs: Of(periodNs)}
	for i, m := range gpmMetrics {
		*m.in(&r) = gpmValue(g.request.Metrics[i], m.share)
	}
	return r
}

// gpmValue is unknown where the driver calls it invalid, and where it is no
// number of its kind.
func gpmValue(m nvml.GpmMetric, share bool) Value[float64] {
	v := m.Value
	switch {
	case nvml.Return(m.NvmlReturn) != nvml.SUCCESS, math.IsNaN(v), math.IsInf(v, 0), v < 0:
		return Value[float64]{}
	case !share:
		return Of(v)
	case v > 100+percentSlack:
		return Value[float64]{}
	}
	return Of(min(v, 100) / 100)
}
