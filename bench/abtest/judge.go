package abtest

import (
	"fmt"

	"stepbench/bench/abtest/estimate"
	"stepbench/bench/abtest/numerics"
	"stepbench/bench/micro"
)

// Rules are what evidence is judged by, beside its plan.
type Rules struct {
	// Calibration gives that of an endpoint and cell, nil where there is none.
	Calibration func(endpoint, cell string) *estimate.Calibration
	// AllowNumericChange keeps differing outputs out of the exit code.
	AllowNumericChange bool
}

// Result is what the evidence shows.
type Result struct {
	Verdict  estimate.Verdict `json:"verdict"`
	Reason   string           `json:"reason,omitempty"` // of INVALID and INCONCLUSIVE, and of a SLOWER by wall time
	ExitCode int              `json:"exit_code"`
	// Identical is why both arms run the same code, so that this is an A/A
	// comparison; empty if they do not.
	Identical string   `json:"a_a,omitempty"`
	Endpoint  Endpoint `json:"endpoint"`

	// Kernel is the verdict on the endpoint, Wall that on wall time, over all
	// cells. Their effects are logarithms of B over A.
	Kernel estimate.CellsResult `json:"kernel"`
	Wall   estimate.CellsResult `json:"wall"`

	// Tested is the effect of the kernels under test alone, on a GPU where they
	// are known; no verdict rests on it.
	Tested *estimate.CellsResult `json:"tested,omitempty"`

	Cells   []CellResult    `json:"cells"`
	Gates   []Gate          `json:"gates"`
	Outputs numerics.Report `json:"outputs"`
	Flags   []string        `json:"flags,omitempty"`
	// NeverRan are ops of the variants that the engine did not call, while it
	// called others.
	NeverRan []string `json:"never_ran,omitempty"`
}

// CellResult is one shape. Times are means over counted quads that are not far
// from the others of their launch, per step.
type CellResult struct {
	Name       string `json:"name"`
	Context    [2]int `json:"context"` // least and largest tokens of a sequence
	BurstSteps int    `json:"burst_steps"`

	KernelUs [2]float64 `json:"kernel_us"` // of the endpoint, of A and B
	BusyUs   [2]float64 `json:"busy_us"`
	WallUs   [2]float64 `json:"wall_us"`
	BridgeUs [2]float64 `json:"bridge_us"`

	Attribution QuadCount   `json:"attribution"`
	Timing      QuadCount   `json:"timing"`
	Kernels     []KernelRow `json:"kernels"`
}

// QuadCount says how many quads count.
type QuadCount struct {
	Kept    int            `json:"kept"`
	Dropped map[string]int `json:"dropped,omitempty"` // by reason
	Far     int            `json:"far,omitempty"`     // kept, but left out of means
}

// Judge turns evidence into a verdict. It never gives FASTER, SLOWER or SAME
// where a gate fails.
func Judge(ev *Evidence, rules Rules) *Result {
	r := &Result{Endpoint: endpointOf(ev), Outputs: ev.Outputs}
	j := &judge{ev: ev, rules: rules, result: r}
	j.identical()
	j.cells()
	j.decide()
	j.gates()
	j.conclude()
	return r
}

type judge struct {
	ev     *Evidence
	rules  Rules
	result *Result
	stolen string // share of stolen CPU time that voids wall time, empty if none does
}

// endpointOf decides by the first launch's uncounted attribution bursts of A.
func endpointOf(ev *Evidence) Endpoint {
	platform := ""
	var warm []*micro.BurstProfile
	for i := range ev.Launches {
		l := &ev.Launches[i]
		platform = l.Info[ArmA].Platform
		for k := range l.Bursts {
			if b := &l.Bursts[k]; b.Quad == 0 && b.Arm == ArmA && b.Burst.Profile != nil {
				warm = append(warm, b.Burst.Profile)
			}
		}
		if len(warm) > 0 {
			break
		}
	}
	return choose(platform, warm)
}

// identical finds what makes this an A/A comparison.
func (j *judge) identical() {
	a, b := j.ev.Sides[ArmA], j.ev.Sides[ArmB]
	unchanged := func(s Side) bool { return s.Variant == nil || s.Unchanged }
	switch {
	case sameLibrary(a, b):
		j.result.Identical = "the same library in both arms"
	case unchanged(a) && unchanged(b):
		j.result.Identical = "unchanged source, compiled again"
	}
}

