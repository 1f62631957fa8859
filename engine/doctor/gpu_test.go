package doctor

import (
	"errors"
	"strings"
	"testing"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"
	"github.com/google/go-cmp/cmp"
)

func ptr[T any](v T) *T { return &v }

func h100(freeGiB uint64) gpu {
	return gpu{
		name: "NVIDIA H100 80GB HBM3", uuid: "GPU-1", capability: "9.0",
		totalBytes: ptr(uint64(80 << 30)), freeBytes: ptr(freeGiB << 30),
		persistence: ptr(true), mig: ptr(false), smMHz: ptr(uint32(345)), smMaxMHz: ptr(uint32(1980)), memoryMHz: ptr(uint32(2619)),
	}
}

func TestGPUChecks(t *testing.T) {
	driver := func(gpus ...gpu) gpuState { return gpuState{driver: "580.95.05", cuda: "13.0", gpus: gpus} }
	old := driver(h100(79))
	old.cuda = "12.8"
	lost := errors.New("GPU 0: ERROR_GPU_IS_LOST")
	tests := []struct {
		name   string
		state  gpuState
		err    error
		build  string
		env    map[string]string
		status []Status // driver, then GPUs
		value  string   // of the driver
		detail string   // in some row
	}{
		{"cpu build without driver", gpuState{}, errNoDriver, "cpu", nil, []Status{Absent}, "none", "does without"},
		{"no vllm, no driver", gpuState{}, errNoDriver, "", nil, []Status{Absent}, "none", "no NVIDIA driver"},
		{"cuda build without driver", gpuState{}, errNoDriver, "cuda", nil, []Status{Fail}, "none", "needs one"},
		{"cuda build with a broken driver", gpuState{}, lost, "cuda", nil, []Status{Fail}, NotAvailable, "LOST"},
		{"cpu build with a broken driver", gpuState{}, lost, "cpu", nil, []Status{Absent}, NotAvailable, "LOST"},
		{"no gpu", driver(), nil, "cuda", nil, []Status{Fail}, "580.95.05", "0 GPUs"},
		{"ready", driver(h100(79), h100(79)), nil, "cuda", nil, []Status{OK, OK, OK}, "580.95.05", "SM 345 MHz of 1980"},
		{"memory in use", driver(h100(70)), nil, "cuda", nil, []Status{OK, Warn}, "580.95.05", "70.0 GiB free of 80.0 GiB"},
		{"memory in use, cpu build", driver(h100(70)), nil, "cpu", nil, []Status{OK, OK}, "580.95.05", "not used by the CPU build"},
		{"old driver", old, nil, "cuda", nil, []Status{Warn, OK}, "580.95.05", "built for CUDA 13.0"},
		{"all hidden", driver(h100(79)), nil, "cuda", map[string]string{"CUDA_VISIBLE_DEVICES": ""}, []Status{Fail, OK}, "580.95.05", "hidden by"},
		{"one chosen", driver(h100(79)), nil, "cuda", map[string]string{"CUDA_VISIBLE_DEVICES": "0"}, []Status{OK, OK}, "580.95.05", "CUDA_VISIBLE_DEVICES=0"},
		{"nothing told", gpuState{gpus: []gpu{{}}}, nil, "cuda", nil, []Status{OK, OK}, "version " + NotAvailable, "memory " + NotAvailable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := emptyHost()
			h.env = env(tt.env)
			checks := gpuChecks(tt.state, tt.err, h, tt.build, "13.0")
			var status []Status
			var details strings.Builder
			for _, c := range checks {
				status = append(status, c.Status)
				details.WriteString(c.Detail)
				if needs := c.Status == Fail || c.Status == Warn; needs != (c.Remedy != "") {
					t.Errorf("%s: remedy %q for status %s", c.Name, c.Remedy, c.Status)
				}
			}
			if diff := cmp.Diff(tt.status, status); diff != "" {
				t.Errorf("(-want +got):\n%s%+v", diff, checks)
			}
			if checks[0].Value != tt.value || !strings.Contains(details.String(), tt.detail) {
				t.Errorf("got %+v, want %s and %q", checks, tt.value, tt.detail)
			}
		})
	}
}

// unsupported answers every question of a device that this program asks with
// ERROR_NOT_SUPPORTED, as some devices do to some.
func unsupported() *mock.Device {
	const no = nvml.ERROR_NOT_SUPPORTED
	clock := func(nvml.ClockType) (uint32, nvml.Return) { return 7, no }
	return &mock.Device{
		GetNameFunc:                  func() (string, nvml.Return) { return "x", no },
		GetUUIDFunc:                  func() (string, nvml.Return) { return "x", no },
		GetCudaComputeCapabilityFunc: func() (int, int, nvml.Return) { return 1, 1, no },
		GetMemoryInfoFunc:            func() (nvml.Memory, nvml.Return) { return nvml.Memory{Total: 1, Free: 1}, no },
		GetPersistenceModeFunc:       func() (nvml.EnableState, nvml.Return) { return nvml.FEATURE_ENABLED, no },
		GetMigModeFunc:               func() (int, int, nvml.Return) { return 1, 1, no },
		GetClockInfoFunc:             clock,
		GetMaxClockInfoFunc:          clock,
	}
}

