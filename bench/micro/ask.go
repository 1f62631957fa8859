package micro

import "context"

// AskConditions returns a source of conditions for [Options]: the adapter's
// control method, asked through call.
func AskConditions(call func(ctx context.Context, method string, args, reply any) error) func(context.Context) (Conditions, error) {
	return func(ctx context.Context) (Conditions, error) {
		var reply struct {
			AtNs         int64   `json:"at_ns"`
			SMClockMHz   float64 `json:"sm_clock_mhz"`
			TemperatureC float64 `json:"temperature_c"`
			PowerW       float64 `json:"power_w"`
			HostCPUs     int     `json:"host_cpus"`
			ProcessCPUNs int64   `json:"process_cpu_ns"`
			HostCPUNs    int64   `json:"host_cpu_ns"`
			Collections  int64   `json:"collections"`
			Throttles    int64   `json:"throttles"`
			MajorFaults  int64   `json:"major_faults"`
			Compiles     int64   `json:"compiles"`
		}
		err := call(ctx, "conditions", nil, &reply)
		return Conditions{
			AtNs: reply.AtNs, SMClockMHz: reply.SMClockMHz, TemperatureC: reply.TemperatureC, PowerW: reply.PowerW,
			HostCPUs: reply.HostCPUs, ProcessCPUNs: reply.ProcessCPUNs, HostCPUNs: reply.HostCPUNs,
			Collections: reply.Collections, Throttles: reply.Throttles, MajorFaults: reply.MajorFaults, Compiles: reply.Compiles,
		}, err
	}
}
