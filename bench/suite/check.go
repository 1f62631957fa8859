package suite

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"

	"stepbench/bench/arrival"
	"stepbench/bench/workload"
)

type problem struct{ key, what string }

const (
	maxRepeats = 100
	maxAxis    = 100
	maxNumber  = 1 << 30 // of tokens, sequences, requests and MiB
)

var suiteName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// problems checks every value.
func (f *File) problems() []problem {
	var out []problem
	check := func(ok bool, key, format string, args ...any) {
		if !ok {
			out = append(out, problem{key, fmt.Sprintf(format, args...)})
		}
	}
	positive := func(v float64, key string) {
		check(v >= 0 && !math.IsInf(v, 1), key, "%g must be finite and not negative", v)
	}
	check(suiteName.MatchString(f.Name), "name", "%q: a suite needs a name of letters, digits, '.', '_' and '-'", f.Name)
	check(f.Profile == ProfileQuick || f.Profile == ProfileStandard, "profile", "%q is not quick or standard", f.Profile)
	check(f.Mode == Sweep || f.Mode == Cross, "mode", "%q is not sweep or cross", f.Mode)
	check(f.Repeats >= 1 && f.Repeats <= maxRepeats, "repeats", "%d is not between 1 and %d", f.Repeats, maxRepeats)
	check(f.Requests >= 0 && f.Requests <= maxNumber, "requests", "%d is out of range", f.Requests)
	positive(f.WindowS, "window_s")
	positive(f.WarmUpS, "warmup_s")
	check(f.Requests == 0 || f.WindowS == 0, "window_s", "give requests or window_s, not both")
	check(f.WarmUpS == 0 || f.WindowS > 0, "warmup_s", "it belongs to window_s")
	positive(*f.SampleHz, "sample_hz")
	check(*f.SampleHz == 0 || *f.SampleHz >= 0.1 && *f.SampleHz <= 1000, "sample_hz", "%g is neither 0 nor between 0.1 and 1000", *f.SampleHz)
	if _, err := workload.ParseSLO(f.SLO); err != nil {
		check(false, "slo", "%v", err)
	}
	for key, axis := range map[string]int{
		"models": len(f.Models), "datasets": len(f.Datasets), "rates": len(f.Rates),
		"patterns": len(f.Patterns), "concurrency": len(f.Concurrency), "parallelism": len(f.Parallelism),
	} {
		check(axis <= maxAxis, key, "%d values, at most %d", axis, maxAxis)
	}
	for _, model := range append(slices.Clone(f.Models), f.Base.Model) {
		check(model != "", "models", "an empty model")
	}
	for _, name := range append(slices.Clone(f.Datasets), f.Base.Dataset) {
		check(name != "", "datasets", "an empty dataset")
	}
	for i, rate := range append(slices.Clone(f.Rates), f.Base.Rate) {
		key := "rates"
		if i == len(f.Rates) {
			key = "base.rate"
		}
		check(rate > 0 && rate <= 1e6, key, "%g must be above 0 and at most 1e6 requests per second", rate)
	}
	for i, p := range append(slices.Clone(f.Patterns), f.Base.Pattern) {
		key := "patterns"
		if i == len(f.Patterns) {
			key = "base.pattern"
		}
		if _, err := arrival.Parse(p); err != nil {
			check(false, key, "%v", err)
		}
	}
	for _, n := range f.Concurrency {
		check(n >= 1 && n <= maxNumber, "concurrency", "%d is out of range", n)
	}
	for i, p := range append(slices.Clone(f.Parallelism), f.Base.Parallelism) {
		key := "parallelism"
		if i == len(f.Parallelism) {
			key = "base.parallelism"
		}
		if _, err := ParseParallelism(p); err != nil {
			check(false, key, "%v", err)
		}
	}
	out = append(out, f.Engine.problems("engine")...)
	for _, model := range slices.Sorted(maps.Keys(f.Model)) {
		options := f.Model[model]
		check(model == f.Base.Model || slices.Contains(f.Models, model), "model."+model, "the suite has no such model")
		out = append(out, options.problems("model."+model)...)
	}
	for _, name := range slices.Sorted(maps.Keys(f.Dataset)) {
		options := f.Dataset[name]
		key := "dataset." + name
		check(name == f.Base.Dataset || slices.Contains(f.Datasets, name), key, "the suite has no such dataset")
		for _, n := range []struct {
			key string
			v   int
		}{{"input_tokens", options.InputTokens}, {"output_tokens", options.OutputTokens}, {"requests", options.Requests}} {
			check(n.v >= 0 && n.v <= maxNumber, key+"."+n.key, "%d is out of range", n.v)
		}
	}
	check(f.Burst.Size >= 0 && f.Burst.Size <= maxNumber, "burst.size", "%d is out of range", f.Burst.Size)
	positive(f.Burst.Shape, "burst.shape")
	positive(f.Burst.OnS, "burst.on_s")
	positive(f.Burst.OffS, "burst.off_s")
	return out
}

func (e EngineOptions) problems(table string) []problem {
	var out []problem
	for _, n := range []struct {
		key string
		v   int64
	}{
		{"max_model_len", int64(e.MaxModelLen)}, {"max_num_seqs", int64(e.MaxNumSeqs)},
		{"max_num_batched_tokens", int64(e.MaxNumBatchedTokens)}, {"kv_cache_mib", e.KVCacheMiB},
	} {
		if n.v < 0 || n.v > maxNumber {
			out = append(out, problem{table + "." + n.key, fmt.Sprintf("%d is out of range", n.v)})
		}
	}
	return out
}
