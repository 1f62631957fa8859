package abtest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"stepbench/bench/abtest/estimate"
	"stepbench/bench/abtest/numerics"
	"stepbench/bench/micro"
	"stepbench/bench/telemetry"
	"stepbench/engine"
)

// Kind of burst.
type Kind string

const (
	Timing      Kind = "timing"      // no profiler
	Attribution Kind = "attribution" // under the profiler
)

// Evidence is all that was measured, in the order it was.
type Evidence struct {
	Sides [2]Side       `json:"sides"`
	Plan  estimate.Plan `json:"plan"`
	Cells []string      `json:"cells"`
	Model engine.Model  `json:"model"`
	Seed  uint64        `json:"seed"`
	// Device is what the device's speed depends on; zero on a CPU.
	Device telemetry.Limits `json:"device"`
	Target []string         `json:"target,omitempty"` // ops under test, "_C::rotary_embedding"

	// Code lists the kernels that the variants bring, by name, and says whether
	// their machine code is the same in both arms. Others are the installed ones
	// in both. Empty where the variants' kernels are not known, as on a CPU.
	Code map[string]Code `json:"code,omitempty"`
	// Outputs compares what the arms generated.
	Outputs numerics.Report `json:"outputs"`

	// BurstSteps are the measured steps of a burst, by cell, equal in both arms.
	BurstSteps map[string]int `json:"burst_steps"`
	Launches   []Launch       `json:"launches"`
	// Failure ended the comparison, nil if none did.
	Failure     *Failure `json:"failure,omitempty"`
	Interrupted bool     `json:"interrupted,omitempty"`
	// TimeUp says that the time allowed ended it before the plan did.
	TimeUp   bool    `json:"time_up,omitempty"`
	ElapsedS float64 `json:"elapsed_s"`
}

// Check finds what no comparison has written, in evidence that was read: a judge
// relies on the rest.
func (ev *Evidence) Check() error {
	if len(ev.Plan.Looks) == 0 {
		return errors.New("its plan has no launches")
	}
	for i := range ev.Launches {
		for k := range ev.Launches[i].Bursts {
			b := &ev.Launches[i].Bursts[k]
			switch {
			case b.Burst == nil:
				return fmt.Errorf("launch %d: burst %d has no times", i+1, k+1)
			case b.Kind != Timing && b.Kind != Attribution:
				return fmt.Errorf("launch %d: burst %d is of kind %q", i+1, k+1, b.Kind)
			case b.Kind == Attribution && b.Drop == "" && b.Profile == nil:
				return fmt.Errorf("launch %d: burst %d has no profile", i+1, k+1)
			}
		}
	}
	return nil
}

// hostsDiffer says that the sides run in different kinds of process.
func (ev *Evidence) hostsDiffer() bool { return ev.Sides[ArmA].Host != ev.Sides[ArmB].Host }

// Launch is one fresh pair of workers.
type Launch struct {
	Number int   `json:"number"` // from 1
	First  Which `json:"first"`  // started first

	Info  [2]engine.Info `json:"info"`
	OpenS [2]float64     `json:"open_s"` // wall time until the engine was open
	// Calls counts the variants' ops, by "namespace::op", once warm: CUDA
	// graphs count where they were captured.
	Calls [2]map[string]uint64 `json:"calls"`
	// HostLoopNs is the time of a fixed loop in pure Python, a yardstick for
	// the processor that each arm got.
	HostLoopNs [2]float64 `json:"host_loop_ns"`
	Bursts     []Burst    `json:"bursts"`
	Gates      []Gate     `json:"gates,omitempty"` // of the machine, see Machine
}

// Burst is one burst of one arm.
type Burst struct {
	Cell     string `json:"cell"`
	Kind     Kind   `json:"kind"`
	Quad     int    `json:"quad"`     // from 1; 0 is warm-up, never counted
	Position int    `json:"position"` // in the quad, 1 to 4
	Arm      Which  `json:"arm"`
	*micro.Burst
}

// quad is the four bursts of a comparison.
type quad struct {
	a, b [2]*Burst
}

// bursts are those of the quad in the order they ran.
func (q *quad) bursts() []*Burst {
	all := []*Burst{q.a[0], q.a[1], q.b[0], q.b[1]}
	slices.SortFunc(all, func(x, y *Burst) int { return cmp.Compare(x.Position, y.Position) })
	return all
}

// drop is why the quad does not count, empty if it does. Whatever is wrong with
// one arm's burst drops the other's as well.
func (q *quad) drop() string {
	for _, b := range q.bursts() {
		if b.Drop != "" {
			return b.Drop
		}
	}
	for _, b := range q.bursts() {
		if b.Shapes != q.a[0].Shapes {
			return "shapes differ"
		}
	}
	return ""
}

// quads are the launch's complete quads of a cell and kind, by number.
func (l *Launch) quads(cell string, kind Kind) []*quad {
	byNumber := map[int]*quad{}
	for i := range l.Bursts {
		b := &l.Bursts[i]
		if b.Cell != cell || b.Kind != kind || b.Quad == 0 {
			continue
		}
		q := byNumber[b.Quad]
		if q == nil {
			q = &quad{}
			byNumber[b.Quad] = q
		}
		slot := &q.a
		if b.Arm == ArmB {
			slot = &q.b
		}
		if slot[0] == nil {
			slot[0] = b
		} else {
			slot[1] = b
		}
	}
	var all []*quad
	for _, n := range slices.Sorted(maps.Keys(byNumber)) {
		if q := byNumber[n]; q.a[1] != nil && q.b[1] != nil {
			all = append(all, q)
		}
	}
	return all
}

// counted are the quads without a reason to drop them.
func (l *Launch) counted(cell string, kind Kind) (kept []*quad, dropped map[string]int) {
	dropped = map[string]int{}
	for _, q := range l.quads(cell, kind) {
		if why := q.drop(); why != "" {
			dropped[why]++
			continue
		}
		kept = append(kept, q)
	}
	return kept, dropped
}

// Differences are ln(B)-ln(A) of a step's endpoint (attribution bursts) or wall
// time (timing bursts), by launch and counted quad. Launches with less than
// half of the planned quads are left out.
func (ev *Evidence) Differences(e Endpoint, cell string, kind Kind) [][]float64 {
	if kind == Timing {
		return ev.differences(cell, kind, func(b *Burst) float64 { return b.WallNs })
	}
	return ev.differences(cell, kind, func(b *Burst) float64 { return e.ns(b.Profile) })
}

func (ev *Evidence) differences(cell string, kind Kind, value func(*Burst) float64) [][]float64 {
	planned := ev.Plan.TimingQuads
	if kind == Attribution {
		planned = ev.Plan.AttributionQuads
	}
	var all [][]float64
	for i := range ev.Launches {
		quads, _ := ev.Launches[i].counted(cell, kind)
		if len(quads) == 0 || 2*len(quads) < planned {
			continue
		}
		var d []float64
		for _, q := range quads {
			d = append(d, q.log(value).D())
		}
		all = append(all, d)
	}
	return all
}

// log is the quad of the logarithms of a value.
func (q *quad) log(value func(*Burst) float64) estimate.Quad {
	x := func(b *Burst) float64 { return math.Log(value(b)) }
	return estimate.Quad{A1: x(q.a[0]), A2: x(q.a[1]), B1: x(q.b[0]), B2: x(q.b[1])}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
