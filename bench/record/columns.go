package record

import (
	"fmt"

	"stepbench/bench/workload"
	"stepbench/engine"
)

// requestRow is a row of requests.parquet. Stamps are null where the event was
// never reached, derived times where an end of theirs is; "optional" stores
// the zero of a stamp as null, so only values that may be zero are pointers.
// Offline, derived times count from first scheduled (workload.TimesOf).
type requestRow struct {
	ID           int64  `parquet:"id" unit:"plan index"`
	PromptTokens int32  `parquet:"prompt_tokens" unit:"tokens"`
	OutputTokens int32  `parquet:"output_tokens" unit:"tokens"`
	CachedTokens int32  `parquet:"cached_tokens" unit:"tokens"`
	Finish       string `parquet:"finish,dict" unit:"unfinished, stop, length, abort or error"`
	Role         string `parquet:"role,optional,dict" unit:"warm-up, measured, censored (measured, cut off) or tail (after the window)"`
	Error        string `parquet:"error,optional" unit:"text"`
	Corrupted    bool   `parquet:"corrupted" unit:"NaN in the logits"`

	ArrivalNs           int64 `parquet:"arrival_ns,optional" unit:"ns, CLOCK_MONOTONIC"`
	AdmitNs             int64 `parquet:"admit_ns,optional" unit:"ns, CLOCK_MONOTONIC"`
	AnchorNs            int64 `parquet:"anchor_ns,optional" unit:"ns, CLOCK_MONOTONIC"`
	AnchorUnixNs        int64 `parquet:"anchor_unix_ns,optional" unit:"ns since 1970, wall clock"`
	QueuedNs            int64 `parquet:"queued_ns,optional" unit:"ns, CLOCK_MONOTONIC"`
	ScheduledNs         int64 `parquet:"scheduled_ns,optional" unit:"ns, CLOCK_MONOTONIC"`
	FirstTokenNs        int64 `parquet:"first_token_ns,optional" unit:"ns, CLOCK_MONOTONIC"`
	LastTokenNs         int64 `parquet:"last_token_ns,optional" unit:"ns, CLOCK_MONOTONIC"`
	DeliveredNs         int64 `parquet:"delivered_ns,optional" unit:"ns, CLOCK_MONOTONIC"`
	EngineArrivalUnixNs int64 `parquet:"engine_arrival_unix_ns,optional" unit:"ns since 1970, wall clock"`
	EngineTTFTNs        int64 `parquet:"engine_ttft_ns,optional" unit:"ns, by vLLM"`
	EngineOutputTokens  int32 `parquet:"engine_output_tokens,optional" unit:"tokens, by vLLM"`

	AdmissionTimeNs   *int64   `parquet:"admission_ns" unit:"ns"`
	QueueTimeNs       *int64   `parquet:"queue_ns" unit:"ns"`
	EngineQueueTimeNs *int64   `parquet:"engine_queue_ns" unit:"ns"`
	PrefillNs         *int64   `parquet:"prefill_ns" unit:"ns"`
	DecodeNs          *int64   `parquet:"decode_ns" unit:"ns"`
	TTFTNs            *int64   `parquet:"ttft_ns" unit:"ns"`
	TPOTNs            *float64 `parquet:"tpot_ns" unit:"ns a token"`
	E2ENs             *int64   `parquet:"e2e_ns" unit:"ns"`
	DeliveryNs        *int64   `parquet:"delivery_ns" unit:"ns"`
	ITLNs             []int64  `parquet:"itl_ns,list" unit:"ns"`

	TokenNs []int64 `parquet:"token_ns,list" unit:"ns, CLOCK_MONOTONIC"`
	Tokens  []int32 `parquet:"tokens,optional,list" unit:"token ids"`
}

