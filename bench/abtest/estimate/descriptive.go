package estimate

import "stepbench/bench/stats"

// Descriptive is the estimate of a row that carries no verdict, such as one
// kernel's time.
type Descriptive struct {
	Delta float64         `json:"delta"` // B - A, in the unit of the differences
	CI    *stats.Interval `json:"ci"`    // nil below 3 launches
}

// Describe is Decide's estimator on differences in a unit of time (µs a step)
// instead of logarithms, with the interval at the given level. Many rows are
// described at once and nothing corrects for that: such an interval shows how
// precise a number is, and is no test. It is false on input that Decide calls
// INVALID.
//
// A calibration is of logarithms and lends no interval here. Centres of rows do
// not add up to the centre of their sum, as means do.
func Describe(launches [][]float64, level float64) (d Descriptive, ok bool) {
	effects, problem := launchEffects(launches)
	if problem != "" {
		return Descriptive{}, false
	}
	d.Delta = stats.Mean(effects)
	if ci, ok := stats.TInterval(effects, level); ok && len(effects) >= fewestLaunches {
		d.CI = &ci
	}
	return d, true
}
