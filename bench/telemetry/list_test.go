package telemetry

import (
	"errors"
	"strings"
	"testing"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"
	"github.com/google/go-cmp/cmp"
)

func TestList(t *testing.T) {
	device := func(uuid string, ret nvml.Return) nvml.Device {
		return &mock.Device{
			GetUUIDFunc:       func() (string, nvml.Return) { return uuid, ret },
			GetNameFunc:       func() (string, nvml.Return) { return "NVIDIA H200", nvml.SUCCESS },
			GetMemoryInfoFunc: func() (nvml.Memory, nvml.Return) { return nvml.Memory{Total: 80 << 30}, nvml.SUCCESS },
		}
	}
	tests := []struct {
		name    string
		init    nvml.Return
		devices []nvml.Device
		want    []Listed
		wantErr string
	}{
		{"two", nvml.SUCCESS, []nvml.Device{device("GPU-1", nvml.SUCCESS), device("GPU-2", nvml.SUCCESS)},
			[]Listed{{"GPU-1", "NVIDIA H200", 80 << 30}, {"GPU-2", "NVIDIA H200", 80 << 30}}, ""},
		{"one is lost", nvml.SUCCESS, []nvml.Device{device("", nvml.ERROR_GPU_IS_LOST), device("GPU-2", nvml.SUCCESS)},
			[]Listed{{"GPU-2", "NVIDIA H200", 80 << 30}}, "device 0"},
		{"no driver", nvml.ERROR_LIBRARY_NOT_FOUND, nil, nil, ErrNoDevice.Error()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := list(&mock.Interface{
				InitFunc:                   func() nvml.Return { return tt.init },
				ShutdownFunc:               func() nvml.Return { return nvml.SUCCESS },
				DeviceGetCountFunc:         func() (int, nvml.Return) { return len(tt.devices), nvml.SUCCESS },
				DeviceGetHandleByIndexFunc: func(i int) (nvml.Device, nvml.Return) { return tt.devices[i], nvml.SUCCESS },
			})
			if (err == nil) != (tt.wantErr == "") || err != nil && !strings.Contains(err.Error(), tt.wantErr) {
				t.Errorf("error %v, want %q", err, tt.wantErr)
			}
			if tt.init == nvml.ERROR_LIBRARY_NOT_FOUND && !errors.Is(err, ErrNoDevice) {
				t.Errorf("error %v is not ErrNoDevice", err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("devices (-want +got):\n%s", diff)
			}
		})
	}
}
