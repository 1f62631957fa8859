package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"stepbench/bridge"
)

// Local is real vLLM in this process. It lives on the thread that opened it,
// for as long as the process: vLLM does not reliably free device memory
// (vllm-project/vllm issue 21073) and CPython is never finalized.
type Local struct {
	lib  *bridge.Library
	info Info
	view bridge.View

	outputs [2][]Output // alternate, as the shim's arenas do
	turn    int
	steps   int64
}

var _ Stepper = (*Local)(nil)

// OpenLocal starts Python and opens an engine on the calling thread, which must
// be the process's main thread and locked.
func OpenLocal(cfg Config, host Host) (*Local, error) {
	python, err := bridge.FindPython(host.Python)
	if err != nil {
		return nil, err
	}
	shim, err := bridge.FindShim(host.Shim)
	if err != nil {
		return nil, err
	}
	lib, err := bridge.Load(shim)
	if err != nil {
		return nil, err
	}
	if err := lib.CheckPython(python); err != nil {
		return nil, err
	}
	adapter, err := adapterPath()
	if err != nil {
		return nil, err
	}
	options := bridge.StartOptions{Python: python.Executable, ModulePath: adapter, Module: adapterModule}
	if err := lib.Start(options); err != nil {
		return nil, fmt.Errorf("start python %s: %w", python.Executable, err)
	}
	text, err := json.Marshal(cfg)
	if err != nil {
		return nil, err
	}
	reply, err := lib.Open(text)
	if err != nil {
		return nil, fmt.Errorf("open model %s: %w", cfg.Model.Name, err)
	}
	l := &Local{lib: lib}
	return l, l.readInfo(reply)
}

func (l *Local) readInfo(text []byte) error {
	var reply struct {
		Info
		Counters []string `json:"counters"`
	}
	if err := json.Unmarshal(text, &reply); err != nil {
		return fmt.Errorf("read the adapter's description: %w", err)
	}
	l.info = reply.Info
	return checkCounters(reply.Counters)
}

// Info describes the open engine.
func (l *Local) Info() Info { return l.info }

// NowNs is CLOCK_MONOTONIC on the shim's clock.
func (l *Local) NowNs() int64 { return l.lib.NowNs() }

// Submit implements [Stepper]. vLLM refuses a request with a ValueError or
// TypeError; any other exception means the engine is broken.
func (l *Local) Submit(reqs []Request, arrivalsUnixNs []int64) (map[int]error, error) {
	refused := map[int]error{}
	batch, index, err := l.pack(reqs, arrivalsUnixNs, refused)
	if err != nil {
		return nil, err
	}
	for len(batch.IDs) > 0 {
		n, err := l.lib.Submit(batch)
		if err == nil {
			break
		}
		if !isRefusal(err) {
			return refused, fmt.Errorf("submit request %d: %w", batch.IDs[n], err)
		}
		refused[index[n]] = err
		index = index[n+1:]
		batch.IDs, batch.Offsets, batch.Params = batch.IDs[n+1:], batch.Offsets[n+1:], batch.Params[n+1:]
		batch.Arrivals = batch.Arrivals[n+1:]
	}
	return refused, nil
}

func isRefusal(err error) bool {
	var python *bridge.PythonError
	if !errors.As(err, &python) {
		return false
	}
	switch python.Type {
	case "ValueError", "TypeError", "VLLMValidationError":
		return true
	}
	return false
}

// pack lays the requests out for the shim, leaving out those with token ids
// that the model does not have: without a tokenizer vLLM does not check them,
// and the embedding lookup would read foreign memory.
func (l *Local) pack(reqs []Request, arrivals []int64, refused map[int]error) (bridge.Batch, []int, error) {
	b := bridge.Batch{Offsets: []int64{0}}
	var index []int
	var params []json.RawMessage
	known := map[string]int32{}
	for i, r := range reqs {
		if bad := l.badToken(r.Prompt); bad >= 0 {
			refused[i] = fmt.Errorf("token %d of the prompt is %d, outside the vocabulary 0..%d",
				bad, r.Prompt[bad], l.info.VocabSize-1)
			continue
		}
		text, err := json.Marshal(samplingWire(r.Sampling))
		if err != nil { // a temperature that is no number
			refused[i] = fmt.Errorf("sampling parameters: %w", err)
			continue
		}
		at, ok := known[string(text)]
		if !ok {
			at = int32(len(params))
			known[string(text)], params = at, append(params, text)
		}
		b.IDs = append(b.IDs, r.ID)
		b.Tokens = append(b.Tokens, r.Prompt...)
		b.Offsets = append(b.Offsets, int64(len(b.Tokens)))
		b.Params = append(b.Params, at)
		b.Arrivals = append(b.Arrivals, float64(arrivals[i])/1e9)
		index = append(index, i)
	}
	var err error
	b.ParamsJSON, err = json.Marshal(params)
	return b, index, err
}

