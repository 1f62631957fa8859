package micro

import (
	"math"
	"testing"
)

// bursts of 4 steps with the given busy times and gaps, which add up to the wall
// time as profiled ones do, in µs.
func bursts(busyAndGap ...float64) []*burstResult {
	var out []*burstResult
	for i := 0; i < len(busyAndGap); i += 2 {
		busy, gap := busyAndGap[i]*1e3, busyAndGap[i+1]*1e3
		walls := []float64{busy + gap - 2e3, busy + gap + 2e3, busy + gap - 1e3, busy + gap + 1e3}
		out = append(out, &burstResult{unit: unitKernel, steps: 4, busyNs: busy, gapNs: gap, walls: walls})
	}
	return out
}

func TestIdleCheck(t *testing.T) {
	dropped := bursts(900, 9000)[0]
	dropped.drop = Mismatch
	tests := []struct {
		name               string
		bursts             []*burstResult
		roundsUs           []float64
		fromGaps, fromWall float64 // µs
		ratio              string
		off                bool
	}{
		{"the profiler slows the host by half", bursts(500, 1600, 500, 1500), []float64{1450, 1450, 1450}, 950, 950, "1.00", false},
		{"halves of bursts are their means", bursts(490, 1500, 500, 1500, 510, 1600), []float64{1450, 1450}, 950, 950, "1.00", false},
		{"a dropped burst is in neither half", append(bursts(500, 1600), append([]*burstResult{dropped}, bursts(500, 1500)...)...), []float64{1450, 1450}, 950, 950, "1.00", false},
		{"busy time does not repeat", bursts(500, 1600, 600, 1500), []float64{1450, 1450}, 950, 850, "1.12", true},
		{"the wall time does not repeat", bursts(500, 1600, 500, 1500), []float64{1350, 1450, 1350, 1450}, 850, 950, "0.89", true},
		{"within a twentieth", bursts(500, 1600, 540, 1500), []float64{1450, 1450}, 950, 910, "1.04", false},
		{"hardly any idle time", bursts(1400, 60, 1410, 60), []float64{1450, 1450}, 50, 40, "1.25", false},
		{"nothing idle", bursts(1450, 60, 1500, 60), []float64{1450, 1450}, 0, -50, "0.0/-50.0", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := &measured{bursts: tt.bursts}
			var rounds []float64
			for _, us := range tt.roundsUs {
				rounds = append(rounds, us*1e3)
			}
			got := m.idleCheck(rounds)
			if math.Abs(got.FromGapsNs-tt.fromGaps*1e3) > 1 || math.Abs(got.FromWallNs-tt.fromWall*1e3) > 1 {
				t.Errorf("%g and %g µs, want %g and %g", got.FromGapsNs/1e3, got.FromWallNs/1e3, tt.fromGaps, tt.fromWall)
			}
			if got.String() != tt.ratio || got.off(rounds[0]) != tt.off {
				t.Errorf("ratio %s, off %v; want %s, %v", got, got.off(rounds[0]), tt.ratio, tt.off)
			}
		})
	}
	onCPU := bursts(500, 1500, 500, 1500)
	for _, b := range onCPU {
		b.unit = "op"
	}
	for name, got := range map[string]*IdleCheck{
		"ops":       (&measured{bursts: onCPU}).idleCheck([]float64{1, 1}),
		"one burst": (&measured{bursts: bursts(500, 1500)}).idleCheck([]float64{1, 1}),
		"one round": (&measured{bursts: bursts(500, 1500, 500, 1500)}).idleCheck([]float64{1}),
	} {
		if _, ok := got.Ratio(); got != nil || ok || got.off(1) || got.String() != "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
