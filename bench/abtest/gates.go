package abtest

import (
	"fmt"
	"math"
	"slices"

	"stepbench/bench/abtest/estimate"
	"stepbench/bench/abtest/numerics"
	"stepbench/bench/stats"
	"stepbench/bench/telemetry"
)

const (
	droppedFrac    = 0.10  // of quads
	controlMost    = 0.005 // change of kernels that are the same, ln
	hostLoopMost   = 0.05  // difference of the arms' interpreters, ln
	controlOfDelta = 0.5   // on a CPU, as a share of the margin: ops share caches
)

// gates applies every condition that evidence alone can answer, and passes on
// what was said of the machine.
func (j *judge) gates() {
	for _, judge := range []func() Gate{
		j.executed, j.selection, j.shapes, j.compiled, j.tokens, j.control, j.carryOver,
	} {
		j.result.Gates = append(j.result.Gates, judge())
	}
	j.result.Gates = append(j.result.Gates, j.machine()...)
}

// Gate is a condition for a verdict.
type Gate = telemetry.Gate

// Outcomes of a gate.
const (
	Pass    = telemetry.Pass
	Flag    = telemetry.Flag    // doubtful; the verdict stands
	Fail    = telemetry.Fail    // the verdict is INVALID
	Unknown = telemetry.Unknown // could not be read: never a pass
)

func gate(name string, status telemetry.Status, detail string) Gate {
	return Gate{Name: name, Rule: rules[name], Status: status, Detail: detail}
}

func pass(name, detail string) Gate { return gate(name, Pass, detail) }

// rules are the gates of this package.
var rules = map[string]string{
	"executed":   "an op under test ran",
	"selection":  "kernels with the same code run equally often in both arms",
	"steps":      "at most 10 % of quads dropped",
	"jit":        "nothing compiled after warm-up, but for one quad",
	"tokens":     "the arms' bursts give equal tokens (flag)",
	"control":    "what did not change did not move",
	"carry-over": "two bursts of an arm in a row differ by less than half the margin (flag)",
}

// executed: the ops under test ran, in the kernels that the profiler saw where
// it can tell, else by the host's count.
func (j *judge) executed() Gate {
	const name = "executed"
	if len(j.ev.Launches) == 0 {
		return gate(name, Unknown, "nothing was measured")
	}
	last := &j.ev.Launches[len(j.ev.Launches)-1]
	ran := map[string]bool{}
	for _, calls := range last.Calls {
		for op, n := range calls {
			ran[op] = ran[op] || n > 0
		}
	}
	for _, c := range j.result.Cells {
		for _, k := range c.Kernels {
			if k.Target && k.Calls[ArmB] > 0 {
				ran[k.NameB] = true
			}
		}
	}
	var did []string
	for _, op := range j.ev.Target {
		if ran[op] {
			did = append(did, op)
		} else {
			j.result.NeverRan = append(j.result.NeverRan, op)
		}
	}
	switch {
	case len(j.ev.Target) == 0 && j.result.Identical != "":
		return pass(name, "no op under test")
	case len(j.ev.Target) == 0:
		return gate(name, Unknown, "the variants replace whole modules: nothing says which ops changed")
	case len(did) == 0:
		return gate(name, Fail, neverExecuted(j.ev.Target, last.Info[ArmA].Platform))
	}
	if len(j.ev.Code) > 0 && !j.replayed() {
		return gate(name, Fail, fmt.Sprintf("%s: called when the engine warmed up, but none of the variants' kernels ran in these steps; other shapes may use them", shorten(did)))
	}
	return pass(name, shorten(did))
}

// replayed says that a kernel which a variant brings ran in B's measured steps:
// the host's count of calls stops where a graph was captured.
func (j *judge) replayed() bool {
	for _, c := range j.result.Cells {
		for _, k := range c.Kernels {
			if k.Target && k.Calls[ArmB] > 0 {
				return true
			}
		}
	}
	return false
}

