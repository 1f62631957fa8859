package suitereport

import (
	"encoding/json"
	"io"
	"math"

	"stepbench/bench/analysis"
)

// serveKeys are the keys of the result file of vLLM's `vllm bench serve`
// (vllm/benchmarks/serve.py, 0.26.0), for programs that read it. Keys without a
// counterpart in the records are left out rather than set to 0: the standard
// deviations, the numbers of tokens, per-request lists.
//
// Two definitions differ. Rates are over the measured window, where vLLM takes
// the whole run; and every time counts from the scheduled arrival, where vLLM
// counts from the moment that its client sends.
type serveKeys struct {
	Date        string `json:"date"`
	Backend     string `json:"backend"`
	Label       string `json:"label"`
	ModelID     string `json:"model_id"`
	TokenizerID string `json:"tokenizer_id,omitempty"`

	NumPrompts     int      `json:"num_prompts"`
	RequestRate    any      `json:"request_rate"` // a number, or "inf"
	MaxConcurrency *int     `json:"max_concurrency"`
	Duration       float64  `json:"duration,omitempty"` // of the window, s
	Completed      int      `json:"completed"`
	RequestPerS    *float64 `json:"request_throughput,omitempty"`
	Goodput        *float64 `json:"request_goodput,omitempty"`
	Output         *float64 `json:"output_throughput,omitempty"`
	Total          *float64 `json:"total_token_throughput,omitempty"`
}

// vllmLines writes an object for each point on a line of its own, as vLLM does
// with --append-result. A point without values has no line.
func vllmLines(w io.Writer, a *analysis.Analysis) error {
	v := view{a}
	for _, p := range v.all() {
		if p.Achieved == nil && p.OutputTokens == nil {
			continue
		}
		k := serveKeys{
			Date: a.StartUTC.UTC().Format("20060102-150405"), Backend: "stepbench", Label: name(p), ModelID: p.Model, TokenizerID: p.Model,
			NumPrompts: p.Requests, Completed: p.Requests, RequestRate: "inf",
			RequestPerS: plain(p.Achieved, 1), Goodput: plain(p.Goodput, 1), Output: plain(p.OutputTokens, 1), Total: plain(p.TotalTokens, 1),
		}
		if p.RatePerS > 0 && !math.IsInf(p.RatePerS, 0) {
			k.RequestRate = p.RatePerS
		}
		if p.Concurrency > 0 {
			k.MaxConcurrency = &p.Concurrency
		}
		if p.Bottleneck != nil && len(valid(p)) == 1 { // of several repeats there is no one duration
			k.Duration = p.Bottleneck.Evidence.WindowS
		}
		line, err := withLatencies(k, p)
		if err != nil {
			return err
		}
		if _, err := w.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	return nil
}

// withLatencies appends {mean,median,p90,p99}_{ttft,tpot,itl,e2el}_ms.
func withLatencies(k serveKeys, p *analysis.Point) ([]byte, error) {
	line, err := json.Marshal(k)
	if err != nil {
		return nil, err
	}
	times := map[string]float64{}
	for _, l := range []struct{ ours, theirs string }{{"ttft", "ttft"}, {"tpot", "tpot"}, {"itl", "itl"}, {"e2e", "e2el"}} {
		d := p.Latency[l.ours]
		for _, q := range []struct {
			name string
			v    *analysis.Value
		}{{"mean", d.Mean}, {"median", d.P50}, {"p90", d.P90}, {"p99", d.P99}} {
			if q.v != nil {
				times[q.name+"_"+l.theirs+"_ms"] = q.v.V / msNs
			}
		}
	}
	if len(times) == 0 {
		return line, nil
	}
	more, err := json.Marshal(times)
	if err != nil {
		return nil, err
	}
	return append(append(line[:len(line)-1], ','), more[1:]...), nil
}

func plain(v *analysis.Value, unit float64) *float64 {
	if v == nil {
		return nil
	}
	x := v.V / unit
	return &x
}
