package workload

// Throughput counts work over a span of time.
type Throughput struct {
	Seconds float64 `json:"seconds"`
	// OfferedPerS is the rate of arrivals, 0 offline and in a closed loop, where
	// there is none.
	OfferedPerS float64 `json:"offered_per_s,omitempty"`
	// RequestsPerS is the rate of completions: the achieved rate.
	RequestsPerS     float64 `json:"requests_per_s"`
	OutputTokensPerS float64 `json:"output_tokens_per_s"`
	// TotalTokensPerS adds the prompt tokens, counted when their request's
	// first output token came.
	TotalTokensPerS float64 `json:"total_tokens_per_s"`
}

// windowThroughput counts what happened inside the window, whoever's it was:
// tokens of warm-up requests that came late keep the engine as busy as any.
func (v *view) windowThroughput() *Throughput {
	if v.window == nil {
		return nil
	}
	t := v.throughput(*v.window)
	if !v.unscheduled {
		t.OfferedPerS = float64(len(v.measured)) / t.Seconds
	}
	return &t
}

// wholeRun counts from the start of the plan to the last completion, warm-up
// and the end after the last arrival included: makespan, as offline benchmarks
// report it. What the tail did meanwhile counts, what it did afterwards not.
func (v *view) wholeRun() *Throughput {
	w := window{startNs: v.StartNs}
	var lastArrival int64
	for i := range v.planned {
		w.endNs = max(w.endNs, endNs(&v.planned[i]))
		lastArrival = max(lastArrival, v.planned[i].ArrivalNs)
	}
	if v.StartNs == 0 || w.endNs <= w.startNs {
		return nil
	}
	t := v.throughput(w)
	if !v.unscheduled && lastArrival > v.StartNs {
		t.OfferedPerS = float64(len(v.planned)) / (float64(lastArrival-v.StartNs) / 1e9)
	}
	return &t
}

func (v *view) throughput(w window) Throughput {
	var completed, output, prompt int
	for i := range v.requests {
		r := &v.requests[i]
		if Completed(r) && w.holds(r.LastTokenNs) {
			completed++
			if len(r.TokenNs) == 0 { // final-only
				output += int(r.OutputTokens)
			}
		}
		if w.holds(r.FirstTokenNs) {
			prompt += int(r.PromptTokens)
		}
		for _, t := range r.TokenNs {
			if w.holds(t) {
				output++
			}
		}
	}
	s := w.seconds()
	return Throughput{
		Seconds:          s,
		RequestsPerS:     float64(completed) / s,
		OutputTokensPerS: float64(output) / s,
		TotalTokensPerS:  float64(output+prompt) / s,
	}
}
