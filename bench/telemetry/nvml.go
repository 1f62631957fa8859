package telemetry

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// ErrNoDevice: there is no NVIDIA driver, or it has no such device.
var ErrNoDevice = errors.New("no such NVIDIA device")

// neededSymbols are what nvmlGPU calls besides the functions whose version
// go-nvml picks. The program would end on calling one that a driver lacks.
var neededSymbols = []string{
	"nvmlDeviceGetHandleByUUID", "nvmlDeviceGetClockInfo", "nvmlDeviceGetTemperature", "nvmlDeviceGetPowerUsage",
	"nvmlDeviceGetUtilizationRates", "nvmlDeviceGetMemoryInfo", "nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetFieldValues",
}

type nvmlGPU struct {
	lib     nvml.Interface
	device  nvml.Device
	reasons func() (uint64, nvml.Return) // nil if the driver has no such function
	gpm     *gpmReader
}

// openNVML finds the device by UUID: CUDA_VISIBLE_DEVICES and the driver order
// devices differently.
func openNVML(lib nvml.Interface, uuid string) (GPU, error) {
	switch ret := lib.Init(); ret {
	case nvml.SUCCESS:
	case nvml.ERROR_LIBRARY_NOT_FOUND, nvml.ERROR_DRIVER_NOT_LOADED:
		return nil, fmt.Errorf("%w: %v", ErrNoDevice, ret)
	default:
		return nil, fmt.Errorf("start NVML: %w: run nvidia-smi to see what it says", ret)
	}
	g := &nvmlGPU{lib: lib}
	for _, symbol := range neededSymbols {
		if err := lib.Extensions().LookupSymbol(symbol); err != nil {
			g.Close()
			return nil, fmt.Errorf("NVML lacks %s: install a newer NVIDIA driver", symbol)
		}
	}
	device, ret := lib.DeviceGetHandleByUUID(uuid)
	switch ret {
	case nvml.SUCCESS:
		g.device = device
		g.reasons = reasonsOf(lib, device)
		g.gpm = openGPM(lib, device)
		return g, nil
	case nvml.ERROR_NOT_FOUND, nvml.ERROR_INVALID_ARGUMENT:
		g.Close()
		return nil, fmt.Errorf("%w: %q: nvidia-smi -L lists those there are", ErrNoDevice, uuid)
	default:
		g.Close()
		return nil, fmt.Errorf("open device %s: %w", uuid, ret)
	}
}

// reasonsOf is the function that reads the throttle reasons: drivers from 535 on
// have it under a new name and may one day drop the old one.
func reasonsOf(lib nvml.Interface, device nvml.Device) func() (uint64, nvml.Return) {
	switch {
	case lib.Extensions().LookupSymbol("nvmlDeviceGetCurrentClocksEventReasons") == nil:
		return device.GetCurrentClocksEventReasons
	case lib.Extensions().LookupSymbol("nvmlDeviceGetCurrentClocksThrottleReasons") == nil:
		return device.GetCurrentClocksThrottleReasons
	}
	return nil
}

// GPM reads the performance counters.
func (g *nvmlGPU) GPM() GPM { return g.gpm.read() }

func (g *nvmlGPU) Close() {
	if g.gpm != nil {
		g.gpm.close()
	}
	g.lib.Shutdown()
}

// answers keeps the first error among a device's answers.
type answers struct{ problem string }

func (a *answers) ok(what string, ret nvml.Return) bool {
	if ret != nvml.SUCCESS && ret != nvml.ERROR_NOT_SUPPORTED && a.problem == "" {
		a.problem = fmt.Sprintf("%s: %v", what, ret)
	}
	return ret == nvml.SUCCESS
}

