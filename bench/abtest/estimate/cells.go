package estimate

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"stepbench/bench/stats"
)

// Cell is one shape of work, measured in every launch.
type Cell struct {
	Name        string
	Weight      float64 // in the primary; 0 leaves it out
	Launches    [][]float64
	Calibration *Calibration // of its own class; nil without
}

// CellResult is the outcome of one cell among several.
type CellResult struct {
	Name   string  `json:"name"`
	Weight float64 `json:"weight"`
	Result
}

// CellsResult is the outcome of several cells of the same launches.
type CellsResult struct {
	Primary Result       `json:"primary"`
	Cells   []CellResult `json:"cells"`
}

// DecideCells judges the weighted mean of the cells, the primary, and each
// cell. The mean is formed inside each launch, because cells of a launch share
// its luck and are no replicates of each other.
//
// A cell is SAME by its own test at α: to claim that of all cells needs no
// correction, as every single one must pass. FASTER and SLOWER are any-of-many
// claims: they stand only where Holm's procedure over the cells rejects no
// effect at α, else the cell is INCONCLUSIVE. Intervals are not widened.
//
// The calibration of rule is not used: each cell has its own. The primary's
// noise is bounded as if the cells of a launch moved together, and taken from
// the run alone if a cell is not calibrated.
func DecideCells(cells []Cell, rule Rule) CellsResult {
	out := CellsResult{Primary: primary(cells, rule)}
	var p []float64
	for _, c := range cells {
		rule.Calibration = c.Calibration
		r := Decide(c.Launches, rule)
		out.Cells = append(out.Cells, CellResult{c.Name, c.Weight, r})
		if r.Bounds != nil {
			p = append(p, r.Bounds.P)
		} else {
			p = append(p, 1)
		}
	}
	for i, rejected := range stats.Holm(p, rule.Alpha) {
		if r := &out.Cells[i]; !rejected && (r.Verdict == Faster || r.Verdict == Slower) {
			r.Reason = fmt.Sprintf("%s only if it were the one cell (Holm)", r.Verdict)
			r.Verdict = Inconclusive
		}
	}
	return out
}

// primary is the verdict on the weighted mean over cells.
func primary(cells []Cell, rule Rule) Result {
	rule.Calibration = nil
	total, spread := 0.0, 0.0 // Σw and Σw·√v
	calibrated, fewest := true, math.MaxInt
	var effects []float64
	for i, c := range cells {
		own, problem := launchEffects(c.Launches)
		if problem == "" && !(c.Weight >= 0) {
			problem = fmt.Sprintf("its weight is %g", c.Weight)
		}
		if i == 0 {
			effects = make([]float64, len(own))
		} else if problem == "" && len(own) != len(effects) {
			problem = fmt.Sprintf("it has %d launches, %s has %d", len(own), cells[0].Name, len(effects))
		}
		if problem != "" {
			return rule.invalid(fmt.Sprintf("cell %s: %s", c.Name, problem))
		}
		total += c.Weight
		for k, effect := range own {
			effects[k] += c.Weight * effect
		}
		if n := c.Calibration.noise(c.Launches); n != nil {
			spread += c.Weight * math.Sqrt(n.variance)
			fewest = min(fewest, n.launches)
		} else if c.Weight > 0 {
			calibrated = false
		}
	}
	if !(total > 0) {
		return rule.invalid("no cell has a weight")
	}
	for k := range effects {
		effects[k] /= total
	}
	if !calibrated {
		return decide(effects, nil, rule)
	}
	return decide(effects, &noise{spread / total * spread / total, fewest}, rule)
}

// Overall is the verdict on all cells together: INVALID if any is, SLOWER if
// the primary or any cell is, else the primary's. A caller whose gates void a
// cell sets its verdict first. The reason names the cell that decided.
func (r CellsResult) Overall() (v Verdict, reason string) {
	for _, find := range []Verdict{Invalid, Slower} {
		if r.Primary.Verdict == find {
			return find, r.Primary.Reason
		}
		for _, c := range r.Cells {
			if c.Verdict == find {
				return find, strings.TrimSuffix("cell "+c.Name+": "+c.Reason, ": ")
			}
		}
	}
	return r.Primary.Verdict, r.Primary.Reason
}

// AllSame tells whether every cell is SAME, each at level α.
func (r CellsResult) AllSame() bool {
	return len(r.Cells) > 0 && !slices.ContainsFunc(r.Cells, func(c CellResult) bool { return c.Verdict != Same })
}
