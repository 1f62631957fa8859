package encode

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"stepbench/bench/abtest"
	"stepbench/bench/abtest/estimate"
	"stepbench/bench/abtest/numerics"
	"stepbench/bench/telemetry"
	"stepbench/internal/decimal"
)

// cellEffects are the estimates of a cell; without any they are empty.
func cellEffects(r *abtest.Result, cell string) (kernel, wall *estimate.Result) {
	find := func(of []estimate.CellResult) *estimate.Result {
		if i := slices.IndexFunc(of, func(c estimate.CellResult) bool { return c.Name == cell }); i >= 0 {
			return &of[i].Result
		}
		return &estimate.Result{}
	}
	return find(r.Kernel.Cells), find(r.Wall.Cells)
}

// testedColumn is where the effect of the kernels under test stands.
const testedColumn = 3

// shapes is the table of cells.
func shapes(c *Comparison) table {
	r := c.Result
	t := table{Columns: []column{
		{"shape", true}, {"verdict", true},
		{"Δ " + shortly(r.Endpoint), false}, {"A µs", false}, {"B µs", false},
		{"Δ wall", false}, {"wall A µs", false}, {"wall B µs", false},
		{"context", false}, {"quads", false}, {"dropped", true},
	}}
	for i := range r.Cells {
		cell := &r.Cells[i]
		kernel, wall := cellEffects(r, cell.Name)
		verdict := words{{Text: string(kernel.Verdict), Strong: true, Class: class(kernel.Verdict)}}
		if kernel.Reason != "" {
			verdict = append(verdict, say(": "+kernel.Reason)...)
		}
		row := []words{
			name(cell.Name), verdict,
			strong(effect(kernel)), say(micros(cell.KernelUs[0])), say(micros(cell.KernelUs[1])),
			say(effect(wall)), say(micros(cell.WallUs[0])), say(micros(cell.WallUs[1])),
			say(contextText(cell.Context)),
			say(fmt.Sprintf("%d + %d", cell.Attribution.Kept, cell.Timing.Kept)), say(droppedText(cell)),
		}
		if r.Tested != nil {
			row = slices.Insert(row, testedColumn, strong(effect(&r.Tested.Cells[i].Result)))
		}
		t.Rows = append(t.Rows, row)
	}
	if r.Tested != nil {
		t.Columns = slices.Insert(t.Columns, testedColumn, column{"Δ kernels under test", false})
	}
	return t
}

// withoutFar says what the means leave out.
func withoutFar(r *abtest.Result) string {
	profiled, timed := 0, 0
	for i := range r.Cells {
		profiled += r.Cells[i].Attribution.Far
		timed += r.Cells[i].Timing.Far
	}
	if profiled+timed == 0 {
		return ""
	}
	return fmt.Sprintf(" Times in µs, here and below, are means without the quads that lie far from the others of their launch, "+
		"%d profiled and %d timed ones.", profiled, timed)
}

// shapesNote explains the table's columns.
func shapesNote(c *Comparison) string {
	p := &c.Result.Kernel.Primary
	note := fmt.Sprintf("Times per step; Δ is the change of B against A with its %s interval over launches. "+
		"%s is measured under the profiler, wall time without it; quads are those kept for each.",
		level(p.Alpha), upper(c.Result.Endpoint.Describe()))
	note += withoutFar(c.Result)
	if c.Result.Tested != nil {
		note += " Δ kernels under test is what the kernels that the variants bring did to the step, all others held at their mean: it is much " +
			"less noisy, knows nothing of side effects on other kernels, and decides nothing."
	}
	return note
}

func contextText(context [2]int) string {
	switch {
	case context[1] == 0:
		return decimal.Absent
	case context[0] == context[1]:
		return fmt.Sprint(context[0])
	}
	return fmt.Sprintf("%d–%d", context[0], context[1])
}