func (l *Local) badToken(prompt []int32) int {
	for i, t := range prompt {
		if t < 0 || int(t) >= l.info.VocabSize {
			return i
		}
	}
	return -1
}

// samplingWire is s as vLLM's SamplingParams takes it, zero meaning default.
func samplingWire(s Sampling) map[string]any {
	m := map[string]any{"max_tokens": s.MaxTokens, "temperature": s.Temperature}
	if s.TopP != 0 {
		m["top_p"] = s.TopP
	}
	if s.TopK != 0 {
		m["top_k"] = s.TopK
	}
	if s.Seed != nil {
		m["seed"] = *s.Seed
	}
	if len(s.Stop) > 0 {
		m["stop"] = s.Stop
	}
	for name, value := range map[string]float64{
		"min_p": s.MinP, "frequency_penalty": s.FrequencyPenalty,
		"presence_penalty": s.PresencePenalty, "repetition_penalty": s.RepetitionPenalty,
	} {
		if value != 0 {
			m[name] = value
		}
	}
	if s.MinTokens != 0 {
		m["min_tokens"] = s.MinTokens
	}
	if len(s.StopTokenIDs) > 0 {
		m["stop_token_ids"] = s.StopTokenIDs
	}
	if s.IgnoreEOS {
		m["ignore_eos"] = true
	}
	if s.Logprobs != nil {
		m["logprobs"] = *s.Logprobs
	}
	if s.PromptLogprobs != nil {
		m["prompt_logprobs"] = *s.PromptLogprobs
	}
	if s.finalOnly() {
		m["final_only"] = true
	}
	return m
}

// Step implements [Stepper].
func (l *Local) Step(limits Limits) (StepResult, error) {
	before := time.Now()
	err := l.lib.Step(int64(limits.Tokens), int64(limits.Seqs), &l.view)
	call := time.Since(before)
	if err != nil {
		return StepResult{}, fmt.Errorf("step %d: %w", l.steps, err)
	}
	v := &l.view
	l.turn ^= 1
	outputs := l.outputs[l.turn][:0]
	for i := range v.Outputs {
		outputs = append(outputs, output(&v.Outputs[i], v.Stats))
	}
	l.outputs[l.turn] = outputs
	r := StepResult{Step: step(v), Outputs: outputs, Tokens: v.Tokens}
	r.Index = l.steps
	r.BridgeNs = call.Nanoseconds() - r.WallNs()
	r.Step.Outputs, r.NewTokens = int32(len(v.Outputs)), int32(len(v.Tokens))
	l.steps++
	return r, nil
}

func output(o *bridge.Output, stats []float64) Output {
	out := Output{ID: o.ID, TokenOff: o.TokenOff, TokenLen: o.TokenLen, Finish: FinishReason(o.Finish)}
	if o.Stats >= 0 {
		out.Stats = requestStats(stats[int(o.Stats)*bridge.StatsWidth:][:bridge.StatsWidth])
	}
	return out
}

// Abort implements [Stepper].
func (l *Local) Abort(ids []int64) (map[int64]RequestStats, error) {
	var rows map[int64][]float64
	if err := l.Call("abort", ids, &rows); err != nil {
		return nil, err
	}
	stats := make(map[int64]RequestStats, len(rows))
	for id, row := range rows {
		if len(row) != bridge.StatsWidth {
			return nil, fmt.Errorf("abort: %d statistics for request %d, want %d", len(row), id, bridge.StatsWidth)
		}
		stats[id] = requestStats(row)
	}
	return stats, nil
}

// Call implements [Stepper].
func (l *Local) Call(method string, args, reply any) error {
	text, err := json.Marshal(args)
	if err != nil {
		return fmt.Errorf("call %s: %w", method, err)
	}
	answer, err := l.lib.Call(method, text)
	if err != nil {
		return fmt.Errorf("call %s: %w", method, err)
	}
	if reply == nil {
		return nil
	}
	if err := json.Unmarshal(answer, reply); err != nil {
		return fmt.Errorf("call %s: %w", method, err)
	}
	return nil
}

// Close ends executors and process groups. The interpreter stays: the process
// is expected to exit.
func (l *Local) Close() error { return l.Call("shutdown", nil, nil) }

// ns rounds vLLM's float seconds once; 0 stays 0, "never reached".
func ns(seconds float64) int64 { return int64(math.Round(seconds * 1e9)) }
