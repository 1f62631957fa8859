package suitereport

import (
	"encoding/csv"
	"io"
	"strconv"

	"stepbench/bench/analysis"
)

// latencies in the order of the exports.
var latencies = []string{"ttft", "tpot", "itl", "e2e", "queue", "prefill", "decode", "admission"}

// csvLines writes a line for each point, below a head if that is wanted. A value
// has two more columns for its interval; what is absent is empty.
func csvLines(w io.Writer, a *analysis.Analysis, withHead bool) error {
	v := view{a}
	out := csv.NewWriter(w)
	if withHead {
		head := []string{"suite", "id", "label", "axis", "engine", "model", "dataset", "synthetic_stand_in", "pattern", "rate_per_s", "concurrency",
			"tp", "pp", "devices", "requests", "repeats", "saturation", "primary_bottleneck", "problem"}
		for _, c := range csvValues(&analysis.Point{}) {
			head = append(head, c.name, c.name+"_ci_lo", c.name+"_ci_hi")
		}
		if err := out.Write(head); err != nil {
			return err
		}
	}
	for _, p := range v.all() {
		primary := ""
		if p.Bottleneck != nil {
			primary = string(p.Bottleneck.Primary)
		}
		row := []string{a.Suite, p.ID, p.Label, p.Axis, v.engine(p).Name, p.Model, p.Dataset, strconv.FormatBool(p.Stand), p.Pattern,
			positive(p.RatePerS), positive(float64(p.Concurrency)), strconv.Itoa(p.TP), strconv.Itoa(p.PP), strconv.Itoa(p.Devices),
			strconv.Itoa(p.Requests), strconv.Itoa(len(valid(p))), string(p.Saturation), primary, p.Problem}
		for _, c := range csvValues(p) {
			row = append(row, plainValue(c.v)...)
		}
		if err := out.Write(row); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

type csvValue struct {
	name string
	v    *analysis.Value
}

func csvValues(p *analysis.Point) []csvValue {
	out := []csvValue{
		{"offered_per_s", p.Offered}, {"achieved_per_s", p.Achieved}, {"output_tokens_per_s", p.OutputTokens},
		{"total_tokens_per_s", p.TotalTokens}, {"goodput_per_s", p.Goodput}, {"host_frac", p.HostFrac}, {"utilisation_frac", p.Utilisation},
	}
	for _, counter := range gpmColumns {
		c := csvValue{name: "gpm_" + counter.name + "_frac"}
		if v, ok := p.GPM[counter.name]; ok {
			c.v = &v
		}
		out = append(out, c)
	}
	for _, phase := range []string{"queue", "prefill", "decode"} {
		c := csvValue{name: phase + "_frac"}
		if s, ok := p.Shares[phase]; ok {
			c.v = &s
		}
		out = append(out, c)
	}
	for _, l := range latencies {
		d := p.Latency[l]
		out = append(out, csvValue{l + "_mean_ns", d.Mean}, csvValue{l + "_p50_ns", d.P50}, csvValue{l + "_p90_ns", d.P90}, csvValue{l + "_p99_ns", d.P99})
	}
	return out
}

// positive is x, empty for the 0 that stands for none.
func positive(x float64) string {
	if x == 0 {
		return ""
	}
	return strconv.FormatFloat(x, 'g', -1, 64)
}

func plainValue(v *analysis.Value) []string {
	out := []string{"", "", ""}
	if v != nil {
		out[0] = strconv.FormatFloat(v.V, 'g', 9, 64)
		if v.CI != nil {
			out[1], out[2] = strconv.FormatFloat(v.CI.Lo, 'g', 9, 64), strconv.FormatFloat(v.CI.Hi, 'g', 9, 64)
		}
	}
	return out
}
