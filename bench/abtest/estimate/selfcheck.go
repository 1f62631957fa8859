package estimate

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"

	"stepbench/bench/stats"
)

// checkLevel is the probability of either test of SelfCheck to fail a sound
// calibration.
const checkLevel = 0.05

// SelfCheck asks of a calibration what is known of it: arms of one build do not
// differ.
type SelfCheck struct {
	MeanLog     float64 `json:"mean_log"` // of all launch effects
	MeanP       float64 `json:"mean_p"`   // of a mean of 0, t test
	Comparisons int     `json:"comparisons"`
	FalseAlarms int     `json:"false_alarms"` // comparisons whose 95 % interval excludes 0
	Allowed     int     `json:"allowed"`      // false alarms
}

// SelfCheck splits the launches, in order, into comparisons of k ≥ 3.
func (c *Calibration) SelfCheck(k int) SelfCheck {
	n := float64(len(c.LaunchesLog))
	s := SelfCheck{MeanLog: stats.Mean(c.LaunchesLog)}
	s.MeanP = twoSidedP(s.MeanLog/math.Sqrt(c.LaunchVariance/n), len(c.LaunchesLog)-1)
	for group := range slices.Chunk(c.LaunchesLog, max(k, fewestLaunches)) {
		if len(group) < max(k, fewestLaunches) {
			break // the rest is not a whole comparison
		}
		s.Comparisons++
		if ci, _ := stats.TInterval(group, stats.Level); ci.Lo > 0 || ci.Hi < 0 {
			s.FalseAlarms++
		}
	}
	s.Allowed = FalseAlarmLimit(s.Comparisons)
	return s
}

// Err says why the calibration must not be used.
func (s SelfCheck) Err() error {
	var problems []error
	if s.MeanP < checkLevel {
		problems = append(problems, fmt.Errorf("calibration: one build differs from itself by %+.3f %% (p = %.3f): "+
			"the arms are not treated alike, or the machine is not at rest", Percent(s.MeanLog), s.MeanP))
	}
	if s.FalseAlarms > s.Allowed {
		problems = append(problems, fmt.Errorf("calibration: %d false alarms in %d comparisons, at most %d are luck",
			s.FalseAlarms, s.Comparisons, s.Allowed))
	}
	return errors.Join(problems...)
}

// FalseAlarmLimit is how many false alarms in n comparisons at the 5 % level
// are still luck: the smallest c with P(X > c) ≤ 5 % for X binomial(n, 0.05).
// It is 3 of 20, 4 of 40, 9 of 100.
func FalseAlarmLimit(n int) int {
	x := distuv.Binomial{N: float64(n), P: 1 - stats.Level}
	c := 0
	for c < n && 1-x.CDF(float64(c)) > checkLevel+1e-12 {
		c++
	}
	return c
}
