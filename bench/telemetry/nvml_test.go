package telemetry

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"
	"github.com/google/go-cmp/cmp"
)

// mockDevice answers every question with ret beside plausible figures.
func mockDevice(ret nvml.Return) *mock.Device {
	return &mock.Device{
		GetClockInfoFunc: func(kind nvml.ClockType) (uint32, nvml.Return) {
			return map[nvml.ClockType]uint32{nvml.CLOCK_SM: 1755, nvml.CLOCK_MEM: 2619}[kind], ret
		},
		GetTemperatureFunc:                  func(nvml.TemperatureSensors) (uint32, nvml.Return) { return 61, ret },
		GetPowerUsageFunc:                   func() (uint32, nvml.Return) { return 512_500, ret },
		GetUtilizationRatesFunc:             func() (nvml.Utilization, nvml.Return) { return nvml.Utilization{Gpu: 97, Memory: 40}, ret },
		GetMemoryInfoFunc:                   func() (nvml.Memory, nvml.Return) { return nvml.Memory{Total: 80 << 30, Used: 3 << 30}, ret },
		GetCurrentClocksThrottleReasonsFunc: func() (uint64, nvml.Return) { return 4, ret },
		GetCurrentClocksEventReasonsFunc:    func() (uint64, nvml.Return) { return 4 | 32, ret },
		GetTotalEnergyConsumptionFunc:       func() (uint64, nvml.Return) { return 1_234_567, ret },
		GetComputeRunningProcessesFunc: func() ([]nvml.ProcessInfo, nvml.Return) {
			return []nvml.ProcessInfo{{Pid: 77}, {Pid: 42}}, ret
		},
		IsMigDeviceHandleFunc:     func() (bool, nvml.Return) { return false, ret },
		GpmQueryDeviceSupportFunc: func() (nvml.GpmSupport, nvml.Return) { return nvml.GpmSupport{}, ret },
		GetFieldValuesFunc: func(values []nvml.FieldValue) nvml.Return {
			for i := range values {
				values[i].ValueType = uint32(nvml.VALUE_TYPE_UNSIGNED_LONG_LONG)
				binary.NativeEndian.PutUint64(values[i].Value[:], uint64(values[i].FieldId)*1000)
			}
			return ret
		},
	}
}

type mockLibrary struct {
	init, handle nvml.Return
	device       nvml.Device
	missing      []string // symbols
	shutdowns    int
}

func (m *mockLibrary) library() nvml.Interface {
	return &mock.Interface{
		InitFunc:                  func() nvml.Return { return m.init },
		ShutdownFunc:              func() nvml.Return { m.shutdowns++; return nvml.SUCCESS },
		DeviceGetHandleByUUIDFunc: func(string) (nvml.Device, nvml.Return) { return m.device, m.handle },
		ExtensionsFunc: func() nvml.ExtendedInterface {
			return &mock.ExtendedInterface{LookupSymbolFunc: func(name string) error {
				if slices.Contains(m.missing, name) {
					return errors.New("undefined symbol: " + name)
				}
				return nil
			}}
		},
	}
}

func TestOpenNVML_Errors(t *testing.T) {
	tests := []struct {
		name      string
		lib       mockLibrary
		want      string
		noDevice  bool
		shutdowns int
	}{
		{"no library", mockLibrary{init: nvml.ERROR_LIBRARY_NOT_FOUND}, "no such NVIDIA device: ERROR_LIBRARY_NOT_FOUND", true, 0},
		{"library without driver", mockLibrary{init: nvml.ERROR_DRIVER_NOT_LOADED}, "no such NVIDIA device: ERROR_DRIVER_NOT_LOADED", true, 0},
		{"versions differ", mockLibrary{init: nvml.ERROR_LIB_RM_VERSION_MISMATCH}, "start NVML: ERROR_LIB_RM_VERSION_MISMATCH: run nvidia-smi to see what it says", false, 0},
		{"old driver", mockLibrary{missing: []string{"nvmlDeviceGetFieldValues"}}, "NVML lacks nvmlDeviceGetFieldValues: install a newer NVIDIA driver", false, 1},
		{"other device", mockLibrary{handle: nvml.ERROR_NOT_FOUND}, `no such NVIDIA device: "GPU-1": nvidia-smi -L lists those there are`, true, 1},
		{"lost device", mockLibrary{handle: nvml.ERROR_GPU_IS_LOST}, "open device GPU-1: ERROR_GPU_IS_LOST", false, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := openNVML(tt.lib.library(), "GPU-1")
			if err == nil || err.Error() != tt.want || errors.Is(err, ErrNoDevice) != tt.noDevice {
				t.Errorf("got %v, want %s, no device %t", err, tt.want, tt.noDevice)
			}
			if tt.lib.shutdowns != tt.shutdowns {
				t.Errorf("%d shutdowns, want %d", tt.lib.shutdowns, tt.shutdowns)
			}
		})
	}
}