// selection: kernels with the same code run equally often in both arms. Others
// mean that something chose by timing, such as an autotuner.
func (j *judge) selection() Gate {
	const name = "selection"
	for _, c := range j.result.Cells {
		for _, k := range c.Kernels {
			if k.Code != CodeSame || k.Target {
				continue
			}
			if math.Abs(k.Calls[ArmA]-k.Calls[ArmB]) > 1e-9 {
				return gate(name, Fail, fmt.Sprintf("%s: %s runs %g times a step in A and %g in B (autotune)", c.Name, k.Name(), k.Calls[ArmA], k.Calls[ArmB]))
			}
		}
	}
	return pass(name, "")
}

// shapes: few quads were dropped, whatever for.
func (j *judge) shapes() Gate {
	const name = "steps"
	for _, c := range j.result.Cells {
		for kind, q := range map[Kind]QuadCount{Attribution: c.Attribution, Timing: c.Timing} {
			var dropped int
			for _, n := range q.Dropped {
				dropped += n
			}
			if float64(dropped) > droppedFrac*float64(q.Kept+dropped) {
				return gate(name, Fail, fmt.Sprintf("%s: %d of %d %s quads dropped (%s)", c.Name, dropped, q.Kept+dropped, kind, reasons(q.Dropped)))
			}
		}
	}
	return pass(name, "planned composition in both arms")
}

func reasons(dropped map[string]int) string {
	var parts []string
	for _, why := range sortedKeys(dropped) {
		parts = append(parts, fmt.Sprintf("%s %d", why, dropped[why]))
	}
	return list(parts)
}

// compiled: nothing was compiled after warm-up, more than once.
func (j *judge) compiled() Gate {
	n := 0
	for _, c := range j.result.Cells {
		n += c.Attribution.Dropped["jit"] + c.Timing.Dropped["jit"]
	}
	if n > 1 {
		return gate("jit", Fail, fmt.Sprintf("something was compiled in %d quads after warm-up", n))
	}
	return pass("jit", "")
}

// tokens: bursts of a quad, which have the same prompts, gave the same tokens.
// Random weights make logits so flat that any change of rounding may flip one.
func (j *judge) tokens() Gate {
	const name = "tokens"
	if j.ev.hostsDiffer() {
		return gate(name, Unknown, "not every host keeps tokens")
	}
	differ, all := 0, 0
	for i := range j.ev.Launches {
		for _, cell := range j.ev.Cells {
			for _, kind := range []Kind{Timing, Attribution} {
				quads, _ := j.ev.Launches[i].counted(cell, kind)
				for _, q := range quads {
					all++
					if q.a[0].Tokens != q.b[0].Tokens || q.a[1].Tokens != q.b[1].Tokens {
						differ++
					}
				}
			}
		}
	}
	if differ == 0 {
		return pass(name, fmt.Sprintf("equal in all %d quads", all))
	}
	detail := fmt.Sprintf("the arms' tokens differ in %d of %d quads", differ, all)
	if o := &j.result.Outputs; o.Status == numerics.NotChecked && !j.ev.Model.Synthetic {
		o.Status, o.Reasons = numerics.Differs, []string{detail}
	}
	return gate(name, Flag, detail)
}

