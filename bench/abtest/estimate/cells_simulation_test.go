package estimate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"stepbench/bench/stats"
)

// TestErrorRatesOfCells has 12 cells that do not differ; run it with -v for the
// table. Each cell has offsets of its own, and those of a launch share one.
//
// The primary and the cells each keep 5 %. Where noise is so far above the
// margin that Plan.Check refuses it, a cell's SLOWER comes on top of the
// primary's errors: 5 % of false SLOWER and half as much FASTER.
func TestErrorRatesOfCells(t *testing.T) {
	const comparisons, cells, launches = 2000 / thinning, 12, 6
	table := "| noise | some cell alarms, uncorrected | some cell alarms, Holm | overall SAME | overall FASTER | overall SLOWER |\n|---|--:|--:|--:|--:|--:|\n"
	for i, tt := range []struct {
		name   string
		noise  noiseModel
		shared float64 // deviation of the offset that the cells of a launch share
		beyond bool    // what Plan.Check accepts
	}{
		{"as measured", gpu, 0, false},
		{"doubled, half its variance shared", gpu.times(math.Sqrt2), 0.0016 * math.Sqrt2, false},
		{"thirtyfold", gpu.times(30), 0, true},
	} {
		rng := rand.New(rand.NewPCG(3, uint64(i)))
		var naive, holm, same, faster, slower float64
		for range comparisons {
			r := DecideCells(equalCells(rng, tt.noise, tt.shared, cells, launches), Rule{Margin: 0.005, Alpha: 0.05})
			p := make([]float64, cells)
			for c := range r.Cells {
				p[c] = r.Cells[c].Bounds.P
			}
			count(&naive, slices.Min(p) <= 0.05)
			count(&holm, slices.Contains(stats.Holm(p, 0.05), true))
			v, _ := r.Overall()
			count(&same, v == Same)
			count(&faster, v == Faster)
			count(&slower, v == Slower)
		}
		for _, v := range []*float64{&naive, &holm, &same, &faster, &slower} {
			*v /= comparisons
		}
		table += fmt.Sprintf("| %s | %.1f %% | %.1f %% | %.1f %% | %.1f %% | %.1f %% |\n", tt.name, 100*naive, 100*holm, 100*same, 100*faster, 100*slower)
		limit := 0.05 + 3*math.Sqrt(0.05*0.95/comparisons)
		if naive < 0.20 || holm > limit || slower > limit || !tt.beyond && faster+slower > 0.05 {
			t.Errorf("%s: uncorrected %.3f, Holm %.3f, FASTER %.3f, SLOWER %.3f", tt.name, naive, holm, faster, slower)
		}
	}
	t.Logf("12 cells without a difference, 6 launches, δ = 0.5 %% (simulated, %d comparisons each)\n%s", comparisons, table)
}

// equalCells simulates cells whose arms do not differ.
func equalCells(rng *rand.Rand, m noiseModel, shared float64, cells, launches int) []Cell {
	offsets := make([]float64, launches)
	for k := range offsets {
		offsets[k] = shared * rng.NormFloat64()
	}
	list := make([]Cell, cells)
	for c := range list {
		list[c] = Cell{Name: fmt.Sprint(c), Weight: 1, Launches: m.launches(rng, launches, quads(8))}
		for k, d := range list[c].Launches {
			for q := range d {
				d[q] += offsets[k]
			}
		}
	}
	return list
}
