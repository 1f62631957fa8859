package suitereport

import (
	"fmt"
	"slices"

	"stepbench/bench/analysis"
)

func columnsOf(first []column, more ...string) []column {
	return append(slices.Clone(first), numbers(more...)...)
}

func (v view) phases() []block {
	configuration := []column{textColumn("configuration")}
	rates := newTable(columnsOf(configuration, "requests", "repeats", "achieved req/s", "output tok/s", "total tok/s")...)
	times := newTable(columnsOf(configuration, "prefill ms", "decode ms", "queue ms", "TTFT ms", "TPOT ms", "ITL ms", "E2E ms", "E2E p50", "E2E p90", "E2E p99")...)
	shares := newTable(columnsOf(configuration, "prefill %", "decode %", "queue %", "host %")...)
	for _, p := range v.all() {
		rates.add(say(name(p)), count(p.Requests), count(len(valid(p))), rate(p.Achieved, p), rate(p.OutputTokens, p), rate(p.TotalTokens, p))
		times.add(say(name(p)), mean(p, "prefill"), mean(p, "decode"), mean(p, "queue"), mean(p, "ttft"), mean(p, "tpot"), mean(p, "itl"), mean(p, "e2e"),
			percentile(p, "e2e", "p50"), percentile(p, "e2e", "p90"), percentile(p, "e2e", "p99"))
		shares.add(say(name(p)), shareOf(p, "prefill"), shareOf(p, "decode"), shareOf(p, "queue"), percent(p.HostFrac, why(p, "no profiled bursts tell when the device is idle")))
	}
	blocks := []block{
		text("Prefill (also called the \"profiling\" phase) computes the prompt, up to the first output token; decode gives one token a step after that; queue is the time from arrival until the scheduler first takes the request. They add up to the end-to-end time, which counts from the scheduled arrival."),
		heading("Throughput"), rates.block(),
		heading("Times of a request"), text("Means, and percentiles of E2E, in ms."), times.block(),
		heading("Shares of the end-to-end time"), text("Host is the part of prefill and decode in which the device is idle."), shares.block(),
	}
	for _, p := range v.all() {
		if len(p.Steps) > 0 {
			blocks = append(blocks, heading("Steps of "+name(p)), text("Median µs of each part of a step; the parts are medians of their own and need not add up."), stepTable(p).block())
			break
		}
	}
	return blocks
}

func stepTable(p *analysis.Point) *table {
	t := newTable(columnsOf([]column{textColumn("phase")}, "steps", "share of time %", "prompt tokens", "decoding requests", "wall µs")...)
	for _, c := range p.Steps[0].Components {
		t.Columns = append(t.Columns, column{Head: c.Name + " µs"})
	}
	for _, s := range p.Steps {
		row := []cell{say(s.Phase), count(s.Steps), num(100 * s.WallFrac), num(s.CtxTokens), num(s.GenReqs), num(s.WallNs / 1e3)}
		for _, c := range s.Components {
			row = append(row, num(c.Ns/1e3))
		}
		t.add(row...)
	}
	return t
}

func (v view) datasets() []block {
	t := newTable(columnsOf([]column{textColumn("dataset"), textColumn("load")}, "requests", "achieved req/s", "output tok/s", "prefill ms", "decode ms", "TTFT p50", "TPOT p50", "E2E p50", "E2E p90", "E2E p99")...)
	var stands []string
	for _, p := range v.axes("dataset") {
		t.add(say(dataset(p)), say(load(p)), count(p.Requests), rate(p.Achieved, p), rate(p.OutputTokens, p), mean(p, "prefill"), mean(p, "decode"),
			percentile(p, "ttft", "p50"), percentile(p, "tpot", "p50"), percentile(p, "e2e", "p50"), percentile(p, "e2e", "p90"), percentile(p, "e2e", "p99"))
		if p.Stand && !slices.Contains(stands, p.Dataset) {
			stands = append(stands, p.Dataset)
		}
	}
	var blocks []block
	for _, s := range stands {
		blocks = append(blocks, text(fmt.Sprintf("%s is a %s: no file of it was given, so prompts are random tokens with the dataset's distribution of lengths. Its times are those of such lengths, not of its text.", s, standIn)))
	}
	return append(blocks, text("Times in ms."), t.block())
}

