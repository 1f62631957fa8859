package suitereport

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"stepbench/bench/analysis"
	"stepbench/bench/bottleneck"
	"stepbench/bench/workload"
)

func (v view) bottlenecks() []block {
	t := newTable(textColumn("configuration"), textColumn("primary"))
	for _, c := range bottleneck.Classes {
		t.Columns = append(t.Columns, column{Head: v.class(c)})
	}
	var details []block
	for _, p := range v.all() {
		b := p.Bottleneck
		if b == nil {
			row := []cell{say(name(p)), missing(why(p, "no window with completed requests"))}
			for range bottleneck.Classes {
				row = append(row, cell{Text: absent})
			}
			t.add(row...)
			continue
		}
		row := []cell{say(name(p)), say(v.primary(b))}
		for _, c := range bottleneck.Classes {
			row = append(row, severity(b.Of(c)))
		}
		t.add(row...)
		details = append(details, folded(name(p)+": "+v.primary(b), v.finding(b)))
	}
	return append([]block{
		text("Severity from 0 to 10, and beside it the share of time or capacity, 0 to 1, that would be won back if the cause vanished; Amdahl's bound of the speed-up is 1/(1 − share). Words: under 1 none, under 3 low, under 6 moderate, under 8 high, else critical. Whether a class reaches the onset from which it counts as present is in the details below."),
		t.block(), heading("Evidence and advice by configuration"),
	}, details...)
}

// class is the name of c. What is called utilisation of a GPU is that of the
// CPU where there is no GPU.
func (v view) class(c bottleneck.Class) string {
	if c == bottleneck.LowUtilisation && v.onCPU() {
		return "low CPU utilisation"
	}
	return string(c)
}

func (v view) primary(b *bottleneck.Report) string {
	switch {
	case b.Primary != "":
		all := []string{v.class(b.Primary)}
		for _, c := range b.CoPrimary {
			all = append(all, v.class(c))
		}
		return strings.Join(all, " and ")
	case b.Balanced:
		return "balanced"
	}
	return "none"
}

func severity(f *bottleneck.Finding) cell {
	if f == nil {
		return missing("not judged")
	}
	if f.Unknown != "" {
		return missing(f.Unknown)
	}
	s := f.Severity
	return cell{Text: fmt.Sprintf("%.1f %s (%.2f)", s, f.Word, f.X), Sort: &s}
}

func (v view) finding(b *bottleneck.Report) []block {
	t := newTable(textColumn("class"), column{Head: "severity (share)"}, column{Head: "bound ×"}, textColumn("present"), textColumn("evidence"))
	var advice []string
	for i := range b.Classes {
		f := &b.Classes[i]
		bound := cell{Text: "no limit"}
		if f.Unknown != "" {
			bound = missing(f.Unknown)
		} else if f.Bound > 0 {
			bound = num(f.Bound)
		}
		present := fmt.Sprintf("no, onset %.3g", f.Onset)
		if f.Present {
			present = fmt.Sprintf("yes, onset %.3g: %s", f.Onset, f.OnsetReason)
			for _, a := range f.Advice {
				advice = append(advice, v.class(f.Class)+": "+a)
			}
		}
		if f.Dominant {
			present += " (dominant)"
		}
		t.add(say(v.class(f.Class)), severity(f), bound, say(present), orMissing(evidence(f.Evidence), "the records do not tell"))
	}
	blocks := []block{text(upper(b.Reason) + "."), t.block()}
	if len(advice) > 0 {
		blocks = append(blocks, text("Advice:"), list(advice))
	}
	if len(b.Notes) > 0 {
		blocks = append(blocks, text("Doubts:"), list(b.Notes))
	}
	return blocks
}

func evidence(lines []bottleneck.Line) string {
	var out []string
	for _, l := range lines {
		out = append(out, strings.TrimSpace(l.Formula+": "+l.Numbers))
	}
	return strings.Join(out, "; ")
}

func upper(s string) string {
	s = strings.TrimRight(s, ".")
	if s == "" {
		return "No reason is recorded"
	}
	r := []rune(s)
	r[0] = unicode.ToUpper(r[0])
	return string(r)
}

