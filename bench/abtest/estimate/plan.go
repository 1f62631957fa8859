package estimate

import (
	"errors"
	"fmt"
	"math"
)

// Look is a point at which a plan reaches for a verdict.
type Look struct {
	Launches int     `json:"launches"` // in all, not since the last look
	Alpha    float64 `json:"alpha"`
}

// Plan is how much is measured and by which error rate it is judged. A plan
// with two looks ends at the first unless that is INCONCLUSIVE; the alphas of
// its looks add up to its error rate (Bonferroni), which is what a look in
// between, or testing after every launch, would break.
type Plan struct {
	Name             string  `json:"name"`
	Looks            []Look  `json:"looks"`
	AttributionQuads int     `json:"attribution_quads"` // per launch and cell, for device or op time
	TimingQuads      int     `json:"timing_quads"`      // for wall time
	Margin           float64 `json:"margin"`            // as a fraction; may be set otherwise
}

// Plans are the plans by rising effort.
func Plans() []Plan {
	return []Plan{
		// One launch: a verdict needs a calibration. Four quads, as what separates two
		// processes for life outweighs what more quads in one of them could average.
		{Name: "quick", Looks: []Look{{1, 0.05}}, AttributionQuads: 4, TimingQuads: 12, Margin: 0.01},
		// For CPU operators on shared hosts, without calibration.
		{Name: "ci", Looks: []Look{{3, 0.05}}, AttributionQuads: 8, TimingQuads: 8, Margin: 0.05},
		{Name: "standard", Looks: []Look{{4, 0.05}}, AttributionQuads: 8, TimingQuads: 24, Margin: 0.005},
		{Name: "sequential", Looks: []Look{{4, 0.01}, {8, 0.04}}, AttributionQuads: 16, TimingQuads: 32, Margin: 0.0025},
		{Name: "rigorous", Looks: []Look{{8, 0.01}}, AttributionQuads: 16, TimingQuads: 32, Margin: 0.0025},
	}
}

// PlanNamed is one of Plans.
func PlanNamed(name string) (Plan, error) {
	var names []string
	for _, p := range Plans() {
		if p.Name == name {
			return p, nil
		}
		names = append(names, p.Name)
	}
	return Plan{}, fmt.Errorf("plan %q is unknown, take one of %q", name, names)
}

// last is the look after which no more launches come.
func (p Plan) last() Look { return p.Looks[len(p.Looks)-1] }

// NeedsCalibration tells that without one every verdict is INCONCLUSIVE.
func (p Plan) NeedsCalibration() bool { return p.last().Launches < fewestLaunches }

// Rule is the rule after so many launches: that of the look they are for, which
// is the next one if they are fewer than planned.
func (p Plan) Rule(launches int, calibration *Calibration) Rule {
	look := p.last()
	for _, l := range p.Looks {
		if launches <= l.Launches {
			look = l
			break
		}
	}
	return Rule{Margin: p.Margin, Alpha: look.Alpha, Calibration: calibration}
}

// More is how many launches to add after a verdict at so many launches, 0 when
// the verdict is final.
func (p Plan) More(launches int, v Verdict) int {
	for _, l := range p.Looks {
		if launches < l.Launches && (v == Inconclusive || launches < p.Looks[0].Launches) {
			return l.Launches - launches
		}
	}
	return 0
}

// launchesForManyCells is the fewest launches of a plan of manyCells or more:
// their tests share α, and at few degrees of freedom t grows fast.
const (
	manyCells            = 4
	launchesForManyCells = 6
)

// Check refuses a plan whose verdicts could not be reached: a margin below what
// the calibrated noise resolves, or too few launches for that many cells.
// Quads are those of the endpoint that the calibration is of.
func (p Plan) Check(calibration *Calibration, quads, cells int) error {
	var problems []error
	look := p.last()
	if !(p.Margin > 0 && p.Margin < 1) {
		problems = append(problems, fmt.Errorf("margin %g is not between 0 and 1: give it as a fraction, 0.005 for 0.5 %%", p.Margin))
	}
	if cells >= manyCells && look.Launches < launchesForManyCells {
		problems = append(problems, fmt.Errorf("plan %s has %d launches, %d cells need at least %d", p.Name, look.Launches, cells, launchesForManyCells))
	}
	if calibration != nil && p.Margin > 0 {
		v, margin := calibration.Variance(float64(quads)), math.Log1p(p.Margin)
		if least := resolvableLog(v, look.Alpha, look.Launches); margin < least {
			problems = append(problems, fmt.Errorf("margin %.3g %% is below what %d launches resolve at the calibrated noise: take at least %.2f %%%s",
				100*p.Margin, look.Launches, math.Ceil(100*Percent(least))/100, orLaunches(v, margin, look)))
		}
	}
	return errors.Join(problems...)
}

// orLaunches names the launches that would resolve the margin, if they are few
// enough to think of.
func orLaunches(variance, margin float64, look Look) string {
	for k := look.Launches + 1; k <= 100; k++ {
		if resolvableLog(variance, look.Alpha, k) <= margin {
			return fmt.Sprintf(" or %d launches", k)
		}
	}
	return ""
}
