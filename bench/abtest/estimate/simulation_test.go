package estimate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"stepbench/bench/stats"
)

// A scenario is a plan under a noise, simulated often.
type scenario struct {
	name        string
	plan        string
	noise       noiseModel
	calibrated  bool // every comparison has its own calibration of 10 launches
	adaptive    bool // quads by EnoughQuads, up to four times the plan's
	comparisons int
	effect      float64 // as a fraction, to be found
	power       float64 // at least, at effect; 0: only shown
}

// rates are shares of the comparisons of a scenario.
type rates struct {
	sd            float64 // of a launch effect
	same0, false0 float64 // no difference: SAME; FASTER or SLOWER
	falseSame     float64 // a difference of the margin, either way: SAME
	wrongSign     float64 // such a difference: called the other way round
	power         float64 // SLOWER at +effect
	coverage      float64 // the interval at 1-α holds the truth
	half          float64 // its median half-width
	spread2       float64 // two Monte Carlo deviations of falseSame
}

// TestErrorRates shows how often the plans are wrong; run it with -v for the
// table. A test at level α is wrong in just that share of cases at its edge, a
// true change of the margin. So the false SAME there are at most α by design,
// with nothing to spare, and are counted up to two Monte Carlo deviations more.
// Over 200,000 comparisons of the default plan and of plan ci they are 4.96 %
// each, with two deviations of 0.07 %.
func TestErrorRates(t *testing.T) {
	scenarios := []scenario{
		{name: "default", plan: "standard", noise: gpu, comparisons: 40000, effect: 0.005, power: 0.90},
		{name: "default, calibrated", plan: "standard", noise: gpu, calibrated: true, comparisons: 4000, effect: 0.005, power: 0.90},
		{name: "quads as needed", plan: "standard", noise: gpu, adaptive: true, comparisons: 2000, effect: 0.005, power: 0.90},
		{name: "noise doubled", plan: "standard", noise: gpu.times(2), comparisons: 4000, effect: 0.01, power: 0.90},
		{name: "slow processes", plan: "standard", noise: slowProcesses(gpu), comparisons: 2000, effect: 0.005},
		{name: "one launch", plan: "quick", noise: gpu, calibrated: true, comparisons: 4000, effect: 0.01, power: 0.90},
		{name: "eight launches", plan: "rigorous", noise: gpu, comparisons: 2000, effect: 0.005, power: 0.90},
		{name: "two looks", plan: "sequential", noise: gpu, comparisons: 2000, effect: 0.005, power: 0.90},
		{name: "two looks, noise doubled", plan: "sequential", noise: gpu.times(2), comparisons: 2000, effect: 0.01, power: 0.90},
		{name: "CPU operators", plan: "ci", noise: cpu, comparisons: 40000, effect: 0.10, power: 0.90},
		{name: "CPU, noise doubled", plan: "ci", noise: cpu.times(2), comparisons: 4000, effect: 0.10, power: 0.90},
	}
	var table strings.Builder
	table.WriteString("| plan | case | comparisons | sd of a launch | no change: SAME | no change: FASTER or SLOWER | change of δ: SAME | change: SLOWER | interval holds truth | half-width |\n")
	table.WriteString("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for i, s := range scenarios {
		plan, err := PlanNamed(s.plan)
		if err != nil {
			t.Fatal(err)
		}
		s.comparisons /= thinning
		r := simulate(s, plan, rand.New(rand.NewPCG(1, uint64(i))))
		fmt.Fprintf(&table, "| %s, δ = %g %% | %s | %d | %.2f %% | %.1f %% | %.2f %% | %.2f %% | %g %%: %.1f %% | %.1f %% | %.2f %% |\n",
			s.plan, 100*plan.Margin, s.name, s.comparisons, 100*r.sd, 100*r.same0, 100*r.false0, 100*r.falseSame,
			100*s.effect, 100*r.power, 100*r.coverage, 100*r.half)
		alpha := plan.alpha()
		if limit := alpha + r.spread2; r.false0 > limit || r.falseSame > limit || r.wrongSign > 0.001 {
			t.Errorf("%s: false FASTER or SLOWER %.4f (limit %.2f), false SAME %.4f (limit %.4f), wrong sign %.4f",
				s.name, r.false0, alpha, r.falseSame, limit, r.wrongSign)
		}
		slack := 0.0
		if thinning > 1 {
			slack = 0.1 // so few comparisons show no more
		}
		if r.power < s.power-slack {
			t.Errorf("%s: finds %.4f of changes of %g, want %.2f", s.name, r.power, s.effect, s.power)
		}
		if r.coverage < 1-alpha-0.01-slack {
			t.Errorf("%s: interval holds the truth in %.4f", s.name, r.coverage)
		}
	}
	t.Logf("false verdicts of the plans (simulated)\n%s", table.String())
}