func newRequestRow(r *engine.RequestResult, offline bool) requestRow {
	t := workload.TimesOf(r, offline)
	return requestRow{
		ID: r.ID, PromptTokens: r.PromptTokens, OutputTokens: r.OutputTokens, CachedTokens: r.CachedTokens,
		Finish: r.Finish.String(), Error: r.Error, Corrupted: r.Corrupted,
		ArrivalNs: r.ArrivalNs, AdmitNs: r.AdmitNs, AnchorNs: r.AnchorNs, AnchorUnixNs: r.AnchorUnixNs,
		QueuedNs: r.QueuedNs, ScheduledNs: r.ScheduledNs, FirstTokenNs: r.FirstTokenNs,
		LastTokenNs: r.LastTokenNs, DeliveredNs: r.DeliveredNs,
		EngineArrivalUnixNs: r.EngineUnixNs, EngineTTFTNs: r.EngineTTFTNs, EngineOutputTokens: r.EngineOutputs,
		AdmissionTimeNs: t.Admission, QueueTimeNs: t.Queue, EngineQueueTimeNs: t.EngineQueue,
		PrefillNs: t.Prefill, DecodeNs: t.Decode, TTFTNs: t.TTFT, TPOTNs: t.TPOT, E2ENs: t.E2E,
		DeliveryNs: t.Delivery, ITLNs: t.ITL,
		TokenNs: r.TokenNs, Tokens: r.Tokens,
	}
}

// result gives back the measured columns; the derived ones follow from them.
func (w *requestRow) result() (engine.RequestResult, error) {
	finish, err := parseFinish(w.Finish)
	if err != nil {
		return engine.RequestResult{}, fmt.Errorf("request %d: %w", w.ID, err)
	}
	return engine.RequestResult{
		ID: w.ID, PromptTokens: w.PromptTokens, OutputTokens: w.OutputTokens, CachedTokens: w.CachedTokens,
		Finish: finish, Error: w.Error, Corrupted: w.Corrupted,
		ArrivalNs: w.ArrivalNs, AdmitNs: w.AdmitNs, AnchorNs: w.AnchorNs, AnchorUnixNs: w.AnchorUnixNs,
		QueuedNs: w.QueuedNs, ScheduledNs: w.ScheduledNs, FirstTokenNs: w.FirstTokenNs,
		LastTokenNs: w.LastTokenNs, DeliveredNs: w.DeliveredNs,
		EngineUnixNs: w.EngineArrivalUnixNs, EngineTTFTNs: w.EngineTTFTNs, EngineOutputs: w.EngineOutputTokens,
		TokenNs: w.TokenNs, Tokens: w.Tokens,
	}, nil
}

func parseFinish(word string) (engine.FinishReason, error) {
	for r := engine.Unfinished; r <= engine.FinishError; r++ {
		if r.String() == word {
			return r, nil
		}
	}
	return 0, fmt.Errorf("unknown finish reason %q", word)
}