func TestReadGPUs(t *testing.T) {
	full := unsupported()
	full.GetNameFunc = func() (string, nvml.Return) { return "NVIDIA H100 80GB HBM3", nvml.SUCCESS }
	full.GetUUIDFunc = func() (string, nvml.Return) { return "GPU-1", nvml.SUCCESS }
	full.GetCudaComputeCapabilityFunc = func() (int, int, nvml.Return) { return 9, 0, nvml.SUCCESS }
	full.GetMemoryInfoFunc = func() (nvml.Memory, nvml.Return) {
		return nvml.Memory{Total: 80 << 30, Free: 79 << 30, Used: 1 << 30}, nvml.SUCCESS
	}
	full.GetPersistenceModeFunc = func() (nvml.EnableState, nvml.Return) { return nvml.FEATURE_ENABLED, nvml.SUCCESS }
	full.GetMigModeFunc = func() (int, int, nvml.Return) { return nvml.DEVICE_MIG_DISABLE, 0, nvml.SUCCESS }
	full.GetClockInfoFunc = func(kind nvml.ClockType) (uint32, nvml.Return) {
		return map[nvml.ClockType]uint32{nvml.CLOCK_SM: 345, nvml.CLOCK_MEM: 2619}[kind], nvml.SUCCESS
	}
	full.GetMaxClockInfoFunc = func(nvml.ClockType) (uint32, nvml.Return) { return 1980, nvml.SUCCESS }

	devices := []nvml.Device{full, unsupported()}
	closed := false
	lib := &mock.Interface{
		InitFunc:                       func() nvml.Return { return nvml.SUCCESS },
		ShutdownFunc:                   func() nvml.Return { closed = true; return nvml.SUCCESS },
		SystemGetDriverVersionFunc:     func() (string, nvml.Return) { return "580.95.05", nvml.SUCCESS },
		SystemGetCudaDriverVersionFunc: func() (int, nvml.Return) { return 13010, nvml.SUCCESS },
		DeviceGetCountFunc:             func() (int, nvml.Return) { return len(devices), nvml.SUCCESS },
		DeviceGetHandleByIndexFunc:     func(i int) (nvml.Device, nvml.Return) { return devices[i], nvml.SUCCESS },
	}
	got, err := readGPUs(lib)
	want := gpuState{driver: "580.95.05", cuda: "13.1", gpus: []gpu{h100(79), {}}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(gpuState{}, gpu{})); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if !closed {
		t.Error("NVML stays open")
	}
}

func TestReadGPUs_Errors(t *testing.T) {
	lib := func(init, count, handle nvml.Return) *mock.Interface {
		return &mock.Interface{
			InitFunc:                       func() nvml.Return { return init },
			ShutdownFunc:                   func() nvml.Return { return nvml.SUCCESS },
			SystemGetDriverVersionFunc:     func() (string, nvml.Return) { return "", nvml.ERROR_UNKNOWN },
			SystemGetCudaDriverVersionFunc: func() (int, nvml.Return) { return 0, nvml.ERROR_UNKNOWN },
			DeviceGetCountFunc:             func() (int, nvml.Return) { return 1, count },
			DeviceGetHandleByIndexFunc:     func(int) (nvml.Device, nvml.Return) { return nil, handle },
		}
	}
	tests := []struct {
		name                string
		init, count, handle nvml.Return
		err                 string
	}{
		{"no library", nvml.ERROR_LIBRARY_NOT_FOUND, 0, 0, errNoDriver.Error()},
		{"no kernel module", nvml.ERROR_DRIVER_NOT_LOADED, 0, 0, "NVML does not start: ERROR_DRIVER_NOT_LOADED"},
		{"no count", nvml.SUCCESS, nvml.ERROR_UNKNOWN, 0, "NVML does not count devices: ERROR_UNKNOWN"},
		{"lost", nvml.SUCCESS, nvml.SUCCESS, nvml.ERROR_GPU_IS_LOST, "GPU 0: ERROR_GPU_IS_LOST"},
	}
	for _, tt := range tests {
		got, err := readGPUs(lib(tt.init, tt.count, tt.handle))
		if errText(err) != tt.err || got.driver != "" || got.cuda != "" || len(got.gpus) != 0 {
			t.Errorf("%s: got %+v, %v, want %q", tt.name, got, err, tt.err)
		}
	}
}
