package micro

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"

	"stepbench/bench/stats"
	"stepbench/engine"
)

// Driver plays bursts of steps on one engine, one at a time, for comparisons
// that alternate between engines. Two drivers with the same seed send the same
// prompts for the same key, whatever they played before.
type Driver struct {
	r *runner
}

// NewDriver returns a driver of an open engine. conditions may be nil. Errors
// are those of [Run] before its first step.
func NewDriver(p Player, seed uint64, conditions func(context.Context) (Conditions, error)) (*Driver, error) {
	r, err := newRunner(p, Options{Seed: seed, Conditions: conditions})
	if err != nil {
		return nil, err
	}
	return &Driver{r}, nil
}

// BurstSpec says what to play.
type BurstSpec struct {
	Cell    Cell
	Steps   int  // measured steps, at most Room of the cell
	Profile bool // as an attribution burst
	// Key names the prompts: equal on every engine that is given it.
	Key string
}

// Burst is what was measured. Times are in ns.
type Burst struct {
	Planned int `json:"planned_steps"` // measured steps
	Steps   int `json:"steps"`         // that count
	// Drop is why the burst as a whole does not count, empty if it does: the
	// reason of a discarded step, "prefix-cache", "refused: REASON", and for a
	// profiled burst "no profile" or "kernels outside the steps".
	Drop string `json:"drop,omitempty"`

	StartNs  int64     `json:"start_monotonic_ns"` // CLOCK_MONOTONIC, set-up included
	EndNs    int64     `json:"end_monotonic_ns"`
	WallsNs  []float64 `json:"walls_ns"` // of the steps that count, in their order
	WallNs   float64   `json:"wall_ns"`  // their median
	Parts    Parts     `json:"parts"`    // of WallNs
	BridgeNs float64   `json:"bridge_ns"`

	ContextMin int           `json:"context_min"` // tokens
	ContextMax int           `json:"context_max"`
	Shapes     uint64        `json:"shapes_hash"` // of what the measured steps consisted of
	Tokens     uint64        `json:"tokens_hash"` // of all output tokens, set-up included
	Change     Conditions    `json:"conditions"`
	Profile    *BurstProfile `json:"profile,omitempty"` // nil without
}

// BurstProfile is what the profiler saw of a burst, per step, in ns.
type BurstProfile struct {
	Unit   string     `json:"unit"` // kernel or op
	SumNs  float64    `json:"sum_ns"`
	BusyNs float64    `json:"busy_ns"` // union of the intervals
	GapNs  float64    `json:"gap_ns"`
	Rows   []BurstRow `json:"rows"` // by falling time
	// Ranks are of a model that is spread over processes; the above is then of the
	// rank with most work of its own.
	Ranks []RankTime `json:"ranks,omitempty"`
	// CollectiveFrac is the largest share of the burst's step time that a rank
	// exchanged data.
	CollectiveFrac float64 `json:"collective_frac,omitempty"`
}

// BurstRow is one kernel or op.
type BurstRow struct {
	Name  string  `json:"name"`
	Calls float64 `json:"calls"` // per step
	Ns    float64 `json:"ns"`    // per step
	// MedianNs is the median time of a call.
	MedianNs float64 `json:"median_call_ns"`
	// TypicalNs is the time per step without disturbed calls, see
	// engine.ProfileRow.
	TypicalNs float64 `json:"typical_ns,omitempty"`
	Copy      bool    `json:"copy,omitempty"`
}

// Room is the most measured steps of one burst of c.
func (d *Driver) Room(c Cell) int { return d.r.writer.room(c) }

// Check refuses cells that this engine cannot run.
func (d *Driver) Check(cells []Cell) []Refusal {
	_, refused := Check(cells, InfoLimits(d.r.player.Info()))
	return refused
}

// Play plays one burst. A burst with a reason to drop it is no error.
func (d *Driver) Play(ctx context.Context, spec BurstSpec) (*Burst, error) {
	if spec.Steps < 1 || spec.Steps > d.Room(spec.Cell) {
		return nil, fmt.Errorf("a burst of %d steps of %s: between 1 and %d fit its window", spec.Steps, spec.Cell.Name(), d.Room(spec.Cell))
	}
	d.r.writer.prompts.begin(spec.Key)
	b := d.r.writer.builder()
	d.r.writer.episode(b, spec.Cell, []burst{{steps: spec.Steps, profile: spec.Profile}})
	prog := b.program
	prog.script.KeepTokens = true
	stage := Timing
	if spec.Profile {
		stage = Attribution
	}
	out, err := d.r.play(ctx, spec.Cell, stage, 0, prog)
	if err != nil {
		return nil, err
	}
	burst := summarizeBurst(out)
	if spec.Profile {
		sum := collect(&prog, out, 1)
		burst.Profile = sum.perStep()
		if burst.Drop == "" {
			burst.Drop = sum.drop
		}
	}
	return burst, nil
}

