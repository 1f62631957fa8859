package engine

import (
	"context"
	"errors"
)

// ErrEnvironment marks an engine that could not be opened: a part is missing or
// does not fit, or vLLM refused.
var ErrEnvironment = errors.New("the engine could not be opened")

// openError is err, marked.
type openError struct{ error }

func (openError) Is(target error) bool { return target == ErrEnvironment }
func (e openError) Unwrap() error      { return e.error }

// Engine executes plans on one vLLM engine.
type Engine interface {
	// Info describes the open engine.
	Info() Info
	// Run executes plan and hands records to sink as they arrive, from one
	// goroutine. When ctx ends first, requests in flight are aborted, their
	// partial results are delivered, and the error is ctx's. What was
	// delivered before any error stays valid.
	Run(ctx context.Context, plan Plan, sink Sink) error
	// Call runs a named control method of the adapter. args is encoded to
	// JSON; the answer is decoded into reply unless that is nil.
	Call(ctx context.Context, method string, args, reply any) error
	// Close ends the engine and everything it started.
	Close() error
}

// Sink receives the records of a run. The batch's slices are the sink's to keep.
type Sink func(Batch) error

// Batch is what became known since the batch before it. Batches come at most
// ten times a second, so that recording does not disturb the steps.
type Batch struct {
	StartNs  int64 // CLOCK_MONOTONIC of the plan's start; offsets count from it
	Steps    []Step
	Requests []RequestResult
	Profiles []Profile // of a script's profiled Ops that ended
	// Logprobs are of Requests that asked for them and ended by themselves, by id.
	Logprobs map[int64]RequestLogprobs
	Progress Progress
}

// Progress is the state of a run at the end of a batch. Total is 0 in a feed,
// which does not know its end.
type Progress struct {
	Total, Admitted, Finished, Failed int
	OutputTokens                      int64 // returned
	ElapsedNs                         int64

	// Sums over the steps of a feed, which are not listed.
	Steps     int64
	CtxTokens int64 // of prompts
	GenTokens int64 // of decode
	StepNs    int64 // inside LLMEngine.step
	EmptyNs   int64 // the engine had no request
	Preempted int64 // requests that lost their KV cache
}

func (p *Progress) count(s *Step) {
	p.Steps++
	p.CtxTokens += int64(s.CtxTokens)
	p.GenTokens += int64(s.GenTokens)
	p.StepNs += s.WallNs()
	p.Preempted += int64(s.Preempted)
}

// Stepper is one engine in this process, driven call by call from one thread.
type Stepper interface {
	// Submit queues reqs; arrivals[i] is the wall-clock arrival handed to
	// vLLM, in Unix ns. A request that the engine refuses is reported in
	// refused by its index and does not stop the others.
	Submit(reqs []Request, arrivalsUnixNs []int64) (refused map[int]error, err error)
	// Step runs one LLMEngine.step under the given limits; zero limits mean
	// those the engine was opened with. The result's slices are valid until
	// the next-but-one Step.
	Step(limits Limits) (StepResult, error)
	// Abort ends the given requests, which give no further output, and returns
	// the statistics of each as far as it had come.
	Abort(ids []int64) (map[int64]RequestStats, error)
	Call(method string, args, reply any) error
	Info() Info
	// NowNs is CLOCK_MONOTONIC, the clock of the stamps.
	NowNs() int64
	Close() error
}

// Limits bound one step. Zero means the engine's own limit. They cannot exceed
// what the engine was opened with.
type Limits struct {
	Tokens int // scheduled tokens
	Seqs   int // running sequences
}

// StepResult is a step and what it returned.
type StepResult struct {
	Step
	Outputs []Output
	Tokens  []int32 // of all outputs, concatenated
}

// Output is what one request got from one step.
type Output struct {
	ID       int64
	TokenOff int32 // its new tokens are Tokens[TokenOff:TokenOff+TokenLen]
	TokenLen int32
	Finish   FinishReason
	Stats    RequestStats // set when Finish is not Unfinished
}

// RequestStats are the fields of vLLM's RequestStateStats, in its units:
// seconds, ArrivalS and FirstTokenLatencyS on the wall clock, the others
// CLOCK_MONOTONIC (vllm/v1/metrics/stats.py, 0.26.0).
type RequestStats struct {
	ArrivalS, QueuedS, ScheduledS, FirstTokenS, LastTokenS float64
	FirstTokenLatencyS                                     float64
	GenerationTokens, CachedTokens                         int32
	Corrupted                                              bool
}
