package micro

import (
	"cmp"
	"context"
	"slices"

	"stepbench/bench/stats"
	"stepbench/engine"
)

// unassignedFrac is the share of a burst's kernel time that may lie outside its
// steps before the burst is dropped.
const unassignedFrac = 0.001

// attempts at a burst that counts.
const attempts = 2

// burstResult is what ran in a profiled burst, per step.
type burstResult struct {
	steps  int
	walls  []float64
	unit   string
	sumNs  float64
	busyNs float64
	gapNs  float64
	rows   []engine.ProfileRow // sums, not per step
	ranks  []RankTime          // sums, not per step; none in one process
	drop   string              // why it does not count
}

// attribution profiles every cell. The first burst is not counted, since it
// pays for the profiler's own start: in every cell whose steps are short, and
// in any case in the first.
func (r *runner) attribution(ctx context.Context) error {
	rules := r.opt.Rules
	for i, m := range r.cells {
		if m.failed != "" {
			continue
		}
		at := Progress{Stage: Attribution, Left: len(r.cells) - i}
		discard := i == 0 || m.stepNs() <= float64(rules.BurstNs)
		for range attempts {
			prog := r.writer.attribution(m.cell, discard, rules.bursts(m.stepNs()), rules.burstSteps(m.stepNs()))
			out, err := r.script(ctx, m, at, prog)
			if err != nil {
				return err
			}
			counts := false
			for number := 2; number <= prog.bursts; number++ {
				b := collect(&prog, out, number)
				m.bursts = append(m.bursts, b)
				counts = counts || b.drop == ""
			}
			if counts {
				break
			}
		}
	}
	return nil
}

// collect sums the profiles of the Ops of a burst, numbered from 1.
func collect(prog *program, out *played, number int) *burstResult {
	b := &burstResult{}
	byName := map[string]*engine.ProfileRow{}
	var names []string
	var unassigned int64
	for i, op := range prog.plan {
		if op.burst != number {
			continue
		}
		p, ok := out.profiles[i]
		if !ok || p.Steps != len(op.steps) {
			b.drop = "no profile"
			return b
		}
		b.steps += p.Steps
		b.unit = p.Unit
		b.sumNs += float64(p.SumNs)
		b.busyNs += float64(p.BusyNs)
		b.gapNs += float64(p.GapNs)
		b.ranks = addRanks(b.ranks, p.Ranks)
		unassigned += p.UnassignedNs
		for _, row := range p.Rows {
			sum, known := byName[row.Name]
			if !known {
				sum = &engine.ProfileRow{Name: row.Name, Copy: row.Copy}
				byName[row.Name], names = sum, append(names, row.Name)
			}
			// Of several profiles, the means of their medians.
			sum.TypicalNs = (sum.TypicalNs*int64(b.steps-p.Steps) + row.TypicalNs*int64(p.Steps)) / int64(max(1, b.steps))
			sum.MedianNs = (sum.MedianNs*sum.Calls + row.MedianNs*row.Calls) / max(1, sum.Calls+row.Calls)
			sum.Calls += row.Calls
			sum.SelfNs += row.SelfNs
		}
	}
	for _, s := range out.steps {
		if s.Stage == Attribution && s.Role == RoleMeasure && s.Round == number-1 {
			b.walls = append(b.walls, float64(s.WallNs()))
			if s.Discard != "" {
				b.drop = s.Discard
			}
		}
	}
	if float64(unassigned) > unassignedFrac*b.sumNs {
		b.drop = "kernels outside the steps"
	}
	for _, name := range names {
		b.rows = append(b.rows, *byName[name])
	}
	b.sumNs /= float64(b.steps)
	b.busyNs /= float64(b.steps)
	b.gapNs /= float64(b.steps)
	return b
}