func summarizeBurst(out *played) *Burst {
	b := &Burst{Change: out.change, Tokens: hashTokens(out.requests)}
	if n := len(out.steps); n > 0 {
		b.StartNs, b.EndNs = out.steps[0].EnterNs, out.steps[n-1].ExitNs
	}
	shapes := fnv.New64a()
	var contexts span
	for i := range out.steps {
		s := &out.steps[i]
		if s.Role != RoleMeasure {
			continue
		}
		b.Planned++
		_ = binary.Write(shapes, binary.LittleEndian, compositionOf(&s.Step))
		if b.Drop == "" {
			b.Drop = s.Discard
		}
		contexts.add(s.context.min)
		contexts.add(s.context.max)
	}
	b.Shapes, b.ContextMin, b.ContextMax = shapes.Sum64(), contexts.min, contexts.max
	kept := out.kept()
	b.Steps = len(kept)
	for i := range kept {
		b.WallsNs = append(b.WallsNs, float64(kept[i].WallNs()))
	}
	if len(kept) > 0 {
		b.WallNs = stats.Median(wallsOf(kept))
		b.Parts = parts([]*round{{steps: kept}}, b.WallNs)
		b.BridgeNs = medianOf(kept, func(s *StepRecord) float64 { return float64(s.BridgeNs) })
	}
	switch {
	case out.refused != "":
		b.Drop = "refused: " + out.refused
	case out.cached > 0:
		b.Drop = FlagPrefixCache
	}
	return b
}

// hashTokens depends on the requests' order of submission, not on their ids or
// the order they ended in.
func hashTokens(requests []engine.RequestResult) uint64 {
	byID := make(map[int64][]int32, len(requests))
	lowest, highest := int64(0), int64(-1)
	for i, q := range requests {
		byID[q.ID] = q.Tokens
		if i == 0 || q.ID < lowest {
			lowest = q.ID
		}
		highest = max(highest, q.ID)
	}
	sum := fnv.New64a()
	for id := lowest; id <= highest; id++ {
		_ = binary.Write(sum, binary.LittleEndian, int32(len(byID[id])))
		_ = binary.Write(sum, binary.LittleEndian, byID[id])
	}
	return sum.Sum64()
}

// perStep divides what collect has summed.
func (b *burstResult) perStep() *BurstProfile {
	if b.steps == 0 {
		return nil
	}
	p := &BurstProfile{Unit: b.unit, SumNs: b.sumNs, BusyNs: b.busyNs, GapNs: b.gapNs}
	n := float64(b.steps)
	wall := 0.0
	for _, w := range b.walls {
		wall += w
	}
	for _, r := range b.ranks {
		p.Ranks = append(p.Ranks, RankTime{r.Rank, r.OwnNs / n, r.CollectiveNs / n})
		p.CollectiveFrac = max(p.CollectiveFrac, r.CollectiveNs/max(1, wall))
	}
	for _, row := range b.rows {
		p.Rows = append(p.Rows, BurstRow{
			Name: row.Name, Calls: float64(row.Calls) / n, Ns: float64(row.SelfNs) / n,
			MedianNs: float64(row.MedianNs), TypicalNs: float64(row.TypicalNs), Copy: row.Copy,
		})
	}
	return p
}

// ErrQueued refuses an engine whose calls are no steps.
var ErrQueued = errors.New("with pipeline parallelism a call of LLMEngine.step is no step: batches are queued, and a call returns an earlier one or nothing: measure without it (pp=1), or requests with stepbench run")

// newRunner checks that the engine can be measured step by step.
func newRunner(p Player, opt Options) (*runner, error) {
	info := p.Info()
	limits := InfoLimits(info)
	switch {
	case info.QueuedBatches > 0 && !info.AsyncScheduling:
		return nil, ErrQueued
	case info.AsyncScheduling:
		return nil, errors.New("the engine schedules asynchronously, so that a step returns an earlier batch: open it with async_scheduling=False")
	case info.VocabSize < 1:
		return nil, errors.New("the vocabulary size of the model is not known")
	case limits.Tokens < 1 || limits.Seqs < 1:
		return nil, errors.New("the limits of the engine's scheduler are not known")
	}
	return &runner{
		player: p, opt: opt,
		writer: writer{limits: limits, prompts: &prompts{seed: opt.Seed, vocab: info.VocabSize, next: 1}},
		steady: true,
	}, nil
}