func (g *nvmlGPU) Gauges() Gauges {
	var r Gauges
	var a answers
	if v, ret := g.device.GetClockInfo(nvml.CLOCK_SM); a.ok("SM clock", ret) {
		r.SMClockMHz = Of(float64(v))
	}
	if v, ret := g.device.GetClockInfo(nvml.CLOCK_MEM); a.ok("memory clock", ret) {
		r.MemoryClockMHz = Of(float64(v))
	}
	if v, ret := g.device.GetTemperature(nvml.TEMPERATURE_GPU); a.ok("temperature", ret) {
		r.TemperatureC = Of(float64(v))
	}
	if mW, ret := g.device.GetPowerUsage(); a.ok("power", ret) {
		r.PowerWatts = Of(float64(mW) / 1e3)
	}
	if v, ret := g.device.GetUtilizationRates(); a.ok("utilisation", ret) {
		r.SMUtilFrac, r.MemoryUtilFrac = Of(float64(v.Gpu)/100), Of(float64(v.Memory)/100)
	}
	if v, ret := g.device.GetMemoryInfo(); a.ok("memory", ret) {
		r.MemoryUsedBytes, r.MemoryTotalBytes = Of(int64(v.Used)), Of(int64(v.Total))
	}
	if g.reasons != nil {
		if v, ret := g.reasons(); a.ok("throttle reasons", ret) {
			r.Reasons = Of(v)
		}
	}
	r.Problem = a.problem
	return r
}

func (g *nvmlGPU) Counters() Counters {
	var r Counters
	var a answers
	if mJ, ret := g.device.GetTotalEnergyConsumption(); a.ok("energy", ret) {
		r.EnergyJ = Of(float64(mJ) / 1e3)
	}
	// Drivers before 570 do not know the three of 269 to 271 and say so in the
	// field's own return.
	fields := []nvml.FieldValue{
		{FieldId: nvml.FI_DEV_PERF_POLICY_POWER},                           // 74
		{FieldId: nvml.FI_DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN},       // 269
		{FieldId: nvml.FI_DEV_CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN},       // 270
		{FieldId: nvml.FI_DEV_CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN}, // 271
		{FieldId: nvml.FI_DEV_PCIE_COUNT_TX_BYTES},                         // 197
		{FieldId: nvml.FI_DEV_PCIE_COUNT_RX_BYTES},                         // 198
	}
	if a.ok("throttle counters", g.device.GetFieldValues(fields)) {
		for i, to := range []*Value[int64]{&r.PowerCapNs, &r.SWThermalNs, &r.HWThermalNs, &r.PowerBrakeNs, &r.PCIeSentBytes, &r.PCIeReceivedBytes} {
			*to = fieldValue(fields[i])
		}
	}
	r.Problem = a.problem
	return r
}

func (g *nvmlGPU) Processes() Processes {
	var r Processes
	var a answers
	if list, ret := g.device.GetComputeRunningProcesses(); a.ok("processes", ret) {
		r.PIDs = make([]int, 0, len(list))
		for _, p := range list {
			r.PIDs = append(r.PIDs, int(p.Pid))
		}
		slices.Sort(r.PIDs)
	}
	r.Problem = a.problem
	return r
}

// fieldValue decodes nvmlValue_t, a union in the machine's byte order. The
// throttle counters are in ns ("Field values for Clock Throttle Reason Counters"
// in nvml.h), the PCIe ones in bytes.
func fieldValue(f nvml.FieldValue) Value[int64] {
	if nvml.Return(f.NvmlReturn) != nvml.SUCCESS {
		return Value[int64]{}
	}
	bits := binary.NativeEndian.Uint64(f.Value[:])
	low := binary.NativeEndian.Uint32(f.Value[:4])
	switch nvml.ValueType(f.ValueType) {
	case nvml.VALUE_TYPE_UNSIGNED_LONG_LONG, nvml.VALUE_TYPE_UNSIGNED_LONG, nvml.VALUE_TYPE_SIGNED_LONG_LONG:
		if bits > math.MaxInt64 {
			return Value[int64]{}
		}
		return Of(int64(bits))
	case nvml.VALUE_TYPE_UNSIGNED_INT:
		return Of(int64(low))
	}
	return Value[int64]{}
}