// stepRow is a row of steps.parquet.
type stepRow struct {
	Index    int64 `parquet:"index" unit:"step of the plan"`
	Op       int32 `parquet:"op" unit:"operation of the script, 0 in a plan"`
	EnterNs  int64 `parquet:"enter_ns" unit:"ns, CLOCK_MONOTONIC"`
	GILNs    int64 `parquet:"gil_ns" unit:"ns, CLOCK_MONOTONIC"`
	CallNs   int64 `parquet:"call_ns" unit:"ns, CLOCK_MONOTONIC"`
	ReturnNs int64 `parquet:"return_ns" unit:"ns, CLOCK_MONOTONIC"`
	ExitNs   int64 `parquet:"exit_ns" unit:"ns, CLOCK_MONOTONIC"`

	WallNs        int64 `parquet:"wall_ns" unit:"ns"`
	ScheduleNs    int64 `parquet:"schedule_ns" unit:"ns"`
	ExecuteNs     int64 `parquet:"execute_ns" unit:"ns"`
	SampleNs      int64 `parquet:"sample_ns" unit:"ns"`
	UpdateNs      int64 `parquet:"update_ns" unit:"ns"`
	OutputNs      int64 `parquet:"output_ns" unit:"ns"`
	StatsNs       int64 `parquet:"stats_ns" unit:"ns"`
	CoreNs        int64 `parquet:"core_ns" unit:"ns"`
	UnaccountedNs int64 `parquet:"unaccounted_ns" unit:"ns"`
	BridgeNs      int64 `parquet:"bridge_ns" unit:"ns"`

	Phase     string `parquet:"phase,dict" unit:"prefill, decode, mixed or empty"`
	CtxReqs   int32  `parquet:"ctx_reqs" unit:"requests"`
	CtxTokens int32  `parquet:"ctx_tokens" unit:"tokens"`
	GenReqs   int32  `parquet:"gen_reqs" unit:"requests"`
	GenTokens int32  `parquet:"gen_tokens" unit:"tokens"`
	Running   int32  `parquet:"running" unit:"requests"`
	Waiting   int32  `parquet:"waiting" unit:"requests"`
	Preempted int32  `parquet:"preempted" unit:"requests"`
	Outputs   int32  `parquet:"outputs" unit:"requests"`
	NewTokens int32  `parquet:"new_tokens" unit:"tokens"`

	TokenBudget int32   `parquet:"token_budget" unit:"tokens"`
	SeqBudget   int32   `parquet:"seq_budget" unit:"requests"`
	KVUsageFrac float64 `parquet:"kv_usage_frac" unit:"0..1"`

	GraphMode    int32 `parquet:"graph_mode" unit:"1: no CUDA graph, 2: piecewise, 3: full, 0: not known"`
	PaddedTokens int32 `parquet:"padded_tokens" unit:"tokens the model ran on, 0: not known"`
}

func newStepRow(s *engine.Step) stepRow {
	return stepRow{
		Index: s.Index, Op: s.Op, EnterNs: s.EnterNs, GILNs: s.GILNs, CallNs: s.CallNs, ReturnNs: s.ReturnNs, ExitNs: s.ExitNs,
		WallNs: s.WallNs(), ScheduleNs: s.ScheduleNs, ExecuteNs: s.ExecuteNs, SampleNs: s.SampleNs,
		UpdateNs: s.UpdateNs, OutputNs: s.OutputNs, StatsNs: s.StatsNs, CoreNs: s.CoreNs,
		UnaccountedNs: s.UnaccountedNs(), BridgeNs: s.BridgeNs,
		Phase: s.Phase(), CtxReqs: s.CtxReqs, CtxTokens: s.CtxTokens, GenReqs: s.GenReqs, GenTokens: s.GenTokens,
		Running: s.Running, Waiting: s.Waiting, Preempted: s.Preempted, Outputs: s.Outputs, NewTokens: s.NewTokens,
		TokenBudget: s.TokenBudget, SeqBudget: s.SeqBudget, KVUsageFrac: s.KVUsageFrac,
		GraphMode: int32(s.GraphMode), PaddedTokens: s.PaddedTokens,
	}
}

func (w *stepRow) step() engine.Step {
	return engine.Step{
		Index: w.Index, Op: w.Op, EnterNs: w.EnterNs, GILNs: w.GILNs, CallNs: w.CallNs, ReturnNs: w.ReturnNs, ExitNs: w.ExitNs,
		ScheduleNs: w.ScheduleNs, ExecuteNs: w.ExecuteNs, SampleNs: w.SampleNs,
		UpdateNs: w.UpdateNs, OutputNs: w.OutputNs, StatsNs: w.StatsNs, CoreNs: w.CoreNs, BridgeNs: w.BridgeNs,
		CtxReqs: w.CtxReqs, CtxTokens: w.CtxTokens, GenReqs: w.GenReqs, GenTokens: w.GenTokens,
		Running: w.Running, Waiting: w.Waiting, Preempted: w.Preempted, Outputs: w.Outputs, NewTokens: w.NewTokens,
		TokenBudget: w.TokenBudget, SeqBudget: w.SeqBudget, KVUsageFrac: w.KVUsageFrac,
		GraphMode: engine.GraphMode(w.GraphMode), PaddedTokens: w.PaddedTokens,
	}
}