func droppedText(c *abtest.CellResult) string {
	var parts []string
	for _, kind := range []struct {
		name string
		of   map[string]int
	}{{"", c.Attribution.Dropped}, {"wall ", c.Timing.Dropped}} {
		for _, why := range slices.Sorted(maps.Keys(kind.of)) {
			parts = append(parts, fmt.Sprintf("%s%s %d", kind.name, why, kind.of[why]))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// kernels is the table of a cell's kernels or ops, by falling change, and a row
// for their sum.
func kernels(c *Comparison, cell *abtest.CellResult) table {
	t := table{Columns: []column{
		{unit(c.Result.Endpoint), true}, {"Δ µs", false}, {"Δ %", false}, {"points of the step", false},
		{"share of the change", false}, {"A µs", false}, {"B µs", false},
		{"calls A", false}, {"calls B", false}, {"code", true},
	}}
	var sum abtest.KernelRow
	for i := range cell.Kernels {
		k := &cell.Kernels[i]
		for w := range k.Us {
			sum.Us[w] += k.Us[w]
			sum.Calls[w] += k.Calls[w]
		}
		sum.DeltaUs += k.DeltaUs
		sum.ContributionPct += k.ContributionPct
		sum.ShareFrac += k.ShareFrac
		t.Rows = append(t.Rows, kernelCells(k))
	}
	if len(cell.Kernels) > 0 {
		row := kernelCells(&sum)
		row[0], row[len(row)-1] = strong("all"), nil
		t.Rows = append(t.Rows, row)
	}
	return t
}

func kernelCells(k *abtest.KernelRow) []words {
	who := kernelName(k)
	if k.Target {
		who = append(who, piece{Text: " (under test)", Class: "target"})
	}
	relative := decimal.Absent
	if k.Us[0] > 0 && k.Us[1] > 0 {
		relative = percents(100*k.DeltaUs/k.Us[0]) + " %"
	}
	return []words{
		who, say(deltaMicros(k.DeltaUs, k.Interval)), say(relative), say(decimal.Signed(k.ContributionPct, 2)),
		say(decimal.Fixed(100*k.ShareFrac, 1) + " %"), say(micros(k.Us[0])), say(micros(k.Us[1])),
		say(calls(k.Calls[0])), say(calls(k.Calls[1])), say(string(k.Code)),
	}
}

// unit is what a row of the kernel table is.
func unit(e abtest.Endpoint) string {
	if e == abtest.Op {
		return "op"
	}
	return "kernel"
}

func kernelsNote(c *Comparison) string {
	rows, of := unit(c.Result.Endpoint), "the sum of kernel durations"
	if c.Result.Endpoint == abtest.Op {
		of = c.Result.Endpoint.Describe()
	}
	return fmt.Sprintf("Means per step over kept quads; rows add up to %s. Points are of A's step. "+
		"The interval of a row is at 95 %% over launches and not corrected for the number of rows: "+
		"but for %ss under test it describes and proves nothing.", of, rows)
}

// gates is the table of conditions.
func gates(r *abtest.Result) table {
	t := table{Columns: []column{{"gate", true}, {"status", true}, {"found", true}, {"rule", true}}}
	for _, g := range r.Gates {
		t.Rows = append(t.Rows, []words{
			say(g.Name), {{Text: string(g.Status), Strong: g.Status != abtest.Pass, Class: string(g.Status)}}, say(g.Detail), say(g.Rule),
		})
	}
	return t
}

// doubtful are the gates that did not pass.
func doubtful(r *abtest.Result) (t table, counts string) {
	var kept []telemetry.Gate
	n := map[telemetry.Status]int{}
	for _, g := range r.Gates {
		if g.Status != abtest.Pass {
			kept = append(kept, g)
			n[g.Status]++
		}
	}
	var parts []string
	for _, s := range []telemetry.Status{abtest.Fail, abtest.Flag, abtest.Unknown} {
		if n[s] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n[s], s))
		}
	}
	return gates(&abtest.Result{Gates: kept}), strings.Join(parts, ", ")
}

