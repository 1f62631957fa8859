package encode

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"stepbench/bench/abtest"
	"stepbench/bench/abtest/estimate"
	"stepbench/bench/abtest/numerics"
	"stepbench/internal/decimal"
)

// Line is the verdict in one line of plain text.
func Line(c *Comparison) string { return headline(c).plain() }

// headline is the verdict: the word, the effect with its interval, which kernel
// it comes from, wall time, what the outputs did and what the verdict rests on.
func headline(c *Comparison) words {
	r := c.Result
	w := words{{Text: string(r.Verdict), Strong: true, Class: class(r.Verdict)}}
	if r.Verdict == estimate.Invalid {
		w = append(w, say(": "+r.Reason)...)
		if o := outputWord(&r.Outputs); r.Outputs.Status == numerics.Differs {
			w = append(append(w, say("; ")...), strong(o)...)
		}
		return append(w, labels(c)...)
	}
	subject, found, wall := decider(r)
	shown := found
	switch {
	case r.Verdict == estimate.Same:
		w = append(w, strong(" within ±"+plainPercent(found.MarginLog)+":")...)
	case wall != nil:
		w = append(w, strong(" by wall time")...)
		shown = wall
	}
	if len(shown.LaunchesLog) > 0 {
		w = append(w, strong(" "+percent(shown.EffectLog))...)
	}
	differ := r.Outputs.Status == numerics.Differs
	if differ {
		w = append(w, strong(" but "+outputWord(&r.Outputs))...)
	}
	switch b := shown.Bounds; {
	case wall != nil: // which has bounds, or it would not have decided
		w = append(w, strong(" (99 % CI "+span(b.CI99)+")")...)
		w = append(w, say(fmt.Sprintf(" per step%s; %s %s", subject, shortly(r.Endpoint), effect(found)))...)
	case b != nil:
		w = append(w, strong(fmt.Sprintf(" (%s CI %s)", level(found.Alpha), span(b.CI)))...)
	}
	if wall == nil {
		w = append(w, say(" "+shortly(r.Endpoint)+" per step"+subject)...)
		w = append(w, cause(r)...)
		w = append(w, say(wallWords(r)+unsettled(r, found))...)
	}
	if r.Tested != nil && len(r.Tested.Primary.LaunchesLog) > 0 {
		w = append(w, say("; kernels under test ")...)
		w = append(w, strong(effect(&r.Tested.Primary))...)
		w = append(w, say(" of a step")...)
	}
	if !differ {
		w = append(w, say("; "+outputWord(&r.Outputs))...)
	}
	return append(w, labels(c)...)
}

// decider is the result that the verdict stands on: the primary's, or that of a
// cell which is SLOWER where the primary is not. wall is what escalated it.
func decider(r *abtest.Result) (subject string, of, wall *estimate.Result) {
	cell := func(results []estimate.CellResult, i int) *estimate.Result {
		if i < 0 || i >= len(results) {
			return nil
		}
		return &results[i].Result
	}
	of = &r.Kernel.Primary
	if n := len(r.Kernel.Cells); n > 1 {
		subject = fmt.Sprintf(", mean of %d shapes", n)
	}
	at := -1
	if r.Verdict == estimate.Slower && of.Verdict != estimate.Slower {
		at = slices.IndexFunc(r.Kernel.Cells, func(c estimate.CellResult) bool { return c.Verdict == estimate.Slower })
	}
	if at >= 0 {
		subject, of = " of "+r.Kernel.Cells[at].Name, cell(r.Kernel.Cells, at)
	}
	if r.Verdict == estimate.Slower && of.Reason == "wall" {
		if wall = &r.Wall.Primary; at >= 0 {
			wall = cell(r.Wall.Cells, at)
		}
	}
	return subject, of, wall
}

// cause names the kernel that changed most, where something changed.
func cause(r *abtest.Result) words {
	if r.Verdict != estimate.Faster && r.Verdict != estimate.Slower {
		return nil
	}
	top, points, share := topKernel(r)
	if top == nil {
		return nil
	}
	return append(append(say(", "), kernelName(top)...),
		say(fmt.Sprintf(" %s points of it (%s %% of the change)", decimal.Signed(points, 1), decimal.Fixed(100*share, 0)))...)
}

