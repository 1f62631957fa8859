package bottleneck

import (
	"cmp"
	"slices"

	"stepbench/bench/stats"
)

// minForCV is the fewest requests of which a spread is worth telling.
const minForCV = 6

// latencyCV is the coefficient of variation of E2E per output token, each
// divided by the median of the requests with prompts and outputs of the same
// quartiles, so that a mix of lengths is no variance. Nil with fewer than six
// requests.
func (v *view) latencyCV() *float64 {
	if len(v.done) < minForCV {
		return nil
	}
	var prompts, outputs []float64
	for _, q := range v.done {
		prompts = append(prompts, float64(q.PromptTokens))
		outputs = append(outputs, float64(q.OutputTokens))
	}
	prompt, output := quartile(prompts), quartile(outputs)
	strata := map[[2]int][]float64{}
	for _, q := range v.done {
		key := [2]int{prompt(float64(q.PromptTokens)), output(float64(q.OutputTokens))}
		strata[key] = append(strata[key], q.e2eNs/float64(max(1, q.OutputTokens)))
	}
	var y []float64
	for _, values := range strata {
		slices.Sort(values)
		median := stats.Median(values)
		for _, x := range values {
			if median > 0 {
				y = append(y, x/median)
			}
		}
	}
	// A map has no order, and a sum of floats depends on it.
	slices.Sort(y)
	c, ok := stats.CV(y)
	if !ok {
		return nil
	}
	return &c
}

// quartile numbers the quartiles of x from 0. Equal values are in the same one.
func quartile(x []float64) func(float64) int {
	slices.Sort(x)
	var limits [3]float64
	for i := range limits {
		limits[i] = stats.Percentile(x, float64(i+1)/4)
	}
	return func(value float64) int {
		n := 0
		for _, limit := range limits {
			if value > limit {
				n++
			}
		}
		return n
	}
}

// slowFrac is the share of inter-token latencies that count as slow.
const slowFrac = 0.1

// slowITL tells what the slowest inter-token latencies of measured requests
// coincide with: a token's stamp is the exit of its step.
func (v *view) slowITL() *SlowITL {
	type gap struct {
		ns   int64
		step int // index into Steps
	}
	byExit := make(map[int64]int, len(v.Steps))
	for i := range v.Steps {
		byExit[v.Steps[i].ExitNs] = i
	}
	var gaps []gap
	for _, q := range v.done {
		for k := 1; k < len(q.TokenNs); k++ {
			if step, ok := byExit[q.TokenNs[k]]; ok {
				gaps = append(gaps, gap{q.TokenNs[k] - q.TokenNs[k-1], step})
			}
		}
	}
	n := int(slowFrac * float64(len(gaps)))
	if n == 0 {
		return nil
	}
	slices.SortStableFunc(gaps, func(a, b gap) int { return -cmp.Compare(a.ns, b.ns) })
	s := &SlowITL{N: n}
	for i, g := range gaps {
		step := &v.Steps[g.step]
		mixed, preempted := step.CtxTokens > 0, step.Preempted > 0
		if mixed {
			s.AllMixed += 1 / float64(len(gaps))
		}
		if i >= n {
			continue
		}
		if mixed {
			s.Mixed += 1 / float64(n)
		}
		if preempted {
			s.Preempted += 1 / float64(n)
		}
	}
	return s
}
