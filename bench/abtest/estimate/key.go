package estimate

import "fmt"

// Key says what a calibration holds for: a change of any field voids it.
type Key struct {
	Device          string  `json:"device"`            // GPU model; on a CPU its model and the number of threads
	DriverMajor     int     `json:"driver_major"`      // 0 on a CPU
	MemoryBytes     int64   `json:"memory_bytes"`      // of the device
	PowerLimitWatts float64 `json:"power_limit_watts"` // 0 where there is none
	VLLMVersion     string  `json:"vllm_version"`
	Model           string  `json:"model"`
	CellClass       string  `json:"cell_class"`
	Endpoint        string  `json:"endpoint"`
}

// Differences lists the fields in which a run differs from the calibration,
// each with both values; empty if the calibration holds.
func (k Key) Differences(run Key) []string {
	var list []string
	for _, f := range []struct {
		name      string
		have, now any
	}{
		{"device", k.Device, run.Device},
		{"driver major version", k.DriverMajor, run.DriverMajor},
		{"memory in bytes", k.MemoryBytes, run.MemoryBytes},
		{"power limit in watts", k.PowerLimitWatts, run.PowerLimitWatts},
		{"vLLM version", k.VLLMVersion, run.VLLMVersion},
		{"model", k.Model, run.Model},
		{"cell class", k.CellClass, run.CellClass},
		{"endpoint", k.Endpoint, run.Endpoint},
	} {
		if f.have != f.now {
			list = append(list, fmt.Sprintf("%s: calibrated %v, now %v", f.name, f.have, f.now))
		}
	}
	return list
}
