//go:build gpu

package telemetry

import (
	"runtime"
	"testing"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// BenchmarkNVML is what each call of a reading costs on the first device, in wall
// time and in CPU time of its thread.
func BenchmarkNVML(b *testing.B) {
	opened, err := openNVML(nvml.New(), firstUUID(b))
	if err != nil {
		b.Fatal(err)
	}
	defer opened.Close()
	g := opened.(*nvmlGPU)
	device := g.device
	fields := []nvml.FieldValue{{FieldId: nvml.FI_DEV_POWER_INSTANT}, {FieldId: nvml.FI_DEV_TOTAL_ENERGY_CONSUMPTION}}
	calls := []struct {
		name string
		call func()
	}{
		{"clock=SM", func() { device.GetClockInfo(nvml.CLOCK_SM) }},
		{"clock=memory", func() { device.GetClockInfo(nvml.CLOCK_MEM) }},
		{"temperature", func() { device.GetTemperature(nvml.TEMPERATURE_GPU) }},
		{"power", func() { device.GetPowerUsage() }},
		{"utilisation", func() { device.GetUtilizationRates() }},
		{"memory", func() { device.GetMemoryInfo() }},
		{"reasons", func() { g.reasons() }},
		{"energy", func() { device.GetTotalEnergyConsumption() }},
		{"fields=power,energy", func() { device.GetFieldValues(fields) }},
		{"samples=power", func() { device.GetSamples(nvml.TOTAL_POWER_SAMPLES, 0) }},
		{"samples=SM", func() { device.GetSamples(nvml.GPU_UTILIZATION_SAMPLES, 0) }},
		{"samples=clock", func() { device.GetSamples(nvml.PROCESSOR_CLK_SAMPLES, 0) }},
		{"processes", func() { device.GetComputeRunningProcesses() }},
		{"all=gauges", func() { g.Gauges() }},
		{"all=counters", func() { g.Counters() }},
		{"all=GPM", func() { g.GPM() }},
	}
	for _, c := range calls {
		b.Run(c.name, func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			before := threadCPUNs()
			for b.Loop() {
				c.call()
			}
			b.ReportMetric(float64(threadCPUNs()-before)/float64(b.N)/1e3, "cpu-µs/op")
		})
		b.Run("every=100ms/"+c.name, func(b *testing.B) { benchmarkCold(b, c.call) })
	}
}
