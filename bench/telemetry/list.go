package telemetry

import (
	"context"
	"errors"
	"fmt"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// Listed is a device as NVML lists it. CUDA_VISIBLE_DEVICES does not act on it.
type Listed struct {
	UUID        string
	Name        string
	MemoryBytes int64
}

// List gives the NVIDIA devices of this machine. Errors: ErrNoDevice without a
// driver.
func List(ctx context.Context) ([]Listed, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	type answer struct {
		devices []Listed
		err     error
	}
	reply := make(chan answer, 1)
	go func() {
		devices, err := list(nvml.New())
		reply <- answer{devices, err}
	}()
	select {
	case a := <-reply:
		return a.devices, a.err
	case <-ctx.Done():
		return nil, fmt.Errorf("list devices: NVML gives no answer: %w: run nvidia-smi to see whether the driver hangs", ctx.Err())
	}
}

func list(lib nvml.Interface) ([]Listed, error) {
	switch ret := lib.Init(); ret {
	case nvml.SUCCESS:
	case nvml.ERROR_LIBRARY_NOT_FOUND, nvml.ERROR_DRIVER_NOT_LOADED:
		return nil, fmt.Errorf("%w: %v", ErrNoDevice, ret)
	default:
		return nil, fmt.Errorf("start NVML: %w", ret)
	}
	defer lib.Shutdown()
	n, ret := lib.DeviceGetCount()
	if ret != nvml.SUCCESS {
		return nil, fmt.Errorf("count devices: %w", ret)
	}
	var out []Listed
	var errs []error
	for i := range n {
		d, ret := lib.DeviceGetHandleByIndex(i)
		if ret != nvml.SUCCESS {
			errs = append(errs, fmt.Errorf("device %d: %w", i, ret))
			continue
		}
		uuid, ret1 := d.GetUUID()
		memory, ret2 := d.GetMemoryInfo()
		if ret1 != nvml.SUCCESS || ret2 != nvml.SUCCESS {
			errs = append(errs, fmt.Errorf("device %d: UUID: %v, memory: %v", i, ret1, ret2))
			continue
		}
		name, _ := d.GetName() // empty if it has none
		out = append(out, Listed{uuid, name, int64(memory.Total)})
	}
	return out, errors.Join(errs...)
}
