package telemetry

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// Limits are what a device's speed depends on beside its model. Zeros are not
// known.
type Limits struct {
	DriverMajor     int     `json:"driver_major"`
	MemoryBytes     int64   `json:"memory_bytes"`
	PowerLimitWatts float64 `json:"power_limit_watts"` // in force
}

// limitsTimeout bounds the wait for a driver that hangs.
const limitsTimeout = 5 * time.Second

// ReadLimits asks the driver for those of the device with the given UUID.
// Errors wrap ErrNoDevice where there is none.
func ReadLimits(uuid string) (Limits, error) {
	type answer struct {
		limits Limits
		err    error
	}
	answered := make(chan answer, 1)
	go func() {
		l, err := readLimits(nvml.New(), uuid)
		answered <- answer{l, err}
	}()
	select {
	case a := <-answered:
		return a.limits, a.err
	case <-time.After(limitsTimeout):
		return Limits{}, fmt.Errorf("NVML gave no answer in %v: run nvidia-smi to see whether the driver hangs", limitsTimeout)
	}
}

func readLimits(lib nvml.Interface, uuid string) (Limits, error) {
	if ret := lib.Init(); ret != nvml.SUCCESS {
		return Limits{}, fmt.Errorf("%w: %v", ErrNoDevice, ret)
	}
	defer lib.Shutdown()
	var l Limits
	if version, ret := lib.SystemGetDriverVersion(); ret == nvml.SUCCESS {
		major, _, _ := strings.Cut(version, ".")
		l.DriverMajor, _ = strconv.Atoi(major)
	}
	device, ret := lib.DeviceGetHandleByUUID(uuid)
	if ret != nvml.SUCCESS {
		return l, fmt.Errorf("%w: %q: %v", ErrNoDevice, uuid, ret)
	}
	if memory, ret := device.GetMemoryInfo(); ret == nvml.SUCCESS {
		l.MemoryBytes = int64(memory.Total)
	}
	if milliwatts, ret := device.GetEnforcedPowerLimit(); ret == nvml.SUCCESS {
		l.PowerLimitWatts = float64(milliwatts) / 1e3
	}
	return l, nil
}