// cells sums every shape up.
func (j *judge) cells() {
	for _, name := range j.ev.Cells {
		c := CellResult{Name: name, BurstSteps: j.ev.BurstSteps[name]}
		var profiled, unprofiled [][]*quad
		for i := range j.ev.Launches {
			l := &j.ev.Launches[i]
			quads, dropped := l.counted(name, Attribution)
			profiled = append(profiled, quads)
			c.Attribution.add(len(quads), dropped)
			timed, dropped := l.counted(name, Timing)
			unprofiled = append(unprofiled, timed)
			c.Timing.add(len(timed), dropped)
		}
		e := j.result.Endpoint
		endpoint := func(b *Burst) float64 { return e.ns(b.Profile) }
		wall := func(b *Burst) float64 { return b.WallNs }
		profiled, c.Attribution.Far = calm(profiled, endpoint)
		unprofiled, c.Timing.Far = calm(unprofiled, wall)
		c.KernelUs = mean(profiled, endpoint)
		c.BusyUs = mean(profiled, func(b *Burst) float64 { return b.Profile.BusyNs })
		c.WallUs = mean(unprofiled, wall)
		c.BridgeUs = mean(unprofiled, func(b *Burst) float64 { return b.BridgeNs })
		for i := range j.ev.Launches {
			for k := range j.ev.Launches[i].Bursts {
				if b := &j.ev.Launches[i].Bursts[k]; b.Cell == name && b.Quad > 0 {
					c.Context = [2]int{b.ContextMin, b.ContextMax}
				}
			}
		}
		c.Kernels = kernelTable(e, profiled, j.ev.Target, j.ev.Code)
		j.result.Cells = append(j.result.Cells, c)
	}
}

func (q *QuadCount) add(kept int, dropped map[string]int) {
	q.Kept += kept
	for why, n := range dropped {
		if q.Dropped == nil {
			q.Dropped = map[string]int{}
		}
		q.Dropped[why] += n
	}
}

// mean of a value in ns, in µs, by arm.
func mean(launches [][]*quad, ns func(*Burst) float64) (us [2]float64) {
	n := 0
	for _, quads := range launches {
		for _, q := range quads {
			n += 2
			for w, bursts := range [2][2]*Burst{q.a, q.b} {
				us[w] += (ns(bursts[0]) + ns(bursts[1])) / 1e3
			}
		}
	}
	if n == 0 {
		return us
	}
	return [2]float64{us[0] / float64(n), us[1] / float64(n)}
}

func (j *judge) decide() {
	ev, e := j.ev, j.result.Endpoint
	var kernel, wall []estimate.Cell
	launches := len(ev.Launches)
	for i, name := range ev.Cells {
		weight := 1 / float64(len(ev.Cells))
		k := estimate.Cell{Name: name, Weight: weight, Calibration: j.calibration(string(e), name)}
		k.Launches = ev.Differences(e, name, Attribution)
		w := estimate.Cell{Name: name, Weight: weight, Calibration: j.calibration("wall", name)}
		w.Launches = ev.Differences(e, name, Timing)
		kernel, wall = append(kernel, k), append(wall, w)
		if i == 0 {
			launches = len(k.Launches)
		}
	}
	rule := ev.Plan.Rule(launches, nil)
	j.result.Kernel = estimate.DecideCells(kernel, rule)
	j.result.Wall = estimate.DecideCells(wall, rule)
	j.result.Tested = j.tested()
}

func (j *judge) calibration(endpoint, cell string) *estimate.Calibration {
	if j.rules.Calibration == nil {
		return nil
	}
	return j.rules.Calibration(endpoint, cell)
}

// conclude gives the verdict on everything.
func (j *judge) conclude() {
	r, ev := j.result, j.ev
	if voids := j.wallVoid(); voids != "" {
		r.Flags = append(r.Flags, "wall void: "+voids)
	} else {
		r.Kernel.Primary = estimate.Escalate(r.Kernel.Primary, r.Wall.Primary)
		for i := range r.Kernel.Cells {
			r.Kernel.Cells[i].Result = estimate.Escalate(r.Kernel.Cells[i].Result, r.Wall.Cells[i].Result)
		}
	}
	r.Verdict, r.Reason = r.Kernel.Overall()
	planned := ev.Plan.Looks[0].Launches
	if ev.TimeUp {
		r.Flags = append(r.Flags, fmt.Sprintf("time up after %d launches", len(ev.Launches)))
	}
	if ev.Interrupted {
		r.Flags = append(r.Flags, "interrupted")
	}
	if (ev.Interrupted || ev.TimeUp) && len(ev.Launches) <= planned {
		r.Verdict, r.Reason = estimate.Inconclusive, "ended before the plan did"
	}
	for _, g := range r.Gates {
		if g.Status == Fail {
			r.Verdict, r.Reason = estimate.Invalid, g.Name+": "+g.Detail
			break
		}
	}
	if ev.Failure != nil {
		r.Verdict, r.Reason = estimate.Invalid, ev.Failure.Error()
	}
	if r.Kernel.Primary.SelfEstimated {
		r.Flags = append(r.Flags, "self-estimated")
	}
	if r.Kernel.Primary.Noisier {
		r.Flags = append(r.Flags, "noisier")
	}
	r.ExitCode = estimate.ExitCode(r.Outputs.ExitFour(j.rules.AllowNumericChange), r.Verdict)
}