func (v view) arrivals() []block {
	t := newTable(columnsOf([]column{textColumn("configuration"), textColumn("arrivals")}, "offered req/s", "achieved req/s", "goodput req/s", "admission ms", "admission p90", "queue ms", "E2E p50", "E2E p99")...)
	t.Columns = append(t.Columns, textColumn("saturated"))
	for _, p := range v.axes("rate", "pattern", "concurrency") {
		t.add(say(name(p)), say(load(p)), offered(p), rate(p.Achieved, p), v.goodput(p), mean(p, "admission"), percentile(p, "admission", "p90"),
			mean(p, "queue"), percentile(p, "e2e", "p50"), percentile(p, "e2e", "p99"), verdict(p.Saturation))
	}
	blocks := []block{text("Admission is the wait from the scheduled arrival to the step boundary at which the request is handed to the engine. Every latency counts from the scheduled arrival, so a stalled engine shows. Latencies of a saturated configuration grow with the length of the run and cannot be compared.")}
	if v.SLO != nil {
		blocks = append(blocks, text("Goodput counts requests that meet all limits of the SLO: "+sloText(v.Analysis)+"."))
	}
	return append(blocks, t.block(), heading("Onset of saturation"), list(onsetTexts(v.onsets())))
}

func sloText(a *analysis.Analysis) string {
	out := ""
	for _, l := range []struct {
		name string
		ns   float64
	}{{"TTFT", a.SLO.TTFTNs}, {"TPOT", a.SLO.TPOTNs}, {"E2E", a.SLO.E2ENs}} {
		if l.ns > 0 {
			if out != "" {
				out += ", "
			}
			out += fmt.Sprintf("%s at most %s ms", l.name, number(l.ns/msNs))
		}
	}
	return out
}

// onset is where saturation begins in a series of rates, or that it is not seen.
type onset struct {
	text   string
	begins bool
}

func onsetTexts(all []onset) []string {
	var out []string
	for _, o := range all {
		out = append(out, o.text)
	}
	if len(out) == 0 {
		return []string{"No load with a rate was measured."}
	}
	return out
}

// onsets are those of each engine, dataset and pattern.
func (v view) onsets() []onset {
	type series struct {
		engine           int
		dataset, pattern string
	}
	var order []series
	groups := map[series][]*analysis.Point{}
	for _, p := range v.all() {
		if p.RatePerS == 0 || p.Problem != "" {
			continue
		}
		k := series{p.Engine, p.Dataset, p.Pattern}
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], p)
	}
	var out []onset
	for _, k := range order {
		held, fell := 0.0, 0.0 // highest rate that was kept up with, lowest that was not
		undecided := 0
		for _, p := range groups[k] {
			switch p.Saturation {
			case "yes":
				if fell == 0 || p.RatePerS < fell {
					fell = p.RatePerS
				}
			case "no":
				held = max(held, p.RatePerS)
			default:
				undecided++
			}
		}
		line := fmt.Sprintf("%s, %s, %s: ", v.engine(groups[k][0]).Name, shortDataset(groups[k][0]), k.pattern)
		switch {
		case fell > 0 && held > 0:
			line += fmt.Sprintf("between %g and %g requests/s.", held, fell)
		case fell > 0:
			line += fmt.Sprintf("at or below %g requests/s, the lowest rate that was decided.", fell)
		case held > 0:
			line += fmt.Sprintf("above %g requests/s, the highest rate that was decided.", held)
		default:
			line += "not known."
		}
		if undecided > 0 {
			line += fmt.Sprintf(" %s could not be decided: their windows are too short.", plural(undecided, "rate"))
		}
		out = append(out, onset{line, fell > 0})
	}
	return out
}
