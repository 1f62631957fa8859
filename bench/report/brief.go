package report

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"stepbench/bench/record"
	"stepbench/bench/workload"
	"stepbench/internal/markdown"
)

// Brief is the result of rec in a few lines for a terminal.
func Brief(rec *record.Record) string {
	var b strings.Builder
	m := &rec.Manifest
	fmt.Fprintf(&b, "%s", modelName(m))
	if m.Info != nil {
		fmt.Fprintf(&b, " on %s, vLLM %s", m.Info.Device, m.Info.VLLMVersion)
	}
	b.WriteString("\n")
	state := string(m.State)
	if rec.Source == record.FromJournal {
		state = "unfinished"
	}
	if m.Error != "" {
		state += " (" + strings.ReplaceAll(m.Error, "\n", " ") + ")"
	}
	sum := rec.Summary()
	if sum == nil {
		fmt.Fprintf(&b, "%s, nothing was measured\n", state)
		return markdown.Clean(b.String())
	}
	fmt.Fprintf(&b, "%s\n", sum.Spec)
	fmt.Fprintf(&b, "%s, %d of %d requests completed, %s, saturated: %s\n\n",
		state, sum.Counts.Completed, sum.Counts.Planned, validWord(sum), sum.Saturation.Verdict)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\toffered req/s\tachieved req/s\toutput tok/s\ttotal tok/s\t")
	for _, row := range []struct {
		name string
		t    *workload.Throughput
	}{{"window", sum.Window}, {"whole run", sum.WholeRun}} {
		if row.t != nil {
			offered := absent
			if row.t.OfferedPerS > 0 {
				offered = number(row.t.OfferedPerS)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t\n", row.name, offered,
				number(row.t.RequestsPerS), number(row.t.OutputTokensPerS), number(row.t.TotalTokensPerS))
		}
	}
	fmt.Fprintln(w, "\t\t\t\t\t")
	fmt.Fprintln(w, "ms\tmean\tp50\tp90\tp99\t")
	for _, d := range sum.Latencies {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t\n", d.Metric, value(d.MeanNs), percentile(d, 0.5), percentile(d, 0.9), percentile(d, 0.99))
	}
	w.Flush() // a strings.Builder cannot fail
	return markdown.Clean(b.String())
}

func validWord(sum *workload.Summary) string {
	if sum.Valid() {
		return "valid"
	}
	return "INVALID"
}

func value(e *workload.Estimate) string {
	if e == nil {
		return absent
	}
	return number(e.Value / 1e6)
}

func percentile(d workload.Distribution, p float64) string {
	for _, q := range d.Percentiles {
		if q.P == p {
			return value(q.ValueNs)
		}
	}
	return absent
}