// alpha is the error rate of all looks together.
func (p Plan) alpha() float64 {
	sum := 0.0
	for _, look := range p.Looks {
		sum += look.Alpha
	}
	return sum
}

// slowProcesses makes 2 % of processes take half as long again for life.
func slowProcesses(m noiseModel) noiseModel {
	m.slow, m.slowSize = 0.02, 0.4
	return m
}

func simulate(s scenario, plan Plan, rng *rand.Rand) rates {
	stop := quads(plan.AttributionQuads)
	if s.adaptive {
		stop = func(d []float64) bool {
			return len(d) >= 4*plan.AttributionQuads || EnoughQuads(d, 0.001, plan.AttributionQuads)
		}
	}
	var r rates
	var effects, halves []float64
	margin := math.Log1p(plan.Margin)
	for range s.comparisons {
		var known *noise
		process := s.noise
		if s.calibrated {
			// The same machine is calibrated and measured.
			process.process = [2]float64{}
			process.process[0] = between(rng, s.noise.process)
			process.process[1] = process.process[0]
			c, err := Calibrate(Key{}, "", process.launches(rng, CalibrationLaunches, quads(plan.AttributionQuads)))
			if err != nil {
				panic(err)
			}
			known = &noise{c.Variance(float64(plan.AttributionQuads)), CalibrationLaunches}
		}
		own, _ := launchEffects(process.launches(rng, plan.last().Launches, stop))
		effects = append(effects, own...)
		// The effect of a launch moves with a true change by just that, so one
		// simulation serves several truths.
		truth := func(x float64) Result { return decideLooks(plan, own, x, known) }
		none := truth(0)
		halves = append(halves, (none.Bounds.CI.Hi-none.Bounds.CI.Lo)/2)
		count(&r.same0, none.Verdict == Same)
		count(&r.false0, none.Verdict == Faster || none.Verdict == Slower)
		count(&r.coverage, none.Bounds.CI.Lo <= 0 && 0 <= none.Bounds.CI.Hi)
		up, down := truth(margin).Verdict, truth(-margin).Verdict
		count(&r.falseSame, up == Same)
		count(&r.falseSame, down == Same)
		count(&r.wrongSign, up == Faster || down == Slower)
		count(&r.power, truth(math.Log1p(s.effect)).Verdict == Slower)
	}
	r.falseSame /= 2
	for _, v := range []*float64{&r.same0, &r.false0, &r.coverage, &r.falseSame, &r.wrongSign, &r.power} {
		*v /= float64(s.comparisons)
	}
	r.sd, _ = stats.SD(effects)
	slices.Sort(halves)
	r.half = stats.Median(halves)
	r.spread2 = 2 * math.Sqrt(plan.alpha()*(1-plan.alpha())/float64(2*s.comparisons))
	return r
}

func count(n *float64, hit bool) {
	if hit {
		*n++
	}
}

// decideLooks plays the looks of a plan on launch effects moved by shift.
func decideLooks(plan Plan, effects []float64, shift float64, known *noise) Result {
	moved := make([]float64, len(effects))
	for i, e := range effects {
		moved[i] = e + shift
	}
	k := plan.Looks[0].Launches
	for {
		r := decide(moved[:k], known, plan.Rule(k, nil))
		more := plan.More(k, r.Verdict)
		if more == 0 {
			return r
		}
		k += more
	}
}
