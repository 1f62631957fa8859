package analysis

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"stepbench/bench/telemetry"
	"stepbench/bench/workload"
)

// TestGPM: the window is from 10 s to 20 s, with a sample just after each second.
func TestGPM(t *testing.T) {
	reading := func(periodNs int64, occupancy float64) telemetry.GPM {
		return telemetry.GPM{PeriodNs: telemetry.Of(periodNs), SMOccupancyFrac: telemetry.Of(occupancy)}
	}
	const absent = "GPM: not offered by this device/driver: ERROR_NOT_SUPPORTED"
	tests := []struct {
		name    string
		gpm     func(second int) []telemetry.GPM // of each device
		want    map[string]Value
		problem string
	}{
		{"weighted by time", func(s int) []telemetry.GPM {
			switch s {
			case 12:
				return []telemetry.GPM{reading(1e9, 0.2)}
			case 15:
				return []telemetry.GPM{reading(3e9, 0.6)}
			}
			return []telemetry.GPM{{}} // none was due
		}, map[string]Value{"sm_occupancy": {V: 0.5}}, ""},
		{"over devices", func(int) []telemetry.GPM { return []telemetry.GPM{reading(1e9, 0.2), reading(1e9, 0.4)} },
			map[string]Value{"sm_occupancy": {V: 0.3}}, ""},
		{"not before the window", func(s int) []telemetry.GPM {
			switch {
			case s <= 10: // the one at 10 s is of the second before
				return []telemetry.GPM{reading(1e9, 1)}
			case s == 11:
				return []telemetry.GPM{reading(2e9, 1)} // began before
			}
			return []telemetry.GPM{reading(1e9, 0)}
		}, map[string]Value{"sm_occupancy": {V: 0}}, ""},
		{"not offered", func(int) []telemetry.GPM { return []telemetry.GPM{{Problem: absent}} }, nil, absent},
		{"error midway", func(s int) []telemetry.GPM {
			if s == 14 {
				return []telemetry.GPM{{Problem: "GPM: sample: ERROR_TIMEOUT"}}
			}
			return []telemetry.GPM{reading(1e9, 0.7)}
		}, map[string]Value{"sm_occupancy": {V: 0.7}}, "GPM: sample: ERROR_TIMEOUT"},
		{"none", func(int) []telemetry.GPM { return []telemetry.GPM{{}} }, nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rec := watched(t, func(second int) (out []telemetry.DeviceReading) {
				for _, g := range tt.gpm(second) {
					out = append(out, telemetry.DeviceReading{GPM: g})
				}
				return out
			})
			r := &run{rec: rec, seen: observe(rec), values: map[string]workload.Estimate{}}
			r.seen.gpm.estimates(r.values)
			var p Point
			p.fillGPM([]*run{r})
			if diff := cmp.Diff(tt.want, p.GPM, cmpopts.EquateApprox(0, 1e-12)); diff != "" || p.GPMProblem != tt.problem {
				t.Errorf("problem %q, want %q (-want +got):\n%s", p.GPMProblem, tt.problem, diff)
			}
		})
	}
}