// topKernel is the kernel with the largest change in the direction of the
// verdict, over all cells alike, with its contribution in percent of A's step.
func topKernel(r *abtest.Result) (top *abtest.KernelRow, points, share float64) {
	type sum struct {
		row    *abtest.KernelRow
		points float64
	}
	var sums []*sum
	total := 0.0
	for i := range r.Cells {
		for k := range r.Cells[i].Kernels {
			row := &r.Cells[i].Kernels[k]
			at := slices.IndexFunc(sums, func(s *sum) bool { return s.row.Name() == row.Name() })
			if at < 0 {
				at, sums = len(sums), append(sums, &sum{row: row})
			}
			sums[at].points += row.ContributionPct / float64(len(r.Cells))
			total += row.ContributionPct / float64(len(r.Cells))
		}
	}
	for _, s := range sums {
		if s.points*total > 0 && math.Abs(s.points) > math.Abs(points) {
			top, points = s.row, s.points
		}
	}
	if top == nil || math.IsInf(total, 0) {
		return nil, 0, 0
	}
	return top, points, points / total
}

// wallWords say what wall time did.
func wallWords(r *abtest.Result) string {
	w := &r.Wall.Primary
	switch {
	case wallVoid(r) != "":
		return "; wall void"
	case w.Verdict == estimate.Invalid || len(w.LaunchesLog) == 0:
		return "; wall not measured"
	}
	return "; wall " + effect(w)
}

func wallVoid(r *abtest.Result) string {
	for _, f := range r.Flags {
		if why, ok := strings.CutPrefix(f, "wall void: "); ok {
			return why
		}
	}
	return ""
}

// unsettled says of an INCONCLUSIVE comparison why, and what would settle it.
func unsettled(r *abtest.Result, found *estimate.Result) string {
	if r.Verdict != estimate.Inconclusive {
		return ""
	}
	text := ""
	if r.Reason != "" {
		text += "; " + r.Reason
	}
	if b := found.Bounds; b != nil {
		text += fmt.Sprintf("; detectable in 80 %% of such runs: %s", plainPercent(b.MDE80Log))
	}
	switch n := found.LaunchesToSettle; {
	case n > 0 && found.Bounds == nil:
		text += fmt.Sprintf("; measure at least %s", plural(n, "launch", "launches"))
	case n > 0:
		text += fmt.Sprintf("; about %s would settle it", plural(n, "launch", "launches in all"))
	case found.Verdict == estimate.Inconclusive && found.Bounds != nil:
		text += "; 1000 launches would not settle it"
	}
	return text
}

func outputWord(o *numerics.Report) string {
	weak := ""
	if o.Weak {
		weak = " (weak: random weights)"
	}
	switch o.Status {
	case numerics.Differs:
		return "OUTPUT DIFFERS" + weak
	case "":
		return "outputs " + string(numerics.NotChecked)
	}
	return "outputs " + string(o.Status) + weak
}

// labels are what limits a verdict, each a word or two.
func labels(c *Comparison) words {
	var all []string
	if c.Result.Identical != "" {
		all = append(all, "A/A: "+c.Result.Identical)
	}
	if c.Result.Kernel.Primary.Conditional && c.Result.Verdict != estimate.Invalid {
		all = append(all, "conditional")
	}
	for _, f := range c.Result.Flags {
		estimated := f == "self-estimated" || f == "noisier"
		if !strings.HasPrefix(f, "wall void: ") && !(estimated && c.Result.Verdict == estimate.Invalid) {
			all = append(all, f)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return say("; " + strings.Join(all, "; "))
}

// shortly is what the endpoint is, without how it is formed.
func shortly(e abtest.Endpoint) string {
	text, _, _ := strings.Cut(e.Describe(), " (")
	return text
}

func class(v estimate.Verdict) string { return strings.ToLower(string(v)) }

// kernelName is a row's name, both where they differ.
func kernelName(r *abtest.KernelRow) words {
	switch {
	case r.NameA == r.NameB || r.NameB == "":
		return name(r.NameA)
	case r.NameA == "":
		return name(r.NameB)
	}
	return append(append(name(r.NameA), say(" → ")...), name(r.NameB)...)
}
