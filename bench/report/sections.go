package report

import (
	"fmt"
	"strings"

	"stepbench/bench/record"
	"stepbench/bench/workload"
)

// throughput sets the measured window beside the whole run.
func throughput(b *strings.Builder, sum *workload.Summary) {
	b.WriteString("## Throughput\n\n")
	c := sum.Counts
	fmt.Fprintf(b, "%s planned: %d completed, %d failed, %d interrupted, %d not run.",
		plural(c.Planned, "request"), c.Completed, c.Failed, c.Interrupted, c.NotRun)
	if c.Corrupted > 0 {
		fmt.Fprintf(b, " vLLM saw NaN in the logits of %d.", c.Corrupted)
	}
	if c.Censored > 0 {
		fmt.Fprintf(b, " **%d of %s cut off and censored.**", c.Censored, plural(c.Measured, "measured request"))
	}
	if c.Tail > 0 {
		fmt.Fprintf(b, " %d more arrived after the window.", c.Tail)
	}
	b.WriteString("\n\n")
	if w := sum.WarmUp; w != nil && w.NoSteadyState {
		fmt.Fprintf(b, "**no-steady-state:** the number of requests in the system settles after %s of %s s only, if at all.\n\n",
			number(*w.TruncationS), number(w.TotalS))
	} else if w != nil && w.ShorterS > 0 {
		fmt.Fprintf(b, "**Truncated:** the number of requests in the system settles after %s s, and the warm-up was %s s. The measured window begins there: it is %s s shorter than planned.\n\n",
			number(*w.TruncationS), number(w.PlayedS), number(w.ShorterS))
	}
	if sum.WholeRun == nil {
		b.WriteString("No request came to an end: no throughput.\n\n")
		return
	}
	header, spans := []string{"", "whole run"}, []*workload.Throughput{sum.WholeRun}
	if sum.Window != nil {
		header, spans = []string{"", "measured window", "whole run"}, []*workload.Throughput{sum.Window, sum.WholeRun}
	}
	quantities := []struct {
		name  string
		value func(*workload.Throughput) float64
	}{
		{"Span, s", func(t *workload.Throughput) float64 { return t.Seconds }},
		{"Offered, requests/s", func(t *workload.Throughput) float64 { return t.OfferedPerS }},
		{"Achieved, requests/s", func(t *workload.Throughput) float64 { return t.RequestsPerS }},
		{"Output, tokens/s", func(t *workload.Throughput) float64 { return t.OutputTokensPerS }},
		{"Input and output, tokens/s", func(t *workload.Throughput) float64 { return t.TotalTokensPerS }},
	}
	var rows [][]string
	for i, q := range quantities {
		if i == 1 && sum.Spec.Offline() {
			continue
		}
		r := []string{q.name}
		for _, s := range spans {
			r = append(r, number(q.value(s)))
		}
		rows = append(rows, r)
	}
	table(b, true, header, rows)
	if !sum.Spec.Offline() {
		fmt.Fprintf(b, "Saturated: **%s**; %s.", sum.Saturation.Verdict, sum.Saturation.Reason)
		if sum.Saturation.MeanInSystem > 0 {
			fmt.Fprintf(b, " Requests in the system, mean: %s.", number(sum.Saturation.MeanInSystem))
		}
		b.WriteString("\n\n")
	}
}

// latencies is the table of all latencies in ms.
func latencies(b *strings.Builder, sum *workload.Summary) {
	b.WriteString("## Latency, ms\n\n")
	header := []string{"", "n", "mean"}
	for _, p := range sum.Latencies[0].Percentiles {
		header = append(header, fmt.Sprintf("p%g", 100*p.P))
	}
	var rows [][]string
	var notes []string
	for _, d := range sum.Latencies {
		r := []string{d.Metric, fmt.Sprint(d.N), estimate(d.MeanNs, 1e6)}
		for _, p := range d.Percentiles {
			r = append(r, estimate(p.ValueNs, 1e6))
		}
		rows = append(rows, r)
		if d.Unfinished > 0 {
			notes = append(notes, fmt.Sprintf("%s: %s counted as slower than every value; no mean.", d.Metric, plural(d.Unfinished, "unfinished request")))
		}
		if d.Missing > 0 {
			notes = append(notes, fmt.Sprintf("%s: %s left out, a time stamp is missing.", d.Metric, plural(d.Missing, "completed request")))
		}
	}
	table(b, true, header, rows)
	var needs []string
	for _, p := range sum.Latencies[0].Percentiles {
		needs = append(needs, fmt.Sprintf("%d for p%g", p.NeedN, 100*p.P))
	}
	fmt.Fprintf(b, "In brackets: 95 %% intervals within this run. %s: not supported by the data; a percentile needs n of at least %s.\n\n",
		absent, strings.Join(needs, ", "))
	for _, n := range notes {
		b.WriteString("- " + n + "\n")
	}
	if len(notes) > 0 {
		b.WriteString("\n")
	}
}