// Device is what the profiler saw of a cell's steps: kernels on a GPU, ops on
// a CPU. Times are per step.
type Device struct {
	Unit          string // kernel or op
	Bursts, Steps int    // that count
	Dropped       int    // bursts that do not

	BusyNs float64 // U: union of the intervals
	SumNs  float64 // S: sum of the durations without copies and sets
	IdleNs float64 // median wall without profiler, less U
	// GapNs is the sum of the gaps between them and WallNs the mean wall time,
	// both under the profiler: with BusyNs, GapNs adds up to WallNs.
	GapNs, WallNs float64
	// Idle compares two figures of the idle time; nil on a CPU and with fewer than
	// two bursts or rounds.
	Idle *IdleCheck
	// BubbleFrac is 1-U/wall within 0..1, the idle share.
	BubbleFrac float64
	// CollectiveFrac is the largest share of step time, over ranks, in which a rank
	// exchanged data, under the profiler; Ranks are the times of each. None in one
	// process.
	CollectiveFrac float64
	Ranks          []RankTime
	// ProfilerRatio is the median wall under the profiler over that without.
	ProfilerRatio float64
	// Samples are the bursts' own values, in the order they ran.
	Samples []DeviceSample
	Rows    []Row // by falling time
}

// DeviceSample is one burst, per step.
type DeviceSample struct {
	Steps                int
	BusyNs, SumNs, GapNs float64
}

// Row is one kernel or op, per step.
type Row struct {
	Name  string
	Calls float64
	Ns    float64
	Copy  bool // a memory copy or set
}

// device sums the bursts of m up, nil if none counts. wallNs is the median wall
// without the profiler.
func (m *measured) device(wallNs float64) *Device {
	d := &Device{}
	byName := map[string]*Row{}
	var walls []float64
	for _, b := range m.bursts {
		if b.drop != "" {
			d.Dropped++
			continue
		}
		d.Unit = b.unit
		d.Bursts++
		d.Steps += b.steps
		d.BusyNs += b.busyNs * float64(b.steps)
		d.SumNs += b.sumNs * float64(b.steps)
		d.GapNs += b.gapNs * float64(b.steps)
		for i, r := range b.ranks {
			if i == len(d.Ranks) {
				d.Ranks = append(d.Ranks, RankTime{Rank: r.Rank})
			}
			d.Ranks[i].OwnNs += r.OwnNs
			d.Ranks[i].CollectiveNs += r.CollectiveNs
		}
		d.Samples = append(d.Samples, DeviceSample{b.steps, b.busyNs, b.sumNs, b.gapNs})
		walls = append(walls, b.walls...)
		for _, row := range b.rows {
			if byName[row.Name] == nil {
				byName[row.Name] = &Row{Name: row.Name, Copy: row.Copy}
			}
			byName[row.Name].Calls += float64(row.Calls)
			byName[row.Name].Ns += float64(row.SelfNs)
		}
	}
	if d.Bursts == 0 {
		return nil
	}
	n := float64(d.Steps)
	d.BusyNs, d.SumNs, d.GapNs = d.BusyNs/n, d.SumNs/n, d.GapNs/n
	for _, row := range byName {
		d.Rows = append(d.Rows, Row{row.Name, row.Calls / n, row.Ns / n, row.Copy})
	}
	slices.SortFunc(d.Rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(b.Ns, a.Ns), cmp.Compare(a.Name, b.Name))
	})
	d.IdleNs = wallNs - d.BusyNs
	d.BubbleFrac = min(1, max(0, d.IdleNs/wallNs))
	d.WallNs = stats.Mean(walls)
	for i := range d.Ranks {
		d.Ranks[i].OwnNs, d.Ranks[i].CollectiveNs = d.Ranks[i].OwnNs/n, d.Ranks[i].CollectiveNs/n
		d.CollectiveFrac = max(d.CollectiveFrac, d.Ranks[i].CollectiveNs/d.WallNs)
	}
	slices.Sort(walls)
	d.ProfilerRatio = stats.Median(walls) / wallNs
	return d
}