// control: what did not change did not move. On a GPU these are kernels with
// the same machine code; on a CPU vLLM's ops that are not under test.
func (j *judge) control() Gate {
	const name = "control"
	e := j.result.Endpoint
	var names []string
	for _, c := range j.result.Cells {
		for _, k := range c.Kernels {
			same := k.Code == CodeSame || e == Op && k.Code == CodeUnknown && k.NameA != "" && k.NameB != ""
			if same && !k.Target {
				names = append(names, k.NameA)
			}
		}
	}
	if len(names) == 0 || len(j.ev.Target) == 0 {
		return gate(name, Unknown, "no kernel is known to be the same")
	}
	slices.Sort(names)
	names = slices.Compact(names)
	value := func(b *Burst) float64 {
		var sum float64
		for i := range b.Profile.Rows {
			if _, is := slices.BinarySearch(names, b.Profile.Rows[i].Name); is {
				sum += e.rowNs(&b.Profile.Rows[i])
			}
		}
		return sum
	}
	most := controlMost
	if e == Op {
		most = max(most, controlOfDelta*math.Log1p(j.ev.Plan.Margin))
	}
	for _, cell := range j.ev.Cells {
		d := j.ev.differences(cell, Attribution, value)
		theta := estimate.Decide(d, j.ev.Plan.Rule(len(d), j.calibration(string(e), cell)))
		if theta.Bounds == nil {
			return gate(name, Unknown, "too few launches")
		}
		if ci := theta.Bounds.CI; (ci.Lo > 0 || ci.Hi < 0) && math.Abs(theta.EffectLog) > max(most, theta.Bounds.FloorLog) {
			return gate(name, Fail, fmt.Sprintf("%s: kernels that did not change moved by %+.2f %% (%+.2f to %+.2f)", cell,
				estimate.Percent(theta.EffectLog), estimate.Percent(ci.Lo), estimate.Percent(ci.Hi)))
		}
	}
	return pass(name, fmt.Sprintf("%d kernels that did not change", len(names)))
}

// carryOver: two bursts of one arm in a row agree, so what the other arm did
// before does not weigh on a burst.
func (j *judge) carryOver() Gate {
	const name = "carry-over"
	e := j.result.Endpoint
	for _, cell := range j.ev.Cells {
		var diff []float64
		for i := range j.ev.Launches {
			quads, _ := j.ev.Launches[i].counted(cell, Attribution)
			for _, q := range quads {
				b := q.bursts()
				early, late := b[1], b[2]
				if early.Arm != late.Arm { // AABB
					early, late = b[0], b[1]
				}
				diff = append(diff, math.Log(e.ns(late.Profile))-math.Log(e.ns(early.Profile)))
			}
		}
		if len(diff) == 0 {
			continue
		}
		slices.Sort(diff)
		if m := stats.Median(diff); math.Abs(m) >= math.Log1p(j.ev.Plan.Margin)/2 {
			return gate(name, Flag, fmt.Sprintf("%s: the second of two bursts in a row differs by %+.2f %%", cell, estimate.Percent(m)))
		}
	}
	return pass(name, "")
}

// machine merges what the launches' gates say: the gravest word of each. Stolen
// CPU time delays the launches of kernels, not the kernels: on a GPU it voids wall
// time alone. That it left the kernels as they were is what control checks.
func (j *judge) machine() []Gate {
	var out []Gate
	for _, l := range j.ev.Launches {
		for _, g := range l.Gates {
			i := slices.IndexFunc(out, func(o Gate) bool { return o.Name == g.Name })
			if i < 0 {
				out = append(out, g)
			} else if gravity(g.Status) > gravity(out[i].Status) {
				out[i] = g
			}
		}
	}
	for i := range out {
		if out[i].Name == telemetry.StealName && out[i].Status == Fail && j.result.Endpoint != Op {
			out[i].Status, j.stolen = Flag, out[i].Detail
		}
	}
	return out
}

func gravity(s telemetry.Status) int {
	return slices.Index([]telemetry.Status{Pass, Unknown, Flag, Fail}, s)
}

// wallVoid is why wall time does not count, empty if it does: CPU time was stolen,
// or the arms' interpreters ran at different speeds.
func (j *judge) wallVoid() string {
	if j.stolen != "" {
		return "CPU time was stolen: " + j.stolen
	}
	for i := range j.ev.Launches {
		h := j.ev.Launches[i].HostLoopNs
		if h[0] > 0 && h[1] > 0 && math.Abs(math.Log(h[0]/h[1])) > hostLoopMost {
			return fmt.Sprintf("in launch %d a loop of pure Python took %.2f ms in A and %.2f ms in B", j.ev.Launches[i].Number, h[0]/1e6, h[1]/1e6)
		}
	}
	return ""
}
