package telemetry

// GPU is one device as its driver tells it. Calls may block, so they are made
// through a Device. A recorded or made-up GPU stands in where there is none.
type GPU interface {
	// Gauges reads what changes from moment to moment. Every sample does.
	Gauges() Gauges
	// Processes lists who is on the device.
	Processes() Processes
	// Counters reads what adds up. Asking an H200 for its energy takes 4 ms, so
	// the ends of an interval and every tenth second between must do.
	Counters() Counters
	// GPM reads the performance counters.
	GPM() GPM
	Close()
}

// Gauges of a device at one moment. The zero value is all unknown.
type Gauges struct {
	SMClockMHz       Value[float64] `json:"sm_clock_mhz"`
	MemoryClockMHz   Value[float64] `json:"memory_clock_mhz"`
	TemperatureC     Value[float64] `json:"temperature_c"`
	PowerWatts       Value[float64] `json:"power_watts"`
	SMUtilFrac       Value[float64] `json:"sm_util_frac"`     // of time with a kernel running, over the driver's last period
	MemoryUtilFrac   Value[float64] `json:"memory_util_frac"` // of time with memory read or written
	MemoryUsedBytes  Value[int64]   `json:"memory_used_bytes"`
	MemoryTotalBytes Value[int64]   `json:"memory_total_bytes"`

	// Reasons why the clock is not higher: bits as nvmlClocksEventReason* in
	// nvml.h; see ReasonNames.
	Reasons Value[uint64] `json:"reasons"`

	// Problem is what went wrong first, empty if nothing did. A reading that a
	// device does not offer is no problem, only unknown.
	Problem string `json:"problem,omitempty"`
}

// Counters of a device, since its driver was loaded.
type Counters struct {
	EnergyJ Value[float64] `json:"energy_j"`

	// Time with a lowered clock, by reason.
	PowerCapNs   Value[int64] `json:"power_cap_ns"`   // to stay within the power limit
	SWThermalNs  Value[int64] `json:"sw_thermal_ns"`  // the driver, to keep below the operating temperature
	HWThermalNs  Value[int64] `json:"hw_thermal_ns"`  // the hardware, too hot: clock halved or less
	PowerBrakeNs Value[int64] `json:"power_brake_ns"` // the power supply asked for it: clock halved or less

	// Bytes over PCIe since the driver was loaded; they wrap around.
	PCIeSentBytes     Value[int64] `json:"pcie_sent_bytes"`
	PCIeReceivedBytes Value[int64] `json:"pcie_received_bytes"`

	Problem string `json:"problem,omitempty"`
}

// Processes are those with a compute context on a device.
type Processes struct {
	PIDs    []int  `json:"pids"` // sorted; nil: not known
	Problem string `json:"problem,omitempty"`
}

// Bits of Gauges.Reasons that mean heat or failing power, not a setting or load
// (nvmlClocksThrottleReasonHwSlowdown and following in nvml.h).
const (
	reasonHWSlowdown = 1 << 3
	reasonSWThermal  = 1 << 5
	reasonHWThermal  = 1 << 6
	reasonPowerBrake = 1 << 7

	reasonsThermal = reasonHWSlowdown | reasonSWThermal | reasonHWThermal | reasonPowerBrake
)

var reasonNames = []string{
	"idle", "application clocks", "power cap", "hardware slowdown", "sync boost",
	"software thermal", "hardware thermal", "power brake", "display clock", "board limit", "reliability",
}

// ReasonNames spells out Gauges.Reasons, lowest bit first.
func ReasonNames(bits uint64) []string {
	var names []string
	for i, name := range reasonNames {
		if bits&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}
