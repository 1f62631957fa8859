package engine

// Sampling says how a request generates. The zero value is greedy decoding of
// no tokens; MaxTokens must be at least 1. Fields follow vLLM's SamplingParams.
type Sampling struct {
	MaxTokens   int      `json:"max_tokens"`
	Temperature float64  `json:"temperature"`
	TopP        float64  `json:"top_p,omitempty"` // 0 means vLLM's default, 1
	TopK        int      `json:"top_k,omitempty"` // 0 means no limit
	Seed        *int64   `json:"seed,omitempty"`
	Stop        []string `json:"stop,omitempty"`

	MinP              float64 `json:"min_p,omitempty"`
	FrequencyPenalty  float64 `json:"frequency_penalty,omitempty"`
	PresencePenalty   float64 `json:"presence_penalty,omitempty"`
	RepetitionPenalty float64 `json:"repetition_penalty,omitempty"` // 0 means vLLM's default, 1
	MinTokens         int     `json:"min_tokens,omitempty"`
	StopTokenIDs      []int32 `json:"stop_token_ids,omitempty"`

	// IgnoreEOS keeps generating after the end-of-sequence token, so that the
	// output length is exactly MaxTokens.
	IgnoreEOS bool `json:"ignore_eos,omitempty"`

	// Logprobs asks for the logprob of every output token, and of this many
	// tokens that were the likeliest in its place; PromptLogprobs for those of
	// the prompt. Either implies FinalOnly.
	Logprobs       *int `json:"logprobs,omitempty"`
	PromptLogprobs *int `json:"prompt_logprobs,omitempty"`
	// FinalOnly has the engine return the request only when it ends, so that
	// steps are not spent on returning it: its tokens then have no TokenNs, and
	// an aborted one has no tokens.
	FinalOnly bool `json:"final_only,omitempty"`
}

func (s *Sampling) wantsLogprobs() bool { return s.Logprobs != nil || s.PromptLogprobs != nil }

func (s *Sampling) finalOnly() bool { return s.FinalOnly || s.wantsLogprobs() }

// Request is one prompt for the engine. ID is chosen by the caller and must be
// unique among the requests in flight. Prompt holds token ids.
type Request struct {
	ID       int64
	Prompt   []int32
	Sampling Sampling
}

// Arrival is a request and when it arrives, in ns after the start of its plan.
type Arrival struct {
	OffsetNs int64
	Request
}

// Plan is what one Run executes from start to finish without a further word
// from its caller: arrivals in order of OffsetNs.
type Plan struct {
	Arrivals []Arrival
	// MaxConcurrency > 0 makes a closed loop: a request is admitted only while
	// fewer than this many are in flight. 0 is an open loop.
	MaxConcurrency int
	// KeepTokens returns each request's output token ids in its result.
	KeepTokens bool
}

// FinishReason says why a request ended. Values are those of the shim's ABI.
type FinishReason int32

const (
	Unfinished FinishReason = iota
	FinishStop
	FinishLength
	FinishAbort
	FinishError
)

// String gives vLLM's word for the reason.
func (r FinishReason) String() string {
	switch r {
	case Unfinished:
		return "unfinished"
	case FinishStop:
		return "stop"
	case FinishLength:
		return "length"
	case FinishAbort:
		return "abort"
	default:
		return "error"
	}
}

// RequestResult is everything known about one request at its end. Times ending
// in Ns are CLOCK_MONOTONIC, those ending in UnixNs wall clock; zero means the
// event was never reached. Formulas of the derived times are at the methods.
type RequestResult struct {
	ID           int64
	PromptTokens int32
	OutputTokens int32
	CachedTokens int32 // prompt tokens served from the prefix cache
	Finish       FinishReason
	Error        string // why the engine refused or lost the request
	Corrupted    bool   // vLLM saw NaN in the logits

	ArrivalNs     int64 // a: the scheduled arrival
	AdmitNs       int64 // q: the admission call started
	AnchorNs      int64 // (AnchorNs, AnchorUnixNs) is one instant on both
	AnchorUnixNs  int64 // clocks, taken at admission
	QueuedNs      int64 // e: RequestStateStats.queued_ts
	ScheduledNs   int64 // s: RequestStateStats.scheduled_ts
	FirstTokenNs  int64 // f: RequestStateStats.first_token_ts
	LastTokenNs   int64 // l: RequestStateStats.last_token_ts
	DeliveredNs   int64 // o: exit stamp of the step that returned the end
	EngineUnixNs  int64 // RequestStateStats.arrival_time
	EngineTTFTNs  int64 // RequestStateStats.first_token_latency
	EngineOutputs int32 // RequestStateStats.num_generation_tokens

	TokenNs []int64 // t_k: exit stamp of the step that returned token k
	Tokens  []int32 // output token ids, if the plan keeps them
}

// span is to-from, absent when either end was never reached.
func span(from, to int64) (ns int64, ok bool) {
	if from == 0 || to == 0 {
		return 0, false
	}
	return to - from, true
}

// Admission is q-a: how long the request waited for a step boundary.
func (r *RequestResult) Admission() (ns int64, ok bool) { return span(r.ArrivalNs, r.AdmitNs) }

// Queue is s-a: from the scheduled arrival until first scheduled.
func (r *RequestResult) Queue() (ns int64, ok bool) { return span(r.ArrivalNs, r.ScheduledNs) }

// EngineQueue is s-e, the part of Queue inside the engine.
func (r *RequestResult) EngineQueue() (ns int64, ok bool) { return span(r.QueuedNs, r.ScheduledNs) }

// Prefill is f-s: all chunks of the prompt and the waits between them.
func (r *RequestResult) Prefill() (ns int64, ok bool) { return span(r.ScheduledNs, r.FirstTokenNs) }

// Decode is l-f.
func (r *RequestResult) Decode() (ns int64, ok bool) { return span(r.FirstTokenNs, r.LastTokenNs) }

// TTFT, time to first token, is f-a.
func (r *RequestResult) TTFT() (ns int64, ok bool) { return span(r.ArrivalNs, r.FirstTokenNs) }

// E2E is l-a, equal to Queue + Prefill + Decode.
func (r *RequestResult) E2E() (ns int64, ok bool) { return span(r.ArrivalNs, r.LastTokenNs) }

// Delivery is o-l: from the engine's last token until it was back in Go.
func (r *RequestResult) Delivery() (ns int64, ok bool) { return span(r.LastTokenNs, r.DeliveredNs) }

// TPOT, time per output token after the first, is (l-f)/(n-1); absent for n < 2.
func (r *RequestResult) TPOT() (ns float64, ok bool) {
	d, ok := r.Decode()
	if !ok || r.OutputTokens < 2 {
		return 0, false
	}
	return float64(d) / float64(r.OutputTokens-1), true
}

// ITL gives the inter-token latencies t_k - t_(k-1), in ns, n-1 of them.
func (r *RequestResult) ITL() []int64 {
	if len(r.TokenNs) < 2 {
		return nil
	}
	gaps := make([]int64, len(r.TokenNs)-1)
	for k := range gaps {
		gaps[k] = r.TokenNs[k+1] - r.TokenNs[k]
	}
	return gaps
}
