package estimate

import (
	"fmt"
	"math"

	"stepbench/bench/stats"
)

// fewestLaunches carry an interval by their own spread.
const fewestLaunches = 3

// Rule is what a verdict is reached by.
type Rule struct {
	// Margin is the change that does not matter, as a fraction: 0.005 for
	// 0.5 %. Equivalence is tested against ±ln(1+Margin).
	Margin float64
	// Alpha is the probability allowed for a false FASTER or SLOWER at no
	// change, and for a false SAME at a change of the margin.
	Alpha float64
	// Calibration gives the noise of runs of one build against itself. It sets
	// the claim floor and lets fewer than 3 launches have an interval. Nil:
	// verdicts rest on the run's own spread alone.
	Calibration *Calibration
}

// Result is the outcome of one comparison. Effects and bounds are logarithms;
// Percent translates them.
type Result struct {
	Verdict Verdict `json:"verdict"`
	Reason  string  `json:"reason,omitempty"` // where the rule alone does not explain the verdict

	EffectLog   float64   `json:"effect_log"` // mean over launches, positive where B is slower
	LaunchesLog []float64 `json:"launches_log"`
	MarginLog   float64   `json:"margin_log"`
	Alpha       float64   `json:"alpha"`
	Bounds      *Bounds   `json:"bounds"` // nil where too few launches give none

	Conditional   bool `json:"conditional"`    // bounds take the spread from the calibration
	SelfEstimated bool `json:"self_estimated"` // there is no calibration
	Noisier       bool `json:"noisier"`        // launches spread more than the calibration allows
	// LaunchesToSettle is about how many launches in all would reach a verdict
	// if effect and spread stayed as they are; 0 where one is reached or 1000
	// would not do.
	LaunchesToSettle int `json:"launches_to_settle"`
}

// Bounds are the error bounds of an effect, in logarithms.
type Bounds struct {
	SELog float64        `json:"se_log"`
	DF    int            `json:"df"`   // of Student's t; 0 for the normal distribution
	CI    stats.Interval `json:"ci"`   // at 1-α
	TOST  stats.Interval `json:"tost"` // at 1-2α: inside the margin, it shows equivalence at α
	CI99  stats.Interval `json:"ci_99"`
	P     float64        `json:"p"` // two-sided, of no effect

	FloorLog float64 `json:"floor_log"` // no smaller effect is claimed; 0 without calibration
	MDE80Log float64 `json:"mde80_log"` // smallest effect found in 80 % of such runs
}

// Decide estimates the effect from the quad differences of each launch and
// gives the verdict. L_k is the Hodges-Lehmann centre of launch k, θ the mean
// of the K centres, σ their deviation:
//
//	CI at γ = θ ± t_{(1+γ)/2,K-1}·σ/√K
//
// Below 3 launches σ²/K gives way to the calibration's bound and t to the
// normal distribution. With Δ = ln(1+margin) and F the claim floor, the first
// that applies:
//
//	SAME          CI at 1-2α inside ±Δ, even if it excludes 0 (two one-sided tests, Schuirmann 1987)
//	FASTER        CI at 1-α below 0 and θ < -F
//	SLOWER        CI at 1-α above 0 and θ > F
//	INCONCLUSIVE  otherwise
//
// Input that cannot be estimated from (no launch, an empty one, a value that is
// not finite) gives INVALID with the reason. All other gates are the caller's.
func Decide(launches [][]float64, rule Rule) Result {
	effects, problem := launchEffects(launches)
	if problem != "" {
		return rule.invalid(problem)
	}
	return decide(effects, rule.Calibration.noise(launches), rule)
}

// launchEffects are the Hodges-Lehmann centres of the launches.
func launchEffects(launches [][]float64) (effects []float64, problem string) {
	if len(launches) == 0 {
		return nil, "no launch was measured"
	}
	for i, d := range launches {
		if len(d) == 0 {
			return nil, fmt.Sprintf("launch %d has no quad", i+1)
		}
		for _, v := range d {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return nil, fmt.Sprintf("launch %d has a quad whose difference is not a number: a burst took no time", i+1)
			}
		}
		effects = append(effects, stats.HodgesLehmann(d))
	}
	return effects, ""
}

func (rule Rule) marginLog() float64 { return math.Log1p(rule.Margin) }

func (rule Rule) invalid(reason string) Result {
	return Result{Verdict: Invalid, Reason: reason, MarginLog: rule.marginLog(), Alpha: rule.Alpha,
		SelfEstimated: rule.Calibration == nil}
}

// decide is Decide from launch effects; calibrated is nil without calibration.
func decide(effects []float64, calibrated *noise, rule Rule) Result {
	r := Result{EffectLog: stats.Mean(effects), LaunchesLog: effects, MarginLog: rule.marginLog(), Alpha: rule.Alpha,
		SelfEstimated: calibrated == nil}
	k := len(effects)
	sd, hasSD := stats.SD(effects)
	if hasSD && calibrated != nil {
		r.Noisier = calibrated.exceededBy(sd*sd, k)
	}
	df, variance := k-1, sd*sd
	if k < fewestLaunches {
		if calibrated == nil {
			r.Verdict = Inconclusive
			r.Reason = fmt.Sprintf("%d of the %d launches that an interval needs without a calibration", k, fewestLaunches)
			r.LaunchesToSettle = fewestLaunches
			return r
		}
		r.Conditional, df, variance = true, normal, calibrated.variance
	}
	b := newBounds(r.EffectLog, math.Sqrt(variance/float64(k)), df, rule.Alpha)
	planning := variance
	if calibrated != nil {
		b.FloorLog = floorLog(calibrated.variance, k)
		planning = calibrated.variance
	}
	b.MDE80Log = mde80Log(planning, rule.Alpha, k)
	r.Bounds = &b
	r.Verdict = b.verdict(r.EffectLog, r.MarginLog)
	if r.Verdict == Inconclusive {
		r.LaunchesToSettle = launchesToSettle(r, max(planning, variance))
	}
	return r
}

func newBounds(effect, se float64, df int, alpha float64) Bounds {
	at := func(p float64) stats.Interval {
		half := quantile(p, df) * se
		return stats.Interval{Lo: effect - half, Hi: effect + half}
	}
	return Bounds{SELog: se, DF: df, CI: at(1 - alpha/2), TOST: at(1 - alpha), CI99: at(0.995), P: twoSidedP(effect/se, df)}
}

func (b Bounds) verdict(effect, margin float64) Verdict {
	switch {
	case -margin < b.TOST.Lo && b.TOST.Hi < margin:
		return Same
	case b.CI.Hi < 0 && effect < -b.FloorLog:
		return Faster
	case b.CI.Lo > 0 && effect > b.FloorLog:
		return Slower
	}
	return Inconclusive
}

// Escalate gives the verdict on device time after a look at wall time, which
// may only make it worse: a user feels wall time, but it is too noisy to clear
// a kernel. Where the 99 % interval of wall lies above the margin, the verdict
// is SLOWER with the reason "wall", whatever device time says.
func Escalate(device, wall Result) Result {
	if device.Verdict == Invalid || wall.Verdict == Invalid || wall.Bounds == nil {
		return device
	}
	if device.Verdict != Slower && wall.Bounds.CI99.Lo > wall.MarginLog {
		device.Verdict, device.Reason, device.LaunchesToSettle = Slower, "wall", 0
	}
	return device
}
