package doctor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// errNoDriver: NVML's library is not on this machine.
var errNoDriver = errors.New("no NVIDIA driver (libnvidia-ml.so.1 is not there)")

// nvmlTimeout is generous: without persistence mode the first call wakes every
// GPU, and a call can hang on a broken one.
const nvmlTimeout = 15 * time.Second

// gpuState is what the driver says. Pointers are nil where a device or driver
// does not tell.
type gpuState struct {
	driver string // "580.95.05"
	cuda   string // newest CUDA version that it supports, "13.0"
	gpus   []gpu
}

type gpu struct {
	name, uuid  string
	capability  string // compute capability, "9.0"
	totalBytes  *uint64
	freeBytes   *uint64
	persistence *bool
	mig         *bool
	smMHz       *uint32
	smMaxMHz    *uint32
	memoryMHz   *uint32
}

// readNVML asks the real driver, on a goroutine that is left behind if a call
// does not return.
func readNVML(ctx context.Context) (gpuState, error) {
	ctx, cancel := context.WithTimeout(ctx, nvmlTimeout)
	defer cancel()
	type answer struct {
		state gpuState
		err   error
	}
	done := make(chan answer, 1)
	go func() {
		state, err := readGPUs(nvml.New())
		done <- answer{state, err}
	}()
	select {
	case a := <-done:
		return a.state, a.err
	case <-ctx.Done():
		return gpuState{}, fmt.Errorf("NVML gave no answer: %w", ctx.Err())
	}
}

// readGPUs reads driver and devices. It calls only functions that every driver
// has: go-nvml ends the process on a missing symbol.
func readGPUs(lib nvml.Interface) (gpuState, error) {
	switch ret := lib.Init(); ret {
	case nvml.SUCCESS:
	case nvml.ERROR_LIBRARY_NOT_FOUND:
		return gpuState{}, errNoDriver
	default:
		return gpuState{}, fmt.Errorf("NVML does not start: %w", ret)
	}
	defer lib.Shutdown()
	var s gpuState
	if version, ret := lib.SystemGetDriverVersion(); ret == nvml.SUCCESS {
		s.driver = version
	}
	if v, ret := lib.SystemGetCudaDriverVersion(); ret == nvml.SUCCESS {
		s.cuda = fmt.Sprintf("%d.%d", v/1000, v%1000/10)
	}
	n, ret := lib.DeviceGetCount()
	if ret != nvml.SUCCESS {
		return s, fmt.Errorf("NVML does not count devices: %w", ret)
	}
	for i := range n {
		device, ret := lib.DeviceGetHandleByIndex(i)
		if ret != nvml.SUCCESS {
			return s, fmt.Errorf("GPU %d: %w", i, ret)
		}
		s.gpus = append(s.gpus, readGPU(device))
	}
	return s, nil
}

func readGPU(d nvml.Device) gpu {
	var g gpu
	if name, ret := d.GetName(); ret == nvml.SUCCESS {
		g.name = name
	}
	if uuid, ret := d.GetUUID(); ret == nvml.SUCCESS {
		g.uuid = uuid
	}
	if major, minor, ret := d.GetCudaComputeCapability(); ret == nvml.SUCCESS {
		g.capability = fmt.Sprintf("%d.%d", major, minor)
	}
	if m, ret := d.GetMemoryInfo(); ret == nvml.SUCCESS {
		g.totalBytes, g.freeBytes = &m.Total, &m.Free
	}
	if mode, ret := d.GetPersistenceMode(); ret == nvml.SUCCESS {
		on := mode == nvml.FEATURE_ENABLED
		g.persistence = &on
	}
	if mode, _, ret := d.GetMigMode(); ret == nvml.SUCCESS {
		on := mode == nvml.DEVICE_MIG_ENABLE
		g.mig = &on
	}
	g.smMHz = clock(d.GetClockInfo, nvml.CLOCK_SM)
	g.smMaxMHz = clock(d.GetMaxClockInfo, nvml.CLOCK_SM)
	g.memoryMHz = clock(d.GetClockInfo, nvml.CLOCK_MEM)
	return g
}

func clock(read func(nvml.ClockType) (uint32, nvml.Return), kind nvml.ClockType) *uint32 {
	mhz, ret := read(kind)
	if ret != nvml.SUCCESS {
		return nil
	}
	return &mhz
}