func (v view) conclusions() []block {
	blocks := []block{heading("Recommended operating point")}
	if r := v.Recommended; r != nil && r.Point >= 0 && r.Point < len(v.Points) {
		p := &v.Points[r.Point]
		blocks = append(blocks, text(fmt.Sprintf("%s: %s.", name(p), strings.TrimRight(r.Why, "."))))
		t := newTable(columnsOf([]column{textColumn("load")}, "achieved req/s", "output tok/s", "goodput req/s", "TTFT p50 ms", "TPOT p50 ms", "E2E p50 ms", "E2E p90 ms")...)
		t.add(say(load(p)), rate(p.Achieved, p), rate(p.OutputTokens, p), v.goodput(p), percentile(p, "ttft", "p50"), percentile(p, "tpot", "p50"), percentile(p, "e2e", "p50"), percentile(p, "e2e", "p90"))
		blocks = append(blocks, t.block())
	} else {
		blocks = append(blocks, text("None: no measured rate is shown to be unsaturated and within the SLO."))
	}
	blocks = append(blocks, heading("What the measurements say"), list(v.statements()))
	blocks = append(blocks, heading("Roadmap"))
	if len(v.Roadmap) == 0 {
		blocks = append(blocks, text("No bottleneck reached its onset in any configuration."))
	} else {
		t := newTable(textColumn("remove"), column{Head: "bound ×"}, textColumn("in"), textColumn("how"))
		for _, r := range v.Roadmap {
			bound := cell{Text: "no limit"}
			if r.Bound > 0 {
				bound = num(r.Bound)
			}
			t.add(say(v.class(bottleneck.Class(r.Class))), bound, say(v.names(r.Points)), orMissing(strings.Join(r.Advice, "; "), "there is no advice for it"))
		}
		blocks = append(blocks, text("Ordered by Amdahl's bound: the largest speed-up of any configuration, if the cause vanished there and nothing else changed."), t.block())
	}
	return append(blocks, heading("Memory by model and device"), v.memory().block())
}

func (v view) names(points []int) string {
	if len(points) == len(v.Points) && len(points) > 1 {
		return "all configurations"
	}
	var out []string
	for _, i := range points {
		if i >= 0 && i < len(v.Points) {
			out = append(out, name(&v.Points[i]))
		}
	}
	return strings.Join(out, "; ")
}

// statements are what holds of the measured points as they are.
func (v view) statements() []string {
	var best *analysis.Point
	counts := map[string]int{}
	measured, over, undecided := 0, 0, 0
	for _, p := range v.all() {
		if p.OutputTokens != nil && (best == nil || p.OutputTokens.V > best.OutputTokens.V) {
			best = p
		}
		if p.Requests > 0 {
			measured++
		}
		if saturated(p) {
			over++
		}
		if p.Saturation == workload.Undecided {
			undecided++
		}
		if p.Bottleneck != nil {
			counts[v.primary(p.Bottleneck)]++
		}
	}
	if best == nil {
		return []string{"Nothing was measured."}
	}
	out := []string{fmt.Sprintf("The most output tokens, %s a second, came from %s.", value(best.OutputTokens, 1, "").Text, name(best))}
	known := fmt.Sprintf("%d of %s saturated", over, plural(measured, "measured configuration"))
	if undecided > 0 {
		known += fmt.Sprintf("; whether %d did is undecided, their windows were too short to tell", undecided)
	}
	out = append(out, known+".")
	var classes []string
	for c := range counts {
		classes = append(classes, c)
	}
	slices.SortFunc(classes, func(a, b string) int {
		if counts[a] != counts[b] {
			return counts[b] - counts[a]
		}
		return strings.Compare(a, b)
	})
	for _, c := range classes {
		n := plural(counts[c], "configuration")
		switch c {
		case "balanced":
			out = append(out, "No bottleneck reaches its onset in "+n+".")
		case "none":
			out = append(out, "No bottleneck can be told in "+n+".")
		default:
			out = append(out, fmt.Sprintf("Primary bottleneck of %s: %s.", n, c))
		}
	}
	for _, o := range v.onsets() {
		if o.begins {
			out = append(out, "Saturation begins, for "+o.text)
		}
	}
	return out
}

func (v view) memory() *table {
	t := newTable(columnsOf([]column{textColumn("engine"), textColumn("device")}, "weights GiB", "KV cache GiB", "device memory used GiB", "device memory total GiB", "host memory GiB")...)
	const noShape, noDevice = "the model's shape is not known", "a CPU has no memory of its own"
	for i := range v.Engines {
		e := &v.Engines[i]
		weights, kv, rss := gib(e.WeightBytes, noShape), gib(e.KVBytes, noShape), gib(e.RSSBytes, "no telemetry was sampled")
		if len(e.Memory) == 0 {
			reason := noDevice
			if e.Info.Platform != "cpu" {
				reason = "no telemetry was sampled"
			}
			t.add(say(e.Name), say(deviceName(v.Analysis, *e)), weights, kv, missing(reason), missing(reason), rss)
		}
		for _, m := range e.Memory {
			t.add(say(e.Name), say(e.Info.Device+" "+m.UUID), weights, kv, gib(m.UsedBytes, "not sampled"), gib(m.TotalBytes, "not sampled"), rss)
		}
	}
	return t
}

func (v view) notRun() []block {
	t := newTable(textColumn("what"), textColumn("why"))
	for _, n := range v.NotRun {
		t.add(say(n.What), say(n.Why))
	}
	for _, p := range v.all() {
		if p.Problem != "" {
			t.add(say(name(p)), say("no values: "+p.Problem))
			continue
		}
		for _, r := range p.Repeats {
			if !r.Valid {
				t.add(say(name(p)+", "+r.Dir), say("left out: "+orMissing(r.Problem, "").Text))
			}
		}
	}
	if len(t.Rows) == 0 {
		return []block{text("Everything that the suite names was measured.")}
	}
	return []block{text("Named by the suite and not measured, or measured and not used. Nothing in this report was filled in for it."), t.block()}
}