// notes say what a reader of the numbers must know.
func notes(c *Comparison) []words {
	r, p := c.Result, &c.Result.Kernel.Primary
	var all []words
	add := func(format string, args ...any) { all = append(all, say(fmt.Sprintf(format, args...))) }
	if b := p.Bounds; b != nil {
		floor := "no claim floor without a calibration"
		if !p.SelfEstimated {
			floor = "no change below " + plainPercent(b.FloorLog) + " is called one (claim floor)"
		}
		add("A run like this finds a change of %s in 80 %% of cases; %s.", plainPercent(b.MDE80Log), floor)
	}
	if p.SelfEstimated {
		add("Self-estimated: no calibration fits, an interval rests on the spread of this run's own launches.")
	}
	if p.Conditional {
		add("Conditional: with %s, the spread is that of the calibration.", plural(len(p.LaunchesLog), "launch", "launches"))
	}
	if p.Noisier {
		add("Noisier: the launches spread more than the calibration allows.")
	}
	if r.Identical != "" {
		add("A/A comparison: %s. What differs is noise.", r.Identical)
	}
	if why := wallVoid(r); why != "" {
		add("Wall time does not count: %s.", why)
	}
	if len(r.NeverRan) > 0 {
		w := say("Never called by the engine: ")
		for i, op := range r.NeverRan {
			if i > 0 {
				w = append(w, say(", ")...)
			}
			w = append(w, name(op)...)
		}
		all = append(all, append(w, say(".")...))
	}
	return all
}

// outputs are the numeric comparison as a line, a table and what explains it.
func outputs(o *numerics.Report) (line words, t table, reasons []string) {
	line = words{{Text: string(o.Status), Strong: true, Class: strings.ToLower(string(o.Status))}}
	if o.Status == "" {
		line = strong(string(numerics.NotChecked))
	}
	reasons = o.Reasons
	if o.Decode == nil {
		// Nothing but tokens was compared: numerics has no line for that.
		if len(reasons) > 0 {
			line, reasons = append(line, say(": "+reasons[0])...), reasons[1:]
		}
		return line, t, reasons
	}
	line = append(line, say(strings.TrimPrefix(o.Line(), string(o.Status)))...)
	t.Columns = []column{{"path", true}, {"positions", false}, {"bitwise equal", true}, {"top-1 agreement", false},
		{fmt.Sprintf("mean |Δ| of %s", o.Kind), false}, {fmt.Sprintf("max |Δ| of %s", o.Kind), false}, {"mean KL", false}}
	for _, path := range []struct {
		name string
		of   *numerics.Agreement
	}{{"decode, up to the first divergence", o.Decode}, {"prefill, teacher-forced", o.Prefill}} {
		if g := path.of; g != nil {
			t.Rows = append(t.Rows, outputRow(path.name, fmt.Sprint(g.Positions), yesNo(g.BitEqual),
				fmt.Sprintf("%.2f %%", 100*g.Top1Frac), g.MeanAbs, g.MaxAbs, g.KL, ""))
		} else {
			t.Rows = append(t.Rows, []words{say(path.name), nil, say("not compared"), nil, nil, nil, nil})
		}
	}
	l, f := o.Limits, o.Floors
	t.Rows = append(t.Rows, outputRow("limit", "", "", fmt.Sprintf("≥ %.1f %%", 100*l.Top1Frac), l.MeanAbs, l.MaxAbs, l.KL, "≤ "))
	if f.Pairs > 0 {
		t.Rows = append(t.Rows, outputRow(fmt.Sprintf("A against A, %s", plural(f.Pairs, "pair", "pairs")), "", yesNo(f.BitEqual), "", f.MeanAbs, f.MaxAbs, f.KL, ""))
	}
	return line, t, reasons
}

// outputsNote says what the paths of the table cover.
const outputsNote = "Kernels that run only in decode show in the tokens and the decode path alone."

func outputRow(path, positions, equal, top1 string, mean, most, kl float64, sign string) []words {
	n := func(v float64) words { return say(fmt.Sprintf("%s%.2g", sign, v)) }
	return []words{say(path), say(positions), say(equal), say(top1), n(mean), n(most), n(kl)}
}

func yesNo(v bool) string {
	if v {
		return "yes"
	}
	return "no"
}

func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
