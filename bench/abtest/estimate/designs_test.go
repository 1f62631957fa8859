package estimate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"stepbench/bench/stats"
)

// excludesZero tells whether the 95 % interval of x does.
func excludesZero(x []float64) bool {
	ci, ok := stats.TInterval(x, 0.95)
	return ok && (ci.Lo > 0 || ci.Hi < 0)
}

// TestRejectedDesigns shows why the design is as it is: each simpler one finds
// a difference between equal arms far more often than the 5 % it states.
func TestRejectedDesigns(t *testing.T) {
	const comparisons = 2000 / thinning
	fixed := gpu
	fixed.fixedOrder = true
	centres := func(launches [][]float64) []float64 {
		effects, _ := launchEffects(launches)
		return effects
	}
	designs := []struct {
		name  string
		sound bool
		alarm func(rng *rand.Rand) bool
	}{
		{"4 launches, one test over launches", true, func(rng *rand.Rand) bool {
			return excludesZero(centres(gpu.launches(rng, 4, quads(8))))
		}},
		{"1 launch, its 8 quads as replicates", false, func(rng *rand.Rand) bool {
			return excludesZero(gpu.launches(rng, 1, quads(8))[0])
		}},
		{"1 launch, its 24 quads as replicates", false, func(rng *rand.Rand) bool {
			return excludesZero(gpu.launches(rng, 1, quads(24))[0])
		}},
		{"8 launches, every quad ABBA", false, func(rng *rand.Rand) bool {
			return excludesZero(centres(fixed.launches(rng, 8, quads(16))))
		}},
		{"a test after each of launches 4 to 8", false, func(rng *rand.Rand) bool {
			effects := centres(gpu.launches(rng, 8, quads(8)))
			for k := 4; k <= 8; k++ {
				if excludesZero(effects[:k]) {
					return true
				}
			}
			return false
		}},
	}
	table := "| design | equal arms called different |\n|---|--:|\n"
	for i, d := range designs {
		rng := rand.New(rand.NewPCG(2, uint64(i)))
		alarms := 0
		for range comparisons {
			if d.alarm(rng) {
				alarms++
			}
		}
		share := float64(alarms) / comparisons
		table += fmt.Sprintf("| %s | %.1f %% |\n", d.name, 100*share)
		if spread := 3 * math.Sqrt(0.05*0.95/comparisons); d.sound != (share < 0.05+spread) {
			t.Errorf("%s: alarms in %.3f", d.name, share)
		}
	}
	t.Logf("false alarms of designs (simulated, %d comparisons each)\n%s", comparisons, table)
}