func TestNVMLGPU(t *testing.T) {
	full := Gauges{
		SMClockMHz: Of(1755.0), MemoryClockMHz: Of(2619.0), TemperatureC: Of(61.0), PowerWatts: Of(512.5),
		SMUtilFrac: Of(0.97), MemoryUtilFrac: Of(0.4), MemoryUsedBytes: Of[int64](3 << 30), MemoryTotalBytes: Of[int64](80 << 30), Reasons: Of[uint64](4 | 32),
	}
	counters := Counters{
		EnergyJ: Of(1234.567), PowerCapNs: Of[int64](74_000), SWThermalNs: Of[int64](269_000), HWThermalNs: Of[int64](270_000),
		PowerBrakeNs: Of[int64](271_000), PCIeSentBytes: Of[int64](197_000), PCIeReceivedBytes: Of[int64](198_000),
	}
	users := Processes{PIDs: []int{42, 77}}
	older, oldest := full, full
	older.Reasons, oldest.Reasons = Of[uint64](4), Value[uint64]{}
	const newName, oldName = "nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"
	idle := mockDevice(nvml.SUCCESS)
	idle.GetComputeRunningProcessesFunc = func() ([]nvml.ProcessInfo, nvml.Return) { return nil, nvml.SUCCESS }
	tests := []struct {
		name     string
		lib      mockLibrary
		gauges   Gauges
		counters Counters
		users    Processes
	}{
		{"all", mockLibrary{device: mockDevice(nvml.SUCCESS)}, full, counters, users},
		{"nobody on it", mockLibrary{device: idle}, full, counters, Processes{PIDs: []int{}}},
		{"driver before 535", mockLibrary{device: mockDevice(nvml.SUCCESS), missing: []string{newName}}, older, counters, users},
		{"neither name", mockLibrary{device: mockDevice(nvml.SUCCESS), missing: []string{newName, oldName}}, oldest, counters, users},
		{"offers nothing", mockLibrary{device: mockDevice(nvml.ERROR_NOT_SUPPORTED)}, Gauges{}, Counters{}, Processes{}},
		{"fell off the bus", mockLibrary{device: mockDevice(nvml.ERROR_GPU_IS_LOST)},
			Gauges{Problem: "SM clock: ERROR_GPU_IS_LOST"}, Counters{Problem: "energy: ERROR_GPU_IS_LOST"},
			Processes{Problem: "processes: ERROR_GPU_IS_LOST"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g, err := openNVML(tt.lib.library(), "GPU-1")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.gauges, g.Gauges()); diff != "" {
				t.Errorf("gauges (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.counters, g.Counters()); diff != "" {
				t.Errorf("counters (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.users, g.Processes()); diff != "" {
				t.Errorf("processes (-want +got):\n%s", diff)
			}
			g.Close()
			if tt.lib.shutdowns != 1 {
				t.Errorf("%d shutdowns", tt.lib.shutdowns)
			}
		})
	}
}

func TestFieldNs(t *testing.T) {
	value := func(bits uint64) (b [8]byte) { binary.NativeEndian.PutUint64(b[:], bits); return b }
	word := func(v uint32) (b [8]byte) {
		binary.NativeEndian.PutUint32(b[:4], v)
		b[7] = 0xff // NVML leaves the rest of the union as it was
		return b
	}
	tests := []struct {
		name  string
		field nvml.FieldValue
		want  Value[int64]
	}{
		{"long long", nvml.FieldValue{ValueType: uint32(nvml.VALUE_TYPE_UNSIGNED_LONG_LONG), Value: value(1 << 40)}, Of[int64](1 << 40)},
		{"long", nvml.FieldValue{ValueType: uint32(nvml.VALUE_TYPE_UNSIGNED_LONG), Value: value(7)}, Of[int64](7)},
		{"int", nvml.FieldValue{ValueType: uint32(nvml.VALUE_TYPE_UNSIGNED_INT), Value: word(7)}, Of[int64](7)},
		{"negative", nvml.FieldValue{ValueType: uint32(nvml.VALUE_TYPE_SIGNED_LONG_LONG), Value: value(1 << 63)}, Value[int64]{}},
		{"not a counter", nvml.FieldValue{ValueType: uint32(nvml.VALUE_TYPE_DOUBLE), Value: value(7)}, Value[int64]{}},
		{"driver does not know the field", nvml.FieldValue{ValueType: uint32(nvml.VALUE_TYPE_UNSIGNED_LONG_LONG), NvmlReturn: uint32(nvml.ERROR_INVALID_ARGUMENT), Value: value(7)}, Value[int64]{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := fieldValue(tt.field); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