// shares says where a request's time goes.
func shares(b *strings.Builder, sum *workload.Summary) {
	if len(sum.Shares) == 0 {
		return
	}
	b.WriteString("## Where a request's time goes\n\n")
	var rows [][]string
	var total float64
	for _, s := range sum.Shares {
		rows = append(rows, []string{s.Phase, number(s.MeanNs / 1e6), estimate(&s.Frac, 0.01)})
		total += s.MeanNs
	}
	rows = append(rows, []string{"E2E", number(total / 1e6), number(100)})
	table(b, true, []string{"phase", "mean, ms", "share of E2E, %"}, rows)
}

// steps is the table of phases by components, in µs.
func steps(b *strings.Builder, sum *workload.Summary) {
	if len(sum.Steps) == 0 {
		return
	}
	b.WriteString("## Steps, µs\n\n")
	header := []string{"phase", "steps", "share of wall, %", "prompt tokens", "decoding requests", "wall"}
	for _, c := range sum.Steps[0].Components {
		header = append(header, c.Name)
	}
	var rows [][]string
	for _, p := range sum.Steps {
		r := []string{p.Phase, fmt.Sprint(p.Steps), number(100 * p.WallFrac), number(p.CtxTokens), number(p.GenReqs), number(p.WallNs / 1e3)}
		for _, c := range p.Components {
			r = append(r, number(c.Ns/1e3))
		}
		rows = append(rows, r)
	}
	table(b, true, header, rows)
	fmt.Fprintf(b, "Times are medians, tokens and requests means a step. %s %% of the time was spent inside steps.\n\n", number(100*sum.InStepFrac))
}

// validity lists the gates and every doubt.
func validity(b *strings.Builder, rec *record.Record, sum *workload.Summary) {
	b.WriteString("## Validity\n\n")
	if sum == nil {
		b.WriteString("Nothing was measured.\n\n")
	} else {
		var rows [][]string
		for _, g := range sum.Gates {
			effect := "flags"
			if g.Voids {
				effect = "voids the result"
			}
			rows = append(rows, []string{g.Name, string(g.Status), g.Rule, g.Detail, effect})
		}
		table(b, false, []string{"gate", "outcome", "rule", "found", "a failure"}, rows)
	}
	for _, w := range append(rec.Manifest.Warnings, rec.Notes...) {
		fmt.Fprintf(b, "- Warning: %s\n", plain(w))
	}
	if len(rec.Manifest.Warnings)+len(rec.Notes) > 0 {
		b.WriteString("\n")
	}
}

// howToRead defines the terms that this report uses.
func howToRead(b *strings.Builder, sum *workload.Summary) {
	b.WriteString("## How to read this\n\n")
	item := func(format string, args ...any) { fmt.Fprintf(b, "- "+format+"\n", args...) }
	if sum.Spec.Offline() {
		item("All requests arrived at once. Latencies count from when a request was first scheduled; there is no queue.")
	} else {
		item("Latencies count from the scheduled arrival of a request, whether or not the engine was ready for it.")
		item("The first %s are warm-up and in no table but *whole run*.", plural(max(sum.Spec.WarmUpRequests, sum.Counts.WarmUp), "request"))
		if sum.Spec.TailRequests > 0 {
			item("*Measured window* lasts from the last warm-up arrival to the last measured one; *whole run* from the start to the last completion of those. Requests go on arriving until then, and are in no table of latencies: the last measured ones do not meet an emptying batch.")
		} else {
			item("*Measured window* lasts from the last warm-up arrival to the last arrival, while load was as planned; *whole run* from the start to the last completion, with warm-up and the final emptying of the batch.")
		}
		item("*queue*: arrival to first scheduled. *admission*: the part of it until the next step boundary.")
	}
	item("*TTFT*: to the first output token. *TPOT*: time per output token after the first. *ITL*: between successive tokens, all requests pooled. *E2E*: to the last token.")
	item("*prefill*: first scheduled to first token, with waits between chunks of the prompt. *decode*: first to last token.")
	item("A step is one call of vLLM's `LLMEngine.step`. Its components are each timed on their own; *unaccounted* is what none of them covers, *bridge* the way into vLLM and back, outside of the wall time. Medians of components need not add up to the median wall.")
	if sum.Spec.Profile == workload.ProfileQuick {
		item("Profile `quick`: one run, a first look. Its intervals do not know how much another run would differ.")
	}
	b.WriteString("\n")
}
